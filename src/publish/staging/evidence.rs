//! What the files that are there, and those that are not, say about a set that was staged: pure.
//!
//! A consumer takes and deletes a file the moment it appears, so "is it there?" alone is no test (I2).
//! But a rename moves one file: while it is in staging it was never published, unless the output's own disk lost power
//! and undid the rename; and once it is in neither place somebody took it, if the file system keeps renames in order.
//!
//! # One file
//!
//! | In staging | In its place | Finding |
//! |---|---|---|
//! | whole | nothing | to rename |
//! | whole, damaged or gone | the same bytes | in place (a leftover in staging is removed) |
//! | whole, damaged or gone | anything else | taken name: held, `OUT-NAME-TAKEN` |
//! | damaged | nothing | held, `OUT-UNCERTAIN` |
//! | gone | nothing | gone: the consumer has it, if that can be known |
//!
//! "Damaged" is another length or digest than was journalled, or no regular file.
//!
//! # A set of payload and control file
//!
//! | Payload | Control file | What is done | On file systems without ordered renames |
//! |---|---|---|---|
//! | to rename | to rename | both renamed | the same |
//! | to rename | in place | payload renamed: the pair is whole again | the same |
//! | to rename | gone | held, `OUT-UNCERTAIN`: our order never leaves this | the same |
//! | in place | to rename | control file renamed | the same |
//! | in place | in place | nothing | the same |
//! | in place | gone | nothing: the consumer is taking it | held, `OUT-UNCERTAIN` |
//! | gone | to rename | control file renamed: a consumer of payloads took it early | held, `OUT-UNCERTAIN` |
//! | gone | in place | nothing: the consumer is taking it | held, `OUT-UNCERTAIN` |
//! | gone | gone | nothing: the consumer took it | held, `OUT-UNCERTAIN` |
//! | held | any | held, for the first reason found | the same |
//!
//! A set of one file has only the control file's column, as if the payload were in place.
//!
//! "Gone" counts as taken only when we look at a set that an earlier run or round may have renamed ([`Since::Resumed`]).
//! One that was staged in this very round and is gone before its first rename was removed by somebody: held.
//!
//! # How sure we are
//!
//! | What was done | [`Publication`] |
//! |---|---|
//! | renamed something, and the machine went down since it was staged | `Again`: the consumer may have had it before |
//! | else, something was gone | `Inferred` |
//! | else | `Seen` |
//!
//! `Again` is said when a second appearance cannot be ruled out, also after a reboot that lost nothing.
//! Each loss of power can cause one re-publication; the network share or disk that loses power by itself, while our
//! machine stays up, does so without being noticed.

use crate::domain::fault::FaultCode;
use crate::domain::output::Publication;
use crate::domain::settlement::Reason;

/// One file, in both places where it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sight {
    pub(super) staged: Content,
    pub(super) target: Content,
}

/// What lies at a path, compared with what was journalled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Nothing.
    Gone,
    /// A regular file with the same length and digest.
    Equal,
    /// Anything else.
    Other,
}

/// When the set was staged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Since {
    /// In this round: nobody has renamed it yet.
    Fresh,
    /// Before: it may have been renamed.
    Resumed {
        /// The machine has run without a break since.
        same_boot: bool,
    },
}

/// Everything that the decision rests on, apart from the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) since: Since,
    /// See [`crate::ports::disk::Mount`].
    pub(super) ordered_renames: bool,
}

/// What to do with one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// Rename it to its place.
    Rename,
    /// Nothing: it is there, or was taken.
    Leave,
    /// Remove what is left of it in staging: it is in its place.
    Clear,
}

/// What to do with a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Do this for each file, in order; then it is published, and this is how we know.
    Finish(Vec<Act>, Publication),
    /// A person must look.
    Held(Reason),
}

