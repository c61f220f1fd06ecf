//! What lies where in the index.
//!
//! The first byte of a key is its kind; numbers are big-endian, so that byte order is their order. A mailbox is one
//! length byte and its text, so that no mailbox's keys lie between another's.
//!
//! | Kind | Then | Value |
//! |---|---|---|
//! | `A` | delivery | set aside, dead or held: what lists of it choose by |
//! | `B` | mailbox, delivery | empty: goes out, and its pair of files still lies in `OUT` |
//! | `C` | mailbox text | its counters |
//! | `D` | delivery | the delivery's row |
//! | `E` | fingerprint, mailbox text | how many failures are alike |
//! | `F` | mailbox, due time, delivery | empty: waits to be sent |
//! | `G` | volume, offset | the live deliveries of a group |
//! | `H` | mailbox, delivery | empty: goes out, or went |
//! | `I` | mailbox, MESH's message id | the delivery that went out under it |
//! | `J` | the record that began it | a bulk act: what it is to do, and how far it came |
//! | `K` | delivery | empty: it may go by its time, and a legal hold keeps it |
//! | `L` | legal hold | what it keeps |
//! | `M` | – | the position in the journal, and what is counted once |
//! | `N` | delivery | empty: is being sent |
//! | `O` | mailbox, delivery | empty: waits for work, is in work or a suspect; so these are in order of acceptance |
//! | `P` | time, journal sequence | what may go then |
//! | `Q` | mailbox, due time, delivery | empty: waits for work |
//! | `R` | mailbox, message id | a refusal |
//! | `S` | mailbox, delivery | empty: a suspect |
//! | `T` | delivery | empty: outputs are staged and not yet published |
//! | `U` | volume, offset | empty: a group that holds a payload which someone had removed |
//! | `V` | volume | how many live deliveries it holds, and the length of their groups |
//! | `W` | delivery | empty: started and not settled |
//! | `X` | delivery | a chunk directory to remove |
//! | `Y` | pipeline, monitor | what a monitor knows |
//! | `Y` | pipeline, monitor, flow | what it knows of one flow |
//! | `Z` | mailbox, keyed digest of a base name, delivery | empty: was picked up under that name |
//!
//! Values are postcard behind one version byte, [`VERSION`].

use serde::{Deserialize, Serialize};

use super::IndexError;
use crate::domain::digest::ContentDigest;
use crate::domain::fingerprint::Fingerprint;
use crate::domain::ids::{DeliveryId, MailboxId, MessageId, Name};
use crate::domain::monitor::MonitorId;
use crate::domain::time::Timestamp;

/// First byte of every value. Another one means an index made by another version: it is rebuilt.
pub const VERSION: u8 = 2;

/// The key of the one row about the whole: journal position, and what is counted once.
pub const META: &[u8] = b"M";

/// Beyond every key.
pub const END: &[u8] = &[0xff];

/// The kinds of rows, by first byte.
pub mod kind {
    /// Set aside.
    pub const ASIDE: u8 = b'A';
    /// Goes out, and its pair of files still lies in `OUT`.
    pub const LYING: u8 = b'B';
    /// Counters of a mailbox.
    pub const COUNTERS: u8 = b'C';
    /// Deliveries.
    pub const DELIVERY: u8 = b'D';
    /// Failures that are alike.
    pub const ALIKE: u8 = b'E';
    /// What waits to be sent.
    pub const SEND_QUEUE: u8 = b'F';
    /// What goes out, or went.
    pub const SEND: u8 = b'H';
    /// What went out, by MESH's message id.
    pub const SENT: u8 = b'I';
    /// What is being sent.
    pub const IN_SENDING: u8 = b'N';
    /// Groups in volumes.
    pub const GROUP: u8 = b'G';
    /// Bulk acts.
    pub const JOB: u8 = b'J';
    /// Beyond their time, and kept by a legal hold.
    pub const SPARED: u8 = b'K';
    /// Legal holds.
    pub const LEGAL_HOLD: u8 = b'L';
    /// All that has not come to an end and needs no person, in order of acceptance.
    pub const WAITING: u8 = b'O';
    /// What may go, by time.
    pub const PURGE: u8 = b'P';
    /// Due deliveries.
    pub const QUEUE: u8 = b'Q';
    /// Refusals.
    pub const REFUSED: u8 = b'R';
    /// With outputs staged and not yet published.
    pub const STAGED: u8 = b'T';
    /// Suspects.
    pub const SUSPECT: u8 = b'S';
    /// Groups that go as soon as they can.
    pub const UNWANTED: u8 = b'U';
    /// Volumes.
    pub const VOLUME: u8 = b'V';
    /// Started and not settled.
    pub const WORKING: u8 = b'W';
    /// Chunk directories to remove.
    pub const REMOVAL: u8 = b'X';
    /// Monitors.
    pub const MONITOR: u8 = b'Y';
    /// What was picked up, by the name of its pair.
    pub const PAIR: u8 = b'Z';
}

