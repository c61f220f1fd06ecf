//! One chunk's bytes: decoded under limits, into memory while small, into the spool beyond that.

use std::io::{self, Write};

use bytes::{Bytes, BytesMut};
use flate2::write::MultiGzDecoder;
use futures_util::StreamExt;
use tokio::sync::mpsc;

use crate::domain::fault::{Class, Fault, FaultCode, Origin};
use crate::ports::inbox::{Chunk, Encoding};
use crate::ports::spool::{Intake, SMALL, SpoolError};
use crate::ports::store::Halt;

use super::admission::Claim;

/// No chunk decodes to more: ten times the largest body MESH takes (mesh-api 8).
pub(super) const LARGEST_CHUNK: u64 = 1_000_000_000;

/// gzip may not expand more than this, once past the first [`RATIO_FROM`] bytes (a bomb reaches about 1,030).
const LARGEST_RATIO: u64 = 200;
const RATIO_FROM: u64 = 1024 * 1024;

/// Pieces of a body between the network and the blocking writer: about a megabyte at hyper's read size.
const PIECES_AHEAD: usize = 16;

/// Decoded bytes between two looks at the disk: no more than these go below its floor, for each message on its way.
const LOOK_EVERY: u64 = 4 * 1024 * 1024;

/// Why a body did not make it.
#[derive(Debug)]
pub(super) enum BodyError {
    /// The message, or the way to it.
    Fault(Fault),
    /// No room now.
    NoRoom,
    /// It takes the disk to its floor. As far as it came, the chunk seems to have so many bytes.
    AtFloor(u64),
    /// Stable storage failed.
    Halt(Halt),
}

impl From<Fault> for BodyError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<SpoolError> for BodyError {
    fn from(error: SpoolError) -> Self {
        match error {
            SpoolError::Failed(halt) => Self::Halt(halt),
            SpoolError::NoRoom(_) => Self::NoRoom,
            // What was kept of this one message is damaged, or cannot be: the others are well (I6).
            SpoolError::Unreadable(detail) => {
                Self::Fault(Fault::new(FaultCode::SpoolUnreadable, Class::Transient, Origin::Message, detail))
            }
        }
    }
}

/// How to treat `Content-Encoding`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decoding {
    /// Undo it.
    AsEncoded,
    /// Keep the bytes as served: for a message that is to be a dead letter.
    AsServed,
}

/// The start of a body, read into memory.
pub(super) enum Start {
    /// All of it.
    Whole {
        /// Decoded.
        bytes: Bytes,
        /// Length as it came.
        wire: u64,
    },
    /// It is larger: what was read so far, still encoded, and the rest of the stream.
    Larger(Bytes, Box<Chunk>),
}

/// Reads `chunk` as long as it stays small, encoded and decoded.
pub(super) async fn start(mut chunk: Chunk, decoding: Decoding) -> Result<Start, BodyError> {
    let mut read = BytesMut::new();
    while let Some(piece) = chunk.body.next().await {
        let piece = piece?;
        read.extend_from_slice(&piece);
        if read.len() > SMALL {
            return Ok(Start::Larger(read.freeze(), Box::new(chunk)));
        }
    }
    let encoded = read.freeze();
    let wire = encoded.len() as u64;
    if chunk.encoding == Encoding::Plain || decoding == Decoding::AsServed {
        return Ok(Start::Whole { bytes: encoded, wire });
    }
    let mut decoded = Vec::new();
    match decode_all(&encoded, &mut Bounded { sink: &mut decoded, written: 0, limit: SMALL as u64 }) {
        Ok(()) => Ok(Start::Whole { bytes: decoded.into(), wire }),
        Err(DecodeError::TooLarge) => {
            chunk.body = futures_util::stream::empty().boxed();
            Ok(Start::Larger(encoded, Box::new(chunk)))
        }
        Err(DecodeError::NotGzip) => Err(not_gzip().into()),
    }
}

fn decode_all(encoded: &[u8], sink: &mut Bounded<&mut Vec<u8>>) -> Result<(), DecodeError> {
    let mut decoder = MultiGzDecoder::new(sink);
    decoder.write_all(encoded).and_then(|()| decoder.try_finish()).map_err(|error| DecodeError::of(&error))
}

/// One large message on its way into the spool.
pub(super) struct Inflow {
    pub(super) intake: Box<dyn Intake>,
    pub(super) claim: Claim,
    /// Decoded bytes of the chunks that are there.
    pub(super) arrived: u64,
    /// Bytes that came over the wire in this fetch.
    pub(super) wire: u64,
}

