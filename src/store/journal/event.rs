//! What the journal says happened.
//!
//! A record's body is one [`Event`] as compact JSON, told apart by its member `e`. No patient data (I8): ids of MESH
//! and our own, codes, lengths, our own output names; digests and local ids keyed. New members and new events raise
//! [`VERSION`]; a journal that says a newer one is refused.

use serde::{Deserialize, Serialize};

use crate::domain::digest::ContentDigest;
use crate::domain::envelope::MessageKind;
use crate::domain::fault::FaultCode;
use crate::domain::ids::{DeliveryId, MailboxId, MessageId, Name, WorkflowId};
use crate::domain::operator::{Operator, Remark};
use crate::domain::output::OutputState;
use crate::domain::settlement::{DeathCause, Reason};
use crate::domain::time::Timestamp;
use crate::ports::store::{Location, SetAsideKind};

/// The version of the events, in each segment's header.
pub const VERSION: u8 = 1;

/// One thing that happened. A delivery's id is the sequence of its `Accepted`, or of its `Replayed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "e", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Event {
    /// The store was opened. What is written before the next one belongs to this run.
    Run {
        /// Counts openings, from 1; also in every record's frame.
        run: u32,
        /// The machine's boot, so that a death can be told from a power cut.
        boot: String,
        /// Whether the run before ended in order.
        clean: bool,
        /// Which key the digests are made with.
        key: String,
        /// The store's own time then, which due times are in.
        time: Timestamp,
    },
    /// The daemon began.
    Started {
        /// Its version.
        version: String,
    },
    /// The daemon was told to end. Whoever cuts it off from here on does so from outside.
    Stopping,
    /// The daemon ended in order.
    Stopped,
    /// A message is kept.
    Accepted(Box<Acceptance>),
    /// MESH heard that we keep it.
    Acknowledged {
        /// Which.
        id: DeliveryId,
    },
    /// A message that we have came again with the same bytes; nothing new to do.
    Repeated {
        /// The delivery it already has.
        id: DeliveryId,
        /// The mailbox.
        mailbox: MailboxId,
        /// The message.
        message: MessageId,
    },
    /// A message stays at MESH.
    Refused {
        /// The mailbox.
        mailbox: MailboxId,
        /// The message.
        message: MessageId,
        /// Why.
        reason: Reason,
        /// Not fetched again before.
        until: Timestamp,
        /// MESH does not serve it any more.
        lost: bool,
        /// Forgotten if nothing was heard of it by then.
        forget: Timestamp,
    },
    /// A refusal that nothing was heard of any more, or whose message MESH no longer lists.
    Forgotten {
        /// The mailbox.
        mailbox: MailboxId,
        /// The message.
        message: MessageId,
    },
    /// Deliveries are about to be worked on.
    Working {
        /// Which.
        ids: Vec<DeliveryId>,
        /// One suspect, with nothing else in work.
        alone: bool,
    },
    /// The run before ended while this was in work.
    Suspect {
        /// Which.
        id: DeliveryId,
        /// It was alone, on the same boot: its own doing.
        died_alone: bool,
    },
    /// Outputs are whole in staging and about to be renamed.
    Staged {
        /// Which.
        id: DeliveryId,
        /// All its outputs.
        outputs: Vec<OutputState>,
    },
    /// The end: every output is published.
    Delivered {
        /// Which.
        id: DeliveryId,
        /// All its outputs.
        outputs: Vec<OutputState>,
        /// Its payload is kept until then.
        keep: Timestamp,
    },
    /// The end: by rule it goes nowhere.
    Discarded {
        /// Which.
        id: DeliveryId,
        /// Which rule.
        reason: Reason,
        /// Its payload is kept until then.
        keep: Timestamp,
    },
    /// It failed, and counts an attempt.
    Retry {
        /// Which.
        id: DeliveryId,
        /// Worked on again from then.
        due: Timestamp,
        /// Why.
        reason: Reason,
    },
    /// The world was busy: no attempt is counted.
    Deferred {
        /// Which.
        id: DeliveryId,
        /// Worked on again from then.
        due: Timestamp,
        /// Why.
        reason: Reason,
        /// How far its outputs came.
        outputs: Vec<OutputState>,
    },
    /// Given back as it was.
    Released {
        /// Which.
        id: DeliveryId,
        /// Due again from then.
        due: Timestamp,
        /// How it came back.
        why: Release,
    },
    /// Set aside for a person.
    Held {
        /// Which.
        id: DeliveryId,
        /// Why.
        reason: Reason,
        /// How far its outputs came.
        outputs: Vec<OutputState>,
    },
    /// Set aside as a dead letter.
    Dead {
        /// Which.
        id: DeliveryId,
        /// How it came to this.
        cause: DeathCause,
        /// Why.
        reason: Reason,
        /// Its payload is kept until then.
        keep: Timestamp,
    },
    /// A person has a delivery handled anew, as the delivery that begins here.
    Replayed(Box<Replay>),
    /// A person put a held delivery back to work.
    OperatorReleased {
        /// Which.
        id: DeliveryId,
        /// Due from then.
        due: Timestamp,
        /// It is tried with nothing else in work.
        alone: bool,
        /// Who.
        by: Operator,
        /// Why, if they said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<Remark>,
    },
    /// A person set a delivery aside until they, or another, say what becomes of it.
    OperatorHeld {
        /// Which.
        id: DeliveryId,
        /// What is said of it from now on.
        reason: Reason,
        /// Who.
        by: Operator,
        /// Why.
        why: Remark,
    },
    /// The end, by a person: it goes nowhere.
    OperatorDiscarded {
        /// Which.
        id: DeliveryId,
        /// Its payload is kept until then.
        keep: Timestamp,
        /// Who.
        by: Operator,
        /// Why.
        why: Remark,
    },
    /// The payload's time is over; the delivery is no longer known but for its id.
    Purged {
        /// Which.
        id: DeliveryId,
        /// The mailbox.
        mailbox: MailboxId,
        /// The message.
        message: MessageId,
        /// It was not delivered, so the message begins another life if it comes again.
        reopened: bool,
    },
    /// A group was moved from one volume to the end of another, so that the first can go; or back, because the disk
    /// lost the copy.
    Moved {
        /// Its live deliveries.
        ids: Vec<DeliveryId>,
        /// Where it was.
        from: GroupPlace,
        /// Where it is.
        to: GroupPlace,
    },
    /// An empty volume left the spool.
    VolumeRemoved {
        /// Which.
        volume: u64,
    },
    /// A purged delivery's chunk directory left the spool.
    PartsRemoved {
        /// Whose.
        id: DeliveryId,
    },
    /// Chunks left the spool of a message that was never accepted, and that MESH keeps no longer.
    Abandoned {
        /// The mailbox.
        mailbox: MailboxId,
        /// The message.
        message: MessageId,
    },
    /// A torn tail was cut when the store was opened.
    TailCut {
        /// The segment's file name.
        file: String,
        /// Where it was cut.
        offset: u64,
        /// How many bytes were cut.
        bytes: u64,
    },
    /// The index was made anew.
    Rebuilt {
        /// Why.
        why: String,
    },
    /// A closed segment ended its retention.
    SegmentRemoved {
        /// Its file name.
        file: String,
    },
    /// The wall clock moved by itself.
    ClockStep {
        /// By so many milliseconds; negative is back.
        milliseconds: i64,
    },
    /// A handshake is about to be tried.
    HandshakeTried {
        /// For which mailbox.
        mailbox: MailboxId,
    },
    /// A mailbox answered a handshake.
    Handshake {
        /// Which.
        mailbox: MailboxId,
    },
    /// An inbox was listed.
    Listed {
        /// Whose.
        mailbox: MailboxId,
    },
    /// Configuration and pipelines were loaded.
    Configured {
        /// SHA-256 over both, in hex.
        sha256: String,
    },
    /// A pipeline was suspended: too many of its messages failed alike.
    Suspended {
        /// Which.
        pipeline: Name,
        /// How they failed.
        code: FaultCode,
    },
    /// An operator let a suspended pipeline go on.
    Resumed {
        /// Which.
        pipeline: Name,
        /// Who.
        by: Operator,
        /// Why, in their words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<Remark>,
    },
    /// A backup begins, of everything up to the commit that this record belongs to.
    BackupBegun {
        /// Who makes it.
        by: Operator,
    },
    /// It is whole.
    BackupEnded {
        /// Sequence of the last record in it.
        sequence: u64,
        /// Who made it.
        by: Operator,
    },
    /// The state was restored from a backup: a new epoch begins. Once more if a crash came before its beginning was whole.
    Restored {
        /// Sequence of the last record in the backup.
        backup: u64,
        /// A later state of the journal was taken over, so that what follows the backup counts.
        later: bool,
    },
    /// A pipeline raised an alarm about a message.
    Alarmed {
        /// Its delivery.
        id: DeliveryId,
        /// Which pipeline.
        pipeline: Name,
        /// What about.
        code: FaultCode,
    },
}