/// Decides by the tables above. `files` are in the order of their renames, each with its final name.
pub(super) fn decide(files: &[(&str, Sight)], setting: Setting) -> Verdict {
    let mut acts = Vec::with_capacity(files.len());
    let mut gone = None;
    for (name, sight) in files {
        match finding(*sight) {
            Finding::Do(act) => acts.push(act),
            Finding::Gone => {
                gone = Some(*name);
                acts.push(Act::Leave);
            }
            Finding::Taken => return Verdict::Held(name_taken(name)),
            Finding::Damaged => {
                return uncertain(format!("{name} is not in staging as it was written there"));
            }
        }
    }
    if let Some(name) = gone {
        if setting.since == Since::Fresh {
            return uncertain(format!("{name} was removed from staging before it was published"));
        }
        if !setting.ordered_renames {
            let why = "on this file system that does not show that the consumer took it";
            return uncertain(format!("{name} is neither in staging nor in its place; {why}"));
        }
        let is_control_gone = files.last().is_some_and(|(last, _)| *last == name);
        if is_control_gone && acts.contains(&Act::Rename) {
            return uncertain(format!("{name} is gone, and its payload was not published before it"));
        }
    }
    let is_renamed = acts.contains(&Act::Rename);
    let publication = match setting.since {
        Since::Resumed { same_boot: false } if is_renamed => Publication::Again,
        Since::Fresh | Since::Resumed { .. } if gone.is_some() => Publication::Inferred,
        Since::Fresh | Since::Resumed { .. } => Publication::Seen,
    };
    Verdict::Finish(acts, publication)
}

/// The words for a name that another file has.
pub(super) fn name_taken(name: &str) -> Reason {
    Reason::new(FaultCode::OutNameTaken, format!("another file has the name {name}"))
}

fn uncertain(detail: String) -> Verdict {
    Verdict::Held(Reason::new(FaultCode::OutUncertain, detail))
}

enum Finding {
    Do(Act),
    Gone,
    Taken,
    Damaged,
}

