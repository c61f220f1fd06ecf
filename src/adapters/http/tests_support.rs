//! Certificates for this folder's tests.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

/// A test authority.
pub(in crate::adapters) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// Valid until the first day of `until`.
    pub(in crate::adapters) fn new(name: &str, until: i32) -> Self {
        let mut params = params(name, until);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a self-signed certificate"))
    }

    pub(in crate::adapters) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate and its key, as PEM.
    pub(in crate::adapters) fn issue(&self, name: &str, until: i32) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let certificate = params(name, until).signed_by(&key, &self.0).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }
}

fn params(name: &str, until: i32) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(1999, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    params
}

/// Replaces a file as a rotation does: by rename, so that its inode changes.
#[expect(clippy::disallowed_methods, reason = "a test's own file, with no promise attached")]
pub(in crate::adapters) fn write(path: &Path, content: &str, mode: u32) {
    let new = path.with_extension("new");
    std::fs::write(&new, content).expect("write the file");
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(mode)).expect("set its mode");
    std::fs::rename(&new, path).expect("put it in place");
}
