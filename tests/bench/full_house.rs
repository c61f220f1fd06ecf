//! A state with a hundred thousand queued and as many dead, after `kill -9`: how soon it is ready, how soon an operator
//! sees the first page, and in how much memory. Beside it the same of an empty state.

use std::time::{Duration, Instant};

use anyhow::ensure;

use super::far_side::{Content, FarSide};
use super::figures::{LIMIT, memory};
use super::folder;
use super::house::{House, Life};

/// Half of them queued, half dead.
pub(crate) const USUAL: u64 = 200_000;

/// Pages asked for; the median counts.
const PAGES: usize = 15;

/// How one state did.
struct Felt {
    ready: Duration,
    page: Duration,
    /// The same of a filter that takes nothing, so that all of them are looked at.
    filtered: Duration,
    usage: super::process::Usage,
}

/// Fills a state, kills its daemon, and prints how the next one does.
pub(crate) fn measure(messages: u64) -> anyhow::Result<()> {
    println!("{} cores", std::thread::available_parallelism()?);
    let empty = feel(0)?;
    let full = feel(messages / 2)?;
    println!("{} queued and {} dead, after kill -9, beside an empty state:", messages / 2, messages / 2);
    let ratio = |of: Duration, to: Duration| of.as_secs_f64() / to.as_secs_f64();
    println!(
        "  ready in {:.2} s, {:.1} times the {:.2} s of the empty one",
        full.ready.as_secs_f64(),
        ratio(full.ready, empty.ready),
        empty.ready.as_secs_f64()
    );
    println!(
        "  first page of `deadletter list`, the command's own start included: {:.0} ms, {:.1} times the {:.0} ms",
        full.page.as_secs_f64() * 1e3,
        ratio(full.page, empty.page),
        empty.page.as_secs_f64() * 1e3
    );
    println!(
        "  the same of a filter that takes none of them: {:.0} ms, {:.1} times the {:.0} ms",
        full.filtered.as_secs_f64() * 1e3,
        ratio(full.filtered, empty.filtered),
        empty.filtered.as_secs_f64() * 1e3
    );
    println!("  {}; the empty one {}", memory(&full.usage), memory(&empty.usage));
    folder("full-house").map(drop)
}

/// With so many queued, and so many dead.
fn feel(each: u64) -> anyhow::Result<Felt> {
    let folder = folder("full-house")?;
    let content = Content { mailboxes: 2, messages: each, bytes: 1_000, chunk_bytes: 100_000_000 };
    let far_side = FarSide::start(content, &folder)?;
    let house = House::new(&folder, &far_side, Life::QueuedOrDead)?;
    house.lose_output()?;
    let daemon = house.start()?;
    if each > 0 {
        far_side.wait(LIMIT)?;
        house.wait_until_dead(each, LIMIT)?;
    }
    daemon.kill();
    let begun = Instant::now();
    let daemon = house.start()?;
    let ready = begun.elapsed();
    let first = page(&house, &[], |page| page.lines().count() > 50 || each == 0)?;
    let filtered = page(&house, &["--from", "NOBODY"], |page| page.lines().count() == 1)?;
    let felt = Felt { ready, page: first, filtered, usage: daemon.usage()? };
    daemon.kill();
    Ok(felt)
}

/// How long the first page takes, with these options.
fn page(house: &House, options: &[&str], is_so: impl Fn(&str) -> bool) -> anyhow::Result<Duration> {
    let mut took = Vec::new();
    for _ in 0..PAGES {
        let begun = Instant::now();
        let page = house.first_page_of_dead(options)?;
        took.push(begun.elapsed());
        ensure!(is_so(&page), "this is no page: {page}");
    }
    took.sort_unstable();
    Ok(took[PAGES / 2])
}
