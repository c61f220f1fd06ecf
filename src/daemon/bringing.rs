//! Payloads that operators bring in or send, on their way from the control socket to the spool: one at a time, a piece at a
//! time (I3).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::config::SendSettings;
use crate::domain::envelope::{Envelope, MessageKind};
use crate::domain::ids::{DeliveryId, MailboxId, MessageId, Sensitive};
use crate::domain::operator::{Operator, Remark};
use crate::domain::sending::{Outgoing, Sending, recipient};
use crate::ports::clock::Chance;
use crate::ports::disk::{Disk, Floor, Mark};
use crate::ports::operations::{Bringing, Letter, Origin, Post, Posting, Told, Upload, Whose};
use crate::ports::spool::{Intake, MOST_CHUNKS, Opened, SMALL, SpoolError};
use crate::ports::store::{
    BringIn, Class, Halt, IncomingBody, Kept, LookUp, NotAllowed, NotBroughtIn, NotQueued, Replaces, SendOrder, Sends,
    Store,
};
use crate::receive::admission::Admission;
use crate::send::encrypt::{Encrypting, Encryption};
use crate::send::rules;
use crate::store::spool::{Beside, Spool};

/// A large payload is sealed and synced in chunks of so many bytes, so that no sync keeps its operator waiting for long;
/// in larger ones where there would be too many.
const CHUNK: u64 = 64 << 20;

/// Where payloads are brought in.
#[derive(Clone)]
pub(super) struct Entrance {
    pub(super) store: Arc<dyn Store>,
    pub(super) sends: Arc<dyn Sends>,
    pub(super) chance: Arc<dyn Chance>,
    pub(super) spool: Spool,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) floor: Floor,
    pub(super) directory: PathBuf,
    /// What may wait of each mailbox: a reload changes it.
    pub(super) admission: Arc<Admission>,
    pub(super) mailboxes: Arc<BTreeMap<MailboxId, GoesOut>>,
    /// Held while one is on its way.
    pub(super) turn: Arc<Mutex<()>>,
}

/// How the mail of a mailbox goes out.
pub(super) struct GoesOut {
    pub(super) settings: SendSettings,
    pub(super) encryption: Encryption,
}

impl Entrance {
    /// The same, where nobody waits for those at this one.
    pub(super) fn apart(&self) -> Self {
        Self { turn: Arc::default(), ..self.clone() }
    }

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
        if envelope.kind == MessageKind::Report && (replaces.is_some() || length > 0) {
            return Ok(Err(NotBroughtIn::Report));
        }
        self.take(turn, envelope, length, Purpose::BringIn { replaces, by, why }).await
    }

    /// Begins to take in a message that is to go out. Everything that MESH would refuse is told at once.
    async fn begin_post(&self, posting: Posting) -> Result<Result<Box<dyn Upload>, NotBroughtIn>, Halt> {
        let Posting { letter, length, by } = posting;
        let Some(GoesOut { settings, encryption }) = self.mailboxes.get(&letter.mailbox) else {
            return Ok(Err(NotBroughtIn::NoMailbox(letter.mailbox)));
        };
        let waits = self.store.occupancy().mailboxes.get(&letter.mailbox).map(|of| of.sending).unwrap_or_default();
        let limits = self.admission.budget(&letter.mailbox).queued;
        // One larger than the limit goes out alone.
        let is_full = waits.bytes.saturating_add(length) > limits.bytes && waits.messages > 0;
        if waits.messages >= limits.messages || is_full {
            return Ok(Err(NotBroughtIn::TooMuchWaits(letter.mailbox)));
        }
        let outgoing = Outgoing {
            to: recipient(&letter.to),
            chunk: settings.chunk.0,
            compress: letter.compress.unwrap_or(settings.compress),
            progress: Sending::Ready,
            pair: None,
            onward: None,
        };
        let envelope = match self.envelope_to_send(letter) {
            Ok(envelope) => envelope,
            Err(why) => return Ok(Err(why)),
        };
        let rule = encryption.rule(outgoing.to.as_ref(), &envelope.workflow).filter(|_| !envelope.content_encrypted);
        // What is empty stays so, and is refused.
        let encrypting = match rule.filter(|_| length > 0).map(|rule| rule.begin(length)).transpose() {
            Ok(encrypting) => encrypting,
            Err(error) => return Ok(Err(NotBroughtIn::Failed(format!("encrypt it: {error}")))),
        };
        let envelope = Envelope { content_encrypted: envelope.content_encrypted || encrypting.is_some(), ..envelope };
        let sealed = encrypting.as_ref().map_or(length, Encrypting::length);
        let broken: Vec<String> = rules::broken(&envelope, sealed).iter().map(ToString::to_string).collect();
        if !broken.is_empty() {
            return Ok(Err(NotBroughtIn::Unsendable(broken)));
        }
        let Ok(turn) = Arc::clone(&self.turn).try_lock_owned() else { return Ok(Err(NotBroughtIn::Busy)) };
        let upload = match self.take(turn, envelope, sealed, Purpose::Send { outgoing, by }).await? {
            Ok(upload) => upload,
            Err(why) => return Ok(Err(why)),
        };
        Ok(Ok(match encrypting {
            Some(encrypting) => Box::new(Encrypted { upload, encrypting, left: length }),
            None => upload,
        }))
    }

    /// With an id of ours, by which MESH can be asked for it if it has no local id of its own.
    fn envelope_to_send(&self, letter: Letter) -> Result<Envelope, NotBroughtIn> {
        let ours = format!("meshd-{}", self.chance.uuid().replace('-', ""));
        let message_id = MessageId::new(ours.clone()).map_err(|error| NotBroughtIn::Failed(error.to_string()))?;
        let Letter { mailbox, to, workflow, subject, local_id, file_name, partner_id, checksum, .. } = letter;
        Ok(Envelope {
            to: Some(to),
            subject,
            local_id: Some(local_id.unwrap_or_else(|| Sensitive::new(ours))),
            file_name,
            partner_id,
            checksum,
            content_type: letter.content_type,
            content_encrypted: letter.encrypted,
            ..Envelope::going_out(mailbox, message_id, workflow)
        })
    }

    /// Begins to take in the payload of a message.
    async fn take(
        &self,
        turn: OwnedMutexGuard<()>,
        envelope: Envelope,
        length: u64,
        purpose: Purpose,
    ) -> Result<Result<Box<dyn Upload>, NotBroughtIn>, Halt> {
        if !self.mailboxes.contains_key(&envelope.mailbox) {
            return Ok(Err(NotBroughtIn::NoMailbox(envelope.mailbox)));
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
        let (store, sends) = (Arc::clone(&self.store), Arc::clone(&self.sends));
        let left = length;
        Ok(Ok(Box::new(Arriving {
            store,
            sends,
            envelope,
            purpose,
            body,
            left,
            chunk,
            _leftover: leftover,
            _turn: turn,
        })))
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

impl Post for Entrance {
    fn post(&self, posting: Posting) -> Told<'_, Result<Box<dyn Upload>, NotBroughtIn>> {
        self.begin_post(posting).boxed()
    }
}

/// The entrance of what pipelines send on: as many at once as there are workers, so none waits for another.
pub(super) struct SentOn(pub(super) Entrance);

impl Post for SentOn {
    fn post(&self, posting: Posting) -> Told<'_, Result<Box<dyn Upload>, NotBroughtIn>> {
        let entrance = self.0.apart();
        async move { entrance.begin_post(posting).await }.boxed()
    }
}

