//! The answering side.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::try_join_all;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::people::{Asker, Groups, May};
use super::wire::{
    Answer, Ask, LARGEST_PAGE, LONGEST_REQUEST, MOST_ACTS, Outcome, Refusal, Request, Response, VERSION,
};
use crate::domain::digest::ContentDigest;
use crate::domain::legal_hold::HoldScope;
use crate::domain::operator::Operator;
use crate::ports::operations::{Bringing, Operations, Origin, Posting, Reveal, SubjectWish, Upload};
use crate::ports::spool::Payload;
use crate::ports::store::{
    Act, Foresight, FoundAtMesh, Halt, HoldOrder, JobOrder, NotBroughtIn, Order, Pin, QueuePage, RetentionPage,
    SendPage, SetAsidePage,
};
use crate::ports::trace::MOST_DIGESTS;
use crate::store::disk::group_number;
use crate::store::journal::event::KINDS;

/// Operators and a monitoring agent: more at once is a mistake, and waits.
const MOST_CONNECTIONS: usize = 16;

/// A side that is slower than this, asking or reading, is cut off.
const PATIENCE: Duration = Duration::from_secs(10);

/// A payload goes out in pieces of this, bytes.
const PIECE: usize = 64 * 1024;

/// The bound socket.
pub(in crate::daemon) struct Control {
    listener: UnixListener,
    path: PathBuf,
    groups: Arc<Groups>,
}

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub(in crate::daemon) enum ControlError {
    /// Another daemon answers there.
    #[error("another daemon answers at {0}: give each its own control.socket")]
    Taken(PathBuf),
    /// It cannot be made.
    #[error("make the control socket {0}: {1}")]
    Failed(PathBuf, io::Error),
}

impl Control {
    /// Makes the socket at `path`, in the place of one that nobody answers.
    pub(in crate::daemon) fn bind(path: &Path, groups: Groups) -> Result<Self, ControlError> {
        let failed = |error| ControlError::Failed(path.to_path_buf(), error);
        match StdStream::connect(path) {
            Ok(_) => return Err(ControlError::Taken(path.to_path_buf())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // Nobody answers: what lies there was left by a run that did not end in order.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path).map_err(failed)?;
            }
            Err(error) => return Err(failed(error)),
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        let mode = match groups.door() {
            None => 0o600,
            Some(group) => {
                let group = group_number(group).map_err(failed)?;
                chown(path, None, Some(group)).map_err(failed)?;
                0o660
            }
        };
        std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed)?;
        Ok(Self { listener, path: path.to_path_buf(), groups: Arc::new(groups) })
    }

