//! Whatever is done to a journal afterwards is found: many seeded mutations of each class, and `verify` on each.

use std::io::Write as _;
use std::ops::Range;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::store::journal::record::{self, PREFIX};

/// Mutations of each class.
const EACH: u64 = 150;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// One bit of what a segment says.
    BitEdit,
    RecordDeleted,
    SegmentDeleted,
    RecordsSwapped,
    SegmentsSwapped,
    RecordSpliced,
    SegmentSpliced,
    /// Whole records, or segments, missing at the end.
    TailCut,
    /// A record edited, and all that follows written anew as if it had always been so.
    ChainRecomputed,
}

const CLASSES: [Class; 9] = [
    Class::BitEdit,
    Class::RecordDeleted,
    Class::SegmentDeleted,
    Class::RecordsSwapped,
    Class::SegmentsSwapped,
    Class::RecordSpliced,
    Class::SegmentSpliced,
    Class::TailCut,
    Class::ChainRecomputed,
];

/// One segment, uncompressed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Segment {
    name: Name,
    bytes: Vec<u8>,
}

struct Dice(u64);

impl Dice {
    /// A number below `end`.
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }

    /// Two different numbers below `end`, the lower first.
    fn pair(&mut self, end: usize) -> (usize, usize) {
        let one = self.below(end);
        let other = (one + 1 + self.below(end - 1)) % end;
        (one.min(other), one.max(other))
    }
}

/// A journal of five segments, the first two compressed, that says `word` in each record.
fn journal(word: &str) -> (Vec<Segment>, Head) {
    let disk = Simulated::new(1);
    let (mut journal, _) = open(&disk);
    for segment in 0..5 {
        for number in 0..8 {
            let why = format!("{word} {segment} {number} {}", "x".repeat(number * 7));
            commit(&mut journal, &[Event::Rebuilt { why }]);
        }
        if segment == 1 {
            compress_all(&disk, &journal);
        }
        if segment < 4 {
            journal.roll(STAMP.wall, STAMP.wall).expect("rolls");
        }
    }
    let names = segments(&disk, directory()).expect("lists");
    assert_eq!(names.iter().filter(|name| name.compressed).count(), 1);
    let read = |name: &Name| {
        let mut read = Vec::new();
        let packed = bytes(&disk, &name.path(directory()));
        let mut source: Box<dyn io::Read> = if name.compressed {
            Box::new(flate2::read::MultiGzDecoder::new(packed.as_slice()))
        } else {
            Box::new(packed.as_slice())
        };
        source.read_to_end(&mut read).expect("reads");
        Segment { name: name.clone(), bytes: read }
    };
    (names.iter().map(read).collect(), journal.head())
}

fn check(segments: &[Segment], against: Option<Head>) -> Result<verify::Verified, Broken> {
    let disk = Simulated::new(1);
    disk.create_folder(Step::StateDirectory, directory()).expect("makes");
    for Segment { name, bytes } in segments {
        let mut file = disk.create(Step::TailCut, &name.path(directory())).expect("creates");
        let bytes = if name.compressed {
            let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
            packed.write_all(bytes).expect("packs");
            packed.finish().expect("packs")
        } else {
            bytes.clone()
        };
        file.append(Step::TailCut, &bytes).expect("writes");
    }
    verify(&disk, directory(), against)
}

/// Where the records of a segment lie.
fn records(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = HEADER;
    while at < bytes.len() {
        let prefix = bytes[at..at + PREFIX].try_into().expect("a prefix");
        let end = at + PREFIX + record::length(&prefix).expect("a length");
        found.push(at..end);
        at = end;
    }
    found
}

/// Writes the whole chain anew, as it stands.
fn recompute(segments: &mut [Segment]) {
    let mut last = Hash::default();
    for Segment { bytes, .. } in segments {
        let mut anew = bytes[..HEADER].to_vec();
        anew[17..49].copy_from_slice(&last);
        let crc = crc32c::crc32c(&anew[..HEADER - 4]).to_be_bytes();
        anew[HEADER - 4..].copy_from_slice(&crc);
        last = record::sha256(&anew);
        let mut link = last;
        for place in records(bytes) {
            let (prefix, rest) = bytes[place].split_at(PREFIX);
            let (frame, body) = record::decode(prefix.try_into().expect("a prefix"), rest).expect("it is whole");
            link = record::encode(&Frame { link, ..frame }, body, &mut anew);
        }
        last = link;
        *bytes = anew;
    }
}

