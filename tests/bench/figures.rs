//! The figures, one function each. What each means is in the line it prints.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use meshd::domain::output::Layout;
use meshd::simulator::consumer::{Consumer, ConsumerSettings};

use super::bare::{self, Keep};
use super::far_side::{Content, FarSide};
use super::house::{House, Life};
use super::process::Usage;
use super::{folder, peer, send};

/// All figures, in the order they are printed.
pub(crate) const NAMES: &[&str] = &["idle", "many", "one", "output", "large", "peer", "send"];

/// Nothing here takes so long on a machine that works.
pub(crate) const LIMIT: Duration = Duration::from_secs(600);

const KILOBYTE: u64 = 1_000;
const LARGE: u64 = 2_000_000_000;
const LARGE_CHUNK: u64 = 100_000_000;

/// How one program did against one far side.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    messages: u64,
    bytes: u64,
    elapsed: Duration,
    usage: Usage,
    far_side: Usage,
}

impl Run {
    pub(crate) fn new(content: &Content, elapsed: Duration, usage: Usage, far_side: Usage) -> Self {
        Self { messages: content.total(), bytes: content.total() * content.bytes, elapsed, usage, far_side }
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.messages as f64 / self.elapsed.as_secs_f64()
    }

    fn megabytes_per_second(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.elapsed.as_secs_f64()
    }

    pub(crate) fn cpu_us(&self) -> f64 {
        self.usage.cpu.as_secs_f64() * 1e6 / self.messages as f64
    }

    fn far_side_us(&self) -> f64 {
        self.far_side.cpu.as_secs_f64() * 1e6 / self.messages as f64
    }
}

pub(crate) fn print(names: &[&str]) -> anyhow::Result<()> {
    println!("{} cores; the far side has one thread; journal and dedupe on", std::thread::available_parallelism()?);
    for name in names {
        match *name {
            "idle" => idle()?,
            "many" => small("64 mailboxes", 64, 500)?,
            "one" => small("1 mailbox", 1, 5_000)?,
            "output" => output()?,
            "large" => large()?,
            "peer" => peer::print()?,
            "send" => send::print()?,
            other => bail!("no figure is called {other:?}; there are {NAMES:?}"),
        }
    }
    Ok(())
}

fn idle() -> anyhow::Result<()> {
    let folder = folder("idle")?;
    let content = Content { mailboxes: 64, messages: 0, bytes: KILOBYTE, chunk_bytes: LARGE_CHUNK };
    let far_side = FarSide::start(content, &folder)?;
    let daemon = House::new(&folder, &far_side, Life::Discarded)?.start()?;
    std::thread::sleep(Duration::from_secs(5));
    let usage = daemon.usage()?;
    println!("idle, 64 mailboxes listed every second: {}", memory(&usage));
    daemon.stop()
}

/// Small messages, received, kept, acknowledged, and discarded by a rule.
fn small(what: &str, mailboxes: usize, messages: u64) -> anyhow::Result<()> {
    let content = Content { mailboxes, messages, bytes: KILOBYTE, chunk_bytes: LARGE_CHUNK };
    let bare = bare_client(&content, Keep::Nothing)?;
    let kept = received(&content)?;
    println!("1 KB, {what}, one in flight each:");
    println!(
        "  received, kept, acknowledged: {:.0}/s, {:.2} of the ceiling of {:.0}/s (a bare client)",
        kept.per_second(),
        kept.per_second() / bare.per_second(),
        bare.per_second()
    );
    print_costs(&kept, &bare);
    Ok(())
}

/// Small messages through to files that a consumer takes.
fn output() -> anyhow::Result<()> {
    let content = Content { mailboxes: 64, messages: 200, bytes: KILOBYTE, chunk_bytes: LARGE_CHUNK };
    let bare = bare_client(&content, Keep::Nothing)?;
    let through = published(&content)?;
    println!("1 KB, 64 mailboxes, through to .dat and .ctl taken by a consumer:");
    println!(
        "  {:.0}/s, {:.2} of the ceiling of {:.0}/s (a bare client)",
        through.per_second(),
        through.per_second() / bare.per_second(),
        bare.per_second()
    );
    print_costs(&through, &bare);
    Ok(())
}

