//! One TLS connection that a fault can end in ways HTTP cannot: reset, cut at any byte, other bytes than the answer's.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::lock;

/// What the requests of a connection ask of it.
#[derive(Debug)]
pub(super) struct Line {
    /// End with a reset instead of an orderly goodbye.
    is_reset: AtomicBool,
    /// Bytes that may still be written; `u64::MAX` is no limit.
    budget: AtomicU64,
    raw: Mutex<Option<Bytes>>,
    has_raw: AtomicBool,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            is_reset: AtomicBool::new(false),
            budget: AtomicU64::new(u64::MAX),
            raw: Mutex::new(None),
            has_raw: AtomicBool::new(false),
        }
    }
}

impl Line {
    /// Forgets a cut that the answer before was too short for.
    pub(super) fn renew(&self) {
        self.is_reset.store(false, Ordering::Release);
        self.budget.store(u64::MAX, Ordering::Release);
    }

    /// The connection's end is a reset.
    pub(super) fn reset(&self) {
        self.is_reset.store(true, Ordering::Release);
    }

    /// After so many more bytes the connection is reset.
    pub(super) fn cut_after(&self, bytes: u64) {
        self.reset();
        self.budget.store(bytes, Ordering::Release);
    }

    /// The next write is replaced by these bytes, and then the connection ends.
    pub(super) fn replace(&self, bytes: Bytes) {
        *lock(&self.raw) = Some(bytes);
        self.has_raw.store(true, Ordering::Release);
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

    fn poll_raw(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut raw = lock(&self.line.raw);
        while let Some(bytes) = raw.as_mut().filter(|bytes| !bytes.is_empty()) {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
            drop(bytes.split_to(written));
        }
        drop(raw);
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
        Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.line.has_raw.load(Ordering::Acquire) {
            return self.poll_raw(context);
        }
        let budget = self.line.budget.load(Ordering::Acquire);
        if budget == u64::MAX {
            return Pin::new(&mut self.stream).poll_write(context, bytes);
        }
        if budget == 0 {
            ready!(Pin::new(&mut self.stream).poll_flush(context))?;
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let allowed = usize::try_from(budget).map_or(bytes.len(), |budget| budget.min(bytes.len()));
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, &bytes[..allowed]))?;
        self.line.budget.fetch_sub(written as u64, Ordering::AcqRel);
        Poll::Ready(Ok(written))
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