/// A message as it is kept: all that the index needs to make its delivery again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acceptance {
    /// The mailbox.
    pub mailbox: MailboxId,
    /// The message.
    pub message: MessageId,
    /// Its workflow.
    pub workflow: WorkflowId,
    /// Its sender, when that is a mailbox id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<MailboxId>,
    /// Data or report.
    pub kind: MessageKind,
    /// Decoded length, bytes.
    pub length: u64,
    /// Keyed digest of its bytes.
    pub digest: ContentDigest,
    /// Keyed digest of its local id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_id: Option<ContentDigest>,
    /// Where the spool keeps it.
    pub location: Location,
    /// Due for work from then.
    pub due: Timestamp,
    /// The delivery that it continues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<DeliveryId>,
    /// Set aside at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aside: Option<Aside>,
}

/// A replay. The new delivery has everything of the old one's message, and its payload; nothing of its history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// The delivery that it continues, which ends here.
    pub of: DeliveryId,
    /// The mailbox.
    pub mailbox: MailboxId,
    /// The message.
    pub message: MessageId,
    /// Decoded length, bytes.
    pub length: u64,
    /// Keyed digest of its bytes.
    pub digest: ContentDigest,
    /// Due for work from then.
    pub due: Timestamp,
    /// It is tried with nothing else in work.
    pub alone: bool,
    /// The old delivery is known until then.
    pub keep: Timestamp,
    /// Who had it replayed.
    pub by: Operator,
    /// Why, if they said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Remark>,
}

