//! The asking side, for commands. Blocks, with a limit on every wait.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::wire::{Answer, Ask, LONGEST_RESPONSE, Refusal, Request, Response, VERSION};
use crate::ports::store::Extent;

/// The daemon answers from memory or one index page.
const PATIENCE: Duration = Duration::from_secs(5);

/// A payload that is brought in is sealed and synced as it comes: a chunk of it on a slow disk.
const SEALING: Duration = Duration::from_secs(120);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens.
    #[error("meshd does not run, or not with this configuration: nobody listens at {0}")]
    NotRunning(PathBuf),
    /// The socket lets us not in.
    #[error(
        "not permitted to connect to {0}: root, the daemon's own user and members of control.view_group may, or \
         those of control.operate_group if there is no view_group"
    )]
    NotPermitted(PathBuf),
    /// It listens, and says nothing.
    #[error(
        "the daemon did not answer over {0} within {limit} s: it is busy starting or stopping, or its state disk is slow; \
         ask again, and look into its log",
        limit = PATIENCE.as_secs()
    )]
    Silent(PathBuf),
    /// It broke off.
    #[error("ask over {0}: {1}")]
    Failed(PathBuf, io::Error),
    /// The daemon said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Asks one question over the socket at `path`.
pub fn ask(path: &Path, question: Ask) -> Result<Answer, AskError> {
    ask_for_bytes(path, question).map(|(answer, _)| answer)
}

/// The same, with what follows the answer. It may end early: the answer says how much there should be.
pub fn ask_for_bytes(path: &Path, question: Ask) -> Result<(Answer, impl Read), AskError> {
    let mut stream = connect(path)?;
    let response = exchange(&mut stream, question).map_err(|error| failed(path, error))?;
    Ok((response.result?, stream))
}

/// Brings a payload in: asks, and sends it once the daemon lets it come.
pub fn bring_in(path: &Path, question: Ask, bytes: &mut dyn Read) -> Result<Answer, AskError> {
    let mut stream = connect(path)?;
    let broken = |error| failed(path, error);
    let first = exchange(&mut stream, question).map_err(broken)?.result?;
    if first != Answer::Send {
        return Ok(first);
    }
    // It seals and syncs as the bytes come.
    stream.get_ref().set_write_timeout(Some(SEALING)).map_err(broken)?;
    stream.get_ref().set_read_timeout(Some(SEALING)).map_err(broken)?;
    let sent = io::copy(bytes, stream.get_mut()).and_then(|_| stream.get_ref().shutdown(Shutdown::Write));
    // Whoever is refused half-way is cut off, and finds the reason.
    match (response(&mut stream), sent) {
        (Ok(response), _) => Ok(response.result?),
        (Err(_), Err(error)) | (Err(error), Ok(_)) => Err(broken(error)),
    }
}

/// Asks the daemon to keep everything in place for a backup, until what is returned is dropped.
pub fn pin(path: &Path) -> Result<(Extent, Held), AskError> {
    let mut stream = connect(path)?;
    let response = exchange(&mut stream, Ask::Pin).map_err(|error| failed(path, error))?;
    let Answer::Pinned(extent) = response.result? else {
        return Err(failed(path, io::ErrorKind::InvalidData.into()));
    };
    Ok((extent, Held { stream, path: path.to_path_buf() }))
}

/// A connection that keeps a daemon's state in place.
#[derive(Debug)]
pub struct Held {
    stream: BufReader<UnixStream>,
    path: PathBuf,
}

impl Held {
    /// Everything is copied. An error says that the daemon ended meanwhile: what was copied may not fit together.
    pub fn whole(mut self) -> Result<(), AskError> {
        let response = exchange(&mut self.stream, Ask::BackupWhole).map_err(|error| failed(&self.path, error))?;
        if response.result? == Answer::BackupNoted {
            Ok(())
        } else {
            Err(failed(&self.path, io::ErrorKind::InvalidData.into()))
        }
    }
}

fn connect(path: &Path) -> Result<BufReader<UnixStream>, AskError> {
    UnixStream::connect(path).map(BufReader::new).map_err(|error| refused(path, error))
}

fn refused(path: &Path, error: io::Error) -> AskError {
    let kind = error.kind();
    if matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) {
        AskError::NotRunning(path.to_path_buf())
    } else if kind == io::ErrorKind::PermissionDenied {
        AskError::NotPermitted(path.to_path_buf())
    } else {
        AskError::Failed(path.to_path_buf(), error)
    }
}

fn failed(path: &Path, error: io::Error) -> AskError {
    // A limit on a socket shows as one or the other.
    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) {
        AskError::Silent(path.to_path_buf())
    } else {
        AskError::Failed(path.to_path_buf(), error)
    }
}

fn exchange(stream: &mut BufReader<UnixStream>, question: Ask) -> io::Result<Response> {
    stream.get_ref().set_read_timeout(Some(PATIENCE))?;
    stream.get_ref().set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(&Request { version: VERSION, ask: question })?;
    line.push(b'\n');
    stream.get_mut().write_all(&line)?;
    response(stream)
}

fn response(stream: &mut BufReader<UnixStream>) -> io::Result<Response> {
    let mut response = Vec::new();
    stream.take(LONGEST_RESPONSE).read_until(b'\n', &mut response)?;
    Ok(serde_json::from_slice(&response)?)
}
