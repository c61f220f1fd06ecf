//! Outputs that send a message on: its payload is sealed a second time, as what is to be sent.
//!
//! The record that keeps what is to be sent also publishes the output that it is sent for. So a crash leaves both or
//! neither, and what is sent on is sent once (I2), whatever becomes of the other outputs.

use std::io;

use super::WorkError;
use super::round::Round;
use super::worker::{Desk, blocking, guarded, panicked};
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::{Name, Sensitive};
use crate::domain::onward::{KeptHeader, MeshPlan, Onward};
use crate::domain::output::{Progress, Publication, Transform};
use crate::ports::operations::{Letter, Origin, Posting, Upload};
use crate::ports::spool::{Opened, Payload, unreadable};
use crate::ports::store::{Halt, NotBroughtIn};

/// Read and handed on at a time.
const SLICE: usize = 128 * 1024;

impl Desk {
    /// Sends on what is to be sent on and was noted so: one after the other, as each may be large.
    pub(super) async fn send_on(&self, rounds: &mut [Round]) -> Result<(), WorkError> {
        for round in rounds.iter_mut().filter(|round| round.is_to_send_on()) {
            let Some(opened) = round.opened.take() else { continue };
            let delivery = &round.lease.delivery;
            for slot in &mut round.slots {
                let Some(plan) = slot.mesh_to_send() else { continue };
                let onward = Onward { delivery: delivery.id, output: plan.name.clone() };
                match self.post_on(plan, onward, &opened).await? {
                    Ok(publication) => {
                        let (mailbox, message_id, output) = (&delivery.mailbox, &delivery.message_id, &plan.name);
                        tracing::info!(delivery = %delivery.id, %mailbox, %message_id, %output, to = %plan.to, "sent on");
                        slot.state.progress = Progress::Published(publication);
                    }
                    Err(fault) => slot.trouble = Some(fault),
                }
            }
        }
        Ok(())
    }

    async fn post_on(
        &self,
        plan: &MeshPlan,
        onward: Onward,
        opened: &Opened,
    ) -> Result<Result<Publication, Fault>, WorkError> {
        let posting = Posting { letter: letter(plan, opened), length: opened.payload.length(), by: self.by };
        let upload = match self.post.post(posting).await? {
            Ok(upload) => upload,
            Err(why) => return Ok(Err(fault(&plan.name, why))),
        };
        let payload = opened.payload.clone();
        let filled = blocking(move || guarded(|| fill(&payload, upload))).await?;
        let Some(filled) = filled else { return Ok(Err(panicked("sending on"))) };
        let upload = match filled? {
            Ok(upload) => upload,
            Err(Unfilled::NotKept(why)) => return Ok(Err(fault(&plan.name, why))),
            Err(Unfilled::Unread(error)) => return Ok(Err(unreadable(&error))),
        };
        let kept = upload.keep(Origin::Onward(onward)).await?;
        Ok(kept.map(Publication::Queued).map_err(|why| fault(&plan.name, why)))
    }
}

/// Why a payload was not handed on.
enum Unfilled {
    Unread(io::Error),
    NotKept(NotBroughtIn),
}

/// Hands a payload on. Blocks.
fn fill(payload: &Payload, mut upload: Box<dyn Upload>) -> Result<Result<Box<dyn Upload>, Unfilled>, Halt> {
    let mut reader = match payload.reader() {
        Ok(reader) => reader,
        Err(error) => return Ok(Err(Unfilled::Unread(error))),
    };
    let mut slice = vec![0; SLICE];
    loop {
        let count = match reader.read(&mut slice) {
            Ok(0) => return Ok(Ok(upload)),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Ok(Err(Unfilled::Unread(error))),
        };
        if let Err(why) = upload.write(&slice[..count])? {
            return Ok(Err(Unfilled::NotKept(why)));
        }
    }
}

