//! The hands that use the store: random commands, and what their answers promise.

use std::time::Duration;

use bytes::Bytes;
use meshd::domain::course::{Arrival, Handling};
use meshd::domain::envelope::{Envelope, MessageKind, Status};
use meshd::domain::fault::FaultCode;
use meshd::domain::ids::{DeliveryId, JobId, MailboxId, MessageId, Name, WorkflowId};
use meshd::domain::legal_hold::HoldScope;
use meshd::domain::monitor::{Numbered, Sighting};
use meshd::domain::nhs_number::NhsNumber;
use meshd::domain::operator::{Operator, Remark};
use meshd::domain::patients::Patients;
use meshd::domain::settlement::{DeathCause, Reason, Settlement};
use meshd::ports::spool::{Sealed, Spool as _, SpoolError};
use meshd::ports::store::{
    Acceptance, Act, Acted, AsideState, BringIn, HoldOrder, Incoming, IncomingBody, JobAct, JobOrder, Known, Lease,
    LeaseWish, Note, Order, QueuePage, Refusal, Replaces, Selection, SetAsidePage,
};
use meshd::store::command::{Answer, Command, JobAnswer, JobCommand};

use crate::sends::Outbound;
use crate::world::{World, mailboxes};

/// A message of more than so many bytes comes in chunks.
const CHUNK: usize = 40;
/// What monitors call the one flow.
pub(crate) const FLOW: &str = "simulated";

/// What a command was meant to do, to judge its answer by.
pub(crate) enum Intent {
    Accept(MailboxId, MessageId),
    Acknowledge(DeliveryId),
    Lease {
        alone: bool,
    },
    Settle(DeliveryId, &'static str),
    Known(MailboxId, Vec<MessageId>),
    Act(DeliveryId),
    /// Of this message, in the place of this delivery or by itself.
    BringIn(MailboxId, MessageId, Option<DeliveryId>),
    LegalHold,
    Expunge(DeliveryId),
    /// Its lease may have ended earlier in the same commit.
    Staged,
    QueueSend(MailboxId, MessageId),
    LeaseSend,
    /// Its first request is made once that is noted.
    Begin(Outbound),
    /// MESH has nothing of it.
    NotThere(Outbound),
    /// MESH has it.
    Noted(Outbound),
    Other,
}

impl World {
    pub(crate) fn command(&mut self) -> (Command, Intent) {
        if let Some(next) = self.next.take() {
            return next;
        }
        let mailbox = self.dice.pick(&mailboxes()).clone();
        match self.dice.below(58) {
            0..6 => self.accept(mailbox),
            6..9 if !self.known.is_empty() => {
                let id = *self.dice.pick(&self.known);
                (Command::Acknowledged(id), Intent::Acknowledge(id))
            }
            9 if self.dice.once_in(3) => {
                let listed = (0..5).map(refused).filter(|_| self.dice.once_in(2)).collect();
                (Command::ForgetRefused(mailbox, listed), Intent::Other)
            }
            9 => (self.refuse(mailbox), Intent::Other),
            10..14 => {
                let (count, suspects) = (1 + self.dice.below(4) as usize, self.dice.once_in(2));
                let wish = LeaseWish { mailbox, count, bytes: self.dice.below(400), suspects };
                (Command::Lease(wish), Intent::Lease { alone: suspects })
            }
            14..=20 if !self.leases.is_empty() => self.end_a_lease(),
            21 => (Command::Note(self.note(mailbox)), Intent::Other),
            24..34 if !self.known.is_empty() => self.act(),
            37 if !self.known.is_empty() => {
                let (id, why) = (*self.dice.pick(&self.known), Remark::new("as simulated").expect("a remark"));
                (Command::Expunge(id, Operator(1000), why), Intent::Expunge(id))
            }
            34..37 if !self.known.is_empty() => (Command::LegalHold(self.legal_hold(mailbox)), Intent::LegalHold),
            38..46 => (Command::Job(self.job(mailbox)), Intent::Other),
            46..58 => self.command_of_sends(mailbox),
            22 | 23 if !self.known.is_empty() && !self.dice.once_in(3) => self.bring_in(mailbox),
            22 => (
                Command::SetAside(SetAsidePage { before: None, only: None, selection: Selection::default(), count: 3 }),
                Intent::Other,
            ),
            23 => (Command::Queue(QueuePage { mailbox: Some(mailbox), after: None, count: 3 }), Intent::Other),
            _ => {
                let of_it = self.offered.iter().filter(|(owner, ..)| *owner == mailbox);
                let ids: Vec<_> = of_it.map(|(_, id, _)| id.clone()).take(5).collect();
                (Command::Known(mailbox.clone(), ids.clone()), Intent::Known(mailbox, ids))
            }
        }
    }

