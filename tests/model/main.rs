//! The protocol, looked at whole.
//!
//! Tests run the code on some paths. These models have little of the code's detail and all of its paths: whatever may
//! happen next at MESH, in the daemon, on its disks, at the output and at the consumer, in every order, with a crash
//! at every point, within stated small bounds. `stateright` visits every state and checks the promises in each.
//!
//! | Model | What it walks through | Promises |
//! |---|---|---|
//! | [`receive`] | two small messages: fetch, group, journal, index, acknowledge; recovery; failed sync; lost index | I1, I4, I9 |
//! | [`large`] | one message in two chunks: sidecars, rename, record, acknowledge; resuming | I1 |
//! | [`publish`] | one set of two files: staging, intent, renames, settling; an output that goes away; a consumer that takes and deletes | I2, I4 |
//! | [`park`] | one delivery that asks and parks; answers that come late, never, twice or too early | I1, I2, I4, "what is parked resumes" |
//! | [`suspects`] | a message that kills the daemon, beside two healthy ones | I4, I10 |
//!
//! One model of everything would have the product of their states; they are cut where one hands a durable fact to the
//! next: "accepted" from the first two to the others. Each module says its bounds, what its disks do, and what it
//! leaves out.
//!
//! **What a proof here means.** Within the bounds no order of events breaks a promise, and every run comes to rest
//! with everything settled. It says nothing about code that departs from the model: that is for the simulation and
//! crash tests, which walk the same [`Step`]s. Every durable step of a model carries the code's own name for it; a new
//! step must either appear in a model or be listed below with the reason why not.
//!
//! **What shows that the models can see.** Each has deliberate mistakes, and each mistake must break the promise that
//! forbids it: a checker that finds nothing may be blind.

mod check;
mod large;
mod medium;
mod park;
mod publish;
mod receive;
mod suspects;

use std::collections::BTreeSet;

use check::{refute, refute_end, verify};
use large::Large;
use meshd::domain::step::Step;
use park::Park;
use publish::Publish;
use receive::Receive;
use suspects::{Suspects, When};

/// Steps that no model takes, and why.
const OUTSIDE: &[(Step, &str)] = &[
    (Step::StateDirectory, "made before the first message, and again if missing"),
    (Step::MarkerWrite, "an operator's command, before the daemon uses the output"),
    (Step::StatusFile, "no message: what it says is written again each half minute"),
    (Step::Checkpoint, "a summary of records that stay: without it recovery reads more, and learns the same"),
    (Step::SegmentCompress, "the same records in another form"),
    (
        Step::GroupMove,
        "a sealed group, a sync and a record in the order walked for a new one; tests/simulation moves groups",
    ),
    (Step::BackupWrite, "a copy of what is durable, elsewhere"),
    (Step::RestoreWrite, "an operator's command before a first start, or that start's last word: both are done again"),
    (Step::PairWrite, PAIRS),
    (Step::PairReport, PAIRS),
    (Step::PairMove, PAIRS),
    (Step::PairSync, PAIRS),
    (Step::PairRemove, PAIRS),
    (Step::SpoolRemove, "retention: long after the disposition, and the promises end with it"),
];

const PAIRS: &str =
    "the sender's own files: what goes out is kept before, and by its record a look finishes what is half done";

const ACKNOWLEDGED_IS_KEPT: &str = "I1: acknowledged means kept";
const NO_SCAPEGOAT: &str = "I10: no healthy message is quarantined";

#[test]
fn the_promises_hold_in_every_model_and_each_step_is_walked_or_excused() {
    let walked = [
        verify(Receive { defect: None }),
        verify(Large { defect: None }),
        verify(Publish { defect: None }),
        verify(Park { defect: None }),
        verify(Suspects { defect: None, kills: 1, kills_come: When::Ever }),
        verify(Suspects { defect: None, kills: 2, kills_come: When::Early }),
    ];

    let walked: BTreeSet<Step> = walked.into_iter().flatten().collect();
    let excused: BTreeSet<Step> = OUTSIDE.iter().map(|(step, _)| *step).collect();
    let all: BTreeSet<Step> = Step::ALL.iter().copied().collect();
    let both: Vec<_> = walked.intersection(&excused).collect();
    let neither: Vec<_> = all.iter().filter(|step| !walked.contains(step) && !excused.contains(step)).collect();
    assert!(both.is_empty(), "walked by a model and excused: {both:?}");
    assert!(neither.is_empty(), "neither walked by a model nor excused: {neither:?}");
}

