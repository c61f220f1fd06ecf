//! The evidence of a run: what a machine reads and what an assessor reads. Times are UTC, ids are masked, and there is no
//! secret in it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::watch::Request;

/// What comes so often, one after the other, is shown once in the text; the JSON has all.
const OFTEN: usize = 4;
/// Downloads and acknowledges take turns: nothing longer repeats.
const LONGEST_TURN: usize = 2;

/// How a case ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// All was as expected.
    Passed,
    /// Something was not.
    Failed,
    /// It was not run, or could not show what it is for.
    NotRun,
}

impl Standing {
    /// The word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::NotRun => "not run",
        }
    }
}

/// One case with its evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Its number in the catalogue.
    pub number: u16,
    /// Its title there.
    pub title: &'static str,
    /// Whether the catalogue asks it of all.
    pub optional: bool,
    /// How it ended.
    pub verdict: Standing,
    /// Why it failed, or was not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What was done.
    pub done: &'static str,
    /// What was expected.
    pub expected: &'static str,
    /// What was seen.
    pub seen: Vec<String>,
    /// When it began.
    pub began: String,
    /// When it ended.
    pub ended: String,
    /// Every request.
    pub requests: Vec<Request>,
}

/// A whole run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The catalogue.
    pub catalogue: &'static str,
    /// This program.
    pub program: &'static str,
    /// Its version.
    pub version: &'static str,
    /// What it ran on.
    pub machine: String,
    /// The media type that each request accepts.
    pub api: &'static str,
    /// Where MESH is.
    pub endpoint: String,
    /// The certificate that it presents, own certificate first.
    pub endpoint_certificates: Vec<String>,
    /// The certificate that we present.
    pub client_certificates: Vec<String>,
    /// The mailbox under test.
    pub mailbox: String,
    /// Where it sends.
    pub partner: String,
    /// Under which workflow.
    pub workflow: String,
    /// What the local ids of the run's messages begin with.
    pub run: String,
    /// When it began.
    pub began: String,
    /// When it ended.
    pub ended: String,
    /// The requests before the first case: a handshake of each mailbox of ours.
    pub before: Vec<Request>,
    /// The cases.
    pub cases: Vec<Outcome>,
    /// The requests after the last one, which put away what failed cases left.
    pub after: Vec<Request>,
    /// What stays at MESH.
    pub left: Vec<String>,
}

impl Report {
    /// How many cases ended so.
    pub fn count(&self, standing: Standing) -> usize {
        self.cases.iter().filter(|case| case.verdict == standing).count()
    }

    /// One line for people.
    pub fn summary(&self) -> String {
        let [passed, failed, not_run] =
            [Standing::Passed, Standing::Failed, Standing::NotRun].map(|standing| self.count(standing));
        format!("{passed} passed, {failed} failed, {not_run} not run")
    }

