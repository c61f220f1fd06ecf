//! `use = "expect"`: a workflow says who may send what, and does not prove the content (itk3 3).
//!
//! Where the payload is not what the stage's `content` describes, `otherwise` says what follows: `"alarm"` (the usual)
//! tells a person and lets the message go on, `"hold"` keeps it until a person has looked. Neither says more of the
//! payload than its format.

use crate::domain::fault::{Fault, FaultCode};
use crate::domain::settlement::Reason;
use crate::pipeline::content::{Wanted, wanted};
use crate::pipeline::message::Message;
use crate::pipeline::reading::{Keys, Notes};

/// What is expected, and what follows if it is not so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::pipeline) struct Expect {
    wanted: Wanted,
    otherwise: Otherwise,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Otherwise {
    Alarm,
    Hold,
}

const WORDS: [&str; 2] = ["alarm", "hold"];

impl Expect {
    /// Raises the alarm, or answers why the message is held.
    pub(in crate::pipeline) fn work(&self, message: &mut Message<'_>) -> Result<Option<Reason>, Fault> {
        let content = message.content()?;
        if self.wanted.fits(content) {
            return Ok(None);
        }
        let came = match content {
            None => "not recognised".to_owned(),
            Some(content) if self.wanted.is_of_format(content) => {
                format!("{} of another type or event", content.format().as_str())
            }
            Some(content) => content.format().as_str().to_owned(),
        };
        let detail = format!("the content is {came}, and its pipeline expects {}", self.wanted);
        let reason = Reason::new(FaultCode::MsgContentMismatch, detail);
        match self.otherwise {
            Otherwise::Alarm => {
                message.raise(reason);
                Ok(None)
            }
            Otherwise::Hold => Ok(Some(reason)),
        }
    }
}

/// Reads `content` and `otherwise`.
pub(super) fn read(mut keys: Keys<'_>, notes: &mut Notes<'_>) -> Option<Expect> {
    let wanted = keys.required("content", "what the payload should be", notes);
    let wanted = wanted.and_then(|node| wanted::read(&node, notes));
    let otherwise = keys.optional("otherwise").map(|node| {
        let text = node.text(notes)?;
        match text {
            "alarm" => Some(Otherwise::Alarm),
            "hold" => Some(Otherwise::Hold),
            _ => {
                notes.unknown(&node.at(), &node.key, "this is not known", text, WORDS);
                None
            }
        }
    });
    keys.end(notes);
    Some(Expect { wanted: wanted?, otherwise: otherwise.unwrap_or(Some(Otherwise::Alarm))? })
}
