//! How long sled takes to open with the ids of 45 days in it: the measurement behind `store::journal::seen`.
//!
//! Two stores are filled with the same number of seen messages: a sled database as the index configures it, and the
//! files that the journal keeps. Each is then opened by a process of its own, its files out of the page cache first.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use meshd::domain::course::Arrival;
use meshd::domain::digest::{DigestKey, Hasher};
use meshd::domain::envelope::MessageKind;
use meshd::domain::ids::{MailboxId, MessageId, WorkflowId};
use meshd::domain::time::Timestamp;
use meshd::ports::store::Location;
use meshd::store::disk::Real;
use meshd::store::journal::event::{Acceptance, Event};
use meshd::store::journal::seen::Seen;
use rustix::fs::{Advice, fadvise};

use super::folder;

/// 45 days of a large trust.
pub(crate) const USUAL: u64 = 3_500_000;

/// Files that the journal keeps for them: a segment a day.
const FILES: u64 = 45;
/// What the index gives to sled.
const CACHE_BYTES: u64 = 64 << 20;
/// One commit.
const BATCH: u64 = 256;
/// Commits between two flushes: about a second's.
const FLUSH_EVERY: u64 = 64;

/// Fills both, opens both, prints what it took.
pub(crate) fn measure(keys: u64) -> anyhow::Result<()> {
    let folder = folder("sled-reopen")?;
    println!("{keys} seen messages, {} cores", std::thread::available_parallelism()?);
    for (name, fill) in [("sled", fill_sled as fn(&Path, u64) -> anyhow::Result<()>), ("files", fill_files)] {
        let place = folder.join(name);
        let begun = Instant::now();
        fill(&place, keys)?;
        let (bytes, filled) = (settle(&place)?, begun.elapsed());
        println!("{name}: written in {:.1} s, {} MB on disk", filled.as_secs_f64(), bytes / 1_000_000);
        let opened = Command::new(std::env::current_exe()?).arg("sled-open").arg(&place).status()?;
        ensure!(opened.success(), "{name} did not open");
    }
    super::folder("sled-reopen").map(drop)
}

/// Opens one of them and says what that took. Runs as a process of its own.
pub(crate) fn open(place: &Path) -> anyhow::Result<()> {
    let begun = Instant::now();
    if place.ends_with("sled") {
        let tree = open_sled(place)?;
        print_opened("sled", begun.elapsed())?;
        ensure!(tree.contains_key(sled_key(0))?, "the first message is not in it");
    } else {
        let seen = open_files(place)?;
        print_opened("files", begun.elapsed())?;
        let (mailbox, message) = ids(0)?;
        ensure!(seen.find(&mailbox, &message)?.is_some(), "the first message is not in them");
    }
    Ok(())
}

fn print_opened(name: &str, took: Duration) -> anyhow::Result<()> {
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("the kernel says our peak")?;
    println!("{name}: opened in {:.2} s, resident at most {}", took.as_secs_f64(), peak.trim());
    Ok(())
}

fn open_sled(place: &Path) -> anyhow::Result<sled::Db> {
    let config = sled::Config::new().path(place).cache_capacity(CACHE_BYTES);
    Ok(config.use_compression(false).flush_every_ms(None).open()?)
}

fn fill_sled(place: &Path, keys: u64) -> anyhow::Result<()> {
    let tree = open_sled(place)?;
    for (commit, first) in (0..keys).step_by(BATCH as usize).enumerate() {
        let mut batch = sled::Batch::default();
        for number in first..keys.min(first + BATCH) {
            // Delivery, length and digest, as the files keep them.
            batch.insert(&sled_key(number)[..], &spread(number ^ 5)[..]);
        }
        tree.apply_batch(batch)?;
        if (commit as u64).is_multiple_of(FLUSH_EVERY) {
            tree.flush()?;
        }
    }
    tree.flush()?;
    Ok(())
}

/// A byte for the kind, twelve for the mailbox, the rest for the message: as long as such a key must be.
fn sled_key(number: u64) -> [u8; 45] {
    let mut key = [b's'; 45];
    key[1..33].copy_from_slice(&spread(number));
    key
}

/// Bytes in no order, the same for the same number.
fn spread(number: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &number.to_be_bytes());
    bytes.copy_from_slice(digest.as_ref());
    bytes
}

fn key() -> DigestKey {
    DigestKey::new(b"a key for synthetic messages only")
}

fn open_files(place: &Path) -> anyhow::Result<Seen> {
    Ok(Seen::open(Arc::new(Real::new()), place, key(), u64::MAX, Timestamp(0))?)
}

fn fill_files(place: &Path, keys: u64) -> anyhow::Result<()> {
    fs::create_dir_all(place)?;
    let mut seen = open_files(place)?;
    let digest = key().sign(Hasher::new());
    for file in 0..FILES {
        let (from, to) = (keys * file / FILES, keys * (file + 1) / FILES);
        for number in from..to {
            let (mailbox, message) = ids(number)?;
            let accepted = Acceptance {
                mailbox,
                message,
                workflow: WorkflowId::new("BENCH")?,
                from: None,
                kind: MessageKind::Data,
                length: 1_000,
                digest: digest.clone(),
                local_id: None,
                location: Location::Group { volume: 1, offset: 0, length: 300, member: 0 },
                due: Timestamp(0),
                continues: None,
                aside: None,
                meant_for: None,
                arrival: Arrival::default(),
            };
            seen.note(number + 1, &Event::Accepted(Box::new(accepted)));
        }
        seen.close(from + 1, to, Timestamp(1))?;
        // A file counts only beside its segment, which is not read while the file is whole.
        File::create(place.join(format!("{:020}.log", from + 1)))?;
    }
    Ok(())
}

fn ids(number: u64) -> anyhow::Result<(MailboxId, MessageId)> {
    let mailbox = MailboxId::new(format!("X26BN{:03}", number % 1_000))?;
    Ok((mailbox, MessageId::new(format!("20260105093012{:06}_{number:08X}", number % 1_000_000))?))
}

/// Takes the files out of the page cache; says how much disk they take.
fn settle(place: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(place)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            bytes += settle(&entry.path())?;
        } else {
            let file = File::open(entry.path())?;
            bytes += file.metadata()?.blocks() * 512;
            // Only what is on the disk can go.
            rustix::fs::fdatasync(&file)?;
            fadvise(&file, 0, None, Advice::DontNeed)?;
        }
    }
    Ok(bytes)
}
