//! From the settings of the old client to a configuration, with a report of what became of each.
//!
//! A setting that only a person can know stands in the configuration behind a `#`, below a line that begins with
//! `# TO DO`, so that `meshd check` asks for it.

mod mailbox;
mod without_equal;

use std::fmt::{Display, Write as _};

use secrecy::{ExposeSecret, SecretString};

use super::keystore::{Authorities, Converted};
use super::place::Place;
use super::report::Report;
use super::service::Service;
use super::settings::Settings;
use crate::cli::Failure;

const CONFIGURATION: &str = "meshd.toml";
const AUTHORITIES: &str = "nhs-ca.pem";
const SECRETS: &str = "secrets";
const CERTIFICATE: &str = "secrets/mesh-cert";
const KEY: &str = "secrets/mesh-key";
const SHARED_KEY: &str = "secrets/mesh-shared-key";
const IDENTITY: &str = "secrets/meshd-age-identity";
const HMAC: &str = "secrets/meshd-hmac";
/// Where it is, the old client goes through a proxy; what may stand in it is not published (mesh-client-files 9.6).
const PROXY_FILE: &str = "proxy.ini";

/// The configuration and the report while they grow.
struct Draft<'a> {
    place: &'a mut Place,
    text: String,
    report: Report,
}

/// Writes all files, the configuration last, so that half of them are none.
pub(super) fn carry_out(
    settings: &Settings,
    converted: Option<&Converted>,
    mut place: Place,
) -> Result<Report, Failure> {
    place.folder(SECRETS)?;
    let mut draft = Draft { place: &mut place, text: String::new(), report: Report::default() };
    draft.line("# Made by `meshd import-meshclient` from the configuration of a MESH client.");
    draft.line("# What only you can know is behind a `#`, below a line that begins with TO DO.");
    draft.keys();
    draft.service(settings);
    draft.identity(settings, converted)?;
    for client in &settings.clients {
        draft.mailbox(client, settings)?;
    }
    draft.without_equal(settings);
    draft.last_steps();
    let Draft { text, mut report, .. } = draft;
    place.write(CONFIGURATION, &text)?;
    report.written = place.into_written();
    Ok(report)
}

