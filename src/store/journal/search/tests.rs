use super::*;
use crate::domain::course::Arrival;
use crate::domain::digest::ContentDigest;
use crate::domain::envelope::MessageKind;
use crate::domain::ids::WorkflowId;
use crate::domain::operator::{Operator, Remark};
use crate::domain::time::Timestamp;
use crate::ports::store::Location;
use crate::store::disk::Simulated;
use crate::store::journal::Journal;
use crate::store::journal::Stamp;
use crate::store::journal::event::{Acceptance, Replay};
use crate::store::journal::tests::{bytes, compress_all, directory, replace};

fn mailbox(text: &str) -> MailboxId {
    MailboxId::new(text).expect("a mailbox id")
}

fn message(text: &str) -> MessageId {
    MessageId::new(text).expect("a message id")
}

fn accepted(at: &str, id: &str, continues: Option<u64>) -> Event {
    Event::Accepted(Box::new(Acceptance {
        mailbox: mailbox(at),
        message: message(id),
        workflow: WorkflowId::new("W").expect("a workflow id"),
        from: None,
        kind: MessageKind::Data,
        length: 5,
        digest: ContentDigest("ab".into()),
        local_id: None,
        location: Location::Parts { parts: 2, life: 0 },
        due: Timestamp(9),
        continues: continues.map(DeliveryId),
        aside: None,
        meant_for: None,
        arrival: Arrival::default(),
    }))
}

fn replayed(of: u64, id: &str) -> Event {
    Event::Replayed(Box::new(Replay {
        of: DeliveryId(of),
        mailbox: mailbox("MB1"),
        message: message(id),
        length: 5,
        digest: ContentDigest("ab".into()),
        due: Timestamp(9),
        alone: false,
        keep: Timestamp(10),
        by: Operator(1000),
        why: None,
        job: None,
    }))
}

fn patient(hex: &str) -> ContentDigest {
    ContentDigest(hex.repeat(32))
}

fn concerns(id: u64, hex: &str, more: bool) -> Event {
    Event::Concerns { id: DeliveryId(id), patients: vec![patient(hex)], more }
}

fn begin(disk: &Simulated) -> Journal {
    Journal::open(std::sync::Arc::new(disk.clone()), directory(), "boot", Timestamp(0)).expect("opens").0
}

const DAY: i64 = 24 * 3_600_000;

/// One record a day. M1 has three lives: 3, 6 and 8; the number of the first is part of other numbers and ids.
fn written(disk: &Simulated) -> Journal {
    let mut journal = begin(disk);
    let working = |ids: &[u64]| Event::Working { ids: ids.iter().copied().map(DeliveryId).collect(), alone: false };
    let purged = |id| Event::Purged {
        id: DeliveryId(id),
        mailbox: mailbox("MB1"),
        message: message("M1"),
        reopened: true,
        asked: None,
    };
    let hold = Event::OperatorDiscarded {
        id: DeliveryId(8),
        keep: Timestamp(9),
        by: Operator(1001),
        why: Remark::new("sent again").expect("a remark"),
        job: None,
    };
    let events = [
        Event::Run { run: 1, boot: "boot".into(), clean: true, key: "k".into(), time: Timestamp(0) },
        accepted("MB1", "M3", None),
        accepted("MB1", "M1", None),
        accepted("MB2", "M1", None),
        working(&[2, 3]),
        accepted("MB1", "M1", Some(3)),
        working(&[4]),
        replayed(6, "M1"),
        working(&[8]),
        hold,
        purged(3),
        Event::Listed { mailbox: mailbox("MB2") },
        concerns(6, "aa", false),
        concerns(6, "bb", false),
        concerns(6, "bb", true),
    ];
    for (day, event) in (0..).zip(&events) {
        let stamp = Stamp { wall: Timestamp(day * DAY), monotonic_ms: 5 };
        journal.add(stamp, event).expect("encodes");
        journal.write().expect("writes");
        journal.file().sync(crate::domain::step::Step::JournalSync).expect("syncs");
        journal.synced();
        if day % 4 == 3 {
            journal.roll(stamp.wall, stamp.wall).expect("rolls");
        }
    }
    journal
}

fn look(disk: &Simulated, head: Head, wanted: Search) -> Page {
    search(disk, directory(), head, wanted, &|| false).expect("the journal reads")
}

fn sequences(page: &Page) -> Vec<u64> {
    page.records.iter().map(|record| record.sequence).collect()
}

