//! Downloading a message of ours: every chunk, decoded, its digest compared; nothing is kept of it.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;
use futures_util::StreamExt as _;

use super::scene::{Posted, Short};
use crate::adapters::mesh;
use crate::domain::digest::Hasher;
use crate::domain::fault::Fault;
use crate::ports::inbox::{Chunk, Encoding, Inbox as _};
use crate::ports::trial::{Own, Trial};

/// A message that came as it was sent.
pub(super) struct Collected {
    /// It is ours.
    pub(super) own: Own,
    /// In how many chunks it came.
    pub(super) chunks: u32,
    /// How many of them came as gzip.
    pub(super) as_gzip: u32,
}

/// Downloads it. One that does not have our local id is not read beyond its headers.
pub(super) async fn download(mailbox: &mesh::Mailbox, trial: &Trial, posted: &Posted) -> Result<Collected, Short> {
    let mut sink = Digested { hasher: Hasher::new(), length: 0, limit: posted.length };
    let fetched = |number, fault: Fault| Short::Failed(format!("the download of chunk {number}: {fault}"));
    let mut chunk = mailbox.fetch(&posted.id, 1).await.map_err(|fault| fetched(1, fault))?;
    let Some(own) = trial.recognise(posted.number, &chunk.envelope) else {
        return Err(Short::Failed("what was served under its id does not have its local id: it is left alone".into()));
    };
    let (total, mut number, mut as_gzip) = (chunk.total, 1, 0);
    loop {
        if (chunk.number, chunk.total) != (number, total) {
            let (is, of) = (chunk.number, chunk.total);
            return Err(Short::Failed(format!("asked for chunk {number} of {total}, got {is} of {of}")));
        }
        as_gzip += u32::from(chunk.encoding == Encoding::Gzip);
        read(chunk, &mut sink)
            .await
            .map_err(|problem| Short::Failed(format!("the body of chunk {number}: {problem}")))?;
        if number >= total {
            break;
        }
        number += 1;
        chunk = mailbox.fetch(&posted.id, number).await.map_err(|fault| fetched(number, fault))?;
    }
    let (length, digest) = (sink.length, sink.hasher.clear());
    if (length, &digest) != (posted.length, &posted.sha256) {
        let Posted { length: sent, sha256, .. } = posted;
        return Err(Short::Failed(format!(
            "{length} bytes with SHA-256 {digest} were downloaded, {sent} with {sha256} were sent"
        )));
    }
    Ok(Collected { own, chunks: total, as_gzip })
}

/// Why a body did not read.
#[derive(Debug, thiserror::Error)]
enum Unread {
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error("it does not decode: {0}")]
    Decoding(#[from] io::Error),
}

async fn read(mut chunk: Chunk, sink: &mut Digested) -> Result<(), Unread> {
    match chunk.encoding {
        Encoding::Plain => {
            while let Some(piece) = chunk.body.next().await {
                sink.write_all(&piece?)?;
            }
        }
        Encoding::Gzip => {
            let mut decoder = MultiGzDecoder::new(sink);
            while let Some(piece) = chunk.body.next().await {
                decoder.write_all(&piece?)?;
            }
            decoder.try_finish()?;
        }
    }
    Ok(())
}

/// Counts and digests, and takes no more than there should be (mesh-api 8: a bound against bombs).
struct Digested {
    hasher: Hasher,
    length: u64,
    limit: u64,
}

impl Write for Digested {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.length += bytes.len() as u64;
        if self.length > self.limit {
            return Err(io::Error::other("more comes than was sent"));
        }
        self.hasher.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
