//! A payload, cut into the requests of one message: the plain bytes are cut first, and each piece is compressed by
//! itself (mesh-api 8).
//!
//! One reader goes from piece to piece, so that a message is read once. No piece is whole in memory (I3).

use std::io::{self, Read};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::sync::{mpsc, oneshot};

use super::gzip::{BLOCK, compressed};
use crate::ports::inbox::Encoding;
use crate::ports::outbox::Piece;
use crate::ports::spool::Payload;

/// Read, and handed to a request, at a time.
const SLICE: usize = 128 * 1024;
/// Handed over and not yet on the wire.
const SLICES_AHEAD: usize = 4;

/// The pieces of one payload that are still to come.
pub(super) struct Pieces {
    payload: Payload,
    /// Plain bytes in each but the last.
    chunk: u64,
    encoding: Encoding,
    /// The last that was cut.
    number: u32,
    total: u32,
    /// Comes back from the piece before, once that was read.
    reader: Option<oneshot::Receiver<Box<dyn Read + Send>>>,
}

impl Pieces {
    /// All pieces of `payload` after the first `sent`.
    pub(super) fn after(sent: u32, payload: Payload, chunk: u64, encoding: Encoding) -> Self {
        let total = u32::try_from(payload.length().div_ceil(chunk.max(1))).unwrap_or(u32::MAX).max(1);
        Self { payload, chunk: chunk.max(1), encoding, number: sent, total, reader: None }
    }

    /// How many there are in all.
    pub(super) fn total(&self) -> u32 {
        self.total
    }

    /// The next one; none after the last.
    pub(super) async fn next(&mut self) -> Option<Piece> {
        if self.number >= self.total {
            return None;
        }
        let before = match self.reader.take() {
            Some(reader) => reader.await.ok(),
            None => None,
        };
        self.number += 1;
        let from = u64::from(self.number - 1) * self.chunk;
        let length = self.chunk.min(self.payload.length().saturating_sub(from));
        let (size, ahead) = match self.encoding {
            Encoding::Plain => (SLICE, SLICES_AHEAD),
            Encoding::Gzip => (BLOCK, 1),
        };
        let (slices, mut ready) = mpsc::channel::<io::Result<Bytes>>(ahead);
        let (give_back, reader) = oneshot::channel();
        let payload = self.payload.clone();
        tokio::task::spawn_blocking(move || {
            let cut = || -> io::Result<Box<dyn Read + Send>> {
                let mut reader = match before {
                    Some(reader) => reader,
                    None => at(&payload, from)?,
                };
                slice(&mut *reader, length, size, |bytes| {
                    let given_up = |_| io::Error::new(io::ErrorKind::BrokenPipe, "the request has ended");
                    slices.blocking_send(Ok(bytes)).map_err(given_up)
                })?;
                Ok(reader)
            };
            match cut() {
                // Nobody waits for it after the last piece.
                Ok(reader) => drop(give_back.send(reader)),
                // Nor for the error, if the request has ended.
                Err(error) => drop(slices.blocking_send(Err(error))),
            }
        });
        self.reader = Some(reader);
        let plain = stream::poll_fn(move |context| ready.poll_recv(context)).boxed();
        let (length, body) = match self.encoding {
            Encoding::Plain => (Some(length), plain),
            Encoding::Gzip => (None, compressed(plain)),
        };
        Some(Piece { number: self.number, total: self.total, length, encoding: self.encoding, body })
    }
}

/// A reader that has passed the first `from` bytes.
fn at(payload: &Payload, from: u64) -> io::Result<Box<dyn Read + Send>> {
    let mut reader = payload.reader()?;
    slice(&mut *reader, from, SLICE, |_| Ok(()))?;
    Ok(reader)
}

/// Takes exactly `length` bytes, `size` at a time.
fn slice(
    reader: &mut dyn Read,
    length: u64,
    size: usize,
    mut take: impl FnMut(Bytes) -> io::Result<()>,
) -> io::Result<()> {
    let mut left = length;
    while left > 0 {
        let mut bytes = vec![0; usize::try_from(left).unwrap_or(size).min(size)];
        reader.read_exact(&mut bytes)?;
        left -= bytes.len() as u64;
        take(bytes.into())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flate2::read::MultiGzDecoder;

    use super::*;
    use crate::ports::spool::PayloadSource;

    struct Held(Vec<u8>);

    impl PayloadSource for Held {
        fn reader(&self) -> io::Result<Box<dyn Read + Send>> {
            Ok(Box::new(io::Cursor::new(self.0.clone())))
        }
    }

    fn payload(bytes: &[u8]) -> Payload {
        Payload::new(bytes.len() as u64, Arc::new(Held(bytes.to_vec())))
    }

    async fn cut(mut pieces: Pieces) -> Vec<(u32, Option<u64>, Vec<u8>)> {
        let mut found = Vec::new();
        while let Some(mut piece) = pieces.next().await {
            let mut bytes = Vec::new();
            while let Some(slice) = piece.body.next().await {
                bytes.extend_from_slice(&slice.expect("it reads"));
            }
            assert_eq!(piece.total, pieces.total());
            found.push((piece.number, piece.length, bytes));
        }
        found
    }

    #[tokio::test]
    async fn the_pieces_are_the_payload_and_go_on_behind_what_was_sent() {
        let bytes: Vec<u8> = (0..1_000_003_u32).map(|number| (number % 251) as u8).collect();
        for chunk in [1, 7, 300_000, 1_000_003, 2_000_000] {
            let bytes = if chunk < 10 { &bytes[..100] } else { &bytes[..] };
            let plain = cut(Pieces::after(0, payload(bytes), chunk, Encoding::Plain)).await;
            assert_eq!(plain.iter().flat_map(|(_, _, bytes)| bytes.clone()).collect::<Vec<_>>(), bytes);
            assert!(plain.iter().all(|(_, length, bytes)| *length == Some(bytes.len() as u64)));
            let last = plain.len() as u32 - 1;
            assert_eq!(cut(Pieces::after(last, payload(bytes), chunk, Encoding::Plain)).await, plain[last as usize..]);
            let gzip = cut(Pieces::after(0, payload(bytes), chunk, Encoding::Gzip)).await;
            for ((_, length, packed), (_, _, plain)) in gzip.iter().zip(&plain) {
                let mut unpacked = Vec::new();
                MultiGzDecoder::new(&packed[..]).read_to_end(&mut unpacked).expect("each is gzip by itself");
                assert_eq!((&unpacked, *length), (plain, None));
            }
        }
    }

    #[tokio::test]
    async fn a_payload_that_ends_early_breaks_its_request() {
        let short = Payload::new(11, Arc::new(Held(b"ten bytes.".to_vec())));
        let mut piece = Pieces::after(0, short, 100, Encoding::Plain).next().await.expect("there is one");
        let mut slices = Vec::new();
        while let Some(slice) = piece.body.next().await {
            slices.push(slice.map_err(|error| error.kind()));
        }
        assert_eq!(slices.last(), Some(&Err(io::ErrorKind::UnexpectedEof)));
    }
}
