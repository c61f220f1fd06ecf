//! MESH as it is configured: where it is, who we are to it, and each of our mailboxes there.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use crate::adapters::http::{Certificate, Client, ClientError, FileError, Identity, Network, TlsFiles};
use crate::adapters::mesh::auth::Credentials;
use crate::adapters::mesh::{self, BaseUrl};
use crate::config::{self, Feature, Loaded, Mesh, SecretRef, Secrets};
use crate::domain::finding::Finding;
use crate::domain::ids::{MailboxId, Name};
use crate::domain::time::Timestamp;
use crate::ports::clock::{Chance, Clock};

/// The service, and all that its mailboxes share.
pub(super) struct Service {
    pub(super) http: Client,
    pub(super) base: BaseUrl,
    /// How faults name it.
    pub(super) name: Name,
    pub(super) limits: mesh::Limits,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) chance: Arc<dyn Chance>,
}

impl Service {
    /// Reads the files of our TLS identity; nothing is asked yet.
    pub(super) fn new(loaded: &Loaded, clock: Arc<dyn Clock>, chance: Arc<dyn Chance>) -> Result<Self, Vec<Finding>> {
        let missing = |key| vec![loaded.finding(key, "there is no service", "a table `[mesh]` that says where it is")];
        let mesh = loaded.config.mesh.as_ref().ok_or_else(|| missing("mesh"))?;
        let base = mesh.service().ok_or_else(|| missing("mesh.url"))?.base_url();
        let http = client(loaded, mesh, &clock)?;
        let limits = mesh::Limits { answer: mesh.patience.0, grace: mesh.patience.0, ..mesh::Limits::default() };
        let name = Name::new("mesh").map_err(|error| vec![loaded.finding("mesh", error.to_string(), "")])?;
        Ok(Self { http, base, name, limits, clock, chance })
    }

    /// One mailbox there; nothing without its password.
    pub(super) fn inbox(&self, mailbox: &MailboxId, secrets: &Secrets) -> Option<mesh::Mailbox> {
        Some(self.mailbox(mailbox, secrets.passwords.get(mailbox)?.clone(), secrets))
    }

    /// One mailbox there, with such a password.
    pub(super) fn mailbox(&self, mailbox: &MailboxId, password: SecretString, secrets: &Secrets) -> mesh::Mailbox {
        let shared_key = secrets.shared_key.expose_secret().as_bytes();
        mesh::Mailbox::new(mesh::Parts {
            http: self.http.clone(),
            base: self.base.clone(),
            credentials: Credentials::new(mailbox.clone(), password, shared_key),
            clock: Arc::clone(&self.clock),
            chance: Arc::clone(&self.chance),
            dependency: self.name.clone(),
            limits: self.limits,
        })
    }
}

/// Our certificate, if MESH would refuse it for its dates: mail inside still goes out, and nothing new comes in.
pub fn invalid_certificate(loaded: &Loaded, client: &Client, now: Timestamp) -> Option<Finding> {
    let problem = client.health().client_chain.first()?.invalidity(now)?;
    Some(loaded.finding("mesh.client_certificate", problem, "one that is valid today; a new one takes about a week"))
}

/// The client of our TLS identity, or what is wrong with its files.
pub fn client(loaded: &Loaded, mesh: &Mesh, clock: &Arc<dyn Clock>) -> Result<Client, Vec<Finding>> {
    let credentials = config::credentials();
    let path = |key, reference: &SecretRef| {
        let path = reference.path(credentials.as_deref());
        path.map_err(|error| vec![loaded.finding(key, error.to_string(), "a secret that only we can read")])
    };
    let certificate = path("mesh.client_certificate", &mesh.client_certificate)?;
    let key = path("mesh.client_key", &mesh.client_key)?;
    let files = TlsFiles {
        ca: mesh.ca.0.clone(),
        identity: Some(Identity { certificate: certificate.clone(), key }),
        credentials_directory: credentials.clone(),
    };
    let network = Network { proxy: mesh.proxy.as_ref().map(|proxy| proxy.0.clone()), ..Network::default() };
    let client = Client::new(files, network, Arc::clone(clock)).map_err(|error| {
        vec![match error {
            ClientError::File(FileError { path, expected, problem }) => {
                let key = match &path {
                    path if *path == mesh.ca.0 => "mesh.ca",
                    path if *path == certificate => "mesh.client_certificate",
                    _ => "mesh.client_key",
                };
                loaded.finding(key, format!("{}: {problem}", path.display()), expected)
            }
            ClientError::Proxy => loaded.finding("mesh.proxy", error.to_string(), ""),
            ClientError::Build(_) => loaded.finding("mesh", error.to_string(), ""),
        }]
    })?;
    let is_rehearsal = client.health().client_chain.iter().any(Certificate::is_for_tests);
    if is_rehearsal && !loaded.config.may_use(Feature::SimulatorCertificates) {
        let problem = format!("{}: a simulator's authority issued this, for tests", certificate.display());
        let expected = "the certificate that NHS issued, or \"simulator-certificates\" in `features.allow`";
        return Err(vec![loaded.finding("mesh.client_certificate", problem, expected)]);
    }
    Ok(client)
}