#[test]
fn every_filter_finds_its_records_and_no_others() {
    let disk = Simulated::new(1);
    let journal = written(&disk);
    let head = journal.head();
    let all = Search::default;
    let at = |days: i64| Some(Timestamp(days * DAY));
    let message_of = |mailbox| Search { message: Some(message("M1")), mailbox, ..all() };
    let by = |by| Search { by: Some(by), ..all() };
    let people = |or_may_concern| Search {
        kinds: ["concerns", "replayed"].map(str::to_owned).into(),
        patients: vec![patient("aa")],
        or_may_concern,
        ..all()
    };
    let table: [(&str, Search, &[u64]); 14] = [
        ("all", all(), &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]),
        ("people", people(false), &[13]),
        ("people, lists and replays", people(true), &[8, 13, 15]),
        ("message", message_of(None), &[3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15]),
        ("message of a mailbox", message_of(Some(mailbox("MB1"))), &[3, 5, 6, 8, 9, 10, 11, 13, 14, 15]),
        ("first life", Search { delivery: Some(DeliveryId(3)), ..all() }, &[3, 5, 6, 8, 9, 10, 11, 13, 14, 15]),
        ("last life", Search { delivery: Some(DeliveryId(8)), ..all() }, &[3, 5, 6, 8, 9, 10, 11, 13, 14, 15]),
        ("no delivery", Search { delivery: Some(DeliveryId(7)), ..all() }, &[]),
        ("mailbox", Search { mailbox: Some(mailbox("MB2")), ..all() }, &[4, 12]),
        ("operator", by(By::Operator(Operator(1000))), &[8]),
        ("daemon", Search { from: 7, ..by(By::Daemon) }, &[7, 9, 11, 12, 13, 14, 15]),
        ("times", Search { since: at(3), until: at(6), ..all() }, &[4, 5, 6]),
        ("kinds", Search { kinds: vec!["working".into(), "run".into()], ..all() }, &[1, 5, 7, 9]),
        ("a kind of a message", Search { kinds: vec!["working".into()], to: Some(8), ..message_of(None) }, &[5, 7]),
    ];
    for (what, wanted, expected) in &table {
        assert_eq!(sequences(&look(&disk, head, wanted.clone())), *expected, "{what}");
    }
    compress_all(&disk, &journal);
    for (what, wanted, expected) in table {
        assert_eq!(sequences(&look(&disk, head, wanted)), expected, "{what}, compressed");
    }
}

/// Two lives of a message, and 300 other records after each record about it.
fn scattered(disk: &Simulated) -> Journal {
    let mut journal = begin(disk);
    let second = 2 * 301 + 1;
    let working = |id| Event::Working { ids: vec![DeliveryId(id)], alone: false };
    for event in [accepted("MB1", "M1", None), working(1), accepted("MB1", "M1", Some(1)), working(second)] {
        let others = (0..300).map(|number| Event::ClockStep { milliseconds: number });
        for event in std::iter::once(event).chain(others) {
            journal.add(Stamp { wall: Timestamp(1), monotonic_ms: 5 }, &event).expect("encodes");
        }
    }
    journal.write().expect("writes");
    journal
}

#[test]
fn late_pages_say_how_to_go_on_and_tell_together_what_one_would() {
    let disk = Simulated::new(1);
    let head = scattered(&disk).head();
    for delivery in [1, 603] {
        let wanted = Search { delivery: Some(DeliveryId(delivery)), ..Search::default() };
        let mut next = Some(Box::new(wanted));
        let (mut found, mut pages) = (Vec::new(), 0);
        while let Some(wanted) = next {
            // What a page leaves over goes over the wire and comes back.
            let text = serde_json::to_string(&wanted).expect("JSON");
            let wanted = serde_json::from_str(&text).expect("it reads");
            let page = search(&disk, directory(), head, wanted, &|| true).expect("it reads");
            found.extend(sequences(&page));
            next = page.rest;
            pages += 1;
        }
        assert_eq!(found, [1, 302, 603, 904], "{delivery}");
        assert_eq!(pages, 5, "each looks at 256 of 1,204 records");
    }
}

#[test]
fn what_is_being_written_is_the_end_and_damage_before_it_is_told() {
    let disk = Simulated::new(1);
    let mut journal = written(&disk);
    let head = journal.head();
    let stamp = Stamp { wall: Timestamp(20 * DAY), monotonic_ms: 5 };
    journal.add(stamp, &Event::Stopped).expect("encodes");
    journal.write().expect("writes");
    assert_eq!(look(&disk, head, Search::default()).records.len(), 15, "what is not durable is not there");
    let last = Name { first: 13, compressed: false }.path(directory());
    let mut torn = bytes(&disk, &last);
    torn.truncate(torn.len() - 1);
    replace(&disk, &last, &torn);
    assert_eq!(look(&disk, journal.head(), Search::default()).records.len(), 15);
    let first = Name { first: 1, compressed: false }.path(directory());
    let mut damaged = bytes(&disk, &first);
    let place = damaged.len() - 3;
    damaged[place] ^= 1;
    replace(&disk, &first, &damaged);
    let refused = search(&disk, directory(), head, Search::default(), &|| false).expect_err("it is damaged");
    assert!(refused.0.contains("00000000000000000001.log"), "{refused}");
}
