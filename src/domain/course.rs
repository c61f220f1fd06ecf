//! What happened to a message on its way, as its journal records tell it: how it came, and what was done with it.
//!
//! Every delivered message carries both, so their words are short and what is usual is left out.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ids::Name;
use super::time::Timestamp;

/// How a message came from MESH.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arrival {
    /// When a list named it for the first time, as far as the process knows that fetched it.
    pub listed: Timestamp,
    /// From then until the fetch began that brought it, milliseconds.
    pub waited: u64,
    /// How long that fetch took, milliseconds.
    pub took: u64,
    /// Bytes that came over the wire in that fetch, as MESH encoded them. Chunks of an earlier fetch are not among them.
    pub wire: u64,
    /// In how many chunks MESH serves it.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub chunks: u32,
    /// Which fetch that was: refusals are remembered across restarts, failures of the world are not.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub tries: u32,
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_one(number: &u32) -> bool {
    *number == 1
}

/// What one round of work did with a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handling {
    /// The pipeline that takes it.
    pub pipeline: Name,
    /// The first twelve hex digits of the SHA-256 of that pipeline's file.
    pub file: String,
    /// The stages that it went through, in their order. None if an earlier round had decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<StageTime>,
    /// How long the staging took that it shared with the others of its batch, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staging: Option<u64>,
    /// The same of the publishing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publishing: Option<u64>,
}

/// A stage's name, and how long it took, milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageTime(pub Cow<'static, str>, pub u64);

/// Whole milliseconds.
pub fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The journal holds these words: they change only with its version.
    #[test]
    fn both_read_back_and_leave_out_what_is_usual() {
        let arrival = Arrival { listed: Timestamp(9), waited: 1, took: 2, wire: 3, chunks: 1, tries: 1 };
        assert_eq!(serde_json::to_string(&arrival).expect("JSON"), r#"{"listed":9,"waited":1,"took":2,"wire":3}"#);
        let late = Arrival { chunks: 4, tries: 2, ..arrival };
        let text = serde_json::to_string(&late).expect("JSON");
        assert_eq!(text, r#"{"listed":9,"waited":1,"took":2,"wire":3,"chunks":4,"tries":2}"#);
        assert_eq!(serde_json::from_str::<Arrival>(&text).expect("it reads"), late);
        let handling = Handling {
            pipeline: Name::new("letters").expect("a name"),
            file: "0123456789ab".into(),
            stages: vec![StageTime("route".into(), 1)],
            staging: Some(2),
            publishing: None,
        };
        let text = serde_json::to_string(&handling).expect("JSON");
        assert_eq!(text, r#"{"pipeline":"letters","file":"0123456789ab","stages":[["route",1]],"staging":2}"#);
        assert_eq!(serde_json::from_str::<Handling>(&text).expect("it reads"), handling);
    }
}
