//! Whom a message is about: the NHS numbers in its text, found as it streams by.
//!
//! It knows no format. A number is ten digits in a row, or three, three and four with one space or hyphen between, with
//! no digit before or after, whose check digit is right. Zero bytes are passed over, so that UTF-16 reads like ASCII.
//! One in eleven of any other ten digits passes too: what is found may be about someone, and is no proof that it is.
//! What is encoded (base64, compressed, encrypted) is not seen.

use std::collections::BTreeSet;

use super::nhs_number::{DIGITS, NhsNumber};

/// Of one message at most so many numbers are kept: what names more is a list, and is searched itself.
pub const MOST: usize = 64;

/// Lengths of the three groups of a number that is written in groups.
const GROUPS: [usize; 3] = [3, 3, 4];

/// The numbers in a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Patients {
    /// Each once, at most [`MOST`].
    pub numbers: BTreeSet<NhsNumber>,
    /// There are, or may be, more: too many, or not all of it was looked at.
    pub more: bool,
}

impl Patients {
    /// Nothing to tell: all of it was looked at, and nobody is named.
    pub fn is_none(&self) -> bool {
        self.numbers.is_empty() && !self.more
    }

    fn add(&mut self, number: NhsNumber) {
        if self.numbers.len() < MOST {
            self.numbers.insert(number);
        } else {
            self.more |= !self.numbers.contains(&number);
        }
    }
}

/// Looks for numbers in text that comes in pieces.
#[derive(Default)]
pub struct Scan {
    found: Patients,
    /// The last digits, of the run that goes on and of those it follows.
    digits: [u8; DIGITS],
    /// Length of the run that goes on, and of the two that stand one space or hyphen before each other.
    runs: [usize; 3],
    /// A space or hyphen was the last byte, with digits before it.
    is_between: bool,
    /// Only these are looked for; all, if none is named.
    wanted: BTreeSet<NhsNumber>,
}

impl Scan {
    /// Looks for these alone, however many others are named.
    pub fn for_these(wanted: impl IntoIterator<Item = NhsNumber>) -> Self {
        Self { wanted: wanted.into_iter().collect(), ..Self::default() }
    }

    /// Looks at the next piece.
    pub fn look_at(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'0'..=b'9' => self.digit(*byte),
                0 => {}
                b' ' | b'-' if self.runs[2] > 0 && !self.is_between => {
                    self.end_run();
                    self.is_between = true;
                }
                _ => self.break_off(),
            }
        }
    }

    /// Ends a text: what comes next does not go on from it.
    pub fn break_off(&mut self) {
        if self.runs[2] > 0 {
            if !self.is_between {
                self.end_run();
            }
            self.runs = [0; 3];
            self.is_between = false;
        }
    }

    /// What was found.
    pub fn end(mut self) -> Patients {
        self.break_off();
        self.found
    }

    fn digit(&mut self, digit: u8) {
        if self.is_between {
            self.runs = [self.runs[1], self.runs[2], 0];
            self.is_between = false;
        }
        self.digits.copy_within(1.., 0);
        self.digits[DIGITS - 1] = digit;
        self.runs[2] += 1;
    }

    fn end_run(&mut self) {
        if (self.runs[2] == DIGITS || self.runs == GROUPS)
            && let Ok(number) = NhsNumber::from_digits(self.digits)
            && (self.wanted.is_empty() || self.wanted.contains(&number))
        {
            self.found.add(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &[u8]) -> usize {
        let mut scan = Scan::default();
        scan.look_at(text);
        scan.end().numbers.len()
    }

    #[test]
    fn a_number_is_found_in_whatever_holds_it() {
        let texts = [
            "9990000018",
            "999 000 0018",
            "999-000-0018.",
            "PID|1||9990000018^^^NHS^NH||SMITH",
            r#"{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"9990000018"}"#,
            r#"<id root="2.16.840.1.113883.2.1.4.1" extension="9990000018"/>"#,
            "RFF+NHS:9990000018'",
            "12 999 000 0018",
            "lab-9990000018-v2",
        ];
        for text in texts {
            assert_eq!(found(text.as_bytes()), 1, "{text}");
            let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            assert_eq!(found(&wide), 1, "{text} in UTF-16");
        }
    }

    #[test]
    fn what_is_part_of_something_longer_or_fails_its_check_is_not() {
        for text in [
            "19990000018",
            "99900000180",
            "9990000019",
            "999  000 0018",
            "999.000.0018",
            "9990 000 018",
            "1999 000 0018",
            "999 000 00181",
            "999\n000\n0018",
        ] {
            assert_eq!(found(text.as_bytes()), 0, "{text}");
        }
    }

    #[test]
    fn the_pieces_it_comes_in_do_not_matter() {
        let text = b"a 999 000 0018 b 9990000026- c 9990000018";
        for size in 1..text.len() {
            let mut scan = Scan::default();
            text.chunks(size).for_each(|piece| scan.look_at(piece));
            assert_eq!(scan.end().numbers.len(), 2, "in pieces of {size}");
        }
    }

    #[test]
    fn one_that_is_looked_for_is_found_behind_any_number_of_others() {
        let wanted: NhsNumber = "9990000018".parse().expect("its check digit is right");
        let mut scan = Scan::for_these([wanted.clone()]);
        for number in (0..).filter_map(|n| format!("999{n:07}").parse::<NhsNumber>().ok()).skip(9).take(MOST + 1) {
            scan.look_at(number.reveal());
            scan.break_off();
        }
        scan.look_at(b"999 000 0018");
        assert_eq!(scan.end(), Patients { numbers: [wanted].into(), more: false });
    }

    #[test]
    fn what_stands_in_two_fields_is_not_one_number() {
        let mut scan = Scan::default();
        scan.look_at(b"99900");
        scan.break_off();
        scan.look_at(b"00018");
        assert!(scan.end().is_none());
    }

    #[test]
    fn beyond_the_most_it_only_says_that_there_are_more() {
        let list = |count| {
            let numbers = (0..).filter_map(|n| format!("999{n:07}").parse::<NhsNumber>().ok());
            let mut scan = Scan::default();
            for number in numbers.take(count) {
                scan.look_at(number.reveal());
                scan.look_at(b"\n");
            }
            scan.look_at(b"9990000018");
            scan.end()
        };
        assert_eq!((list(MOST).numbers.len(), list(MOST).more), (MOST, false), "one comes twice");
        assert_eq!((list(MOST + 1).numbers.len(), list(MOST + 1).more), (MOST, true));
    }
}
