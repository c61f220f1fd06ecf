//! Changing a payload on its way, as a stream: no payload is ever whole in memory (I3).
//!
//! A changed payload is read twice. The first pass, here, finds its length and proves that all of it can be undone
//! within the limits; the second writes it. So nothing is published of a payload that turns out unsound at its end.
//! What the journal keeps of a change is a [`Transform`], from which the same bytes are made again after a crash.
//!
//! A failure to read what we kept is our own disk's fault, never the message's (I5).

pub(super) mod decrypt;
pub(super) mod gunzip;

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::keyring::Keyring;
use crate::domain::fault::{Class, Fault, FaultCode, Origin};
use crate::domain::output::Transform;
use crate::ports::spool::{Payload, PayloadSource};

/// What a stage makes of a payload is no longer, unless it says so.
pub(super) const USUAL_MAX_BYTES: u64 = 1_000_000_000;

/// Read at a time, bytes.
const PIECE: usize = 64 * 1024;

/// Below this length no ratio is looked at: a short text may compress very well.
const RATIO_FROM: u64 = 1024 * 1024;

/// The payload that `transform` makes of `payload`.
pub(super) fn apply(transform: &Transform, payload: &Payload, keys: &Keyring) -> Result<Payload, Fault> {
    let (undo, limit): (Arc<dyn Undo>, u64) = match transform {
        Transform::Gunzip { max_bytes, max_ratio } => {
            let by_ratio = payload.length().saturating_mul(u64::from(*max_ratio)).max(RATIO_FROM);
            (Arc::new(gunzip::Gunzip), (*max_bytes).min(by_ratio))
        }
        Transform::Decrypt { identity, max_bytes } => {
            let Some(identities) = keys.get(identity) else {
                let (code, detail) = (FaultCode::MsgNotDecryptable, format!("the identity {identity} is not loaded"));
                return Err(Fault::new(code, Class::Permanent, Origin::Local("identity"), detail));
            };
            (Arc::new(decrypt::Decrypt(Arc::clone(identities))), *max_bytes)
        }
    };
    let length = prove(&*undo, payload, limit)?;
    Ok(Payload::new(length, Arc::new(Undone { inner: payload.clone(), undo })))
}

/// One way of making a stream of another.
pub(super) trait Undo: Send + Sync {
    /// A reader of what comes out. It fails where what goes in is unsound, at its end included.
    fn over(&self, inner: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>>;
    /// What an unsound stream says of the message.
    fn unsound(&self, error: &io::Error) -> Fault;
}

struct Undone {
    inner: Payload,
    undo: Arc<dyn Undo>,
}

impl PayloadSource for Undone {
    fn reader(&self) -> io::Result<Box<dyn Read + Send>> {
        self.undo.over(self.inner.reader()?)
    }
}

/// Reads all of it once: its length, if it is sound and at most `limit`.
fn prove(undo: &dyn Undo, payload: &Payload, limit: u64) -> Result<u64, Fault> {
    let has_failed = Arc::new(AtomicBool::new(false));
    let blame = |error: io::Error| {
        if has_failed.load(Ordering::Relaxed) { unreadable(&error) } else { undo.unsound(&error) }
    };
    let inner = payload.reader().map_err(|error| unreadable(&error))?;
    let inner = Box::new(Watched { inner, has_failed: Arc::clone(&has_failed) });
    let mut reader = undo.over(inner).map_err(&blame)?;
    let mut piece = vec![0; PIECE];
    let mut length = 0;
    loop {
        match reader.read(&mut piece) {
            Ok(0) => return Ok(length),
            Ok(count) => length += count as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(blame(error)),
        }
        if length > limit {
            let detail = format!("{} bytes make more than the {limit} that its stage allows", payload.length());
            return Err(Fault::message(FaultCode::MsgTooLarge, detail));
        }
    }
}

/// Notes whether a failure was that of what we kept.
struct Watched {
    inner: Box<dyn Read + Send>,
    has_failed: Arc<AtomicBool>,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer);
        if read.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::Interrupted) {
            self.has_failed.store(true, Ordering::Relaxed);
        }
        read
    }
}

/// The first bytes of a payload.
pub(super) fn start(payload: &Payload, limit: usize) -> Result<Vec<u8>, Fault> {
    payload.read_bounded(limit).map_err(|error| unreadable(&error))
}

/// An error of the system may pass; any other means that what we kept is damaged. Neither is the message's doing.
fn unreadable(error: &io::Error) -> Fault {
    let class = if error.raw_os_error().is_some() { Class::Transient } else { Class::Permanent };
    Fault::new(FaultCode::SpoolUnreadable, class, Origin::Local("spool"), format!("read the payload: {error}"))
}

#[cfg(test)]
pub(in crate::pipeline) mod tests {
    use super::*;

    /// A payload in memory.
    pub(in crate::pipeline) fn payload(bytes: impl Into<Vec<u8>>) -> Payload {
        let bytes = bytes.into();
        Payload::new(bytes.len() as u64, Arc::new(Bytes(bytes.into())))
    }

    /// All bytes of a payload.
    pub(in crate::pipeline) fn bytes(payload: &Payload) -> Vec<u8> {
        let mut bytes = Vec::new();
        payload.reader().expect("it opens").read_to_end(&mut bytes).expect("it reads");
        assert_eq!(bytes.len() as u64, payload.length());
        bytes
    }

    struct Bytes(Arc<[u8]>);

    impl PayloadSource for Bytes {
        fn reader(&self) -> io::Result<Box<dyn Read + Send>> {
            Ok(Box::new(io::Cursor::new(Arc::clone(&self.0))))
        }
    }

    /// What is kept ends with an error.
    struct Broken(Vec<u8>, fn() -> io::Error);

    impl PayloadSource for Broken {
        fn reader(&self) -> io::Result<Box<dyn Read + Send>> {
            struct Fails(fn() -> io::Error);
            impl Read for Fails {
                fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                    Err((self.0)())
                }
            }
            Ok(Box::new(io::Cursor::new(self.0.clone()).chain(Fails(self.1))))
        }
    }

    #[test]
    fn a_failing_spool_is_not_blamed_on_the_message() {
        let gzip = gunzip::tests::gzip(&[7; 1000]);
        let half = gzip[..gzip.len() / 2].to_vec();
        let cases: [(fn() -> io::Error, Class); 2] = [
            (|| io::Error::from_raw_os_error(5), Class::Transient),
            (|| io::Error::new(io::ErrorKind::InvalidData, "damaged"), Class::Permanent),
        ];
        for (error, class) in cases {
            let broken = Payload::new(100, Arc::new(Broken(half.clone(), error)));
            let transform = Transform::Gunzip { max_bytes: 10_000, max_ratio: 100 };
            let fault = apply(&transform, &broken, &Keyring::default()).err().expect("it does not read");
            assert_eq!(
                (fault.code, fault.class, fault.origin),
                (FaultCode::SpoolUnreadable, class, Origin::Local("spool"))
            );
        }
    }
}
