use super::*;
use crate::domain::course::Arrival;
use crate::domain::digest::ContentDigest;
use crate::domain::envelope::MessageKind;
use crate::domain::ids::WorkflowId;
use crate::domain::sending::Outgoing;
use crate::ports::store::{JobAct, Left, Location, Selection};

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
        meant_for: None,
        arrival: Arrival { listed: Timestamp(4), waited: 1, took: 2, wire: 3, chunks: 2, tries: 1 },
    };
    let table = [
        (Event::Stopped, r#"{"e":"stopped"}"#),
        (
            Event::MailboxSuspended {
                mailbox: mailbox(),
                by: Operator(1000),
                why: Remark::new("INC0012345").expect("a remark"),
            },
            r#"{"e":"mailbox-suspended","mailbox":"X26ABC1","by":1000,"why":"INC0012345"}"#,
        ),
        (
            Event::MailboxResumed { mailbox: mailbox(), by: Operator(1000), why: None },
            r#"{"e":"mailbox-resumed","mailbox":"X26ABC1","by":1000}"#,
        ),
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
                job: None,
            })),
            r#"{"e":"replayed","of":7,"mailbox":"X26ABC1","message":"M1","length":5,"digest":"ab","due":9,"alone":false,"keep":10,"by":1000}"#,
        ),
        (
            Event::BroughtIn(Box::new(BroughtIn {
                kept: Acceptance {
                    local_id: None,
                    from: None,
                    continues: Some(id),
                    aside: None,
                    arrival: Arrival::default(),
                    ..accepted.clone()
                },
                replaces: Some(Replaced { id, keep: Timestamp(10), alone: false }),
                presented: Some(Presented { length: 6, digest: ContentDigest("cd".into()) }),
                by: Operator(1000),
                why: Remark::new("mended").expect("a remark"),
            })),
            r#"{"e":"brought-in","kept":{"mailbox":"X26ABC1","message":"M1","workflow":"W","kind":"data","length":5,"digest":"ab","location":{"parts":{"parts":2,"life":0}},"due":9,"continues":7,"arrival":{"listed":0,"waited":0,"took":0,"wire":0,"chunks":0,"tries":0}},"replaces":{"id":7,"keep":10,"alone":false},"presented":{"length":6,"digest":"cd"},"by":1000,"why":"mended"}"#,
        ),
        (
            Event::SendQueued(Box::new(SendQueued {
                kept: Acceptance {
                    local_id: None,
                    from: None,
                    continues: None,
                    aside: None,
                    arrival: Arrival::default(),
                    ..accepted.clone()
                },
                outgoing: Outgoing {
                    to: MailboxId::new("X26ABC2").ok(),
                    chunk: 75_000_000,
                    compress: true,
                    progress: Sending::Ready,
                    pair: None,
                    onward: None,
                },
                by: Operator(1000),
            })),
            r#"{"e":"send-queued","kept":{"mailbox":"X26ABC1","message":"M1","workflow":"W","kind":"data","length":5,"digest":"ab","location":{"parts":{"parts":2,"life":0}},"due":9,"arrival":{"listed":0,"waited":0,"took":0,"wire":0,"chunks":0,"tries":0}},"outgoing":{"to":"X26ABC2","chunk":75000000,"compress":true,"progress":"ready","pair":null,"onward":null},"by":1000}"#,
        ),
        (
            Event::SendResolved {
                id,
                message: MessageId::new("M1").expect("a message id"),
                keep: Timestamp(10),
                by: Operator(1000),
                why: Remark::new("they have it").expect("a remark"),
            },
            r#"{"e":"send-resolved","id":7,"message":"M1","keep":10,"by":1000,"why":"they have it"}"#,
        ),
        (Event::PairPutAway { id }, r#"{"e":"pair-put-away","id":7}"#),
        (
            Event::Sending {
                id,
                progress: Sending::Uploading { message: MessageId::new("M1").expect("a message id"), sent: 2 },
            },
            r#"{"e":"sending","id":7,"progress":{"uploading":{"message":"M1","sent":2}}}"#,
        ),
        (
            Event::OperatorDiscarded {
                id,
                keep: Timestamp(9),
                by: Operator(1000),
                why: Remark::new("sent again").expect("a remark"),
                job: Some(JobId(6)),
            },
            r#"{"e":"operator-discarded","id":7,"keep":9,"by":1000,"why":"sent again","job":6}"#,
        ),
        (
            Event::JobBegun(Box::new(JobOrder {
                selection: Selection { code: Some(FaultCode::MsgNoRoute), ..Selection::default() },
                act: JobAct::Replay,
                rate: "50/s".parse().expect("a rate"),
                by: Operator(1000),
                why: Remark::new("INC0012345").expect("a remark"),
            })),
            r#"{"e":"job-begun","selection":{"mailbox":null,"state":null,"cause":null,"code":"MSG-NO-ROUTE","workflow":null,"from":null,"since":null,"until":null,"group":null},"act":"replay","rate":50,"by":1000,"why":"INC0012345"}"#,
        ),
        (
            Event::JobPassed { job: JobId(6), to: id, left: [(Left::NeedsForce, 2)].into() },
            r#"{"e":"job-passed","job":6,"to":7,"left":{"needs-force":2}}"#,
        ),
        (
            Event::JobEnded { job: JobId(6), done: 3, left: [(Left::Lost, 1)].into(), how: JobOutcome::Done },
            r#"{"e":"job-ended","job":6,"done":3,"left":{"lost":1},"how":"done"}"#,
        ),
        (
            Event::Revealed {
                id,
                payload: true,
                by: Operator(1000),
                why: Remark::new("INC0012345").expect("a remark"),
            },
            r#"{"e":"revealed","id":7,"payload":true,"by":1000,"why":"INC0012345"}"#,
        ),
        (
            Event::Moved {
                ids: vec![id],
                from: GroupPlace { volume: 1, offset: 2 },
                to: GroupPlace { volume: 3, offset: 0 },
            },
            r#"{"e":"moved","ids":[7],"from":{"volume":1,"offset":2},"to":{"volume":3,"offset":0}}"#,
        ),
        (
            Event::Concerns { id, patients: vec![ContentDigest("ab".into())], more: true },
            r#"{"e":"concerns","id":7,"patients":["ab"],"more":true}"#,
        ),
        (
            Event::LegalHoldAdded {
                scope: HoldScope::Patients(vec![ContentDigest("ab".into())]),
                by: Operator(1000),
                why: Remark::new("INC0012345").expect("a remark"),
            },
            r#"{"e":"legal-hold-added","scope":{"patients":["ab"]},"by":1000,"why":"INC0012345"}"#,
        ),
        (Event::LegalHoldTook { hold: LegalHoldId(9), ids: vec![id] }, r#"{"e":"legal-hold-took","hold":9,"ids":[7]}"#),
        (Event::LegalHoldComplete { hold: LegalHoldId(9) }, r#"{"e":"legal-hold-complete","hold":9}"#),
        (
            Event::LegalHoldRemoved {
                hold: LegalHoldId(9),
                by: Operator(1000),
                why: Remark::new("INC0012345").expect("a remark"),
            },
            r#"{"e":"legal-hold-removed","hold":9,"by":1000,"why":"INC0012345"}"#,
        ),
        (
            Event::SubjectSought {
                patients: vec![ContentDigest("ab".into())],
                purpose: Purpose::Scan,
                by: Operator(1000),
                why: Remark::new("INC0012345").expect("a remark"),
            },
            r#"{"e":"subject-sought","patients":["ab"],"purpose":"scan","by":1000,"why":"INC0012345"}"#,
        ),
        (Event::Spared { ids: vec![id] }, r#"{"e":"spared","ids":[7]}"#),
        (Event::Working { ids: vec![id], alone: true }, r#"{"e":"working","ids":[7],"alone":true}"#),
        (
            Event::Retry { id, due: Timestamp(9), reason, handling: None },
            r#"{"e":"retry","id":7,"due":9,"reason":{"code":"MSG-BAD-ENCODING","detail":"not gzip"}}"#,
        ),
        (
            Event::Accepted(Box::new(accepted)),
            r#"{"e":"accepted","mailbox":"X26ABC1","message":"M1","workflow":"W","kind":"data","length":5,"digest":"ab","location":{"parts":{"parts":2,"life":0}},"due":9,"continues":7,"arrival":{"listed":4,"waited":1,"took":2,"wire":3,"chunks":2}}"#,
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

#[test]
fn the_kinds_are_all_there_are() {
    let unknown = serde_json::from_str::<Event>(r#"{"e":"?"}"#).expect_err("there is no such kind").to_string();
    let expected = KINDS.map(|kind| format!("`{kind}`")).join(", ");
    assert!(unknown.contains(&format!("expected one of {expected} at")), "{unknown}");
}
