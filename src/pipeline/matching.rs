//! Conditions on what MESH says about a message, and which of two is the more specific.

use super::message::Message;
use crate::domain::envelope::MessageKind;
use crate::domain::fault::Fault;
use crate::domain::ids::{MailboxId, Sensitive, WorkflowId};
use crate::ports::store::Delivery;

/// What conditions can ask about a message without opening it. No patient data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts<'a> {
    /// Its workflow.
    pub workflow: &'a WorkflowId,
    /// The mailbox it came to.
    pub mailbox: &'a MailboxId,
    /// Its sender, when that is a mailbox id.
    pub from: Option<&'a MailboxId>,
    /// Data or report.
    pub kind: MessageKind,
    /// Decoded length of the payload, bytes.
    pub length: u64,
}

impl<'a> Facts<'a> {
    /// The facts of a delivery.
    pub fn of(delivery: &'a Delivery) -> Self {
        Self {
            workflow: &delivery.workflow,
            mailbox: &delivery.mailbox,
            from: delivery.from.as_ref(),
            kind: delivery.kind,
            length: delivery.length,
        }
    }
}

/// A text with `*` for any run of characters, also none. There is no escape: no identifier of MESH has a `*`, and in
/// a subject, local id or file name it stands for itself among the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(String);

/// How well one key fits; the order is that of specificity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// The key is left out.
    Absent,
    /// A pattern with so many characters that are not `*`.
    Wildcard(usize),
    /// An equal value.
    Exact,
}

/// The ranks of `workflow`, `mailbox`, `from`, `type`, `subject`, `local_id` and `file_name`, compared in this order.
pub(super) type Specificity = [Rank; 7];

/// The keys of `[match]` and of `when`. An empty list is a key that is left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Condition {
    pub(super) workflow: Vec<Pattern>,
    pub(super) mailbox: Vec<Pattern>,
    pub(super) from: Vec<Pattern>,
    pub(super) kind: Option<MessageKind>,
    /// What only the sealed envelope says.
    pub(super) sealed: Sealed,
}

/// The keys that need the message opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Sealed {
    pub(super) subject: Vec<Pattern>,
    pub(super) local_id: Vec<Pattern>,
    pub(super) file_name: Vec<Pattern>,
}

impl Condition {
    /// How well it fits; `None` if it does not. The message is opened only if all clear keys fit and a sealed one asks.
    pub(super) fn fit(&self, message: &Message<'_>) -> Result<Option<Specificity>, Fault> {
        let Some([workflow, mailbox, from, kind]) = self.fit_clear(message.facts()) else { return Ok(None) };
        let Some([subject, local_id, file_name]) = self.sealed.fit(message)? else { return Ok(None) };
        Ok(Some([workflow, mailbox, from, kind, subject, local_id, file_name]))
    }

    fn fit_clear(&self, facts: &Facts<'_>) -> Option<[Rank; 4]> {
        Some([
            best(&self.workflow, Some(facts.workflow.as_str()))?,
            best(&self.mailbox, Some(facts.mailbox.as_str()))?,
            best(&self.from, facts.from.map(MailboxId::as_str))?,
            match self.kind {
                None => Rank::Absent,
                Some(kind) if kind == facts.kind => Rank::Exact,
                Some(_) => return None,
            },
        ])
    }

    /// Whether it could fit a message of this mailbox.
    pub(super) fn admits(&self, mailbox: &MailboxId) -> bool {
        best(&self.mailbox, Some(mailbox.as_str())).is_some()
    }

    /// Whether it could fit a message of this workflow.
    pub(super) fn admits_workflow(&self, workflow: &WorkflowId) -> bool {
        best(&self.workflow, Some(workflow.as_str())).is_some()
    }

    /// Whether some workflow fits both.
    pub(super) fn workflow_meets(&self, other: &Self) -> bool {
        let (ours, theirs) = (&self.workflow, &other.workflow);
        ours.is_empty() || theirs.is_empty() || ours.iter().any(|a| theirs.iter().any(|b| a.meets(b)))
    }