#[test]
fn an_acknowledge_too_early_is_caught() {
    use receive::Defect;
    for defect in [Defect::AcknowledgesBeforeAnySync, Defect::AnswersBeforeJournalSync, Defect::AnswersBeforeVolumeSync]
    {
        refute(Receive { defect: Some(defect) }, ACKNOWLEDGED_IS_KEPT);
    }
}

#[test]
fn belief_in_a_failed_sync_is_caught() {
    use receive::Defect;
    for defect in [Defect::RetriesFailedSync, Defect::TrustsPageCache, Defect::TrustsSyncAfterRestart] {
        refute(Receive { defect: Some(defect) }, ACKNOWLEDGED_IS_KEPT);
    }
}

#[test]
fn belief_in_a_store_that_is_not_the_truth_is_caught() {
    use receive::Defect;
    for defect in [Defect::TrustsIndexOverJournal, Defect::KeepsRecordWithoutBytes] {
        refute(Receive { defect: Some(defect) }, ACKNOWLEDGED_IS_KEPT);
    }
}

#[test]
fn a_large_message_in_the_wrong_order_is_caught() {
    use large::Defect;
    for defect in [
        Defect::SidecarBeforeChunkSync,
        Defect::TrustsPageCache,
        Defect::TrustsSyncAfterRestart,
        Defect::AdoptsWithoutSync,
        Defect::RecordsUnsyncedName,
    ] {
        refute(Large { defect: Some(defect) }, ACKNOWLEDGED_IS_KEPT);
    }
}

#[test]
fn a_set_published_twice_broken_or_never_is_caught() {
    use publish::Defect;
    const TWICE: &str = "I2: taken once, and once more at most if the output lost power";
    const BROKEN: &str = "I2: what is taken is whole";
    const NEVER: &str = "I4: settled means published for good";
    for (defect, claim) in [
        (Defect::SettlesOnMissingMount, NEVER),
        (Defect::RenamesBeforeStagedRecord, TWICE),
        (Defect::ControlBeforeData, BROKEN),
        (Defect::LooksInsteadOfReading, TWICE),
        (Defect::RenamesUnsyncedContent, BROKEN),
        (Defect::SettlesBeforeFolderSync, NEVER),
    ] {
        refute(Publish { defect: Some(defect) }, claim);
    }
}

#[test]
fn a_park_that_never_resumes_and_a_second_send_are_caught() {
    use park::Defect;
    const RESUMES: &str = "what is parked resumes";
    for (defect, claim) in [
        (Defect::ForgetsOvertaker, RESUMES),
        (Defect::LooksBeforeCommit, RESUMES),
        (Defect::OffersOnlyOnce, RESUMES),
        (Defect::SettlesAnswerFirst, RESUMES),
        (Defect::SendsBeforeIntent, "I2: sent at most once"),
    ] {
        refute(Park { defect: Some(defect) }, claim);
    }
}

#[test]
fn a_scapegoat_is_caught() {
    use suspects::Defect;
    for defect in [
        Defect::CountsDeathInCompany,
        Defect::CountsAcrossBoots,
        Defect::CountsOneDeathTwice,
        Defect::RunsSuspectsTogether,
    ] {
        refute(Suspects { defect: Some(defect), kills: 1, kills_come: When::Ever }, NO_SCAPEGOAT);
    }
}

#[test]
fn without_a_rest_two_kills_soon_after_starts_make_a_scapegoat() {
    let defect = Some(suspects::Defect::DoesNotRest);
    refute(Suspects { defect, kills: 2, kills_come: When::Early }, NO_SCAPEGOAT);
}

#[test]
fn poison_that_leaves_no_record_of_its_start_kills_the_daemon_for_ever() {
    refute_end(Suspects { defect: Some(suspects::Defect::WorksWithoutStarted), kills: 1, kills_come: When::Ever });
}

/// A known limit, asserted so that it stays known: see [`suspects`].
#[test]
fn two_kills_from_outside_during_solo_runs_look_like_poison() {
    refute(Suspects { defect: None, kills: 2, kills_come: When::Ever }, NO_SCAPEGOAT);
}
