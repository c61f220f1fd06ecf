//! The body of an answer: as a stream with a least rate, or whole with a limit.
//!
//! A stream is given up when the far side is slow, never when its reader is: only the time spent waiting for bytes
//! counts. A pause between two pieces is limited by the client's read timeout.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::time::{Instant, timeout};

use super::status::Call;
use super::transport;
use crate::domain::fault::Fault;
use crate::domain::ids::Name;

/// How slow a body may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    /// Waiting that costs nothing.
    pub(super) grace: Duration,
    /// Beyond it, each second of waiting must have brought this many bytes.
    pub(super) bytes_per_second: u64,
}

impl Pace {
    /// How much waiting `received` bytes have earned so far.
    fn allowance(&self, received: u64) -> Duration {
        self.grace + Duration::from_secs(received / self.bytes_per_second.max(1))
    }
}

/// The body, piece by piece. Ends after its first error.
pub(super) fn paced(
    response: reqwest::Response,
    pace: Pace,
    dependency: Name,
) -> BoxStream<'static, Result<Bytes, Fault>> {
    let state = Some(Reading { response, pace, dependency, received: 0, waited: Duration::ZERO });
    Box::pin(stream::unfold(state, |state| async move {
        let mut reading = state?;
        match reading.next().await {
            Ok(None) => None,
            Ok(Some(bytes)) => Some((Ok(bytes), Some(reading))),
            Err(fault) => Some((Err(fault), None)),
        }
    }))
}

struct Reading {
    response: reqwest::Response,
    pace: Pace,
    dependency: Name,
    received: u64,
    waited: Duration,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        let left = self.pace.allowance(self.received).saturating_sub(self.waited);
        let began = Instant::now();
        let piece = timeout(left, self.response.chunk()).await;
        self.waited += began.elapsed();
        match piece {
            Err(_) => {
                let limit = format!("{} s: only {} bytes came", self.waited.as_secs(), self.received);
                Err(transport::too_slow(Call::Fetch, &self.dependency, &limit))
            }
            Ok(Err(error)) => Err(transport::fault(Call::Fetch, &error, &self.dependency)),
            Ok(Ok(None)) => Ok(None),
            Ok(Ok(Some(bytes))) => {
                self.received += bytes.len() as u64;
                Ok(Some(bytes))
            }
        }
    }
}

/// Why a small body was not read whole.
#[derive(Debug)]
pub(super) enum NotWhole {
    /// It is longer than the limit.
    TooLarge,
    /// The connection failed.
    Failed(reqwest::Error),
}

/// The whole body, if it is no longer than `limit`.
pub(super) async fn whole(response: reqwest::Response, limit: usize) -> Result<Vec<u8>, NotWhole> {
    let mut stream = response.bytes_stream();
    let mut body = Vec::new();
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(NotWhole::Failed)?;
        if body.len() + piece.len() > limit {
            return Err(NotWhole::TooLarge);
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_second_of_waiting_beyond_the_grace_must_be_earned() {
        let pace = Pace { grace: Duration::from_secs(60), bytes_per_second: 1024 };
        for (received, seconds) in [(0, 60), (1023, 60), (1024, 61), (100 * 1024 * 1024, 60 + 102_400)] {
            assert_eq!(pace.allowance(received), Duration::from_secs(seconds), "{received} bytes");
        }
        let none = Pace { bytes_per_second: 0, ..pace };
        assert_eq!(none.allowance(5), Duration::from_secs(65), "a rate of nothing does not divide by it");
    }
}
