//! The rows of the index that hold more than a key. Postcard, so the order of members and variants is the format.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::fault::FaultCode;
use crate::domain::ids::{DeliveryId, MailboxId, MessageId};
use crate::domain::legal_hold::LegalHoldId;
use crate::domain::output::Progress;
use crate::domain::sending::Sending;
use crate::domain::settlement::Reason;
use crate::domain::time::Timestamp;
use crate::ports::store::{Amount, Delivery, Location, MailboxOccupancy, SetAsideKind};
use crate::store::index::keys::{self, kind};
use crate::store::journal::record::Hash;

/// What is known of a pair that still lies in `OUT` is kept longer by this.
const LONGEST_LYING: Duration = Duration::from_secs(90 * 86_400);

/// One delivery and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Row {
    /// What a lease shows of it.
    pub(crate) delivery: Delivery,
    /// Where it stands.
    pub(crate) place: Place,
    /// When it was accepted or replayed, in the store's own time.
    pub(crate) since: Timestamp,
    /// MESH heard that we keep it.
    pub(crate) acknowledged: bool,
    /// Its bytes are as MESH served them, since they did not decode: dead at its acceptance.
    pub(crate) as_served: bool,
    /// Its number is counted by its pipeline's monitors, in this life or the one it was replayed from.
    pub(crate) counted: bool,
    /// The journal says whom it concerns.
    pub(crate) is_told: bool,
    /// Legal holds that keep it though their scope does not name it by itself. One that ended may still be among them.
    pub(crate) kept_by: Vec<LegalHoldId>,
    /// Its time is over, and a legal hold keeps it.
    pub(crate) is_spared: bool,
    /// How it failed or why it was deferred, the last time.
    pub(crate) last: Option<Reason>,
}

impl Row {
    /// Its payload is not there, so that it must be fetched again if MESH still has it.
    pub(crate) fn is_lost(&self) -> bool {
        match &self.place {
            Place::Aside { reason, .. } => reason.code == FaultCode::SpoolLost,
            Place::Queued { .. } | Place::Working { .. } | Place::Suspect | Place::Ended { .. } => false,
        }
    }

    /// It goes out, and a request that sent it got no answer.
    pub(crate) fn may_be_at_mesh(&self) -> bool {
        self.delivery.outgoing.as_ref().is_some_and(|outgoing| outgoing.progress == Sending::Begun)
    }

    /// Where its payload is; `None` once that was handed to the delivery that replays it.
    pub(crate) fn payload(&self) -> Option<&Location> {
        match self.place {
            Place::Ended { how: Ending::Replayed(_), .. } => None,
            Place::Queued { .. }
            | Place::Working { .. }
            | Place::Suspect
            | Place::Aside { .. }
            | Place::Ended { .. } => Some(&self.delivery.location),
        }
    }

    /// Decoded bytes of its payload, while it has it.
    pub(crate) fn bytes(&self) -> u64 {
        self.payload().map_or(0, |_| self.delivery.length)
    }

    /// Whether it was set aside, or ended by a rule, by that record or before.
    pub(crate) fn rests_since_before(&self, record: u64) -> bool {
        match self.place {
            Place::Aside { record: since, .. } => since <= record,
            Place::Ended { how: Ending::Discarded, .. } => self.delivery.id.0 <= record,
            Place::Queued { .. } | Place::Working { .. } | Place::Suspect | Place::Ended { .. } => false,
        }
    }

