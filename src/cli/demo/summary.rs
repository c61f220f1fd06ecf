//! What the demonstration says at its end: what was judged, and what happened on the way.

use serde::Serialize;

use super::judge::Verdict;
use super::mail::TAKEN;

/// The summary; as JSON it is what `--json` prints.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    /// What became of the mail.
    #[serde(flatten)]
    pub(super) verdict: Verdict,
    /// Acknowledges that MESH had heard when the daemon was killed.
    pub(super) killed_after: u64,
    /// Sets that lay before the slow consumer when it began, with all else done.
    pub(super) left_for_slow: u64,
    /// How often one message killed the daemon.
    pub(super) poison_deaths: u32,
    /// Where the journal ends, after every record of it was checked against a head noted before the stop.
    pub(super) journal_head: String,
    /// Messages of the spool that were opened and checked.
    pub(super) spool_messages: u64,
    /// From beginning to end.
    pub(super) seconds: f64,
}

impl Summary {
    /// The table for people.
    pub(super) fn lines(&self) -> Vec<String> {
        let verdict = &self.verdict;
        let row = |label: &str, count: u64, note: &str| format!("{label:<34} {count:>6}  {note}").trim_end().to_owned();
        let mut lines = vec![
            row(
                "offered by MESH",
                verdict.offered,
                &format!("{} of them under an id delivered before", verdict.presented_again),
            ),
            row("acknowledged to MESH", verdict.acknowledged, ""),
        ];
        for (folder, count) in &verdict.delivered {
            let note = if folder.ends_with(TAKEN) { "taken by the consumer" } else { "lie there" };
            lines.push(row(&format!("  delivered to {folder}"), *count, note));
        }
        for (word, counts) in [("dead letter", &verdict.dead), ("held", &verdict.held)] {
            for (code, count) in counts {
                lines.push(row(&format!("  {word} {code}"), *count, "kept, opened and compared"));
            }
        }
        lines.push(row("  discarded by rule", verdict.discarded, "kept for now, opened and compared"));
        lines.push(row("refused, still at MESH", verdict.refused, ""));
        lines.push(row("acknowledged when it was killed", self.killed_after, "SIGKILL, then started again"));
        lines.push(row("left for the slow consumer", self.left_for_slow, "nothing else waited for it"));
        lines.push(row("killed by one message", u64::from(self.poison_deaths), "SIGXFSZ, then started again"));
        lines.push(row("messages opened in the spool", self.spool_messages, "spool verified"));
        let (records, _) = self.journal_head.split_once(':').unwrap_or((&self.journal_head, ""));
        lines.push(row(
            "records in the journal",
            records.parse().unwrap_or_default(),
            "journal verified against its noted head",
        ));
        lines
    }

    /// The verdict in a line.
    pub(super) fn line(&self) -> String {
        let Verdict { lost, duplicates, altered, astray, .. } = self.verdict;
        format!("lost {lost}, duplicates {duplicates}, altered {altered}, astray {astray}, in {:.0} s", self.seconds)
    }
}
