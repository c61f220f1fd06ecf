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

/// Insertions, removals and replacements that make one word of the other (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, letter) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], line + 1);
        for (column, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
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
