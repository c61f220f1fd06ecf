use super::*;
use crate::domain::course::{Arrival, Handling, StageTime};
use crate::domain::digest::ContentDigest;
use crate::domain::envelope::MessageKind;
use crate::domain::fault::FaultCode;
use crate::domain::ids::{Name, WorkflowId};
use crate::domain::operator::{Operator, Remark};
use crate::domain::settlement::{DeathCause, Reason};
use crate::ports::store::Location;
use crate::store::journal::event::{Acceptance, Replay};

fn began() -> Timestamp {
    Timestamp(1_767_605_412_000)
}

/// The story of one message that failed, was replayed by hand, was delivered and purged.
fn story() -> Vec<(u64, i64, Event)> {
    let id = DeliveryId(7);
    let mailbox = MailboxId::new("X26ABC1").expect("a mailbox id");
    let message = MessageId::new("M1").expect("a message id");
    let digest = ContentDigest("ab".into());
    let arrival = Arrival { listed: began(), waited: 200, took: 50, wire: 90, chunks: 2, tries: 2 };
    let handling = |publishing| {
        let stages = vec![StageTime("decompress".into(), 3), StageTime("route".into(), 0)];
        let pipeline = Name::new("letters").expect("a name");
        Some(Box::new(Handling {
            pipeline,
            file: "0123456789ab".into(),
            stages,
            staging: Some(4),
            publishing,
            seen: Vec::new(),
        }))
    };
    let reason = Reason::new(FaultCode::MsgBadEncoding, "not gzip");
    let accepted = Acceptance {
        mailbox: mailbox.clone(),
        message: message.clone(),
        workflow: WorkflowId::new("W").expect("a workflow id"),
        from: None,
        kind: MessageKind::Data,
        length: 120,
        digest: digest.clone(),
        local_id: None,
        location: Location::Parts { parts: 2, life: 0 },
        due: began(),
        continues: None,
        aside: None,
        meant_for: None,
        arrival,
    };
    let replay = Replay {
        of: id,
        mailbox: mailbox.clone(),
        message: message.clone(),
        length: 120,
        digest,
        due: began(),
        alone: false,
        keep: began(),
        by: Operator(1000),
        why: Some(Remark::new("mended").expect("a remark")),
        job: None,
    };
    let again = DeliveryId(12);
    let refused = Event::Refused {
        mailbox: mailbox.clone(),
        message: message.clone(),
        reason: reason.clone(),
        until: began(),
        lost: false,
        forget: began(),
    };
    vec![
        (6, 100, refused),
        (7, 300, Event::Accepted(Box::new(accepted))),
        (8, 310, Event::Acknowledged { id }),
        (9, 320, Event::Working { ids: vec![DeliveryId(3), id], alone: false }),
        (10, 330, Event::Dead { id, cause: DeathCause::Permanent, reason, keep: began(), handling: handling(None) }),
        (12, 60_300, Event::Replayed(Box::new(replay))),
        (13, 60_400, Event::Working { ids: vec![again], alone: false }),
        (14, 60_500, Event::Delivered { id: again, outputs: Vec::new(), keep: began(), handling: handling(Some(5)) }),
        (15, 90_000_000, Event::Purged { id: again, mailbox, message, reopened: false, asked: None }),
    ]
}

fn told(events: &[(u64, i64, Event)]) -> (String, Vec<String>) {
    let mut standing = Standing::default();
    let mut lines = Vec::new();
    for (sequence, after, event) in events {
        let at = Timestamp(began().0 + after);
        standing.after(*sequence, at, event);
        add(&mut lines, *sequence, at, event);
    }
    (standing.to_string(), lines.iter().map(|line| text(line, began())).collect())
}

#[test]
fn the_story_is_told_in_order_with_times_and_reasons() {
    let (_, lines) = told(&story());
    for (place, words) in [
        (0, "2026-01-05T09:30:12.000Z        +0.000 s           listed by MESH"),
        (1, "+0.100 s           refused, it stays at MESH: MSG-BAD-ENCODING, not gzip; not fetched before"),
        (2, "+0.250 s           fetched in 50 ms: 2 chunks, 90 bytes over the wire, try 2"),
        (3, "+0.300 s  d7       kept: data for workflow W, 120 bytes, sealed in 2 parts"),
        (4, "d7       acknowledged"),
        (7, "(pipeline letters, file 0123456789ab; decompress 3 ms; route 0 ms; staging 4 ms)"),
        (8, "+00:01:00  d12      user 1000 had d7 replayed as d12: mended"),
        (10, "d12      delivered"),
        (11, "+1 d 01:00:00  d12      purged"),
    ] {
        assert!(lines[place].contains(words), "{place}: {words}\n{}", lines.join("\n"));
    }
}

#[test]
fn the_standing_is_that_of_the_last_life() {
    let story = story();
    for (length, expected) in [
        (1, "refused, still at MESH: MSG-BAD-ENCODING, not gzip, since"),
        (2, "d7: waits for work, since 2026-01-05T09:30:12.300Z; MESH has not heard that it is kept"),
        (3, "d7: waits for work, since 2026-01-05T09:30:12.300Z"),
        (4, "d7: in work"),
        (5, "d7: dead, it would fail the same way again: MSG-BAD-ENCODING, not gzip, since"),
        (6, "d12: waits for work, as the replay of d7"),
        (8, "d12: delivered, since 2026-01-05T09:31:12.500Z"),
        (9, "d12: delivered, since 2026-01-05T09:31:12.500Z; purged"),
    ] {
        let (standing, _) = told(&story[..length]);
        assert!(standing.starts_with(expected), "{length}: {standing}");
    }
}

#[test]
fn a_delivery_is_told_from_a_message_id() {
    assert!(matches!("d42".parse(), Ok(Of::Delivery(DeliveryId(42)))));
    assert!(matches!("20260105093012123456_0A1B2C".parse(), Ok(Of::Message(_))));
    assert!("no id".parse::<Of>().is_err());
}
