//! Java's own keystore format, JKS, versions 1 and 2. Big-endian; a text is its length in two bytes, then modified UTF-8.
//!
//! ```text
//! FEEDFEED  version:4  count:4
//!   entry of a private key   00000001  alias:text  date:8  length:4 protected key  chain:4  certificate...
//!   trusted certificate      00000002  alias:text  date:8  certificate
//!   certificate              [type:text, from version 2]  length:4 DER
//! digest:20                  SHA-1 of the password, "Mighty Aphrodite", and everything before
//! ```
//!
//! The password is digested as UTF-16, big-endian. A protected key is an `EncryptedPrivateKeyInfo` whose algorithm is
//! Sun's own, 1.3.6.1.4.1.42.2.17.1.1, and whose bytes are `salt:20`, the PKCS#8 key XORed with a key stream, and
//! `check:20`, the SHA-1 of password and key. The stream's first block is the SHA-1 of password and salt, each next one
//! that of password and the block before. The format has no public specification: it is as `JavaKeyStore` and
//! `KeyProtector` of OpenJDK (`sun.security.provider`) read and write it, and the tests read what keytool wrote.
//!
//! Both digests are verified. No error says anything of password or key.

use aws_lc_rs::digest::{Context, Digest, SHA1_FOR_LEGACY_USE_ONLY};
use x509_parser::asn1_rs::{FromDer, OctetString, Sequence};
use x509_parser::x509::AlgorithmIdentifier;
use zeroize::Zeroizing;

use super::keystore::{Contained, Key, Trust, Unreadable};

/// What a file in this format begins with.
pub(super) const MAGIC: [u8; 4] = [0xfe, 0xed, 0xfe, 0xed];

const DIGEST: usize = 20;
const SALT: usize = 20;
const KEY_ENTRY: u32 = 1;
const TRUSTED_ENTRY: u32 = 2;
const SUN_KEY_PROTECTOR: &str = "1.3.6.1.4.1.42.2.17.1.1";
const CERTIFICATE_TYPES: [&str; 2] = ["X.509", "X509"];

/// Reads a whole keystore, and opens its keys with the password of the store, as the client has no other.
pub(super) fn read(bytes: &[u8], password: &str) -> Result<Contained, Unreadable> {
    let password: Zeroizing<Vec<u8>> = Zeroizing::new(password.encode_utf16().flat_map(u16::to_be_bytes).collect());
    let Some((body, digest)) = bytes.split_last_chunk::<DIGEST>() else { return Err(Unreadable::Damaged) };
    // First of all: without it nothing else of the file means anything.
    if sha1(&[&password, b"Mighty Aphrodite", body]).as_ref() != digest {
        return Err(Unreadable::Password);
    }
    let mut rest = Rest(body);
    if rest.take(MAGIC.len())? != MAGIC {
        return Err(Unreadable::Damaged);
    }
    let version = rest.number()?;
    if !(1..=2).contains(&version) {
        return Err(Unreadable::Unsupported("it is a JKS of a version after 2"));
    }
    let mut contained = Contained::default();
    for _ in 0..rest.number()? {
        let tag = rest.number()?;
        let alias = rest.text()?;
        rest.take(8)?;
        match tag {
            KEY_ENTRY => {
                let length = rest.number()?;
                let pkcs8 = unprotect(rest.take_long(length)?, &password)?;
                for _ in 0..rest.number()? {
                    contained.certificates.push((rest.certificate(version)?, Trust::InChain));
                }
                contained.keys.push(Key { alias, pkcs8 });
            }
            TRUSTED_ENTRY => contained.certificates.push((rest.certificate(version)?, Trust::Anchor)),
            _ => return Err(Unreadable::Unsupported("it is a JKS with entries of another kind")),
        }
    }
    if rest.0.is_empty() { Ok(contained) } else { Err(Unreadable::Damaged) }
}

/// What is left to read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Unreadable> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Unreadable::Damaged)?;
        self.0 = rest;
        Ok(taken)
    }

    fn take_long(&mut self, count: u32) -> Result<&'a [u8], Unreadable> {
        self.take(usize::try_from(count).map_err(|_| Unreadable::Damaged)?)
    }

    fn number(&mut self) -> Result<u32, Unreadable> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Unreadable::Damaged)?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*taken))
    }

    fn text(&mut self) -> Result<String, Unreadable> {
        let (length, rest) = self.0.split_first_chunk().ok_or(Unreadable::Damaged)?;
        self.0 = rest;
        // Modified UTF-8 is another than UTF-8 for U+0000 and beyond U+FFFF alone: in a name, nothing to fail at.
        Ok(String::from_utf8_lossy(self.take(u16::from_be_bytes(*length).into())?).into_owned())
    }

    fn certificate(&mut self, version: u32) -> Result<Vec<u8>, Unreadable> {
        if version == 2 && !CERTIFICATE_TYPES.contains(&self.text()?.as_str()) {
            return Err(Unreadable::Unsupported("one of its certificates is none of X.509"));
        }
        let length = self.number()?;
        Ok(self.take_long(length)?.to_vec())
    }
}

/// The key as PKCS#8.
fn unprotect(protected: &[u8], password: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unreadable> {
    let (algorithm, hidden) = encrypted_private_key_info(protected).ok_or(Unreadable::Damaged)?;
    if algorithm != SUN_KEY_PROTECTOR {
        return Err(Unreadable::Unsupported("its key is protected in a way that is not JKS's own"));
    }
    let (salt, hidden) = hidden.split_at_checked(SALT).ok_or(Unreadable::Damaged)?;
    let (hidden, check) = hidden.split_last_chunk::<DIGEST>().ok_or(Unreadable::Damaged)?;
    let mut key = Zeroizing::new(hidden.to_vec());
    let mut block = Zeroizing::new(salt.to_vec());
    for part in key.chunks_mut(DIGEST) {
        let next = sha1(&[password, &block]);
        block.copy_from_slice(next.as_ref());
        for (byte, mask) in part.iter_mut().zip(block.iter()) {
            *byte ^= mask;
        }
    }
    if sha1(&[password, &key]).as_ref() == check { Ok(key) } else { Err(Unreadable::KeyPassword) }
}

/// Its algorithm and its bytes.
fn encrypted_private_key_info(der: &[u8]) -> Option<(String, Vec<u8>)> {
    let (_, outer) = Sequence::from_der(der).ok()?;
    let (rest, algorithm) = AlgorithmIdentifier::from_der(&outer.content).ok()?;
    let (_, bytes) = OctetString::from_der(rest).ok()?;
    Some((algorithm.algorithm.to_id_string(), bytes.into_cow().into_owned()))
}

fn sha1(parts: &[&[u8]]) -> Digest {
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    for part in parts {
        context.update(part);
    }
    context.finish()
}