    /// Whether some message could fit both equally well.
    ///
    /// It may say yes where the tie is only among values that a longer pattern of the same list always wins;
    /// never no where there is a tie.
    pub(super) fn could_tie(&self, other: &Self) -> bool {
        lists_could_tie(&self.workflow, &other.workflow)
            && lists_could_tie(&self.mailbox, &other.mailbox)
            && lists_could_tie(&self.from, &other.from)
            && self.kind == other.kind
            && lists_could_tie(&self.sealed.subject, &other.sealed.subject)
            && lists_could_tie(&self.sealed.local_id, &other.sealed.local_id)
            && lists_could_tie(&self.sealed.file_name, &other.sealed.file_name)
    }

    /// Whether it has no key at all.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Sealed {
    fn fit(&self, message: &Message<'_>) -> Result<Option<[Rank; 3]>, Fault> {
        if *self == Self::default() {
            return Ok(Some([Rank::Absent; 3]));
        }
        let envelope = message.envelope()?;
        let fit = |patterns, text: &Option<Sensitive>| best(patterns, text.as_ref().map(Sensitive::reveal));
        let subject = fit(&self.subject, &envelope.subject);
        let local_id = fit(&self.local_id, &envelope.local_id);
        let file_name = fit(&self.file_name, &envelope.file_name);
        Ok(subject.zip(local_id).zip(file_name).map(|((subject, local_id), file_name)| [subject, local_id, file_name]))
    }
}

impl Pattern {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// As written.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, if it stands for itself alone.
    pub(super) fn exact(&self) -> Option<&str> {
        (!self.0.contains('*')).then_some(self.0.as_str())
    }

    fn rank(&self) -> Rank {
        match self.exact() {
            Some(_) => Rank::Exact,
            None => Rank::Wildcard(self.0.bytes().filter(|byte| *byte != b'*').count()),
        }
    }

    /// Whether it stands for `text`. Linear for one `*`; at worst the product of both lengths.
    pub(super) fn matches(&self, text: &str) -> bool {
        let (pattern, text) = (self.0.as_bytes(), text.as_bytes());
        let (mut p, mut t) = (0, 0);
        // Where the last `*` stands, and up to where it swallows.
        let mut star: Option<(usize, usize)> = None;
        while t < text.len() {
            if pattern.get(p) == Some(&b'*') {
                star = Some((p, t));
                p += 1;
            } else if pattern.get(p) == Some(&text[t]) {
                p += 1;
                t += 1;
            } else if let Some((at, swallowed)) = star {
                star = Some((at, swallowed + 1));
                p = at + 1;
                t = swallowed + 1;
            } else {
                return false;
            }
        }
        pattern[p..].iter().all(|byte| *byte == b'*')
    }

    /// Whether some text matches both.
    fn meets(&self, other: &Self) -> bool {
        let (a, b) = (self.0.as_bytes(), other.0.as_bytes());
        // `meet[j]` for row `i`: whether what is left of `a` from `i` meets what is left of `b` from `j`.
        let mut below: Vec<bool> = Vec::new();
        for i in (0..=a.len()).rev() {
            let mut row = vec![false; b.len() + 1];
            for j in (0..=b.len()).rev() {
                row[j] = match (a.get(i), b.get(j)) {
                    (None, None) => true,
                    (Some(b'*'), None) => below[j],
                    (None, Some(b'*')) => row[j + 1],
                    (None, Some(_)) | (Some(_), None) => false,
                    (Some(b'*'), Some(_)) | (Some(_), Some(b'*')) => below[j] || row[j + 1],
                    (Some(x), Some(y)) => x == y && below[j + 1],
                };
            }
            below = row;
        }
        below[0]
    }
}

fn best(patterns: &[Pattern], text: Option<&str>) -> Option<Rank> {
    if patterns.is_empty() {
        return Some(Rank::Absent);
    }
    let text = text?;
    patterns.iter().filter(|pattern| pattern.matches(text)).map(Pattern::rank).max()
}

