//! An age file, opened (age-encryption.org/v1, its binary form). What is sealed is authentic up to its end, or unsound.

use std::io::{self, BufReader, Cursor, Read};
use std::sync::Arc;

use age::x25519::Identity;
use age::{DecryptError, Decryptor};

use super::Undo;
use crate::domain::fault::{Fault, FaultCode};

/// What an age file starts with.
pub(in crate::pipeline) const MAGIC: &[u8] = b"age-encryption.org/v1\n";

/// The line that ends a header.
const HEADER_END: &[u8] = b"\n--- ";

/// A header is no longer: room for over a hundred recipients. The library has no bound of its own, and holds it whole.
const LONGEST_HEADER: u64 = 16 * 1024;

pub(super) struct Decrypt(pub(super) Arc<[Identity]>);

impl Undo for Decrypt {
    fn over(&self, mut inner: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
        let mut start = Vec::new();
        inner.by_ref().take(LONGEST_HEADER).read_to_end(&mut start)?;
        if !start.windows(HEADER_END.len()).any(|window| window == HEADER_END) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "an age header without an end"));
        }
        let whole = BufReader::with_capacity(super::PIECE, Cursor::new(start).chain(inner));
        let identities = self.0.iter().map(|identity| identity as &dyn age::Identity);
        match Decryptor::new_buffered(whole).and_then(|file| file.decrypt(identities)) {
            Ok(reader) => Ok(Box::new(reader)),
            Err(DecryptError::Io(error)) => Err(error),
            Err(error) => {
                let is_for_another = matches!(error, DecryptError::NoMatchingKeys);
                let kind = if is_for_another { io::ErrorKind::PermissionDenied } else { io::ErrorKind::InvalidData };
                Err(io::Error::new(kind, error.to_string()))
            }
        }
    }

    fn unsound(&self, error: &io::Error) -> Fault {
        let is_for_another = error.kind() == io::ErrorKind::PermissionDenied;
        let problem = if is_for_another { "it is sealed for another key" } else { "it is not a whole age file" };
        Fault::message(FaultCode::MsgNotDecryptable, problem)
    }
}

#[cfg(test)]
pub(in crate::pipeline) mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;
    use crate::pipeline::transform::prove;
    use crate::pipeline::transform::tests::payload;

    /// `bytes` as an age file for one recipient.
    pub(in crate::pipeline) fn seal(bytes: &[u8], identity: &Identity) -> Vec<u8> {
        let recipient = identity.to_public();
        let encryptor = age::Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient));
        let mut writer = encryptor.expect("a recipient").wrap_output(Vec::new()).expect("memory");
        writer.write_all(bytes).expect("memory");
        writer.finish().expect("memory")
    }

    #[test]
    fn only_a_whole_file_for_us_is_opened() {
        let (ours, theirs) = (Identity::generate(), Identity::generate());
        let undo = Decrypt(vec![ours.clone()].into());
        let good = seal(&[7; 200_000], &ours);
        assert_eq!(prove(&undo, &payload(good.clone()), 1 << 20), Ok(200_000));
        let mut spoilt = good.clone();
        *spoilt.last_mut().expect("it has bytes") ^= 1;
        let endless = [MAGIC, "-> X25519 a\n".repeat(100_000).as_bytes()].concat();
        for (input, problem) in [
            (seal(b"a letter", &theirs), "it is sealed for another key"),
            (good[..good.len() - 1].to_vec(), "it is not a whole age file"),
            (good[..100_000].to_vec(), "it is not a whole age file"),
            (spoilt, "it is not a whole age file"),
            (MAGIC.to_vec(), "it is not a whole age file"),
            (endless, "it is not a whole age file"),
        ] {
            let expected = Fault::message(FaultCode::MsgNotDecryptable, problem);
            assert_eq!(prove(&undo, &payload(input), 1 << 20), Err(expected));
        }
        let fault = prove(&undo, &payload(good), 1_000).expect_err("200,000 are more");
        assert_eq!(fault.code, FaultCode::MsgTooLarge);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(noise in proptest::collection::vec(any::<u8>(), 0..300), with_end: bool) {
            let end: &[u8] = if with_end { HEADER_END } else { b"" };
            let undo = Decrypt(vec![Identity::generate()].into());
            let input = [MAGIC, &noise, end, &noise].concat();
            prop_assert!(prove(&undo, &payload(input), 1 << 20).is_err());
        }
    }
}
