//! The layers hold: `crate::` paths only go down, and what only one place may do is done there alone.
//!
//! The map of the layers is in the crate documentation. This test reads the sources as text: it needs no build of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Which modules each module may name. Its own name is always allowed.
const EDGES: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("ports", &["domain"]),
    ("receive", &["domain", "ports"]),
    ("pipeline", &["domain", "ports"]),
    ("publish", &["domain", "ports"]),
    ("send", &["domain", "ports"]),
    ("deadletter", &["domain", "ports"]),
    ("work", &["domain", "ports", "pipeline", "publish", "deadletter"]),
    ("store", &["domain", "ports"]),
    ("adapters", &["domain", "ports"]),
    ("simulator", &["domain", "ports", "adapters"]),
    ("config", &["domain", "ports", "receive", "pipeline", "publish", "deadletter", "work", "store", "adapters"]),
    (
        "daemon",
        &[
            "domain",
            "ports",
            "receive",
            "pipeline",
            "publish",
            "send",
            "deadletter",
            "work",
            "store",
            "adapters",
            "config",
        ],
    ),
    (
        "cli",
        &[
            "domain",
            "ports",
            "pipeline",
            "publish",
            "send",
            "deadletter",
            "store",
            "adapters",
            "config",
            "daemon",
            "simulator",
        ],
    ),
];

/// Calls that only some files may make, outside tests: the text, where it may stand, and why.
const RESERVED: &[(&str, &[&str], &str)] = &[
    ("Accepted::attest(", &["src/ports/store/", "src/store/"], "only the store proves that a message is kept (I1)"),
    (
        ".acknowledge_own(",
        &["src/daemon/conformance/"],
        "mail is acknowledged with the store's proof; only what a trial run made up is nobody's (I1)",
    ),
    ("Lease::attest(", &["src/ports/store/", "src/store/"], "only the store gives leases"),
    ("outbox.send(", &["src/send/"], "only src/send talks to an outbox: a second send is a second message (I2)"),
    (".sync_data(", &["src/store/disk/", "src/simulator/"], "every sync is a named step of store::disk"),
    (".sync_folder(", &["src/store/", "src/publish/"], "syncs belong to the store and to publishing"),
    ("fs::rename(", &["src/store/disk/"], "every rename is a named step of store::disk"),
    ("SystemTime::now(", &["src/daemon/", "src/simulator/"], "wall time comes from ports::clock::Clock"),
    ("unbounded_channel", &[], "every channel is bounded"),
];

#[test]
fn modules_only_name_what_lies_below_them() {
    let allowed: BTreeMap<&str, &[&str]> = EDGES.iter().copied().collect();
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let Some(module) = module_of(&path) else { continue };
        let edges = allowed.get(module.as_str()).unwrap_or_else(|| panic!("{module}: a module without a layer"));
        for (number, line) in product_lines(&text) {
            for named in named_modules(line) {
                if named != module && !edges.contains(&named.as_str()) {
                    wrong.push(format!("{}:{number}: {module} may not name {named}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "edges that go up or sideways:\n{}", wrong.join("\n"));
}

#[test]
fn adapters_do_not_name_each_other() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let Ok(inside) = path.strip_prefix("src/adapters") else { continue };
        let own = inside.components().next().expect("a file has a name").as_os_str().to_string_lossy().into_owned();
        for (number, line) in product_lines(&text) {
            for part in line.split("crate::adapters::").skip(1) {
                let named = word(part);
                if named != own && named != "http" {
                    wrong.push(format!("{}:{number}: {own} names {named}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_one_place_owns_is_done_there_alone() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let path = path.display().to_string();
        for (number, line) in product_lines(&text) {
            for (call, owners, why) in RESERVED {
                if line.contains(call) && !owners.iter().any(|owner| path.starts_with(owner)) {
                    wrong.push(format!("{path}:{number}: `{call}`: {why}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_rules_are_not_blind() {
    assert_eq!(named_modules("use crate::store::{self, disk};"), ["store"]);
    assert_eq!(named_modules("    crate::domain::x(crate::ports::y)"), ["domain", "ports"]);
    assert_eq!(named_modules("use crate::{domain::ids, work};"), ["domain", "work"]);
    let text = "a\n// crate::x\n#[cfg(test)]\nmod tests {\n    crate::y\n}\nb\n#[cfg(test)]\nmod z;\nc";
    let kept: Vec<_> = product_lines(text).into_iter().map(|(_, line)| line).collect();
    assert_eq!(kept, ["a", "b", "c"]);
}

/// Every source file, by its path from the root, with its text. Files that are tests as a whole are left out.
fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    collect(Path::new("src"), &mut found);
    assert!(found.len() > 40, "only {} sources found: is this run from the package root?", found.len());
    found
}

fn collect(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).expect("a source folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let test_only = ["tests", "tests.rs", "tests_support.rs", "fakes", "fakes.rs", "contract.rs"];
        if test_only.contains(&name.as_str()) || name.ends_with("_tests.rs") {
            continue;
        }
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("readable text");
            found.push((path, text));
        }
    }
}

/// The module a file belongs to: the first folder under `src`; none for `lib.rs` and `main.rs`.
fn module_of(path: &Path) -> Option<String> {
    let inside = path.strip_prefix("src").expect("collected from src");
    let mut parts = inside.components();
    let first = parts.next()?.as_os_str().to_string_lossy().into_owned();
    parts.next().map(|_| first)
}

/// The lines of a file with their numbers, without comments and without items under `#[cfg(test)]`.
fn product_lines(text: &str) -> Vec<(usize, &str)> {
    let mut kept = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let trimmed = line.trim_start();
        if trimmed.starts_with("#[cfg(test)]") {
            skip_item(&mut lines, line.len() - trimmed.len());
        } else if !trimmed.starts_with("//") {
            kept.push((number + 1, line));
        }
    }
    kept
}

/// Skips an item: up to a line that ends with `;` before any brace, or to the closing brace at its own indentation.
fn skip_item<'a>(lines: &mut impl Iterator<Item = (usize, &'a str)>, indent: usize) {
    let mut opened = false;
    for (_, line) in lines {
        let closes = line.len() == indent + 1 && line.ends_with('}');
        if (!opened && line.ends_with(';')) || closes {
            return;
        }
        opened |= line.ends_with('{');
    }
}

/// The top modules a line names through `crate::`.
fn named_modules(line: &str) -> Vec<String> {
    let mut named = Vec::new();
    for part in line.split("crate::").skip(1) {
        match part.strip_prefix('{') {
            Some(list) => named.extend(list.split(',').map(|item| word(item.trim()))),
            None => named.push(word(part)),
        }
    }
    named.retain(|name| !name.is_empty());
    named
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}
