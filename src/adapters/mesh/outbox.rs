//! Sending (mesh-api 6.6) and tracking (6.7).
//!
//! A send is the one call that must not be repeated blindly. What is known after it fails:
//!
//! | What came back | MESH has it |
//! |---|---|
//! | no connection, 401, 403, 407, 425, 429 | certainly not: another try may succeed |
//! | any other 4xx | certainly not, and never will |
//! | 5xx, a time-out, a connection that broke, an answer that does not read | perhaps |
//!
//! An upload has no limit of time as long as MESH takes bytes; one that stands still for [`Limits::answer`] is given up.
//!
//! [`Limits::answer`]: super::client::Limits::answer

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use http::{HeaderMap, Method, StatusCode};
use tokio::time::{Instant, sleep};

use super::body;
use super::client::{Mailbox, Request};
use super::status::Call;
use super::transport;
use super::wire;
use crate::domain::envelope::Envelope;
use crate::domain::fault::{Class, Fault, FaultCode, Origin};
use crate::domain::ids::{MailboxId, MessageId};
use crate::ports::inbox::{Answer, Inbox};
use crate::ports::outbox::{Found, Outbox, Piece, Taken, Tracked, Unsent};

/// How often an upload is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Outbox for Mailbox {
    fn mailbox(&self) -> &MailboxId {
        Inbox::mailbox(self)
    }

    fn send<'a>(&'a self, envelope: &'a Envelope, piece: Piece) -> BoxFuture<'a, Result<MessageId, Unsent>> {
        Box::pin(async move {
            let headers = wire::of_message(envelope, &piece).map_err(|why| Unsent::Refused(self.our_fault(why)))?;
            let path = format!("{}/outbox", self.path());
            let response = self.upload(Call::Send, path, headers, piece).await?;
            let status = response.status();
            match self.settle(Call::Send, response).await {
                Ok(response) => {
                    let body = body::whole(response, wire::LARGEST_ANSWER).await.unwrap_or_default();
                    wire::sent(&body).ok_or_else(|| {
                        Unsent::Unknown(self.of_mesh(FaultCode::MeshProtocol, "send: the answer has no message id"))
                    })
                }
                Err(fault) => Err(match status.as_u16() {
                    401 | 403 | 407 | 425 | 429 => Unsent::NotTaken(fault),
                    408 => Unsent::Unknown(fault),
                    400..=499 => Unsent::Refused(fault),
                    _ => Unsent::Unknown(fault),
                }),
            }
        })
    }

    fn send_chunk<'a>(&'a self, message: &'a MessageId, piece: Piece) -> Answer<'a, Taken> {
        Box::pin(async move {
            let headers = wire::of_chunk(&piece).map_err(|why| self.our_fault(why))?;
            let path = format!("{}/outbox/{}/{}", self.path(), wire::part(message.as_str()), piece.number);
            let sent = self.upload(Call::SendChunk, path, headers, piece).await;
            let response = sent.map_err(|unsent| match unsent {
                Unsent::NotTaken(fault) | Unsent::Refused(fault) | Unsent::Unknown(fault) => fault,
                Unsent::Unreadable(why) => Fault::local(FaultCode::SpoolUnreadable, "spool", why),
            })?;
            if response.status() == StatusCode::LOCKED {
                return Ok(Taken::WasWhole);
            }
            self.settle(Call::SendChunk, response).await.map(|_| Taken::Stored)
        })
    }

    fn track<'a>(&'a self, message: &'a MessageId) -> Answer<'a, Option<Tracked>> {
        Box::pin(async move {
            let path = format!("{}/outbox/tracking?messageID={}", self.path(), wire::part(message.as_str()));
            match self.ask_of(path).await? {
                Found::One(tracked) => Ok(Some(tracked)),
                Found::None => Ok(None),
                Found::Several => Err(self.of_mesh(FaultCode::MeshProtocol, "track: several messages of one id")),
            }
        })
    }

    fn find<'a>(&'a self, local_id: &'a str) -> Answer<'a, Found> {
        Box::pin(self.ask_of(format!("{}/outbox/tracking/{}", self.path(), wire::part(local_id))))
    }
}

impl Mailbox {
    fn path(&self) -> String {
        format!("/messageexchange/{}", wire::part(Inbox::mailbox(self).as_str()))
    }

    async fn ask_of(&self, path: String) -> Result<Found, Fault> {
        let response = self.call(&self.request(Call::Track, Method::GET, path)).await?;
        let status = response.status();
        let body = body::whole(response, wire::LARGEST_ANSWER).await.unwrap_or_default();
        wire::found(status, &body).ok_or_else(|| {
            self.of_mesh(FaultCode::MeshProtocol, "track: the answer is not what mesh-api 6.7 describes")
        })
    }

    /// Puts a piece to MESH, once.
    async fn upload(
        &self,
        call: Call,
        path: String,
        headers: HeaderMap,
        piece: Piece,
    ) -> Result<reqwest::Response, Unsent> {
        let (watch, body) = Watch::over(piece.body);
        let request = Request { call, method: Method::POST, path, headers };
        let built = self.build(&request).await.map_err(Unsent::NotTaken)?;
        let began = self.now();
        let mut sending = std::pin::pin!(built.body(reqwest::Body::wrap_stream(body)).send());
        let answered = loop {
            tokio::select! {
                answered = &mut sending => break answered,
                () = sleep(LOOK_EVERY) => {}
            }
            let limit = self.limits().answer;
            if watch.idle() >= limit {
                self.tell(&request, began, None);
                let limit = format!("{} s", limit.as_secs());
                return Err(Unsent::Unknown(transport::too_slow(call, self.dependency(), &limit)));
            }
        };
        self.tell(&request, began, answered.as_ref().ok());
        answered.map_err(|error| {
            if let Some(why) = watch.broke() {
                return Unsent::Unreadable(why);
            }
            let fault = transport::fault(call, &error, self.dependency());
            if error.is_connect() { Unsent::NotTaken(fault) } else { Unsent::Unknown(fault) }
        })
    }

    fn of_mesh(&self, code: FaultCode, detail: &str) -> Fault {
        Fault::dependency(code, self.dependency().clone(), detail)
    }

    fn our_fault(&self, detail: &str) -> Fault {
        Fault::new(FaultCode::SendRefused, Class::Permanent, Origin::Message, detail)
    }
}

/// What is seen of a body on its way.
#[derive(Clone)]
struct Watch(Arc<Mutex<Seen>>);

struct Seen {
    /// When MESH last asked for bytes of it.
    at: Instant,
    /// Why it ended early on our side.
    broke: Option<String>,
}

impl Watch {
    fn over(body: BoxStream<'static, io::Result<Bytes>>) -> (Self, BoxStream<'static, io::Result<Bytes>>) {
        let watch = Self(Arc::new(Mutex::new(Seen { at: Instant::now(), broke: None })));
        let seen = watch.clone();
        let body = body.inspect(move |piece| {
            let mut seen = seen.0.lock().unwrap_or_else(PoisonError::into_inner);
            seen.at = Instant::now();
            if let Err(error) = piece {
                seen.broke = Some(error.to_string());
            }
        });
        (watch, body.boxed())
    }

    fn idle(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).at.elapsed()
    }

    fn broke(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).broke.take()
    }
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