    /// Answers until `stop`; then the socket is gone, and each answer begun is given.
    pub(in crate::daemon) async fn serve(self, operations: Arc<dyn Operations>, stop: CancellationToken) {
        let connections = TaskTracker::new();
        let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { break };
            match accepted {
                Ok((stream, _)) => {
                    let (operations, groups) = (Arc::clone(&operations), Arc::clone(&self.groups));
                    let stop = stop.clone();
                    connections.spawn(async move {
                        if let Err(error) = serve_one(stream, &groups, &*operations, stop).await {
                            tracing::debug!(%error, "a control connection broke off");
                        }
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "accept on the control socket");
                    // Out of descriptors, most likely: give others time to end.
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
        drop(std::fs::remove_file(&self.path));
        connections.close();
        connections.wait().await;
    }
}

/// An answer, and what outlasts it.
struct Given {
    answer: Answer,
    then: Option<Then>,
}

/// What outlasts an answer.
enum Then {
    /// A backup that someone makes over this connection.
    Backup(Pin, Operator),
    /// A payload that follows.
    Payload(Payload),
    /// A payload that is brought in, and its length.
    Upload(Box<dyn Upload>, u64),
}

impl From<Answer> for Given {
    fn from(answer: Answer) -> Self {
        Self { answer, then: None }
    }
}

async fn serve_one(
    mut stream: UnixStream,
    groups: &Groups,
    operations: &dyn Operations,
    stop: CancellationToken,
) -> io::Result<()> {
    let outlast = match timeout(PATIENCE, converse(&mut stream, groups, operations)).await?? {
        None => return stream.shutdown().await,
        Some(Then::Backup(pin, by)) => backup(pin, by, &mut stream, operations).boxed(),
        Some(Then::Payload(payload)) => send(payload, &mut stream).boxed(),
        Some(Then::Upload(upload, length)) => receive(upload, length, &mut stream).boxed(),
    };
    // A stop waits for none: a backup that is not noted, and a payload cut short, are known not to be whole.
    stop.run_until_cancelled(outlast).await.unwrap_or(Ok(()))
}

/// Lasts until whoever makes it says that it is whole, or is gone; it may take hours.
async fn backup(pin: Pin, by: Operator, stream: &mut UnixStream, operations: &dyn Operations) -> io::Result<()> {
    let line = line(stream).await?;
    let Ok(Request { version: VERSION, ask: Ask::BackupWhole }) = serde_json::from_slice(&line) else {
        tracing::warn!(user = by.0, "a backup was given up");
        return Ok(());
    };
    let noted = operations.backup_ended(pin.extent.clone(), by).await;
    let result = noted.map(|()| Answer::BackupNoted).map_err(|halt| Refusal::Halted(halt.to_string()));
    respond(stream, result).await
}

/// Sends a payload in the memory of a piece, as fast as it is read.
async fn send(payload: Payload, stream: &mut UnixStream) -> io::Result<()> {
    let mut reader = unblocked(move || payload.reader()).await?;
    let mut piece = vec![0; PIECE];
    loop {
        let count;
        (reader, piece, count) = unblocked(move || {
            let count = reader.read(&mut piece)?;
            Ok((reader, piece, count))
        })
        .await?;
        if count == 0 {
            return stream.shutdown().await;
        }
        timeout(PATIENCE, stream.write_all(&piece[..count])).await??;
    }
}

/// Takes a payload in, in the memory of a piece, as fast as it is sealed; and says what became of it.
async fn receive(mut upload: Box<dyn Upload>, length: u64, stream: &mut UnixStream) -> io::Result<()> {
    let mut bytes = stream.take(length);
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        if timeout(PATIENCE, (&mut bytes).take(PIECE as u64).read_to_end(&mut piece)).await?? == 0 {
            break;
        }
        let (back, written) = tokio::task::spawn_blocking(move || {
            let written = upload.write(&piece);
            (upload, written)
        })
        .await
        .map_err(io::Error::other)?;
        upload = back;
        if let Err(refusal) = told(written) {
            return respond(stream, Err(refusal)).await;
        }
    }
    let kept = told(upload.keep(Origin::Operator).await);
    respond(stream, kept.map(Answer::BroughtIn)).await
}

fn told<T>(answer: Result<Result<T, NotBroughtIn>, Halt>) -> Result<T, Refusal> {
    Ok(answer.map_err(|halt| Refusal::Halted(halt.to_string()))??)
}

/// Reads off the threads that serve. A payload that does not open to its end is for a person to look at.
async fn unblocked<T: Send + 'static>(read: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    let read = tokio::task::spawn_blocking(read).await.map_err(io::Error::other).flatten();
    read.inspect_err(|error| tracing::error!(%error, "a payload that an operator asked for does not read"))
}

/// One request. Whoever asks sends no more before the response: nothing is lost with the buffer.
async fn line(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    BufReader::new(stream.take(LONGEST_REQUEST)).read_until(b'\n', &mut line).await?;
    Ok(line)
}

/// Answers one request, and returns what is to outlast it.
async fn converse(stream: &mut UnixStream, groups: &Groups, operations: &dyn Operations) -> io::Result<Option<Then>> {
    let peer = stream.peer_cred()?;
    let asker = Asker { user: peer.uid(), group: peer.gid() };
    let line = line(stream).await?;
    let result = match groups.may(asker, rustix::process::geteuid().as_raw()) {
        May::Nothing => Err(Refusal::NotPermitted),
        May::Look => answer(&line, Err(Refusal::MayOnlyLook { group: groups.operate.clone() }), operations).await,
        May::Act => answer(&line, Ok(Operator(asker.user)), operations).await,
    };
    if let Err(refusal @ (Refusal::NotPermitted | Refusal::MayOnlyLook { .. })) = &result {
        tracing::warn!(user = asker.user, %refusal, "refused a user on the control socket");
    }
    let (result, then) = match result {
        Ok(Given { answer, then }) => (Ok(answer), then),
        Err(refusal) => (Err(refusal), None),
    };
    respond(stream, result).await?;
    Ok(then)
}

async fn respond(stream: &mut UnixStream, result: Result<Answer, Refusal>) -> io::Result<()> {
    let mut response = serde_json::to_vec(&Response { version: VERSION, result })?;
    response.push(b'\n');
    stream.write_all(&response).await
}

/// `operator` is who asks, or why they may not act.
async fn answer(
    line: &[u8],
    operator: Result<Operator, Refusal>,
    operations: &dyn Operations,
) -> Result<Given, Refusal> {
    let request: Request = serde_json::from_slice(line).map_err(|_| Refusal::NotUnderstood { speaks: VERSION })?;
    if request.version != VERSION {
        return Err(Refusal::NotUnderstood { speaks: VERSION });
    }
    let halted = |halt: Halt| Refusal::Halted(halt.to_string());
    let answer = match request.ask {
        Ask::Status => Ok(Answer::Status(Box::new(operations.status()))),
        Ask::SetAside { before, only, selection, count } => {
            let page = SetAsidePage { before, only, selection: *selection, count: count.min(LARGEST_PAGE) };
            operations.set_aside(page).await.map(Answer::SetAside).map_err(halted)
        }
        Ask::Groups { after } => operations.groups(after).await.map(Answer::Groups).map_err(halted),
        Ask::Queue { mailbox, after, count } => {
            let page = QueuePage { mailbox, after, count: count.min(LARGEST_PAGE) };
            operations.queue(page).await.map(Answer::Queue).map_err(halted)
        }
        Ask::Sends { mailbox, after, count } => {
            let page = SendPage { mailbox, lying: false, after, count: count.min(LARGEST_PAGE) };
            operations.sends(page).await.map(Answer::Sends).map_err(halted)
        }
        Ask::Endpoints(wanted) => operations.endpoints(wanted).await.map(Answer::Endpoints).map_err(halted),
        Ask::Sealed { after } => operations.sealed(after).await.map(Answer::Sealed).map_err(halted),
        Ask::KeyMade { recipient } => {
            operations.key_made(recipient, operator?).await.map(Answer::KeyNoted).map_err(halted)
        }
        Ask::Rewrap => operations.rewrap(operator?).await.map(Answer::Rewrapping).map_err(halted),
        Ask::Rewrapping => Ok(Answer::Rewrapping(operations.rewrapping())),
        Ask::JournalHead => operations.journal_head().await.map(Answer::JournalHead).map_err(halted),
        Ask::Pin => {
            let by = operator?;
            let pin = operations.pin(by).await.map_err(halted)?;
            return Ok(Given { answer: Answer::Pinned(pin.extent.clone()), then: Some(Then::Backup(pin, by)) });
        }
        // It follows a pin on the same connection, and is nothing by itself.
        Ask::BackupWhole => Err(Refusal::NotUnderstood { speaks: VERSION }),
        Ask::Trace(wanted) | Ask::Audit(wanted) if !wanted.is_sound(&KINDS) => {
            Err(Refusal::NotUnderstood { speaks: VERSION })
        }
        Ask::Trace(wanted) if !wanted.is_about_a_message() => Err(Refusal::TooWide),
        Ask::Trace(wanted) => Ok(Answer::Found(operations.trace(*wanted).await.map_err(halted)??)),
        Ask::Audit(wanted) => {
            let by = operator?;
            Ok(Answer::Found(operations.audit(*wanted, by).await.map_err(halted)??))
        }
        Ask::Reveal { delivery, payload, why } => {
            let wish = Reveal { delivery, payload, by: operator?, why };
            let opened = operations.reveal(wish).await.map_err(halted)??;
            let (envelope, length) = (Box::new(opened.envelope), opened.payload.length());
            let then = payload.then_some(Then::Payload(opened.payload));
            return Ok(Given { answer: Answer::Revealed { envelope, length }, then });
        }
        Ask::Resume { pipeline, why } => {
            operations.resume(pipeline, operator?, why).await.map(Answer::Resumed).map_err(halted)
        }
        Ask::AcceptMonitor { of, why } => {
            operations.accept_monitor(of, operator?, why).await.map(Answer::MonitorAccepted).map_err(halted)
        }
        Ask::SuspendMailbox { mailbox, why } => {
            operations.suspend_mailbox(mailbox, operator?, why).await.map(Answer::MailboxSuspended).map_err(halted)
        }
        Ask::ResumeMailbox { mailbox, why } => {
            operations.resume_mailbox(mailbox, operator?, why).await.map(Answer::MailboxResumed).map_err(halted)
        }
        Ask::BringIn { whose, length, why } => {
            let upload =
                operations.bring_in(Bringing { whose, length, by: operator?, why }).await.map_err(halted)??;
            return Ok(Given { answer: Answer::Send, then: Some(Then::Upload(upload, length)) });
        }
        Ask::Post { letter, length } => {
            let posting = Posting { letter: *letter, length, by: operator? };
            let upload = operations.post(posting).await.map_err(halted)??;
            return Ok(Given { answer: Answer::Send, then: Some(Then::Upload(upload, length)) });
        }
        Ask::ResolveSend { delivery, message, why } => {
            let found = FoundAtMesh { delivery, message, by: operator?, why };
            operations.resolve_send(found).await.map(Answer::SendResolved).map_err(halted)
        }
        Ask::Foresee { selection, act, after } => {
            let wanted = Foresight { selection: *selection, act, after };
            operations.foresee(wanted).await.map(Answer::Foreseen).map_err(halted)
        }
        Ask::BeginJob { selection, act, rate, why } => {
            let order = JobOrder { selection: *selection, act, rate, by: operator?, why };
            Ok(Answer::JobBegun(operations.begin_job(order).await.map_err(halted)??))
        }
        Ask::Jobs => operations.jobs().await.map(Answer::Jobs).map_err(halted),
        Ask::CancelJob { job } => operations.cancel_job(job, operator?).await.map(Answer::JobCancelled).map_err(halted),
        Ask::AddLegalHold { scope, .. } if !is_sound(&scope) => Err(Refusal::NotUnderstood { speaks: VERSION }),
        Ask::AddLegalHold { scope, why } => {
            let order = HoldOrder::Add { scope: *scope, by: operator?, why };
            Ok(Answer::LegalHold(operations.legal_hold(order).await.map_err(halted)??))
        }
        Ask::Retention { after, until } => {
            operations.tally(RetentionPage { after, until }).await.map(Answer::Retention).map_err(halted)
        }
        Ask::Subject { patients, .. } if !are_people(&patients) => Err(Refusal::NotUnderstood { speaks: VERSION }),
        Ask::Subject { patients, purpose, from, why } => {
            let wish = SubjectWish { patients, purpose, from, by: operator?, why };
            Ok(Answer::Subject(operations.subject(wish).await.map_err(halted)??))
        }
        Ask::Expunge { deliveries, why } => {
            let by = operator?;
            if deliveries.len() > MOST_ACTS {
                return Err(Refusal::TooMany);
            }
            let asked: Vec<_> = deliveries.iter().map(|id| operations.expunge(*id, by, why.clone())).collect();
            let results = try_join_all(asked).await.map_err(halted)?;
            Ok(Answer::Expunged(deliveries.into_iter().zip(results).collect()))
        }
        Ask::LookUp { wanted } => {
            operator?;
            operations.look_up(wanted).await.map(Answer::LookedUp).map_err(halted)
        }
        Ask::RemoveLegalHold { hold, why } => {
            let order = HoldOrder::Remove { hold, by: operator?, why };
            Ok(Answer::LegalHold(operations.legal_hold(order).await.map_err(halted)??))
        }
        Ask::Act { deliveries, act, why } => {
            let by = operator?;
            let most = if is_forced(act) { 1 } else { MOST_ACTS };
            if deliveries.len() > most {
                return Err(Refusal::TooMany);
            }
            // Handed over together, they share a commit.
            let order = |delivery| Order { delivery, act, by, why: why.clone() };
            let asked: Vec<_> = deliveries.iter().map(|id| operations.act(order(*id))).collect();
            let results = try_join_all(asked).await.map_err(halted)?;
            let outcome = |(delivery, result)| Outcome { delivery, result };
            Ok(Answer::Acted(deliveries.into_iter().zip(results).map(outcome).collect()))
        }
    };
    answer.map(Given::from)
}

/// Digests go to the journal: nothing else may pass for one (I8).
fn is_sound(scope: &HoldScope) -> bool {
    match scope {
        HoldScope::Mailbox(_) | HoldScope::Delivery(_) => true,
        HoldScope::Patients(patients) => are_people(patients),
    }
}

fn are_people(patients: &[ContentDigest]) -> bool {
    (1..=MOST_DIGESTS).contains(&patients.len()) && patients.iter().all(ContentDigest::is_sound)
}

fn is_forced(act: Act) -> bool {
    match act {
        Act::Replay { force, .. } | Act::Release { force, .. } => force,
        Act::Hold | Act::Discard => false,
    }
}

#[cfg(test)]
mod tests;
