//! Groups and volumes.

use super::*;
use crate::domain::ids::DeliveryId;
use crate::ports::store::{Delivery, DroppedLeases};
use crate::store::disk::Side;

fn append(appender: &mut Appender, id: &str, bytes: &[u8]) -> Location {
    appender.append(&[Member { envelope: &envelope("A", id), bytes }]).unwrap().remove(0)
}

fn volume_of(location: &Location) -> u64 {
    match location {
        Location::Group { volume, .. } => *volume,
        Location::Parts { .. } => panic!("it is not in a volume"),
    }
}

fn lease(envelope: &Envelope, length: u64, location: &Location) -> Lease {
    let delivery = Delivery {
        id: DeliveryId(1),
        mailbox: envelope.mailbox.clone(),
        message_id: envelope.message_id.clone(),
        workflow: envelope.workflow.clone(),
        from: None,
        kind: MessageKind::Data,
        length,
        digest: DigestKey::new(b"test key").of(b""),
        location: location.clone(),
        accepted_at: Timestamp(0),
        attempts: 0,
        starts: 0,
        solo_deaths: 0,
        continues: None,
        outputs: Vec::new(),
        meant_for: None,
        outgoing: None,
    };
    Lease::attest(delivery, Duration::ZERO, DroppedLeases::default())
}

#[test]
fn members_read_back_as_they_were_given() {
    let room = Room::new(0);
    let (spool, mut appender) = room.open();
    let envelopes: Vec<_> = (0..20).map(|n| envelope(["A", "B", "C"][n % 3], &format!("M{n}"))).collect();
    let bodies: Vec<Vec<u8>> = (0..20).map(|n| vec![n as u8; n * 137]).collect();
    let members: Vec<_> = envelopes.iter().zip(&bodies).map(|(envelope, bytes)| Member { envelope, bytes }).collect();
    let locations = appender.append(&members).unwrap();
    sync(&mut appender).unwrap();
    room.simulated.crash();

    for ((envelope, body), location) in envelopes.iter().zip(&bodies).zip(&locations) {
        let (spool_again, _) = room.open();
        let opened = spool_again.open(&lease(envelope, body.len() as u64, location)).unwrap();
        assert_eq!((&opened.envelope, payload(&opened).unwrap()), (envelope, body.clone()));
        assert_eq!(payload(&opened).unwrap(), *body, "as often as one likes");
    }
    let wrong_length = spool.open(&lease(&envelopes[1], 5, &locations[1]));
    assert!(matches!(wrong_length, Err(SpoolError::Unreadable(_))));
}

#[test]
fn one_append_makes_one_group_for_each_set_of_recipients() {
    let room = Room::new(0);
    let (_, mut appender) = room.open();
    let envelopes = ["A", "C", "B", "C"].map(|to| envelope(to, "M"));
    let members: Vec<_> = envelopes.iter().map(|envelope| Member { envelope, bytes: b"x" }).collect();
    let places: Vec<_> = appender
        .append(&members)
        .unwrap()
        .into_iter()
        .map(|location| match location {
            Location::Group { offset, member, .. } => (offset > 0, member),
            Location::Parts { .. } => panic!("it is not in a volume"),
        })
        .collect();
    assert_eq!(places, [(false, 0), (true, 0), (false, 1), (true, 1)]);
    assert_eq!(room.simulated.passes(Step::GroupWrite), 2);
}

#[test]
fn a_key_opens_its_own_mailboxes_only() {
    let mut room = Room::new(0);
    let (_, mut appender) = room.open();
    let (ours, theirs) = (envelope("A", "M"), envelope("C", "M"));
    let members = [&ours, &theirs].map(|envelope| Member { envelope, bytes: b"x" });
    let locations = appender.append(&members).unwrap();
    room.settings.identities.truncate(1);
    let (spool, _) = room.open();
    assert!(spool.open(&lease(&ours, 1, &locations[0])).is_ok());
    assert!(matches!(spool.open(&lease(&theirs, 1, &locations[1])), Err(SpoolError::Unreadable(_))));
    room.settings.identities.clear();
    let (spool, _) = room.open();
    assert!(matches!(spool.open(&lease(&ours, 1, &locations[0])), Err(SpoolError::Unreadable(_))));
}

