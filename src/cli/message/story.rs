//! What happened to a message, in plain words: a line for each step.

use serde::Serialize;

use crate::domain::course::Handling;
use crate::domain::ids::{DeliveryId, JobId};
use crate::domain::monitor::Sighting;
use crate::domain::onward::Onward;
use crate::domain::operator::Remark;
use crate::domain::output::{OutputPlan, OutputState, Progress, Publication};
use crate::domain::settlement::{DeathCause, Reason};
use crate::domain::time::Timestamp;
use crate::ports::store::{Location, SetAsideKind};
use crate::store::journal::event::{Acceptance, BroughtIn, ByHand, Event, Release, Replaced, SendQueued};

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Line {
    /// When.
    pub(super) at: Timestamp,
    /// The record that says so.
    pub(super) sequence: u64,
    /// The life of the message that it belongs to, if to one.
    pub(super) delivery: Option<DeliveryId>,
    /// What.
    pub(super) text: String,
}

/// Adds the steps that one record tells. What it tells of an earlier time goes where it belongs, since a message is
/// listed before it is refused; all else is in the order of the records, whatever the clock did.
pub(super) fn add(lines: &mut Vec<Line>, sequence: u64, at: Timestamp, event: &Event) {
    for line in tell(sequence, at, event) {
        let behind = lines.iter().rposition(|other| other.at <= line.at).map_or(0, |place| place + 1);
        let place = if line.at < at { behind } else { lines.len() };
        lines.insert(place, line);
    }
}

