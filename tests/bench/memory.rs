//! One huge message, from the far side through the daemon to its output: memory stays flat (I3).

use std::time::Instant;

use anyhow::ensure;
use meshd::domain::output::Layout;
use meshd::ports::disk::Disk;
use meshd::simulator::consumer::{Consumer, ConsumerSettings};
use meshd::simulator::payload::Payload;
use meshd::store::disk::Real;

use super::far_side::{Content, FarSide};
use super::figures::LIMIT;
use super::folder;
use super::house::{House, Life};

/// What the test command asks for.
pub(crate) const USUAL: u64 = 5_000_000_000;

/// The daemon's memory never passes this, whatever the message's size.
const MOST_MEMORY: u64 = 128_000_000;
/// The largest chunk that MESH takes (mesh-api 8).
const CHUNK: u64 = 100_000_000;
/// Left free beside what is needed, for whoever else uses the disk.
const MARGIN: u64 = 2_000_000_000;

/// Ends with an error if memory passes its bound or the bytes that come out are not those that were sent.
pub(crate) fn one_message(bytes: u64) -> anyhow::Result<()> {
    let folder = folder("memory")?;
    // Once sealed in the spool, and once in the output.
    let needed = bytes.saturating_mul(2) + bytes / 100 + MARGIN;
    let free = Real::new().space(&folder)?.free_bytes;
    if free < needed {
        println!("NOT RUN: memory of {bytes} bytes: {needed} bytes of disk are needed, {free} are free");
        return Ok(());
    }
    let begun = Instant::now();
    let expected = std::thread::spawn(move || Payload::generated(0, bytes, CHUNK).map(|payload| payload.sha256()));
    let content = Content { mailboxes: 1, messages: 1, bytes, chunk_bytes: CHUNK };
    let far_side = FarSide::start(content, &folder)?;
    let house = House::new(&folder, &far_side, Life::Published)?;
    let consumer = Consumer::start(ConsumerSettings {
        folder: house.output(),
        layout: Layout::MeshFolder,
        ledger: None,
        synced: false,
        controls: false,
    })?;
    let daemon = house.start()?;
    // Beyond the usual size, a hundred seconds more for each further five gigabytes.
    let limit = LIMIT.mul_f64((bytes as f64 / USUAL as f64).max(1.0));
    far_side.wait(limit)?;
    ensure!(consumer.wait_for(1, limit), "nothing came out");
    let usage = daemon.usage()?;
    daemon.stop()?;
    let taken = consumer.stop()?;
    let expected = expected.join().map_err(|_| anyhow::anyhow!("the digest was not computed"))??;
    ensure!(taken.first().is_some_and(|set| set.sha256 == expected), "other bytes came out than were sent");
    println!(
        "memory: one message of {:.1} GB came out as it was sent, in {:.0} s; resident at most {} MB of {} MB",
        bytes as f64 / 1e9,
        begun.elapsed().as_secs_f64(),
        usage.peak_bytes / 1_000_000,
        MOST_MEMORY / 1_000_000
    );
    super::folder("memory")?;
    ensure!(usage.peak_bytes <= MOST_MEMORY, "that is too much memory");
    Ok(())
}
