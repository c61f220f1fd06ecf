//! `workflow_filter`, all six forms (mesh-api 6.3). Pure.

/// Which workflows an inbox page shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filter {
    is_negated: bool,
    shape: Shape,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Equals,
    Begins,
    Contains,
}

impl Filter {
    /// Reads `WF`, `!WF`, `WF*`, `!WF*`, `*X*` or `!*X*`; `None` unless 2 to 255 characters long.
    pub(super) fn read(text: &str) -> Option<Self> {
        if !(2..=255).contains(&text.chars().count()) {
            return None;
        }
        let (is_negated, text) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
        let (shape, text) = match (text.strip_prefix('*'), text.strip_suffix('*')) {
            (Some(rest), Some(_)) => (Shape::Contains, rest.strip_suffix('*').unwrap_or(rest)),
            (None, Some(rest)) => (Shape::Begins, rest),
            (_, None) => (Shape::Equals, text),
        };
        Some(Self { is_negated, shape, text: text.to_owned() })
    }

    pub(super) fn selects(&self, workflow: &str) -> bool {
        let matches = match self.shape {
            Shape::Equals => workflow == self.text,
            Shape::Begins => workflow.starts_with(&self.text),
            Shape::Contains => workflow.contains(&self.text),
        };
        matches != self.is_negated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_six_forms_select_as_the_specification_says() {
        for (filter, selected, left) in [
            ("WF_1", &["WF_1"][..], &["WF_10", "XWF_1", "wf_1"][..]),
            ("!WF_1", &["WF_10", "OTHER"], &["WF_1"]),
            ("WF*", &["WF", "WF_1"], &["XWF", "wf"]),
            ("!WF*", &["XWF"], &["WF", "WF_1"]),
            ("*_1*", &["WF_1", "WF_10", "_1"], &["WF", "1_"]),
            ("!*_1*", &["WF"], &["WF_1", "A_1B"]),
        ] {
            let filter = Filter::read(filter).expect("a valid filter");
            for workflow in selected {
                assert!(filter.selects(workflow), "{filter:?} selects {workflow}");
            }
            for workflow in left {
                assert!(!filter.selects(workflow), "{filter:?} leaves {workflow}");
            }
        }
    }

    #[test]
    fn a_filter_has_2_to_255_characters() {
        assert_eq!(Filter::read("W"), None);
        assert_eq!(Filter::read(&"W".repeat(256)), None);
        assert!(Filter::read(&"W".repeat(255)).is_some());
    }
}