#[test]
fn a_location_opens_its_own_message_only() {
    let room = Room::new(0);
    let (spool, mut appender) = room.open();
    let location = append(&mut appender, "M1", b"x");
    let other = spool.open(&lease(&envelope("A", "M2"), 1, &location));
    assert!(matches!(other, Err(SpoolError::Unreadable(_))));
}

#[test]
fn a_large_append_is_split_into_groups_that_fit_in_memory() {
    let room = Room::new(0);
    let (_, mut appender) = room.open();
    let envelopes: Vec<_> = (0..40).map(|n| envelope("A", &format!("M{n}"))).collect();
    let members: Vec<_> = envelopes.iter().map(|envelope| Member { envelope, bytes: &[7; 64 * 1024] }).collect();
    appender.append(&members).unwrap();
    assert_eq!(room.simulated.passes(Step::GroupWrite), 3);
    assert_eq!(room.verify().problems, [""; 0]);
}

#[test]
fn a_volume_closes_when_it_is_full_and_after_its_time() {
    let mut room = Room::new(0);
    room.settings.volume_bytes = 3000;
    let (_, mut appender) = room.open();
    let mut volumes = Vec::new();
    for (id, bytes, age) in [("M1", 1, 0), ("M2", 3000, 0), ("M3", 1, 599), ("M4", 1, 600 + 598), ("M5", 1, 599 + 600)]
    {
        room.clock.0.store(age, Ordering::SeqCst);
        volumes.push(volume_of(&append(&mut appender, id, &vec![0; bytes])));
        sync(&mut appender).unwrap();
    }
    let first = volumes[0];
    assert_eq!(volumes, [first, first, first + 1, first + 1, first + 2]);
    assert_eq!(appender.volumes(), [first, first + 1, first + 2]);
}

#[test]
fn a_restart_begins_a_new_volume_and_numbers_never_come_twice() {
    let room = Room::new(0);
    let mut seen = std::collections::BTreeSet::new();
    for round in 0..4 {
        let (_, mut appender) = room.open();
        let announced = appender.open_volume();
        let volume = volume_of(&append(&mut appender, &format!("M{round}"), b"x"));
        assert_eq!(announced, volume);
        assert!(seen.insert(volume));
        sync(&mut appender).unwrap();
    }
    let (_, mut appender) = room.open();
    for volume in appender.volumes() {
        appender.remove(Removal::Volume(volume)).unwrap();
    }
    assert!(appender.volumes().is_empty());
    assert!(appender.open_volume() > 0);
}

#[test]
fn an_empty_volume_left_by_a_crash_is_removed() {
    let room = Room::new(0);
    let (_, mut appender) = room.open();
    room.simulated.stop_at(Step::GroupWrite, 1, Side::Before);
    appender.append(&[Member { envelope: &envelope("A", "M"), bytes: b"x" }]).unwrap_err();
    room.simulated.crash();
    assert_eq!(room.all_files(Path::new(ROOT)).len(), 1);
    let (_, appender) = room.open();
    assert_eq!((appender.volumes(), room.all_files(Path::new(ROOT))), (vec![], vec![]));
}

