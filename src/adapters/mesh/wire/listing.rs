//! The body of an inbox list (mesh-api 6.3), read leniently: what we do not use may be anything.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::Value;

use crate::domain::ids::MessageId;
use crate::ports::inbox::Listing;

/// No honest page is larger: 5,000 ids of 100 characters are half a megabyte.
pub(in crate::adapters::mesh) const LARGEST_LIST: usize = 16 * 1024 * 1024;

/// More ids than a page may hold (mesh-api 6.3) are left for the next list.
const MOST_IDS: usize = 5_000;

#[derive(Deserialize)]
struct Body {
    messages: Vec<Value>,
    #[serde(default)]
    links: Value,
    #[serde(default)]
    approx_inbox_count: Value,
}

/// Reads the body; the error says what is wrong with it, without repeating it. Nesting beyond serde_json's own limit of
/// 128 is such an error.
pub(in crate::adapters::mesh) fn listing(body: &[u8]) -> Result<Listing, String> {
    let body: Body = serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        format!("the list is not what mesh-api 6.3 describes, at line {line} column {column}")
    })?;
    let mut listing = Listing {
        next: body.links.get("next").and_then(Value::as_str).map(str::to_owned),
        approximate_count: body.approx_inbox_count.as_u64(),
        ..Listing::default()
    };
    // Each once: two fetches of one message at a time would write into one chunk directory.
    let mut listed = HashSet::new();
    for message in body.messages.into_iter().take(MOST_IDS) {
        let id = match message {
            Value::String(text) => MessageId::new(text).ok(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
        };
        match id {
            Some(id) if !listed.insert(id.clone()) => {}
            Some(id) => listing.ids.push(id),
            None => listing.unusable += 1,
        }
    }
    Ok(listing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_the_sandbox_is_read() {
        let listing = listing(
            br#"{"messages":["9786B1EC3D974DE08FEDA64FC92EA15A","20200529155357895317_3573F8"],
                 "links":{"self":"/messageexchange/X/inbox","next":"/messageexchange/X/inbox?continue_from=a%3D"},
                 "approx_inbox_count":2}"#,
        )
        .expect("a list");
        assert_eq!(listing.ids.len(), 2);
        assert_eq!(listing.next.as_deref(), Some("/messageexchange/X/inbox?continue_from=a%3D"));
        assert_eq!((listing.unusable, listing.approximate_count), (0, Some(2)));
    }

    #[test]
    fn an_id_listed_twice_is_one_message() {
        let listing = listing(br#"{"messages":["A","B","A"]}"#).expect("a list");
        assert_eq!(listing.ids.iter().map(MessageId::as_str).collect::<Vec<_>>(), ["A", "B"]);
    }

    #[test]
    fn unusable_ids_are_counted_and_the_rest_is_used() {
        let listing = listing(br#"{"messages":["../x","GOOD",7,null,"",["x"],"\u0000"]}"#).expect("a list");
        assert_eq!((listing.ids.len(), listing.unusable), (1, 6));
    }

    #[test]
    fn what_we_do_not_need_may_be_missing_or_wrong() {
        for body in [
            r#"{"messages":[]}"#,
            r#"{"messages":[],"links":null,"approx_inbox_count":null}"#,
            r#"{"messages":[],"links":{"next":null},"approx_inbox_count":"many","more":{"a":[1]}}"#,
            r#"{"messages":[],"links":[],"approx_inbox_count":-1}"#,
        ] {
            assert_eq!(listing(body.as_bytes()), Ok(Listing::default()), "{body}");
        }
    }

    #[test]
    fn what_is_no_list_is_an_error_that_does_not_repeat_it() {
        let deep = format!(r#"{{"messages":[],"links":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        for body in ["", "<soap>SECRET</soap>", "null", "[]", "{}", r#"{"messages":"SECRET"}"#, "\u{feff}{}", &deep] {
            let error = listing(body.as_bytes()).expect_err("no list");
            assert!(!error.contains("SECRET") && error.len() < 120, "{error}");
        }
    }

    #[test]
    fn an_overlong_page_is_cut_where_the_api_cuts_it() {
        let ids: Vec<String> = (0..6_000).map(|number| format!("M{number}")).collect();
        let body = serde_json::json!({ "messages": ids }).to_string();
        assert_eq!(listing(body.as_bytes()).expect("a list").ids.len(), 5_000);
    }
}
