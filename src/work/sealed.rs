//! A leased message that is opened at most once, and only if something asks.

use std::cell::OnceCell;

use crate::domain::fault::{Class, Fault, FaultCode, Origin};
use crate::pipeline::Letter;
use crate::ports::spool::{Opened, Spool, SpoolError};
use crate::ports::store::{Halt, Lease};

/// What the spool keeps of a leased message.
pub(super) struct Sealed<'a> {
    spool: &'a dyn Spool,
    lease: &'a Lease,
    opened: OnceCell<Result<Opened, SpoolError>>,
}

impl<'a> Sealed<'a> {
    pub(super) fn new(spool: &'a dyn Spool, lease: &'a Lease) -> Self {
        Self { spool, lease, opened: OnceCell::new() }
    }

    /// What was opened, if it was. A storage failure met on the way is final.
    pub(super) fn end(self) -> Result<Option<Opened>, Halt> {
        match self.opened.into_inner() {
            Some(Ok(opened)) => Ok(Some(opened)),
            Some(Err(SpoolError::Failed(halt))) => Err(halt),
            Some(Err(SpoolError::NoRoom(_) | SpoolError::Unreadable(_))) | None => Ok(None),
        }
    }
}

/// A message that must not be opened any more: opening it may be what killed the daemon.
pub(super) struct Closed;

impl Letter for Closed {
    fn opened(&self) -> Result<&Opened, Fault> {
        let detail = "it is not opened again";
        Err(Fault::new(FaultCode::MsgPoison, Class::Poison, Origin::Message, detail))
    }
}

impl Letter for Sealed<'_> {
    fn opened(&self) -> Result<&Opened, Fault> {
        self.opened.get_or_init(|| self.spool.open(self.lease)).as_ref().map_err(|error| match error {
            SpoolError::Failed(halt) => Fault::local(FaultCode::StoreFailed, "spool", halt.to_string()),
            SpoolError::NoRoom(error) => Fault::local(FaultCode::StoreFailed, "spool", error.to_string()),
            // The message is as it was: our disk or our identity is not. It waits for a person (I5).
            SpoolError::Unreadable(why) => {
                Fault::new(FaultCode::SpoolUnreadable, Class::Permanent, Origin::Local("spool"), why)
            }
        })
    }
}