    /// Until when it waits for work, if it does.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        match self.place {
            Place::Queued { due } => Some(due),
            Place::Working { .. } | Place::Suspect | Place::Aside { .. } | Place::Ended { .. } => None,
        }
    }

    /// Until when its payload is kept, if not without limit.
    pub(crate) fn keep(&self) -> Option<Timestamp> {
        match self.place {
            Place::Aside { keep, .. } => keep,
            Place::Ended { keep, .. } => Some(keep),
            Place::Queued { .. } | Place::Working { .. } | Place::Suspect => None,
        }
    }

    /// Its place among what may go by its time, or would if no legal hold kept it. What is known of a pair in `OUT` stays
    /// longer: without it the pair would be sent again.
    pub(crate) fn expiry(&self) -> Option<Vec<u8>> {
        let id = self.delivery.id;
        let longer = if self.is_lying() { LONGEST_LYING } else { Duration::ZERO };
        let expiry = |keep: Timestamp| {
            if self.is_spared { keys::delivery(kind::SPARED, id) } else { keys::purge(keep.plus(longer), id.0) }
        };
        self.keep().map(expiry)
    }

    /// The row of the index that its place asks for, if that has no value.
    pub(crate) fn place_key(&self) -> Option<Vec<u8>> {
        let Delivery { id, mailbox, outgoing, .. } = &self.delivery;
        match (&self.place, outgoing.is_some()) {
            (Place::Queued { due }, false) => Some(keys::queued(kind::QUEUE, mailbox, *due, *id)),
            (Place::Queued { due }, true) => Some(keys::queued(kind::SEND_QUEUE, mailbox, *due, *id)),
            (Place::Working { .. }, false) => Some(keys::delivery(kind::WORKING, *id)),
            (Place::Working { .. }, true) => Some(keys::delivery(kind::IN_SENDING, *id)),
            (Place::Suspect, _) => Some(keys::of_mailbox(kind::SUSPECT, mailbox, *id)),
            (Place::Aside { .. } | Place::Ended { .. }, _) => None,
        }
    }

    /// All rows of the index that lead to it.
    pub(crate) fn keys(&self) -> Vec<Vec<u8>> {
        let Delivery { id, mailbox, outgoing, .. } = &self.delivery;
        let aside = matches!(self.place, Place::Aside { .. }).then(|| keys::delivery(kind::ASIDE, *id));
        let staged = self.is_staged().then(|| keys::delivery(kind::STAGED, *id));
        let waiting = self.is_waiting().then(|| keys::of_mailbox(kind::WAITING, mailbox, *id));
        let send = outgoing.as_ref().map(|_| keys::of_mailbox(kind::SEND, mailbox, *id));
        let lead = [
            self.place_key(),
            aside,
            self.expiry(),
            staged,
            waiting,
            send,
            self.sent_key(),
            self.lying_key(),
            self.pair_key(),
        ];
        lead.into_iter().flatten().collect()
    }

    /// The pair that it was picked up as still lies in `OUT`.
    fn is_lying(&self) -> bool {
        self.delivery.outgoing.as_ref().is_some_and(|outgoing| outgoing.lying().is_some())
    }

    /// Its place among what was picked up and still lies in `OUT`, if it does.
    pub(crate) fn lying_key(&self) -> Option<Vec<u8>> {
        self.is_lying().then(|| keys::of_mailbox(kind::LYING, &self.delivery.mailbox, self.delivery.id))
    }

    /// Where the name that it was picked up under leads to it.
    pub(crate) fn pair_key(&self) -> Option<Vec<u8>> {
        let pair = self.delivery.outgoing.as_ref()?.pair.as_ref()?;
        Some(keys::pair(&self.delivery.mailbox, &pair.name, self.delivery.id))
    }

    /// Where MESH's id of it leads to it, once it went out.
    pub(crate) fn sent_key(&self) -> Option<Vec<u8>> {
        let message = self.delivery.outgoing.as_ref()?.progress.message()?;
        Some(keys::sent(&self.delivery.mailbox, message))
    }

    /// What it counts towards.
    pub(crate) fn amount_of<'a>(&self, counters: &'a mut MailboxOccupancy) -> &'a mut Amount {
        match &self.place {
            Place::Queued { .. } | Place::Working { .. } | Place::Suspect if self.delivery.outgoing.is_some() => {
                &mut counters.sending
            }
            Place::Queued { .. } | Place::Working { .. } | Place::Suspect => &mut counters.queued,
            Place::Aside { kind: SetAsideKind::Held, .. } => &mut counters.held,
            Place::Aside { kind: SetAsideKind::Dead(_), .. } => &mut counters.dead,
            Place::Ended { .. } => &mut counters.retained,
        }
    }

    /// Whether it has not come to an end, needs no person, and comes in: what goes out has a queue of its own.
    pub(crate) fn is_waiting(&self) -> bool {
        match self.place {
            Place::Queued { .. } | Place::Working { .. } | Place::Suspect => self.delivery.outgoing.is_none(),
            Place::Aside { .. } | Place::Ended { .. } => false,
        }
    }

    /// Whether files in staging folders are still needed for it.
    pub(crate) fn is_staged(&self) -> bool {
        let ended = matches!(self.place, Place::Ended { .. });
        !ended && self.delivery.outputs.iter().any(|output| matches!(output.progress, Progress::Staged(_)))
    }
}

