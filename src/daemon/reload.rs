//! HUP: configuration and pipelines read anew, all or nothing.
//!
//! What can change while mail flows: pipelines and the keys they name, where and with which group and mode mailboxes'
//! outputs lie, the limits of queue and mailboxes, `log.level`. Certificates are read anew by
//! themselves whenever their files change. Anything else needs a restart: then nothing at all is changed, and the log
//! says which keys ask for it. Work in hand ends by the pipelines it began with.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use super::build;
use super::logging::Level;
use super::{notify, pipelines};
use crate::config::{self, Config, Loaded};
use crate::domain::digest::Hasher;
use crate::domain::finding::Finding;
use crate::pipeline::Pipelines;
use crate::ports::store::{Halt, Note, Store};
use crate::receive::admission::Admission;

/// What a reload changes.
pub(super) struct Reload {
    /// The main file.
    pub(super) file: PathBuf,
    pub(super) config: Config,
    pub(super) level: Level,
    pub(super) admission: Arc<Admission>,
    pub(super) pipelines: watch::Sender<Arc<Pipelines>>,
    pub(super) store: Arc<dyn Store>,
}

/// Why nothing was changed.
enum Refusal {
    Mistakes(Vec<Finding>),
    /// These keys changed, and take effect at a start only.
    NeedsRestart(Vec<String>),
}

impl Reload {
    /// Reads everything anew, and changes all of it or nothing. Either way the log says what.
    pub(super) async fn reload(&mut self) -> Result<(), Halt> {
        notify::reloading();
        match tokio::task::block_in_place(|| self.read()) {
            Ok((loaded, pipelines)) => self.change(loaded, pipelines).await?,
            Err(Refusal::Mistakes(findings)) => {
                for finding in &findings {
                    tracing::error!(%finding, "mistake in the changed configuration");
                }
                tracing::error!(mistakes = findings.len(), "nothing was reloaded: the daemon goes on as it was");
            }
            Err(Refusal::NeedsRestart(keys)) => {
                let keys = keys.join(", ");
                tracing::error!(keys, "nothing was reloaded: these changes need a restart");
            }
        }
        notify::ready();
        Ok(())
    }

    fn read(&self) -> Result<(Loaded, Pipelines), Refusal> {
        let loaded = config::load(&self.file).map_err(Refusal::Mistakes)?;
        let fixed = needs_restart(&self.config, &loaded.config);
        if !fixed.is_empty() {
            return Err(Refusal::NeedsRestart(fixed));
        }
        let pipelines = pipelines::load_with_keys(&loaded).map_err(Refusal::Mistakes)?;
        Ok((loaded, pipelines))
    }

    async fn change(&mut self, loaded: Loaded, pipelines: Pipelines) -> Result<(), Halt> {
        // Before the effect: what is done from here on is done by these.
        self.store.note(Note::Configured { sha256: fingerprint(&loaded, &pipelines) }).await?;
        let difference = difference(&self.pipelines.borrow(), &pipelines);
        self.level.set(loaded.config.log.level);
        self.admission.change(build::admission(&loaded.config));
        self.pipelines.send_replace(Arc::new(pipelines));
        self.config = loaded.config;
        for (pipeline, change) in &difference {
            tracing::info!(pipeline, change, "pipeline reloaded");
        }
        tracing::info!(pipelines_changed = difference.len(), "configuration reloaded");
        Ok(())
    }
}

/// SHA-256 over configuration and pipelines, lower-case hex.
pub(super) fn fingerprint(loaded: &Loaded, pipelines: &Pipelines) -> String {
    let mut hasher = Hasher::new();
    hasher.update(loaded.sha256.as_bytes());
    for pipeline in pipelines.all() {
        hasher.update(pipeline.sha256().as_bytes());
    }
    hasher.clear()
}

/// The keys that differ and take effect at a start only.
fn needs_restart(old: &Config, new: &Config) -> Vec<String> {
    let mut keys = Vec::new();
    let mut fixed = |key: &str, is_equal: bool| {
        if !is_equal {
            keys.push(key.to_owned());
        }
    };
    fixed("state", old.state == new.state);
    fixed("journal", old.journal == new.journal);
    fixed("queue.engine", old.queue.engine == new.queue.engine);
    fixed("retention", old.retention == new.retention);
    fixed("control", old.control == new.control);
    fixed("http", old.http == new.http);
    fixed("log.format", old.log.format == new.log.format);
    fixed("life", old.life == new.life);
    fixed("keys", old.keys == new.keys);
    fixed("mesh", old.mesh == new.mesh);
    let ids = |config: &Config| config.mailboxes.iter().map(|mailbox| mailbox.id.clone()).collect::<Vec<_>>();
    fixed("mailbox.id", ids(old) == ids(new));
    for (number, (old, new)) in (1..).zip(old.mailboxes.iter().zip(&new.mailboxes)) {
        let key = |key: &str| format!("mailbox[{number}].{key}");
        fixed(&key("organisation"), old.organisation == new.organisation);
        fixed(&key("password"), old.password == new.password);
        fixed(&key("poll"), old.poll == new.poll);
        fixed(&key("in_flight"), old.in_flight == new.in_flight);
        fixed(&key("recipients"), old.recipients == new.recipients);
    }
    keys
}

/// Each pipeline that is new, gone or other than it was.
fn difference(old: &Pipelines, new: &Pipelines) -> BTreeMap<String, &'static str> {
    let by_name = |pipelines: &Pipelines| -> BTreeMap<String, String> {
        let all = pipelines.all().iter();
        all.map(|pipeline| (pipeline.name().to_string(), pipeline.sha256().to_owned())).collect()
    };
    let (old, new) = (by_name(old), by_name(new));
    let gone = old.keys().filter(|name| !new.contains_key(*name)).map(|name| (name.clone(), "removed"));
    let here = new.iter().filter_map(|(name, sha256)| match old.get(name) {
        None => Some((name.clone(), "added")),
        Some(before) if before != sha256 => Some((name.clone(), "changed")),
        Some(_) => None,
    });
    gone.chain(here).collect()
}
