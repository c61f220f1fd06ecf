//! What was promised, and whether it was kept.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use meshd::domain::ids::{DeliveryId, MailboxId, MessageId};
use meshd::domain::settlement::DeathCause;
use meshd::store::journal::Head;

use crate::model::{Model, Stands};

/// Everything that was answered as durable, and everything that may have harmed.
#[derive(Default)]
pub(crate) struct Oracle {
    /// Per delivery, what was answered as done, in order.
    stories: BTreeMap<DeliveryId, Vec<&'static str>>,
    kept: BTreeSet<(MailboxId, MessageId)>,
    acknowledged: BTreeSet<DeliveryId>,
    /// In work now, and whether alone.
    leased: BTreeMap<DeliveryId, bool>,
    /// How often the process was killed while a delivery was in work alone.
    deaths: BTreeMap<DeliveryId, u32>,
    /// Every payload ever offered, by its keyed digest.
    pub(crate) offered: BTreeMap<String, Bytes>,
    /// Heads noted after commits.
    pub(crate) heads: Vec<Head>,
}

impl Oracle {
    /// MESH may hear "acknowledged" now.
    pub(crate) fn kept(&mut self, mailbox: MailboxId, message: MessageId, id: DeliveryId, is_new: bool) {
        self.kept.insert((mailbox, message));
        if is_new {
            let before = self.stories.insert(id, vec!["accepted"]);
            assert!(before.is_none(), "{id} was accepted twice");
        }
    }

    /// A delivery is to be handled anew.
    pub(crate) fn replayed(&mut self, old: DeliveryId, new: DeliveryId) {
        self.happened(old, "replayed");
        let before = self.stories.insert(new, vec!["replays"]);
        assert!(before.is_none(), "{new} was there before");
    }

    /// It is to be sent.
    pub(crate) fn queued(&mut self, id: DeliveryId) {
        let before = self.stories.insert(id, vec!["queued to be sent"]);
        assert!(before.is_none(), "{id} was there before");
    }

    /// An operator brought a payload in.
    pub(crate) fn brought_in(&mut self, replaced: Option<DeliveryId>, new: DeliveryId) {
        if let Some(old) = replaced {
            self.happened(old, "replaced by hand");
        }
        let before = self.stories.insert(new, vec!["brought in"]);
        assert!(before.is_none(), "{new} was there before");
    }

    pub(crate) fn has_kept(&self, mailbox: &MailboxId, message: &MessageId) -> bool {
        self.kept.contains(&(mailbox.clone(), message.clone()))
    }

    pub(crate) fn acknowledged(&mut self, id: DeliveryId) {
        self.acknowledged.insert(id);
    }

    /// A worker has it.
    pub(crate) fn leased(&mut self, id: DeliveryId, alone: bool) {
        assert!(!self.leased.contains_key(&id), "{id} was leased twice");
        let others = self.leased.len();
        let suspect_in_work = self.leased.values().any(|alone| *alone);
        assert!(!suspect_in_work && (!alone || others == 0), "a suspect was not alone");
        self.leased.insert(id, alone);
        self.happened(id, "working");
    }

    pub(crate) fn given_back(&mut self, id: DeliveryId) {
        self.leased.remove(&id);
    }

    pub(crate) fn happened(&mut self, id: DeliveryId, what: &'static str) {
        self.stories.entry(id).or_default().push(what);
    }

    /// The process was killed: whoever was in work alone may have done it.
    pub(crate) fn died(&mut self) {
        for (id, _) in self.leased.iter().filter(|(_, alone)| **alone) {
            *self.deaths.entry(*id).or_default() += 1;
        }
    }

    pub(crate) fn run_ended(&mut self) {
        self.leased.clear();
    }

    /// Nothing that was promised is missing, and nobody is blamed for what others did.
    pub(crate) fn check(&self, model: &Model) {
        for (id, promised) in &self.stories {
            let life = model.lives.get(id).unwrap_or_else(|| panic!("{id} was accepted, and is lost"));
            let mut rest = life.story.iter();
            let kept = promised.iter().all(|what| rest.any(|happened| happened == what));
            assert!(kept, "{id} was promised {promised:?}, but the journal says {:?}", life.story);
        }
        for id in &self.acknowledged {
            let story = model.lives.get(id).map(|life| life.story.as_slice()).unwrap_or_default();
            let noted = story.contains(&"acknowledged") || story.contains(&"purged");
            assert!(noted, "{id} was acknowledged: {story:?}");
        }
        for (id, life) in &model.lives {
            let deaths = self.deaths.get(id).copied().unwrap_or_default();
            assert!(life.solo_deaths <= deaths, "{id} is blamed for {} of {deaths} deaths", life.solo_deaths);
            let poison = life.stands == Stands::Dead(DeathCause::Poison);
            assert!(!poison || deaths >= 2, "{id} is called poison after {deaths} deaths");
        }
    }
}
