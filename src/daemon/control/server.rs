//! The answering side.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::wire::{Answer, Ask, LARGEST_PAGE, LONGEST_REQUEST, Refusal, Request, Response, VERSION};
use crate::ports::operations::Operations;
use crate::ports::store::SetAsidePage;
use crate::store::disk::group_number;

/// Operators and a monitoring agent: more at once is a mistake, and waits.
const MOST_CONNECTIONS: usize = 16;

/// A side that is slower than this, asking or reading, is cut off.
const PATIENCE: Duration = Duration::from_secs(10);

/// The bound socket.
pub(in crate::daemon) struct Control {
    listener: UnixListener,
    path: PathBuf,
    guests: Guests,
}

/// Who may ask besides root and ourselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guests {
    /// Nobody.
    None,
    /// Whoever the kernel let through: the socket's group and mode keep out all but the group's members.
    Members,
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
    pub(in crate::daemon) fn bind(path: &Path, view_group: Option<&str>) -> Result<Self, ControlError> {
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
        let (mode, guests) = match view_group {
            None => (0o600, Guests::None),
            Some(group) => {
                let group = group_number(group).map_err(failed)?;
                chown(path, None, Some(group)).map_err(failed)?;
                (0o660, Guests::Members)
            }
        };
        std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed)?;
        Ok(Self { listener, path: path.to_path_buf(), guests })
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
                    let (operations, guests) = (Arc::clone(&operations), self.guests);
                    connections.spawn(async move {
                        let answered = timeout(PATIENCE, converse(stream, guests, &*operations)).await;
                        if let Ok(Err(error)) = answered {
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

async fn converse(stream: UnixStream, guests: Guests, operations: &dyn Operations) -> io::Result<()> {
    let asker = stream.peer_cred()?.uid();
    let (reading, mut writing) = stream.into_split();
    let mut line = Vec::new();
    BufReader::new(reading.take(LONGEST_REQUEST)).read_until(b'\n', &mut line).await?;
    let result = if may_ask(asker, rustix::process::geteuid().as_raw(), guests) {
        answer(&line, operations).await
    } else {
        tracing::warn!(user = asker, "refused a user on the control socket");
        Err(Refusal::NotPermitted)
    };
    let mut response = serde_json::to_vec(&Response { version: VERSION, result })?;
    response.push(b'\n');
    writing.write_all(&response).await?;
    writing.shutdown().await
}

fn may_ask(asker: u32, own: u32, guests: Guests) -> bool {
    match guests {
        Guests::Members => true,
        Guests::None => asker == 0 || asker == own,
    }
}

async fn answer(line: &[u8], operations: &dyn Operations) -> Result<Answer, Refusal> {
    let request: Request = serde_json::from_slice(line).map_err(|_| Refusal::NotUnderstood { speaks: VERSION })?;
    if request.version != VERSION {
        return Err(Refusal::NotUnderstood { speaks: VERSION });
    }
    let halted = |halt: crate::ports::store::Halt| Refusal::Halted(halt.to_string());
    match request.ask {
        Ask::Status => Ok(Answer::Status(Box::new(operations.status()))),
        Ask::SetAside { before, only, count } => {
            let page = SetAsidePage { before, only, count: count.min(LARGEST_PAGE) };
            operations.set_aside(page).await.map(Answer::SetAside).map_err(halted)
        }
        Ask::JournalHead => operations.journal_head().await.map(Answer::JournalHead).map_err(halted),
    }
}

#[cfg(test)]
mod tests;
