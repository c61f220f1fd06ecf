//! A proxy between client and simulator that spoils what passes, under TLS and without looking into it (torture 3.4).
//!
//! Each connection is spoilt by its own number, each direction on its own. Faults of single requests, inside TLS, are
//! [`super::faults`]'s.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::payload::mix;

/// Passed on at a time.
const PIECE_BYTES: usize = 16 * 1024;

/// What happens to the bytes of one direction. Counts are of bytes passed before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Toxic {
    /// They pass.
    None,
    /// Each piece is late by so long, and by up to `jitter` more.
    Delay {
        /// At least.
        lasting: Duration,
        /// More, by chance.
        jitter: Duration,
    },
    /// So many in a second.
    Rate(u64),
    /// None is taken any more, so that the sender's buffers fill.
    Stall(u64),
    /// All are taken and none is passed on.
    Blackhole,
    /// The connection is reset, in both directions.
    Reset(u64),
    /// The connection is closed in order, in both directions.
    Close(u64),
    /// This direction ends; the other goes on.
    HalfClose(u64),
    /// One byte at a time, each in a packet of its own.
    Slice,
    /// One bit of this byte is turned over.
    Corrupt(u64),
}

/// What happens to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// It is reset as soon as it stands.
    Refused,
    /// It is passed on, each direction spoilt in its own way.
    Open {
        /// From the client to the server.
        up: Toxic,
        /// From the server to the client.
        down: Toxic,
    },
}

impl Passage {
    /// What the server says is spoilt.
    pub fn down(down: Toxic) -> Self {
        Self::Open { up: Toxic::None, down }
    }

    /// What the client says is spoilt.
    pub fn up(up: Toxic) -> Self {
        Self::Open { up, down: Toxic::None }
    }
}

/// A running proxy; it ends when this is dropped.
pub struct Proxy {
    address: SocketAddr,
    connections: Arc<AtomicU64>,
    _stop: DropGuard,
}

impl Proxy {
    /// Starts on the current runtime, in front of `server`; `passage` says what happens to each connection, from 0.
    pub async fn start(server: SocketAddr, passage: impl Fn(u64) -> Passage + Send + 'static) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (connections, stop, tasks) = (Arc::new(AtomicU64::new(0)), CancellationToken::new(), TaskTracker::new());
        let (counter, stopped, inner) = (Arc::clone(&connections), stop.clone(), tasks.clone());
        tasks.spawn(stop.clone().run_until_cancelled_owned(async move {
            loop {
                // A connection that failed before it was accepted is the client's to open again.
                let Ok((client, _)) = listener.accept().await else { continue };
                let passage = passage(counter.fetch_add(1, Ordering::AcqRel));
                inner.spawn(stopped.clone().run_until_cancelled_owned(pass(client, server, passage)));
            }
        }));
        Ok(Self { address, connections, _stop: stop.drop_guard() })
    }

    /// The base URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections so far.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Acquire)
    }
}

/// How a direction ends before its time.
#[derive(Debug, Clone, Copy)]
enum Ending {
    Stall,
    Half,
    Whole(Cut),
}

impl Toxic {
    /// After so many bytes, in this way.
    fn ending(self) -> Option<(u64, Ending)> {
        match self {
            Self::Stall(after) => Some((after, Ending::Stall)),
            Self::HalfClose(after) => Some((after, Ending::Half)),
            Self::Close(after) => Some((after, Ending::Whole(Cut::InOrder))),
            Self::Reset(after) => Some((after, Ending::Whole(Cut::Reset))),
            Self::None | Self::Delay { .. } | Self::Rate(_) | Self::Blackhole | Self::Slice | Self::Corrupt(_) => None,
        }
    }
}

/// The end of both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    InOrder,
    Reset,
}

impl From<io::Error> for Cut {
    /// One side is gone: so is the other.
    fn from(_: io::Error) -> Self {
        Self::InOrder
    }
}

async fn pass(mut client: TcpStream, server: SocketAddr, passage: Passage) -> io::Result<()> {
    let Passage::Open { up, down } = passage else { return client.set_zero_linger() };
    let mut server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let ended = {
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
        tokio::try_join!(pump(from_client, to_server, up), pump(from_server, to_client, down))
    };
    if ended == Err(Cut::Reset) {
        client.set_zero_linger()?;
        server.set_zero_linger()?;
    }
    Ok(())
}

/// Passes one direction on to its end, which the other side of it learns.
async fn pump(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, toxic: Toxic) -> Result<(), Cut> {
    let ending = toxic.ending();
    let mut buffer = vec![0; PIECE_BYTES];
    let mut passed = 0;
    loop {
        let left = ending.map_or(u64::MAX, |(after, _)| after - passed);
        if let (0, Some((_, ending))) = (left, ending) {
            return match ending {
                Ending::Stall => std::future::pending().await,
                Ending::Half => Ok(to.shutdown().await?),
                Ending::Whole(cut) => Err(cut),
            };
        }
        let room = usize::try_from(left).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES));
        let read = from.read(&mut buffer[..room]).await?;
        if read == 0 {
            return Ok(to.shutdown().await?);
        }
        let piece = &mut buffer[..read];
        match toxic {
            Toxic::Blackhole => continue,
            Toxic::Delay { lasting, jitter } => sleep(lasting + jitter.mul_f64(chance(passed))).await,
            Toxic::Rate(in_a_second) => sleep(Duration::from_secs_f64(read as f64 / in_a_second.max(1) as f64)).await,
            Toxic::Corrupt(at) => {
                let within = at.checked_sub(passed).and_then(|within| usize::try_from(within).ok());
                if let Some(byte) = within.and_then(|within| piece.get_mut(within)) {
                    *byte ^= 1;
                }
            }
            Toxic::None | Toxic::Slice | Toxic::Stall(_) | Toxic::Reset(_) | Toxic::Close(_) | Toxic::HalfClose(_) => {}
        }
        let step = if toxic == Toxic::Slice { 1 } else { read };
        for some in piece.chunks(step) {
            to.write_all(some).await?;
        }
        passed += read as u64;
    }
}