    fn accept(&mut self, mailbox: MailboxId) -> (Command, Intent) {
        let again = !self.offered.is_empty() && self.dice.once_in(3);
        let (mailbox, id, bytes) = if again {
            let (mailbox, id, bytes) = self.dice.pick(&self.offered).clone();
            let other = self.dice.once_in(5) && bytes.len() <= CHUNK;
            let bytes = if other { Bytes::from(format!("other {}", self.dice.below(3))) } else { bytes };
            (mailbox, id, bytes)
        } else {
            let id = MessageId::new(format!("M{}", self.dice.roll())).expect("a message id");
            let bytes = Bytes::from(format!("payload {}", self.dice.roll()));
            let bytes = if self.dice.once_in(8) { Bytes::from(bytes.repeat(3)) } else { bytes };
            (mailbox, id, bytes)
        };
        if bytes.len() > CHUNK && !self.taking_in.insert(id.clone()) {
            return (Command::Barrier, Intent::Other);
        }
        self.offered.push((mailbox.clone(), id.clone(), bytes.clone()));
        let intent = Intent::Accept(mailbox.clone(), id.clone());
        let chunks = bytes.len().div_ceil(CHUNK) as u32;
        let envelope = envelope(mailbox, id, chunks);
        let body = if chunks == 1 {
            self.oracle.offered.insert(self.key.of(&bytes).0, bytes.clone());
            IncomingBody::Small(bytes)
        } else {
            match self.take_in(&envelope, &bytes) {
                Ok(sealed) => {
                    self.oracle.offered.insert(sealed.digest.0.clone(), bytes);
                    IncomingBody::Large(sealed)
                }
                Err(_) => {
                    self.spool_failed = true;
                    return (Command::Barrier, Intent::Other);
                }
            }
        };
        let verdict = self.dice.once_in(10).then(|| Reason::new(FaultCode::MsgBadHeaders, "as served"));
        (Command::Accept(Box::new(Incoming { envelope, body, verdict, arrival: Arrival::default() })), intent)
    }

    fn refuse(&mut self, mailbox: MailboxId) -> Command {
        let message_id = refused(self.dice.below(5));
        let reason = Reason::new(FaultCode::MsgBadEncoding, "three times");
        Command::Refuse(Refusal { mailbox, message_id, reason, until: meshd::domain::time::Timestamp(0), lost: false })
    }

    /// An inbox was listed, or an operator has a mailbox rest, or lets it go on.
    fn note(&mut self, mailbox: MailboxId) -> Note {
        let (by, why) = (Operator(1000), Remark::new("as simulated").expect("a remark"));
        match self.dice.below(4) {
            0 => Note::MailboxSuspended { mailbox, by, why },
            1 | 2 => Note::MailboxResumed { mailbox, by, why: Some(why) },
            _ => Note::Listed { mailbox },
        }
    }

    /// An operator does something, allowed or not.
    fn act(&mut self) -> (Command, Intent) {
        let delivery = *self.dice.pick(&self.known);
        let (force, again) = (self.dice.once_in(2), self.dice.once_in(2));
        let act = match self.dice.below(5) {
            0 | 1 => Act::Replay { force, again },
            2 => Act::Release { force, again: false },
            3 => Act::Hold,
            _ => Act::Discard,
        };
        let why = (!self.dice.once_in(4)).then(|| Remark::new("as simulated").expect("a remark"));
        let order = Order { delivery, act, by: Operator(1000), why };
        (Command::Act(order), Intent::Act(delivery))
    }

    /// An operator brings a payload in: in the place of a delivery's, or of a message that is here or not.
    fn bring_in(&mut self, mailbox: MailboxId) -> (Command, Intent) {
        let delivery = *self.dice.pick(&self.known);
        let (mailbox, message) = match self.messages.get(&delivery) {
            Some(known) if !self.dice.once_in(4) => known.clone(),
            Some(_) | None => (mailbox, MessageId::new(format!("B{}", self.dice.roll())).expect("a message id")),
        };
        let (force, again) = (self.dice.once_in(2), self.dice.once_in(2));
        let replaces = self.dice.once_in(2).then_some(Replaces { delivery, force, again });
        let bytes = Bytes::from(format!("brought in {}", self.dice.roll()));
        self.oracle.offered.insert(self.key.of(&bytes).0, bytes.clone());
        let (by, why) = (Operator(1000), Remark::new("as simulated").expect("a remark"));
        let envelope = envelope(mailbox.clone(), message.clone(), 1);
        let wish = BringIn { replaces, envelope, body: IncomingBody::Small(bytes), by, why };
        (
            Command::BringIn(Box::new(wish)),
            Intent::BringIn(mailbox, message, replaces.map(|replaces| replaces.delivery)),
        )
    }

