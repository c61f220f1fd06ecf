//! What happens to index and outputs while nobody runs: deleted, damaged, emptied, replaced, not mounted.

#![allow(
    clippy::disallowed_methods,
    reason = "a test moves folders as an operator does: durability is not its concern"
)]
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use meshd::simulator::house::Plan;
use rustix::process::Signal;

use crate::dice::Dice;
use crate::judge::Times;
use crate::scene::{Scene, mixed_batch};

/// Takes in mail and is killed in the middle of publishing it.
fn half_way() -> Scene {
    let scene = Scene::new(Plan::default());
    scene.offer(mixed_batch(1));
    let mut daemon = scene.spawn(None);
    scene.wait_for("the first mail to come out", || scene.count() > 0).expect("mail comes out");
    daemon.end(Signal::KILL);
    scene.offer(mixed_batch(100));
    scene
}

#[test]
fn the_index_may_be_deleted_at_any_time() {
    let scene = half_way();
    for _ in 0..3 {
        fs::remove_dir_all(scene.house.state().join("index")).expect("there is an index");
        let mut daemon = scene.spawn(None);
        scene.wait_for("the daemon to begin", || scene.house.state().join("index/db").exists()).expect("it does");
        daemon.end(Signal::KILL);
    }
    fs::remove_dir_all(scene.house.state().join("index")).expect("there is an index");
    scene.finish(Times::Once).expect("all is as if nothing had happened");
}

#[test]
fn an_index_with_flipped_bits_is_read_right_or_made_anew() {
    for seed in 0..8 {
        let mut dice = Dice::new(seed);
        let scene = half_way();
        change_database(&scene, |bytes| {
            for _ in 0..=dice.below(200) {
                let place = dice.below(bytes.len() as u64) as usize;
                bytes[place] ^= 1 << dice.below(8);
            }
        });
        scene.finish(Times::Once).unwrap_or_else(|failure| panic!("seed {seed}: {failure}"));
    }
}

#[test]
fn a_truncated_index_is_read_right_or_made_anew() {
    for parts in [0, 1, 3, 5, 7] {
        let scene = half_way();
        change_database(&scene, |bytes| bytes.truncate(bytes.len() / 8 * parts));
        scene.finish(Times::Once).unwrap_or_else(|failure| panic!("{parts} of 8 parts: {failure}"));
    }
}

fn change_database(scene: &Scene, change: impl FnOnce(&mut Vec<u8>)) {
    let path = scene.house.state().join("index/db");
    let mut bytes = fs::read(&path).expect("there is a database");
    change(&mut bytes);
    fs::write(&path, bytes).expect("the house is ours");
}

#[test]
fn nothing_is_written_below_an_output_that_is_not_mounted() {
    let away = |output: &Path, aside: &Path| {
        fs::rename(output, aside)?;
        fs::create_dir(output)
    };
    waits_while(away, |output, aside| {
        fs::remove_dir(output)?;
        fs::rename(aside, output)
    });
}

#[test]
fn nothing_is_written_into_an_output_with_another_marker() {
    let replaced = |output: &Path, aside: &Path| {
        fs::rename(output, aside)?;
        for folder in ["IN", "TEMP", "copy/.staging"] {
            fs::create_dir_all(output.join(folder))?;
        }
        let marker = "{\"version\":1,\"id\":\"00000000-0000-4000-8000-000000000000\",\"created\":\"2026-01-05T09:30:12.123Z\"}\n";
        fs::write(output.join(".meshd-output"), marker)?;
        fs::write(output.join("copy/.meshd-output"), marker)
    };
    waits_while(replaced, |output, aside| {
        fs::remove_dir_all(output)?;
        fs::rename(aside, output)
    });
}

#[test]
fn nothing_is_written_into_an_output_that_was_emptied() {
    waits_while(move_all, |output, aside| {
        move_all(aside, output)?;
        fs::remove_dir(aside)
    });
}

fn move_all(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::rename(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

type Change = fn(&Path, &Path) -> io::Result<()>;

/// Takes the outputs away between a kill and the restart: mail is kept meanwhile, nothing is written in their place,
/// and all of it comes out once they are back.
fn waits_while(take_away: Change, bring_back: Change) {
    let scene = half_way();
    let (output, aside) = (scene.house.output(), scene.house.path("aside"));
    take_away(&output, &aside).expect("the house is ours");
    let (before, said) = (tree(&output), scene.log().len());

    let daemon = scene.spawn(None);
    let notices = || scene.log()[said..].contains("output is away");
    scene.wait_for("it to notice that its output is away", notices).expect("it does");
    let keeps = || scene.house.simulator().waiting() == 0;
    scene.wait_for("all mail to be kept meanwhile", keeps).expect("it is");
    assert_eq!(tree(&output), before, "nothing is written there: {}", scene.tail());

    bring_back(&output, &aside).expect("the house is ours");
    scene.await_all(daemon, Times::Once).expect("all comes out once they are back");
    scene.finish(Times::Once).expect("and only once");
}

/// Everything below a folder: files with their lengths.
fn tree(folder: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the house is ours").flatten() {
            let about = entry.metadata().expect("the house is ours");
            found.push((entry.path(), if about.is_dir() { 0 } else { about.len() }));
            if about.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    found.sort();
    found
}
