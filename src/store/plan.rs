//! What each command does: which records it makes, and what may be answered once they are durable.

use std::collections::BTreeSet;
use std::time::Duration;

use super::acceptance::{Decision, aside};
use super::command::{Command, Planned, SendCommand, Standing};
use super::committer::{Committer, Moment, Stop};
use super::index::keys::{self, kind};
use super::index::{IndexError, Order};
use super::journal::event::{Acceptance, Event, Release};
use super::retention::removed;
use super::spool::Member;
use super::state::{Place, RefusedRow, Row};
use crate::domain::course::{Arrival, Handling};
use crate::domain::digest::{ContentDigest, Hasher};
use crate::domain::envelope::Envelope;
use crate::domain::ids::{DeliveryId, MailboxId, MessageId};
use crate::domain::patients::Patients;
use crate::domain::settlement::Settlement;
use crate::ports::spool::{Spool as _, SpoolError};
use crate::ports::store::{Delivery, Incoming, IncomingBody, Known, LeaseWish, Location, Note, Refusal};

/// No lease, page or answer holds more rows: one batch of the index must stay below 256 KB.
pub(super) const MOST_ROWS: usize = 256;
/// No command forgets more refusals, for the same reason.
const MOST_FORGOTTEN: usize = 64;
/// A run of this age is calm: a death while one suspect is tried in it is hardly a coincidence.
const CALM: Duration = Duration::from_secs(10);

/// Where the spool put a small message of this commit.
pub(super) enum Placed {
    /// The command carries none.
    Nothing,
    /// As the commit began we had it, with this delivery; commands of one commit are as if at the same time.
    Known(DeliveryId),
    /// There.
    At(Location),
    /// There is no room; nothing was written.
    NoRoom(String),
}

impl Committer {
    /// Seals and writes the small messages among `commands` that are not known already. Not durable on return.
    pub(super) fn place_small(&mut self, commands: &[Command]) -> Result<Vec<Placed>, Stop> {
        let mut placed: Vec<Placed> = commands.iter().map(|_| Placed::Nothing).collect();
        let mut members = Vec::new();
        let mut places = Vec::new();
        for (place, command) in commands.iter().enumerate() {
            let member = if let Command::Reseal(reseal) = command {
                if self.may_reseal(reseal)? { small(&reseal.envelope, &reseal.body) } else { None }
            } else if let Command::BringIn(wish) = command {
                if self.may_bring_in(wish)?.is_ok() { small(&wish.envelope, &wish.body) } else { None }
            } else if let Command::Send(SendCommand::Queue(order)) = command {
                small(&order.envelope, &order.body)
            } else if let Command::Accept(incoming) = command {
                self.new_member(incoming, &mut placed[place])?
            } else {
                None
            };
            if let Some(member) = member {
                members.push(member);
                places.push(place);
            }
        }
        if members.is_empty() {
            return Ok(placed);
        }
        match self.appender.append(&members) {
            Ok(locations) => {
                for (place, location) in places.into_iter().zip(locations) {
                    placed[place] = Placed::At(location);
                }
            }
            Err(SpoolError::Failed(halt)) => return Err(halt.into()),
            Err(error @ (SpoolError::NoRoom(_) | SpoolError::Unreadable(_))) => {
                for place in places {
                    placed[place] = Placed::NoRoom(error.to_string());
                }
            }
        }
        Ok(placed)
    }

