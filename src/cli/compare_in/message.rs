//! One message as it lies in a folder: what is needed to find the same in the other.

use std::ffi::{OsStr, OsString};

use aws_lc_rs::digest;

use super::elements::Said;
use super::folder::{Half, Halves};
use super::steady::{Steady, Unread};
use crate::domain::ids::MessageId;
use crate::domain::time::Timestamp;
use crate::send::control;

/// Why a message is not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    NoControl,
    NoData,
    Control(&'static str),
    Unread(Unread),
}

/// Data, or a report: its event, success and code tell it from others about the same message (mesh-client-files 8.2).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Data,
    Report { event: String, success: String, code: String },
}

/// A message in one folder.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) base: OsString,
    pub(super) data: Option<Half>,
    pub(super) control: Option<Half>,
    /// MESH's; of a report that of the message reported on. Without a control file, what the name says.
    pub(super) id: Option<MessageId>,
    pub(super) kind: Kind,
    /// SHA-256 over what is the same in two mailboxes: sender, workflow, local id, subject.
    pub(super) label: [u8; 32],
    pub(super) length: u64,
    /// When the later of its files was written.
    pub(super) modified: Timestamp,
    pub(super) flaw: Option<Flaw>,
}

impl Message {
    /// Looks at the files of one name. The control file is read, the data file only measured.
    pub(super) fn of(base: OsString, halves: Halves) -> Self {
        let Halves { data, control } = halves;
        let mut message = Self {
            id: base.to_str().and_then(|name| MessageId::new(name).ok()),
            base,
            data,
            control,
            kind: Kind::Data,
            label: [0; 32],
            length: 0,
            modified: Timestamp(i64::MIN),
            flaw: None,
        };
        message.flaw = message.look().err();
        message
    }

    fn look(&mut self) -> Result<(), Flaw> {
        if let Some(data) = &self.data {
            let data = Steady::open(data).map_err(Flaw::Unread)?;
            self.modified = Timestamp(data.modified);
            self.length = data.length;
        }
        let control = Steady::open(self.control.as_ref().ok_or(Flaw::NoControl)?).map_err(Flaw::Unread)?;
        self.modified = self.modified.max(Timestamp(control.modified));
        let said = read(control)?;
        // One that MESH gave no id is a report of a client about a pair that it could not send.
        self.id = MessageId::new(said.of("DTSId")).ok();
        self.label = label(&said);
        if said.is_report() {
            let of = |name| said.meaning(name);
            let (event, success) = (of("StatusRecord/Event"), of("StatusRecord/Status"));
            self.kind = Kind::Report { event, success, code: of("StatusRecord/StatusCode") };
            return Ok(());
        }
        if self.data.is_none() { Err(Flaw::NoData) } else { Ok(()) }
    }

    /// What its control file says, read again.
    pub(super) fn said(&self) -> Result<Said, Flaw> {
        read(Steady::open(self.control.as_ref().ok_or(Flaw::NoControl)?).map_err(Flaw::Unread)?)
    }

    /// The names of its files without their extensions are MESH's id (mesh-client-files 3.2).
    pub(super) fn is_named_by_id(&self) -> bool {
        self.id.as_ref().is_some_and(|id| *OsStr::new(id.as_str()) == *self.base)
    }

    pub(super) fn is_data(&self) -> bool {
        self.kind == Kind::Data
    }

    /// Its id is known from its control file: MESH gave it.
    pub(super) fn has_told_its_id(&self) -> bool {
        match self.flaw {
            None | Some(Flaw::NoData) => self.id.is_some(),
            Some(Flaw::NoControl | Flaw::Control(_) | Flaw::Unread(_)) => false,
        }
    }

    /// Both names as they stand there, capitals and all.
    pub(super) fn names(&self) -> [Option<&OsStr>; 2] {
        [&self.data, &self.control].map(|half| half.as_ref().and_then(|half| half.path.file_name()))
    }

    /// The inode of its control file, or of its data file if there is no other.
    pub(super) fn inode(&self) -> Option<u64> {
        self.control.as_ref().or(self.data.as_ref()).map(|half| half.inode)
    }

    /// A client made it about what it did itself (mesh-client-files 8.1).
    pub(super) fn is_own_report(&self) -> bool {
        match &self.kind {
            Kind::Report { event, .. } => ["collect", "transfer", "receive"].contains(&event.as_str()),
            Kind::Data => false,
        }
    }
}

fn read(control: Steady) -> Result<Said, Flaw> {
    let bytes = control.read_up_to(control::LONGEST).map_err(Flaw::Unread)?;
    Said::read(&bytes).map_err(Flaw::Control)
}

fn label(said: &Said) -> [u8; 32] {
    // A report is to whom the message was from: in two mailboxes that is not the same.
    let from = if said.is_report() { "" } else { said.of("From_DTS") };
    let mut context = digest::Context::new(&digest::SHA256);
    for part in [from, said.of("WorkflowId"), said.of("LocalId"), said.of("Subject")] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    let mut sum = [0; 32];
    sum.copy_from_slice(context.finish().as_ref());
    sum
}
