//! Two hundred kills at any moment, and kills while the one before is still being recovered from.
//!
//! `MESHD_SEED` replays a run as far as time allows: which mail, and when each kill falls. `MESHD_KILLS` asks for more.

use std::time::{Duration, Instant};

use meshd::simulator::house::Plan;
use meshd::simulator::mail::{Kind, sample};
use rustix::process::Signal;

use crate::dice::Dice;
use crate::judge::Times;
use crate::say;
use crate::scene::{Scene, large};

const KILLS: u64 = 200;
/// From the moment of its start: before it takes its lock, to well after mail comes out. A machine on which the first
/// mail takes half of that or longer gets twice the time that it takes there, so that kills meet every kind of work.
const EARLIEST_MS: u64 = 5;
const LATEST_MS: u64 = 600;
const LATEST_ON_A_SLOW_MACHINE_MS: u64 = 2_000;
/// A second kill within so many milliseconds of the restart falls into recovery.
const RECOVERY_MS: u64 = 80;

#[test]
fn kills_at_any_moment_lose_double_and_blame_nothing() {
    let seed = number("MESHD_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let kills = number("MESHD_KILLS").unwrap_or(KILLS);
    say(&format!("random kills: MESHD_SEED={seed}, {kills} kills"));
    let mut dice = Dice::new(seed);
    // The smallest segment that can be configured: the journal goes on to its second one during the run.
    let scene = Scene::new(Plan { tables: "[journal]\nsegment = \"1MB\"".to_owned(), ..Plan::default() });
    let latest_ms = (2 * first_mail_ms(&scene)).clamp(LATEST_MS, LATEST_ON_A_SLOW_MACHINE_MS);
    let (mut early, mut taken_early) = (0, 0);
    for kill in 0..kills {
        offer_some(&scene, &mut dice, kill);
        let mut daemon = scene.spawn(None);
        let (from, to) = if dice.once_in(5) { (EARLIEST_MS, RECOVERY_MS) } else { (EARLIEST_MS, latest_ms) };
        // The moment of the kill is the test, not a wait for anything.
        std::thread::sleep(Duration::from_millis(from + dice.below(to - from)));
        if let Some(status) = daemon.has_ended() {
            panic!("seed {seed}, kill {kill}: it had ended by itself with {status}: {}", scene.tail());
        }
        daemon.end(Signal::KILL);
        if scene.missing().is_empty() {
            early += 1;
        }
        taken_early = scene.count();
    }
    let offered = scene.offered().len();
    say(&format!(
        "random kills: {offered} messages offered, {taken_early} sets taken between kills, {early} kills with nothing inside"
    ));
    assert!(taken_early > 0, "no mail came out between the kills: nothing was tested");
    if let Err(failure) = scene.finish(Times::Once) {
        panic!("seed {seed}: {failure}");
    }
}

/// How long a second start takes, with mail waiting, until some of it came out.
fn first_mail_ms(scene: &Scene) -> u64 {
    scene.recover(Times::Once).expect("nothing has happened yet");
    scene.offer(vec![sample(Kind::Tiny, 0).expect("synthetic mail is well made")]);
    let begun = Instant::now();
    let mut daemon = scene.spawn(None);
    scene.wait_for("the first mail", || scene.count() > 0).expect("mail comes out");
    daemon.end(Signal::KILL);
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// None to four messages: many small, some large, some that arrive in chunks.
fn offer_some(scene: &Scene, dice: &mut Dice, kill: u64) {
    let count = dice.below(5);
    let mails = (0..count).map(|number| {
        let seed = kill * 5 + number;
        match dice.below(8) {
            0 => large(seed, 100_000 + dice.below(3_000_000), 400_000),
            1 => large(seed, 65_000 + dice.below(600_000), 1_000_000),
            2 => sample(Kind::Report, seed).expect("synthetic mail is well made"),
            3 => sample(Kind::Gzip, seed).expect("synthetic mail is well made"),
            4 => sample(Kind::Tiny, seed).expect("synthetic mail is well made"),
            _ => sample(Kind::Discharge, seed).expect("synthetic mail is well made"),
        }
    });
    let mails = mails.collect();
    scene.offer(mails);
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text:?}")))
}
