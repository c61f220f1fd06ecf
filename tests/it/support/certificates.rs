//! A certificate authority with a server and a client, as files (mesh-api 14.5).

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd,
};

/// Paths of what was made.
pub(crate) struct Files {
    pub(crate) authority: Authority,
    pub(crate) ca: PathBuf,
    pub(crate) server: Pair,
    pub(crate) client: Pair,
}

/// A certificate and its key.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// What can be wrong with the server's certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    Good,
    Expired,
    NotYetValid,
    OtherName,
}

/// A test authority.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = params("Test MESH CA", &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate"))
    }

    pub(crate) fn write(&self, path: &Path) {
        write(path, &self.0.pem());
    }

    /// A client certificate, named as NHS names them (mesh-api 2).
    pub(crate) fn client(&self, directory: &Path, name: &str) -> Pair {
        let mut params = params("SERVER001.X26.api.mesh-client.nhs.uk", &[]);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params, directory, name)
    }

    fn server(&self, directory: &Path, kind: Server) -> Pair {
        let names = if kind == Server::OtherName { ["other.example"] } else { ["localhost"] };
        let mut params = params("localhost", &names);
        match kind {
            Server::Good | Server::OtherName => (),
            Server::Expired => params.not_after = date_time_ymd(2020, 1, 1),
            Server::NotYetValid => params.not_before = date_time_ymd(2998, 1, 1),
        }
        self.issue(params, directory, "server")
    }

    fn issue(&self, params: CertificateParams, directory: &Path, name: &str) -> Pair {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        let pair =
            Pair { certificate: directory.join(format!("{name}.pem")), key: directory.join(format!("{name}.key")) };
        write(&pair.certificate, &certificate.pem());
        write(&pair.key, &key.serialize_pem());
        pair
    }
}

/// Everything a mutual TLS needs, in `directory`.
pub(crate) fn make(directory: &Path, server: Server) -> Files {
    let authority = Authority::new();
    let ca = directory.join("ca.pem");
    authority.write(&ca);
    let (server, client) = (authority.server(directory, server), authority.client(directory, "client"));
    Files { authority, ca, server, client }
}

/// Puts `new` in the place of `old` as a rotation does.
#[expect(clippy::disallowed_methods, reason = "a test's own file, with no promise attached")]
pub(crate) fn replace(old: &Path, new: &Path) {
    std::fs::rename(new, old).expect("rename within one folder");
}

fn params(name: &str, alternatives: &[&str]) -> CertificateParams {
    let alternatives: Vec<String> = alternatives.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(alternatives).expect("good names");
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(2999, 1, 1);
    params
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("write a test's file");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("set its mode");
}