/// One payload on its way.
struct Arriving {
    store: Arc<dyn Store>,
    sends: Arc<dyn Sends>,
    envelope: Envelope,
    purpose: Purpose,
    body: Body,
    /// Bytes still to come.
    left: u64,
    /// Bytes in a chunk.
    chunk: u64,
    // Before the turn is another's.
    _leftover: Option<Leftover>,
    _turn: OwnedMutexGuard<()>,
}

/// What a payload is taken in for.
enum Purpose {
    BringIn { replaces: Option<Replaces>, by: Operator, why: Remark },
    Send { outgoing: Outgoing, by: Operator },
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
            return Ok(Err(NotBroughtIn::Failed(MORE.into())));
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

    fn keep(self: Box<Self>, origin: Origin) -> Told<'static, Result<DeliveryId, NotBroughtIn>> {
        async move {
            let Self { store, sends, envelope, purpose, body, left, _leftover, _turn, .. } = *self;
            if left > 0 {
                return Ok(Err(missing(left)));
            }
            let body = match body {
                Body::Small(bytes) => IncomingBody::Small(bytes.into()),
                Body::Large { intake, .. } => match unblocked(move || intake.finish()).await? {
                    Ok(sealed) => IncomingBody::Large(sealed),
                    Err(error) => return failed(error),
                },
            };
            match purpose {
                Purpose::BringIn { replaces, by, why } => {
                    store.bring_in(BringIn { replaces, envelope, body, by, why }).await
                }
                Purpose::Send { outgoing, by } => {
                    let outgoing = match origin {
                        Origin::Operator => outgoing,
                        Origin::Pair(pair) => Outgoing { pair: Some(pair), ..outgoing },
                        Origin::Onward(onward) => Outgoing { onward: Some(onward), ..outgoing },
                    };
                    let queued = sends.queue_send(SendOrder { envelope, body, outgoing, by }).await?;
                    Ok(queued.map_err(|NotQueued(why)| NotBroughtIn::Failed(why)))
                }
            }
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

/// One that is encrypted on its way.
struct Encrypted {
    upload: Box<dyn Upload>,
    encrypting: Encrypting,
    /// Plain bytes still to come.
    left: u64,
}

impl Upload for Encrypted {
    fn write(&mut self, bytes: &[u8]) -> Result<Result<(), NotBroughtIn>, Halt> {
        if bytes.len() as u64 > self.left {
            return Ok(Err(NotBroughtIn::Failed(MORE.into())));
        }
        self.left -= bytes.len() as u64;
        match self.encrypting.write(bytes) {
            Ok(made) => self.upload.write(&made),
            Err(error) => Ok(Err(NotBroughtIn::Failed(format!("encrypt it: {error}")))),
        }
    }

    fn keep(self: Box<Self>, origin: Origin) -> Told<'static, Result<DeliveryId, NotBroughtIn>> {
        let Self { mut upload, encrypting, left } = *self;
        async move {
            if left > 0 {
                return Ok(Err(missing(left)));
            }
            let ended = unblocked(move || {
                let made = encrypting.finish().map_err(|error| NotBroughtIn::Failed(format!("encrypt it: {error}")));
                match made.map(|made| upload.write(&made)) {
                    Ok(written) => written.map(|written| written.map(|()| upload)),
                    Err(why) => Ok(Err(why)),
                }
            });
            match ended.await?? {
                Ok(upload) => upload.keep(origin).await,
                Err(why) => Ok(Err(why)),
            }
        }
        .boxed()
    }
}

const MORE: &str = "more bytes came than were announced";

fn missing(left: u64) -> NotBroughtIn {
    NotBroughtIn::Failed(format!("the last {left} bytes did not come"))
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