fn lists_could_tie(ours: &[Pattern], theirs: &[Pattern]) -> bool {
    if ours.is_empty() || theirs.is_empty() {
        return ours.is_empty() && theirs.is_empty();
    }
    ours.iter().any(|a| theirs.iter().any(|b| a.rank() == b.rank() && a.meets(b)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pipeline::tests::Given;

    #[test]
    fn a_star_stands_for_any_run_of_characters() {
        let cases = [
            ("", "", true),
            ("", "A", false),
            ("*", "", true),
            ("*", "ANY_THING", true),
            ("TOC_FHIR_IP_DISCH*", "TOC_FHIR_IP_DISCH_ACK", true),
            ("TOC_FHIR_IP_DISCH*", "TOC_FHIR_IP_DISCH", true),
            ("TOC_FHIR_IP_DISCH*", "TOC_FHIR_OP", false),
            ("*_ACK", "A_ACK", true),
            ("*_ACK", "A_ACK_B", false),
            ("A*B*C", "AxxBByyBC", true),
            ("A*B*C", "ACB", false),
            ("A**C", "AC", true),
            ("abc", "ABC", false),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(Pattern::new(pattern).matches(text), expected, "{pattern:?} on {text:?}");
        }
    }

    #[test]
    fn patterns_meet_where_one_text_fits_both() {
        let cases = [
            ("A*", "*Z", true),
            ("A*", "B*", false),
            ("A*C", "AB*", true),
            ("*A*", "*B*", true),
            ("AB", "A*", true),
            ("AB", "A", false),
            ("*", "*", true),
            ("A*B", "A*C", false),
        ];
        for (a, b, expected) in cases {
            assert_eq!(Pattern::new(a).meets(&Pattern::new(b)), expected, "{a:?} and {b:?}");
            assert_eq!(Pattern::new(b).meets(&Pattern::new(a)), expected, "{b:?} and {a:?}");
        }
    }

    #[test]
    fn a_key_ranks_exact_over_longer_over_shorter_over_absent() {
        let ranks = ["A_B", "A_*", "A*", "*"].map(|text| Pattern::new(text).rank());
        assert!(ranks.windows(2).all(|pair| pair[0] > pair[1]));
        assert!(ranks[3] > Rank::Absent);
    }

    proptest! {
        #[test]
        fn what_matches_two_patterns_makes_them_meet(
            a in "[ab*]{0,6}", b in "[ab*]{0,6}", text in "[ab]{0,6}"
        ) {
            let (a, b) = (Pattern::new(a), Pattern::new(b));
            if a.matches(&text) && b.matches(&text) {
                prop_assert!(a.meets(&b));
            }
        }

        #[test]
        fn two_that_fit_equally_well_are_known_to_tie(
            ours in conditions(), theirs in conditions(), text in "[ab]{1,5}", other in "[ab]{1,5}", is_report: bool,
        ) {
            let (workflow, mailbox) = (WorkflowId::new(&text).expect("letters"), MailboxId::new(&other).expect("letters"));
            let kind = if is_report { MessageKind::Report } else { MessageKind::Data };
            let facts = Facts { workflow: &workflow, mailbox: &mailbox, from: Some(&mailbox), kind, length: 1 };
            let letter = Given::new(&facts, [Some(&other), Some(&text), None], b"");
            let message = Message::new(facts, &letter);
            let fit = |condition: &Condition| condition.fit(&message).expect("it opens");
            if fit(&ours).is_some() && fit(&ours) == fit(&theirs) {
                prop_assert!(ours.could_tie(&theirs));
            }
        }
    }

    fn conditions() -> impl Strategy<Value = Condition> {
        let list = || {
            proptest::collection::vec("[ab*]{1,4}", 0..3)
                .prop_map(|texts| texts.iter().map(Pattern::new).collect::<Vec<_>>())
        };
        let kind = proptest::option::of(proptest::sample::select(vec![MessageKind::Data, MessageKind::Report]));
        (list(), list(), list(), kind, list(), list(), list()).prop_map(
            |(workflow, mailbox, from, kind, subject, local_id, file_name)| {
                let sealed = Sealed { subject, local_id, file_name };
                Condition { workflow, mailbox, from, kind, sealed }
            },
        )
    }
}
