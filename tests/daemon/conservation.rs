//! Conservation: after every test the journal is read by other code than the store's, and must tell of lives that may
//! be lived, each message's with one end; and of every message that the far side heard acknowledged (I1, I4).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use meshd::domain::ids::{DeliveryId, MailboxId, MessageId};
use meshd::store::disk::Real;

#[path = "../simulation/model.rs"]
#[allow(dead_code, reason = "shared: the simulation uses what this does not")]
mod model;

use model::{Life, Model, Stands};

/// What a person asked for may come out once more.
const BY_HAND: [&str; 2] = ["replays", "released by hand"];

/// The lives that the journal below `state` tells of, or what cannot be; none if there is no journal.
pub(crate) fn lives(state: &Path) -> Result<BTreeMap<DeliveryId, Life>, String> {
    let journal = state.join("journal");
    if !journal.exists() {
        return Ok(BTreeMap::new());
    }
    match Model::read(&Real::new(), &journal, BTreeSet::new()) {
        Ok(model) => each_message_ends_once(model.lives),
        // The last write of a daemon that was killed may be cut off; the next start would cut it away.
        Err(problem) if ["bad frame", "bad length", "bad checksum"].iter().any(|torn| problem.contains(torn)) => {
            Ok(BTreeMap::new())
        }
        Err(problem) => Err(problem),
    }
}

fn each_message_ends_once(lives: BTreeMap<DeliveryId, Life>) -> Result<BTreeMap<DeliveryId, Life>, String> {
    let mut ends: BTreeMap<(&MailboxId, &MessageId), u32> = BTreeMap::new();
    for life in lives.values().filter(|life| !life.story.iter().any(|word| BY_HAND.contains(word))) {
        let key = (&life.accepted.mailbox, &life.accepted.message);
        *ends.entry(key).or_default() += u32::from(life.story.contains(&"delivered"));
    }
    match ends.iter().find(|(_, ends)| **ends > 1) {
        Some(((mailbox, message), ends)) => Err(format!("{message} of {mailbox} was delivered {ends} times")),
        None => Ok(lives),
    }
}

#[allow(dead_code, reason = "several test targets share this; each uses its part")]
/// Of `acknowledged`, what the journal does not tell of.
pub(crate) fn forgotten(lives: &BTreeMap<DeliveryId, Life>, mailbox: &str, acknowledged: &[String]) -> Vec<String> {
    let is_kept = |id: &&String| {
        lives.values().any(|life| {
            life.accepted.mailbox.as_str() == mailbox
                && life.accepted.message.as_str() == id.as_str()
                && life.stands != Stands::Replayed
        })
    };
    acknowledged.iter().filter(|id| !is_kept(id)).cloned().collect()
}
