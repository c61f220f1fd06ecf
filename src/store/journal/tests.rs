mod mutations;

use super::*;
use crate::domain::time::Timestamp;
use crate::store::disk::Simulated;
use crate::store::journal::compress::Compressor;
use crate::store::journal::segment::FileReader;
use crate::store::journal::verify::{Broken, verify};

const STAMP: Stamp = Stamp { wall: Timestamp(1_767_605_412_000), monotonic_ms: 5 };

pub(super) fn directory() -> &'static Path {
    Path::new("/journal")
}

fn open(disk: &Simulated) -> (Journal, Found) {
    Journal::open(Arc::new(disk.clone()), directory(), "boot", STAMP.wall).expect("opens")
}

fn step(number: i64) -> Event {
    Event::ClockStep { milliseconds: number }
}

fn commit(journal: &mut Journal, events: &[Event]) {
    for event in events {
        journal.add(STAMP, event).expect("encodes");
    }
    journal.write().expect("writes");
    journal.file().sync(Step::JournalSync).expect("syncs");
    journal.synced();
}

/// Three commits of two records each, the last two in a second segment.
fn written(disk: &Simulated) -> Journal {
    let (mut journal, _) = open(disk);
    commit(&mut journal, &[step(1), step(2)]);
    commit(&mut journal, &[step(3), step(4)]);
    journal.roll(STAMP.wall, STAMP.wall).expect("rolls");
    commit(&mut journal, &[step(5), step(6)]);
    journal
}

pub(super) fn bytes(disk: &Simulated, path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut reader = FileReader { file: disk.read(path).expect("is there"), at: 0 };
    io::Read::read_to_end(&mut reader, &mut bytes).expect("reads");
    bytes
}

pub(super) fn replace(disk: &Simulated, path: &Path, bytes: &[u8]) {
    disk.remove(Step::TailCut, path).expect("removes");
    let mut file = disk.create(Step::TailCut, path).expect("creates");
    file.append(Step::TailCut, bytes).expect("writes");
    file.sync(Step::TailCut).expect("syncs");
    disk.sync_folder(Step::TailCut, directory()).expect("syncs");
}

fn first_segment() -> PathBuf {
    Name { first: 1, compressed: false }.path(directory())
}

fn last_segment() -> PathBuf {
    Name { first: 5, compressed: false }.path(directory())
}

pub(super) fn compress_all(disk: &Simulated, journal: &Journal) {
    let mut compressor = Compressor::new(Arc::new(disk.clone()), directory(), journal.open_from()).expect("looks");
    while compressor.is_busy() {
        compressor.step().expect("compresses");
    }
}

fn read_all(disk: &Simulated) -> Vec<Event> {
    let mut records = Records::from(disk, directory(), 1).expect("begins");
    std::iter::from_fn(|| records.read().expect("reads")).map(|record| record.event).collect()
}

#[test]
fn reads_back_what_was_written_over_segments() {
    let disk = Simulated::new(1);
    written(&disk);
    assert_eq!(read_all(&disk), (1..=6).map(step).collect::<Vec<_>>());
}

#[test]
fn a_run_counts_up_and_goes_on_where_the_last_one_ended() {
    let disk = Simulated::new(1);
    let head = written(&disk).head();
    let (mut journal, found) = open(&disk);
    assert_eq!((journal.run().number, journal.head(), found.tail_cut), (2, head, None));
    commit(&mut journal, &[step(7)]);
    assert_eq!(verify(&disk, directory(), Some(head)).expect("verifies").head, journal.head());
}

#[test]
fn a_head_reads_back_what_it_prints() {
    let head = written(&Simulated::new(1)).head();
    assert_eq!(head.to_string().parse(), Ok(head));
    assert!("6:xy".parse::<Head>().is_err());
}

#[test]
fn a_tail_torn_anywhere_in_the_last_commit_is_cut_and_named() {
    let disk = Simulated::new(1);
    written(&disk);
    let whole = bytes(&disk, &last_segment());
    for length in HEADER + 1..whole.len() {
        replace(&disk, &last_segment(), &whole[..length]);
        let (journal, found) = open(&disk);
        let at_an_end = length as u64 == journal.length();
        assert_eq!(found.tail_cut.is_none(), at_an_end, "cut at {length}");
        assert!((4..6).contains(&journal.head().sequence));
        verify(&disk, directory(), Some(journal.head())).expect("what is left verifies");
    }
}