/// Streams the rest of a chunk, after `read`, into the spool as the next chunk: durable on return. Stops at the disk's
/// floor, since what comes may be many times what was claimed for it.
pub(super) async fn stream(
    read: Bytes,
    mut chunk: Chunk,
    decoding: Decoding,
    mut inflow: Inflow,
) -> Result<Inflow, BodyError> {
    let (pieces, mut inbound) = mpsc::channel::<Bytes>(PIECES_AHEAD);
    let gunzip = chunk.encoding == Encoding::Gzip && decoding == Decoding::AsEncoded;
    let stated = chunk.content_length.unwrap_or(0);
    let writer = tokio::task::spawn_blocking(move || {
        inflow.intake.begin_chunk()?;
        let mut sink = InflowSink { inflow, stated, encoded: 0, written: 0, looked: 0, failed: None };
        let length = if gunzip { gunzip_into(&mut sink, &mut inbound) } else { copy_into(&mut sink, &mut inbound) };
        match (sink.failed.take(), length) {
            (Some(error), _) => Err(error),
            (None, Err(fault)) => Err(BodyError::Fault(fault)),
            (None, Ok(None)) => Ok(None),
            (None, Ok(Some(()))) => {
                sink.look()?;
                let mut inflow = sink.inflow;
                inflow.intake.end_chunk()?;
                inflow.arrived += sink.written;
                inflow.wire += sink.encoded;
                Ok(Some(inflow))
            }
        }
    });
    let mut cut = None;
    // A closed channel means the writer has given up: its own word is the one that counts.
    let mut more = read.is_empty() || pieces.send(read).await.is_ok();
    while more && let Some(piece) = chunk.body.next().await {
        match piece {
            Ok(piece) => more = piece.is_empty() || pieces.send(piece).await.is_ok(),
            Err(fault) => {
                cut = Some(fault);
                break;
            }
        }
    }
    if cut.is_none() && more && pieces.send(Bytes::new()).await.is_err() {
        tracing::debug!("the spool gave up before the body ended");
    }
    drop(pieces);
    let written = writer.await.unwrap_or_else(|died| Err(BodyError::Halt(Halt(format!("spool writer: {died}")))));
    match (written, cut) {
        (Err(error), _) => Err(error),
        (Ok(_), Some(fault)) => Err(fault.into()),
        (Ok(Some(done)), None) => Ok(done),
        (Ok(None), None) => Err(BodyError::Halt(Halt("spool writer lost the end of a body".into()))),
    }
}

/// Copies pieces until the empty one that marks the end; `None` if the channel closed before it.
fn copy_into(sink: &mut InflowSink, inbound: &mut mpsc::Receiver<Bytes>) -> Result<Option<()>, Fault> {
    while let Some(piece) = inbound.blocking_recv() {
        if piece.is_empty() {
            return Ok(Some(()));
        }
        sink.encoded += piece.len() as u64;
        if sink.encoded > LARGEST_CHUNK {
            return Err(too_large());
        }
        if sink.write_all(&piece).is_err() {
            break;
        }
    }
    Ok(None)
}

fn gunzip_into(sink: &mut InflowSink, inbound: &mut mpsc::Receiver<Bytes>) -> Result<Option<()>, Fault> {
    let mut decoder = MultiGzDecoder::new(Bounded { sink, written: 0, limit: LARGEST_CHUNK });
    while let Some(piece) = inbound.blocking_recv() {
        decoder.get_mut().sink.encoded += piece.len() as u64;
        let result = if piece.is_empty() { decoder.try_finish() } else { decoder.write_all(&piece) };
        if let Err(error) = result {
            return if decoder.get_ref().sink.failed.is_some() {
                Ok(None)
            } else {
                Err(DecodeError::of(&error).fault())
            };
        }
        let Bounded { sink, written: decoded, .. } = decoder.get_ref();
        if *decoded > RATIO_FROM && *decoded / LARGEST_RATIO > sink.encoded {
            return Err(too_large());
        }
        if piece.is_empty() {
            return Ok(Some(()));
        }
    }
    Ok(None)
}

/// Writes one chunk into the spool, and keeps the error, which an `io::Error` could not carry.
struct InflowSink {
    inflow: Inflow,
    /// Encoded bytes the chunk is said to have; 0 if it is not said.
    stated: u64,
    /// Encoded bytes that came of it.
    encoded: u64,
    /// Decoded bytes that came of it.
    written: u64,
    /// How many of them had come at the last look at the disk.
    looked: u64,
    failed: Option<BodyError>,
}

impl InflowSink {
    fn take(&mut self, bytes: &[u8]) -> Result<(), BodyError> {
        self.inflow.intake.write(bytes)?;
        self.written += bytes.len() as u64;
        if self.written - self.looked >= LOOK_EVERY { self.look() } else { Ok(()) }
    }

    fn look(&mut self) -> Result<(), BodyError> {
        self.looked = self.written;
        let Inflow { claim, arrived, .. } = &mut self.inflow;
        claim.correct(*arrived + self.written);
        if claim.is_above_floor() {
            return Ok(());
        }
        let encoded = self.encoded.max(1);
        let seems = u128::from(self.written) * u128::from(self.stated.max(encoded)) / u128::from(encoded);
        Err(BodyError::AtFloor(u64::try_from(seems).unwrap_or(u64::MAX)))
    }
}

impl Write for InflowSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.take(bytes).map(|()| bytes.len()).map_err(|error| {
            self.failed = Some(error);
            io::Error::other("spool")
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Passes on at most `limit` bytes.
struct Bounded<W> {
    sink: W,
    written: u64,
    limit: u64,
}

impl<W: Write> Write for Bounded<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written += bytes.len() as u64;
        if self.written > self.limit {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "limit"));
        }
        self.sink.write_all(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DecodeError {
    TooLarge,
    NotGzip,
}

impl DecodeError {
    fn of(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::FileTooLarge { Self::TooLarge } else { Self::NotGzip }
    }

    fn fault(self) -> Fault {
        match self {
            Self::TooLarge => too_large(),
            Self::NotGzip => not_gzip(),
        }
    }
}

fn too_large() -> Fault {
    Fault::message(
        FaultCode::MsgTooLarge,
        format!("a chunk decodes to more than {LARGEST_CHUNK} bytes, or expands more than {LARGEST_RATIO} times"),
    )
}

fn not_gzip() -> Fault {
    Fault::message(FaultCode::MsgBadEncoding, "Content-Encoding says gzip, the body is not whole gzip")
}
