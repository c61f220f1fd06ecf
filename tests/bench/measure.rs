//! Measures meshd against the simulated far side: `tests/bench/run`, one command, the release profile.
//!
//! Three processes share the machine: the far side with one thread for its connections, the real `meshd run`, and this
//! one, which starts them, takes what comes out, and judges by what the far side saw. Each speed is printed with
//! the number of cores and as a part of its ceiling: what a bare client, or a bare program, does in the same run
//! against the same far side while keeping nothing, or keeping it without a journal.
//!
//! | Command | What it does |
//! |---|---|
//! | `run` | all figures |
//! | `run figures NAME …` | some of them: many, one, output, large, peer, send, idle |
//! | `run fairness` | what quiet mailboxes feel of a flooded, a suspended and a giant-bearing one |
//! | `run memory [BYTES]` | one message of so many bytes (5 GB) through to its output, under 128 MB of memory |
//! | `run full-house [MESSAGES]` | so many (200,000), half queued and half dead, after `kill -9`: ready when, first page, memory |
//! | `run sled-reopen [KEYS]` | how sled opens with so many seen ids (3.5 million) in it |
//!
//! Everything lies under `target/bench`, or where `MESHD_BENCH_FOLDER` says, and is removed before the next run. All
//! content is synthetic.

#![expect(clippy::print_stdout, reason = "figures are printed")]

mod bare;
mod fairness;
mod far_side;
mod figures;
mod full_house;
mod house;
mod memory;
mod peer;
mod process;
mod send;
mod sled_reopen;

use std::path::PathBuf;

use anyhow::{Context as _, bail};

fn main() -> anyhow::Result<()> {
    meshd::adapters::http::install_provider();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] | ["figures"] => figures::print(figures::NAMES),
        ["figures", names @ ..] => figures::print(names),
        ["fairness"] => fairness::measure(),
        ["memory"] => memory::one_message(memory::USUAL),
        ["memory", bytes] => memory::one_message(bytes.parse().context("how many bytes?")?),
        ["full-house"] => full_house::measure(full_house::USUAL),
        ["full-house", messages] => full_house::measure(messages.parse().context("how many messages?")?),
        ["sled-reopen"] => sled_reopen::measure(sled_reopen::USUAL),
        ["sled-reopen", keys] => sled_reopen::measure(keys.parse().context("how many keys?")?),
        // The processes that it starts of itself.
        ["far-side", settings] => far_side::serve(&serde_json::from_str(settings)?),
        ["bare", settings] => bare::run(&serde_json::from_str(settings)?),
        ["sled-open", folder] => sled_reopen::open(folder.as_ref()),
        other => bail!("not known: {}; see tests/bench/measure.rs", other.join(" ")),
    }
}

/// An empty folder for one part of a run: below `MESHD_BENCH_FOLDER`, or beside the programs.
fn folder(name: &str) -> anyhow::Result<PathBuf> {
    let all = match std::env::var_os("MESHD_BENCH_FOLDER") {
        Some(folder) => PathBuf::from(folder),
        None => {
            let program = std::env::current_exe()?;
            program.ancestors().nth(2).context("the program lies in target/release")?.join("bench")
        }
    };
    let folder = all.join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
