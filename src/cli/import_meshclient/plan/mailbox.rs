//! A `Client`, as a `[[mailbox]]`.

use std::path::{Component, Path};
use std::time::Duration;

use super::super::schedule::at_least_every;
use super::super::settings::{Client, Settings, is_of_windows};
use super::{Draft, SECRETS, quoted};
use crate::cli::Failure;

/// National services allow no more frequent lists (mesh-api 11).
const SHORTEST_NATIONAL: Duration = Duration::from_secs(300);
/// A file that came into `OUT` rests at least so long before it is taken.
const SHORTEST_SETTLE: Duration = Duration::from_secs(2);

impl Draft<'_> {
    pub(super) fn mailbox(&mut self, client: &Client, settings: &Settings) -> Result<(), Failure> {
        let id = client.id.as_str();
        self.line("\n[[mailbox]]");
        self.line(format_args!("id = {}", quoted(id)));
        self.report.map(Some(id), "ClientIdentity", "[[mailbox]], id".to_owned(), None);
        let to_do = format!("set `organisation` of {id} to the ODS code of its organisation");
        self.ask("the ODS code of the organisation it belongs to.", "organisation", "\"X26\"", to_do);
        let password = format!("{SECRETS}/mesh-{id}");
        self.file("password", &password);
        self.secret(Some(id), "ClientAuthentication", client.password.as_ref(), "password", &password)?;
        self.poll(id, settings);
        self.line("# TO DO: the recipient of `keys.identity`, and one whose identity is kept elsewhere.");
        self.line("#recipients = [\"age1...\", \"age1...\"]");
        self.output(id, client.interface_root.as_deref());
        self.pickup(id, client, settings.processing_delay);
        Ok(())
    }

    fn poll(&mut self, id: &str, settings: &Settings) {
        let Some(period) = settings.poll_period else { return };
        let is_national = settings.service.is_national();
        let wanted = if is_national { period.max(SHORTEST_NATIONAL) } else { period };
        let (every, poll) = at_least_every(wanted);
        let poll = quoted(&poll);
        self.line(format_args!("poll = {poll}"));
        let (was, is) = (period.as_secs(), every.as_secs());
        let note = if period < wanted {
            format!("it was {was} s; a national service is listed at most every five minutes, so it is {is} s")
        } else if is == was {
            format!("every {is} s")
        } else {
            format!("it was {was} s; a schedule that comes round is {is} s")
        };
        let note = format!("{note}; it is for what comes in; what goes out has `pickup`");
        self.report.map(Some(id), "PollPeriod", format!("poll = {poll}"), Some(note));
    }

    fn output(&mut self, id: &str, root: Option<&str>) {
        const WHAT: &str = "the folder above its IN and OUT, from `/`.";
        // Of several lines, only the first would be behind the `#`.
        let Some(root) = root.filter(|root| !root.contains(char::is_control)) else {
            let to_do = format!("there is no InterfaceRoot of {id}: name the folder above its IN and OUT in `output`");
            return self.ask(WHAT, "output", "\"/srv/mesh/X26ABC1\"", to_do);
        };
        let goes_back = Path::new(root).components().any(|part| part == Component::ParentDir);
        let output = quoted(root);
        if is_of_windows(root) || !root.starts_with('/') || goes_back {
            let to_do =
                format!("InterfaceRoot of {id} is no folder here: name the one above its IN and OUT in `output`");
            return self.ask(WHAT, "output", &output, to_do);
        }
        self.line(format_args!("output = {output}"));
        let note = "messages come into IN below it, if the pipeline says {mailbox.output}/IN".to_owned();
        self.report.map(Some(id), "InterfaceRoot", format!("output = {output}"), Some(note));
    }

    /// How the mail in `OUT` is taken.
    fn pickup(&mut self, id: &str, client: &Client, delay: Option<Duration>) {
        self.line("[mailbox.pickup]");
        let settle = delay.unwrap_or_default().max(SHORTEST_SETTLE);
        self.line(format_args!("settle = \"{}s\"", settle.as_secs()));
        if let Some(delay) = delay {
            let note = (delay < settle).then(|| format!("it was {} s; two are the least", delay.as_secs()));
            let setting = format!("pickup.settle = \"{}s\"", settle.as_secs());
            self.report.map(Some(id), "ProcessingDelay", setting, note);
        }
        self.line(format_args!("save_sent = {}", client.save_sent.is_on));
        let unwritten = |is_written: bool| {
            let what = "it is not written; this is what the client comes with";
            (!is_written).then(|| what.to_owned())
        };
        let setting = format!("pickup.save_sent = {}", client.save_sent.is_on);
        self.report.map(Some(id), "SaveSent", setting, unwritten(client.save_sent.is_written));
        let mut reports = Vec::new();
        for (element, word, switch) in [
            ("CollectReport", "collect", client.collect_report),
            ("DelayReport", "delay", client.delay_report),
            ("TransferReport", "transfer", client.transfer_report),
        ] {
            let word = quoted(word);
            let verb = if switch.is_on { "with" } else { "without" };
            let setting = format!("pickup.reports {verb} {word}");
            self.report.map(Some(id), element, setting, unwritten(switch.is_written));
            if switch.is_on {
                reports.push(word);
            }
        }
        self.line(format_args!("reports = [{}]", reports.join(", ")));
    }
}
