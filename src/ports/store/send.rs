//! Messages that go out.

use serde::{Deserialize, Serialize};

use super::{Delivery, IncomingBody, Lease, NotAllowed, QueuePlace, Reply};
use crate::domain::digest::ContentDigest;
use crate::domain::envelope::Envelope;
use crate::domain::ids::{DeliveryId, MailboxId, MessageId};
use crate::domain::operator::{Operator, Remark};
use crate::domain::sending::{Outgoing, Sending};
use crate::domain::settlement::Reason;
use crate::domain::time::Timestamp;
use crate::ports::store::Class;

/// The ledger of what goes out. A send is a delivery that goes the other way: it is sealed, leased, settled, set aside,
/// replayed and purged as any other, and what is known of it beside that is its [`Sending`].
pub trait Sends: Send + Sync {
    /// Keeps a message that is to go out. Durable on reply.
    fn queue_send(&self, order: SendOrder) -> Reply<Result<DeliveryId, NotQueued>>;
    /// The right to send what is due first in a mailbox, durable on reply; or when something is.
    fn lease_send(&self, mailbox: &MailboxId) -> Reply<NextSend>;
    /// Notes how far a send came. Durable on reply: before the first request, and after each that MESH answered.
    fn sending(&self, delivery: DeliveryId, progress: Sending) -> Reply<()>;
    /// Ends a send of which a person found out that MESH has it, or says why not. Durable on reply, with who says so.
    fn resolve_send(&self, found: FoundAtMesh) -> Reply<Result<(), NotAllowed>>;
    /// What goes out, or went and is still known, by mailbox and age. Changes nothing.
    fn sends(&self, page: SendPage) -> Reply<Vec<Sent>>;
    /// Notes that the pair of files of a message lies in `OUT` no more. Durable on reply.
    fn put_away(&self, delivery: DeliveryId) -> Reply<()>;
    /// What was last picked up in a mailbox under a name, by its keyed digest under each key. Changes nothing.
    fn picked_up_as(&self, mailbox: &MailboxId, name: Vec<ContentDigest>) -> Reply<Option<Sent>>;
}

/// A message that is to go out.
#[derive(Debug, Clone)]
pub struct SendOrder {
    /// Its headers; its id is ours.
    pub envelope: Envelope,
    /// Its bytes.
    pub body: IncomingBody,
    /// Where to, and in what pieces.
    pub outgoing: Outgoing,
    /// Who gave it to us.
    pub by: Operator,
}

/// What a person found out of a send that got no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundAtMesh {
    /// Which.
    pub delivery: DeliveryId,
    /// MESH's id of it.
    pub message: MessageId,
    /// By whom.
    pub by: Operator,
    /// Why, in their words.
    pub why: Remark,
}

/// Why a message was not queued: it does not open, or was not kept. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotQueued(pub String);

/// What is to be sent next.
#[derive(Debug)]
pub enum NextSend {
    /// This.
    Lease(Box<Lease>),
    /// Nothing before that, by the wall clock; none if nothing waits.
    NotBefore(Option<Timestamp>),
}

/// Which part of the ledger to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendPage {
    /// Only this mailbox's.
    pub mailbox: Option<MailboxId>,
    /// Only those whose pair of files still lies in `OUT`.
    pub lying: bool,
    /// Behind this place.
    pub after: Option<QueuePlace>,
    /// At most so many.
    pub count: usize,
}

/// One message that goes out, or went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// The delivery.
    pub delivery: Delivery,
    /// What it is kept as.
    pub class: Class,
    /// It waits until then, by the wall clock.
    pub due: Option<Timestamp>,
    /// Why it waits, or rests.
    pub reason: Option<Reason>,
}