    /// What an assessor reads.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |words: &str| put(&mut text, words);
        line(self.catalogue);
        line(&format!("Evidence of a run by {} {} on {}", self.program, self.version, self.machine));
        line("");
        for (name, value) in [
            ("endpoint", self.endpoint.as_str()),
            ("presents", &self.endpoint_certificates.join("; then ")),
            ("we present", &self.client_certificates.join("; then ")),
            ("accepted", self.api),
            ("mailbox", &self.mailbox),
            ("sends to", &self.partner),
            ("workflow", &self.workflow),
            ("run", &self.run),
            ("began", &self.began),
            ("ended", &self.ended),
            ("result", &self.summary()),
        ] {
            line(&format!("{name:<11} {value}"));
        }
        line("");
        line(
            "All messages of the run are synthetic. Times are UTC. Ids in paths are masked; messages are counted in the",
        );
        line(
            "order of their first requests. Names of headers are at the end. What repeats is shown once; report.json has all.",
        );
        line("");
        for case in &self.cases {
            let number = case.number;
            line(&format!("{number}  {:<8} {}{}", case.verdict.as_str(), case.title, optional(case.optional)));
        }
        section(&mut text, "Before the first case", &self.before);
        for case in &self.cases {
            case.tell(&mut text);
        }
        section(&mut text, "After the last case", &self.after);
        if !self.left.is_empty() {
            text.push_str("\nStays at MESH\n");
            self.left.iter().for_each(|left| put(&mut text, &format!("  {left}")));
        }
        self.headers(&mut text);
        text
    }

    /// The names of headers, once for each kind of request.
    fn headers(&self, text: &mut String) {
        let requests = self.before.iter().chain(self.cases.iter().flat_map(|case| &case.requests)).chain(&self.after);
        let mut kinds: BTreeMap<Vec<&str>, Vec<String>> = BTreeMap::new();
        for request in requests {
            let (path, _) = request.path.split_once('?').unwrap_or((&request.path, ""));
            let kind = format!("{} {path}", request.method);
            let of_these = kinds.entry(request.headers.iter().map(String::as_str).collect()).or_default();
            if !of_these.contains(&kind) {
                of_these.push(kind);
            }
        }
        text.push_str("\nHeaders sent, by name\n");
        for (headers, of_these) in kinds {
            put(text, &format!("  {}", headers.join(", ")));
            of_these.iter().for_each(|kind| put(text, &format!("    {kind}")));
        }
    }
}

impl Outcome {
    fn tell(&self, text: &mut String) {
        put(text, &format!("\nCase {}: {}{}", self.number, self.title, optional(self.optional)));
        put(text, &format!("  done      {}", self.done));
        put(text, &format!("  expected  {}", self.expected));
        self.seen.iter().for_each(|seen| put(text, &format!("  seen      {seen}")));
        let reason = self.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        put(text, &format!("  verdict   {}{reason}", self.verdict.as_str()));
        put(text, &format!("  time      {} to {}", self.began, self.ended));
        requests(text, &self.requests);
    }
}

impl Request {
    /// What is alike in requests that repeat.
    fn shape(&self) -> (&str, &str, &str, Option<u16>) {
        (&self.mailbox, &self.method, &self.path, self.status)
    }

    fn line(&self) -> String {
        let Self { at, mailbox, method, path, message, status, .. } = self;
        let status = status.map_or("no answer".to_owned(), |status| status.to_string());
        let message = message.map(|number| format!("  (message {number})")).unwrap_or_default();
        format!("{at} {mailbox} {method} {path} {status}{message}")
    }
}

fn optional(is_optional: bool) -> &'static str {
    if is_optional { " (optional)" } else { "" }
}

fn section(text: &mut String, title: &str, of: &[Request]) {
    if !of.is_empty() {
        put(text, &format!("\n{title}"));
        requests(text, of);
    }
}

fn requests(text: &mut String, all: &[Request]) {
    let mut rest = all;
    while !rest.is_empty() {
        let (turn, times) = repeated(rest);
        let (these, behind) = rest.split_at(turn * times);
        these.iter().take(turn).for_each(|request| put(text, &format!("  {}", request.line())));
        if let (Some(last), true) = (these.last(), times > 1) {
            put(text, &format!("    … and so {} times more, until {}", times - 1, last.at));
        }
        rest = behind;
    }
}

/// How many requests at the beginning take turns, and how often they do.
fn repeated(all: &[Request]) -> (usize, usize) {
    let times = |turn: usize| {
        let first = all.get(..turn).unwrap_or_default();
        let is_like_the_first =
            |next: &&[Request]| next.iter().map(Request::shape).eq(first.iter().map(Request::shape));
        all.chunks(turn).take_while(is_like_the_first).count()
    };
    (1..=LONGEST_TURN).map(|turn| (turn, times(turn))).find(|(_, times)| *times >= OFTEN).unwrap_or((1, 1))
}

