//! NHS's own client beside meshd: the same far side, one mailbox, one message after the other.

use std::process::Command;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use super::far_side::{Content, FarSide};
use super::figures::{self, LIMIT, Run};
use super::folder;

const CONTENT: Content = Content { mailboxes: 1, messages: 2_000, bytes: 1_000, chunk_bytes: 100_000_000 };

#[derive(Debug, Deserialize)]
struct Spent {
    cpu_seconds: f64,
    peak_kilobytes: u64,
}

pub(crate) fn print() -> anyhow::Result<()> {
    let setup = Command::new("tests/it/peers/setup").output().context("run tests/it/peers/setup")?;
    if !setup.status.success() {
        println!("NOT RUN: NHS's client: {}", String::from_utf8_lossy(&setup.stderr).trim());
        return Ok(());
    }
    let python = String::from_utf8(setup.stdout)?;
    let folder = folder("peer")?;
    let far_side = FarSide::start(CONTENT, &folder)?;
    let before = far_side.usage()?;
    let output = Command::new(python.trim())
        .arg("tests/bench/peer.py")
        .args([&far_side.url, &CONTENT.ids()[0]])
        .args(["ca.pem", "client.pem", "client.key"].map(|name| far_side.tls.join(name)))
        .output()?;
    ensure!(output.status.success(), "NHS's client: {}", String::from_utf8_lossy(&output.stderr));
    let spent: Spent = serde_json::from_slice(&output.stdout)?;
    let elapsed = far_side.wait(LIMIT)?;
    let mut usage = before;
    usage.cpu = std::time::Duration::from_secs_f64(spent.cpu_seconds);
    usage.peak_bytes = spent.peak_kilobytes * 1024;
    let peer = Run::new(&CONTENT, elapsed, usage, far_side.usage()?);
    let ours = figures::received(&CONTENT)?;
    println!(
        "1 KB, 1 mailbox, beside NHS's mesh-client (Python), which reads each message into memory and acknowledges it:"
    );
    println!(
        "  mesh-client {:.0}/s, {:.0} us of processor time per message; meshd {:.0}/s, {:.0} us: {:.1} times the speed",
        peer.per_second(),
        peer.cpu_us(),
        ours.per_second(),
        ours.cpu_us(),
        ours.per_second() / peer.per_second()
    );
    Ok(())
}
