//! Applying one journal record.

use super::row::{Ending, Expiring, PartsRow, Place, RefusedRow, Row};
use super::sends::put_away;
use super::{Index, IndexError, State, keys, kind};
use crate::domain::ids::{DeliveryId, JobId, MailboxId, MessageId};
use crate::domain::legal_hold::LegalHoldId;
use crate::domain::output::{OutputState, Progress, Publication};
use crate::domain::sending::{Outgoing, Sending};
use crate::domain::settlement::Reason;
use crate::domain::time::Timestamp;
use crate::ports::store::{Delivery, Location, MailboxOccupancy, MailboxSuspension, SetAsideKind};
use crate::store::journal::Stamp;
use crate::store::journal::event::{Acceptance, BroughtIn, Event, GroupPlace, Replaced, Replay};

impl State {
    /// Applies record `sequence`, written `at`. An error says that the index does not fit the journal.
    pub(crate) fn apply(
        &mut self,
        index: &dyn Index,
        sequence: u64,
        at: Stamp,
        event: &Event,
    ) -> Result<(), IndexError> {
        let wall = at.wall;
        if let Some((id, handling)) = event.handling() {
            self.sighted(index, id, at, handling)?;
        }
        match event {
            Event::Run { run, boot, key, time, .. } => {
                self.meta.run = *run;
                self.meta.began = (*time, at.monotonic_ms);
                self.meta.boot.clone_from(boot);
                self.keyed(key, *time);
                self.meta.stopped = false;
                self.meta.stopping = false;
            }
            Event::Restored { backup, later: false } => self.meta.restored = *backup,
            Event::Stopping => self.meta.stopping = true,
            Event::Stopped => self.meta.stopped = true,
            Event::Accepted(accepted) => self.accepted(index, DeliveryId(sequence), wall, accepted)?,
            Event::Acknowledged { id } => {
                let row = self.expect(index, *id)?;
                self.counters(&row.delivery.mailbox).acknowledged_total += 1;
                self.acknowledged(index, row)?;
            }
            Event::Repeated { id, mailbox, message } => {
                self.drop_refusal(index, mailbox, message)?;
                if let Some(mut row) = self.row(index, *id)? {
                    row.acknowledged = false;
                    self.put(keys::delivery(kind::DELIVERY, *id), &row)?;
                }
            }
            Event::Refused { mailbox, message, until, lost, forget, .. } => {
                let before = self.drop_refusal(index, mailbox, message)?;
                let (times, first) = before.map_or((1, wall), |before| (before.times + 1, before.first));
                let row = RefusedRow { until: *until, times, first, forget: *forget, lost: *lost, sequence };
                self.put(keys::refused(mailbox, message), &row)?;
                self.put(keys::purge(*forget, sequence), &Expiring::Refusal(mailbox.clone(), message.clone()))?;
                self.counters(mailbox).refused += 1;
            }
            Event::Forgotten { mailbox, message } => {
                self.drop_refusal(index, mailbox, message)?;
            }
            Event::Working { ids, alone } => {
                self.meta.stopped = false;
                for id in ids {
                    self.change(index, *id, |delivery| {
                        delivery.starts += 1;
                        Place::Working { alone: *alone }
                    })?;
                }
            }
            Event::Suspect { id, died_alone } => {
                self.change(index, *id, |delivery| {
                    delivery.solo_deaths += u32::from(*died_alone);
                    Place::Suspect
                })?;
            }
            Event::Staged { id, outputs } => {
                let mut row = self.expect(index, *id)?;
                let was_staged = row.is_staged();
                row.delivery.outputs.clone_from(outputs);
                self.note_staged(*id, was_staged, row.is_staged());
                self.put(keys::delivery(kind::DELIVERY, *id), &row)?;
            }
            Event::Delivered { id, outputs, keep, .. } => {
                let mut goes_out = false;
                let counters = self.change(index, *id, |delivery| {
                    ended_round(delivery, outputs);
                    goes_out = delivery.outgoing.is_some();
                    Place::Ended { how: Ending::Delivered, keep: *keep }
                })?;
                counters.sent_total += u64::from(goes_out);
                counters.delivered_total += u64::from(!goes_out);
            }
            Event::Discarded { id, keep, .. } => {
                let counters = self.change(index, *id, |delivery| {
                    ended_round(delivery, &[]);
                    Place::Ended { how: Ending::Discarded, keep: *keep }
                })?;
                counters.discarded_total += 1;
            }
            Event::Retry { id, due, reason, .. } => {
                self.change(index, *id, |delivery| {
                    ended_round(delivery, &[]);
                    delivery.attempts += 1;
                    Place::Queued { due: *due }
                })?;
                self.note_reason(index, *id, reason)?;
            }
            Event::Deferred { id, due, reason, outputs, .. } => {
                self.change(index, *id, |delivery| {
                    ended_round(delivery, outputs);
                    Place::Queued { due: *due }
                })?;
                self.note_reason(index, *id, reason)?;
            }
            Event::Released { id, due, .. } => {
                let alone = matches!(self.expect(index, *id)?.place, Place::Working { alone: true });
                let back = if alone { Place::Suspect } else { Place::Queued { due: *due } };
                self.change(index, *id, |_| back)?;
            }
            Event::Held { id, reason, outputs, .. } => {
                self.change(index, *id, |delivery| {
                    ended_round(delivery, outputs);
                    Place::Aside {
                        kind: SetAsideKind::Held,
                        reason: reason.clone(),
                        since: wall,
                        keep: None,
                        record: sequence,
                    }
                })?;
            }
            Event::Dead { id, cause, reason, keep, .. } => {
                self.change(index, *id, |delivery| {
                    ended_round(delivery, &[]);
                    let kind = SetAsideKind::Dead(*cause);
                    Place::Aside { kind, reason: reason.clone(), since: wall, keep: Some(*keep), record: sequence }
                })?;
            }
            Event::Concerns { id, .. } => self.note_told(index, *id, true)?,
            Event::Replayed(replay) => {
                self.replayed(index, DeliveryId(sequence), wall, replay)?;
                self.job_acted(index, replay.job, replay.of)?;
            }
            Event::SendQueued(queued) => self.send_queued(index, DeliveryId(sequence), wall, queued)?,
            Event::Sending { id, progress } => self.sending(index, *id, progress)?,
            Event::PairPutAway { id } => self.pair_put_away(index, *id)?,
            Event::SendResolved { id, message, keep, .. } => {
                self.sending(index, *id, &Sending::Accepted { message: message.clone() })?;
                self.change(index, *id, |_| Place::Ended { how: Ending::Delivered, keep: *keep })?.sent_total += 1;
            }
            Event::BroughtIn(brought) => self.brought_in(index, DeliveryId(sequence), wall, brought)?,
            Event::OperatorReleased { id, due, alone, job, .. } => {
                self.change(index, *id, |delivery| {
                    delivery.outputs.iter_mut().for_each(reopen);
                    delivery.outgoing = delivery.outgoing.take().map(unless_it_is_there);
                    waiting(*due, *alone)
                })?;
                self.note_told(index, *id, false)?;
                self.job_acted(index, *job, *id)?;
            }
            Event::OperatorHeld { id, reason, job, .. } => {
                self.change(index, *id, |_| Place::Aside {
                    kind: SetAsideKind::Held,
                    reason: reason.clone(),
                    since: wall,
                    keep: None,
                    record: sequence,
                })?;
                self.job_acted(index, *job, *id)?;
            }
            Event::OperatorDiscarded { id, keep, job, .. } => {
                self.change(index, *id, |_| Place::Ended { how: Ending::GivenUp, keep: *keep })?;
                self.job_acted(index, *job, *id)?;
            }
            Event::JobBegun(order) => self.job_begun(index, JobId(sequence), wall, order)?,
            Event::JobPassed { job, to, left } => self.job_passed(index, *job, *to, left)?,
            Event::JobEnded { job, how, .. } => self.job_ended(index, *job, wall, *how)?,
            Event::Purged { id, asked, .. } => self.purged(index, *id, asked.is_some())?,
            Event::Moved { ids, from, to } => self.moved(index, ids, *from, *to)?,
            Event::Resealed(moved) => self.resealed(index, DeliveryId(sequence), moved)?,
            Event::VolumeRemoved { volume } => {
                self.remove(keys::numbered(kind::VOLUME, *volume));
                self.volumes.remove(volume);
                self.forget_unwanted(*volume);
            }
            Event::PartsRemoved { id } => self.remove(keys::delivery(kind::REMOVAL, *id)),
            Event::HandshakeTried { mailbox } => self.counters(mailbox).handshake_tried_at = Some(wall),
            Event::Handshake { mailbox } => self.counters(mailbox).handshake_at = Some(wall),
            Event::Listed { mailbox } => self.counters(mailbox).listed_at = Some(wall),
            Event::Monitor { of, turn } => self.turned(wall, of, turn)?,
            Event::MailboxSuspended { mailbox, by, why } => {
                let suspension = MailboxSuspension { since: wall, by: *by, why: why.clone() };
                self.counters(mailbox).suspended = Some(suspension);
            }
            Event::MailboxResumed { mailbox, .. } => self.counters(mailbox).suspended = None,
            Event::LegalHoldAdded { scope, by, why } => {
                self.legal_hold_added(index, LegalHoldId(sequence), wall, scope, (*by, why))?;
            }
            Event::LegalHoldTook { hold, ids } => {
                ids.iter().try_for_each(|id| self.legal_hold_took(index, *hold, *id))?
            }
            Event::LegalHoldComplete { hold } => self.legal_hold_complete(*hold)?,
            Event::LegalHoldRemoved { hold, .. } => self.legal_hold_removed(*hold),
            Event::Spared { ids } => ids.iter().try_for_each(|id| self.spared(index, *id))?,
            Event::Started { .. }
            | Event::Abandoned { .. }
            | Event::TailCut { .. }
            | Event::Rebuilt { .. }
            | Event::SegmentRemoved { .. }
            | Event::ClockStep { .. }
            | Event::Configured { .. }
            | Event::Suspended { .. }
            | Event::Resumed { .. }
            | Event::BackupBegun { .. }
            | Event::BackupEnded { .. }
            | Event::Restored { later: true, .. }
            | Event::AuditRead { .. }
            | Event::Revealed { .. }
            | Event::SubjectSought { .. }
            | Event::Alarmed { .. }
            | Event::KeyMade { .. }
            | Event::RewrapBegun { .. } => {}
        }
        Ok(())
    }