/// Where a group lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupPlace {
    /// The volume.
    pub volume: u64,
    /// Offset of its clear header, bytes.
    pub offset: u64,
}

/// Set aside at acceptance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aside {
    /// Dead or held.
    pub kind: SetAsideKind,
    /// Why.
    pub reason: Reason,
    /// Its payload is kept until then; without limit when held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<Timestamp>,
}

/// How a lease came back without a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Release {
    /// The worker gave it back.
    Returned,
    /// It was dropped.
    Dropped,
    /// The run before stopped in order with it in hand.
    Stopped,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fault::FaultCode;

    fn mailbox() -> MailboxId {
        MailboxId::new("X26ABC1").expect("a mailbox id")
    }

    /// The text of a record is a format that auditors read: it changes only with `VERSION`.
    #[test]
    fn events_read_as_version_1_says() {
        let id = DeliveryId(7);
        let reason = Reason::new(FaultCode::MsgBadEncoding, "not gzip");
        let accepted = Acceptance {
            mailbox: mailbox(),
            message: MessageId::new("M1").expect("a message id"),
            workflow: WorkflowId::new("W").expect("a workflow id"),
            from: None,
            kind: MessageKind::Data,
            length: 5,
            digest: ContentDigest("ab".into()),
            local_id: None,
            location: Location::Parts { parts: 2, life: 0 },
            due: Timestamp(9),
            continues: Some(id),
            aside: None,
        };
        let table = [
            (Event::Stopped, r#"{"e":"stopped"}"#),
            (
                Event::Replayed(Box::new(Replay {
                    of: id,
                    mailbox: mailbox(),
                    message: MessageId::new("M1").expect("a message id"),
                    length: 5,
                    digest: ContentDigest("ab".into()),
                    due: Timestamp(9),
                    alone: false,
                    keep: Timestamp(10),
                    by: Operator(1000),
                    why: None,
                })),
                r#"{"e":"replayed","of":7,"mailbox":"X26ABC1","message":"M1","length":5,"digest":"ab","due":9,"alone":false,"keep":10,"by":1000}"#,
            ),
            (
                Event::OperatorDiscarded {
                    id,
                    keep: Timestamp(9),
                    by: Operator(1000),
                    why: Remark::new("sent again").expect("a remark"),
                },
                r#"{"e":"operator-discarded","id":7,"keep":9,"by":1000,"why":"sent again"}"#,
            ),
            (
                Event::Moved {
                    ids: vec![id],
                    from: GroupPlace { volume: 1, offset: 2 },
                    to: GroupPlace { volume: 3, offset: 0 },
                },
                r#"{"e":"moved","ids":[7],"from":{"volume":1,"offset":2},"to":{"volume":3,"offset":0}}"#,
            ),
            (Event::Working { ids: vec![id], alone: true }, r#"{"e":"working","ids":[7],"alone":true}"#),
            (
                Event::Retry { id, due: Timestamp(9), reason },
                r#"{"e":"retry","id":7,"due":9,"reason":{"code":"MSG-BAD-ENCODING","detail":"not gzip"}}"#,
            ),
            (
                Event::Accepted(Box::new(accepted)),
                r#"{"e":"accepted","mailbox":"X26ABC1","message":"M1","workflow":"W","kind":"data","length":5,"digest":"ab","location":{"parts":{"parts":2,"life":0}},"due":9,"continues":7}"#,
            ),
        ];
        for (event, text) in table {
            assert_eq!(serde_json::to_string(&event).expect("encodes"), text);
            assert_eq!(serde_json::from_str::<Event>(text).expect("decodes"), event);
        }
    }

    #[test]
    fn an_event_with_a_member_we_do_not_know_is_not_read() {
        assert!(serde_json::from_str::<Event>(r#"{"e":"listed","mailbox":"X26ABC1","more":1}"#).is_err());
        assert!(serde_json::from_str::<Event>(r#"{"e":"something-new"}"#).is_err());
    }
}
