//! NHS numbers: whom a message is about.
//!
//! Ten digits, of which the last checks the others by modulus 11 (NHS Data Dictionary, attribute NHS NUMBER); written
//! with or without spaces or hyphens. One is patient data: it has no `Display`, and no error repeats it (I8).

use std::fmt;
use std::str::FromStr;

/// Digits in a number.
pub const DIGITS: usize = 10;

/// A number whose check digit is right. Whether it was ever given to anyone is not known.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NhsNumber([u8; DIGITS]);

/// Why a text is no NHS number. The text is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNhsNumber {
    /// Something else than ten digits.
    #[error("expected ten digits, with or without spaces or hyphens")]
    Shape,
    /// A digit is wrong, or two are exchanged.
    #[error("the check digit is wrong")]
    Check,
}

/// A line of a list that is no NHS number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {error}")]
pub struct InvalidLine {
    line: usize,
    error: InvalidNhsNumber,
}

impl NhsNumber {
    /// The number of these ASCII digits, if the last one is right.
    pub fn from_digits(digits: [u8; DIGITS]) -> Result<Self, InvalidNhsNumber> {
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(InvalidNhsNumber::Shape);
        }
        let weighed = digits.iter().zip((1..=DIGITS as u32).rev());
        let sum: u32 = weighed.map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
        // The check digit has weight 1 and makes the sum a multiple of 11; where that took a 10, there is no number.
        if sum.is_multiple_of(11) { Ok(Self(digits)) } else { Err(InvalidNhsNumber::Check) }
    }

    /// The numbers in a list, one a line; empty lines are passed over.
    pub fn list(text: &str) -> Result<Vec<Self>, InvalidLine> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        lines.map(|(at, line)| line.parse().map_err(|error| InvalidLine { line: at + 1, error })).collect()
    }

    /// Is it of the range that is kept for tests, and given to nobody? Ten nines are a placeholder that real mail has.
    pub fn is_synthetic(&self) -> bool {
        self.0.starts_with(b"999") && self.0 != [b'9'; DIGITS]
    }

    /// Its ASCII digits, for the keyed digest and for comparing.
    pub(crate) fn reveal(&self) -> &[u8; DIGITS] {
        &self.0
    }
}

impl FromStr for NhsNumber {
    type Err = InvalidNhsNumber;

    fn from_str(text: &str) -> Result<Self, InvalidNhsNumber> {
        let mut digits = [0; DIGITS];
        let mut count = 0;
        for byte in text.trim().bytes().filter(|byte| !b" -".contains(byte)) {
            *digits.get_mut(count).ok_or(InvalidNhsNumber::Shape)? = byte;
            count += 1;
        }
        if count == DIGITS { Self::from_digits(digits) } else { Err(InvalidNhsNumber::Shape) }
    }
}

impl fmt::Debug for NhsNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[NHS number]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_the_same_however_it_is_written() {
        let plain: NhsNumber = "9990000018".parse().expect("its check digit is right");
        for text in ["999 000 0018", "999-000-0018", " 9990000018\r"] {
            assert_eq!(text.parse(), Ok(plain.clone()), "{text}");
        }
    }

    #[test]
    fn every_wrong_digit_and_every_exchange_of_neighbours_is_found() {
        let right = *b"9990000018";
        for at in 0..DIGITS {
            for digit in (b'0'..=b'9').filter(|digit| *digit != right[at]) {
                let mut wrong = right;
                wrong[at] = digit;
                assert_eq!(NhsNumber::from_digits(wrong), Err(InvalidNhsNumber::Check), "{digit} at {at}");
            }
        }
        for at in (1..DIGITS).filter(|at| right[at - 1] != right[*at]) {
            let mut wrong = right;
            wrong.swap(at - 1, at);
            assert_eq!(NhsNumber::from_digits(wrong), Err(InvalidNhsNumber::Check), "exchanged at {at}");
        }
    }

    #[test]
    fn what_is_not_ten_digits_is_refused() {
        for text in ["", "999000001", "99900000180", "999000001X", "999.000.0018", "٩٩٩٠٠٠٠٠١٨"] {
            assert_eq!(text.parse::<NhsNumber>(), Err(InvalidNhsNumber::Shape), "{text}");
        }
    }

    #[test]
    fn the_synthetic_range_begins_with_999_and_has_no_placeholder() {
        let is_synthetic = |text: &str| text.parse::<NhsNumber>().expect("its check digit is right").is_synthetic();
        assert!(is_synthetic("9990000018"));
        assert!(!is_synthetic("9000000009"));
        assert!(!is_synthetic("9999999999"));
    }

    #[test]
    fn a_list_names_the_line_that_is_wrong_and_never_what_stands_there() {
        let numbers = NhsNumber::list("9990000018\n\n999 000 0026\n").expect("both are right");
        assert_eq!(numbers.len(), 2);
        let error = NhsNumber::list("9990000018\n\n9990000019\n").expect_err("the third line is wrong");
        assert_eq!(error.to_string(), "line 3: the check digit is wrong");
        assert!(!format!("{error:?}{numbers:?}").contains("999"));
    }
}