    /// Digests are made with this key from here on.
    fn keyed(&mut self, key: &str, now: Timestamp) {
        let before = std::mem::replace(&mut self.meta.key, key.to_owned());
        self.meta.former_keys.retain(|(former, _)| former != key);
        if !before.is_empty() && before != key {
            self.meta.former_keys.push((before, now));
        }
    }

    /// Whoever has its payload by now is acknowledged with it.
    fn acknowledged(&mut self, index: &dyn Index, mut row: Row) -> Result<(), IndexError> {
        row.acknowledged = true;
        self.put(keys::delivery(kind::DELIVERY, row.delivery.id), &row)?;
        let Place::Ended { how: Ending::Replayed(to), .. } = row.place else { return Ok(()) };
        match self.row(index, to)? {
            Some(next) => self.acknowledged(index, next),
            None => Ok(()),
        }
    }

    fn accepted(
        &mut self,
        index: &dyn Index,
        id: DeliveryId,
        wall: Timestamp,
        accepted: &Acceptance,
    ) -> Result<(), IndexError> {
        self.drop_refusal(index, &accepted.mailbox, &accepted.message)?;
        self.counters(&accepted.mailbox).accepted_total += 1;
        self.kept(index, as_kept(id, wall, accepted))
    }

    /// Another delivery's place is taken, if the message has one; nothing of its history is.
    fn brought_in(
        &mut self,
        index: &dyn Index,
        id: DeliveryId,
        wall: Timestamp,
        brought: &BroughtIn,
    ) -> Result<(), IndexError> {
        let row = as_kept(id, wall, &brought.kept);
        let Some(Replaced { id: replaced, keep, alone }) = brought.replaces else {
            return self.kept(index, Row { acknowledged: true, ..row });
        };
        let Row { acknowledged, counted, kept_by, delivery: before, .. } = self.expect(index, replaced)?;
        self.change(index, replaced, |delivery| {
            put_away(delivery);
            Place::Ended { how: Ending::GivenUp, keep }
        })?;
        let place = waiting(brought.kept.due, alone);
        let delivery = Delivery { outgoing: before.outgoing.map(anew), ..row.delivery };
        self.kept(index, Row { delivery, place, acknowledged, counted, kept_by, ..row })
    }