/// What is sent on says of itself what its plan does, and what is kept of what came.
fn letter(plan: &MeshPlan, opened: &Opened) -> Letter {
    let came = &opened.envelope;
    let kept = |header| plan.keep.contains(&header);
    let is_decrypted = plan.payload.iter().any(|change| matches!(change, Transform::Decrypt { .. }));
    Letter {
        mailbox: plan.from.clone(),
        to: Sensitive::new(plan.to.as_str()),
        workflow: plan.workflow.clone(),
        subject: plan
            .subject
            .as_ref()
            .map(Sensitive::new)
            .or_else(|| came.subject.clone().filter(|_| kept(KeptHeader::Subject))),
        local_id: came.local_id.clone().filter(|_| kept(KeptHeader::LocalId)),
        file_name: came.file_name.clone().filter(|_| kept(KeptHeader::FileName)),
        partner_id: came.partner_id.clone().filter(|_| kept(KeptHeader::PartnerId)),
        checksum: None,
        content_type: came.content_type.clone().filter(|_| kept(KeptHeader::ContentType)),
        encrypted: came.content_encrypted && !is_decrypted,
        compress: None,
    }
}

/// Bad mail, if MESH would refuse it; else something that passes, such as that much waits to go out.
fn fault(output: &Name, why: NotBroughtIn) -> Fault {
    match why {
        NotBroughtIn::Unsendable(_) => {
            Fault::message(FaultCode::SendUnsendable, format!("output {output}: {why}"))
        }
        NotBroughtIn::TooMuchWaits(_)
        | NotBroughtIn::NoRoom
        | NotBroughtIn::Busy
        | NotBroughtIn::NoMailbox(_)
        | NotBroughtIn::Failed(_)
        // Of payloads that an operator brings in.
        | NotBroughtIn::NotAllowed(_)
        | NotBroughtIn::Report
        | NotBroughtIn::Here(_) => Fault::dependency(FaultCode::SendBacklog, output.clone(), why.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};
    use std::sync::Arc;

    use super::*;
    use crate::domain::envelope::Envelope;
    use crate::domain::ids::{MailboxId, MessageId, WorkflowId};
    use crate::domain::secret::SecretRef;
    use crate::ports::spool::PayloadSource;

    struct Empty;

    impl PayloadSource for Empty {
        fn reader(&self) -> io::Result<Box<dyn Read + Send>> {
            Ok(Box::new(Cursor::new([])))
        }
    }

    #[test]
    fn it_has_of_the_headers_what_its_output_keeps_and_is_encrypted_as_long_as_nobody_opened_it() {
        let mailbox = |id| MailboxId::new(id).expect("a mailbox id");
        let workflow = |id| WorkflowId::new(id).expect("a workflow id");
        let text = |text: &str| Some(Sensitive::new(text));
        let came = Envelope {
            subject: text("a subject"),
            local_id: text("a local id"),
            file_name: text("a name"),
            partner_id: text("a partner"),
            checksum: text("a checksum"),
            content_type: Some("text/xml".into()),
            content_encrypted: true,
            ..Envelope::going_out(mailbox("X26ABC1"), MessageId::new("M1").expect("an id"), workflow("TOC"))
        };
        let opened = Opened { envelope: came, payload: Payload::new(0, Arc::new(Empty)) };
        let plan = MeshPlan {
            name: Name::new("onward").expect("a name"),
            from: mailbox("X26ABC1"),
            to: mailbox("X26ABC2"),
            workflow: workflow("TOC_ACK"),
            subject: Some("of the file".into()),
            keep: Vec::new(),
            payload: Vec::new(),
        };
        let bare = letter(&plan, &opened);
        let said = |letter: &Letter| {
            [&letter.subject, &letter.local_id, &letter.file_name, &letter.partner_id, &letter.checksum]
                .map(|text| text.as_ref().map(|text| text.reveal().to_owned()))
        };
        assert_eq!(said(&bare), [Some("of the file".to_owned()), None, None, None, None]);
        assert_eq!((bare.content_type.as_deref(), bare.encrypted), (None, true));

        let decrypt = Transform::Decrypt { identity: SecretRef::Credential("key".into()), max_bytes: 10 };
        let keep = KeptHeader::ALL.into();
        let full = letter(&MeshPlan { subject: None, keep, payload: vec![decrypt], ..plan }, &opened);
        let kept = ["a subject", "a local id", "a name", "a partner"].map(|text| Some(text.to_owned()));
        assert_eq!(said(&full)[..4], kept);
        // It was of other bytes.
        assert_eq!(said(&full)[4], None);
        assert_eq!((full.content_type.as_deref(), full.encrypted), (Some("text/xml"), false));
    }
}
