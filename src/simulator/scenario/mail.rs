//! The mail of a scenario, made and offered in its order.
//!
//! With a seed everything follows from it: bytes, ids and order. NHS numbers come from the range 999.

use std::sync::Arc;

use super::{Content, Scenario, Sized};
use crate::simulator::mail::{Kind, sample};
use crate::simulator::message::{Draft, Mail};
use crate::simulator::payload::{Part, Payload, mix};
use crate::simulator::{Simulator, SimulatorError};

/// `Mex-From` of what is no kind of its own.
const SENDER: &str = "X26ABC9";
/// Content shared by all messages is kept in memory up to this length.
const KEPT_READY_BYTES: u64 = 1_000_000;

impl Scenario {
    /// Puts all mail into the mailboxes.
    pub(in crate::simulator) async fn offer(&self, simulator: &Simulator) -> Result<(), SimulatorError> {
        let mut offered = 0;
        for plan in &self.mail {
            for mailbox in self.mailboxes_of(&plan.mailboxes) {
                let shared = plan.what.shared()?;
                if let (Some(mail), None) = (&shared, self.seed) {
                    simulator.offer_many(mailbox, plan.count, |_| Arc::clone(mail)).await?;
                    continue;
                }
                for nth in 0..plan.count {
                    let mail = match &shared {
                        Some(mail) => Arc::clone(mail),
                        None => plan.what.mail(nth, self.number(offered))?,
                    };
                    match self.seed {
                        Some(seed) => simulator.offer_as(mailbox, &id(seed, offered), &mail).await?,
                        None => drop(simulator.offer(mailbox, &mail).await?),
                    }
                    offered += 1;
                }
            }
        }
        Ok(())
    }

    fn mailboxes_of<'a>(&'a self, named: &'a [String]) -> Vec<&'a str> {
        if named.is_empty() {
            self.mailboxes.iter().map(|mailbox| mailbox.id.as_str()).collect()
        } else {
            named.iter().map(String::as_str).collect()
        }
    }

    /// What the content of a message follows from.
    fn number(&self, place: u64) -> u64 {
        self.seed.map_or(place, |seed| mix(seed ^ mix(place)))
    }
}

/// The id of the message at this place: of the form that MESH gives (mesh-api 6.4), and no other's of this seed.
fn id(seed: u64, place: u64) -> String {
    format!("20260105{:012}_{place:06X}", mix(seed) % 1_000_000_000_000)
}

impl Content {
    /// The one message that all are, if they are.
    fn shared(&self) -> Result<Option<Arc<Mail>>, SimulatorError> {
        match self {
            Self::Sized(sized) if !sized.distinct => sized.mail(sized.shared_payload()?).map(Some),
            Self::Sized(_) | Self::Mixed | Self::Kind(_) | Self::Unroutable | Self::Poison => Ok(None),
        }
    }

    /// The message in this place of its kind, made from this number.
    fn mail(&self, nth: u64, number: u64) -> Result<Arc<Mail>, SimulatorError> {
        let data = |workflow, payload| Draft::data(SENDER, workflow, payload).ready();
        match self {
            Self::Mixed => sample(Kind::ALL[(nth % Kind::ALL.len() as u64) as usize], number),
            Self::Kind(kind) => sample(*kind, number),
            Self::Sized(sized) => sized.mail(sized.payload(number)?),
            Self::Unroutable => data("NOBODY_WANTS_THIS", Payload::plain(format!("no pipeline takes this: {number}"))),
            Self::Poison => {
                let part = Part::stored(format!("this is not gzip: {number}").into(), true);
                data(super::SIZED_WORKFLOW, Payload::Fixed(vec![part]))
            }
        }
    }
}

impl Sized {
    /// The content of this number.
    pub(super) fn payload(&self, number: u64) -> Result<Payload, SimulatorError> {
        let make = if self.gzip { Payload::generated_gzip } else { Payload::generated };
        make(number, self.size, self.chunk)
    }

    /// One content for all: a small one is kept ready, so that serving it copies nothing.
    fn shared_payload(&self) -> Result<Payload, SimulatorError> {
        let payload = self.payload(0)?;
        Ok(match payload {
            Payload::Generated { pattern, chunk_bytes } if self.size <= chunk_bytes.min(KEPT_READY_BYTES) => {
                Payload::plain(pattern.bytes(0, self.size))
            }
            Payload::Generated { .. } | Payload::Fixed(_) | Payload::Nothing => payload,
        })
    }

    fn mail(&self, payload: Payload) -> Result<Arc<Mail>, SimulatorError> {
        Draft::data(SENDER, &self.workflow, payload).ready()
    }
}
