//! What MESH will not take (mesh-api 5.1, 10), all of it at once and before the first byte.

use crate::domain::envelope::Envelope;
use crate::domain::ids::Sensitive;
use crate::domain::sending::misrouted;

/// A message is no longer than that (mesh-api 8).
const LARGEST: u64 = 100_000_000_000;

/// One thing that is wrong. It names a header, and not its value, which may be about a patient (I8).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{header}: {problem}{}", .code.map(|code| format!(" (code {code})")).unwrap_or_default())]
pub struct Broken {
    /// Such as `Mex-Subject`.
    pub header: &'static str,
    /// What is wrong, and what is expected.
    pub problem: String,
    /// MESH's code for it (mesh-api 9.2), if it has one of its own.
    pub code: Option<&'static str>,
}

/// Everything that is wrong with a message of so many bytes.
pub fn broken(envelope: &Envelope, length: u64) -> Vec<Broken> {
    let mut found = Vec::new();
    let mut tell = |header, problem: &str, code| found.push(Broken { header, problem: problem.to_owned(), code });
    if length == 0 {
        tell("payload", "it is empty, and MESH takes no empty message", Some("02"));
    }
    if length > LARGEST {
        tell("payload", "it is larger than the 100 GB that MESH takes", None);
    }
    if envelope.workflow.as_str().trim().is_empty() {
        tell("Mex-WorkflowID", "it is missing: a message goes by its workflow", None);
    }
    if envelope.to.as_ref().is_none_or(|to| to.reveal().trim().is_empty()) {
        tell("Mex-To", "it is missing: who is to have it?", None);
    }
    if let Some(problem) = envelope.to.as_ref().and_then(misrouted) {
        tell("Mex-To", problem, Some("08"));
    }
    let texts: [(&'static str, &Option<Sensitive>, usize); 6] = [
        ("Mex-To", &envelope.to, 100),
        ("Mex-LocalID", &envelope.local_id, 300),
        ("Mex-FileName", &envelope.file_name, 300),
        ("Mex-Subject", &envelope.subject, 500),
        ("Mex-PartnerID", &envelope.partner_id, 500),
        ("Mex-Content-Checksum", &envelope.checksum, 100),
    ];
    for (header, value, longest) in texts {
        let Some(text) = value.as_ref().map(Sensitive::reveal) else { continue };
        if text.len() > longest {
            tell(header, &format!("it has {} characters, and may have {longest}", text.len()), None);
        }
        if !text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            tell(header, "it has characters other than printable ASCII", None);
        }
    }
    let is_kind = |kind: &String| kind.len() <= 100 && kind.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    if !envelope.content_type.as_ref().is_none_or(is_kind) {
        tell("Mex-Content-Type", "it may have 100 printable ASCII characters", None);
    }
    let is_link = |text: &str| text.starts_with("http://") || text.starts_with("https://");
    for (header, value) in [("Mex-To", &envelope.to), ("Mex-Content-Checksum", &envelope.checksum)] {
        if value.as_ref().is_some_and(|value| is_link(value.reveal())) {
            tell(header, "it may not be a link", Some("06"));
        }
    }
    if is_link(envelope.workflow.as_str()) {
        tell("Mex-WorkflowID", "it may not be a link", Some("06"));
    }
    let may_be_in_checksum = |byte: u8| byte.is_ascii_alphanumeric() || b" :-/".contains(&byte);
    if envelope.checksum.as_ref().is_some_and(|checksum| !checksum.reveal().bytes().all(may_be_in_checksum)) {
        tell("Mex-Content-Checksum", "it may have letters, digits, spaces, `:`, `-` and `/`", None);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{MailboxId, MessageId, WorkflowId};

    fn envelope() -> Envelope {
        let mailbox = MailboxId::new("X26ABC1").expect("a mailbox id");
        let message_id = MessageId::new("OURS").expect("a message id");
        let workflow = WorkflowId::new("TOC").expect("a workflow id");
        Envelope { to: Some(Sensitive::new("X26ABC2")), ..Envelope::going_out(mailbox, message_id, workflow) }
    }

    #[test]
    fn what_mesh_refuses_is_named_without_its_value() {
        let some = |text: &str| Some(Sensitive::new(text));
        let cases = [
            (envelope(), 1, vec![]),
            (envelope(), 0, vec!["payload"]),
            (envelope(), LARGEST + 1, vec!["payload"]),
            (Envelope { to: None, ..envelope() }, 1, vec!["Mex-To"]),
            (Envelope { to: some(" "), ..envelope() }, 1, vec!["Mex-To"]),
            (Envelope { to: some("http://x"), ..envelope() }, 1, vec!["Mex-To"]),
            (Envelope { workflow: WorkflowId::new("").expect("empty"), ..envelope() }, 1, vec!["Mex-WorkflowID"]),
            (Envelope { subject: some(&"x".repeat(501)), ..envelope() }, 1, vec!["Mex-Subject"]),
            (Envelope { subject: some(&"x".repeat(500)), ..envelope() }, 1, vec![]),
            (Envelope { local_id: some("a\tb"), ..envelope() }, 1, vec!["Mex-LocalID"]),
            (Envelope { file_name: some("9990000018 é"), ..envelope() }, 1, vec!["Mex-FileName"]),
            (Envelope { content_type: Some("text/x\ny".to_owned()), ..envelope() }, 1, vec!["Mex-Content-Type"]),
            (Envelope { checksum: some("a_b!"), ..envelope() }, 1, vec!["Mex-Content-Checksum"]),
            (Envelope { to: None, subject: some("\n"), ..envelope() }, 0, vec!["payload", "Mex-To", "Mex-Subject"]),
        ];
        for (envelope, length, expected) in cases {
            let found = broken(&envelope, length);
            assert_eq!(found.iter().map(|broken| broken.header).collect::<Vec<_>>(), expected, "{found:?}");
            assert!(found.iter().all(|broken| !broken.to_string().contains("999")), "{found:?}");
        }
    }
}
