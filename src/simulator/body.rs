//! A response body: nothing, bytes, or a pattern made while it is sent; whole, or spoilt on the way.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time::Sleep;

use super::payload::Pattern;

/// What is sent.
#[derive(Debug)]
pub(super) enum Content {
    Whole(Bytes),
    /// The bytes of a pattern from `at` to `end`.
    Generated {
        pattern: Pattern,
        at: u64,
        end: u64,
    },
}

impl Content {
    pub(super) fn length(&self) -> u64 {
        match self {
            Self::Whole(bytes) => bytes.len() as u64,
            Self::Generated { at, end, .. } => end - at,
        }
    }

    /// Takes off the next piece, of at most `limit` bytes.
    fn take(&mut self, limit: u64) -> Bytes {
        match self {
            Self::Whole(bytes) => bytes.split_to(usize::try_from(limit).map_or(bytes.len(), |n| n.min(bytes.len()))),
            Self::Generated { pattern, at, end } => {
                let piece = pattern.piece(*at, limit.min(*end - *at));
                *at += piece.len() as u64;
                piece
            }
        }
    }
}

/// What goes wrong while it is sent.
#[derive(Debug, Clone, Copy)]
pub(super) enum Spoil {
    Nothing,
    Cut { after: u64 },
    Stall { after: u64, lasting: Duration },
    Drip { piece: u64, every: Duration },
}

/// Time for what was sent before a cut to leave the machine; a reset would overtake it.
const BEFORE_CUT: Duration = Duration::from_millis(20);

/// The connection is to end here.
#[derive(Debug, thiserror::Error)]
#[error("cut by a scripted fault")]
pub(super) struct CutHere;

pub(super) struct Body {
    content: Content,
    spoil: Spoil,
    sent: u64,
    wait: Option<Pin<Box<Sleep>>>,
    /// The header lies: let the connection find out.
    has_false_length: bool,
}

impl Body {
    pub(super) fn new(content: Content) -> Self {
        Self { content, spoil: Spoil::Nothing, sent: 0, wait: None, has_false_length: false }
    }

    pub(super) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::new(Content::Whole(bytes.into()))
    }

    pub(super) fn length(&self) -> u64 {
        self.content.length()
    }

    pub(super) fn spoilt(mut self, spoil: Spoil) -> Self {
        self.spoil = spoil;
        self
    }

    pub(super) fn with_false_length(mut self) -> Self {
        self.has_false_length = true;
        self
    }

    /// Sleeps once, when `is_due`.
    fn pause(&mut self, is_due: bool, lasting: Duration, context: &mut Context<'_>) -> Poll<()> {
        if is_due && self.wait.is_none() {
            self.wait = Some(Box::pin(tokio::time::sleep(lasting)));
        }
        match &mut self.wait {
            Some(wait) => wait.as_mut().poll(context),
            None => Poll::Ready(()),
        }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = CutHere;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CutHere>>> {
        let this = &mut *self;
        let limit = match this.spoil {
            Spoil::Nothing => u64::MAX,
            Spoil::Cut { after } => {
                let is_due = this.sent >= after;
                ready!(this.pause(is_due, BEFORE_CUT, context));
                if is_due {
                    return Poll::Ready(Some(Err(CutHere)));
                }
                after - this.sent
            }
            Spoil::Stall { after, lasting } => {
                let is_due = this.sent >= after;
                ready!(this.pause(is_due, lasting, context));
                if is_due { u64::MAX } else { after - this.sent }
            }
            Spoil::Drip { piece, every } => {
                ready!(this.pause(true, every, context));
                this.wait = None;
                piece.max(1)
            }
        };
        let piece = this.content.take(limit);
        if piece.is_empty() {
            return Poll::Ready(None);
        }
        this.sent += piece.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        // A spoilt body is asked even when it is empty, so that it can cut or wait.
        self.content.length() == 0 && matches!(self.spoil, Spoil::Nothing)
    }

    fn size_hint(&self) -> SizeHint {
        if self.has_false_length { SizeHint::default() } else { SizeHint::with_exact(self.content.length()) }
    }
}
