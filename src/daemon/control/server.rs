//! The answering side.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Take};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::people::{Asker, Groups, May};
use super::wire::{
    Answer, Ask, LARGEST_PAGE, LONGEST_REQUEST, MOST_ACTS, Outcome, Refusal, Request, Response, VERSION,
};
use crate::domain::operator::Operator;
use crate::ports::operations::Operations;
use crate::ports::store::{Act, Order, Pin, QueuePage, SetAsidePage};
use crate::store::disk::group_number;
use crate::store::journal::event::KINDS;

/// Operators and a monitoring agent: more at once is a mistake, and waits.
const MOST_CONNECTIONS: usize = 16;

/// A side that is slower than this, asking or reading, is cut off.
const PATIENCE: Duration = Duration::from_secs(10);

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
                        let answered = timeout(PATIENCE, converse(stream, &groups, &*operations)).await;
                        let ended = match answered {
                            Ok(Ok(Some(backup))) => tokio::select! {
                                () = stop.cancelled() => Ok(()),
                                ended = backup.last(&*operations) => ended,
                            },
                            Ok(Err(error)) => Err(error),
                            Ok(Ok(None)) | Err(_) => Ok(()),
                        };
                        if let Err(error) = ended {
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

/// A backup that someone makes over this connection.
struct Backup {
    pin: Pin,
    by: Operator,
    reading: BufReader<Take<OwnedReadHalf>>,
    writing: OwnedWriteHalf,
}

impl Backup {
    /// Lasts until whoever makes it says that it is whole, or is gone; it may take hours.
    async fn last(mut self, operations: &dyn Operations) -> io::Result<()> {
        self.reading.get_mut().set_limit(LONGEST_REQUEST);
        let mut line = Vec::new();
        self.reading.read_until(b'\n', &mut line).await?;
        let Ok(Request { version: VERSION, ask: Ask::BackupWhole }) = serde_json::from_slice(&line) else {
            tracing::warn!(user = self.by.0, "a backup was given up");
            return Ok(());
        };
        let noted = operations.backup_ended(self.pin.extent.clone(), self.by).await;
        let result = noted.map(|()| Answer::BackupNoted).map_err(|halt| Refusal::Halted(halt.to_string()));
        respond(&mut self.writing, result).await
    }
}

/// Answers one request. A backup that it began is returned.
async fn converse(stream: UnixStream, groups: &Groups, operations: &dyn Operations) -> io::Result<Option<Backup>> {
    let peer = stream.peer_cred()?;
    let asker = Asker { user: peer.uid(), group: peer.gid() };
    let (reading, mut writing) = stream.into_split();
    let mut line = Vec::new();
    let mut reading = BufReader::new(reading.take(LONGEST_REQUEST));
    reading.read_until(b'\n', &mut line).await?;
    let mut pinned = None;
    let result = match groups.may(asker, rustix::process::geteuid().as_raw()) {
        May::Nothing => Err(Refusal::NotPermitted),
        May::Look => {
            answer(&line, Err(Refusal::MayOnlyLook { group: groups.operate.clone() }), operations, &mut pinned).await
        }
        May::Act => answer(&line, Ok(Operator(asker.user)), operations, &mut pinned).await,
    };
    if let Err(refusal @ (Refusal::NotPermitted | Refusal::MayOnlyLook { .. })) = &result {
        tracing::warn!(user = asker.user, %refusal, "refused a user on the control socket");
    }
    respond(&mut writing, result).await?;
    if let Some((pin, by)) = pinned {
        return Ok(Some(Backup { pin, by, reading, writing }));
    }
    writing.shutdown().await?;
    Ok(None)
}

async fn respond(writing: &mut OwnedWriteHalf, result: Result<Answer, Refusal>) -> io::Result<()> {
    let mut response = serde_json::to_vec(&Response { version: VERSION, result })?;
    response.push(b'\n');
    writing.write_all(&response).await
}

/// `operator` is who asks, or why they may not act; what they have pinned is put into `pinned`.
async fn answer(
    line: &[u8],
    operator: Result<Operator, Refusal>,
    operations: &dyn Operations,
    pinned: &mut Option<(Pin, Operator)>,
) -> Result<Answer, Refusal> {
    let request: Request = serde_json::from_slice(line).map_err(|_| Refusal::NotUnderstood { speaks: VERSION })?;
    if request.version != VERSION {
        return Err(Refusal::NotUnderstood { speaks: VERSION });
    }
    let halted = |halt: crate::ports::store::Halt| Refusal::Halted(halt.to_string());
    match request.ask {
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
        Ask::JournalHead => operations.journal_head().await.map(Answer::JournalHead).map_err(halted),
        Ask::Pin => {
            let by = operator?;
            let (pin, _) = pinned.insert((operations.pin(by).await.map_err(halted)?, by));
            Ok(Answer::Pinned(pin.extent.clone()))
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
    }
}

fn is_forced(act: Act) -> bool {
    match act {
        Act::Replay { force, .. } | Act::Release { force } => force,
        Act::Hold | Act::Discard => false,
    }
}

#[cfg(test)]
mod tests;