fn put(text: &mut String, words: &str) {
    text.push_str(words);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(number: u32) -> Request {
        Request {
            at: "2026-01-05T09:30:12.123Z".into(),
            mailbox: "X26ABC1".into(),
            method: "GET".into(),
            path: "/messageexchange/{mailbox}/inbox/{message}".into(),
            message: Some(number),
            headers: vec!["accept".into(), "authorization".into()],
            status: if number == 1 { None } else { Some(200) },
        }
    }

    fn report(requests: u32) -> Report {
        let case = |number, verdict, reason: Option<&str>| Outcome {
            number,
            title: "a title",
            optional: number == 202,
            verdict,
            reason: reason.map(str::to_owned),
            done: "what was done",
            expected: "what was expected",
            seen: vec!["what was seen".into()],
            began: "2026-01-05T09:30:12.000Z".into(),
            ended: "2026-01-05T09:30:13.000Z".into(),
            requests: (1..=requests).map(request).collect(),
        };
        Report {
            catalogue: super::super::catalogue::NAME,
            program: "meshd",
            version: "0.0.0",
            machine: "linux".into(),
            api: "application/vnd.mesh.v2+json",
            endpoint: "https://mesh.example".into(),
            endpoint_certificates: vec!["CN=mesh".into()],
            client_certificates: Vec::new(),
            mailbox: "X26ABC1".into(),
            partner: "X26ABC2".into(),
            workflow: "TEST_WORKFLOW".into(),
            run: "meshd-conformance-x".into(),
            began: "2026-01-05T09:30:12.000Z".into(),
            ended: "2026-01-05T09:30:13.000Z".into(),
            before: Vec::new(),
            cases: vec![
                case(201, Standing::Passed, None),
                case(202, Standing::Failed, Some("because")),
                case(703, Standing::NotRun, Some("five days")),
            ],
            after: Vec::new(),
            left: vec!["letter 1 stays".into()],
        }
    }

    #[test]
    fn the_text_has_every_case_with_what_was_done_expected_and_seen() {
        let report = report(2);
        let text = report.text();
        for words in [
            "result      1 passed, 1 failed, 1 not run",
            "202  failed   a title (optional)",
            "\nCase 202: a title (optional)\n  done      what was done\n  expected  what was expected\n",
            "  verdict   failed: because\n",
            "  verdict   not run: five days\n",
            "GET /messageexchange/{mailbox}/inbox/{message} no answer  (message 1)",
            "GET /messageexchange/{mailbox}/inbox/{message} 200  (message 2)",
            "\nStays at MESH\n  letter 1 stays\n",
            "  accept, authorization\n    GET /messageexchange/{mailbox}/inbox/{message}\n",
        ] {
            assert!(text.contains(words), "{words:?} is missing in:\n{text}");
        }
        assert!(!text.contains("After the last case"), "nothing was asked then");
        let json = serde_json::to_value(&report).expect("it is plain");
        assert_eq!(json["cases"][2]["verdict"], "not-run");
    }

    #[test]
    fn what_repeats_is_shown_once() {
        let list = Request { path: "/messageexchange/{mailbox}/inbox".into(), message: None, ..request(2) };
        let taken = |number| [request(number), Request { method: "PUT".into(), ..request(number) }];
        let all: Vec<Request> = [list.clone()]
            .into_iter()
            .chain((2..502).flat_map(taken))
            .chain([list.clone()])
            .chain((502..505).flat_map(taken))
            .chain([list.clone(), list.clone(), list.clone(), list])
            .collect();
        let mut text = String::new();
        requests(&mut text, &all);
        let more: Vec<&str> = text.lines().filter(|line| line.contains("times more")).collect();
        assert!(more[0].contains("and so 499 times more, until 2026-01-05T09:30:12.123Z"), "{text}");
        assert!(more[1].contains("and so 3 times more"), "{text}");
        assert_eq!((more.len(), text.lines().count()), (2, 1 + 2 + 1 + 1 + 6 + 1 + 1), "{text}");
        assert!(text.contains("(message 504)") && !text.contains("(message 3)"), "{text}");
    }
}
