//! Paths and queries of requests (mesh-api 6).

use super::super::environment::BaseUrl;
use crate::domain::ids::{MailboxId, MessageId};
use crate::ports::inbox::Page;

/// One part of a path or a query value: all but the unreserved characters of RFC 3986 percent-encoded.
pub(in crate::adapters::mesh) fn part(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

/// `M/inbox/{message id}`, with `rest` behind it.
pub(in crate::adapters::mesh) fn message_path(mailbox: &MailboxId, id: &MessageId, rest: &str) -> String {
    format!("/messageexchange/{}/inbox/{}{rest}", part(mailbox.as_str()), part(id.as_str()))
}

/// The path of a list; nothing for a `links.next` that must not be followed.
pub(in crate::adapters::mesh) fn list_path(mailbox: &MailboxId, page: &Page, base: &BaseUrl) -> Option<String> {
    match page {
        Page::First { max_results, workflow_filter } => {
            let mut path = format!("/messageexchange/{}/inbox?max_results={max_results}", part(mailbox.as_str()));
            if let Some(filter) = workflow_filter {
                path.push_str("&workflow_filter=");
                path.push_str(&part(filter));
            }
            Some(path)
        }
        Page::Next(link) => next_path(link, base),
    }
}

/// A `links.next` that can be sent to our own host exactly as it came: it starts at `/messageexchange/`, and putting it
/// behind the base URL gives a URL on the same host that a URL parser has nothing to change in (mesh-api 6.3).
fn next_path(link: &str, base: &BaseUrl) -> Option<String> {
    let whole = format!("{base}{link}");
    let parsed = reqwest::Url::parse(&whole).ok()?;
    let is_untouched = link.starts_with("/messageexchange/") && parsed.as_str() == whole;
    is_untouched.then(|| link.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> BaseUrl {
        BaseUrl::parse("https://mesh.example:8743").expect("a base URL")
    }

    #[test]
    fn parts_cannot_leave_their_place() {
        for (text, encoded) in [
            ("X26ABC1", "X26ABC1"),
            ("../a", "..%2Fa"),
            ("!*A_B*", "%21%2AA_B%2A"),
            ("a?b#c&d=é", "a%3Fb%23c%26d%3D%C3%A9"),
        ] {
            assert_eq!(part(text), encoded);
        }
    }

    #[test]
    fn a_next_link_is_followed_untouched_or_not_at_all() {
        for (link, follow) in [
            ("/messageexchange/X26ABC1/inbox?max_results=10&continue_from=gAAA%3D%3D", true),
            ("/messageexchange/X26ABC1/inbox?continue_from=a+b/c==", true),
            ("https://evil.example/messageexchange/X26ABC1/inbox", false),
            ("//evil.example/messageexchange/X26ABC1/inbox", false),
            ("@evil.example/messageexchange/", false),
            (".evil.example/messageexchange/", false),
            ("/messageexchange/../admin/reset", false),
            ("/messageexchange/%2e%2e/admin/reset", false),
            ("/messageexchange/X26ABC1/in box", false),
            ("/messageexchange/X26ABC1/inbox\r\nX: y", false),
            ("/messageexchange\\..\\x", false),
            ("/admin", false),
            ("", false),
        ] {
            let path = next_path(link, &base());
            assert_eq!(path.as_deref(), follow.then_some(link), "{link}");
        }
    }

    #[test]
    fn a_first_page_carries_its_size_and_its_filter() {
        let mailbox = MailboxId::new("X26ABC1").expect("a mailbox id");
        let page = Page::First { max_results: 500, workflow_filter: Some("!*_ACK*".into()) };
        assert_eq!(
            list_path(&mailbox, &page, &base()).expect("a path"),
            "/messageexchange/X26ABC1/inbox?max_results=500&workflow_filter=%21%2A_ACK%2A"
        );
    }
}