    pub(super) fn kept(&mut self, index: &dyn Index, row: Row) -> Result<(), IndexError> {
        self.join_group(index, row.delivery.id, &row.delivery.location)?;
        self.note_waiting(&row, false);
        self.note_send(&row)?;
        self.enter(index, row)
    }

    /// The payload goes to a new delivery, which knows nothing of what was done with it before.
    fn replayed(
        &mut self,
        index: &dyn Index,
        id: DeliveryId,
        wall: Timestamp,
        replay: &Replay,
    ) -> Result<(), IndexError> {
        let Row { delivery: before, acknowledged, counted, kept_by, .. } = self.expect(index, replay.of)?;
        self.leave_group(index, replay.of, &before.location)?;
        self.change(index, replay.of, |delivery| {
            put_away(delivery);
            Place::Ended { how: Ending::Replayed(id), keep: replay.keep }
        })?;
        self.join_group(index, id, &before.location)?;
        let delivery = Delivery {
            id,
            accepted_at: wall,
            attempts: 0,
            starts: 0,
            solo_deaths: 0,
            continues: Some(replay.of),
            outputs: Vec::new(),
            outgoing: before.outgoing.map(anew),
            ..before
        };
        let place = waiting(replay.due, replay.alone);
        let row = Row {
            delivery,
            place,
            since: replay.due,
            acknowledged,
            as_served: false,
            counted,
            is_told: false,
            kept_by,
            is_spared: false,
            last: None,
        };
        self.note_waiting(&row, false);
        self.note_send(&row)?;
        self.enter(index, row)
    }

