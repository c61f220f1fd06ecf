//! Quiet mailboxes beside a flooded one, a suspended one and one with a giant: what they feel of it (I6).
//!
//! The far side runs in this process, since it offers as the run goes on. The times are the journal's: from a message's
//! being kept to its being delivered, at a consumer that takes every file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use meshd::domain::ids::DeliveryId;
use meshd::domain::output::Layout;
use meshd::simulator::consumer::{Consumer, ConsumerSettings};
use meshd::simulator::house::{Far, House, Plan};
use meshd::simulator::message::{Draft, Mail};
use meshd::simulator::payload::Payload;
use meshd::simulator::{MailboxSettings, PASSWORD, Simulator, SimulatorSettings, start};
use meshd::store::disk::Real;
use meshd::store::journal::Records;
use meshd::store::journal::event::Event;

use super::folder;
use super::process::Process;

const QUIET: [&str; 4] = ["X26QT001", "X26QT002", "X26QT003", "X26QT004"];
const FLOODED: &str = "X26FL001";
const SUSPENDED: &str = "X26SU001";
const GIANT: &str = "X26GI001";

/// To each quiet mailbox, one after the other.
const MESSAGES: u64 = 150;
const BETWEEN: Duration = Duration::from_millis(100);
const FLOOD: u64 = 40_000;
const GIANT_BYTES: u64 = 1_000_000_000;
const CHUNK: u64 = 100_000_000;
/// When a message came to each of its stops, by the wall clock, milliseconds.
type Life = [i64; DELIVERED + 1];
const KEPT: usize = 0;
const STARTED: usize = 1;
const STAGED: usize = 2;
const DELIVERED: usize = 3;

const LIMIT: Duration = Duration::from_secs(300);

/// So often both cases are run: one run is at the mercy of what the disk happens to do.
const ROUNDS: usize = 3;

/// Prints what the quiet ones feel, alone and beside the others.
pub(crate) fn measure() -> anyhow::Result<()> {
    println!("{} cores, far side and consumer on the same", std::thread::available_parallelism()?);
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(run(false)?);
        beside.push(run(true)?);
    }
    println!("{} quiet mailboxes of 1 KB every {} ms each, from kept to delivered:", QUIET.len(), BETWEEN.as_millis());
    println!(
        "  ms beside {FLOOD} messages, a suspended mailbox and one of 1 GB, and alone: medians of {ROUNDS} rounds"
    );
    for (part, from, to) in [
        ("all", KEPT, DELIVERED),
        ("waiting", KEPT, STARTED),
        ("staging", STARTED, STAGED),
        ("publishing", STAGED, DELIVERED),
    ] {
        for (name, of) in [("p50", 50), ("p99", 99)] {
            let each =
                [&alone, &beside].map(|rounds| sorted(rounds.iter().map(|lives| percentile(lives, from, to, of))));
            let [alone, beside] = each.each_ref().map(|sorted| sorted[ROUNDS / 2]);
            let times = beside as f64 / alone.max(1) as f64;
            println!("  {part:<10} {name} {beside:>4} {times:.1} times {alone:>3}, of {:?} and {:?}", each[1], each[0]);
        }
    }
    folder("fairness").map(drop)
}

