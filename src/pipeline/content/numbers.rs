//! A list of NHS numbers, as the national data opt-out service answers: nothing but lines of ten digits, each perhaps
//! with a comma after it (national-data-opt-out 5). A text that says why there is no answer is not one.

use super::{Content, Format};

const DIGITS: usize = 10;

/// What a text that begins with a digit is. If the payload goes on behind it, its last line may be cut.
pub(super) fn recognise(text: &str, is_cut: bool) -> Option<Content> {
    let lines = lines(text, is_cut);
    let is_number = |number: &&str| number.len() == DIGITS && number.bytes().all(|byte| byte.is_ascii_digit());
    let is_list = !lines.is_empty() && lines.iter().all(is_number);
    is_list.then(|| Content::new(Format::NhsNumbers, None, None))
}

/// The lines, without their commas.
pub(super) fn lines(text: &str, is_cut: bool) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().map(|line| line.strip_suffix(',').unwrap_or(line)).collect();
    if is_cut {
        lines.pop();
    }
    lines
}
