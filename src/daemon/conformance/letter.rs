//! Payloads that are made up while they are read: text that says it is synthetic, of any length, and never whole in
//! memory (I3).

use std::io::{self, Read};
use std::sync::Arc;

use crate::domain::digest::Hasher;
use crate::ports::spool::{Payload, PayloadSource};

/// Read at a time for a digest.
const SLICE: usize = 128 * 1024;

/// Lines that name their run, so that no two messages of two runs are alike.
struct Lines {
    run: String,
    length: u64,
}

struct Reading {
    run: String,
    left: u64,
    line: Vec<u8>,
    /// How much of the line was read.
    read: usize,
    number: u64,
}

/// A payload of so many bytes.
pub(super) fn payload(run: &str, length: u64) -> Payload {
    Payload::new(length, Arc::new(Lines { run: run.to_owned(), length }))
}

/// SHA-256 of a payload, in hex. Blocks.
pub(super) fn sha256(payload: &Payload) -> io::Result<String> {
    let (mut reader, mut hasher, mut slice) = (payload.reader()?, Hasher::new(), vec![0; SLICE]);
    loop {
        let read = reader.read(&mut slice)?;
        match slice.get(..read) {
            None | Some([]) => return Ok(hasher.clear()),
            Some(bytes) => hasher.update(bytes),
        }
    }
}

impl PayloadSource for Lines {
    fn reader(&self) -> io::Result<Box<dyn Read + Send>> {
        let run = self.run.clone();
        Ok(Box::new(Reading { run, left: self.length, line: Vec::new(), read: 0, number: 0 }))
    }
}

impl Read for Reading {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < into.len() && self.left > 0 {
            if self.read == self.line.len() {
                self.number += 1;
                self.line = format!("SYNTHETIC {} line {:012}\n", self.run, self.number).into_bytes();
                self.read = 0;
            }
            let most = usize::try_from(self.left).unwrap_or(usize::MAX);
            let count = (into.len() - filled).min(self.line.len() - self.read).min(most);
            into[filled..filled + count].copy_from_slice(&self.line[self.read..self.read + count]);
            filled += count;
            self.read += count;
            self.left -= count as u64;
        }
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_the_same_each_time_and_as_long_as_it_says() {
        for length in [0, 1, 100, 1_000_003] {
            let payload = payload("a-run", length);
            let bytes = payload.read_bounded(2_000_000).expect("it is made up");
            assert_eq!(bytes.len() as u64, length);
            let mut hasher = Hasher::new();
            hasher.update(&bytes);
            assert_eq!(sha256(&payload).expect("it is made up"), hasher.clear());
        }
    }
}
