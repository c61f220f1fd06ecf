//! One TLS connection that a fault can end in ways HTTP cannot: reset, cut at any byte, slow, doubled,
//! other bytes than the answer's.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tokio_rustls::server::TlsStream;

use super::lock;

/// What the request in hand asks of its connection.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// End with a reset instead of an orderly goodbye.
    is_reset: AtomicBool,
    is_spoilt: AtomicBool,
    spoil: Mutex<Spoil>,
}

/// What becomes of the bytes of an answer.
#[derive(Debug, Default)]
enum Spoil {
    #[default]
    Nothing,
    /// So many pass, and then the connection ends.
    Cut(u64),
    /// So many pass, and a bit of the one behind them is turned over.
    Corrupt(u64),
    Trickle {
        piece: usize,
        every: Duration,
        wait: Option<Pin<Box<Sleep>>>,
    },
    /// Every write is written twice.
    Double(Option<Doubled>),
    /// These are written instead of any, and then the connection ends.
    Replace(Bytes),
}

/// A write that is on its way twice.
#[derive(Debug)]
struct Doubled {
    left: Bytes,
    once_bytes: usize,
}

impl Line {
    /// Forgets what the answer before was too short for.
    pub(super) fn renew(&self) {
        self.is_reset.store(false, Ordering::Release);
        self.is_spoilt.store(false, Ordering::Release);
    }

    /// The connection's end is a reset.
    pub(super) fn reset(&self) {
        self.is_reset.store(true, Ordering::Release);
    }

    /// After so many more bytes the connection is reset.
    pub(super) fn cut_after(&self, bytes: u64) {
        self.reset();
        self.spoil(Spoil::Cut(bytes));
    }

    /// After so many more bytes the connection is closed in order.
    pub(super) fn close_after(&self, bytes: u64) {
        self.spoil(Spoil::Cut(bytes));
    }

    /// One bit of the byte behind so many is turned over.
    pub(super) fn corrupt(&self, at: u64) {
        self.spoil(Spoil::Corrupt(at));
    }

    /// Small pieces, with time before each.
    pub(super) fn trickle(&self, piece: u64, every: Duration) {
        let piece = usize::try_from(piece).unwrap_or(usize::MAX).max(1);
        self.spoil(Spoil::Trickle { piece, every, wait: None });
    }

    /// Everything is written twice.
    pub(super) fn double(&self) {
        self.spoil(Spoil::Double(None));
    }

    /// The next write is replaced by these bytes, and then the connection ends.
    pub(super) fn replace(&self, bytes: Bytes) {
        self.spoil(Spoil::Replace(bytes));
    }

    fn spoil(&self, spoil: Spoil) {
        *lock(&self.spoil) = spoil;
        self.is_spoilt.store(true, Ordering::Release);
    }
}

/// The stream under HTTP.
pub(super) struct Socket {
    stream: TlsStream<TcpStream>,
    line: Arc<Line>,
}

impl Socket {
    pub(super) fn new(stream: TlsStream<TcpStream>, line: Arc<Line>) -> Self {
        Self { stream, line }
    }
}

impl Spoil {
    fn poll_write(
        &mut self,
        mut stream: Pin<&mut TlsStream<TcpStream>>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Nothing => stream.poll_write(context, bytes),
            Self::Cut(0) => poll_end(stream, context),
            Self::Cut(left) | Self::Corrupt(left @ 1..) => {
                let allowed = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                let written = ready!(stream.poll_write(context, &bytes[..allowed]))?;
                *left -= written as u64;
                Poll::Ready(Ok(written))
            }
            Self::Corrupt(0) => {
                let turned: Vec<u8> = bytes.iter().take(1).map(|byte| byte ^ 1).collect();
                let written = ready!(stream.poll_write(context, &turned))?;
                *self = Self::Nothing;
                Poll::Ready(Ok(written))
            }
            Self::Trickle { piece, every, wait } => {
                ready!(wait.get_or_insert_with(|| Box::pin(sleep(*every))).as_mut().poll(context));
                let written = ready!(stream.poll_write(context, &bytes[..bytes.len().min(*piece)]))?;
                *wait = None;
                Poll::Ready(Ok(written))
            }
            Self::Double(doubled) => {
                let both = || Doubled { left: [bytes, bytes].concat().into(), once_bytes: bytes.len() };
                let Doubled { left, once_bytes } = doubled.get_or_insert_with(both);
                ready!(poll_write_all(stream, context, left))?;
                let once_bytes = *once_bytes;
                *doubled = None;
                Poll::Ready(Ok(once_bytes))
            }
            Self::Replace(left) => {
                ready!(poll_write_all(stream.as_mut(), context, left))?;
                poll_end(stream, context)
            }
        }
    }
}

fn poll_write_all(
    mut stream: Pin<&mut TlsStream<TcpStream>>,
    context: &mut Context<'_>,
    left: &mut Bytes,
) -> Poll<io::Result<()>> {
    while !left.is_empty() {
        let written = ready!(stream.as_mut().poll_write(context, left))?;
        drop(left.split_to(written));
    }
    Poll::Ready(Ok(()))
}

/// No more is written: what was is on its way when this is ready.
fn poll_end<T>(mut stream: Pin<&mut TlsStream<TcpStream>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
    ready!(stream.as_mut().poll_flush(context))?;
    Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !self.line.is_spoilt.load(Ordering::Acquire) {
            return Pin::new(&mut self.stream).poll_write(context, bytes);
        }
        let line = Arc::clone(&self.line);
        let written = lock(&line.spoil).poll_write(Pin::new(&mut self.stream), context, bytes);
        if matches!(written, Poll::Ready(Err(_))) && !line.is_reset.load(Ordering::Acquire) {
            // The goodbye of TLS and TCP: an error of it is the same end.
            drop(ready!(Pin::new(&mut self.stream).poll_shutdown(context)));
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.line.is_reset.load(Ordering::Acquire) {
            // A reset says no goodbye, not even TLS's.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.line.is_reset.load(Ordering::Acquire) {
            // A socket that refuses the option ends in an orderly way: the client still sees a cut answer.
            drop(self.stream.get_ref().0.set_zero_linger());
        }
    }
}