    fn purged(&mut self, index: &dyn Index, id: DeliveryId, is_unwanted: bool) -> Result<(), IndexError> {
        let row = self.expect(index, id)?;
        self.leave(index, &row)?;
        self.note_staged(id, row.is_staged(), false);
        self.remove(keys::delivery(kind::DELIVERY, id));
        self.forget_send(&row);
        let Some(location) = row.payload() else { return Ok(()) };
        self.leave_group(index, id, location)?;
        match *location {
            Location::Parts { life, .. } => {
                let Delivery { mailbox, message_id: message, .. } = row.delivery;
                self.put(keys::delivery(kind::REMOVAL, id), &PartsRow { mailbox, message, life })
            }
            Location::Group { volume, offset, .. } => {
                if is_unwanted {
                    self.unwant(GroupPlace { volume, offset });
                }
                Ok(())
            }
        }
    }

    /// Removes a refusal; how often it had been refused is returned.
    fn drop_refusal(
        &mut self,
        index: &dyn Index,
        mailbox: &MailboxId,
        message: &MessageId,
    ) -> Result<Option<RefusedRow>, IndexError> {
        let Some(row) = self.refusal(index, mailbox, message)? else { return Ok(None) };
        self.remove(keys::refused(mailbox, message));
        self.remove(keys::purge(row.forget, row.sequence));
        let counters = self.counters(mailbox);
        counters.refused = counters.refused.saturating_sub(1);
        Ok(Some(row))
    }

