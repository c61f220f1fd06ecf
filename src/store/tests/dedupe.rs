use super::*;

/// How the first life of a message may have ended, and whether the same bytes begin another.
fn endings() -> [(&'static str, Option<Settlement>, bool); 6] {
    let held = Settlement::Held { reason: because(), outputs: Vec::new() };
    let deferred = Settlement::Defer { after: HOUR, reason: because(), outputs: Vec::new() };
    [
        ("queued", None, false),
        ("deferred", Some(deferred), false),
        ("delivered", Some(delivered()), false),
        ("discarded", Some(Settlement::Discarded(because())), true),
        ("held", Some(held), true),
        ("dead", Some(dead()), true),
    ]
}

#[test]
fn a_message_presented_again_begins_another_life_only_if_the_first_was_in_vain() {
    for (ending, settlement, again) in endings() {
        let mut store = Machine::new().open();
        let first = store.new_delivery("M1", "bytes");
        store.acknowledge(first);
        if let Some(settlement) = settlement {
            store.settle_all(&settlement);
        }
        assert_eq!(store.known("M1"), Known::Presented, "{ending}");
        let second = store.accept("M1", "bytes");
        assert_eq!(matches!(second, Acceptance::New(_)), again, "{ending}");
        if again {
            assert_eq!(store.lease(1, false)[0].delivery.continues, Some(first), "{ending}");
        } else {
            assert_eq!(second.proof().map(|proof| proof.delivery()), Some(first), "{ending}");
            assert!(matches!(store.known("M1"), Known::Kept(_)), "{ending}: acknowledge, do not fetch");
        }
    }
}

#[test]
fn what_mesh_has_not_heard_of_begins_no_other_life() {
    for (ending, settlement, _) in endings() {
        let mut store = Machine::new().open();
        let first = store.new_delivery("M1", "bytes");
        if let Some(settlement) = settlement {
            store.settle_all(&settlement);
        }
        assert!(matches!(store.known("M1"), Known::Kept(_)), "{ending}");
        let second = store.accept("M1", "bytes");
        assert!(matches!(&second, Acceptance::Repeated(proof) if proof.delivery() == first), "{ending}");
    }
}

#[test]
fn other_bytes_under_a_known_id_are_kept_and_held() {
    for (ending, settlement, _) in endings() {
        let mut store = Machine::new().open();
        let first = store.new_delivery("M1", "bytes");
        store.acknowledge(first);
        if let Some(settlement) = settlement {
            store.settle_all(&settlement);
        }
        let second = store.new_delivery("M1", "other");
        let aside = store.set_aside_now();
        assert_eq!(aside[0].reason.code, FaultCode::MsgIdReused, "{ending}");
        assert_eq!((aside[0].delivery.id, aside[0].delivery.continues), (second, Some(first)), "{ending}");
    }
}

#[test]
fn twice_in_one_commit_is_once() {
    let mut store = Machine::new().open();
    let answers = store.commit(vec![accepting("M1", "bytes"), accepting("M1", "bytes")]).unwrap();
    let [Answer::Accepted(first), Answer::Accepted(second)] = &answers[..] else { panic!("{answers:?}") };
    assert!(matches!((first, second), (Acceptance::New(_), Acceptance::Repeated(_))));
    assert_eq!(store.counters().queued.messages, 1);
}

#[test]
fn the_same_id_in_another_mailbox_is_another_message() {
    let mut store = Machine::new().open();
    store.new_delivery("M1", "bytes");
    let other = Command::Known(MailboxId::new("X26ABC2").unwrap(), vec![message("M1")]);
    let Answer::Known(known) = store.one(other) else { panic!() };
    assert_eq!(known, [Known::New]);
}

#[test]
fn bad_mail_is_a_dead_letter_from_the_start() {
    let mut store = Machine::new().open();
    let body = IncomingBody::Small(Bytes::from_static(b"bytes"));
    let incoming = Incoming { envelope: envelope("M1"), body, verdict: Some(because()), arrival: Arrival::default() };
    assert!(matches!(store.one(Command::Accept(Box::new(incoming))), Answer::Accepted(Acceptance::New(_))));
    assert_eq!(store.counters().dead.messages, 1);
    assert!(store.lease(1, false).is_empty());
}

#[test]
fn a_refusal_counts_and_ends_with_acceptance() {
    let mut store = Machine::new().open();
    let mut first_refused = None;
    for times in 1..=2 {
        let until = Timestamp(7);
        let lost = times == 2;
        let refusal = Refusal { mailbox: mailbox(), message_id: message("M1"), reason: because(), until, lost };
        store.one(Command::Refuse(refusal));
        let Known::Refused { until: known_until, times: known_times, first, presented: false, lost: known_lost } =
            store.known("M1")
        else {
            panic!("it was refused");
        };
        assert_eq!((known_until, known_times, known_lost), (until, times, lost));
        assert_eq!(*first_refused.get_or_insert(first), first, "the first refusal stays the first");
    }
    assert_eq!(store.counters().refused, 1);
    let delivery = store.new_delivery("M1", "bytes");
    assert_eq!(store.counters().refused, 0);

    // Presented again, it may be refused before its bytes are there to be compared.
    store.acknowledge(delivery);
    let refusal =
        Refusal { mailbox: mailbox(), message_id: message("M1"), reason: because(), until: Timestamp(7), lost: false };
    store.one(Command::Refuse(refusal));
    assert!(matches!(store.known("M1"), Known::Refused { presented: true, .. }));
    assert!(matches!(store.accept("M1", "bytes"), Acceptance::Repeated(_)));
    assert_eq!(store.counters().refused, 0);
    assert!(matches!(store.known("M1"), Known::Kept(_)), "acknowledge, do not fetch");
}

#[test]
fn what_the_inbox_no_longer_names_is_not_refused_any_more() {
    let machine = Machine::new();
    let mut store = machine.open();
    let refuse = |store: &mut Committer, id: &str| {
        let until = Timestamp(i64::MAX);
        let refusal = Refusal { mailbox: mailbox(), message_id: message(id), reason: because(), until, lost: false };
        store.one(Command::Refuse(refusal));
    };
    let ids: Vec<String> = (0..200).map(|number| format!("M{number}")).collect();
    ids.iter().for_each(|id| refuse(&mut store, id));
    let listed: std::collections::BTreeSet<_> = ids[150..].iter().map(|id| message(id)).collect();
    let other = MailboxId::new("X26ABC").unwrap();
    store.one(Command::ForgetRefused(other, std::collections::BTreeSet::new()));
    assert_eq!(store.counters().refused, 200, "another mailbox's are its own");
    for left in [136, 72, 50, 50] {
        store.one(Command::ForgetRefused(mailbox(), listed.clone()));
        assert_eq!(store.counters().refused, left, "a bounded part of it at a time");
    }
    drop(store);
    machine.index.burn();
    let mut store = machine.open();
    assert_eq!(store.counters().refused, 50, "the journal says so");
    for (number, id) in ids.iter().enumerate() {
        assert_eq!(matches!(store.known(id), Known::Refused { .. }), number >= 150, "{id}");
    }
}

#[test]
fn known_messages_are_known_after_their_segment_closed() {
    let mut machine = Machine::new();
    machine.segment_bytes = 500;
    let mut store = machine.open();
    let ids: Vec<String> = (0..40).map(|number| format!("M{number}")).collect();
    for id in &ids {
        let delivery = store.new_delivery(id, "bytes");
        store.acknowledge(delivery);
    }
    drop(store);
    for lost in [false, true] {
        if lost {
            for entry in machine.disk.list("/state/journal".as_ref()).unwrap() {
                if entry.path.extension().is_some_and(|extension| extension == "seen") {
                    machine.disk.remove(crate::domain::step::Step::SpoolRemove, &entry.path).unwrap();
                }
            }
        }
        let mut store = machine.open();
        assert!(ids.iter().all(|id| store.known(id) == Known::Presented));
        assert_eq!(store.known("M40"), Known::New);
    }
}