    /// An operator begins a bulk act or ends one, or one goes on.
    fn job(&mut self, mailbox: MailboxId) -> JobCommand {
        let by = Operator(1000);
        match (self.dice.below(4), self.jobs.is_empty()) {
            (0, _) | (_, true) => {
                let act =
                    *self.dice.pick(&[JobAct::Replay, JobAct::Replay, JobAct::Release, JobAct::Hold, JobAct::Discard]);
                let selection = Selection {
                    mailbox: self.dice.once_in(3).then_some(mailbox),
                    state: self.dice.once_in(3).then_some(AsideState::Held),
                    ..Selection::default()
                };
                let why = Remark::new("as simulated").expect("a remark");
                let rate = 10.try_into().expect("a rate");
                JobCommand::Begin(Box::new(JobOrder { selection, act, rate, by, why }))
            }
            (1, false) if self.dice.once_in(4) => JobCommand::Cancel(*self.dice.pick(&self.jobs), by),
            (_, false) => {
                // Of an old one nothing comes.
                let last = self.jobs.len().saturating_sub(3);
                let job: JobId = *self.dice.pick(&self.jobs[last..]);
                JobCommand::Step(job, 1 + self.dice.below(4) as usize)
            }
        }
    }

    fn acted(&mut self, id: DeliveryId, acted: Acted) {
        match acted {
            Acted::ReplayedAs(new) => {
                self.known.push(new);
                // A bulk act meets those, too, whose acceptance nobody heard of.
                if let Some(message) = self.messages.get(&id).cloned() {
                    self.messages.insert(new, message);
                }
                self.oracle.replayed(id, new);
            }
            Acted::Released => self.oracle.happened(id, "released by hand"),
            Acted::Held => self.oracle.happened(id, "held by hand"),
            Acted::Discarded => self.oracle.happened(id, "discarded by hand"),
        }
    }

    /// A legal hold begins, takes something, is complete, or ends. Whoever has them ended does so more often.
    fn legal_hold(&mut self, mailbox: MailboxId) -> HoldOrder {
        let (by, why) = (Operator(1000), Remark::new("as simulated").expect("a remark"));
        let delivery = *self.dice.pick(&self.known);
        if self.holds.is_empty() || self.dice.once_in(3) {
            let scope = match self.dice.below(4) {
                0 => HoldScope::Mailbox(mailbox),
                1 => HoldScope::Delivery(delivery),
                _ => HoldScope::Patients(vec![self.key.patient(&person())]),
            };
            return HoldOrder::Add { scope, by, why };
        }
        let hold = *self.dice.pick(&self.holds);
        match self.dice.below(5) {
            0 => HoldOrder::Take { hold, deliveries: vec![delivery] },
            1 => HoldOrder::Complete { hold },
            _ => HoldOrder::Remove { hold, by, why },
        }
    }

    fn end_a_lease(&mut self) -> (Command, Intent) {
        let place = self.dice.below(self.leases.len() as u64) as usize;
        let mut lease = self.leases.swap_remove(place);
        lease.handling = Some(Box::new(handling(&lease)));
        if self.dice.once_in(2) {
            lease.patients = Some(Patients { numbers: [person()].into(), more: false });
        }
        let id = lease.delivery.id;
        let after = Duration::from_secs(self.dice.below(60));
        let code = if self.dice.once_in(2) { FaultCode::MsgPanic } else { FaultCode::MsgBadCompression };
        let reason = Reason::new(code, "as simulated");
        let (what, settlement) = match self.dice.below(9) {
            0..3 => ("delivered", Settlement::Delivered(Vec::new())),
            3 => ("discarded", Settlement::Discarded(reason)),
            4 => ("retry", Settlement::Retry { after, reason }),
            5 => ("deferred", Settlement::Defer { after, reason, outputs: Vec::new() }),
            6 => ("dead", Settlement::Dead { cause: DeathCause::Permanent, reason }),
            7 => ("held", Settlement::Held { reason, outputs: Vec::new() }),
            _ => {
                self.oracle.given_back(id);
                drop(lease);
                return (Command::Barrier, Intent::Other);
            }
        };
        // From here on it is no more in hand: a kill now is not its doing.
        self.oracle.given_back(id);
        (Command::Settle(Box::new(lease), Box::new(settlement)), Intent::Settle(id, what))
    }