/// One large message.
fn large() -> anyhow::Result<()> {
    let content = Content { mailboxes: 1, messages: 1, bytes: LARGE, chunk_bytes: LARGE_CHUNK };
    let plain = bare_client(&content, Keep::Plain)?;
    let sealed = bare_client(&content, Keep::Sealed)?;
    let kept = received(&content)?;
    let through = published(&content)?;
    let rate = Run::megabytes_per_second;
    println!("one message of 2 GB in chunks of 100 MB:");
    println!(
        "  received, kept, acknowledged: {:.0} MB/s, {:.2} of the ceiling of {:.0} MB/s (download, SHA-256, age, write, sync)",
        rate(&kept),
        rate(&kept) / rate(&sealed),
        rate(&sealed)
    );
    println!(
        "  {:.2} of a download to disk alone, {:.0} MB/s; through to a consumer: {:.0} MB/s",
        rate(&kept) / rate(&plain),
        rate(&plain),
        rate(&through)
    );
    println!("  {}; through to a consumer {}", memory(&kept.usage), memory(&through.usage));
    Ok(())
}

fn print_costs(run: &Run, bare: &Run) {
    println!(
        "  processor time per message: {:.0} us, far side {:.0} us; the bare client {:.0} us, far side {:.0} us",
        run.cpu_us(),
        run.far_side_us(),
        bare.cpu_us(),
        bare.far_side_us()
    );
    println!("  {}", memory(&run.usage));
}

pub(crate) fn memory(usage: &Usage) -> String {
    format!("resident {} MB, at most {} MB", usage.resident_bytes / 1_000_000, usage.peak_bytes / 1_000_000)
}

/// The ceiling.
fn bare_client(content: &Content, keep: Keep) -> anyhow::Result<Run> {
    let folder = folder("bare")?;
    let far_side = FarSide::start(content.clone(), &folder)?;
    let before = far_side.usage()?;
    let client = bare::start(&far_side, keep, &folder)?;
    let elapsed = far_side.wait(LIMIT)?;
    Ok(Run::new(content, elapsed, client.usage()?, since(far_side.usage()?, before)))
}

/// The daemon without an output.
pub(crate) fn received(content: &Content) -> anyhow::Result<Run> {
    let folder = folder("received")?;
    let far_side = FarSide::start(content.clone(), &folder)?;
    let house = House::new(&folder, &far_side, Life::Discarded)?;
    let before = far_side.usage()?;
    let daemon = house.start()?;
    let elapsed = far_side.wait(LIMIT)?;
    let run = Run::new(content, elapsed, daemon.usage()?, since(far_side.usage()?, before));
    house.wait_until_worked_off(LIMIT)?;
    daemon.stop()?;
    if content.messages > 1 {
        print_journal("accepted, acknowledged, leased, discarded", &house.journal(), content.total())?;
    }
    Ok(run)
}

/// The daemon with a consumer at its output.
fn published(content: &Content) -> anyhow::Result<Run> {
    let folder = folder("published")?;
    let far_side = FarSide::start(content.clone(), &folder)?;
    let house = House::new(&folder, &far_side, Life::Published)?;
    let consumer = Consumer::start(ConsumerSettings {
        folder: house.output(),
        layout: Layout::MeshFolder,
        ledger: None,
        synced: false,
        controls: false,
    })?;
    let before = far_side.usage()?;
    let daemon = house.start()?;
    far_side.wait(LIMIT)?;
    ensure!(consumer.wait_for(content.total(), LIMIT), "only {} sets were taken", consumer.count());
    let elapsed = far_side.begun()?.elapsed();
    let run = Run::new(content, elapsed, daemon.usage()?, since(far_side.usage()?, before));
    daemon.stop()?;
    let taken = consumer.stop()?;
    ensure!(taken.len() as u64 == content.total(), "{} sets were taken", taken.len());
    ensure!(taken.iter().all(|set| set.length == Some(content.bytes)), "a set has another length than was sent");
    if content.messages > 1 {
        print_journal("accepted, acknowledged, leased, staged, delivered", &house.journal(), content.total())?;
    }
    Ok(run)
}

fn since(now: Usage, before: Usage) -> Usage {
    Usage { cpu: now.cpu.saturating_sub(before.cpu), ..now }
}

/// Bytes of journal per message, as written and as its segments are compressed when they close.
fn print_journal(what: &str, folder: &Path, messages: u64) -> anyhow::Result<()> {
    let mut plain = 0;
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            let bytes = fs::read(&path)?;
            plain += bytes.len() as u64;
            packed.write_all(&bytes)?;
        }
    }
    let packed = packed.finish()?.len() as u64;
    let per_message = |bytes: u64| bytes.checked_div(messages).context("there were messages");
    println!("journal per message ({what}): {} bytes, compressed {}", per_message(plain)?, per_message(packed)?);
    Ok(())
}
