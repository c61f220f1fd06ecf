//! A MESH that behaves, a store that remembers, a spool in memory: enough to watch a poller at work.

mod mesh;
mod spool;
mod stage;
mod store;

use std::sync::{Arc, Mutex};

pub(super) use self::mesh::{FakeMesh, Waiting};
pub(super) use self::spool::FakeSpool;
pub(super) use self::stage::Stage;
pub(super) use self::store::FakeStore;

use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::{MailboxId, MessageId, Name};
use crate::domain::time::Timestamp;
use crate::ports::store::Amount;

pub(super) fn mailbox() -> MailboxId {
    MailboxId::new("X26ABC1").expect("a mailbox id")
}

pub(super) fn id(text: &str) -> MessageId {
    MessageId::new(text).expect("a message id")
}

/// The moment all these tests begin at.
pub(super) const NOW: Timestamp = Timestamp(1_767_605_412_123);

/// What happened, in order, at MESH and at the store.
pub(super) type Log = Arc<Mutex<Vec<String>>>;

/// A busy MESH.
pub(super) fn busy() -> Fault {
    let mesh = Name::new("mesh").expect("a name");
    Fault::dependency(FaultCode::MeshUnavailable, mesh, "503")
}

/// Amounts, short.
pub(super) fn amount(messages: u64, bytes: u64) -> Amount {
    Amount { messages, bytes }
}
