//! What the values mean together. Pure: nothing outside the configuration is looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use age::x25519;
use chrono::{DateTime, Utc};

use super::model::{Config, Environment, Feature, Features, Mailbox, Mesh, PickupSettings};
use super::read::Notes;
use super::values::{ByteSize, Period};

/// A national service is listed no more often than this per mailbox, and at least daily (mesh-api 11).
const SHORTEST_POLL: Duration = Duration::from_secs(300);
const LONGEST_POLL: Duration = Duration::from_secs(86_400);

/// MESH may put a message back until day 30 and list it five days more (mesh-api 7.2).
const SHORTEST_SEEN: Period = Period::days(35);

/// Recipients in meshd's own documents and fixtures.
const PRINTED: [&str; 2] = [
    "age1gde3ncmahlqd9gg50tanl99r960llztrhfapnmx853s4tjum03uqfssgdh",
    "age19f3cwwfmr5efmvse3u7ycf9gss54gwtv8wh3c22h4zly882w945s4z4yyl",
];

/// Schedules are looked at from here on, so that the same file always has the same findings.
fn schedule_start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600, 0).unwrap_or_default()
}

/// Adds a finding for everything that cannot be meant. A key that was not read right has its own already.
pub(super) fn check(config: &Config, notes: &mut Notes) {
    let read = notes.findings.len();
    look(config, notes);
    let meant = notes.findings.split_off(read);
    let told: BTreeSet<String> = notes.findings.iter().map(|found| found.key.clone()).collect();
    notes.findings.extend(meant.into_iter().filter(|found| !told.contains(&found.key)));
}

fn look(config: &Config, notes: &mut Notes) {
    ranges(config, notes);
    match &config.mesh {
        Some(mesh) => service(mesh, &config.features, notes),
        // A service with a mistake has its own finding.
        None if config.mailboxes.is_empty() || notes.places.contains_key("mesh") => {}
        None => notes.find("mesh", "there are mailboxes but no service", "a table `[mesh]`"),
    }
    // A mistake inside a mailbox is its own finding; only a file that names none at all lacks one.
    if config.mailboxes.is_empty() && !notes.places.contains_key("mailbox") {
        notes.find("mailbox", "there is no mailbox", "at least one table `[[mailbox]]`");
    }
    let is_national = config.mesh.as_ref().is_some_and(|mesh| mesh.environment.is_national());
    for (name, mailbox) in notes.mailboxes.clone().iter().zip(&config.mailboxes) {
        one_mailbox(name, mailbox, config, is_national, notes);
    }
    twins(config, notes);
}

fn ranges(config: &Config, notes: &mut Notes) {
    let mut within = |key: &str, good: bool, expected: &str| {
        if !good {
            notes.find(key, "this is out of range", expected);
        }
    };
    let (second, minute, day) = (Period::seconds(1), Period::seconds(60), Period::days(1));
    within("state.min_free", config.state.min_free.0 <= 90, "at most \"90%\"");
    within("state.min_free_inodes", config.state.min_free_inodes.0 <= 90, "at most \"90%\"");
    within("journal.head_interval", (second..=day).contains(&config.journal.head_interval), "\"1s\" to \"1d\"");
    let segment = ByteSize(1_000_000)..=ByteSize(1_000_000_000);
    within("journal.segment", segment.contains(&config.journal.segment), "\"1MB\" to \"1GB\"");
    within("life.drain", (second..=Period::seconds(600)).contains(&config.life.drain), "\"1s\" to \"10m\"");
    let retention = &config.retention;
    within(
        "retention.seen",
        retention.seen >= SHORTEST_SEEN,
        "at least \"35d\": MESH may present a message until then",
    );
    within("retention.delivered", retention.delivered >= minute, "at least \"1m\"");
    within("retention.dead", retention.dead >= day, "at least \"1d\"");
    let longest = retention.seen.max(retention.dead).max(retention.delivered);
    within("retention.journal", retention.journal >= longest, "at least as long as any other retention");
}

fn service(mesh: &Mesh, features: &Features, notes: &mut Notes) {
    if mesh.environment == Environment::Live && !features.allow.is_empty() {
        let problem = "\"live\" carries patients' mail, and allows none of these";
        notes.find("features.allow", problem, "an empty list, or another environment");
    }
    let second = Period::seconds(1);
    if !(second..=Period::seconds(600)).contains(&mesh.patience) {
        notes.find("mesh.patience", "this is out of range", "\"1s\" to \"10m\"");
    }
    for (key, value) in [("mesh.retry_refused", mesh.retry_refused), ("mesh.ask_after", mesh.ask_after)] {
        if !(second..=Period::seconds(3_600)).contains(&value) {
            notes.find(key, "this is out of range", "\"1s\" to \"1h\"");
        }
    }
    if !(second..=Period::days(5)).contains(&mesh.track_after) {
        notes.find("mesh.track_after", "this is out of range", "\"1s\" to \"5d\"");
    }
    match (mesh.environment, &mesh.url) {
        // One that is written but wrong has its own finding.
        (Environment::Custom, None) if notes.places.contains_key("mesh.url") => {}
        (Environment::Custom, None) => notes.find("mesh.url", "a custom environment needs one", "a URL"),
        (Environment::Live | Environment::Integration | Environment::Deployment, Some(_)) => {
            notes.find("mesh.url", "the environment already says where", "no `url`, or environment = \"custom\"");
        }
        (Environment::Custom, Some(_))
        | (Environment::Live | Environment::Integration | Environment::Deployment, None) => {}
    }
}