#[test]
fn damage_before_a_later_commit_is_no_torn_tail() {
    let disk = Simulated::new(1);
    let mut journal = written(&disk);
    commit(&mut journal, &[step(7)]);
    let mut damaged = bytes(&disk, &last_segment());
    damaged[HEADER + 90] ^= 1;
    replace(&disk, &last_segment(), &damaged);
    let refused = Journal::open(Arc::new(disk.clone()), directory(), "boot", STAMP.wall).err().expect("refuses");
    assert!(refused.0.contains("00000000000000000005.log"), "{refused}");
    assert!(refused.0.contains(&format!("offset {HEADER}")), "{refused}");
}

#[test]
fn no_flipped_bit_in_a_closed_segment_goes_unseen() {
    let disk = Simulated::new(1);
    let journal = written(&disk);
    let whole = bytes(&disk, &first_segment());
    for place in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[place] ^= 1 << (place % 8);
        replace(&disk, &first_segment(), &damaged);
        let found = verify(&disk, directory(), Some(journal.head()));
        assert!(
            matches!(&found, Err(Broken::Segment { file, .. }) if file.starts_with("00000000000000000001")),
            "{place}: {found:?}"
        );
    }
}

#[test]
fn a_removed_or_swapped_or_spliced_segment_is_found() {
    let disk = Simulated::new(1);
    let mut journal = written(&disk);
    journal.roll(STAMP.wall, STAMP.wall).expect("rolls");
    commit(&mut journal, &[step(7)]);
    let middle = bytes(&disk, &last_segment());

    disk.remove(Step::TailCut, &last_segment()).expect("removes");
    assert!(matches!(verify(&disk, directory(), None), Err(Broken::Segment { .. })), "removed");

    let other = Simulated::new(1);
    let (mut elsewhere, _) = open(&other);
    commit(&mut elsewhere, &[step(9), step(9), step(9), step(9)]);
    elsewhere.roll(STAMP.wall, STAMP.wall).expect("rolls");
    commit(&mut elsewhere, &[step(9), step(9)]);
    replace(&disk, &last_segment(), &bytes(&other, &last_segment()));
    assert!(matches!(verify(&disk, directory(), None), Err(Broken::Segment { .. })), "spliced");

    replace(&disk, &last_segment(), &bytes(&disk, &first_segment()));
    assert!(matches!(verify(&disk, directory(), None), Err(Broken::Segment { .. })), "swapped");

    replace(&disk, &last_segment(), &middle);
    verify(&disk, directory(), Some(journal.head())).expect("as it was");
}

#[test]
fn only_a_head_noted_elsewhere_shows_a_cut_tail_or_another_chain() {
    let disk = Simulated::new(1);
    let head = written(&disk).head();
    let whole = bytes(&disk, &last_segment());
    let one_record = HEADER + (whole.len() - HEADER) / 2;
    replace(&disk, &last_segment(), &whole[..one_record]);
    verify(&disk, directory(), None).expect("a shorter chain is a chain");
    assert_eq!(verify(&disk, directory(), Some(head)), Err(Broken::Short { ends: 5, noted: 6 }));
    let other = Head { sequence: 3, hash: [7; 32] };
    assert_eq!(verify(&disk, directory(), Some(other)), Err(Broken::Other { sequence: 3 }));
}

#[test]
fn a_segment_of_a_newer_version_is_refused() {
    let disk = Simulated::new(1);
    written(&disk);
    let mut newer = bytes(&disk, &last_segment());
    newer[8] = 2;
    let crc = crc32c::crc32c(&newer[..HEADER - 4]).to_be_bytes();
    newer[HEADER - 4..HEADER].copy_from_slice(&crc);
    replace(&disk, &last_segment(), &newer);
    let refused = Journal::open(Arc::new(disk.clone()), directory(), "boot", STAMP.wall).err().expect("refuses");
    assert!(refused.0.contains("newer version (2)"), "{refused}");
}

#[test]
fn compressed_segments_read_as_plain_ones() {
    let disk = Simulated::new(1);
    let journal = written(&disk);
    compress_all(&disk, &journal);
    assert_eq!(disk.entry(&first_segment()).expect("looks"), None);
    assert_eq!(read_all(&disk), (1..=6).map(step).collect::<Vec<_>>());
    verify(&disk, directory(), Some(journal.head())).expect("verifies");
    let (reopened, _) = open(&disk);
    assert_eq!(reopened.head(), journal.head());
}

#[test]
fn of_a_half_compressed_pair_the_plain_one_wins() {
    let disk = Simulated::new(1);
    written(&disk);
    let packed = Name { first: 1, compressed: true }.path(directory());
    replace(&disk, &packed, b"half");
    replace(&disk, &directory().join("00000000000000000001.gz.tmp"), b"half");
    open(&disk);
    assert_eq!(disk.entry(&packed).expect("looks"), None);
    assert_eq!(read_all(&disk).len(), 6);
}
