//! NHS's catalogue of compliance tests, version 1.6 (mesh-api 11.1), as one table.

use super::cases::{many, receive, refused, send};
use super::scene::{Ran, Scene};

/// What the catalogue is called in evidence.
pub(super) const NAME: &str = "NHS MESH API compliance test catalogue, version 1.6";

/// One case.
pub struct Case {
    /// Its number in the catalogue.
    pub number: u16,
    /// What it checks, in the catalogue's words.
    pub title: &'static str,
    /// A system that does not support it gets a certificate all the same, with a caveat.
    pub is_optional: bool,
    /// What meshd does for it.
    pub done: &'static str,
    /// What is to come of it.
    pub expected: &'static str,
    pub(super) how: How,
}

/// Who runs a case.
pub(super) enum How {
    /// This program.
    Runs(for<'a> fn(&'a Scene) -> Ran<'a>),
    /// Not this program, and why.
    NotHere(&'static str),
}

impl Case {
    /// Why this program cannot run it.
    pub fn why_not(&self) -> Option<&'static str> {
        match self.how {
            How::Runs(_) => None,
            How::NotHere(why) => Some(why),
        }
    }
}

/// The case of a number.
pub fn case(number: u16) -> Option<&'static Case> {
    CATALOGUE.iter().find(|case| case.number == number)
}

const SENT: &str = "202 with a message id; tracking says accepted; the recipient, if it is ours, has the same bytes";
const RECEIVED: &str = "the message is listed, downloaded once with the SHA-256 of what was sent, acknowledged directly \
    after, and listed no more";

/// All cases, in the order of their numbers.
pub const CATALOGUE: &[Case] = &[
    Case {
        number: 201,
        title: "send plain",
        is_optional: false,
        done: "sends a message of 100,000 bytes, then checks the inbox",
        expected: SENT,
        how: How::Runs(send::plain),
    },
    Case {
        number: 202,
        title: "send gzip",
        is_optional: true,
        done: "sends a message of 100,000 bytes with Content-Encoding gzip, then checks the inbox",
        expected: SENT,
        how: How::Runs(send::gzip),
    },
    Case {
        number: 401,
        title: "receive plain",
        is_optional: false,
        done: "receives a message that was sent plain",
        expected: RECEIVED,
        how: How::Runs(receive::plain),
    },
    Case {
        number: 402,
        title: "receive gzip",
        is_optional: false,
        done: "receives a message that was sent as gzip",
        expected: RECEIVED,
        how: How::Runs(receive::gzip),
    },
    Case {
        number: 501,
        title: "receive chunked, over 200 MB, digest equal",
        is_optional: true,
        done: "receives a message of 210,000,000 bytes in several chunks",
        expected: RECEIVED,
        how: How::Runs(receive::chunked),
    },
    Case {
        number: 502,
        title: "send chunked, over 200 MB, digest equal",
        is_optional: true,
        done: "sends a message of 210,000,000 bytes in several chunks, then checks the inbox",
        expected: SENT,
        how: How::Runs(send::chunked),
    },
    Case {
        number: 601,
        title: "600 messages waiting: list, 500 x (download, ack), list, 100 x (download, ack)",
        is_optional: false,
        done: "has 600 messages wait in an inbox that is otherwise empty, and receives them",
        expected: "a list of 500, each downloaded once and acknowledged directly after; a list of 100, likewise; an \
            empty list",
        how: How::Runs(many::pages),
    },
    Case {
        number: 701,
        title: "403 handled",
        is_optional: false,
        done: "shakes hands with a wrong password, then lists with the right one",
        expected: "403, once more with a fresh token, and no further; understood as MESH-AUTH; the mailbox goes on",
        how: How::Runs(refused::forbidden),
    },
    Case {
        number: 702,
        title: "417 handled",
        is_optional: false,
        done: "sends to a mailbox that nobody has",
        expected: "417, once; understood as SEND-REFUSED, for good; not sent again",
        how: How::Runs(refused::no_such_recipient),
    },
    Case {
        number: 703,
        title: "send accepted, report 5 days later handled",
        is_optional: false,
        done: "nothing",
        expected: "the report is received, and the send is shown as undelivered with code 14",
        how: How::NotHere(
            "it takes five days in which nobody collects a message: send one with `meshd send` to a mailbox that is \
             not read, let the daemon run, and show `meshd sent list` and `meshd audit` after the report",
        ),
    },
    Case {
        number: 704,
        title: "404 handled",
        is_optional: false,
        done: "asks for a message that nobody sent, then lists",
        expected: "404, once; understood as MSG-GONE of that message, for now; the mailbox goes on",
        how: How::Runs(refused::not_found),
    },
    Case {
        number: 705,
        title: "410 handled on a message that was delivered before",
        is_optional: false,
        done: "receives a message, acknowledges it, and asks for it again",
        expected: "410, once; understood as MSG-GONE, for good",
        how: How::Runs(refused::gone),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    /// mesh-api 11.1, rows 201 to 705.
    #[test]
    fn the_table_is_the_catalogue() {
        let numbers: Vec<u16> = CATALOGUE.iter().map(|case| case.number).collect();
        assert_eq!(numbers, [201, 202, 401, 402, 501, 502, 601, 701, 702, 703, 704, 705]);
        let not_here: Vec<u16> =
            CATALOGUE.iter().filter(|case| case.why_not().is_some()).map(|case| case.number).collect();
        assert_eq!(not_here, [703]);
        assert!(case(703).is_some_and(|case| case.title.contains("report")));
        assert!(case(300).is_none());
    }
}