    /// Moves a delivery to another place. Its counters are returned.
    pub(super) fn change(
        &mut self,
        index: &dyn Index,
        id: DeliveryId,
        to: impl FnOnce(&mut Delivery) -> Place,
    ) -> Result<&mut MailboxOccupancy, IndexError> {
        let mut row = self.expect(index, id)?;
        self.leave(index, &row)?;
        let (was_staged, was_waiting) = (row.is_staged(), row.is_waiting());
        let [inferred, republished] = UNSEEN.map(|how| published(&row.delivery, how));
        row.place = to(&mut row.delivery);
        row.is_spared = false;
        self.note_staged(id, was_staged, row.is_staged());
        self.note_waiting(&row, was_waiting);
        let counters = self.counters(&row.delivery.mailbox);
        let [inferred_now, republished_now] = UNSEEN.map(|how| published(&row.delivery, how));
        counters.inferred_total += inferred_now.saturating_sub(inferred);
        counters.republished_total += republished_now.saturating_sub(republished);
        let mailbox = row.delivery.mailbox.clone();
        self.enter(index, row)?;
        Ok(self.counters(&mailbox))
    }

    fn note_reason(&mut self, index: &dyn Index, id: DeliveryId, reason: &Reason) -> Result<(), IndexError> {
        let row = Row { last: Some(reason.clone()), ..self.expect(index, id)? };
        self.put(keys::delivery(kind::DELIVERY, id), &row)
    }

    fn note_told(&mut self, index: &dyn Index, id: DeliveryId, is_told: bool) -> Result<(), IndexError> {
        let row = Row { is_told, ..self.expect(index, id)? };
        self.put(keys::delivery(kind::DELIVERY, id), &row)
    }

    fn note_staged(&mut self, id: DeliveryId, was: bool, is: bool) {
        let key = keys::delivery(kind::STAGED, id);
        match (was, is) {
            (false, true) => self.set(key),
            (true, false) => self.remove(key),
            (true, true) | (false, false) => {}
        }
    }

    fn note_waiting(&mut self, row: &Row, was: bool) {
        let key = keys::of_mailbox(kind::WAITING, &row.delivery.mailbox, row.delivery.id);
        match (was, row.is_waiting()) {
            (false, true) => self.set(key),
            (true, false) => self.remove(key),
            (true, true) | (false, false) => {}
        }
    }

    fn leave(&mut self, index: &dyn Index, row: &Row) -> Result<(), IndexError> {
        self.leave_alike(index, row)?;
        if let Some(place) = row.place_key() {
            self.remove(place);
        }
        match (&row.place, row.delivery.outgoing.is_some()) {
            (Place::Working { alone }, false) => {
                self.meta.working = self.meta.working.saturating_sub(1);
                self.meta.suspects = self.meta.suspects.saturating_sub(u64::from(*alone));
            }
            (Place::Suspect, _) => self.meta.suspects = self.meta.suspects.saturating_sub(1),
            (Place::Aside { .. }, _) => self.remove(keys::delivery(kind::ASIDE, row.delivery.id)),
            (Place::Working { .. } | Place::Queued { .. } | Place::Ended { .. }, _) => {}
        }
        for key in [row.expiry(), row.lying_key()].into_iter().flatten() {
            self.remove(key);
        }
        if row.is_spared {
            let spared = &mut self.counters(&row.delivery.mailbox).spared;
            spared.messages = spared.messages.saturating_sub(1);
            spared.bytes = spared.bytes.saturating_sub(row.bytes());
        }
        let amount = row.amount_of(self.counters(&row.delivery.mailbox));
        amount.messages = amount.messages.saturating_sub(1);
        amount.bytes = amount.bytes.saturating_sub(row.bytes());
        Ok(())
    }

