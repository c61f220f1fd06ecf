//! A throw-away certificate authority: mutual TLS as MESH demands it (mesh-api 2), for loopback only.
//!
//! Keys are made afresh at each start and trusted by nobody else.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::SimulatorError;
use crate::adapters::http::TEST_AUTHORITY;

/// The common name of the client certificate unless another is asked for (mesh-api 2).
pub const CLIENT_NAME: &str = "SERVER001.X26.api.mesh-client.nhs.uk";

/// A certificate with its private key, both PEM.
#[derive(Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate_pem: String,
    /// Its PKCS#8 key.
    pub key_pem: String,
}

/// From and until when a certificate is valid: year, month, day, at midnight UTC.
#[derive(Debug, Clone, Copy)]
pub struct Validity {
    /// First day.
    pub from: (i32, u8, u8),
    /// Day it ends.
    pub until: (i32, u8, u8),
}

impl Default for Validity {
    fn default() -> Self {
        Self { from: (2020, 1, 1), until: (2099, 1, 1) }
    }
}

/// The authority that signs both ends.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A new authority with a new key.
    pub fn new() -> Result<Self, SimulatorError> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, TEST_AUTHORITY);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(Self(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    /// The authority's certificate: what a client trusts.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A server certificate for these names or addresses.
    pub fn server(&self, names: &[&str], validity: Validity) -> Result<Identity, SimulatorError> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        self.issue(CertificateParams::new(names)?, "simulated MESH", ExtendedKeyUsagePurpose::ServerAuth, validity)
    }

    /// A client certificate with this common name.
    pub fn client(&self, common_name: &str, validity: Validity) -> Result<Identity, SimulatorError> {
        self.issue(CertificateParams::default(), common_name, ExtendedKeyUsagePurpose::ClientAuth, validity)
    }

    fn issue(
        &self,
        mut params: CertificateParams,
        common_name: &str,
        usage: ExtendedKeyUsagePurpose,
        validity: Validity,
    ) -> Result<Identity, SimulatorError> {
        let day = |(year, month, day)| date_time_ymd(year, month, day);
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.extended_key_usages = vec![usage];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = (day(validity.from), day(validity.until));
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &*self.0)?;
        Ok(Identity { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }

    /// TLS 1.2 and 1.3 for `server`, for clients that this authority signed and for no others.
    pub(super) fn server_tls(&self, server: &Identity) -> Result<ServerConfig, SimulatorError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone())?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|problem| SimulatorError::Tls(problem.to_string()))?;
        let chain = vec![CertificateDer::from_pem_slice(server.certificate_pem.as_bytes())?];
        let key = PrivateKeyDer::from_pem_slice(server.key_pem.as_bytes())?;
        let mut tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(tls)
    }
}

/// Where [`super::Simulator::write_client_files`] put what a client needs.
#[derive(Debug, Clone, serde::Serialize)]
pub struct ClientFiles {
    /// The authority's certificate.
    pub ca: PathBuf,
    /// The client's certificate.
    pub client_certificate: PathBuf,
    /// The client's key, readable by its owner only.
    pub client_key: PathBuf,
}

impl ClientFiles {
    /// Where they are in this folder.
    pub fn under(folder: &Path) -> Self {
        Self {
            ca: folder.join("ca.pem"),
            client_certificate: folder.join("client.pem"),
            client_key: folder.join("client.key"),
        }
    }
}

/// Writes `ca.pem`, `client.pem` and `client.key` into `folder`, made if it is missing. Replaces what is there.
pub(super) fn write_client_files(folder: &Path, ca_pem: &str, client: &Identity) -> io::Result<ClientFiles> {
    fs::create_dir_all(folder)?;
    let write = |path: &Path, text: &str| {
        if path.exists() {
            // A key of an earlier start may have another mode or owner: a new file has neither.
            fs::remove_file(path)?;
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())
    };
    let files = ClientFiles::under(folder);
    write(&files.ca, ca_pem)?;
    write(&files.client_certificate, &client.certificate_pem)?;
    write(&files.client_key, &client.key_pem)?;
    Ok(files)
}