impl Draft<'_> {
    fn line(&mut self, text: impl Display) {
        writeln!(self.text, "{text}").expect("a string takes everything");
    }

    fn file(&mut self, key: &str, name: &str) {
        let path = quoted(&self.place.path(name).to_string_lossy());
        self.line(format_args!("{key} = {{ file = {path} }}"));
    }

    /// A key that a person has to set: in the configuration, and in the report.
    fn ask(&mut self, what: &str, key: &str, example: &str, to_do: String) {
        self.line(format_args!("# TO DO: {what}"));
        self.line(format_args!("#{key} = {example}"));
        self.report.to_do.push(to_do);
    }

    fn shown(&self, name: &str) -> String {
        self.place.path(name).display().to_string()
    }

    fn keys(&mut self) {
        self.line("\n[keys]");
        self.file("identity", IDENTITY);
        self.file("hmac", HMAC);
        let (identity, hmac, configuration) = (self.shown(IDENTITY), self.shown(HMAC), self.shown(CONFIGURATION));
        let to_do = &mut self.report.to_do;
        to_do.push(format!("make the daemon's own keys: `meshd keys generate --output {identity}`"));
        to_do.push(format!("and `meshd keys generate --hmac --output {hmac}`"));
        to_do.push(format!(
            "put the recipient that the first one prints, and that of a second identity kept elsewhere, into \
             `recipients` of each mailbox in {configuration}"
        ));
    }

    fn service(&mut self, settings: &Settings) {
        const ELEMENT: &str = "PrimaryURL";
        self.line("\n[mesh]");
        match &settings.service {
            Service::National { word, url, was_within_hscn } => {
                self.line(format_args!("environment = {}", quoted(word)));
                let note = was_within_hscn
                    .then(|| format!("it was an address within HSCN, which are being withdrawn; meshd goes to {url}"));
                if *was_within_hscn {
                    self.report.to_do.push(format!("let this machine reach {url} through your firewalls"));
                }
                self.report.map(None, ELEMENT, format!("mesh.environment = {}", quoted(word)), note);
            }
            Service::Custom(url) => {
                let url = quoted(url.as_str());
                self.line("environment = \"custom\"");
                self.line(format_args!("url = {url}"));
                let note = Some("it is none of the national services".to_owned());
                self.report.map(None, ELEMENT, format!("mesh.environment = \"custom\", mesh.url = {url}"), note);
            }
            Service::Unknown => {
                let to_do = "say which service it is, in `mesh.environment`: PrimaryURL is missing, or no URL of one";
                self.ask(
                    "\"live\", \"int\", \"dep\", or \"custom\" with `url`.",
                    "environment",
                    "\"live\"",
                    to_do.into(),
                );
            }
        }
    }

    /// What proves us to the service, and the service to us.
    fn identity(&mut self, settings: &Settings, converted: Option<&Converted>) -> Result<(), Failure> {
        self.file("ca", AUTHORITIES);
        self.file("client_certificate", CERTIFICATE);
        self.file("client_key", KEY);
        self.file("shared_key", SHARED_KEY);
        if let Some(ini) = settings.proxy.as_ref().map(|proxy| proxy.join(PROXY_FILE)).filter(|ini| ini.exists()) {
            let to_do = format!("write host and port of {} into `mesh.proxy`", ini.display());
            self.ask("host and port of the proxy.", "proxy", "\"http://proxy.example:3128\"", to_do);
        }
        let (certificate, key, authorities) = (self.shown(CERTIFICATE), self.shown(KEY), self.shown(AUTHORITIES));
        if let Some(converted) = converted {
            self.place.write(KEY, &converted.key)?;
            self.place.write(CERTIFICATE, &converted.certificates)?;
            let format = converted.format.name();
            let of = match converted.alias.as_str() {
                "" => String::new(),
                alias => format!(", of {}", quoted(alias)),
            };
            let what = format!("mesh.client_key and mesh.client_certificate{of}, from a {format} keystore");
            self.report.map(None, "KeyStorePath", what, None);
            self.report.map(None, "KeyStorePassword", "not needed any more: the files have none".to_owned(), None);
        } else {
            let to_do = "put certificate and key, PEM, into";
            self.report.to_do.push(format!("there is no KeyStorePath: {to_do} {certificate} and {key}, mode 0600"));
        }
        match converted.map(|converted| &converted.authorities) {
            Some(Authorities::Trusted(pem)) => {
                self.place.write(AUTHORITIES, pem)?;
                let what = "mesh.ca, the certificates that the keystore trusts".to_owned();
                self.report.map(None, "KeyStorePath", what, None);
            }
            Some(Authorities::Own(pem)) => {
                self.place.write(AUTHORITIES, pem)?;
                let note = "the keystore marks none as trusted: these are the authorities in it".to_owned();
                self.report.map(None, "KeyStorePath", "mesh.ca".to_owned(), Some(note));
                self.report.to_do.push(format!("see that {authorities} holds NHS's authorities, and no others"));
            }
            Some(Authorities::None) | None => {
                self.report.to_do.push(format!("put NHS's authorities, PEM, into {authorities}"));
            }
        }
        self.secret(None, "AuthenticationKey", settings.authentication_key.as_ref(), "mesh.shared_key", SHARED_KEY)
    }

    /// Writes a secret where the configuration says that it is; without one, a person has to.
    fn secret(
        &mut self,
        mailbox: Option<&str>,
        element: &str,
        secret: Option<&SecretString>,
        setting: &str,
        name: &str,
    ) -> Result<(), Failure> {
        let path = self.shown(name);
        match secret {
            Some(secret) => {
                self.place.write(name, secret.expose_secret())?;
                self.report.map(mailbox, element, format!("{setting}, in {path}"), None);
            }
            None => {
                let of = mailbox.map_or(String::new(), |mailbox| format!(" of {mailbox}"));
                self.report.to_do.push(format!("there is no {element}{of}: put it into {path}, mode 0600"));
            }
        }
        Ok(())
    }

    fn last_steps(&mut self) {
        let configuration = self.shown(CONFIGURATION);
        self.report.to_do.extend([
            "put a pipeline into the folder of pipelines: everything.toml puts all mail into IN".to_owned(),
            format!("`meshd check --config {configuration}` until it finds nothing"),
            "`meshd output init`, as the daemon's user".to_owned(),
            "for the unit, move secrets/* into credentials: `systemd-creds encrypt`, then { credential = NAME }"
                .to_owned(),
            "stop the old client for good before meshd starts: only one may serve a mailbox".to_owned(),
        ]);
    }
}

/// As a string of TOML.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
