//! What stands under `config/` for people who watch and answer for meshd is true: the hazard log names tests that exist,
//! alerts name runbooks that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Rows: likelihood from very low to very high; columns: severity from minor to catastrophic.
const MATRIX: [[u8; 5]; 5] = [[1, 1, 2, 2, 3], [1, 2, 2, 3, 4], [2, 2, 3, 3, 4], [2, 3, 3, 4, 5], [3, 4, 4, 5, 5]];
const LIKELIHOODS: [&str; 5] = ["very low", "low", "medium", "high", "very high"];
const SEVERITIES: [&str; 5] = ["minor", "significant", "considerable", "major", "catastrophic"];
const KINDS: [&str; 4] = ["design", "test", "training", "process"];
/// Ratings of this and above are not acceptable in a release.
const UNACCEPTABLE: u8 = 4;
const ABSENT: &str = "not in this version";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Log {
    hazard: Vec<Hazard>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hazard {
    id: String,
    hazard: String,
    causes: Vec<String>,
    effect: String,
    harm: String,
    initial: Rating,
    residual: Rating,
    #[serde(default)]
    controls: Vec<Control>,
    transferred: Vec<String>,
    owner: String,
    status: String,
    #[serde(default)]
    absent: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rating {
    severity: String,
    likelihood: String,
    rating: u8,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Control {
    kind: String,
    text: String,
    tests: Vec<String>,
}

fn log() -> Log {
    toml::from_str(&read("config/assurance/hazard-log.toml")).expect("the hazard log is TOML of the form it describes")
}

#[test]
fn every_hazard_is_whole_and_rated_by_the_matrix() {
    let log = log();
    for (number, hazard) in log.hazard.iter().enumerate() {
        let id = &hazard.id;
        assert_eq!(*id, format!("HZ-{:02}", number + 1), "ids go up by one and are never used again");
        for text in [&hazard.hazard, &hazard.effect, &hazard.harm].into_iter().chain(&hazard.causes) {
            assert!(text.ends_with('.'), "{id}: {text:?} is no sentence");
        }
        assert!(!hazard.causes.is_empty(), "{id} has no cause");
        for rating in [&hazard.initial, &hazard.residual] {
            let place = |words: [&str; 5], word: &str| {
                words.iter().position(|of| *of == word).unwrap_or_else(|| panic!("{id}: no {word:?} among {words:?}"))
            };
            let row = place(LIKELIHOODS, &rating.likelihood);
            assert_eq!(rating.rating, MATRIX[row][place(SEVERITIES, &rating.severity)], "{id}: not by the matrix");
        }
        assert!(hazard.residual.rating < UNACCEPTABLE, "{id}: a release may not have this residual rating");
        assert!(hazard.residual.rating <= hazard.initial.rating, "{id}: controls make it worse");
        assert!(hazard.transferred.iter().all(|text| !text.is_empty()), "{id}: empty words");
        assert!(hazard.owner.is_empty(), "{id}: only a deploying trust names an owner");
        match hazard.status.as_str() {
            ABSENT => assert!(!hazard.absent.is_empty() && hazard.controls.is_empty(), "{id}: what is absent?"),
            "open" | "transferred" | "closed" => {
                assert!(hazard.controls.iter().any(|control| !control.tests.is_empty()), "{id}: no automated test");
                assert!(hazard.absent.is_empty(), "{id}: what is here is not absent");
            }
            other => panic!("{id}: no status {other:?}"),
        }
    }
    assert!(log.hazard.len() >= 15, "the fifteen hazards to begin with");
}

#[test]
fn every_test_that_the_hazard_log_names_exists() {
    let mut missing = Vec::new();
    for hazard in log().hazard {
        for control in hazard.controls {
            assert!(KINDS.contains(&control.kind.as_str()), "{}: no kind {:?}", hazard.id, control.kind);
            assert!(!control.text.is_empty(), "{}: a control without words", hazard.id);
            missing
                .extend(control.tests.into_iter().filter(|test| !exists(test)).map(|test| (hazard.id.clone(), test)));
        }
    }
    assert!(missing.is_empty(), "no such tests: {missing:#?}");
    assert!(!exists("tests/assurance.rs::nothing_of_this_name"), "this check is blind");
    assert!(!exists("tests/assurance.rs::exists"), "a function that is no test passes for one");
}

/// Whoever adds what a hazard is about must come back to the hazard.
#[test]
fn what_the_hazard_log_calls_absent_is_absent() {
    let mut here = read("config/meshd.schema.json");
    for file in files("src/pipeline") {
        here.push_str(&read(file));
    }
    for hazard in log().hazard {
        for word in hazard.absent {
            assert!(!here.contains(&word), "{}: {word:?} is there now: rate it, and name its controls", hazard.id);
        }
    }
    assert!(here.contains("retention"), "this check is blind");
}

#[test]
fn a_release_is_built_without_the_simulator() {
    let manifest: toml::Table = toml::from_str(&read("Cargo.toml")).expect("the manifest is TOML");
    assert_eq!(manifest["features"]["default"].as_array().map(Vec::len), Some(0));
    let package = read("systemd/package");
    assert!(package.contains("cargo build --quiet --locked --release --bin meshd"), "{package}");
    assert!(!package.contains("features"), "the package is built with a feature");
}

#[test]
fn every_alert_names_a_runbook_that_exists() {
    let (rules, readme) = (read("config/prometheus/meshd.rules.yml"), read("README.md"));
    let values = |key: &str| -> Vec<String> {
        rules.lines().filter_map(|line| line.trim().strip_prefix(key)).map(|text| text.trim().to_owned()).collect()
    };
    let (alerts, runbooks) = (values("- alert:"), values("runbook:"));
    assert!(alerts.len() > 10 && alerts.len() == runbooks.len(), "{} {}", alerts.len(), runbooks.len());
    assert_eq!(alerts.iter().collect::<BTreeSet<_>>().len(), alerts.len(), "two alerts share a name");
    for runbook in runbooks {
        assert!(readme.contains(&format!("\n**{runbook}.** ")), "the README has no runbook {runbook:?}");
    }
    let tested = read("config/prometheus/meshd.test.yml");
    for alert in alerts {
        assert!(tested.contains(&format!("alertname=\"{alert}\"")), "{alert} is not tested");
    }
}

/// `file::name`, where the file has a test of that name.
fn exists(test: &str) -> bool {
    let Some((file, name)) = test.split_once("::") else { return false };
    let Ok(text) = fs::read_to_string(root().join(file)) else { return false };
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let is_named = |line: &str| {
        line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ").and_then(|rest| rest.split('(').next())
            == Some(name)
    };
    // Between the attribute that makes it a test and its name there are only other attributes.
    lines.iter().enumerate().filter(|(_, line)| is_named(line)).any(|(at, _)| {
        let above = lines[..at].iter().rev().take_while(|line| line.starts_with("#["));
        above.into_iter().any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
    })
}

fn files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of sources").flatten() {
            match entry.file_type().expect("a type").is_dir() {
                true => folders.push(entry.path()),
                false => found.push(entry.path()),
            }
        }
    }
    found
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}