    /// A small message that came in, unless it is known already.
    fn new_member<'a>(&self, incoming: &'a Incoming, placed: &mut Placed) -> Result<Option<Member<'a>>, Stop> {
        let Some(member) = small(&incoming.envelope, &incoming.body) else { return Ok(None) };
        let (length, digests) = self.measure(&incoming.body);
        let Envelope { mailbox, message_id, .. } = member.envelope;
        Ok(match self.decide(mailbox, message_id, length, &digests)? {
            Decision::Repeated(id) => {
                *placed = Placed::Known(id);
                None
            }
            Decision::New { .. } => Some(member),
        })
    }

    /// Records what `command` does.
    pub(super) fn plan(&mut self, moment: Moment, command: Command, placed: Placed) -> Result<Planned, Stop> {
        match command {
            Command::Accept(incoming) => self.take_in(moment, *incoming, placed),
            Command::Known(mailbox, ids) => {
                let standings = ids.into_iter().map(|id| self.standing(&mailbox, id)).collect::<Result<_, _>>()?;
                Ok(Planned::Known(mailbox, standings))
            }
            Command::Acknowledged(id) => {
                let row = self.state.row(self.index.as_ref(), id)?;
                if row.is_some_and(|row| !row.acknowledged) {
                    self.record(moment, &Event::Acknowledged { id })?;
                }
                Ok(Planned::Done)
            }
            Command::Refuse(refusal) => self.refuse(moment, refusal),
            Command::ForgetRefused(mailbox, listed) => self.forget_refused(moment, &mailbox, &listed),
            Command::Lease(wish) => self.hand_out(moment, &wish),
            Command::Staged(id, outputs) => match self.working(id)? {
                Some(_) => self.done(moment, &Event::Staged { id, outputs }),
                None => Ok(not_leased(id)),
            },
            Command::Settle(lease, settlement) => {
                let (id, handling, patients) = lease.redeem();
                match self.working(id)? {
                    Some(row) => {
                        if let Some(patients) = patients.filter(|patients| !patients.is_none()) {
                            self.concerned(moment, &row, &patients)?;
                        }
                        let event = self.settled(moment, id, *settlement, handling);
                        self.done(moment, &event)
                    }
                    None => Ok(not_leased(id)),
                }
            }
            Command::Note(note) => self.done(moment, &noted(note)),
            Command::SetAside(page) => Ok(Planned::SetAside(self.state.set_aside(self.index.as_ref(), &page)?)),
            Command::Groups(after) => Ok(Planned::Groups(self.state.alike(self.index.as_ref(), after)?)),
            Command::Queue(page) => Ok(Planned::Queue(self.queue(&page)?)),
            Command::Payloads(after, count) => Ok(Planned::Payloads(self.payloads(after, count)?)),
            Command::Reseal(reseal) => Ok(Planned::Resealed(self.reseal(moment, *reseal, placed)?)),
            Command::Act(order) => Ok(Planned::Acted(self.obey(moment, order)?)),
            Command::BringIn(wish) => Ok(Planned::BroughtIn(self.bring_in(moment, *wish, placed)?)),
            Command::Send(command) => self.send(moment, command, placed),
            Command::Job(command) => Ok(Planned::Job(self.job(moment, command)?)),
            Command::Tally(page) => Ok(Planned::Tally(self.tally(&page)?)),
            Command::LookUp(wanted) => Ok(Planned::LookedUp(self.look_up(&wanted)?)),
            Command::Expunge(id, by, why) => Ok(Planned::Expunged(self.expunge(moment, id, by, why)?)),
            Command::LegalHold(order) => Ok(Planned::LegalHold(self.obey_hold(moment, order)?)),
            Command::Pin(by) => {
                self.record(moment, &Event::BackupBegun { by })?;
                Ok(Planned::Pinned)
            }
            Command::Barrier => Ok(Planned::Done),
        }
    }

    pub(super) fn done(&mut self, moment: Moment, event: &Event) -> Result<Planned, Stop> {
        self.record(moment, event)?;
        Ok(Planned::Done)
    }

    fn take_in(&mut self, moment: Moment, incoming: Incoming, placed: Placed) -> Result<Planned, Stop> {
        let Incoming { envelope, body, verdict, arrival } = incoming;
        let (mailbox, message) = (envelope.mailbox.clone(), envelope.message_id.clone());
        let (length, mut digests) = self.measure(&body);
        let decision = match placed {
            Placed::Known(id) => Decision::Repeated(id),
            Placed::Nothing | Placed::At(_) | Placed::NoRoom(_) => self.decide(&mailbox, &message, length, &digests)?,
        };
        let (continues, reused) = match decision {
            Decision::New { continues, reused } => (continues, reused),
            Decision::Repeated(id) => {
                if let IncomingBody::Large(_) = body {
                    // What cannot go now is taken up by the next fetch, or goes as abandoned.
                    removed(self.spool.forget(&mailbox, &message))?;
                }
                let event = Event::Repeated { id, mailbox: mailbox.clone(), message: message.clone() };
                self.record(moment, &event)?;
                return Ok(Planned::Accepted { repeated: true, mailbox, message, delivery: id });
            }
        };
        let location = match (body, placed) {
            (IncomingBody::Large(sealed), _) => {
                let life = continues.map_or(0, |id| id.0);
                match self.appender.adopt(&mailbox, &message, life) {
                    Ok(()) => Location::Parts { parts: sealed.parts, life },
                    Err(SpoolError::Failed(halt)) => return Err(halt.into()),
                    Err(error @ (SpoolError::NoRoom(_) | SpoolError::Unreadable(_))) => {
                        return Ok(Planned::NotKept(error.to_string()));
                    }
                }
            }
            (IncomingBody::Small(_), Placed::At(location)) => location,
            (IncomingBody::Small(_), Placed::NoRoom(why)) => return Ok(Planned::NotKept(why)),
            (IncomingBody::Small(_), Placed::Nothing | Placed::Known(_)) => {
                return Ok(Planned::Declined("the message was not sealed".into()));
            }
        };
        let lost = self.lost(&envelope)?;
        let accepted = Acceptance {
            continues,
            meant_for: lost.as_ref().and_then(|(_, to)| to.clone()),
            aside: aside(verdict.as_ref(), reused, moment.now.plus(self.settings.retention.dead)),
            arrival,
            ..self.acceptance(moment, &envelope, (length, digests.swap_remove(0)), location)
        };
        let sequence = self.record(moment, &Event::Accepted(Box::new(accepted)))?;
        if let Some((lost, _)) = lost {
            self.report_undelivered(moment, &envelope, lost)?;
        }
        if reused {
            tracing::error!(%mailbox, message_id = %message, code = "MSG-ID-REUSED", "message id came again with other content");
        }
        Ok(Planned::Accepted { repeated: false, mailbox, message, delivery: DeliveryId(sequence) })
    }

    /// A message as it is kept, with nothing else known of it.
    pub(super) fn acceptance(
        &self,
        moment: Moment,
        envelope: &Envelope,
        (length, digest): (u64, ContentDigest),
        location: Location,
    ) -> Acceptance {
        Acceptance {
            mailbox: envelope.mailbox.clone(),
            message: envelope.message_id.clone(),
            workflow: envelope.workflow.clone(),
            from: envelope.from.clone(),
            kind: envelope.kind,
            length,
            digest,
            local_id: envelope.local_id.as_ref().map(|id| self.key.identify(id.reveal())),
            location,
            due: moment.now,
            continues: None,
            aside: None,
            meant_for: None,
            arrival: Arrival::default(),
        }
    }

    /// Length, and digests under each key, the present one first.
    pub(super) fn measure(&self, body: &IncomingBody) -> (u64, Vec<ContentDigest>) {
        match body {
            IncomingBody::Small(bytes) => {
                let mut hasher = Hasher::new();
                hasher.update(bytes);
                (bytes.len() as u64, self.key.sign_each(hasher))
            }
            IncomingBody::Large(sealed) => {
                (sealed.length, std::iter::once(&sealed.digest).chain(&sealed.former).cloned().collect())
            }
        }
    }

    fn standing(&self, mailbox: &MailboxId, message: MessageId) -> Result<(MessageId, Standing), Stop> {
        let seen = self.seen.find(mailbox, &message)?;
        if let Some(refusal) = self.state.refusal(self.index.as_ref(), mailbox, &message)? {
            let RefusedRow { until, times, first, lost, .. } = refusal;
            let known = Known::Refused { until, times, first, presented: seen.is_some(), lost };
            return Ok((message, Standing::Other(known)));
        }
        let Some(entry) = seen else {
            return Ok((message, Standing::Other(Known::New)));
        };
        let row = self.state.row(self.index.as_ref(), entry.delivery)?;
        Ok(match row {
            // To acknowledge what was lost would lose it at MESH too.
            Some(row) if !row.acknowledged && !row.is_lost() => (message, Standing::Kept(entry.delivery)),
            Some(_) | None => (message, Standing::Other(Known::Presented)),
        })
    }

    fn refuse(&mut self, moment: Moment, refusal: Refusal) -> Result<Planned, Stop> {
        let Refusal { mailbox, message_id: message, reason, until, lost } = refusal;
        let forget = moment.now.plus(self.settings.retention.seen);
        self.done(moment, &Event::Refused { mailbox, message, reason, until, lost, forget })
    }

    /// Forgets at most [`MOST_FORGOTTEN`] refusals; the next look at the inbox brings the rest.
    fn forget_refused(
        &mut self,
        moment: Moment,
        mailbox: &MailboxId,
        listed: &BTreeSet<MessageId>,
    ) -> Result<Planned, Stop> {
        let prefix = keys::mailbox(kind::REFUSED, mailbox);
        let most = listed.len() + MOST_FORGOTTEN;
        let rows = self.state.scan(self.index.as_ref(), &prefix, &keys::after(&prefix), Order::Ascending, most)?;
        let refused = rows.iter().map(|(key, _)| keys::refused_message(key, &prefix)).collect::<Result<Vec<_>, _>>()?;
        for message in refused.into_iter().filter(|message| !listed.contains(message)).take(MOST_FORGOTTEN) {
            self.record(moment, &Event::Forgotten { mailbox: mailbox.clone(), message })?;
        }
        Ok(Planned::Done)
    }

    fn hand_out(&mut self, moment: Moment, wish: &LeaseWish) -> Result<Planned, Stop> {
        let ids = if wish.suspects { self.due_suspect(wish)? } else { self.due(moment, wish)? };
        if ids.is_empty() {
            return Ok(Planned::Leases(Vec::new()));
        }
        self.record(moment, &Event::Working { ids: ids.clone(), alone: wish.suspects })?;
        let delivery = |id| {
            let row = self.working(id)?.ok_or_else(|| Stop::Index(missing(id)))?;
            Ok::<_, Stop>((row.delivery, moment.now.since(row.since)))
        };
        Ok(Planned::Leases(ids.into_iter().map(delivery).collect::<Result<_, _>>()?))
    }

    /// The next suspect of a mailbox that may be tried, if nothing else is in work (I10).
    fn due_suspect(&self, wish: &LeaseWish) -> Result<Vec<DeliveryId>, Stop> {
        if self.state.meta.working > 0 || wish.count == 0 {
            return Ok(Vec::new());
        }
        Ok(self.suspect_to_try(keys::mailbox(kind::SUSPECT, &wish.mailbox))?.into_iter().collect())
    }

    /// The first suspect under a prefix that does not rest.
    ///
    /// Where order is kept, one rests while anything accepted before it waits; and with its mailbox.
    /// One that has a death of its own rests until this run is calm. Whoever kills the daemon again and again kills it
    /// soon after each start, which is when suspects are tried: two such coincidences would make a healthy message
    /// poison. A message that really kills does so at the calm trial as well.
    fn suspect_to_try(&self, prefix: Vec<u8>) -> Result<Option<DeliveryId>, Stop> {
        let (end, is_calm) = (keys::after(&prefix), self.time.age() >= CALM);
        let mut from = prefix;
        while let [(key, _)] = &self.state.scan(self.index.as_ref(), &from, &end, Order::Ascending, 1)?[..] {
            let Some(id) = keys::number_of(key).map(DeliveryId) else { break };
            let Delivery { solo_deaths, mailbox, .. } = self.row(id)?.delivery;
            from = if self.state.is_suspended(&mailbox) || !self.is_next(&mailbox, id)? {
                // None of its mailbox's is to be tried: however many they are, others do not wait for them.
                keys::after(&keys::mailbox(kind::SUSPECT, &mailbox))
            } else if !is_calm && solo_deaths > 0 {
                keys::after(key)
            } else {
                return Ok(Some(id));
            };
        }
        Ok(None)
    }

    /// Whether a suspect is in work: alone, then.
    fn is_one_in_work(&self) -> Result<bool, Stop> {
        let first =
            self.state.scan(self.index.as_ref(), &[kind::WORKING], &[kind::WORKING + 1], Order::Ascending, 1)?;
        let Some(id) = first.first().and_then(|(key, _)| keys::number_of(key)).map(DeliveryId) else {
            return Ok(false);
        };
        Ok(matches!(self.row(id)?.place, Place::Working { alone: true }))
    }

    /// What is due in a mailbox, unless it rests or there are suspects to try: they run with nothing else in work.
    fn due(&self, moment: Moment, wish: &LeaseWish) -> Result<Vec<DeliveryId>, Stop> {
        if self.state.is_suspended(&wish.mailbox) {
            return Ok(Vec::new());
        }
        let may_be_tried =
            || Ok::<_, Stop>(self.is_one_in_work()? || self.suspect_to_try(vec![kind::SUSPECT])?.is_some());
        if self.state.meta.suspects > 0 && may_be_tried()? {
            return Ok(Vec::new());
        }
        if self.state.is_strict(&wish.mailbox) {
            return self.due_in_order(moment, wish);
        }
        let from = keys::mailbox(kind::QUEUE, &wish.mailbox);
        let to = keys::queued_until(kind::QUEUE, &wish.mailbox, moment.now.plus(Duration::from_millis(1)));
        let count = wish.count.min(MOST_ROWS);
        let (mut ids, mut bytes) = (Vec::new(), 0u64);
        for (key, _) in self.state.scan(self.index.as_ref(), &from, &to, Order::Ascending, count)? {
            let Some(id) = keys::number_of(&key).map(DeliveryId) else { continue };
            bytes = bytes.saturating_add(self.row(id)?.delivery.length);
            if !ids.is_empty() && bytes > wish.bytes {
                break;
            }
            ids.push(id);
        }
        Ok(ids)
    }

    /// The first of a mailbox's deliveries that wait, and nothing after it, however long it has to wait.
    fn due_in_order(&self, moment: Moment, wish: &LeaseWish) -> Result<Vec<DeliveryId>, Stop> {
        let first = self.state.first_waiting(self.index.as_ref(), &wish.mailbox)?;
        let due = first.filter(|row| row.due().is_some_and(|due| due <= moment.now));
        Ok(due.map(|row| row.delivery.id).into_iter().take(wish.count).collect())
    }

    /// Whether a delivery that waits need not wait for one accepted before it.
    fn is_next(&self, mailbox: &MailboxId, id: DeliveryId) -> Result<bool, Stop> {
        if !self.state.is_strict(mailbox) {
            return Ok(true);
        }
        let first = self.state.first_waiting(self.index.as_ref(), mailbox)?;
        Ok(first.is_none_or(|first| first.delivery.id == id))
    }

    /// Notes whom a delivery concerns, and what was sent on for it: each is told once.
    fn concerned(&mut self, moment: Moment, row: &Row, found: &Patients) -> Result<(), Stop> {
        // A legal hold of before names people by digests of then.
        let each: Vec<_> = found.numbers.iter().flat_map(|number| self.key.each_patient(number)).collect();
        let patients: Vec<_> = found.numbers.iter().map(|number| self.key.patient(number)).collect();
        for id in std::iter::once(row.delivery.id).chain(row.delivery.sent_on()) {
            // What was sent on may have ended its time before the last output took the message.
            if self.state.row(self.index.as_ref(), id)?.is_none_or(|row| row.is_told) {
                continue;
            }
            self.hold_what_concerns(moment, id, &each, found.more)?;
            self.record(moment, &Event::Concerns { id, patients: patients.clone(), more: found.more })?;
        }
        Ok(())
    }

    fn settled(
        &self,
        moment: Moment,
        id: DeliveryId,
        settlement: Settlement,
        handling: Option<Box<Handling>>,
    ) -> Event {
        let retention = &self.settings.retention;
        let (delivered, dead) = (moment.now.plus(retention.delivered), moment.now.plus(retention.dead));
        match settlement {
            Settlement::Delivered(outputs) => Event::Delivered { id, outputs, keep: delivered, handling },
            Settlement::Discarded(reason) => Event::Discarded { id, reason, keep: delivered, handling },
            Settlement::Retry { after, reason } => Event::Retry { id, due: moment.now.plus(after), reason, handling },
            Settlement::Defer { after, reason, outputs } => {
                Event::Deferred { id, due: moment.now.plus(after), reason, outputs, handling }
            }
            Settlement::Release => Event::Released { id, due: moment.now, why: Release::Returned },
            Settlement::Held { reason, outputs } => Event::Held { id, reason, outputs, handling },
            Settlement::Dead { cause, reason } => Event::Dead { id, cause, reason, keep: dead, handling },
        }
    }

    fn row(&self, id: DeliveryId) -> Result<Row, Stop> {
        Ok(self.state.row(self.index.as_ref(), id)?.ok_or_else(|| missing(id))?)
    }

    pub(super) fn working(&self, id: DeliveryId) -> Result<Option<Row>, Stop> {
        let row = self.state.row(self.index.as_ref(), id)?;
        Ok(row.filter(|row| matches!(row.place, Place::Working { .. })))
    }
}