/// A kind and one number.
pub fn numbered(kind: u8, number: u64) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend(number.to_be_bytes());
    key
}

/// A kind and a delivery.
pub fn delivery(kind: u8, id: DeliveryId) -> Vec<u8> {
    numbered(kind, id.0)
}

/// A kind and a mailbox: the beginning of all keys of that mailbox.
pub fn mailbox(kind: u8, mailbox: &MailboxId) -> Vec<u8> {
    let text = mailbox.as_str().as_bytes();
    let mut key = vec![kind, u8::try_from(text.len()).unwrap_or(u8::MAX)];
    key.extend(text);
    key
}

/// The place of a delivery in its mailbox's queue.
pub fn queued(kind: u8, owner: &MailboxId, due: Timestamp, id: DeliveryId) -> Vec<u8> {
    let mut key = queued_until(kind, owner, due);
    key.extend(id.0.to_be_bytes());
    key
}

/// The place in a mailbox's queue before everything due at `due` or later.
pub fn queued_until(kind: u8, owner: &MailboxId, due: Timestamp) -> Vec<u8> {
    let mut key = mailbox(kind, owner);
    key.extend(ordered(due).to_be_bytes());
    key
}

/// The due time in a queue key.
pub fn due_of(key: &[u8]) -> Option<Timestamp> {
    let end = key.len().checked_sub(8)?;
    let bytes = key.get(end.checked_sub(8)?..end)?;
    Some(Timestamp((u64::from_be_bytes(bytes.try_into().ok()?) ^ SIGN) as i64))
}

/// The number at the end of a key: a delivery or a volume.
pub fn number_of(key: &[u8]) -> Option<u64> {
    let bytes = key.get(key.len().checked_sub(8)?..)?;
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

/// The place of a delivery among those of its mailbox that have the same kind of row.
pub fn of_mailbox(kind: u8, owner: &MailboxId, id: DeliveryId) -> Vec<u8> {
    let mut key = mailbox(kind, owner);
    key.extend(id.0.to_be_bytes());
    key
}

/// The place of what went out from a mailbox under MESH's id.
pub fn sent(owner: &MailboxId, id: &MessageId) -> Vec<u8> {
    let mut key = mailbox(kind::SENT, owner);
    key.extend(id.as_str().as_bytes());
    key
}

/// The beginning of the places of what was picked up in a mailbox under a name.
pub fn pairs(owner: &MailboxId, name: &ContentDigest) -> Vec<u8> {
    let mut key = mailbox(kind::PAIR, owner);
    key.extend(name.0.as_bytes());
    key
}

/// The place of one of them.
pub fn pair(owner: &MailboxId, name: &ContentDigest, id: DeliveryId) -> Vec<u8> {
    let mut key = pairs(owner, name);
    key.extend(id.0.to_be_bytes());
    key
}

/// The place of a refusal.
pub fn refused(owner: &MailboxId, id: &MessageId) -> Vec<u8> {
    let mut key = mailbox(kind::REFUSED, owner);
    key.extend(id.as_str().as_bytes());
    key
}

/// The message in the key of a refusal, behind the `prefix` of its mailbox.
pub fn refused_message(key: &[u8], prefix: &[u8]) -> Result<MessageId, IndexError> {
    let text = String::from_utf8_lossy(key.strip_prefix(prefix).unwrap_or_default());
    MessageId::new(text.into_owned()).map_err(|error| IndexError(error.to_string()))
}

/// The place of a mailbox's counters.
pub fn counters(owner: &MailboxId) -> Vec<u8> {
    let mut key = vec![kind::COUNTERS];
    key.extend(owner.as_str().as_bytes());
    key
}

/// The place of a monitor, and the beginning of those of its flows.
pub fn monitor(of: &MonitorId) -> Vec<u8> {
    let mut key = vec![kind::MONITOR];
    for name in [&of.pipeline, &of.monitor] {
        let text = name.as_str().as_bytes();
        key.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        key.extend(text);
    }
    key
}

/// The place of a flow.
pub fn flow(of: &MonitorId, flow: &str) -> Vec<u8> {
    let mut key = monitor(of);
    key.extend(flow.as_bytes());
    key
}

/// The monitor in a key, and the flow; empty in the key of the monitor itself.
pub fn monitor_and_flow(key: &[u8]) -> Option<(MonitorId, String)> {
    let name = |rest: &[u8]| {
        let (length, rest) = rest.split_first()?;
        let (text, rest) = rest.split_at_checked(usize::from(*length))?;
        Some((Name::new(std::str::from_utf8(text).ok()?).ok()?, rest.to_vec()))
    };
    let (pipeline, rest) = name(key.get(1..)?)?;
    let (monitor, rest) = name(&rest)?;
    Some((MonitorId { pipeline, monitor }, String::from_utf8(rest).ok()?))
}

/// The place of the failures of a mailbox that are alike.
pub fn alike(fingerprint: Fingerprint, owner: &MailboxId) -> Vec<u8> {
    let mut key = numbered(kind::ALIKE, fingerprint.0);
    key.extend(owner.as_str().as_bytes());
    key
}

/// The fingerprint and the mailbox in the key of failures that are alike.
pub fn alike_of(key: &[u8]) -> Result<(Fingerprint, MailboxId), IndexError> {
    let wrong = || IndexError("the key of failures that are alike".into());
    let (number, text) = key.get(1..).and_then(|rest| rest.split_first_chunk()).ok_or_else(wrong)?;
    let mailbox = MailboxId::new(String::from_utf8_lossy(text)).map_err(|_| wrong())?;
    Ok((Fingerprint(u64::from_be_bytes(*number)), mailbox))
}

/// The place of something that may go at `at`.
pub fn purge(at: Timestamp, sequence: u64) -> Vec<u8> {
    let mut key = purge_until(at);
    key.extend(sequence.to_be_bytes());
    key
}

/// The place before everything that may go at `at` or later.
pub fn purge_until(at: Timestamp) -> Vec<u8> {
    numbered(kind::PURGE, ordered(at))
}

/// The place of a group: the number at its end is the offset.
pub fn group(volume: u64, offset: u64) -> Vec<u8> {
    let mut key = numbered(kind::GROUP, volume);
    key.extend(offset.to_be_bytes());
    key
}

/// The place of an unwanted group.
pub fn unwanted(volume: u64, offset: u64) -> Vec<u8> {
    let mut key = group(volume, offset);
    key[0] = kind::UNWANTED;
    key
}

/// The volume in a group's key.
pub fn volume_of(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(1..9)?.try_into().ok()?))
}