#[test]
fn after_a_crash_anywhere_what_was_synced_opens_and_the_rest_is_known_to_be_gone() {
    for seed in 0..60 {
        for step in [Step::VolumeCreate, Step::GroupWrite, Step::VolumeSync] {
            for (side, nth) in [(Side::Before, 1), (Side::After, 1), (Side::Before, 2), (Side::After, 2)] {
                let mut room = Room::new(seed);
                room.settings.volume_bytes = 1;
                let (_, mut appender) = room.open();
                room.simulated.stop_at(step, nth, side);
                let mut kept = Vec::new();
                let mut tried = None;
                for id in ["M1", "M2"] {
                    let Ok(mut at) = appender.append(&[Member { envelope: &envelope("A", id), bytes: b"payload" }])
                    else {
                        break;
                    };
                    tried = Some((id, at[0].clone()));
                    if sync(&mut appender).is_err() {
                        break;
                    }
                    kept.push((id, at.remove(0)));
                }
                room.simulated.crash();

                let (spool, appender) = room.open();
                for (id, location) in &kept {
                    assert!(appender.holds(&mailbox("A"), &message(id), location).unwrap());
                    let opened = spool.open(&lease(&envelope("A", id), 7, location)).unwrap();
                    assert_eq!(payload(&opened).unwrap(), b"payload");
                }
                if let Some((id, location)) = tried {
                    let holds = appender.holds(&mailbox("A"), &message(id), &location).unwrap();
                    let opens = spool.open(&lease(&envelope("A", id), 7, &location)).is_ok();
                    assert_eq!(holds, opens, "what is said to be there opens");
                }
                assert_eq!(room.verify().problems, [""; 0]);
            }
        }
    }
}

#[test]
fn a_record_may_survive_a_group_and_holds_says_so() {
    let room = Room::new(0);
    let (_, mut appender) = room.open();
    let location = append(&mut appender, "M1", b"payload");
    let (a, id) = (mailbox("A"), message("M1"));
    assert!(appender.holds(&a, &id, &location).unwrap());
    assert!(!appender.holds(&a, &message("M2"), &location).unwrap());
    let path = room.all_files(Path::new(ROOT)).remove(0).0;
    let bytes = room.bytes(&path);
    for length in [0, 10, 40, bytes.len() - 1] {
        room.overwrite(&path, &bytes[..length]);
        assert!(!appender.holds(&a, &id, &location).unwrap());
    }
    appender.remove(Removal::Volume(volume_of(&location))).unwrap();
    assert!(!appender.holds(&a, &id, &location).unwrap());
}

#[test]
fn a_failed_sync_is_final() {
    let room = Room::new(0);
    let (_, mut appender) = room.open();
    room.simulated.fail_sync(1);
    let error = appender.append(&[Member { envelope: &envelope("A", "M"), bytes: b"x" }]).unwrap_err();
    assert!(matches!(error, SpoolError::Failed(_)), "the volume's name is not durable");
}

#[test]
fn a_full_disk_costs_the_members_and_the_volume_but_nothing_synced() {
    let room = Room::new(0);
    let (spool, mut appender) = room.open();
    let first = append(&mut appender, "M1", b"one");
    sync(&mut appender).unwrap();
    room.simulated.limit_bytes(Some(1000));
    let error = appender.append(&[Member { envelope: &envelope("A", "M2"), bytes: &[0; 2000] }]).unwrap_err();
    assert!(matches!(error, SpoolError::NoRoom(_)));
    assert!(appender.dirty().is_none());
    room.simulated.limit_bytes(None);
    let third = append(&mut appender, "M3", b"three");
    assert_ne!(volume_of(&first), volume_of(&third), "a volume with a torn group is not appended to");
    for (id, length, location) in [("M1", 3, first), ("M3", 5, third)] {
        assert!(spool.open(&lease(&envelope("A", id), length, &location)).is_ok());
    }
    assert_eq!(room.verify().tails.len(), 1);
}

#[test]
fn groups_written_before_a_full_disk_can_still_be_synced() {
    let room = Room::new(0);
    let (_, mut appender) = room.open();
    let first = append(&mut appender, "M1", b"one");
    room.simulated.limit_bytes(Some(1000));
    let full = [Member { envelope: &envelope("A", "M2"), bytes: &[0; 2000] }];
    appender.append(&full).unwrap_err();
    assert!(matches!(appender.append(&full), Err(SpoolError::NoRoom(_))));
    sync(&mut appender).unwrap();
    room.simulated.crash();
    let (_, mut appender) = room.open();
    assert!(appender.holds(&mailbox("A"), &message("M1"), &first).unwrap());
    assert!(appender.dirty().is_none());
    appender.synced().unwrap();
}

