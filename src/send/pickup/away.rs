//! What becomes of a pair that needs no more work: it is put away, and its sender told.

use std::sync::Arc;

use super::{Pickup, told, unblocked};
use crate::domain::control::{Control, Told};
use crate::domain::digest::Hasher;
use crate::domain::fault::Fault;
use crate::domain::ids::{DeliveryId, Sensitive};
use crate::domain::pair::Pair;
use crate::ports::pairs::{Away, PairSeen, Shelf};
use crate::ports::store::{Halt, Sent};
use crate::send::control;

/// Pairs that are put away together.
const MOST_AWAY: usize = 64;

/// A pair that is to be put away.
#[derive(Clone)]
pub(super) struct Finished {
    pair: PairSeen,
    spoken: Option<Spoken>,
    told: Told,
    to: Shelf,
    report: bool,
    /// What it went out as.
    delivery: Option<DeliveryId>,
}

/// What a control file says.
#[derive(Clone)]
pub(super) struct Spoken {
    control: Control,
    /// Nothing is wrong with it; what is wrong is left to its sender as it is.
    is_sound: bool,
}

impl Spoken {
    pub(super) fn sound(control: Control) -> Self {
        Self { control, is_sound: true }
    }
}

impl Finished {
    fn away(&self) -> Away<'_> {
        let Self { pair, spoken, told, to, report, .. } = self;
        let rewrites = spoken.as_ref().is_some_and(|spoken| spoken.is_sound);
        Away { pair, control: spoken.as_ref().map(|spoken| &spoken.control), rewrites, told, to: *to, report: *report }
    }
}

impl Pickup {
    /// How what ended is put away; none if another pair lies there by now, for which the name is free then.
    pub(super) async fn end(&mut self, pair: PairSeen, sent: &Sent) -> Result<Option<Finished>, Halt> {
        let bytes = match &pair.control {
            Some(file) => match self.control_bytes(file).await? {
                Some(bytes) => Some(bytes),
                None => {
                    self.is_given_up(&pair);
                    return Ok(None);
                }
            },
            None => None,
        };
        let of = sent.delivery.outgoing.as_ref().and_then(|outgoing| outgoing.pair.as_ref());
        let is_its_control = bytes.as_ref().zip(of).is_none_or(|(bytes, of)| self.is_of(&of.control, bytes));
        let is_it = match of {
            Some(of) if is_its_control => self.is_its_data(&pair, of).await?,
            Some(_) | None => Some(false),
        };
        match is_it {
            Some(true) => {
                let control = match bytes {
                    Some(bytes) => control::read(&bytes).ok(),
                    None => self.auto(&pair).map(|rule| went_to(sent, &rule.control)),
                };
                Ok(self.finished(pair, control, sent))
            }
            Some(false) => {
                let delivery = sent.delivery.id;
                tracing::warn!(mailbox = %self.mailbox, %delivery, "another pair of its name lies in OUT: it is taken next");
                self.parts.sends.put_away(delivery).await?;
                Ok(None)
            }
            None => Ok(None),
        }
    }

    /// Whether the data that lies there is what was sent; none if it cannot be told for now.
    async fn is_its_data(&self, pair: &PairSeen, of: &Pair) -> Result<Option<bool>, Halt> {
        let Some(data) = &pair.data else {
            // It was put away, and a crash came: unless another control file came first.
            return Ok(Some(pair.control.as_ref().map(|control| control.modified) == of.control_modified));
        };
        if data.length != of.length {
            return Ok(Some(false));
        }
        if data.modified == of.modified {
            return Ok(Some(true));
        }
        // Somebody may have touched it.
        let (pairs, data, keys) = (Arc::clone(&self.parts.pairs), data.clone(), self.parts.key.clone());
        let beat = self.beat.clone();
        let digests = unblocked(move || {
            let (mut reader, mut hasher, mut slice) = (pairs.read(&data)?, Hasher::new(), vec![0; 128 * 1024]);
            loop {
                beat.strike();
                match reader.read(&mut slice)? {
                    0 => return Ok::<_, std::io::Error>(keys.sign_each(hasher)),
                    count => hasher.update(&slice[..count]),
                }
            }
        });
        Ok(digests.await?.map(|digests| digests.contains(&of.data)).ok())
    }

