//! What goes out: given by hand or sent on for an output, and posted at a MESH that keeps count.
//!
//! Whoever sends follows the ledger alone: before the first request it notes that it begins, and what a run before left
//! begun is looked for at MESH. So MESH has each delivery once at the most, whatever dies in between (I2).

use std::time::Duration;

use bytes::Bytes;
use meshd::domain::fault::FaultCode;
use meshd::domain::ids::{DeliveryId, MailboxId, MessageId, Name, WorkflowId};
use meshd::domain::onward::{MeshPlan, Onward};
use meshd::domain::operator::Operator;
use meshd::domain::output::{OutputPlan, OutputState, Progress, Publication};
use meshd::domain::sending::{Outgoing, Sending};
use meshd::domain::settlement::{DeathCause, Reason, Settlement};
use meshd::ports::store::{IncomingBody, Lease, NextSend, SendOrder};
use meshd::store::command::{Answer, Command, SendCommand};

use crate::hands::{Intent, envelope};
use crate::world::{World, mailboxes};

/// A message in the hands of whoever sends it.
pub(crate) struct Outbound {
    lease: Lease,
    came: Came,
}

/// How far it came, as far as its sender knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Came {
    /// MESH has nothing of it.
    Ready,
    /// A run before began, and nobody knows what came of it.
    Begun,
    /// MESH answered.
    Posted,
    /// That is noted.
    Noted,
}

impl World {
    /// Something about what goes out.
    pub(crate) fn command_of_sends(&mut self, mailbox: MailboxId) -> (Command, Intent) {
        match self.dice.below(6) {
            0 => self.queue_send(mailbox, None),
            1 => match self.send_on() {
                Some(command) => command,
                None => self.queue_send(mailbox, None),
            },
            2 => (Command::Send(SendCommand::Lease(mailbox)), Intent::LeaseSend),
            _ if self.outbound.is_empty() => (Command::Send(SendCommand::Lease(mailbox)), Intent::LeaseSend),
            _ => {
                let place = self.dice.below(self.outbound.len() as u64) as usize;
                let one = self.outbound.swap_remove(place);
                self.step_of(one)
            }
        }
    }

    fn queue_send(&mut self, mailbox: MailboxId, onward: Option<Onward>) -> (Command, Intent) {
        let id = MessageId::new(format!("S{}", self.dice.roll())).expect("a message id");
        let bytes = Bytes::from(format!("to be sent {}", self.dice.roll()));
        self.oracle.offered.insert(self.key.of(&bytes).0, bytes.clone());
        let progress = Sending::Ready;
        let outgoing = Outgoing { to: None, chunk: 1_000, compress: false, progress, pair: None, onward };
        let envelope = envelope(mailbox.clone(), id.clone(), 1);
        let order = SendOrder { envelope, body: IncomingBody::Small(bytes), outgoing, by: Operator(1000) };
        (Command::Send(SendCommand::Queue(Box::new(order))), Intent::QueueSend(mailbox, id))
    }

    /// An output of what is in work is planned, and sent on right after.
    fn send_on(&mut self) -> Option<(Command, Intent)> {
        let lease = self.leases.iter().find(|lease| !self.sent_on.contains(&lease.delivery.id))?;
        let (id, mailbox) = (lease.delivery.id, lease.delivery.mailbox.clone());
        self.sent_on.insert(id);
        self.next = Some(self.queue_send(mailbox.clone(), Some(Onward { delivery: id, output: output() })));
        Some((Command::Staged(id, vec![planned(&mailbox)]), Intent::Staged))
    }

    /// What was sent on in an earlier round of work is not sent on again.
    pub(crate) fn note_outputs(&mut self, lease: &Lease) {
        let is_sent_on = |output: &OutputState| matches!(output.progress, Progress::Published(Publication::Queued(_)));
        if lease.delivery.outputs.iter().any(is_sent_on) {
            self.sent_on.insert(lease.delivery.id);
        } else {
            self.sent_on.remove(&lease.delivery.id);
        }
    }

