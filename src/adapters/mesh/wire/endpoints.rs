//! The answer to a look-up of mailboxes (mesh-api 6.8).

use serde_json::Value;

use crate::domain::ids::MailboxId;
use crate::ports::directory::Endpoint;

/// The mailboxes of an answer; none if it is not one. Both versions' names are read (mesh-api 3). What is no mailbox id is
/// not shown.
pub(in crate::adapters::mesh) fn endpoints(body: &[u8]) -> Option<Vec<Endpoint>> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let results = body.get("results")?.as_array()?;
    let text =
        |result: &Value, keys: [&str; 2]| keys.iter().find_map(|key| result.get(key)?.as_str().map(str::to_owned));
    let endpoint = |result: &Value| {
        let mailbox = MailboxId::new(text(result, ["mailbox_id", "address"])?).ok()?;
        let name = text(result, ["mailbox_name", "description"]).unwrap_or_default();
        Some(Endpoint { mailbox, name: name.chars().filter(|c| !c.is_control()).take(100).collect() })
    };
    Some(results.iter().filter_map(endpoint).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_read_and_what_is_no_answer_is_none() {
        let of = |body: &str| {
            let found = endpoints(body.as_bytes());
            found.map(|found| found.into_iter().map(|one| (one.mailbox.to_string(), one.name)).collect::<Vec<_>>())
        };
        let one = Some(vec![("X26ABC2".to_owned(), "TESTMB2".to_owned())]);
        assert_eq!(of(r#"{"results":[{"mailbox_id":"X26ABC2","mailbox_name":"TESTMB2"}]}"#), one);
        let old =
            r#"{"query_id":"q","results":[{"address":"X26ABC2","description":"TESTMB2","endpoint_type":"MESH"}]}"#;
        assert_eq!(of(old), one);
        assert_eq!(of(r#"{"results":[]}"#), Some(Vec::new()));
        assert_eq!(
            of(r#"{"results":[{"mailbox_id":"no id/"},{"mailbox_id":"A"}]}"#),
            Some(vec![("A".into(), String::new())])
        );
        for other in ["", "[]", "{}", r#"{"results":{}}"#] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
