//! Payloads that operators bring in, on their way from the control socket to the spool: one at a time, a piece at a
//! time (I3).

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::domain::envelope::{Envelope, MessageKind};
use crate::domain::ids::{DeliveryId, MailboxId};
use crate::domain::operator::{Operator, Remark};
use crate::ports::disk::{Disk, Floor, Mark};
use crate::ports::operations::{Bringing, Told, Upload, Whose};
use crate::ports::spool::{Intake, MOST_CHUNKS, Opened, SMALL, SpoolError};
use crate::ports::store::{
    BringIn, Class, Halt, IncomingBody, Kept, LookUp, NotAllowed, NotBroughtIn, Replaces, Store,
};
use crate::store::spool::{Beside, Spool};

/// A large payload is sealed and synced in chunks of so many bytes, so that no sync keeps its operator waiting for long;
/// in larger ones where there would be too many.
const CHUNK: u64 = 64 << 20;

/// Where payloads are brought in.
pub(super) struct Entrance {
    pub(super) store: Arc<dyn Store>,
    pub(super) spool: Spool,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) floor: Floor,
    pub(super) directory: PathBuf,
    pub(super) mailboxes: BTreeSet<MailboxId>,
    /// Held while one is on its way.
    pub(super) turn: Arc<Mutex<()>>,
}

impl Entrance {
    /// Begins to take a payload in.
    pub(super) async fn begin(&self, wish: Bringing) -> Result<Result<Box<dyn Upload>, NotBroughtIn>, Halt> {
        let Bringing { whose, length, by, why } = wish;
        let Ok(turn) = Arc::clone(&self.turn).try_lock_owned() else { return Ok(Err(NotBroughtIn::Busy)) };
        let (replaces, envelope) = match whose {
            Whose::Delivery(replaces) => match self.envelope_of(replaces).await? {
                Ok(envelope) => (Some(replaces), envelope),
                Err(no) => return Ok(Err(no)),
            },
            Whose::Message(envelope) => (None, *envelope),
        };
        if !self.mailboxes.contains(&envelope.mailbox) {
            return Ok(Err(NotBroughtIn::NoMailbox(envelope.mailbox)));
        }
        if envelope.kind == MessageKind::Report && (replaces.is_some() || length > 0) {
            return Ok(Err(NotBroughtIn::Report));
        }
        if !self.has_room(length) {
            return Ok(Err(NotBroughtIn::NoRoom));
        }
        let chunk = CHUNK.max(length.div_ceil(u64::from(MOST_CHUNKS)));
        let chunks = u32::try_from(length.div_ceil(chunk)).unwrap_or(MOST_CHUNKS).max(1);
        let envelope = Envelope { chunks, ..envelope };
        let (leftover, body) = if length <= SMALL as u64 {
            (None, Body::Small(Vec::new()))
        } else {
            let (spool, of) = (self.spool.clone(), envelope.clone());
            let begun = unblocked(move || {
                let intake = spool.bring_in(&of)?;
                Ok((Leftover { spool, of }, intake))
            });
            match begun.await? {
                Ok((leftover, intake)) => (Some(leftover), Body::Large { intake, left_of_chunk: None }),
                Err(error) => return failed(error),
            }
        };
        let store = Arc::clone(&self.store);
        let wish = Wish { replaces, envelope, by, why };
        Ok(Ok(Box::new(Arriving { store, wish, body, left: length, chunk, _leftover: leftover, _turn: turn })))
    }

    /// The headers of what is to be replaced.
    async fn envelope_of(&self, replaces: Replaces) -> Result<Result<Envelope, NotBroughtIn>, Halt> {
        let id = replaces.delivery;
        let known = self.store.look_up(LookUp::Deliveries(vec![id])).await?;
        let Some(Kept { delivery, class, replayed_as, .. }) = known.into_iter().find(|kept| kept.delivery.id == id)
        else {
            return Ok(Err(NotAllowed::Unknown.into()));
        };
        if let (Class::Replayed, Some(to)) = (class, replayed_as) {
            return Ok(Err(NotAllowed::ReplayedAs(to).into()));
        }
        let reader = self.spool.reader().clone();
        let open = move || reader.open(&delivery.mailbox, &delivery.message_id, &delivery.location);
        match unblocked(open).await? {
            Ok(Opened { envelope, .. }) => Ok(Ok(envelope)),
            Err(error) => failed(error),
        }
    }