/// The steps that one record tells.
fn tell(sequence: u64, at: Timestamp, event: &Event) -> Vec<Line> {
    let line = |at, delivery, text: String| Line { at, sequence, delivery, text };
    let one = |delivery: &DeliveryId, text: String| vec![line(at, Some(*delivery), text)];
    let free = |text: String| vec![line(at, None, text)];
    match event {
        Event::Accepted(accepted) => {
            let arrival = &accepted.arrival;
            let begun = Timestamp(arrival.listed.0.saturating_add_unsigned(arrival.waited));
            let came = Timestamp(begun.0.saturating_add_unsigned(arrival.took));
            let fetched = format!(
                "fetched in {} ms: {}, {} bytes over the wire, try {}",
                arrival.took,
                count(arrival.chunks, "chunk"),
                arrival.wire,
                arrival.tries
            );
            let kept = line(at, Some(DeliveryId(sequence)), kept(accepted));
            vec![line(arrival.listed, None, "listed by MESH".into()), line(came, None, fetched), kept]
        }
        Event::Acknowledged { id } => one(id, "acknowledged: MESH heard that it is kept".into()),
        Event::Repeated { id, .. } => one(id, "came again with the same bytes: nothing new to do".into()),
        Event::Refused { reason, until, lost, .. } => {
            let stays = if *lost { "MESH does not serve it any more" } else { "it stays at MESH" };
            free(format!("refused, {stays}: {}; not fetched before {until}", because(reason)))
        }
        Event::Forgotten { .. } => free("the refusal is forgotten: MESH lists it no more".into()),
        Event::Abandoned { .. } => free("its chunks are removed: MESH keeps it no longer".into()),
        Event::Working { ids, alone } => {
            let how = if *alone { "started, alone" } else { "started" };
            ids.iter().map(|id| line(at, Some(*id), how.into())).collect()
        }
        Event::Suspect { id, died_alone } => {
            let how = if *died_alone { "while it was handled alone" } else { "while it was in work" };
            one(id, format!("the daemon ended {how}: it is tried alone"))
        }
        Event::Staged { id, outputs } => one(id, format!("staged: {}", outcomes(outputs))),
        // What goes out has none.
        Event::Delivered { id, outputs, keep, .. } if outputs.is_empty() => {
            one(id, format!("delivered; payload kept until {keep}"))
        }
        Event::Delivered { id, outputs, keep, handling } => one(
            id,
            format!("delivered: {}; payload kept until {keep}{}", outcomes(outputs), course(handling.as_deref())),
        ),
        Event::Discarded { id, reason, keep, handling } => {
            let how = course(handling.as_deref());
            one(id, format!("discarded by rule: {}; payload kept until {keep}{how}", because(reason)))
        }
        Event::Retry { id, due, reason, handling } => {
            let how = course(handling.as_deref());
            one(id, format!("failed, tried again from {due}: {}{how}", because(reason)))
        }
        Event::Deferred { id, due, reason, outputs, handling } => {
            let how = course(handling.as_deref());
            one(id, format!("waits until {due}: {}{}{how}", because(reason), so_far(outputs)))
        }
        Event::Released { id, why, .. } => one(id, format!("given back{}", released(*why))),
        Event::Held { id, reason, outputs, handling } => {
            let how = course(handling.as_deref());
            one(id, format!("held for a person: {}{}{how}", because(reason), so_far(outputs)))
        }
        Event::Dead { id, cause, reason, keep, handling } => {
            let how = course(handling.as_deref());
            one(id, format!("{}: {}; payload kept until {keep}{how}", dead(*cause), because(reason)))
        }
        Event::Replayed(replay) => {
            let now = DeliveryId(sequence);
            let alone = if replay.alone { ", alone" } else { "" };
            let said = because_of(replay.job, replay.why.as_ref());
            one(&now, format!("{} had {} replayed as {now}{alone}{said}", replay.by, replay.of))
        }
        Event::BroughtIn(brought) => {
            let (now, BroughtIn { kept, replaces, by, why: said, .. }) = (DeliveryId(sequence), &**brought);
            let (length, said) = (kept.length, why(Some(said)));
            one(
                &now,
                match replaces {
                    Some(Replaced { id, alone, .. }) => {
                        let alone = if *alone { ", alone" } else { "" };
                        format!("{by} had {id} replayed as {now} with another payload, {length} bytes{alone}{said}")
                    }
                    None => format!("{by} brought it in as {now}, {length} bytes, held for a person{said}"),
                },
            )
        }
        Event::SendQueued(queued) => {
            let SendQueued { kept, outgoing, by } = &**queued;
            let to = outgoing.to.as_ref().map_or("whom MESH finds".to_owned(), ToString::to_string);
            let how = match (&outgoing.pair, &outgoing.onward) {
                (Some(_), _) => format!("picked up from OUT, to be sent to {to}"),
                (None, Some(Onward { delivery, output })) => format!("{output} of {delivery}, to be sent on to {to}"),
                (None, None) => format!("{by} gave it to be sent to {to}"),
            };
            one(&DeliveryId(sequence), format!("{how}, {} bytes", kept.length))
        }
        Event::Sending { id, progress } => one(id, progress.to_string()),
        Event::PairPutAway { id } => one(id, "its files were taken out of OUT".to_owned()),
        Event::SendResolved { id, message, by, why: said, keep } => {
            one(id, format!("{by} found it at MESH as {message}{}; payload kept until {keep}", why(Some(said))))
        }
        Event::OperatorReleased { id, by, why: said, job, .. } => {
            one(id, format!("{by} put it back to work{}", because_of(*job, said.as_ref())))
        }
        Event::OperatorHeld { id, by, why: said, job, .. } => {
            one(id, format!("{by} held it{}", because_of(*job, Some(said))))
        }
        Event::OperatorDiscarded { id, by, why: said, keep, job } => {
            one(id, format!("{by} discarded it{}; payload kept until {keep}", because_of(*job, Some(said))))
        }
        Event::Revealed { id, payload, by, why: said } => {
            let what = if *payload { "its envelope and payload" } else { "its envelope" };
            one(id, format!("{by} was shown {what}{}", why(Some(said))))
        }
        Event::Purged { id, asked: None, .. } => one(id, "purged: its payload's time is over".into()),
        Event::Purged { id, asked: Some(asked), .. } => {
            let ByHand { by, why: said } = &**asked;
            one(id, format!("{by} had its payload removed before its time{}", why(Some(said))))
        }
        Event::Moved { ids, from, to } => {
            let text = format!("moved in the spool from volume {} to volume {}", from.volume, to.volume);
            ids.iter().map(|id| line(at, Some(*id), text.clone())).collect()
        }
        Event::Resealed(moved) => one(&moved.id, "sealed again, for other recipients".into()),
        Event::PartsRemoved { id } => one(id, "its chunks left the spool".into()),
        Event::Concerns { id, patients, more } => {
            let more = if *more { " or more" } else { "" };
            one(id, format!("it names {}{more} NHS numbers", patients.len()))
        }
        Event::Alarmed { id, pipeline, code } => one(id, format!("pipeline {pipeline} raised an alarm: {code}")),
        Event::LegalHoldTook { hold, ids } => {
            ids.iter().map(|id| line(at, Some(*id), format!("legal hold {hold} keeps it"))).collect()
        }
        Event::Spared { ids } => {
            let text = "its payload's time is over, and a legal hold keeps it";
            ids.iter().map(|id| line(at, Some(*id), text.into())).collect()
        }
        Event::JobBegun(_)
        | Event::JobPassed { .. }
        | Event::JobEnded { .. }
        | Event::Run { .. }
        | Event::Started { .. }
        | Event::Stopping
        | Event::Stopped
        | Event::VolumeRemoved { .. }
        | Event::KeyMade { .. }
        | Event::RewrapBegun { .. }
        | Event::TailCut { .. }
        | Event::Rebuilt { .. }
        | Event::SegmentRemoved { .. }
        | Event::ClockStep { .. }
        | Event::HandshakeTried { .. }
        | Event::Handshake { .. }
        | Event::Listed { .. }
        | Event::Configured { .. }
        | Event::Suspended { .. }
        | Event::Resumed { .. }
        | Event::BackupBegun { .. }
        | Event::BackupEnded { .. }
        | Event::Restored { .. }
        | Event::AuditRead { .. }
        | Event::MailboxSuspended { .. }
        | Event::MailboxResumed { .. }
        | Event::LegalHoldAdded { .. }
        | Event::SubjectSought { .. }
        | Event::LegalHoldComplete { .. }
        | Event::LegalHoldRemoved { .. }
        | Event::Monitor { .. } => Vec::new(),
    }
}

