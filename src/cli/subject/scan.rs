//! A look into every payload that is kept, one after the other, in the memory of a piece.

use std::io::{self, Read};
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

use super::super::readable::readable;
use super::super::spool::{configured, disk};
use super::super::{Context, Failure};
use crate::domain::ids::{MailboxId, MessageId};
use crate::domain::nhs_number::NhsNumber;
use crate::domain::patients::Scan;
use crate::ports::spool::Opened;
use crate::ports::store::{Class, Kept, Location};
use crate::store::spool::Reader;
use crate::store::spool::inspect::{self, Item};

/// Progress is told after so many messages.
const TELL_EVERY: u64 = 1_000;

/// Read at once, bytes.
const PIECE: usize = 64 * 1024;

/// A payload that names one of them.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Hit {
    /// Its mailbox.
    pub(super) mailbox: MailboxId,
    /// Its message.
    pub(super) message: MessageId,
    /// Where it is.
    pub(super) location: Location,
}

impl Hit {
    /// Whether this delivery has that payload.
    pub(super) fn is_of(&self, kept: &Kept) -> bool {
        self.may_have_been_of(kept) && kept.delivery.location == self.location
    }

    /// Whether this delivery has a payload of that message.
    pub(super) fn may_have_been_of(&self, kept: &Kept) -> bool {
        let delivery = &kept.delivery;
        kept.class != Class::Replayed && (&delivery.mailbox, &delivery.message_id) == (&self.mailbox, &self.message)
    }
}

/// The payloads in the spool that name one of these people. What does not read is told, and passed over.
pub(super) fn scan(context: &mut Context, directory: &Path, numbers: &[NhsNumber]) -> Result<Vec<Hit>, Failure> {
    readable(directory)?;
    let (disk, reader) = (disk(), Reader::new(disk(), directory, configured(context)?));
    let (mut hits, mut looked, mut arriving, mut unread) = (Vec::new(), 0, 0, 0);
    inspect::list(&disk, directory, |item| {
        match item {
            Item::Message { mailbox, message_id: message, location, .. } => {
                let opened = reader.open(&mailbox, &message, &location).map_err(io::Error::other);
                match opened.and_then(|opened| names_one(&opened, numbers)) {
                    Ok(true) => hits.push(Hit { mailbox, message, location }),
                    Ok(false) => {}
                    Err(error) => {
                        context.out.note(format_args!("{message} of {mailbox} does not read: {error}"));
                        unread += 1;
                    }
                }
                looked += 1;
                if looked % TELL_EVERY == 0 {
                    context.out.note(format_args!("looked into {looked} payloads"));
                }
            }
            Item::Arriving { .. } => arriving += 1,
            Item::Tail { .. } => {}
        }
        Ok(())
    })
    .with_context(|| format!("list the spool in {}", directory.display()))?;
    context.out.note(format_args!(
        "looked into {looked} payloads; {unread} of them did not read, and {arriving} more are on their way in"
    ));
    Ok(hits)
}

fn names_one(opened: &Opened, numbers: &[NhsNumber]) -> io::Result<bool> {
    let mut scan = Scan::for_these(numbers.iter().cloned());
    let envelope = &opened.envelope;
    for header in [&envelope.to, &envelope.subject, &envelope.local_id, &envelope.file_name].into_iter().flatten() {
        scan.look_at(header.reveal().as_bytes());
        scan.break_off();
    }
    let mut reader = opened.payload.reader()?;
    let mut piece = vec![0; PIECE];
    loop {
        match reader.read(&mut piece) {
            Ok(0) => return Ok(!scan.end().is_none()),
            Ok(length) => scan.look_at(&piece[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
