//! The pages of one pass, so that a list without an end has one.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::domain::ids::MessageId;

/// Pages followed in one pass: half a million messages.
const MOST_PAGES: usize = 1_000;
/// Pages of one pass with nothing new on them. An empty page may have a next one (mesh-api 6.3), but not many.
const MOST_STALE: usize = 20;

/// Why a list is not followed any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Endless {
    /// It leads in a circle.
    #[error("a page links to one that was followed before")]
    Circle,
    /// It leads nowhere.
    #[error("{MOST_STALE} pages had nothing new on them")]
    Stale,
    /// It leads too far for one pass.
    #[error("{MOST_PAGES} pages were followed")]
    Long,
}

/// Where one pass has been: the links it followed, and what was on the pages, as hashes.
#[derive(Debug, Default)]
pub(super) struct Trail {
    links: BTreeSet<String>,
    pages: BTreeSet<u64>,
    stale: usize,
}

impl Trail {
    /// A page names these.
    pub(super) fn saw(&mut self, ids: &[MessageId]) {
        let mut hasher = DefaultHasher::new();
        ids.hash(&mut hasher);
        let is_new = self.pages.insert(hasher.finish()) && !ids.is_empty();
        self.stale += usize::from(!is_new);
    }

    /// May the pass go on to where the page links?
    pub(super) fn follow(&mut self, next: &str) -> Result<(), Endless> {
        if !self.links.insert(next.to_owned()) {
            Err(Endless::Circle)
        } else if self.stale >= MOST_STALE {
            Err(Endless::Stale)
        } else if self.links.len() >= MOST_PAGES {
            Err(Endless::Long)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(number: usize) -> Vec<MessageId> {
        vec![MessageId::new(number.to_string()).expect("a message id")]
    }

    /// How far a list is followed, and why no further.
    fn followed(link: impl Fn(usize) -> usize, ids: impl Fn(usize) -> Vec<MessageId>) -> (usize, Endless) {
        let mut trail = Trail::default();
        for number in 1.. {
            trail.saw(&ids(number));
            if let Err(endless) = trail.follow(&link(number).to_string()) {
                return (number, endless);
            }
        }
        unreachable!("some page is the last")
    }

    #[test]
    fn every_list_without_an_end_has_one() {
        assert_eq!(followed(|_| 7, |_| page(1)), (2, Endless::Circle), "a page that links to itself");
        assert_eq!(followed(|number| number % 5, page), (6, Endless::Circle));
        assert_eq!(followed(|number| number, |_| Vec::new()), (MOST_STALE, Endless::Stale));
        assert_eq!(followed(|number| number, |number| page(number % 3)), (MOST_STALE + 3, Endless::Stale));
        assert_eq!(followed(|number| number, page), (MOST_PAGES, Endless::Long));
    }
}
