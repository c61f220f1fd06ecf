//! HUP: configuration and pipelines read anew, and the pipelines' own tests run: all or nothing.
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
use crate::config::{self, Config, Loaded, Mailbox};
use crate::domain::digest::Hasher;
use crate::domain::finding::Finding;
use crate::pipeline::Pipelines;
use crate::ports::store::{Halt, Note, Store};
use crate::publish::Backlogs;
use crate::receive::admission::Admission;

/// What a reload changes.
pub(super) struct Reload {
    /// The main file.
    pub(super) file: PathBuf,
    pub(super) config: Config,
    pub(super) level: Level,
    pub(super) admission: Arc<Admission>,
    pub(super) pipelines: watch::Sender<Arc<Pipelines>>,
    pub(super) backlogs: Arc<Backlogs>,
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
            Ok((loaded, pipelines, keys)) => self.change(loaded, pipelines, &keys).await?,
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

    /// The new ones, and which keys of the configuration change.
    fn read(&self) -> Result<(Loaded, Pipelines, Vec<String>), Refusal> {
        let loaded = config::load(&self.file).map_err(Refusal::Mistakes)?;
        let Changed { at_start, at_once } = Changed::between(&self.config, &loaded.config);
        if !at_start.is_empty() {
            return Err(Refusal::NeedsRestart(at_start));
        }
        let pipelines = pipelines::load_with_keys(&loaded).map_err(Refusal::Mistakes)?;
        let tested = pipelines.test();
        if !tested.failures.is_empty() {
            return Err(Refusal::Mistakes(tested.failures));
        }
        Ok((loaded, pipelines, at_once))
    }

    async fn change(&mut self, loaded: Loaded, pipelines: Pipelines, keys: &[String]) -> Result<(), Halt> {
        // Before the effect: what is done from here on is done by these.
        self.store.note(Note::Configured { sha256: fingerprint(&loaded, &pipelines) }).await?;
        let difference = difference(&self.pipelines.borrow(), &pipelines);
        self.level.set(loaded.config.log.level);
        self.admission.change(build::admission(&loaded.config));
        self.backlogs.change(pipelines.waiting());
        self.pipelines.send_replace(Arc::new(pipelines));
        self.config = loaded.config;
        for (pipeline, change) in &difference {
            tracing::info!(pipeline, change, "pipeline reloaded");
        }
        let keys = keys.join(", ");
        tracing::info!(keys, pipelines_changed = difference.len(), "configuration reloaded");
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

/// The keys that differ.
#[derive(Default)]
struct Changed {
    /// They take effect at a start only.
    at_start: Vec<String>,
    /// They take effect at once.
    at_once: Vec<String>,
}

impl Changed {
    fn between(old: &Config, new: &Config) -> Self {
        let mut changed = Self::default();
        changed.restart("state", old.state == new.state);
        changed.restart("journal", old.journal == new.journal);
        changed.restart("audit", old.audit == new.audit);
        changed.restart("queue.engine", old.queue.engine == new.queue.engine);
        changed.live("queue.limits", old.queue.limits == new.queue.limits);
        changed.live("queue.set_aside", old.queue.set_aside == new.queue.set_aside);
        changed.restart("retention", old.retention == new.retention);
        changed.live("pipelines", old.pipelines == new.pipelines);
        changed.restart("control", old.control == new.control);
        changed.restart("http", old.http == new.http);
        changed.restart("log.format", old.log.format == new.log.format);
        changed.live("log.level", old.log.level == new.log.level);
        changed.restart("life", old.life == new.life);
        changed.restart("features", old.features == new.features);
        changed.restart("keys", old.keys == new.keys);
        changed.restart("mesh", old.mesh == new.mesh);
        let ids = |config: &Config| config.mailboxes.iter().map(|mailbox| mailbox.id.clone()).collect::<Vec<_>>();
        changed.restart("mailbox.id", ids(old) == ids(new));
        for (number, (old, new)) in (1..).zip(old.mailboxes.iter().zip(&new.mailboxes)) {
            changed.mailbox(number, old, new);
        }
        changed
    }

    fn mailbox(&mut self, number: u32, old: &Mailbox, new: &Mailbox) {
        let key = |key: &str| format!("mailbox[{number}].{key}");
        // Every key is named, so that none is forgotten.
        let Mailbox {
            id: _,
            organisation,
            password,
            poll,
            in_flight,
            recipients,
            output,
            group,
            mode,
            line_ends,
            waiting,
            order,
            limits,
            set_aside,
            send,
            encrypt,
            pickup,
        } = old;
        self.restart(&key("organisation"), *organisation == new.organisation);
        self.restart(&key("password"), *password == new.password);
        self.restart(&key("poll"), *poll == new.poll);
        self.restart(&key("in_flight"), *in_flight == new.in_flight);
        self.restart(&key("recipients"), *recipients == new.recipients);
        // A pickup holds its folders from the start on.
        let folders = if pickup.is_some() { Self::restart } else { Self::live };
        folders(self, &key("output"), *output == new.output);
        folders(self, &key("group"), *group == new.group);
        folders(self, &key("mode"), *mode == new.mode);
        // The same, and all control files of a mailbox are to end alike.
        self.restart(&key("line_ends"), *line_ends == new.line_ends);
        self.live(&key("waiting"), *waiting == new.waiting);
        self.restart(&key("order"), *order == new.order);
        self.live(&key("limits"), *limits == new.limits);
        self.live(&key("set_aside"), *set_aside == new.set_aside);
        self.restart(&key("send"), *send == new.send);
        self.restart(&key("encrypt"), *encrypt == new.encrypt);
        self.restart(&key("pickup"), *pickup == new.pickup);
    }

    fn restart(&mut self, key: &str, is_equal: bool) {
        self.at_start.extend((!is_equal).then(|| key.to_owned()));
    }

    fn live(&mut self, key: &str, is_equal: bool) {
        self.at_once.extend((!is_equal).then(|| key.to_owned()));
    }
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