/// Changes a word in a record, and mends its checksum.
fn edit(bytes: &mut Vec<u8>, place: Range<usize>) {
    let (prefix, rest) = bytes[place.clone()].split_at(PREFIX);
    let (frame, body) = record::decode(prefix.try_into().expect("a prefix"), rest).expect("it is whole");
    let body = String::from_utf8_lossy(body).replace("ours", "hers").into_bytes();
    let mut anew = Vec::new();
    record::encode(&frame, &body, &mut anew);
    bytes.splice(place, anew);
}

fn mutate(class: Class, ours: &[Segment], theirs: &[Segment], dice: &mut Dice) -> Vec<Segment> {
    let mut mutated = ours.to_vec();
    let which = dice.below(ours.len());
    let places = records(&ours[which].bytes);
    let is_last = which + 1 == ours.len();
    match class {
        Class::BitEdit => {
            let bit = dice.below(ours[which].bytes.len() * 8);
            mutated[which].bytes[bit / 8] ^= 1 << (bit % 8);
        }
        Class::RecordDeleted => {
            // Without the very last it would be a cut tail.
            let place = places[dice.below(places.len() - usize::from(is_last))].clone();
            mutated[which].bytes.drain(place);
        }
        Class::SegmentDeleted => {
            mutated.remove(dice.below(ours.len() - 1));
        }
        Class::RecordsSwapped => {
            let (one, other) = dice.pair(places.len());
            let bytes = &ours[which].bytes;
            let mut swapped = bytes[..places[one].start].to_vec();
            swapped.extend(&bytes[places[other].clone()]);
            swapped.extend(&bytes[places[one].end..places[other].start]);
            swapped.extend(&bytes[places[one].clone()]);
            swapped.extend(&bytes[places[other].end..]);
            mutated[which].bytes = swapped;
        }
        Class::SegmentsSwapped => {
            let (one, other) = dice.pair(ours.len());
            mutated[one].bytes.clone_from(&ours[other].bytes);
            mutated[other].bytes.clone_from(&ours[one].bytes);
        }
        Class::RecordSpliced => {
            let number = dice.below(places.len());
            let from = &theirs[which].bytes;
            mutated[which].bytes.splice(places[number].clone(), from[records(from)[number].clone()].iter().copied());
        }
        Class::SegmentSpliced => mutated[which].bytes.clone_from(&theirs[which].bytes),
        Class::TailCut => {
            let left = dice.below(places.len());
            mutated.truncate(which + 1);
            mutated[which].bytes.truncate(places[left].start);
        }
        Class::ChainRecomputed => {
            edit(&mut mutated[which].bytes, places[dice.below(places.len())].clone());
            recompute(&mut mutated);
        }
    }
    assert!(mutated != ours, "{class:?} changed nothing");
    mutated
}

#[test]
fn every_mutation_of_a_journal_is_found() {
    let (ours, head) = journal("ours");
    let (theirs, _) = journal("theirs");
    assert_eq!(check(&ours, Some(head)).map(|verified| verified.head), Ok(head), "nothing was done to it");
    let mut untouched = ours.clone();
    recompute(&mut untouched);
    assert_eq!(untouched, ours, "the chain is what it is recomputed to");
    for class in CLASSES {
        for seed in 0..EACH {
            let mutated = mutate(class, &ours, &theirs, &mut Dice(seed));
            // What a chain cannot show by itself shows against a head noted elsewhere.
            let needs_head = matches!(class, Class::TailCut | Class::ChainRecomputed);
            let found = check(&mutated, needs_head.then_some(head));
            assert!(found.is_err(), "{class:?} {seed}: {found:?}");
            if needs_head {
                // Cut to nothing it is no chain either.
                let alone = check(&mutated, None);
                assert!(matches!(alone, Ok(_) | Err(Broken::Empty)), "{class:?} {seed}: it is a chain: {alone:?}");
            }
        }
    }
}
