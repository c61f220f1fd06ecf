//! What is told of a pair (mesh-client-files 8): pure.

use crate::domain::control::{StatusEvent, Told};
use crate::domain::sending::{Sending, code};
use crate::domain::time::Timestamp;
use crate::ports::pairs::Shelf;
use crate::ports::store::{Class, Sent};
use crate::send::rules::Broken;

/// No description is longer: it is one line in a control file.
const LONGEST: usize = 500;

/// What became of something that went out; none if it is still on its way, or a person has to say.
pub(super) fn outcome(sent: &Sent, now: Timestamp) -> Option<(Told, Shelf)> {
    let progress = sent.delivery.outgoing.as_ref().map(|outgoing| &outgoing.progress);
    let message = progress.and_then(Sending::message).cloned();
    match sent.class {
        Class::Delivered => {
            let told = success(StatusEvent::Transfer, "Transferred to recipient mailbox", now);
            Some((Told { message, ..told }, Shelf::Sent))
        }
        Class::Dead => {
            let detail = sent.reason.as_ref().map_or("", |reason| reason.detail.as_str());
            // MESH never has the whole of what it refused: an id would say that it has.
            Some((refused(detail, now), Shelf::Failed))
        }
        Class::Discarded => {
            let told = error(StatusEvent::Transfer, "06", "An operator gave it up", now);
            Some((Told { message, ..told }, Shelf::Failed))
        }
        Class::Waiting | Class::Held | Class::Replayed => None,
    }
}

/// MESH's word, behind the last colon of what we say of it, begins with its code.
fn refused(detail: &str, now: Timestamp) -> Told {
    let said = detail.rsplit_once(": ").map_or("", |(_, said)| said);
    let of_mesh = said.split(',').next().and_then(code);
    match of_mesh {
        Some(of_mesh) => error(StatusEvent::Send, &of_mesh, detail, now),
        None => error(StatusEvent::Transfer, "06", detail, now),
    }
}

/// Faults of a control file, all of them, under the code of the first that has one.
pub(super) fn faults(faults: &[Broken], now: Timestamp) -> Told {
    let all: Vec<String> = faults.iter().map(ToString::to_string).collect();
    match faults.iter().find_map(|fault| fault.code) {
        Some(code) => error(StatusEvent::Send, code, &all.join("; "), now),
        None => unsendable(&all, now),
    }
}

/// What MESH would not take.
pub(super) fn unsendable(faults: &[String], now: Timestamp) -> Told {
    error(StatusEvent::Transfer, "06", &faults.join("; "), now)
}

/// Its organisation has no mailbox for it, or nobody can say which of several (mesh-api 9.2).
pub(super) fn not_one(organisation: &str, count: usize, now: Timestamp) -> Told {
    let code = if count == 0 { "EPL-151" } else { "EPL-150" };
    let description = format!("{organisation} has {count} mailboxes for this workflow, and one was expected");
    error(StatusEvent::Send, code, &description, now)
}

/// It has no readable control file.
pub(super) fn no_control(now: Timestamp) -> Told {
    error(StatusEvent::Collect, "01", "No readable control file", now)
}

/// It has no readable data file.
pub(super) fn no_data(now: Timestamp) -> Told {
    error(StatusEvent::Collect, "02", "No readable data file, or an empty one", now)
}

/// It was taken.
pub(super) fn collected(now: Timestamp) -> Told {
    success(StatusEvent::Collect, "Collected from the OUT folder", now)
}

/// It has to wait.
pub(super) fn delayed(why: &str, now: Timestamp) -> Told {
    Told { code: "05".into(), ..success(StatusEvent::Transfer, &format!("Delayed, will be tried again: {why}"), now) }
}

fn success(event: StatusEvent, description: &str, at: Timestamp) -> Told {
    Told { message: None, at, event, is_success: true, code: "00".into(), description: short(description) }
}

fn error(event: StatusEvent, code: &str, description: &str, at: Timestamp) -> Told {
    Told { message: None, at, event, is_success: false, code: code.into(), description: short(description) }
}

fn short(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_mesh_s_code_where_it_gave_one() {
        for (detail, event, code) in [
            ("send got 417: 12, SEND", StatusEvent::Send, "12"),
            ("send got 417: EPL-151, SEND", StatusEvent::Send, "EPL-151"),
            ("send got 400", StatusEvent::Transfer, "06"),
            ("", StatusEvent::Transfer, "06"),
        ] {
            let told = refused(detail, Timestamp(0));
            assert_eq!((told.event, told.code.as_str(), told.is_success), (event, code, false), "{detail}");
        }
    }

    #[test]
    fn all_faults_are_told_under_the_first_code() {
        let fault = |header, code| Broken { header, problem: "wrong".into(), code };
        let told = faults(&[fault("Subject", None), fault("To_DTS", Some("08"))], Timestamp(0));
        assert_eq!((told.event, told.code.as_str()), (StatusEvent::Send, "08"));
        assert_eq!(told.description, "Subject: wrong; To_DTS: wrong (code 08)");
        let told = faults(&[fault("Subject", None)], Timestamp(0));
        assert_eq!((told.event, told.code.as_str()), (StatusEvent::Transfer, "06"));
        assert_eq!(delayed(&"x".repeat(1_000), Timestamp(0)).description.len(), LONGEST);
    }
}
