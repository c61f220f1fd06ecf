//! Sending one large file, beside NHS's own client: the same far side, the same file, one after the other.
//!
//! meshd seals the file before it sends it, so that a crash or a restart costs nothing; NHS's client reads it straight
//! onto the wire. Both times are from the command's start until the far side has answered for the last chunk.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use super::far_side::{Content, FarSide, WORKFLOW};
use super::figures::LIMIT;
use super::folder;
use super::house::{House, Life};

const BYTES: u64 = 1_000_000_000;
/// The default chunk of NHS's client.
const CHUNK: &str = "75MB";

#[derive(Debug, Deserialize)]
struct Spent {
    seconds: f64,
    cpu_seconds: f64,
    peak_kilobytes: u64,
}

struct Run {
    seconds: f64,
    cpu: f64,
    peak_bytes: u64,
}

pub(crate) fn print() -> anyhow::Result<()> {
    let setup = Command::new("tests/it/peers/setup").output().context("run tests/it/peers/setup")?;
    if !setup.status.success() {
        println!("NOT RUN: NHS's client: {}", String::from_utf8_lossy(&setup.stderr).trim());
        return Ok(());
    }
    let python = String::from_utf8(setup.stdout)?;
    println!("1 GB sent in chunks of {CHUNK}, beside NHS's mesh-client (Python):");
    for (what, compress) in [("plain", false), ("text, compressed", true)] {
        let folder = folder("send")?;
        let file = folder.join("file");
        if compress {
            write_text(&file)?
        } else {
            write_noise(&file)?
        }
        let peer = of_peer(python.trim(), &folder, &file, compress)?;
        let (ours, kept) = of_meshd(&folder, &file, compress)?;
        let per_second = |run: &Run| BYTES as f64 / 1e6 / run.seconds;
        println!(
            "  {what}: mesh-client {:.0} MB/s, {:.1} s of processor time, {} MB; \
             meshd {:.0} MB/s (sealed after {:.1} s of {:.1}), {:.1} s, {} MB: {:.1} times the speed",
            per_second(&peer),
            peer.cpu,
            peer.peak_bytes / 1_000_000,
            per_second(&ours),
            kept.as_secs_f64(),
            ours.seconds,
            ours.cpu,
            ours.peak_bytes / 1_000_000,
            per_second(&ours) / per_second(&peer)
        );
    }
    Ok(())
}

fn far_side(folder: &Path) -> anyhow::Result<FarSide> {
    FarSide::start(Content { mailboxes: 2, messages: 0, bytes: 1, chunk_bytes: 1 }, folder)
}

fn of_peer(python: &str, folder: &Path, file: &Path, compress: bool) -> anyhow::Result<Run> {
    let far_side = far_side(folder)?;
    let ids = far_side.content.ids();
    let output = Command::new(python)
        .arg("tests/bench/send.py")
        .args([&far_side.url, &ids[0], &ids[1], &WORKFLOW.to_owned()])
        .args(["ca.pem", "client.pem", "client.key"].map(|name| far_side.tls.join(name)))
        .arg(file)
        .arg(if compress { "compress" } else { "plain" })
        .output()?;
    ensure!(output.status.success(), "NHS's client: {}", String::from_utf8_lossy(&output.stderr));
    let Spent { seconds, cpu_seconds, peak_kilobytes } = serde_json::from_slice(&output.stdout)?;
    Ok(Run { seconds, cpu: cpu_seconds, peak_bytes: peak_kilobytes * 1024 })
}

/// How the daemon did, and after what time the command ended: then the file is sealed.
fn of_meshd(folder: &Path, file: &Path, compress: bool) -> anyhow::Result<(Run, Duration)> {
    let far_side = far_side(folder)?;
    let ids = far_side.content.ids();
    let house = House::new(folder, &far_side, Life::Discarded)?;
    let daemon = house.start()?;
    // It receives from no mailbox that it sends to: that is another figure.
    house.ask(&["mailbox", "suspend", &ids[1], "--reason", "bench"])?;
    let before = daemon.usage()?;
    let begun = Instant::now();
    let file = file.to_str().context("a plain path")?;
    let arguments = ["send", file, "--mailbox", &ids[0], "--to", &ids[1], "--workflow", WORKFLOW];
    let plain = if compress { None } else { Some("--no-compress") };
    house.ask(&arguments.into_iter().chain(plain).collect::<Vec<_>>())?;
    let kept = begun.elapsed();
    while !house.ask(&["sent", "list"])?.contains("accepted") {
        ensure!(begun.elapsed() < LIMIT, "it is not sent after {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    let seconds = begun.elapsed().as_secs_f64();
    let after = daemon.usage()?;
    daemon.stop()?;
    let cpu = (after.cpu - before.cpu).as_secs_f64();
    Ok((Run { seconds, cpu, peak_bytes: after.peak_bytes }, kept))
}

/// What no compression makes smaller.
fn write_noise(path: &Path) -> anyhow::Result<()> {
    let mut state = 1_u64;
    let block: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    })
    .take(1_000_000)
    .collect();
    let mut file = BufWriter::new(File::create(path)?);
    for _ in 0..BYTES / 1_000_000 {
        file.write_all(&block)?;
    }
    Ok(file.flush()?)
}

/// Rows of a list, as those of a bulk transfer are.
fn write_text(path: &Path) -> anyhow::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let (mut written, mut number) = (0, 0_u64);
    while written < BYTES {
        number += 1;
        let mixed = number.wrapping_mul(6_364_136_223_846_793_005) >> 40;
        let row = format!(
            "{number},X26,2026-11-{:02},SYNTHETIC-{mixed},result within range,{}\n",
            mixed % 28 + 1,
            mixed % 997
        );
        let row = &row.as_bytes()[..row.len().min((BYTES - written) as usize)];
        file.write_all(row)?;
        written += row.len() as u64;
    }
    Ok(file.flush()?)
}