/// 0 to 1, the same for the same number.
fn chance(number: u64) -> f64 {
    (mix(number) % 1000) as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);
    /// What the server says before it repeats what it hears.
    const GREETING: &[u8] = b"a greeting of thirty-one bytes.";

    /// What a client hears that says `hello` and no more.
    async fn heard(passage: Passage) -> (Vec<u8>, io::Result<usize>) {
        let server = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback is free");
        let address = server.local_addr().expect("it listens");
        let echo = async {
            let (mut stream, _) = server.accept().await?;
            stream.write_all(GREETING).await?;
            let (mut from, mut to) = stream.split();
            tokio::io::copy(&mut from, &mut to).await?;
            to.shutdown().await
        };
        let proxy = Proxy::start(address, move |_| passage).await.expect("loopback is free");
        let talk = async {
            let mut client = TcpStream::connect(proxy.address()).await.expect("it listens");
            // Its end may be there already.
            drop(client.write_all(b"hello").await);
            drop(client.shutdown().await);
            let mut all = Vec::new();
            let end = client.read_to_end(&mut all).await;
            (all, end)
        };
        let both = async {
            tokio::select! {
                heard = talk => heard,
                // The server's end is not the client's: there may be more to hear.
                _ = async { drop(echo.await); std::future::pending::<()>().await } => unreachable!("it never ends"),
            }
        };
        tokio::time::timeout(LIMIT, both).await.unwrap_or((Vec::new(), Err(io::ErrorKind::TimedOut.into())))
    }

    #[tokio::test]
    async fn what_is_not_spoilt_passes_and_each_direction_ends_on_its_own() {
        let (all, end) = heard(Passage::down(Toxic::None)).await;
        assert_eq!((all.as_slice(), end.is_ok()), (&[GREETING, b"hello"].concat()[..], true));
        for slow in [
            Toxic::Slice,
            Toxic::Rate(200),
            Toxic::Delay { lasting: Duration::from_millis(100), jitter: Duration::from_millis(50) },
        ] {
            let begun = Instant::now();
            let (all, _) = heard(Passage::down(slow)).await;
            assert_eq!(all.len(), GREETING.len() + 5, "{slow:?}");
            assert!(slow == Toxic::Slice || begun.elapsed() >= Duration::from_millis(100), "{slow:?}");
        }
    }

    #[tokio::test]
    async fn what_is_cut_ends_where_it_should_and_as_it_should() {
        let (all, end) = heard(Passage::down(Toxic::Close(9))).await;
        assert_eq!((all.as_slice(), end.is_ok()), (&GREETING[..9], true));
        let (all, end) = heard(Passage::down(Toxic::HalfClose(9))).await;
        assert_eq!((all.as_slice(), end.is_ok()), (&GREETING[..9], true));
        let (all, _) = heard(Passage::up(Toxic::HalfClose(3))).await;
        assert_eq!(all, [GREETING, b"hel"].concat(), "the other direction goes on");
        for reset in [Passage::down(Toxic::Reset(9)), Passage::up(Toxic::Reset(3)), Passage::Refused] {
            let (all, end) = heard(reset).await;
            assert!(end.is_err() && all.len() <= GREETING.len(), "{reset:?}: {end:?}");
        }
    }

    #[tokio::test]
    async fn one_bit_is_turned_over() {
        let (all, _) = heard(Passage::down(Toxic::Corrupt(2))).await;
        assert_eq!(&all[..5], b"a fre", "g becomes f");
    }

    #[tokio::test]
    async fn what_stalls_or_vanishes_is_waited_for_in_vain() {
        for (silent, expected) in [(Toxic::Stall(9), 9), (Toxic::Blackhole, 0)] {
            let server = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback is free");
            let address = server.local_addr().expect("it listens");
            let proxy = Proxy::start(address, move |_| Passage::down(silent)).await.expect("loopback is free");
            let mut client = TcpStream::connect(proxy.address()).await.expect("it listens");
            let (mut stream, _) = server.accept().await.expect("it comes");
            stream.write_all(GREETING).await.expect("room for it");
            let mut some = vec![0; expected];
            client.read_exact(&mut some).await.expect("so much comes");
            let more = tokio::time::timeout(Duration::from_millis(200), client.read_u8()).await;
            assert!(more.is_err(), "{silent:?}: {more:?}");
            assert_eq!(proxy.connections(), 1);
        }
    }
}
