//! A spool whose payloads are all alike.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::sync::Arc;

use crate::domain::envelope::{Envelope, Status};
use crate::domain::ids::{DeliveryId, MailboxId, MessageId};
use crate::ports::spool::{Intake, Opened, Payload, PayloadSource, Spool, SpoolError};
use crate::ports::store::{Delivery, Lease};

/// A spool in which some payloads do not open.
#[derive(Default)]
pub(in crate::work::tests) struct FakeSpool {
    pub(in crate::work::tests) unreadable: BTreeSet<DeliveryId>,
}

struct Bytes;

impl PayloadSource for Bytes {
    fn reader(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(io::Cursor::new(b"synthetic")))
    }
}

impl Spool for FakeSpool {
    fn open(&self, lease: &Lease) -> Result<Opened, SpoolError> {
        if self.unreadable.contains(&lease.delivery.id) {
            return Err(SpoolError::Unreadable("no identity fits".into()));
        }
        let Delivery { mailbox, message_id, kind, workflow, from, length, .. } = lease.delivery.clone();
        let envelope = Envelope {
            mailbox,
            message_id,
            kind,
            workflow,
            from,
            to: None,
            subject: None,
            local_id: None,
            file_name: None,
            partner_id: None,
            checksum: None,
            content_type: None,
            content_encrypted: false,
            content_compressed: None,
            status: Status::default(),
            linked_message_id: None,
            chunks: 1,
        };
        Ok(Opened { envelope, payload: Payload::new(length, Arc::new(Bytes)) })
    }

    fn intake(&self, _: &Envelope) -> Result<Box<dyn Intake>, SpoolError> {
        Err(SpoolError::Unreadable("not part of this fake".into()))
    }
    fn intake_as_served(&self, envelope: &Envelope) -> Result<Box<dyn Intake>, SpoolError> {
        self.intake(envelope)
    }
    fn forget(&self, _: &MailboxId, _: &MessageId) -> Result<(), SpoolError> {
        Err(SpoolError::Unreadable("not part of this fake".into()))
    }
}
