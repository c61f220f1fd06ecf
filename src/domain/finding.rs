//! One mistake in a file an operator wrote, said so that it can be mended at once.

use std::fmt;
use std::path::PathBuf;

/// One mistake, with its place and what was expected there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file it stands in; empty when it stands in none.
    pub file: PathBuf,
    /// The line, from 1, where it is known.
    pub line: Option<usize>,
    /// The full name of the key, such as `mailbox[2].poll`.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What may stand there.
    pub expected: String,
    /// The nearest valid word.
    pub did_you_mean: Option<String>,
}

impl fmt::Display for Finding {
    /// `file:line: key: problem; expected …; did you mean …?`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.as_os_str().is_empty() {
            write!(f, "{}:", self.file.display())?;
            if let Some(line) = self.line {
                write!(f, "{line}:")?;
            }
            f.write_str(" ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.problem)?;
        if !self.expected.is_empty() {
            write!(f, "; expected {}", self.expected)?;
        }
        match &self.did_you_mean {
            Some(word) => write!(f, "; did you mean `{word}`?"),
            None => Ok(()),
        }
    }
}

/// The word most like `word`, if any is near enough to be a slip of the hand: at most a third of its letters differ.
pub fn nearest<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> Option<String> {
    words
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance * 3 <= candidate.chars().count().max(word.chars().count()))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate.to_owned())
}

/// Insertions, removals, replacements and swaps of neighbours that make one word of the other (optimal string alignment).
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=to.len()).collect();
    for line in 0..from.len() {
        let mut row = vec![line + 1];
        for column in 0..to.len() {
            let replaced = above[column] + usize::from(from[line] != to[column]);
            let mut least = replaced.min(above[column + 1] + 1).min(row[column] + 1);
            if line > 0 && column > 0 && from[line] == to[column - 1] && from[line - 1] == to[column] {
                least = least.min(before[column - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_nonsense_finds_none() {
        let words = ["directory", "min_free", "min_free_inodes"];
        assert_eq!(nearest("direktory", words).as_deref(), Some("directory"));
        assert_eq!(nearest("min_fre", words).as_deref(), Some("min_free"));
        assert_eq!(nearest("colour", words), None);
        assert_eq!(nearest("lgo", ["log", "life"]).as_deref(), Some("log"), "two neighbours swapped are one slip");
    }

    #[test]
    fn a_finding_reads_as_one_line() {
        let finding = Finding {
            file: "/etc/meshd/meshd.toml".into(),
            line: Some(3),
            key: "log.level".into(),
            problem: "this word is not known".into(),
            expected: "one of: info, debug".into(),
            did_you_mean: Some("debug".into()),
        };
        assert_eq!(
            finding.to_string(),
            "/etc/meshd/meshd.toml:3: log.level: this word is not known; expected one of: info, debug; did you mean `debug`?"
        );
    }
}
