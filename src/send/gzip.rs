//! One gzip member (RFC 1952), made by several cores at once and in constant memory.
//!
//! Blocks are deflated side by side, each by itself and ended on a byte boundary, and follow each other in their order;
//! behind the last comes an empty one that ends the member. Whoever reads it sees one stream as any other, a thousandth
//! longer than if one core had made it.

use std::io;

use bytes::Bytes;
use flate2::{Compress, Compression, Crc, FlushCompress};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};

/// Bytes that one core deflates at a time.
pub(super) const BLOCK: usize = 1024 * 1024;

/// Magic, deflate, no flags, no time, no level, of no known system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// An empty last block.
const LAST: [u8; 2] = [0x03, 0x00];

/// `blocks`, compressed; an error among them ends it.
pub(super) fn compressed(blocks: BoxStream<'static, io::Result<Bytes>>) -> BoxStream<'static, io::Result<Bytes>> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let deflated = blocks.map(|block| async move {
        let block = block?;
        tokio::task::spawn_blocking(move || deflate(&block)).await.map_err(io::Error::other)?
    });
    let member = Member { deflated: deflated.buffered(cores).boxed(), crc: Crc::new(), place: Place::Header };
    stream::unfold(member, Member::next).boxed()
}

/// A member on its way out.
struct Member {
    deflated: BoxStream<'static, io::Result<(Bytes, Crc)>>,
    /// Of what was deflated so far.
    crc: Crc,
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Header,
    Blocks,
    End,
}

impl Member {
    async fn next(mut self) -> Option<(io::Result<Bytes>, Self)> {
        let bytes = match self.place {
            Place::Header => {
                self.place = Place::Blocks;
                Ok(Bytes::from_static(&HEADER))
            }
            Place::Blocks => match self.deflated.next().await {
                Some(Ok((bytes, crc))) => {
                    self.crc.combine(&crc);
                    Ok(bytes)
                }
                Some(Err(error)) => {
                    self.place = Place::End;
                    Err(error)
                }
                None => {
                    self.place = Place::End;
                    Ok(self.trailer())
                }
            },
            Place::End => return None,
        };
        Some((bytes, self))
    }

    fn trailer(&self) -> Bytes {
        let mut trailer = LAST.to_vec();
        trailer.extend(self.crc.sum().to_le_bytes());
        // The length modulo 2^32, as the format has it.
        trailer.extend(self.crc.amount().to_le_bytes());
        trailer.into()
    }
}

fn deflate(block: &[u8]) -> io::Result<(Bytes, Crc)> {
    let mut crc = Crc::new();
    crc.update(block);
    let mut deflater = Compress::new(Compression::default(), false);
    // What cannot be compressed grows by some bytes for each 16 KB.
    let mut out = Vec::with_capacity(block.len() + block.len() / 1_000 + 64);
    loop {
        let rest = block.get(deflater.total_in() as usize..).unwrap_or_default();
        deflater.compress_vec(rest, &mut out, FlushCompress::Sync).map_err(io::Error::other)?;
        // With room left everything is out.
        if out.len() < out.capacity() {
            return Ok((out.into(), crc));
        }
        out.reserve(BLOCK);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::bufread::GzDecoder;
    use proptest::prelude::*;

    use super::*;

    fn pack(blocks: Vec<Vec<u8>>) -> Vec<u8> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let mut packed = compressed(stream::iter(blocks.into_iter().map(|block| Ok(block.into()))).boxed());
            let mut bytes = Vec::new();
            while let Some(piece) = packed.next().await {
                bytes.extend_from_slice(&piece.expect("it compresses"));
            }
            bytes
        })
    }

    proptest! {
        /// A reader of a single member, such as Java's of old, sees all of it.
        #[test]
        fn blocks_make_one_member(
            blocks in proptest::collection::vec(
                prop_oneof![
                    proptest::collection::vec(any::<u8>(), 0..5_000),
                    (any::<u8>(), 0..200_000_usize).prop_map(|(byte, length)| vec![byte; length]),
                ],
                0..6,
            )
        ) {
            let packed = pack(blocks.clone());
            let (mut read, mut reader) = (Vec::new(), GzDecoder::new(&packed[..]));
            reader.read_to_end(&mut read).expect("it reads");
            prop_assert_eq!(read, blocks.concat());
            prop_assert!(reader.into_inner().is_empty(), "nothing is behind the member");
        }
    }

    #[test]
    fn what_cannot_be_compressed_hardly_grows() {
        let mut state = 1_u64;
        let block: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u8
        })
        .take(BLOCK)
        .collect();
        let packed = pack(vec![block.clone(), block]);
        assert!(packed.len() < 2 * BLOCK + 2 * BLOCK / 100, "{} bytes", packed.len());
    }

    #[tokio::test]
    async fn an_error_is_the_end() {
        let blocks = [Ok(Bytes::from_static(b"some")), Err(io::Error::other("it does not open"))];
        let pieces: Vec<_> = compressed(stream::iter(blocks).boxed()).collect().await;
        assert!(pieces.last().is_some_and(Result::is_err));
        assert_eq!(pieces.iter().filter(|piece| piece.is_err()).count(), 1);
    }
}
