//! One message as a pipeline sees it: clear facts at once, what is sealed at the first rule that asks for it.
//!
//! Opening costs a decryption, so a message whose pipeline looks at clear facts alone is not opened for a decision.

use std::cell::OnceCell;

use super::content::declared::{Declared, declared};
use super::content::{self, Content};
use super::keyring::Keyring;
use super::matching::Facts;
use super::transform;
use crate::domain::envelope::{Envelope, MessageKind};
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::output::Transform;
use crate::domain::settlement::Reason;
use crate::ports::spool::{Opened, Payload};

/// What is sealed of one message.
pub trait Letter {
    /// Opens it; later calls answer with the same.
    fn opened(&self) -> Result<&Opened, Fault>;
}

/// One message on its way through the stages.
pub struct Message<'a> {
    facts: Facts<'a>,
    letter: &'a dyn Letter,
    transforms: Vec<Transform>,
    /// What the transforms made of the payload; none without any.
    transformed: Option<Payload>,
    /// What the payload is, as it is now.
    content: OnceCell<Option<Content>>,
    alarms: Vec<Reason>,
}

impl<'a> Message<'a> {
    /// A message that nothing was done to.
    pub fn new(facts: Facts<'a>, letter: &'a dyn Letter) -> Self {
        let (transforms, alarms) = (Vec::new(), Vec::new());
        Self { facts, letter, transforms, transformed: None, content: OnceCell::new(), alarms }
    }

    /// What is known without opening it.
    pub(super) fn facts(&self) -> &Facts<'a> {
        &self.facts
    }

    /// Its headers.
    pub(super) fn envelope(&self) -> Result<&'a Envelope, Fault> {
        Ok(&self.letter.opened()?.envelope)
    }

    /// Its payload as the stages so far have left it.
    pub fn payload(&self) -> Result<&Payload, Fault> {
        match &self.transformed {
            Some(payload) => Ok(payload),
            None => Ok(&self.letter.opened()?.payload),
        }
    }

    /// What its payload is, as the stages so far have left it; none if that is not known.
    pub(super) fn content(&self) -> Result<Option<&Content>, Fault> {
        if let Some(content) = self.content.get() {
            return Ok(content.as_ref());
        }
        let start = transform::start(self.payload()?, content::PREFIX)?;
        Ok(self.content.get_or_init(|| content::recognise(&start)).as_ref())
    }

    /// Why the message is not for a service with real patients, if it declares synthetic ones alone. One that declares
    /// others beside them goes on with an alarm, since it may be a batch that people wait for.
    pub fn synthetic(&mut self) -> Result<Option<Reason>, Fault> {
        // A report has no payload (mesh-api 7.3).
        if self.facts.kind == MessageKind::Report {
            return Ok(None);
        }
        let Declared { synthetic, other } = declared(&transform::start(self.payload()?, content::PREFIX)?);
        let reason = |detail| Reason::new(FaultCode::MsgSynthetic, detail);
        match (synthetic, other) {
            (0, _) => Ok(None),
            (_, 0) => Ok(Some(reason("every NHS number that it declares is of the synthetic range, 999"))),
            (_, _) => {
                self.raise(reason("it declares NHS numbers of the synthetic range, 999, beside others"));
                Ok(None)
            }
        }
    }

    /// Notes that a person should look, while the message goes on.
    pub(super) fn raise(&mut self, alarm: Reason) {
        self.alarms.push(alarm);
    }

    /// What a person should look at.
    pub fn alarms(&self) -> &[Reason] {
        &self.alarms
    }

    /// Changes the payload for all that follows.
    pub(super) fn transform(&mut self, transform: Transform, keys: &Keyring) -> Result<(), Fault> {
        self.transformed = Some(transform::apply(&transform, self.payload()?, keys)?);
        self.transforms.push(transform);
        self.content = OnceCell::new();
        Ok(())
    }

    /// Makes the payload ready as was decided, in this round or an earlier one: opened and changed.
    pub(super) fn follow(&mut self, decided: &[Transform], keys: &Keyring) -> Result<(), Fault> {
        if self.transforms != decided {
            (self.transforms, self.transformed, self.content) = (Vec::new(), None, OnceCell::new());
            for transform in decided {
                self.transform(transform.clone(), keys)?;
            }
        }
        self.payload().map(drop)
    }

    /// What was done to the payload.
    pub(super) fn transforms(&self) -> &[Transform] {
        &self.transforms
    }

    /// The payload, if it was changed.
    pub fn into_changed(self) -> Option<Payload> {
        self.transformed
    }
}
