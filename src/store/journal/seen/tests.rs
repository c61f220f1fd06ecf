use super::*;
use crate::store::disk::Simulated;
use crate::store::journal::Journal;

fn mailbox() -> MailboxId {
    MailboxId::new("X26ABC1").unwrap()
}

fn message(number: u64) -> MessageId {
    MessageId::new(format!("M{number}")).unwrap()
}

fn entry(number: u64) -> Entry {
    Entry { delivery: DeliveryId(number), length: number * 10, digest: [number as u8; 16], reopened: number % 2 == 1 }
}

fn with_one_file(disk: &Simulated, entries: u64) -> Seen {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let directory = Path::new("/journal");
    let opened = Journal::open(disk.clone(), directory, "boot", Timestamp(1000)).unwrap();
    drop(opened);
    let mut seen = Seen::open(disk, directory, DigestKey::new(b"key"), 1, Timestamp(0)).unwrap();
    for number in 0..entries {
        let fingerprint = seen.fingerprint(&mailbox(), &message(number));
        seen.open.insert(fingerprint, entry(number));
    }
    seen.close(1, 100, Timestamp(1000)).unwrap();
    seen
}

#[test]
fn finds_every_entry_of_any_number_and_nothing_else() {
    for entries in [0, 1, 63, 64, 65, 1000] {
        let seen = with_one_file(&Simulated::new(1), entries);
        for number in 0..entries {
            assert_eq!(seen.find(&mailbox(), &message(number)).unwrap(), Some(entry(number)), "{number} of {entries}");
        }
        for number in entries..entries + 1000 {
            assert_eq!(seen.find(&mailbox(), &message(number)).unwrap(), None, "{number} beyond {entries}");
        }
    }
}

#[test]
fn the_newest_entry_counts() {
    let mut seen = with_one_file(&Simulated::new(1), 10);
    let fingerprint = seen.fingerprint(&mailbox(), &message(3));
    seen.open.insert(fingerprint, entry(8));
    seen.close(101, 200, Timestamp(2000)).unwrap();
    assert_eq!(seen.find(&mailbox(), &message(3)).unwrap(), Some(entry(8)));
    assert_eq!(seen.find(&mailbox(), &message(4)).unwrap(), Some(entry(4)));
}

#[test]
fn no_flipped_bit_is_loaded() {
    let disk = Simulated::new(1);
    let seen = with_one_file(&disk, 3);
    let path = Path::new("/journal/00000000000000000001.seen");
    let mut whole = vec![0; usize::try_from(disk.read(path).unwrap().length().unwrap()).unwrap()];
    read_exactly(disk.read(path).unwrap().as_ref(), &mut whole, 0).unwrap();
    for place in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[place] ^= 1;
        write_whole(&disk, Step::Checkpoint, path, &damaged).unwrap();
        assert!(Closed::load(&disk, path, &seen.key).is_err(), "{place}");
    }
}

#[test]
fn few_strangers_cost_a_read() {
    let seen = with_one_file(&Simulated::new(1), 1000);
    let strangers = (1000..11_000)
        .filter(|number| seen.closed[0].filter.may_hold(&seen.fingerprint(&mailbox(), &message(*number))));
    assert!(strangers.count() < 200, "more than 2 %");
}
