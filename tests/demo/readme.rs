//! The README names two commands that set things up, and no command of meshd that does not exist.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use meshd::domain::fault::FaultCode;

/// The two commands, under the heading that says so.
const THE_TWO: [&str; 2] = ["cargo run --release --features simulator -- demo", "tests/all"];

#[test]
fn the_readme_names_exactly_two_commands_that_set_up() {
    let text = readme();
    let section = text.split("\n## ").find(|section| section.starts_with("The two commands")).expect("the section");
    assert_eq!(blocks(section, "sh"), THE_TWO);
    assert_eq!(blocks(&text, "sh"), THE_TWO, "no other block of shell commands is in the README");
}

#[test]
fn every_command_the_readme_names_exists() {
    let text = readme();
    let inline = text.split("`meshd ").skip(1).filter_map(|rest| rest.split('`').next());
    let examples = text.lines().filter_map(|line| line.strip_prefix("$ meshd "));
    let named: BTreeSet<(String, String)> = inline
        .chain(examples)
        .map(|command| {
            let mut words = command.split_whitespace().map(str::to_owned);
            (words.next().unwrap_or_default(), words.next().unwrap_or_default())
        })
        .collect();
    let commands = subcommands(&[]);
    assert!(named.len() > 10, "{named:?}");
    for (command, next) in &named {
        assert!(commands.contains(command) || command.starts_with("--"), "meshd {command} does not exist");
        let inner = if command.starts_with("--") { BTreeSet::new() } else { subcommands(&[command]) };
        assert!(
            inner.is_empty() || next.is_empty() || inner.contains(next) || next.starts_with('-'),
            "meshd {command} {next} does not exist"
        );
    }
    for command in commands.iter().filter(|command| *command != "help") {
        assert!(named.iter().any(|(named, _)| named == command), "the README does not show meshd {command}");
    }
}

#[test]
fn the_readme_explains_every_reason() {
    let text = readme();
    for code in FaultCode::ALL {
        assert!(text.contains(&format!("`{code}`")), "{code} is not in the README");
    }
}

#[test]
fn every_file_the_readme_links_to_is_there() {
    let text = readme();
    for link in text.split("](").skip(1) {
        let target = link.split(')').next().expect("a link ends");
        let is_elsewhere = target.starts_with('#') || target.contains("://");
        assert!(is_elsewhere || fs::exists(target).expect("a path"), "{target} is not there");
    }
}

fn readme() -> String {
    fs::read_to_string("README.md").expect("tests run in the package's root")
}

/// The lines of all code blocks of this kind.
fn blocks<'a>(text: &'a str, kind: &str) -> Vec<&'a str> {
    let opening = format!("```{kind}\n");
    text.split(opening.as_str())
        .skip(1)
        .flat_map(|rest| rest.split("```").next().unwrap_or_default().lines())
        .filter(|line| !line.is_empty())
        .collect()
}

/// The commands that `--help` lists under these.
fn subcommands(path: &[&String]) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_meshd")).args(path).arg("--help").output().expect("the program runs");
    assert_eq!(output.status.code(), Some(0), "{path:?}");
    let help = String::from_utf8(output.stdout).expect("UTF-8");
    let Some((_, listed)) = help.split_once("\nCommands:\n") else { return BTreeSet::new() };
    // A name stands two characters in; what its description wraps to stands further.
    let lines = listed.lines().take_while(|line| !line.is_empty()).filter_map(|line| line.strip_prefix("  "));
    lines
        .filter(|line| !line.starts_with(' '))
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}