    fn enter(&mut self, index: &dyn Index, row: Row) -> Result<(), IndexError> {
        self.join_alike(index, &row)?;
        if let Some(place) = row.place_key() {
            self.set(place);
        }
        match (&row.place, row.delivery.outgoing.is_some()) {
            // What is being sent harms nobody, and suspects need not wait for it.
            (Place::Working { alone }, false) => {
                self.meta.working += 1;
                self.meta.suspects += u64::from(*alone);
            }
            (Place::Suspect, _) => self.meta.suspects += 1,
            (Place::Aside { .. }, _) => self.note_aside(&row)?,
            (Place::Working { .. } | Place::Queued { .. } | Place::Ended { .. }, _) => {}
        }
        if let Some(lying) = row.lying_key() {
            self.set(lying);
        }
        // Nothing enters a place spared: its time there is only beginning.
        if let Some(expiry) = row.expiry() {
            self.put(expiry, &Expiring::Delivery(row.delivery.id))?;
        }
        let amount = row.amount_of(self.counters(&row.delivery.mailbox));
        amount.messages += 1;
        amount.bytes += row.bytes();
        self.put(keys::delivery(kind::DELIVERY, row.delivery.id), &row)
    }

    pub(super) fn expect(&self, index: &dyn Index, id: DeliveryId) -> Result<Row, IndexError> {
        self.row(index, id)?.ok_or_else(|| IndexError(format!("delivery {id} is missing")))
    }
}

/// A delivery at its beginning.
pub(super) fn as_kept(id: DeliveryId, wall: Timestamp, accepted: &Acceptance) -> Row {
    let delivery = Delivery {
        id,
        mailbox: accepted.mailbox.clone(),
        message_id: accepted.message.clone(),
        workflow: accepted.workflow.clone(),
        from: accepted.from.clone(),
        kind: accepted.kind,
        length: accepted.length,
        digest: accepted.digest.clone(),
        location: accepted.location.clone(),
        accepted_at: wall,
        attempts: 0,
        starts: 0,
        solo_deaths: 0,
        continues: accepted.continues,
        outputs: Vec::new(),
        meant_for: accepted.meant_for.clone(),
        outgoing: None,
    };
    let place = match &accepted.aside {
        None => Place::Queued { due: accepted.due },
        Some(aside) => {
            let (kind, reason) = (aside.kind, aside.reason.clone());
            Place::Aside { kind, reason, since: wall, keep: aside.keep, record: id.0 }
        }
    };
    let as_served = accepted.aside.as_ref().is_some_and(|aside| matches!(aside.kind, SetAsideKind::Dead(_)));
    Row {
        delivery,
        place,
        since: accepted.due,
        acknowledged: false,
        as_served,
        counted: false,
        is_told: false,
        kept_by: Vec::new(),
        is_spared: false,
        last: None,
    }
}

/// Of what is sent once more MESH has nothing yet. The pair that still lies in `OUT` is from now on its own.
fn anew(outgoing: Outgoing) -> Outgoing {
    let pair = outgoing.pair.filter(|pair| !pair.is_put_away);
    Outgoing { progress: Sending::Ready, pair, ..outgoing }
}

/// A person says that MESH has nothing of what it may have had; what it began to take goes on.
fn unless_it_is_there(outgoing: Outgoing) -> Outgoing {
    let is_begun = outgoing.progress == Sending::Begun;
    if is_begun { Outgoing { progress: Sending::Ready, ..outgoing } } else { outgoing }
}

/// What was held for the sake of an output is tried again.
fn reopen(output: &mut OutputState) {
    if let Progress::Held(code) = output.progress {
        output.progress = Progress::Reopened(code);
    }
}

/// Back among what waits for work; alone as if the daemon had ended on it.
fn waiting(due: Timestamp, alone: bool) -> Place {
    if alone { Place::Suspect } else { Place::Queued { due } }
}

/// The ways of being published that are counted.
const UNSEEN: [Publication; 2] = [Publication::Inferred, Publication::Again];

/// How many outputs were published that way so far.
fn published(delivery: &Delivery, how: Publication) -> u64 {
    delivery.outputs.iter().filter(|output| output.progress == Progress::Published(how)).count() as u64
}

/// A round of work ended with the daemon alive: the delivery is no suspect. Outputs not named keep their states.
fn ended_round(delivery: &mut Delivery, outputs: &[OutputState]) {
    delivery.solo_deaths = 0;
    if !outputs.is_empty() {
        delivery.outputs = outputs.to_vec();
    }
}