/// The first key after all that begin with `prefix`.
pub fn after(prefix: &[u8]) -> Vec<u8> {
    let mut key = prefix.to_vec();
    while let Some(last) = key.pop() {
        if last < u8::MAX {
            key.push(last + 1);
            return key;
        }
    }
    END.to_vec()
}

/// `value` as it is stored.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, IndexError> {
    postcard::to_extend(value, vec![VERSION]).map_err(|error| IndexError(format!("encode a row: {error}")))
}

/// What was stored.
pub fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, IndexError> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => {
            postcard::from_bytes(rest).map_err(|error| IndexError(format!("decode a row: {error}")))
        }
        Some((version, _)) => Err(IndexError(format!("row of version {version}"))),
        None => Err(IndexError("empty row".into())),
    }
}

const SIGN: u64 = 1 << 63;

fn ordered(at: Timestamp) -> u64 {
    (at.0 as u64) ^ SIGN
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> MailboxId {
        MailboxId::new(text).expect("a mailbox id")
    }

    #[test]
    fn queue_keys_sort_by_mailbox_then_time_then_delivery() {
        let ordered = [
            queued(kind::QUEUE, &name("A"), Timestamp(-5), DeliveryId(9)),
            queued(kind::QUEUE, &name("A"), Timestamp(7), DeliveryId(1)),
            queued(kind::QUEUE, &name("A"), Timestamp(7), DeliveryId(2)),
            queued(kind::QUEUE, &name("B"), Timestamp(0), DeliveryId(1)),
            queued(kind::QUEUE, &name("AB"), Timestamp(0), DeliveryId(1)),
        ];
        assert!(ordered.is_sorted());
        assert_eq!(due_of(&ordered[0]), Some(Timestamp(-5)));
        assert_eq!(number_of(&ordered[2]), Some(2));
    }

    #[test]
    fn a_mailbox_prefix_holds_no_other_mailbox() {
        let prefix = mailbox(kind::QUEUE, &name("A"));
        let other = queued(kind::QUEUE, &name("AB"), Timestamp(0), DeliveryId(1));
        assert!(other < prefix || other >= after(&prefix));
        assert_eq!(after(&[1, 0xff]), vec![2]);
    }

    #[test]
    fn a_row_of_another_version_is_not_read() {
        let mut bytes = encode(&7u32).expect("encodes");
        assert_eq!(decode::<u32>(&bytes), Ok(7));
        bytes[0] = VERSION + 1;
        assert!(decode::<u32>(&bytes).is_err());
    }
}
