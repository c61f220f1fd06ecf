//! The body of an error answer, in each of the shapes of mesh-api 9.1.
//!
//! A body that cannot be read is an empty [`Problem`]: it never hides the status.

use serde_json::Value;

/// A larger error body is not read on: the status says enough.
pub(in crate::adapters::mesh) const LARGEST_PROBLEM: usize = 64 * 1024;

/// What an error answer says, as far as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::adapters::mesh) struct Problem {
    /// Such as `20` or `EPL-151`.
    pub(in crate::adapters::mesh) code: Option<String>,
    /// Such as `SEND`; on a validation error the place of it, such as `header.mex-osname`.
    pub(in crate::adapters::mesh) event: Option<String>,
    /// For people.
    pub(in crate::adapters::mesh) message: Option<String>,
}

impl Problem {
    /// Reads whatever came.
    pub(in crate::adapters::mesh) fn of(body: &[u8]) -> Self {
        let Ok(body) = serde_json::from_slice::<Value>(body) else { return Self::default() };
        let first = match body.get("detail") {
            Some(Value::Array(details)) => details.first(),
            Some(other) => Some(other),
            None => None,
        };
        let detail = |key: &str| first.and_then(|detail| detail.get(key));
        let place = detail("loc").and_then(Value::as_array).map(|parts| {
            parts.iter().map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned)).collect::<Vec<_>>()
        });
        let place = place.map(|parts| parts.join("."));
        Self {
            code: token(detail("code").or(detail("type")).or(body.get("errorCode"))),
            event: place.as_deref().and_then(shown_token).or_else(|| token(detail("event").or(body.get("errorEvent")))),
            message: [detail("msg"), first, body.get("errorDescription"), body.get("message")]
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .find_map(shown_sentence),
        }
    }
}

impl std::fmt::Display for Problem {
    /// Nothing, or what was said, led by `: `.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts: Vec<&str> =
            [&self.code, &self.event, &self.message].into_iter().flatten().map(String::as_str).collect();
        if parts.is_empty() { Ok(()) } else { write!(f, ": {}", parts.join(", ")) }
    }
}

fn token(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => shown_token(text),
        Value::Number(number) => shown_token(&number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A code, an event or a place: short, and of no characters that text needs, but for the few codes that are words
/// (mesh-api 9.2).
fn shown_token(text: &str) -> Option<String> {
    let is_code = (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" -_.".contains(&byte))
        && text.bytes().filter(u8::is_ascii_digit).count() < 6;
    is_code.then(|| text.to_owned())
}

/// A sentence of MESH's. With a digit in it, it may name a patient, so it is not shown (I8).
///
/// Assumption: on the calls of a receiver MESH's sentences name no person; none that is published does.
fn shown_sentence(text: &str) -> Option<String> {
    let is_plain = (1..=120).contains(&text.len())
        && text.bytes().all(|byte| (0x20..0x7f).contains(&byte) && !byte.is_ascii_digit());
    is_plain.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(body: &str) -> String {
        Problem::of(body.as_bytes()).to_string()
    }

    #[test]
    fn every_published_shape_is_read() {
        for (body, words) in [
            (
                r#"{"message_id":"X","detail":[{"event":"RECEIVE","code":"20","msg":"Message does not exist"}]}"#,
                ": 20, RECEIVE, Message does not exist",
            ),
            (
                r#"{"detail":[{"event":"","code":"","msg":"Invalid Authentication Token"}]}"#,
                ": Invalid Authentication Token",
            ),
            (
                r#"{"messageID":"X","errorEvent":"SEND","errorCode":"12","errorDescription":"Unregistered to address"}"#,
                ": 12, SEND, Unregistered to address",
            ),
            (
                r#"{"detail":[{"type":"missing","loc":["header","mex-osname"],"msg":"Field required","input":null}]}"#,
                ": missing, header.mex-osname, Field required",
            ),
            (
                r#"{"detail":[{"type":"greater_than_equal","loc":["path",1],"msg":"Wrong"}]}"#,
                ": greater_than_equal, path.1, Wrong",
            ),
            (r#"{"detail":"Not Found"}"#, ": Not Found"),
            (r#"{"internal_id":"X","message":"An internal error occurred"}"#, ": An internal error occurred"),
            (
                r#"{"detail":[{"event":"SEND","code":"EPL-151","msg":"No mailbox matched"}]}"#,
                ": EPL-151, SEND, No mailbox matched",
            ),
            (r#"{"detail":[{"event":"COLLECT","code":2}]}"#, ": 2, COLLECT"),
        ] {
            assert_eq!(said(body), words, "{body}");
        }
    }

    #[test]
    fn what_cannot_be_read_says_nothing() {
        let deep = "[".repeat(50_000);
        for body in
            ["", "<soap:Fault/>", "null", "7", "[]", r#"{"detail":[]}"#, r#"{"detail":[[]]}"#, r#"{"detail":7}"#, &deep]
        {
            assert_eq!(said(body), "", "{}", &body[..body.len().min(40)]);
        }
    }

    #[test]
    fn nothing_that_could_name_a_patient_is_shown() {
        for body in [
            r#"{"detail":[{"msg":"no match for 9990000001 SMITH","input":"GPPROVIDER_9990000001_19670126_SMITH"}]}"#,
            r#"{"detail":[{"code":"GPPROVIDER_9990000001_SMITH","loc":["header","9990000001"]}]}"#,
            r#"{"message":"a\u001b[31mred"}"#,
        ] {
            assert_eq!(said(body), "", "{body}");
        }
    }
}