fn kept(accepted: &Acceptance) -> String {
    let place = match &accepted.location {
        Location::Group { volume, offset, member, .. } => {
            format!("sealed in volume {volume} at {offset}, member {member}")
        }
        Location::Parts { parts, .. } => format!("sealed in {}", count(*parts, "part")),
    };
    let mut text = format!(
        "kept: {} for workflow {}, {} bytes, {place}",
        accepted.kind.as_str(),
        accepted.workflow,
        accepted.length
    );
    if let Some(before) = accepted.continues {
        text += &format!("; it came again after {before}");
    }
    if let Some(aside) = &accepted.aside {
        let how = match aside.kind {
            SetAsideKind::Dead(cause) => dead(cause),
            SetAsideKind::Held => "held for a person",
        };
        text += &format!("; {how} at once: {}", because(&aside.reason));
    }
    text
}

/// What a round did before it came to its end.
fn course(handling: Option<&Handling>) -> String {
    let Some(Handling { pipeline, file, stages, staging, publishing, seen }) = handling else { return String::new() };
    let mut text = format!(" (pipeline {pipeline}, file {file}");
    for stage in stages {
        text += &format!("; {} {} ms", stage.0, stage.1);
    }
    text += &staging.map(|time| format!("; staging {time} ms")).unwrap_or_default();
    text += &publishing.map(|time| format!("; publishing {time} ms")).unwrap_or_default();
    for Sighting { monitor, number } in seen {
        text += &format!("; seen by monitor {monitor}");
        text += &number.as_ref().map(|said| format!(", {} of {}", said.number, said.flow)).unwrap_or_default();
    }
    text + ")"
}

fn outcomes(outputs: &[OutputState]) -> String {
    outputs.iter().map(outcome).collect::<Vec<_>>().join("; ")
}

fn so_far(outputs: &[OutputState]) -> String {
    if outputs.is_empty() { String::new() } else { format!("; so far {}", outcomes(outputs)) }
}

fn outcome(output: &OutputState) -> String {
    let name = output.plan.name();
    let place = match &output.plan {
        OutputPlan::Folder(plan) => plan.folder.display().to_string(),
        OutputPlan::Mesh(plan) => plan.to.to_string(),
    };
    match &output.progress {
        Progress::Planned => format!("{name} is planned"),
        Progress::Staged(set) => {
            let files: Vec<_> = set.files.iter().map(|file| file.name.as_str()).collect();
            format!("{name} is staged for {place} as {}", files.join(" and "))
        }
        Progress::Published(Publication::Seen) => format!("{name} is in {place}"),
        Progress::Published(Publication::Inferred) => format!("{name} was taken from {place}, as far as can be known"),
        Progress::Published(Publication::Again) => format!("{name} came out once more in {place}"),
        Progress::Published(Publication::Queued(id)) => format!("{name} is sent on to {place}, as {id}"),
        Progress::Held(code) => format!("{name} is held, {code}"),
        Progress::Reopened(code) => format!("{name} is tried again after {code}"),
    }
}

/// How it is dead.
pub(super) fn dead(cause: DeathCause) -> &'static str {
    match cause {
        DeathCause::Permanent => "dead, it would fail the same way again",
        DeathCause::Exhausted => "dead, every attempt was used",
        DeathCause::Poison => "dead, handling it harms the daemon",
    }
}

/// A reason in words.
pub(super) fn because(reason: &Reason) -> String {
    if reason.detail.is_empty() { reason.code.to_string() } else { format!("{}, {}", reason.code, reason.detail) }
}

/// The same of an act that may be part of a job.
fn because_of(job: Option<JobId>, said: Option<&Remark>) -> String {
    job.map(|job| format!(", with all of {job}")).unwrap_or_default() + &why(said)
}

pub(super) fn why(said: Option<&Remark>) -> String {
    said.map(|said| format!(": {}", said.as_str())).unwrap_or_default()
}

fn released(why: Release) -> &'static str {
    match why {
        Release::Returned => ": nothing was done",
        Release::Dropped => ": its lease was dropped",
        Release::Stopped => ": the daemon stopped in order",
    }
}

fn count(number: u32, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
