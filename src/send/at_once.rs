//! A message that is sent without a store: whole, once, and forgotten. For mail that nobody would miss.

use super::pieces::Pieces;
use crate::domain::envelope::Envelope;
use crate::domain::ids::MessageId;
use crate::ports::inbox::Encoding;
use crate::ports::outbox::{Outbox, Unsent};
use crate::ports::spool::Payload;

/// Sends it in requests of at most `chunk` plain bytes, each made once. What fails after the first may leave a part of it
/// at MESH, which its recipient never sees (mesh-api 6.6).
pub async fn at_once(
    outbox: &dyn Outbox,
    envelope: &Envelope,
    payload: Payload,
    chunk: u64,
    encoding: Encoding,
) -> Result<MessageId, Unsent> {
    let mut pieces = Pieces::after(0, payload, chunk, encoding);
    let first = pieces.next().await.ok_or_else(|| Unsent::Unreadable("it has no first piece".into()))?;
    let id = outbox.send(envelope, first).await?;
    while let Some(piece) = pieces.next().await {
        outbox.send_chunk(&id, piece).await.map_err(Unsent::Unknown)?;
    }
    Ok(id)
}