fn run(is_noisy: bool) -> anyhow::Result<Vec<Life>> {
    let folder = folder("fairness")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let all: Vec<String> = QUIET.iter().chain(&[FLOODED, SUSPENDED, GIANT]).map(|id| (*id).to_owned()).collect();
    let served = |id: &String| MailboxSettings { id: id.clone(), password: PASSWORD.to_owned() };
    let settings = SimulatorSettings { mailboxes: all.iter().map(served).collect(), ..SimulatorSettings::default() };
    let simulator = runtime.block_on(start(settings))?;
    let house = house(&folder, &simulator, all)?;
    let small = Draft::data("X26ABC9", "BENCH", Payload::generated(0, 1_000, CHUNK)?).ready()?;
    let consumer = Consumer::start(ConsumerSettings {
        folder: house.path("out/IN"),
        layout: Layout::MeshFolder,
        ledger: None,
        synced: false,
        controls: false,
    })?;
    let log = std::fs::File::create(house.path("log"))?;
    let daemon = Process::of(house.command().arg("run").stderr(log).stdout(Stdio::null()).spawn()?);
    while house.meshd(["status", "--json"]).is_err() {
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut expected = QUIET.len() as u64 * MESSAGES;
    if is_noisy {
        house.meshd(["mailbox", "suspend", SUSPENDED, "--reason", "bench"])?;
        let giant = Draft::data("X26ABC9", "BENCH", Payload::generated(1, GIANT_BYTES, CHUNK)?).ready()?;
        runtime.block_on(async {
            simulator.offer_many(FLOODED, FLOOD, |_| Arc::clone(&small)).await?;
            simulator.offer_many(SUSPENDED, FLOOD, |_| Arc::clone(&small)).await?;
            simulator.offer(GIANT, &giant).await
        })?;
        expected += FLOOD + 1;
    }
    runtime.block_on(trickle(&simulator, &small))?;
    ensure!(consumer.wait_for(expected, LIMIT), "only {} of {expected} sets were taken", consumer.count());
    daemon.end()?;
    consumer.stop()?;
    times(&house.state().join("journal"))
}

async fn trickle(simulator: &Simulator, mail: &Arc<Mail>) -> anyhow::Result<()> {
    let mut at = Instant::now();
    for _ in 0..MESSAGES {
        for id in QUIET {
            simulator.offer(id, mail).await?;
        }
        at += BETWEEN;
        tokio::time::sleep_until(at.into()).await;
    }
    Ok(())
}

fn house(folder: &Path, simulator: &Simulator, mailboxes: Vec<String>) -> anyhow::Result<House> {
    const LIMITS: &str = r#"limits = { messages = 10_000_000, bytes = "1TB" }"#;
    let pipeline = format!(
        "name = \"everything\"\n[[output]]\nname = \"inbox\"\nkind = \"mesh-folder\"\npath = \"{}/out/IN\"\n",
        folder.display()
    );
    let plan = Plan {
        mailboxes,
        pipelines: vec![("everything.toml", pipeline)],
        tables: format!("[queue]\n{LIMITS}\n[log]\nformat = \"json\""),
        mailbox: LIMITS,
        ..Plan::default()
    };
    let house = House::new(std::env::current_exe()?.with_file_name("meshd"), folder.to_owned(), plan);
    let tls = simulator.write_client_files(&folder.join("tls"))?;
    house.set_up(&Far::simulated(simulator.url(), tls))?;
    Ok(house)
}

/// The lives of the quiet mailboxes' messages.
fn times(journal: &Path) -> anyhow::Result<Vec<Life>> {
    let quiet: BTreeSet<&str> = QUIET.into();
    let (mut begun, mut ended) = (BTreeMap::new(), Vec::new());
    let disk = Real::new();
    let mut records = Records::from(&disk, journal, 1)?;
    while let Some(record) = records.read()? {
        let (sequence, wall) = (record.frame.sequence, record.frame.wall.0);
        if let Event::Accepted(accepted) = &record.event
            && quiet.contains(accepted.mailbox.as_str())
        {
            begun.insert(DeliveryId(sequence), [wall; DELIVERED + 1]);
        } else if let Event::Working { ids, .. } = &record.event {
            ids.iter().for_each(|id| note(&mut begun, *id, STARTED, wall));
        } else if let Event::Staged { id, .. } = &record.event {
            note(&mut begun, *id, STAGED, wall);
        } else if let Event::Delivered { id, .. } = &record.event {
            note(&mut begun, *id, DELIVERED, wall);
            ended.extend(begun.remove(id));
        }
    }
    let expected = QUIET.len() * MESSAGES as usize;
    ensure!(ended.len() == expected, "{} of {expected} were delivered", ended.len());
    Ok(ended)
}

fn note(begun: &mut BTreeMap<DeliveryId, Life>, id: DeliveryId, stop: usize, wall: i64) {
    if let Some(life) = begun.get_mut(&id) {
        life[stop] = wall;
    }
}

/// Of the milliseconds between two stops.
fn percentile(lives: &[Life], from: usize, to: usize, of: usize) -> i64 {
    let times = sorted(lives.iter().map(|life| life[to] - life[from]));
    times[(times.len() * of / 100).min(times.len() - 1)]
}

fn sorted(times: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut times: Vec<i64> = times.collect();
    times.sort_unstable();
    times
}