fn finding(sight: Sight) -> Finding {
    match (sight.staged, sight.target) {
        (_, Content::Other) => Finding::Taken,
        (Content::Gone, Content::Equal) => Finding::Do(Act::Leave),
        (Content::Equal | Content::Other, Content::Equal) => Finding::Do(Act::Clear),
        (Content::Equal, Content::Gone) => Finding::Do(Act::Rename),
        (Content::Other, Content::Gone) => Finding::Damaged,
        (Content::Gone, Content::Gone) => Finding::Gone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TO_RENAME: Sight = Sight { staged: Content::Equal, target: Content::Gone };
    const IN_PLACE: Sight = Sight { staged: Content::Gone, target: Content::Equal };
    const LEFT_OVER: Sight = Sight { staged: Content::Equal, target: Content::Equal };
    const GONE: Sight = Sight { staged: Content::Gone, target: Content::Gone };
    const TAKEN: Sight = Sight { staged: Content::Equal, target: Content::Other };
    const DAMAGED: Sight = Sight { staged: Content::Other, target: Content::Gone };

    const FRESH: Setting = Setting { since: Since::Fresh, ordered_renames: true };
    const RESUMED: Setting = Setting { since: Since::Resumed { same_boot: true }, ordered_renames: true };
    const REBOOTED: Setting = Setting { since: Since::Resumed { same_boot: false }, ordered_renames: true };
    const SHARE: Setting = Setting { since: Since::Resumed { same_boot: true }, ordered_renames: false };

    fn pair(data: Sight, control: Sight, setting: Setting) -> Verdict {
        decide(&[("A.dat", data), ("A.ctl", control)], setting)
    }

    fn code(verdict: Verdict) -> Option<FaultCode> {
        match verdict {
            Verdict::Finish(..) => None,
            Verdict::Held(reason) => Some(reason.code),
        }
    }

    #[test]
    fn every_row_of_the_table_of_pairs_holds_on_ordered_file_systems() {
        use Act::{Leave, Rename};
        use Publication::{Again, Inferred, Seen};
        for (data, control, acts, resumed, rebooted) in [
            (TO_RENAME, TO_RENAME, [Rename, Rename], Seen, Again),
            (TO_RENAME, IN_PLACE, [Rename, Leave], Seen, Again),
            (IN_PLACE, TO_RENAME, [Leave, Rename], Seen, Again),
            (IN_PLACE, IN_PLACE, [Leave, Leave], Seen, Seen),
            (IN_PLACE, GONE, [Leave, Leave], Inferred, Inferred),
            (GONE, TO_RENAME, [Leave, Rename], Inferred, Again),
            (GONE, IN_PLACE, [Leave, Leave], Inferred, Inferred),
            (GONE, GONE, [Leave, Leave], Inferred, Inferred),
        ] {
            assert_eq!(pair(data, control, RESUMED), Verdict::Finish(acts.to_vec(), resumed), "{data:?} {control:?}");
            assert_eq!(pair(data, control, REBOOTED), Verdict::Finish(acts.to_vec(), rebooted), "{data:?} {control:?}");
        }
        assert_eq!(code(pair(TO_RENAME, GONE, RESUMED)), Some(FaultCode::OutUncertain));
    }

    #[test]
    fn elsewhere_whatever_is_gone_is_held() {
        for (data, control) in [(IN_PLACE, GONE), (GONE, TO_RENAME), (GONE, IN_PLACE), (GONE, GONE), (TO_RENAME, GONE)]
        {
            assert_eq!(code(pair(data, control, SHARE)), Some(FaultCode::OutUncertain), "{data:?} {control:?}");
        }
        for (data, control) in
            [(TO_RENAME, TO_RENAME), (TO_RENAME, IN_PLACE), (IN_PLACE, TO_RENAME), (IN_PLACE, IN_PLACE)]
        {
            assert_eq!(code(pair(data, control, SHARE)), None, "{data:?} {control:?}");
        }
    }

    #[test]
    fn what_vanished_before_its_first_rename_was_not_taken_by_the_consumer() {
        for (data, control) in [(GONE, TO_RENAME), (TO_RENAME, GONE), (GONE, GONE)] {
            assert_eq!(code(pair(data, control, FRESH)), Some(FaultCode::OutUncertain), "{data:?} {control:?}");
        }
        assert_eq!(
            pair(TO_RENAME, TO_RENAME, FRESH),
            Verdict::Finish(vec![Act::Rename, Act::Rename], Publication::Seen)
        );
    }

    #[test]
    fn a_taken_name_or_a_damaged_file_is_held_whatever_the_rest_is() {
        for other in [TO_RENAME, IN_PLACE, LEFT_OVER, GONE] {
            for setting in [FRESH, RESUMED, REBOOTED, SHARE] {
                assert_eq!(code(pair(TAKEN, other, setting)), Some(FaultCode::OutNameTaken));
                assert_eq!(code(pair(other, TAKEN, setting)), Some(FaultCode::OutNameTaken));
                assert_eq!(code(pair(DAMAGED, other, setting)), Some(FaultCode::OutUncertain));
                assert_eq!(code(pair(other, DAMAGED, setting)), Some(FaultCode::OutUncertain));
            }
        }
    }

    #[test]
    fn a_leftover_beside_its_published_file_is_cleared() {
        assert_eq!(
            pair(LEFT_OVER, LEFT_OVER, RESUMED),
            Verdict::Finish(vec![Act::Clear, Act::Clear], Publication::Seen)
        );
    }

    #[test]
    fn a_lone_control_file_follows_its_own_column() {
        let lone = |sight, setting| decide(&[("A.ctl", sight)], setting);
        assert_eq!(lone(TO_RENAME, RESUMED), Verdict::Finish(vec![Act::Rename], Publication::Seen));
        assert_eq!(lone(TO_RENAME, REBOOTED), Verdict::Finish(vec![Act::Rename], Publication::Again));
        assert_eq!(lone(IN_PLACE, RESUMED), Verdict::Finish(vec![Act::Leave], Publication::Seen));
        assert_eq!(lone(GONE, RESUMED), Verdict::Finish(vec![Act::Leave], Publication::Inferred));
        assert_eq!(code(lone(GONE, SHARE)), Some(FaultCode::OutUncertain));
    }
}
