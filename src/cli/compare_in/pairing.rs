//! Which message of one folder is which of the other: pure but for the digests that it asks for.
//!
//! First by MESH's id. What is left over on both sides lay in mailboxes of their own, where ids differ: it is found by
//! its content. Of a message that lies there twice and here once, one of the two has no partner: that is a duplicate.

use std::collections::BTreeMap;

use super::elements::By;
use super::folder::Side;
use super::message::{Kind, Message};
use super::steady::Unread;

/// Places in the two lists.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Matched {
    pub(super) pairs: Vec<(usize, usize, By)>,
    pub(super) more: Vec<More>,
    pub(super) only: Vec<(Side, usize)>,
    /// What changed when it was to be digested.
    pub(super) unread: Vec<(Side, usize, Unread)>,
}

/// A message that one side has more often.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct More {
    pub(super) there: usize,
    pub(super) here: usize,
    /// Those without a partner.
    pub(super) side: Side,
    pub(super) left: Vec<usize>,
}

/// Those of one key, on both sides.
type Groups<K> = BTreeMap<K, (Vec<usize>, Vec<usize>)>;

/// Finds them. `digest` is asked only for what might have a partner.
pub(super) fn pair(
    there: &[Message],
    here: &[Message],
    mut digest: impl FnMut(Side, &Message) -> Result<[u8; 32], Unread>,
) -> Matched {
    let mut matched = Matched::default();
    let by_id = group(there, here, |message| message.id.as_ref().map(|id| (id.as_str().to_owned(), &message.kind)));
    let mut rest = Vec::new();
    for (_, (mut left, mut right)) in by_id.named {
        // A whole one finds a whole one.
        left.sort_by_key(|place| there[*place].flaw.is_some());
        right.sort_by_key(|place| here[*place].flaw.is_some());
        if left.is_empty() || right.is_empty() {
            rest.extend(sides(&left, &right));
        } else {
            matched.take(left, right, By::Id);
        }
    }
    rest.extend(by_id.nameless);

    let mut likely: Groups<(&[u8; 32], u64, &Kind)> = BTreeMap::new();
    for (side, place) in rest {
        let message = of(there, here, side, place);
        match message.flaw {
            Some(_) => matched.only.push((side, place)),
            None => add(likely.entry((&message.label, message.length, &message.kind)).or_default(), side, place),
        }
    }
    for (_, (left, right)) in likely {
        if left.is_empty() || right.is_empty() {
            matched.only.extend(sides(&left, &right));
            continue;
        }
        let mut equal: Groups<[u8; 32]> = BTreeMap::new();
        for (side, place) in sides(&left, &right) {
            match digest(side, of(there, here, side, place)) {
                Ok(sum) => add(equal.entry(sum).or_default(), side, place),
                Err(unread) => matched.unread.push((side, place, unread)),
            }
        }
        for (_, (left, right)) in equal {
            matched.take(left, right, By::Content);
        }
    }
    matched.only.sort_unstable();
    matched
}

impl Matched {
    /// Pairs those of one group one by one; what is left over has no partner.
    fn take(&mut self, mut left: Vec<usize>, mut right: Vec<usize>, by: By) {
        let (there, here) = (left.len(), right.len());
        let both = there.min(here);
        let (more_left, more_right) = (left.split_off(both), right.split_off(both));
        self.pairs.extend(left.into_iter().zip(right).map(|(left, right)| (left, right, by)));
        if both == 0 {
            self.only.extend(sides(&more_left, &more_right));
        } else if there != here {
            let (side, left) = if there > here { (Side::There, more_left) } else { (Side::Here, more_right) };
            self.more.push(More { there, here, side, left });
        }
    }
}

struct Grouped<K> {
    named: Groups<K>,
    nameless: Vec<(Side, usize)>,
}

fn group<'a, K: Ord>(there: &'a [Message], here: &'a [Message], key: impl Fn(&'a Message) -> Option<K>) -> Grouped<K> {
    let mut grouped = Grouped { named: BTreeMap::new(), nameless: Vec::new() };
    for (side, list) in [(Side::There, there), (Side::Here, here)] {
        for (place, message) in list.iter().enumerate() {
            match key(message) {
                Some(key) => add(grouped.named.entry(key).or_default(), side, place),
                None => grouped.nameless.push((side, place)),
            }
        }
    }
    grouped
}

fn add((there, here): &mut (Vec<usize>, Vec<usize>), side: Side, place: usize) {
    match side {
        Side::There => there.push(place),
        Side::Here => here.push(place),
    }
}

fn sides(there: &[usize], here: &[usize]) -> Vec<(Side, usize)> {
    let there = there.iter().map(|place| (Side::There, *place));
    there.chain(here.iter().map(|place| (Side::Here, *place))).collect()
}

fn of<'a>(there: &'a [Message], here: &'a [Message], side: Side, place: usize) -> &'a Message {
    match side {
        Side::There => &there[place],
        Side::Here => &here[place],
    }
}
