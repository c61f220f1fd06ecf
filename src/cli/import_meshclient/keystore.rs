//! The old client's keystore, from either format to the PEM files that meshd reads.
//!
//! Guarantees that key and certificate belong together. Nothing of the password or of a key is in any error.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use pem_rfc7468::{LineEnding, encode_string};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use x509_parser::certificate::X509Certificate;
use x509_parser::parse_x509_certificate;
use zeroize::Zeroizing;

use super::{jks, pkcs12};

/// No keystore with one key is longer.
const LONGEST: u64 = 4 << 20;

/// What a keystore holds.
#[derive(Default)]
pub(super) struct Contained {
    pub(super) keys: Vec<Key>,
    /// DER, in the order of the file.
    pub(super) certificates: Vec<(Vec<u8>, Trust)>,
}

/// A private key.
pub(super) struct Key {
    /// Its name in the keystore.
    pub(super) alias: String,
    pub(super) pkcs8: Zeroizing<Vec<u8>>,
}

/// What Java takes a certificate for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// A far side may prove itself by it.
    Anchor,
    /// It only goes with a key, or nobody said.
    InChain,
}

/// Why a keystore cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("neither JKS nor PKCS#12: `keytool -importkeystore -deststoretype PKCS12` makes one of another format")]
    Format,
    #[error("KeyStorePassword does not open it, or it is damaged")]
    Password,
    #[error("KeyStorePassword opens it, but not the private key in it")]
    KeyPassword,
    #[error("{0}: `keytool -importkeystore -deststoretype PKCS12` may make one that is read")]
    Unsupported(&'static str),
    #[error("it is damaged, or cut off")]
    Damaged,
}

/// Which format it was found to have, whatever its name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Jks,
    Pkcs12,
}

impl Format {
    fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [first, ..] if *first == pkcs12::FIRST_BYTE => Some(Self::Pkcs12),
            bytes if bytes.starts_with(&jks::MAGIC) => Some(Self::Jks),
            _ => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Jks => "JKS",
            Self::Pkcs12 => "PKCS#12",
        }
    }
}

/// What meshd needs of a keystore, as PEM.
pub(super) struct Converted {
    pub(super) format: Format,
    /// The name of the key that was taken.
    pub(super) alias: String,
    pub(super) key: Zeroizing<String>,
    /// The certificate, then those that lead to its authority.
    pub(super) certificates: String,
    pub(super) authorities: Authorities,
}

/// Those that the service's certificate must come from.
pub(super) enum Authorities {
    /// The keystore has them as trusted.
    Trusted(String),
    /// It has none, so they are those of our own certificate.
    Own(String),
    /// There are none in it.
    None,
}

/// Reads a keystore, and takes the key of the name, which may be left out where there is one.
pub(super) fn convert(path: &Path, password: &str, alias: Option<&str>) -> Result<Converted, anyhow::Error> {
    let named = || path.display().to_string();
    let file = File::open(path).with_context(named)?;
    if !file.metadata().with_context(named)?.is_file() {
        return Err(anyhow!("{}: it is no regular file", named()));
    }
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes).with_context(named)?;
    if bytes.len() as u64 > LONGEST {
        return Err(anyhow!("{}: it is longer than {LONGEST} bytes, which no keystore is", named()));
    }
    let format = Format::of(&bytes).ok_or(Unreadable::Format).with_context(named)?;
    let contained = match format {
        Format::Jks => jks::read(&bytes, password),
        Format::Pkcs12 => pkcs12::read(&bytes, password),
    };
    contained.with_context(named)?.into_pem(format, alias).with_context(named)
}

