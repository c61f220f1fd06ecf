//! `meshd import-meshclient`
//!
//! Reads what the Java client has, and writes a configuration, PEM files and secrets into a new folder. It changes
//! nothing of the old client, and nothing secret is printed.

mod cfg;
mod jks;
mod keystore;
mod pkcs12;
mod place;
mod plan;
mod report;
mod running;
mod schedule;
mod service;
mod settings;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::Args;
use secrecy::ExposeSecret;

use self::cfg::Cfg;
use self::keystore::{Converted, convert};
use self::place::Place;
use self::report::Report;
use self::settings::Settings;
use super::{Context, Failure};
use crate::daemon::Stop;

#[derive(Debug, Args)]
#[command(after_help = "\
The folder is made new, for its owner alone: meshd.toml, the authorities, and a file for each
secret. Nothing of the old client is changed. It prints what became of each setting, what has
no equal here, and what is left to do; it is not begun while the old client has a lock file.

Examples:
  meshd import-meshclient /opt/MESH-APP-HOME/meshclient.cfg --out /etc/meshd/imported
  meshd import-meshclient ./meshclient.cfg --keystore ./mesh.keystore --out ./imported
  meshd import-meshclient ./meshclient.cfg --out ./imported --json | jq .to_do")]
pub(super) struct ImportMeshclient {
    /// The configuration of the old client, meshclient.cfg
    cfg: PathBuf,
    /// The folder to make; it must be new, or empty
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The keystore, if it does not lie where the configuration says
    #[arg(long, value_name = "FILE")]
    keystore: Option<PathBuf>,
    /// The name of the private key in it; may be left out where there is one
    #[arg(long, value_name = "ALIAS")]
    key_alias: Option<String>,
    /// The old client does not run, though its lock files are there
    #[arg(long)]
    client_is_stopped: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl ImportMeshclient {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        let report = self.import()?;
        if self.json { context.out.json(&report) } else { report.print(context) }
    }

    /// Everything is read and checked before the first file is made.
    fn import(&self) -> Result<Report, Failure> {
        let settings = Settings::of(Cfg::read(&self.cfg)?).map_err(Failure::Configuration)?;
        let is_watched = self.see_that_it_is_stopped(settings.work.as_deref())?;
        let converted = self.convert(&settings)?;
        let mut report = plan::carry_out(&settings, converted.as_ref(), Place::make(&self.out)?)?;
        if !is_watched {
            let to_do = "see that the old client does not run: no WorkPath of it is on this machine";
            report.to_do.insert(0, to_do.to_owned());
        }
        Ok(report)
    }

    /// Whether its lock files could be looked for, and nobody needs to see for themselves.
    fn see_that_it_is_stopped(&self, work: Option<&Path>) -> Result<bool, Failure> {
        if self.client_is_stopped {
            return Ok(true);
        }
        let Some(work) = work else { return Ok(false) };
        let Some(locks) = running::locks(work).with_context(|| format!("look into {}", work.display()))? else {
            return Ok(false);
        };
        if locks.is_empty() {
            return Ok(true);
        }
        let locks: Vec<String> = locks.iter().map(|lock| lock.display().to_string()).collect();
        let problem = anyhow!(
            "the old client seems to run, as it has {}: stop it; if it is stopped, --client-is-stopped",
            locks.join(", ")
        );
        Err(Stop::InTheWay(problem).into())
    }

    fn convert(&self, settings: &Settings) -> Result<Option<Converted>, Failure> {
        let Some(path) = self.keystore.as_ref().or(settings.key_store.as_ref()) else { return Ok(None) };
        let Some(password) = &settings.key_store_password else {
            return Err(anyhow!("{}: there is no KeyStorePassword to open a keystore", self.cfg.display()).into());
        };
        let converted = convert(path, password.expose_secret(), self.key_alias.as_deref());
        converted.map(Some).map_err(|error| match error.downcast_ref::<io::Error>().map(io::Error::kind) {
            Some(io::ErrorKind::NotFound) => {
                error.context("the keystore is not here: say where with --keystore").into()
            }
            Some(_) | None => error.into(),
        })
    }
}