    /// The next step of a message that is being sent.
    fn step_of(&mut self, one: Outbound) -> (Command, Intent) {
        let id = one.lease.delivery.id;
        let progress = |progress| Command::Send(SendCommand::Progress(id, progress));
        let reason = Reason::new(FaultCode::SendUnknown, "as simulated");
        let later = Settlement::Defer {
            after: Duration::from_secs(self.dice.below(60)),
            reason: reason.clone(),
            outputs: Vec::new(),
        };
        let gives_up = self.dice.once_in(6);
        match one.came {
            Came::Ready if gives_up && self.dice.once_in(2) => {
                let dead = Settlement::Dead { cause: DeathCause::Permanent, reason };
                settle(one, "dead", dead)
            }
            Came::Ready | Came::Posted if gives_up => settle(one, "deferred", later),
            Came::Ready => (progress(Sending::Begun), Intent::Begin(one)),
            Came::Begun if self.at_mesh.contains(&id) => (accepted(id), Intent::Noted(one)),
            Came::Begun => (progress(Sending::Ready), Intent::NotThere(one)),
            Came::Posted => (accepted(id), Intent::Noted(one)),
            Came::Noted => settle(one, "delivered", Settlement::Delivered(Vec::new())),
        }
    }

    pub(crate) fn heard_of_sends(&mut self, intent: Intent, answer: Answer) {
        match (intent, answer) {
            (Intent::QueueSend(mailbox, message), Answer::SendQueued(Ok(id))) => {
                self.known.push(id);
                self.messages.insert(id, (mailbox, message));
                self.oracle.queued(id);
            }
            // The lease of what was to be sent on ended earlier in the same commit.
            (Intent::QueueSend(..), Answer::Declined(_)) => {}
            (Intent::LeaseSend, Answer::NextSend(NextSend::Lease(lease))) => {
                self.check_payload(&lease);
                self.oracle.happened(lease.delivery.id, "working");
                let outgoing = lease.delivery.outgoing.as_ref().expect("it goes out");
                let came = match outgoing.progress {
                    Sending::Ready => Came::Ready,
                    Sending::Begun => Came::Begun,
                    Sending::Accepted { .. } => Came::Noted,
                    Sending::Uploading { .. } | Sending::Collected { .. } | Sending::Undelivered { .. } => {
                        panic!("nobody noted {:?}", outgoing.progress)
                    }
                };
                self.outbound.push(Outbound { lease: *lease, came });
            }
            (Intent::LeaseSend, Answer::NextSend(NextSend::NotBefore(_))) => {}
            (Intent::Begin(one), Answer::Done) => {
                let id = one.lease.delivery.id;
                assert!(self.at_mesh.insert(id), "{id} was posted twice");
                // Its answer may be lost.
                let came = if self.dice.once_in(4) { Came::Begun } else { Came::Posted };
                self.outbound.push(Outbound { came, ..one });
            }
            (Intent::NotThere(one), Answer::Done) => self.outbound.push(Outbound { came: Came::Ready, ..one }),
            (Intent::Noted(one), Answer::Done) => self.outbound.push(Outbound { came: Came::Noted, ..one }),
            (_, answer) => panic!("an answer to something else: {answer:?}"),
        }
    }

    /// No more faults: everything that goes out is at MESH, or set aside.
    pub(crate) fn drain_sends(&mut self) {
        for mailbox in mailboxes() {
            loop {
                let (command, intent) = match self.outbound.pop() {
                    Some(one) => self.step_of(one),
                    None => (Command::Send(SendCommand::Lease(mailbox.clone())), Intent::LeaseSend),
                };
                let is_asked = matches!(intent, Intent::LeaseSend);
                let mut answers = self.store().commit(vec![command]).expect("no faults");
                let answer = answers.remove(0);
                let due = if let Answer::NextSend(NextSend::NotBefore(due)) = &answer { Some(*due) } else { None };
                self.heard(intent, answer);
                match due.filter(|_| is_asked) {
                    Some(Some(_)) => self.clock.pass(Duration::from_secs(60)),
                    Some(None) => break,
                    None => {}
                }
            }
        }
    }
}

fn settle(one: Outbound, what: &'static str, settlement: Settlement) -> (Command, Intent) {
    let id = one.lease.delivery.id;
    (Command::Settle(Box::new(one.lease), Box::new(settlement)), Intent::Settle(id, what))
}

fn accepted(id: DeliveryId) -> Command {
    let message = MessageId::new(format!("AT-MESH-{}", id.0)).expect("a message id");
    Command::Send(SendCommand::Progress(id, Sending::Accepted { message }))
}

fn output() -> Name {
    Name::new("onward").expect("a name")
}

fn planned(mailbox: &MailboxId) -> OutputState {
    let plan = MeshPlan {
        name: output(),
        from: mailbox.clone(),
        to: MailboxId::new("ELSEWHERE").expect("a mailbox id"),
        workflow: WorkflowId::new("SENT_ON").expect("a workflow id"),
        subject: None,
        keep: Vec::new(),
        payload: Vec::new(),
    };
    OutputState { plan: OutputPlan::Mesh(plan), progress: Progress::Planned }
}