/// What is sealed together with others.
fn small<'a>(envelope: &'a Envelope, body: &'a IncomingBody) -> Option<Member<'a>> {
    match body {
        IncomingBody::Small(bytes) => Some(Member { envelope, bytes }),
        IncomingBody::Large(_) => None,
    }
}

pub(super) fn missing(id: DeliveryId) -> IndexError {
    IndexError(format!("delivery {id} is missing"))
}

fn not_leased(id: DeliveryId) -> Planned {
    Planned::Declined(format!("delivery {id} is not leased"))
}

fn noted(note: Note) -> Event {
    match note {
        Note::Started { version } => Event::Started { version },
        Note::Stopping => Event::Stopping,
        Note::Stopped => Event::Stopped,
        Note::HandshakeTried { mailbox } => Event::HandshakeTried { mailbox },
        Note::Handshake { mailbox } => Event::Handshake { mailbox },
        Note::Listed { mailbox } => Event::Listed { mailbox },
        Note::ClockStep { milliseconds } => Event::ClockStep { milliseconds },
        Note::Configured { sha256 } => Event::Configured { sha256 },
        Note::Suspended { pipeline, code } => Event::Suspended { pipeline, code },
        Note::Resumed { pipeline, by, why } => Event::Resumed { pipeline, by, why },
        Note::BackupEnded { sequence, by } => Event::BackupEnded { sequence, by },
        Note::AuditRead { by, what, records } => Event::AuditRead { by, what, records },
        Note::Revealed { id, payload, by, why } => Event::Revealed { id, payload, by, why },
        Note::SubjectSought { patients, purpose, by, why } => Event::SubjectSought { patients, purpose, by, why },
        Note::MailboxSuspended { mailbox, by, why } => Event::MailboxSuspended { mailbox, by, why },
        Note::MailboxResumed { mailbox, by, why } => Event::MailboxResumed { mailbox, by, why },
        Note::RewrapBegun { by } => Event::RewrapBegun { by },
        Note::KeyMade { recipient, by } => Event::KeyMade { recipient, by },
        Note::Alarmed { id, pipeline, code } => Event::Alarmed { id, pipeline, code },
        Note::Monitor { of, turn } => Event::Monitor { of, turn },
    }
}
