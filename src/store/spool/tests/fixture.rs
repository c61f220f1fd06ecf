//! Samples written by each released version must open for ever.

use super::*;
use crate::store::disk::Real;

/// What every sample holds.
fn write_sample(directory: &Path, recipient: String) {
    let settings = SpoolSettings {
        directory: directory.to_owned(),
        recipients: BTreeMap::from([(mailbox("X26ABC1"), vec![recipient])]),
        identities: Vec::new(),
        volume_bytes: VOLUME_BYTES,
        volume_age: VOLUME_AGE,
    };
    let opened =
        Spool::open(Arc::new(Real::new()), Arc::new(HandClock::default()), DigestKey::new(b"sample"), settings);
    let (spool, mut appender) = opened.unwrap();
    let small = [envelope("X26ABC1", "SMALL-1"), envelope("X26ABC1", "SMALL-2")];
    let members = [Member { envelope: &small[0], bytes: b"first" }, Member { envelope: &small[1], bytes: b"" }];
    appender.append(&members).unwrap();
    let third = envelope("X26ABC1", "SMALL-3");
    appender.append(&[Member { envelope: &third, bytes: b"in a group of its own" }]).unwrap();
    sync(&mut appender).unwrap();
    let mut intake = spool.intake(&chunked("X26ABC1", "LARGE-1", 2)).unwrap();
    for chunk in [&b"one chunk, "[..], b"another chunk"] {
        intake.begin_chunk().unwrap();
        intake.write(chunk).unwrap();
        intake.end_chunk().unwrap();
    }
    intake.finish().unwrap();
    appender.adopt(&mailbox("X26ABC1"), &message("LARGE-1"), 0).unwrap();
}

/// Every message of a sample, as id, envelope's chunks and payload.
fn read_sample(directory: &Path, identity: SecretString) -> Vec<(String, u32, String)> {
    let disk: Arc<dyn Disk> = Arc::new(Real::new());
    let identities = Identities::parse(&[identity]).unwrap();
    assert_eq!(inspect::verify(&disk, directory, &identities).unwrap().problems, [""; 0]);
    let mut found = Vec::new();
    inspect::list(&disk, directory, |item| {
        let inspect::Item::Message { mailbox, message_id, location, .. } = item else { panic!("{item:?}") };
        let opened = inspect::open(&disk, directory, &identities, (&mailbox, &message_id), &location)?;
        assert_eq!(opened.envelope.subject, Some(Sensitive::new(SECRET)));
        let text = String::from_utf8(payload(&opened).unwrap()).unwrap();
        found.push((message_id.to_string(), opened.envelope.chunks, text));
        Ok(())
    })
    .unwrap();
    found
}

fn expected() -> Vec<(String, u32, String)> {
    [
        ("SMALL-1", 1, "first"),
        ("SMALL-2", 1, ""),
        ("SMALL-3", 1, "in a group of its own"),
        ("LARGE-1", 2, "one chunk, another chunk"),
    ]
    .map(|(id, chunks, text)| (id.to_owned(), chunks, text.to_owned()))
    .to_vec()
}

#[test]
fn the_sample_of_version_1_opens() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/spool/v1");
    let identity = std::fs::read_to_string(directory.join("identity.txt")).unwrap();
    assert_eq!(read_sample(&directory, identity.into()), expected());
}

#[test]
fn what_is_written_today_reads_like_the_sample() {
    let room = tempfile::tempdir().unwrap();
    let identity = identity();
    write_sample(room.path(), identity.to_public().to_string());
    assert_eq!(read_sample(room.path(), identity.to_string()), expected());
}