fn one_mailbox(name: &str, mailbox: &Mailbox, config: &Config, is_national: bool, notes: &mut Notes) {
    let key = |key: &str| format!("{name}.{key}");
    let ods = &mailbox.organisation;
    if !(3..=10).contains(&ods.len()) || !ods.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()) {
        notes.find(&key("organisation"), "this is not an ODS code", "3 to 10 capital letters and digits");
    }
    match mailbox.poll.gaps(schedule_start()) {
        None => notes.find(&key("poll"), "this schedule never comes round", "a schedule that repeats"),
        Some((shortest, longest)) if is_national => {
            if shortest < SHORTEST_POLL {
                let problem = format!("this lists the inbox {} s after the last time", shortest.as_secs());
                notes.find(&key("poll"), problem, "at least five minutes between lists on a national service");
            }
            if longest > LONGEST_POLL {
                notes.find(&key("poll"), "this leaves the inbox alone for over a day", "at least one list a day");
            }
        }
        Some(_) => {}
    }
    recipients(&key("recipients"), &mailbox.recipients, "the mail would be sealed for nobody", config, notes);
    for (number, rule) in (1..).zip(&mailbox.encrypt) {
        let key = key(&format!("encrypt[{number}].recipients"));
        recipients(&key, &rule.recipients, "what goes out would be encrypted for nobody", config, notes);
    }
    if mailbox.waiting.and_then(|waiting| waiting.files).is_some_and(|files| files < 2) {
        notes.find(&key("waiting.files"), "a message has two files", "a whole number from 2");
    }
    if let Some(pickup) = &mailbox.pickup {
        pickup_times(&key("pickup"), pickup, notes);
    }
    if overlaps(&mailbox.output, &config.state.directory) {
        notes.find(&key("output"), "this overlaps the state directory", "a folder of its own");
    }
}

fn recipients(key: &str, recipients: &[String], if_none: &str, config: &Config, notes: &mut Notes) {
    // One that is missing has its own finding.
    if recipients.is_empty() && notes.places.contains_key(key) {
        notes.find(key, if_none, "at least one age recipient");
    }
    for (place, recipient) in (1..).zip(recipients) {
        if recipient.parse::<x25519::Recipient>().is_err() {
            let expected = "recipients such as `meshd keys generate` prints, beginning with `age1`";
            notes.find(key, format!("number {place} is not an age recipient"), expected);
        } else if PRINTED.contains(&recipient.as_str()) && !config.may_use(Feature::TestRecipients) {
            let problem = format!("number {place} is printed in meshd's documents: its identity may be anyone's");
            let expected = "a recipient of your own, or \"test-recipients\" in `features.allow`";
            notes.find(key, problem, expected);
        }
    }
}

fn pickup_times(name: &str, pickup: &PickupSettings, notes: &mut Notes) {
    let (second, hour, day) = (Period::seconds(1), Period::seconds(3_600), Period::days(1));
    let times = [
        ("settle", pickup.settle, second..=hour, "\"1s\" to \"1h\""),
        ("orphan_after", pickup.orphan_after, second..=day, "\"1s\" to \"1d\""),
        ("scan", pickup.scan, second..=hour, "\"1s\" to \"1h\""),
    ];
    for (key, value, range, expected) in times {
        if !range.contains(&value) {
            notes.find(&format!("{name}.{key}"), "this is out of range", expected);
        }
    }
    if pickup.orphan_after < pickup.settle {
        let problem = "a file would be given up before its pair could be taken";
        notes.find(&format!("{name}.orphan_after"), problem, "at least as long as `settle`");
    }
}

/// Two mailboxes that would be taken for one another.
fn twins(config: &Config, notes: &mut Notes) {
    let mut ids = BTreeMap::new();
    let names = notes.mailboxes.clone();
    for (place, (name, mailbox)) in names.iter().zip(&config.mailboxes).enumerate() {
        if let Some(first) = ids.insert(&mailbox.id, name) {
            let problem = format!("{} is {first} already", mailbox.id);
            notes.find(&format!("{name}.id"), problem, "each mailbox once");
        }
        let mut earlier = names.iter().zip(&config.mailboxes).take(place);
        if let Some((other, _)) = earlier.find(|(_, other)| overlaps(&mailbox.output, &other.output)) {
            let problem = format!("this overlaps the output of {other}");
            notes.find(&format!("{name}.output"), problem, "a folder of its own for each mailbox");
        }
    }
}

/// Is one the other, or inside it?
fn overlaps(a: &Path, b: &Path) -> bool {
    a.starts_with(b) || b.starts_with(a)
}
