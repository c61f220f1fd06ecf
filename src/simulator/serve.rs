//! The simulator as a process of its own: for benchmarks, crash tests and demonstrations.
//!
//! Says in one line of JSON when it is ready and where; ends at SIGTERM or SIGINT with a line of totals.

use std::io::Write;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::certificates::ClientFiles;
use super::faults::Chance;
use super::ledger::{Keeping, LedgerSettings};
use super::scenario::Scenario;
use super::{MailboxSettings, Simulator, SimulatorError, SimulatorSettings, start};

/// Seed of shares, unless another is asked for.
const DICE: u64 = 1;

/// The line that says "ready".
#[derive(Debug, serde::Serialize)]
struct Ready<'a> {
    ready: bool,
    url: String,
    mailboxes: Vec<&'a str>,
    waiting: u64,
    #[serde(flatten)]
    files: ClientFiles,
}

/// Serves until SIGTERM or SIGINT. Blocks; the two lines go to `out`.
pub fn serve(scenario: &Scenario, out: &mut dyn Write) -> Result<(), SimulatorError> {
    // Before anything is ready: a signal must never find nobody listening.
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    serve_until(scenario, out, |_| {
        signals.forever().next();
    })
}

/// Serves as long as `until` runs, which is told when everything is ready.
fn serve_until(scenario: &Scenario, out: &mut dyn Write, until: impl FnOnce(&Simulator)) -> Result<(), SimulatorError> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(scenario.threads.max(1)).enable_all().build()?;
    let simulator = runtime.block_on(prepare(scenario))?;
    let files = simulator.write_client_files(&scenario.tls.folder)?;
    let ready = Ready {
        ready: true,
        url: simulator.url(),
        mailboxes: scenario.mailboxes.iter().map(|mailbox| mailbox.id.as_str()).collect(),
        waiting: simulator.waiting(),
        files,
    };
    print(out, &ready)?;
    until(&simulator);
    runtime.block_on(simulator.shutdown())?;
    print(out, &simulator.statistics())
}

/// Starts it with its mail, and then its faults.
async fn prepare(scenario: &Scenario) -> Result<Simulator, SimulatorError> {
    let seed = scenario.seed.unwrap_or(DICE);
    let mailboxes = scenario.mailboxes.iter();
    let mailboxes =
        mailboxes.map(|mailbox| MailboxSettings { id: mailbox.id.clone(), password: mailbox.password.clone() });
    let simulator = start(SimulatorSettings {
        listen: scenario.listen,
        mailboxes: mailboxes.collect(),
        shared_key: scenario.auth.shared_key.clone(),
        ledger: scenario.ledger.as_ref().map(|ledger| LedgerSettings {
            path: ledger.file.clone(),
            keeping: if ledger.synced { Keeping::Synced } else { Keeping::Buffered },
            requests: ledger.requests,
        }),
        transcode: scenario.transcode,
        authority: None,
        client_name: scenario.tls.client_name.clone(),
        server_validity: scenario.tls.valid,
        server_names: scenario.tls.server_names.clone(),
    })
    .await?;
    simulator.clock().set_offset_ms(scenario.auth.ahead_ms);
    scenario.offer(&simulator).await?;
    for fault in &scenario.faults {
        simulator.script(fault.rule(seed)?);
    }
    simulator.storm(scenario.storm.map(|percent| Chance { seed, percent }));
    Ok(simulator)
}

fn print(out: &mut dyn Write, line: &impl serde::Serialize) -> Result<(), SimulatorError> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use http::HeaderMap;

    use super::*;
    use crate::simulator::Known;
    use crate::simulator::scenario::read;

    /// The two lines, and what the first mailbox held.
    fn served(mail: &str) -> (Vec<serde_json::Value>, Vec<Known>) {
        let folder = tempfile::tempdir().expect("a folder");
        let tls = folder.path().join("tls");
        let path = folder.path().join("scenario.toml");
        let text = format!(
            "{mail}\n[tls]\nfolder = \"{}\"\n[[mailbox]]\nid = \"X26ABC1\"\n[[mailbox]]\nid = \"X26ABC2\"\n",
            tls.display()
        );
        std::fs::write(&path, text).expect("write the scenario");
        let scenario = read(&path).expect("a sound scenario");
        let (mut out, mut known) = (Vec::new(), Vec::new());
        serve_until(&scenario, &mut out, |simulator| {
            known = simulator.messages("X26ABC1").expect("a mailbox");
            assert!(tls.join("client.key").exists());
        })
        .expect("an orderly end");
        let text = String::from_utf8(out).expect("text");
        (text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect(), known)
    }

    fn chunks(mail: &str) -> Vec<u64> {
        served(mail).1.iter().map(|known| known.mail.payload.chunks()).collect()
    }

    #[test]
    fn says_when_it_is_ready_and_what_it_saw() {
        let (lines, known) = served("mail = [{ count = 3, what = { sized = { size = \"10B\" } } }]");
        assert_eq!((lines[0]["ready"].as_bool(), lines[0]["waiting"].as_u64()), (Some(true), Some(6)));
        assert!(lines[0]["url"].as_str().is_some_and(|url| url.starts_with("https://127.0.0.1:")));
        assert!(lines[0]["client_key"].is_string() && lines[0]["ca"].is_string());
        assert_eq!((lines.len(), lines[1]["waiting"].as_u64(), known.len()), (2, Some(6), 3));
    }

    #[test]
    fn content_is_of_the_kinds_sizes_and_numbers_asked_for() {
        let sized = |more: &str| {
            format!("mail = [{{ count = 2, what = {{ sized = {{ size = \"250B\", chunk = \"100B\"{more} }} }} }}]")
        };
        for more in ["", ", distinct = true", ", gzip = true", ", gzip = true, distinct = true"] {
            assert_eq!(chunks(&sized(more)), [3, 3], "{more}");
        }
        assert_eq!(chunks("mail = [{ count = 11, what = \"mixed\" }]"), [1, 1, 1, 1, 1, 3, 1, 2, 1, 1, 0]);
        let several = "mail = [{ count = 1, what = { kind = \"report\" } }, { count = 1, what = \"unroutable\" }, \
             { count = 5, mailboxes = [\"X26ABC2\"], what = \"mixed\" }, { count = 1, what = \"poison\" }]";
        let (lines, known) = served(several);
        assert_eq!((lines[0]["waiting"].as_u64(), known.len()), (Some(11), 3));
        assert_eq!(known[1].mail.workflow, "NOBODY_WANTS_THIS");
        assert_eq!(known[2].mail.sha256(), None, "declared gzip, and not gzip");
    }

    #[test]
    fn equal_seeds_make_equal_mail_ids_and_order() {
        let told = |seed: u64| -> Vec<(String, Option<String>, HeaderMap)> {
            let (_, known) = served(&format!("seed = {seed}\nmail = [{{ count = 22, what = \"mixed\" }}]"));
            let digest = |known: &Known| known.mail.sha256().map(str::to_owned);
            known.iter().map(|known| (known.id.to_string(), digest(known), known.mail.headers.clone())).collect()
        };
        let (one, other) = (told(1), told(2));
        assert_eq!(one, told(1));
        assert_eq!(one.iter().map(|(id, ..)| id).collect::<HashSet<_>>().len(), 22);
        assert!(one.iter().zip(&other).all(|((id, ..), (other_id, ..))| id != other_id));
        let alike = one.iter().zip(&other).filter(|((_, digest, _), (_, other, _))| digest == other);
        assert_eq!(alike.count(), 4, "one byte, and none: nothing in them could differ");
    }
}