    pub(super) fn finished(&self, pair: PairSeen, control: Option<Control>, sent: &Sent) -> Option<Finished> {
        let (told, shelf) = told::outcome(sent, self.parts.clock.wall())?;
        let to = if shelf == Shelf::Sent && !self.rules.save_sent { Shelf::Removed } else { shelf };
        let report = shelf == Shelf::Failed || self.rules.report_transfer;
        let spoken = control.map(Spoken::sound);
        Some(Finished { pair, spoken, told, to, report, delivery: Some(sent.delivery.id) })
    }

    /// How half a pair is put away. Whatever its control file says is told again, for whoever looks for its report.
    pub(super) async fn orphan(&self, half: PairSeen) -> Result<Finished, Halt> {
        let now = self.parts.clock.wall();
        let Some(file) = &half.control else { return Ok(self.failed(half, None, told::no_control(now))) };
        let bytes = self.control_bytes(file).await?.unwrap_or_default();
        // The pair may have been refused before its data was put away, and a crash came between.
        let (told, spoken) = match control::read(&bytes) {
            Err(faults) => (told::faults(&faults, now), self.unsound(&bytes)),
            Ok(control) => match self.faults(&control, 0) {
                faults if faults.is_empty() => (told::no_data(now), Some(Spoken::sound(control))),
                faults => (told::faults(&faults, now), Some(Spoken::sound(control))),
            },
        };
        Ok(self.failed(half, spoken, told))
    }

    /// What a control file that is wrong says all the same.
    pub(super) fn unsound(&self, bytes: &[u8]) -> Option<Spoken> {
        control::said(bytes, &self.mailbox).map(|control| Spoken { control, is_sound: false })
    }

    pub(super) fn failed(&self, pair: PairSeen, spoken: Option<Spoken>, told: Told) -> Finished {
        Finished { pair, spoken, told, to: Shelf::Failed, report: true, delivery: None }
    }

    /// Puts away, and notes it. What changed meanwhile is looked at again. One that resists keeps no other back.
    pub(super) async fn put_away(&self, finished: Vec<Finished>) -> Result<Result<(), Fault>, Halt> {
        let mut result = Ok(());
        for batch in finished.chunks(MOST_AWAY) {
            if self.put_batch(batch).await?.is_ok() {
                continue;
            }
            for one in batch {
                if let Err(fault) = self.put_batch(std::slice::from_ref(one)).await? {
                    result = Err(fault);
                }
            }
        }
        Ok(result)
    }

    async fn put_batch(&self, batch: &[Finished]) -> Result<Result<(), Fault>, Halt> {
        let (pairs, of_batch) = (Arc::clone(&self.parts.pairs), batch.to_vec());
        let put = move || {
            let away: Vec<Away<'_>> = of_batch.iter().map(Finished::away).collect();
            pairs.put_away(&away)
        };
        let put = unblocked(put).await?;
        self.beat.strike();
        let put = match put {
            Ok(put) => put,
            Err(fault) => return Ok(Err(fault)),
        };
        for (one, _) in batch.iter().zip(put).filter(|(_, was_put)| *was_put) {
            if one.to == Shelf::Failed {
                self.parts.told.failed(&self.mailbox);
                let Told { event, code, .. } = &one.told;
                tracing::warn!(mailbox = %self.mailbox, event = event.as_str(), code, "a pair cannot be sent: see FAILED");
            }
            if let Some(delivery) = one.delivery {
                self.parts.sends.put_away(delivery).await?;
            }
        }
        Ok(Ok(()))
    }
}

/// The control file of what went out without one.
fn went_to(sent: &Sent, control: &Control) -> Control {
    let to = sent.delivery.outgoing.as_ref().and_then(|outgoing| outgoing.to.as_ref());
    let to = to.map_or_else(|| control.to.clone(), |to| Sensitive::new(to.as_str()));
    Control { to, ..control.clone() }
}