impl Contained {
    fn into_pem(mut self, format: Format, alias: Option<&str>) -> Result<Converted, anyhow::Error> {
        let Key { alias, pkcs8 } = self.take_key(alias)?;
        let parsed = self.certificates.iter().map(|(der, trust)| match parse_x509_certificate(der) {
            Ok((_, certificate)) => Ok(Parsed { der, certificate, trust: *trust }),
            Err(_) => Err(anyhow!("one of its certificates is damaged")),
        });
        let parsed: Vec<Parsed<'_>> = parsed.collect::<Result<_, _>>()?;
        let chain = chain(&pkcs8, &alias, &parsed)?;
        let beside = |wanted: &dyn Fn(&Parsed<'_>) -> bool| {
            let mut found: Vec<&[u8]> = Vec::new();
            for one in &parsed {
                if one.der != chain[0].der && wanted(one) && !found.contains(&one.der) {
                    found.push(one.der);
                }
            }
            found
        };
        let (trusted, own) = (beside(&|one| one.trust == Trust::Anchor), beside(&|one| one.certificate.is_ca()));
        let authorities = match (trusted.is_empty(), own.is_empty()) {
            (false, _) => Authorities::Trusted(certificates(&trusted)?),
            (true, false) => Authorities::Own(certificates(&own)?),
            (true, true) => Authorities::None,
        };
        // Whoever is shown the chain has its root already.
        let shown: Vec<&[u8]> =
            chain.iter().enumerate().filter(|(at, one)| *at == 0 || !one.is_root()).map(|(_, one)| one.der).collect();
        let key = Zeroizing::new(pem("PRIVATE KEY", &pkcs8)?);
        Ok(Converted { format, alias, key, certificates: certificates(&shown)?, authorities })
    }

    fn take_key(&mut self, alias: Option<&str>) -> Result<Key, anyhow::Error> {
        let names = self.keys.iter().map(|key| format!("{:?}", key.alias)).collect::<Vec<_>>().join(", ");
        let (mut wanted, _): (Vec<Key>, Vec<Key>) = std::mem::take(&mut self.keys)
            .into_iter()
            .partition(|key| alias.is_none_or(|alias| key.alias.eq_ignore_ascii_case(alias)));
        match (wanted.pop(), alias) {
            (Some(key), _) if wanted.is_empty() => Ok(key),
            (Some(_), _) => Err(anyhow!("which of its private keys? --key-alias with one of {names}")),
            (None, None) => Err(anyhow!("no private key is in it")),
            (None, Some(_)) if names.is_empty() => Err(anyhow!("no private key is in it")),
            (None, Some(_)) => Err(anyhow!("no private key of this name is in it: --key-alias with one of {names}")),
        }
    }
}

/// A certificate that was read.
struct Parsed<'a> {
    der: &'a [u8],
    certificate: X509Certificate<'a>,
    trust: Trust,
}

impl Parsed<'_> {
    fn is_root(&self) -> bool {
        self.certificate.subject().as_raw() == self.certificate.issuer().as_raw()
    }
}

/// The certificate of the key, and after it each one's authority, as far as they are there.
fn chain<'a, 'b>(pkcs8: &[u8], alias: &str, parsed: &'b [Parsed<'a>]) -> Result<Vec<&'b Parsed<'a>>, anyhow::Error> {
    let key = any_supported_type(&PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8)))
        .map_err(|_| anyhow!("its private key {alias:?} is of a kind or length that TLS does not take here"))?;
    let public = key.public_key().ok_or_else(|| anyhow!("its private key {alias:?} does not tell its public one"))?;
    let own = parsed.iter().find(|one| one.certificate.tbs_certificate.subject_pki.raw == public.as_ref());
    let mut chain = vec![own.ok_or_else(|| anyhow!("no certificate of the private key {alias:?} is in it"))?];
    while let Some(last) = chain.last().filter(|last| !last.is_root()) {
        let issuer = last.certificate.issuer().as_raw();
        let above = parsed.iter().find(|one| one.certificate.subject().as_raw() == issuer);
        match above.filter(|above| !chain.iter().any(|one| one.der == above.der)) {
            Some(above) => chain.push(above),
            None => break,
        }
    }
    Ok(chain)
}

fn certificates(ders: &[&[u8]]) -> Result<String, anyhow::Error> {
    ders.iter().map(|der| pem("CERTIFICATE", der)).collect()
}

/// RFC 7468.
fn pem(label: &str, der: &[u8]) -> Result<String, anyhow::Error> {
    encode_string(label, LineEnding::LF, der).map_err(|_| anyhow!("{label} cannot be written as PEM"))
}
