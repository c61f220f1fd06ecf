//! One layer of gzip, undone: one member or several (RFC 1952, 2.2), with their checksums, and nothing after them.
//!
//! What follows the last member and is no further one makes the stream unsound: it would be lost in silence.

use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use super::Undo;
use crate::domain::fault::{Fault, FaultCode};

/// What a gzip stream starts with: its magic and the only method there is (RFC 1952, 2.3.1).
pub(in crate::pipeline) const MAGIC: &[u8] = &[0x1f, 0x8b, 8];

pub(super) struct Gunzip;

impl Undo for Gunzip {
    fn over(&self, inner: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(MultiGzDecoder::new(BufReader::with_capacity(super::PIECE, inner))))
    }

    fn unsound(&self, error: &io::Error) -> Fault {
        let is_cut = error.kind() == io::ErrorKind::UnexpectedEof;
        let problem = if is_cut { "it ends within its gzip stream" } else { "it is not sound gzip" };
        Fault::message(FaultCode::MsgBadCompression, problem)
    }
}

#[cfg(test)]
pub(in crate::pipeline) mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use crate::domain::fault::Fault;
    use crate::domain::fault::FaultCode;
    use crate::domain::output::Transform;
    use crate::pipeline::keyring::Keyring;
    use crate::pipeline::transform;
    use crate::pipeline::transform::tests::{bytes, payload};
    use crate::ports::spool::Payload;

    /// `bytes` as one gzip member.
    pub(in crate::pipeline) fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    fn apply(transform: &Transform, payload: &Payload) -> Result<Payload, Fault> {
        transform::apply(transform, payload, &Keyring::default())
    }

    const WIDE: Transform = Transform::Gunzip { max_bytes: 1 << 30, max_ratio: 2_000 };

    #[test]
    fn several_members_are_one_payload() {
        let whole = apply(&WIDE, &payload([gzip(b"one "), gzip(b"two")].concat())).expect("sound");
        assert_eq!(bytes(&whole), b"one two");
        assert_eq!(bytes(&whole), b"one two", "it reads again from its start");
    }

    #[test]
    fn only_one_layer_is_undone() {
        let inner = gzip(b"twice");
        assert_eq!(bytes(&apply(&WIDE, &payload(gzip(&inner))).expect("sound")), inner);
    }

    #[test]
    fn what_is_unsound_anywhere_is_a_fault_of_the_message() {
        let good = gzip(&(0..=255).cycle().take(100_000).collect::<Vec<u8>>());
        let mut wrong_checksum = good.clone();
        let at = wrong_checksum.len() - 6;
        wrong_checksum[at] ^= 1;
        for (what, bad) in [
            ("cut in its end", good[..good.len() - 1].to_vec()),
            ("cut in its header", good[..5].to_vec()),
            ("a wrong checksum", wrong_checksum),
            ("something after it", [good.as_slice(), b"tail"].concat()),
        ] {
            let fault = apply(&WIDE, &payload(bad)).err().expect(what);
            assert_eq!(fault.code, FaultCode::MsgBadCompression, "{what}");
        }
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        let bomb = payload(gzip(&vec![0; 8 << 20]));
        for (max_bytes, max_ratio) in [(1 << 20, 2_000), (1 << 30, 100)] {
            let fault = apply(&Transform::Gunzip { max_bytes, max_ratio }, &bomb).err().expect("too large");
            assert_eq!(fault.code, FaultCode::MsgTooLarge);
        }
        assert_eq!(apply(&WIDE, &bomb).expect("allowed").length(), 8 << 20);
    }

    proptest! {
        #[test]
        fn every_payload_comes_back_as_it_was(original in proptest::collection::vec(any::<u8>(), 0..5000)) {
            let whole = apply(&WIDE, &payload(gzip(&original))).expect("sound");
            prop_assert_eq!(bytes(&whole), original);
        }

        #[test]
        fn no_bytes_make_it_panic(noise in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut input = super::MAGIC.to_vec();
            input.extend(noise);
            if let Ok(whole) = apply(&WIDE, &payload(input)) {
                bytes(&whole);
            }
        }
    }
}