/// Where a delivery stands. Each one has exactly one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Place {
    /// Waits for work.
    Queued {
        /// Until then.
        due: Timestamp,
    },
    /// Started and not settled.
    Working {
        /// A suspect, with nothing else in work.
        alone: bool,
    },
    /// The run before ended while it was in work: waits to be worked on alone.
    Suspect,
    /// A person must look.
    Aside {
        /// Dead or held.
        kind: SetAsideKind,
        /// Why.
        reason: Reason,
        /// Since when.
        since: Timestamp,
        /// Its payload is kept until then; without limit when held.
        keep: Option<Timestamp>,
        /// The record that says so.
        record: u64,
    },
    /// The end.
    Ended {
        /// Which.
        how: Ending,
        /// Its payload, or where that was handed on what is known of it, is kept until then.
        keep: Timestamp,
    },
}

/// The ends that a delivery can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ending {
    /// Every output is published.
    Delivered,
    /// A rule says that it goes nowhere.
    Discarded,
    /// A person says so.
    GivenUp,
    /// It is handled anew as another delivery, which has its payload now.
    Replayed(DeliveryId),
}

/// The row about the whole.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Meta {
    /// The last journal record that the index contains.
    pub(crate) sequence: u64,
    /// Its hash.
    pub(crate) hash: Hash,
    /// The machine's boot during the last run.
    pub(crate) boot: String,
    /// When the last run began: in the store's own time, and by the monotonic clock, milliseconds.
    pub(crate) began: (Timestamp, u64),
    /// Which run that was.
    pub(crate) run: u32,
    /// When its last record was written: in the store's own time, and by the wall clock.
    pub(crate) last: (Timestamp, Timestamp),
    /// The last run was told to end.
    pub(crate) stopping: bool,
    /// The last run ended in order.
    pub(crate) stopped: bool,
    /// The key the digests are made with.
    pub(crate) key: String,
    /// Keys of before, and when another took the place of each, in the store's own time.
    pub(crate) former_keys: Vec<(String, Timestamp)>,
    /// Deliveries started and not settled.
    pub(crate) working: u64,
    /// Suspects, waiting or in work.
    pub(crate) suspects: u64,
    /// Bulk acts that have not ended.
    pub(crate) open_jobs: u64,
    /// The last record of the backup this was restored from without knowing what followed; 0 if it never was.
    pub(crate) restored: u64,
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RefusedRow {
    /// Not fetched again before.
    pub(crate) until: Timestamp,
    /// How often.
    pub(crate) times: u32,
    /// For the first time.
    pub(crate) first: Timestamp,
    /// Forgotten then.
    pub(crate) forget: Timestamp,
    /// MESH did not serve it any more.
    pub(crate) lost: bool,
    /// The record of the last refusal.
    pub(crate) sequence: u64,
}

/// What may go when its time has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Expiring {
    /// A delivery and its payload.
    Delivery(DeliveryId),
    /// A refusal.
    Refusal(MailboxId, MessageId),
}

/// What of a volume lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct VolumeRow {
    /// Deliveries.
    pub(crate) live: u64,
    /// Length of the groups that hold at least one of them, bytes: a group can only be kept whole.
    pub(crate) bytes: u64,
}

/// A chunk directory to remove.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartsRow {
    /// The mailbox.
    pub(crate) mailbox: MailboxId,
    /// The message.
    pub(crate) message: MessageId,
    /// Which life of it.
    pub(crate) life: u64,
}
