//! The pipelines that meshd ships: they compile together, pass their own tests, and hold nothing but made-up people.

use std::collections::BTreeSet;
use std::fs;

use super::*;

#[test]
fn the_shipped_pipelines_compile_together() {
    let pipelines = shipped();
    assert_eq!(
        chosen(&pipelines, "TOC_FHIR_IP_DISCH", "X26ABC1", Some("RX1"), MessageKind::Data),
        "discharge-summaries"
    );
    assert_eq!(chosen(&pipelines, "TOC_FHIR_IP_DISCH", "X26ABC1", None, MessageKind::Report), "reports");
    assert_eq!(chosen(&pipelines, "PATH_MEDRPT_V3", "X26ABC1", Some("RX1"), MessageKind::Data), "pathology");
    assert_eq!(chosen(&pipelines, "PATHOLOGY", "X26ABC1", Some("RX1"), MessageKind::Data), "everything");
}

#[test]
fn the_shipped_pipelines_pass_their_own_tests() {
    let pipelines = shipped();
    let tested = pipelines.test();
    assert!(tested.failures.is_empty(), "{}", listed(&tested.failures));
    assert_eq!(pipelines.all().len(), 6);
    for pipeline in pipelines.all() {
        assert!(!pipeline.cases.is_empty(), "{} has no test", pipeline.name());
    }
}

#[test]
fn every_fixture_is_used_and_its_people_are_made_up() {
    let pipelines = shipped();
    let cases = pipelines.all().iter().flat_map(|pipeline| &pipeline.cases);
    let used: BTreeSet<PathBuf> = cases.filter_map(|case| case.message.clone()).collect();
    let there: BTreeSet<PathBuf> = fs::read_dir(folder().join("fixtures"))
        .expect("the folder is there")
        .map(|entry| Path::new("fixtures").join(entry.expect("an entry").file_name()))
        .collect();
    assert_eq!(used, there);
    let mut numbers = 0;
    for path in there {
        let text = fs::read(folder().join(path)).expect("it reads");
        for number in text.split(|byte| !byte.is_ascii_alphanumeric()).filter(|word| is_ten_digits(word)) {
            assert!(number.starts_with(b"999") && has_right_check_digit(number), "not a synthetic NHS number");
            numbers += 1;
        }
    }
    assert!(numbers > 5, "only {numbers} were looked at");
}

fn is_ten_digits(word: &[u8]) -> bool {
    word.len() == 10 && word.iter().all(u8::is_ascii_digit)
}

/// Modulus 11 over weights 10 to 2.
fn has_right_check_digit(number: &[u8]) -> bool {
    let digits = number.iter().map(|digit| u32::from(digit - b'0'));
    // The check digit makes the sum over weights 10 to 1 a multiple of 11.
    digits.zip((1..=10).rev()).map(|(digit, weight)| digit * weight).sum::<u32>().is_multiple_of(11)
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("pipelines")
}

fn shipped() -> Pipelines {
    let paths = fs::read_dir(folder()).expect("the folder is there").map(|entry| entry.expect("an entry").path());
    let files: Vec<(PathBuf, String)> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| (path.clone(), fs::read_to_string(path).expect("text")))
        .collect();
    Pipelines::compile(&files, &mailboxes()).expect("no findings")
}