    /// An answer came: from here on it is a promise.
    pub(crate) fn heard(&mut self, intent: Intent, answer: Answer) {
        match (intent, answer) {
            (Intent::Accept(mailbox, message), Answer::Accepted(acceptance)) => {
                let id = acceptance.proof().expect("there is room").delivery();
                self.known.push(id);
                self.messages.insert(id, (mailbox.clone(), message.clone()));
                self.oracle.kept(mailbox, message, id, matches!(acceptance, Acceptance::New(_)));
            }
            (Intent::Acknowledge(id), Answer::Done) => self.oracle.acknowledged(id),
            (Intent::Lease { alone }, Answer::Leases(leases)) => {
                for lease in leases {
                    self.oracle.leased(lease.delivery.id, alone);
                    self.check_payload(&lease);
                    self.note_outputs(&lease);
                    self.leases.push(lease);
                }
            }
            (Intent::Settle(id, what), Answer::Done) => self.oracle.happened(id, what),
            (Intent::Act(id), Answer::Acted(Ok(acted))) => self.acted(id, acted),
            (Intent::BringIn(mailbox, message, replaced), Answer::BroughtIn(Ok(id))) => {
                self.known.push(id);
                self.messages.insert(id, (mailbox, message));
                self.oracle.brought_in(replaced, id);
            }
            (Intent::BringIn(..), Answer::BroughtIn(Err(_))) => {}
            (Intent::Other, Answer::Job(JobAnswer::Stepped(stepped))) => {
                stepped.acted.into_iter().for_each(|(id, acted)| self.acted(id, acted));
            }
            (Intent::Other, Answer::Job(JobAnswer::Begun(begun))) => self.jobs.extend(begun.ok()),
            (Intent::Act(_), Answer::Acted(Err(_))) | (Intent::LegalHold, Answer::LegalHold(Err(_))) => {}
            (Intent::Expunge(id), Answer::Expunged(Ok(_))) => self.oracle.happened(id, "purged"),
            (Intent::Expunge(_), Answer::Expunged(Err(_))) => {}
            (Intent::LegalHold, Answer::LegalHold(Ok(hold))) => self.holds.push(hold),
            (Intent::Known(mailbox, ids), Answer::Known(known)) => {
                for (message, known) in ids.into_iter().zip(known) {
                    let forgotten = known == Known::New && self.oracle.has_kept(&mailbox, &message);
                    assert!(!forgotten, "{message} was kept, and is not known");
                }
            }
            (Intent::Staged, Answer::Done | Answer::Declined(_))
            | (Intent::Other, Answer::Done | Answer::SetAside(_) | Answer::Queue(_) | Answer::Job(_)) => {}
            (intent, answer) => self.heard_of_sends(intent, answer),
        }
    }

    /// Takes in a large message, as far as an earlier try had not.
    fn take_in(&mut self, envelope: &Envelope, bytes: &[u8]) -> Result<Sealed, SpoolError> {
        let mut intake = self.spool.as_ref().expect("open").intake(envelope)?;
        for chunk in bytes.chunks(CHUNK).skip(intake.kept() as usize) {
            intake.begin_chunk()?;
            intake.write(chunk)?;
            intake.end_chunk()?;
        }
        intake.finish()
    }

    /// The bytes behind a lease are those that were offered (I1).
    pub(crate) fn check_payload(&self, lease: &Lease) {
        let offered = self.oracle.offered.get(&lease.delivery.digest.0).expect("it was offered");
        let opened = self.spool.as_ref().expect("open").open(lease);
        let opened = opened.unwrap_or_else(|error| panic!("payload of {}: {error}", lease.delivery.id));
        assert_eq!(
            opened.payload.read_bounded(1000).expect("reads"),
            offered.as_ref(),
            "payload of {}",
            lease.delivery.id
        );
    }
}

/// Whom some mail names.
fn person() -> NhsNumber {
    "9990000018".parse().expect("its check digit is right")
}

/// One of the few messages that are refused.
fn refused(number: u64) -> MessageId {
    MessageId::new(format!("R{number}")).expect("a message id")
}

pub(crate) fn envelope(mailbox: MailboxId, message_id: MessageId, chunks: u32) -> Envelope {
    Envelope {
        mailbox,
        message_id,
        kind: MessageKind::Data,
        workflow: WorkflowId::new("TOC_FHIR_IP_DISCH").expect("a workflow id"),
        from: None,
        to: None,
        subject: None,
        local_id: None,
        file_name: None,
        partner_id: None,
        checksum: None,
        content_type: None,
        content_encrypted: false,
        content_compressed: None,
        status: Status::default(),
        linked_message_id: None,
        chunks,
    }
}

/// What a round did with a message: its monitor counts it by a number that all its lives share.
fn handling(lease: &Lease) -> Handling {
    let name = |text: &str| Name::new(text).expect("a name");
    let sum: u64 = lease.delivery.message_id.as_str().bytes().map(u64::from).sum();
    let number = Some(Numbered { flow: FLOW.to_owned(), number: 2 + sum % 40 });
    Handling {
        pipeline: name("simulated"),
        file: "0123456789ab".to_owned(),
        stages: Vec::new(),
        staging: None,
        publishing: None,
        seen: vec![Sighting { monitor: name("numbers"), number }],
    }
}
