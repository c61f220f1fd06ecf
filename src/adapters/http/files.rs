//! Certificate, key and CA bundle, from their files to a TLS configuration.
//!
//! Guarantees that a pair which is returned works together, and that every error names the file, what was expected
//! and nothing of its content. Blocking: a few small reads.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::certificates::Certificate;
use super::presented::{Noting, Presented};

/// No certificate, key or bundle is larger; a path pointed at something else must not fill the memory.
const LARGEST_FILE: u64 = 4 * 1024 * 1024;

/// Where the certificates are.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The trust anchors, PEM, one or more. Expired ones among them are accepted (mesh-api 2).
    pub ca: PathBuf,
    /// Who we are; without it no client certificate is shown.
    pub identity: Option<Identity>,
    /// systemd's directory of credentials (`$CREDENTIALS_DIRECTORY`): it opens for the service alone, and the group
    /// bits of a file in it may be the mask of an access list, so they are not held against a key there.
    pub credentials_directory: Option<PathBuf>,
}

/// A client certificate and its private key.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate and its chain, PEM, own certificate first.
    pub certificate: PathBuf,
    /// Its private key, PEM, not encrypted, readable by its owner only.
    pub key: PathBuf,
}

/// Why the files cannot be used. Never repeats what is in them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: expected {expected}, but {problem}", path = path.display())]
pub struct FileError {
    /// The file at fault.
    pub path: PathBuf,
    /// What should be there.
    pub expected: &'static str,
    /// What is there instead.
    pub problem: String,
}

/// What the files gave.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) config: ClientConfig,
    /// Own certificate first; empty without an identity.
    pub(super) client_chain: Vec<Certificate>,
    pub(super) anchors: Vec<Certificate>,
    pub(super) presented: Presented,
}

/// How the files look from outside: if this is the same, they are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Look(Vec<Option<FileLook>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct FileLook {
    inode: u64,
    size: u64,
    mode: u32,
    modified: (i64, i64),
    changed: (i64, i64),
}

const ANCHORS: &str = "a PEM bundle of one or more CA certificates";
const CERTIFICATE: &str = "a client certificate in PEM, followed by its chain if it has one";
const KEY: &str = "an unencrypted private key in PEM";
const KEY_MODE: &str = "a private key that only its owner can read (mode 0600 or 0400)";

impl TlsFiles {
    /// How the files look now. A missing one is a look, too.
    pub(super) fn look(&self) -> Look {
        let identity = self.identity.iter().flat_map(|pair| [&pair.certificate, &pair.key]);
        Look(std::iter::once(&self.ca).chain(identity).map(|path| FileLook::at(path)).collect())
    }

    /// Reads and checks them all.
    pub(super) fn load(&self) -> Result<Loaded, FileError> {
        let anchors = certificates(&self.ca, ANCHORS)?;
        let mut roots = RootCertStore::empty();
        let (usable, _) = roots.add_parsable_certificates(anchors.iter().cloned());
        if usable == 0 {
            return Err(file_error(&self.ca, ANCHORS, "none of its certificates can be an anchor"));
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let presented = Presented::default();
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|error| file_error(&self.ca, ANCHORS, error))?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| file_error(&self.ca, ANCHORS, format!("TLS cannot be set up: {error}")))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Noting { inner, presented: presented.clone() }));
        let (mut config, client_chain) = match &self.identity {
            None => (builder.with_no_client_auth(), Vec::new()),
            Some(identity) => {
                let chain = certificates(&identity.certificate, CERTIFICATE)?;
                let known = chain.iter().filter_map(Certificate::of).collect();
                let key = self.key(&identity.key)?;
                let config = builder.with_client_auth_cert(chain, key).map_err(|error| {
                    let certificate = identity.certificate.display();
                    let problem = if matches!(error, rustls::Error::InconsistentKeys(_)) {
                        format!("it belongs to another than {certificate}")
                    } else {
                        format!("with {certificate} it gives: {error}")
                    };
                    file_error(&identity.key, "the private key of the client certificate", problem)
                })?;
                (config, known)
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let anchors = anchors.iter().filter_map(Certificate::of).collect();
        Ok(Loaded { config, client_chain, anchors, presented })
    }

    fn key(&self, path: &Path) -> Result<PrivateKeyDer<'static>, FileError> {
        let metadata = path.metadata().map_err(|error| file_error(path, KEY, error))?;
        let is_credential = self.credentials_directory.as_ref().is_some_and(|directory| path.starts_with(directory));
        let forbidden = if is_credential { 0o007 } else { 0o077 };
        if metadata.mode() & forbidden != 0 {
            return Err(file_error(path, KEY_MODE, format!("its mode is {:04o}", metadata.mode() & 0o7777)));
        }
        let text = zeroize::Zeroizing::new(read(path, KEY)?);
        PrivateKeyDer::from_pem_slice(&text).map_err(|_| file_error(path, KEY, "none is in it"))
    }
}

fn certificates(path: &Path, expected: &'static str) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let text = read(path, expected)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|_| file_error(path, expected, "its PEM is damaged"))?;
    if found.is_empty() {
        return Err(file_error(path, expected, "no certificate is in it"));
    }
    Ok(found)
}

fn read(path: &Path, expected: &'static str) -> Result<Vec<u8>, FileError> {
    use std::io::Read;
    let file = std::fs::File::open(path).map_err(|error| file_error(path, expected, error))?;
    let mut bytes = Vec::new();
    file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(|error| file_error(path, expected, error))?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(file_error(path, expected, format!("it is larger than {LARGEST_FILE} bytes")));
    }
    Ok(bytes)
}

fn file_error(path: &Path, expected: &'static str, problem: impl ToString) -> FileError {
    FileError { path: path.to_owned(), expected, problem: problem.to_string() }
}

impl FileLook {
    fn at(path: &Path) -> Option<Self> {
        let metadata = path.metadata().ok()?;
        Some(Self {
            inode: metadata.ino(),
            size: metadata.size(),
            mode: metadata.mode(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