    /// Whether the floor is kept with so many bytes more. Where that cannot be told, writing it will.
    fn has_room(&self, length: u64) -> bool {
        let Ok(mut space) = self.disk.space(&self.directory) else { return true };
        space.free_bytes = space.free_bytes.saturating_sub(length);
        self.floor.shortage(&space, Mark::Low).is_none()
    }
}

/// One payload on its way.
struct Arriving {
    store: Arc<dyn Store>,
    wish: Wish,
    body: Body,
    /// Bytes still to come.
    left: u64,
    /// Bytes in a chunk.
    chunk: u64,
    // Before the turn is another's.
    _leftover: Option<Leftover>,
    _turn: OwnedMutexGuard<()>,
}

struct Wish {
    replaces: Option<Replaces>,
    envelope: Envelope,
    by: Operator,
    why: Remark,
}

enum Body {
    Small(Vec<u8>),
    Large {
        intake: Box<dyn Intake>,
        /// Bytes that the chunk in hand still takes.
        left_of_chunk: Option<u64>,
    },
}

impl Upload for Arriving {
    fn write(&mut self, mut bytes: &[u8]) -> Result<Result<(), NotBroughtIn>, Halt> {
        if bytes.len() as u64 > self.left {
            return Ok(Err(NotBroughtIn::Failed("more bytes came than were announced".into())));
        }
        while !bytes.is_empty() {
            let count = match self.write_some(bytes) {
                Ok(count) => count,
                Err(error) => return failed(error),
            };
            self.left -= count as u64;
            bytes = &bytes[count..];
        }
        Ok(Ok(()))
    }

    fn keep(self: Box<Self>) -> Told<'static, Result<DeliveryId, NotBroughtIn>> {
        async move {
            let Self { store, wish, body, left, _leftover, _turn, .. } = *self;
            if left > 0 {
                return Ok(Err(NotBroughtIn::Failed(format!("the last {left} bytes did not come"))));
            }
            let body = match body {
                Body::Small(bytes) => IncomingBody::Small(bytes.into()),
                Body::Large { intake, .. } => match unblocked(move || intake.finish()).await? {
                    Ok(sealed) => IncomingBody::Large(sealed),
                    Err(error) => return failed(error),
                },
            };
            let Wish { replaces, envelope, by, why } = wish;
            store.bring_in(BringIn { replaces, envelope, body, by, why }).await
        }
        .boxed()
    }
}

impl Arriving {
    /// Takes as many as the chunk in hand does. Its last byte makes it durable.
    fn write_some(&mut self, bytes: &[u8]) -> Result<usize, SpoolError> {
        let (intake, left_of_chunk) = match &mut self.body {
            Body::Small(held) => {
                held.extend_from_slice(bytes);
                return Ok(bytes.len());
            }
            Body::Large { intake, left_of_chunk } => (intake, left_of_chunk),
        };
        let room = match *left_of_chunk {
            Some(room) => room,
            None => {
                intake.begin_chunk()?;
                self.chunk.min(self.left)
            }
        };
        let count = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        intake.write(&bytes[..count])?;
        *left_of_chunk = Some(room - count as u64).filter(|room| *room > 0);
        if left_of_chunk.is_none() {
            intake.end_chunk()?;
        }
        Ok(count)
    }
}

/// What is sealed of a large payload, until the store has taken it over.
struct Leftover {
    spool: Spool,
    of: Envelope,
}

impl Drop for Leftover {
    fn drop(&mut self) {
        let Envelope { mailbox, message_id, .. } = &self.of;
        if let Err(error) = self.spool.forget_beside(Beside::BroughtIn, mailbox, message_id) {
            tracing::warn!(%mailbox, %message_id, %error, "a payload brought in half stays until the next start");
        }
    }
}

/// A failure of stable storage is told as such, any other as why nothing was brought in.
fn failed<T>(error: SpoolError) -> Result<Result<T, NotBroughtIn>, Halt> {
    match error {
        SpoolError::Failed(halt) => Err(halt),
        other @ (SpoolError::NoRoom(_) | SpoolError::Unreadable(_)) => Ok(Err(NotBroughtIn::Failed(other.to_string()))),
    }
}

/// Off the threads that serve.
async fn unblocked<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Halt> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Halt(format!("take a payload in: {error}")))
}