#[test]
fn a_mailbox_without_recipients_is_not_sealed_for() {
    let room = Room::new(0);
    let (_, mut appender) = room.open();
    let error = appender.append(&[Member { envelope: &envelope("D", "M"), bytes: b"x" }]).unwrap_err();
    assert!(matches!(error, SpoolError::Failed(_)));
}

#[test]
fn damage_in_a_volume_is_an_error_and_verify_names_it() {
    let room = Room::new(0);
    let (_, mut appender) = room.open();
    let first = append(&mut appender, "M1", b"one");
    append(&mut appender, "M2", b"two");
    let path = room.all_files(Path::new(ROOT)).remove(0).0;
    let mut bytes = room.bytes(&path);
    bytes[100] ^= 1;
    room.overwrite(&path, &bytes);
    let (spool, _) = room.open();
    assert!(matches!(spool.open(&lease(&envelope("A", "M1"), 3, &first)), Err(SpoolError::Unreadable(_))));
    let report = room.verify();
    assert_eq!((report.messages, report.problems.len()), (2, 1));
    assert!(report.problems[0].contains("group at 0 is damaged"));
}

#[test]
fn a_last_group_with_other_bytes_is_a_tail_since_a_crash_may_leave_it_so() {
    let room = Room::new(0);
    let (_, mut appender) = room.open();
    append(&mut appender, "M1", b"one");
    let path = room.all_files(Path::new(ROOT)).remove(0).0;
    let mut bytes = room.bytes(&path);
    *bytes.last_mut().unwrap() ^= 1;
    room.overwrite(&path, &bytes);
    let report = room.verify();
    assert_eq!((report.tails.len(), report.problems.len()), (1, 0));
}

#[test]
fn what_a_new_process_reads_survives_a_power_cut_though_the_old_one_never_synced_it() {
    for seed in 0..20 {
        for fails in [false, true] {
            let room = Room::new(seed);
            let (_, mut appender) = room.open();
            let location = append(&mut appender, "M1", b"payload");
            if fails {
                room.simulated.fail_sync(1);
                sync(&mut appender).unwrap_err();
            }
            let (_, appender) = room.open();
            assert!(appender.holds(&mailbox("A"), &message("M1"), &location).unwrap());
            room.simulated.crash();
            let (spool, _) = room.open();
            assert!(spool.open(&lease(&envelope("A", "M1"), 7, &location)).is_ok());
        }
    }
}

#[test]
fn a_full_disk_does_not_keep_a_new_process_from_starting() {
    let room = Room::new(0);
    let (_, mut appender) = room.open();
    let location = append(&mut appender, "M1", &[0; 2000]);
    room.simulated.limit_bytes(Some(3500));
    let (_, appender) = room.open();
    room.simulated.crash();
    assert!(appender.volumes().len() == 1 && room.all_files(Path::new(ROOT)).len() == 1);
    let (_, appender) = room.open();
    assert!(appender.holds(&mailbox("A"), &message("M1"), &location).unwrap());
}

#[test]
fn a_crash_while_the_last_volume_is_written_anew_loses_nothing() {
    for seed in 0..10 {
        for nth in 1..=6 {
            for side in [Side::Before, Side::After] {
                let room = Room::new(seed);
                let (_, mut appender) = room.open();
                let location = append(&mut appender, "M1", b"payload");
                sync(&mut appender).unwrap();
                room.simulated.stop_at(Step::TailCut, nth, side);
                assert!(room.try_open().is_err(), "it has six steps");
                room.simulated.crash();
                let (spool, appender) = room.open();
                assert!(spool.open(&lease(&envelope("A", "M1"), 7, &location)).is_ok());
                assert_eq!(appender.volumes().len(), 1);
            }
        }
    }
}
