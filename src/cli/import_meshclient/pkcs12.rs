//! PKCS#12 (RFC 7292), in which Java keeps its keystores since version 9.

use p12_keystore::{Pkcs12Archive, error::Error};
use zeroize::Zeroizing;

use super::keystore::{Contained, Key, Trust, Unreadable};

/// How its DER begins: a SEQUENCE.
pub(super) const FIRST_BYTE: u8 = 0x30;

/// Reads a whole keystore with its one password.
pub(super) fn read(bytes: &[u8], password: &str) -> Result<Contained, Unreadable> {
    let archive = Pkcs12Archive::from_pkcs12(bytes, password).map_err(unreadable)?;
    let keys = archive.keys.into_iter().map(|bag| Key {
        alias: bag.friendly_name.unwrap_or_default(),
        pkcs8: Zeroizing::new(bag.key.as_der().to_vec()),
    });
    let certificates = archive.certs.into_iter().map(|bag| {
        let trust = if bag.trusted { Trust::Anchor } else { Trust::InChain };
        (bag.cert.as_der().to_vec(), trust)
    });
    Ok(Contained { keys: keys.collect(), certificates: certificates.collect() })
}

/// The crate's own words are for developers, and are not promised to keep secrets.
fn unreadable(error: Error) -> Unreadable {
    match error {
        Error::MacError(_) | Error::UnpadError | Error::Pkcs5Error(_) | Error::InvalidPrivateKey => {
            Unreadable::Password
        }
        Error::UnsupportedContentType
        | Error::UnsupportedCertificateType
        | Error::UnsupportedEncryptionScheme
        | Error::UnsupportedMacAlgorithm
        | Error::InvalidParameters
        | Error::InvalidVersion => Unreadable::Unsupported("it is a PKCS#12 with a cipher or content not known here"),
        Error::IoError(_) | Error::DerError(_) | Error::X509Error(_) | Error::InvalidLength | Error::InvalidData => {
            Unreadable::Damaged
        }
    }
}
