//! Seals again what is kept and not sealed for the present recipients of its mailbox, while mail goes on.
//!
//! What to do is found by looking, not remembered: a run that ends, in order or not, loses nothing, and the next one that
//! is asked for goes on with what is left. It works at most half of the time, a piece at a time, in the memory of one
//! commit of small payloads or of one piece of a large one.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::sealing::Sealing;
use crate::domain::ids::DeliveryId;
use crate::ports::sealed::Rewrapping;
use crate::ports::spool::{SMALL, SpoolError};
use crate::ports::store::{Amount, Halt, IncomingBody, KeptPayload, Location, Reseal, Resealed};
use crate::store::spool::{Beside, Progress, Spool};

/// Payloads looked at together; the small ones of them are sealed in one commit.
const TOGETHER: usize = 16;

/// It rests at least this long after each piece of work.
const REST: Duration = Duration::from_millis(5);

/// What was in work is looked at again after this.
const AGAIN: Duration = Duration::from_secs(1);

/// Begins it, and tells how far it is.
#[derive(Clone)]
pub(super) struct Rewrapper {
    wish: Arc<Notify>,
    progress: watch::Sender<Rewrapping>,
}

impl Rewrapper {
    pub(super) fn new() -> Self {
        Self { wish: Arc::new(Notify::new()), progress: watch::channel(Rewrapping::default()).0 }
    }

    pub(super) fn now(&self) -> Rewrapping {
        *self.progress.borrow()
    }

    /// Has it begin, unless it goes on: a wish that waits for the end would be told as fulfilled by it.
    pub(super) fn begin(&self) {
        let begins = self.progress.send_if_modified(|progress| {
            let begins = !progress.is_running;
            if begins {
                *progress = Rewrapping { is_running: true, ..Rewrapping::default() };
            }
            begins
        });
        if begins {
            self.wish.notify_one();
        }
    }
}

/// Who does it.
pub(super) struct Rewrap {
    pub(super) rewrapper: Rewrapper,
    pub(super) sealing: Sealing,
    pub(super) spool: Spool,
}

/// What became of one payload.
enum Became {
    Resealed,
    InWork,
    Left,
    NoRoom,
}

impl Rewrap {
    /// Does what is asked for until `stop`.
    pub(super) async fn serve(self, stop: CancellationToken) -> Result<(), Halt> {
        loop {
            let asked = stop.run_until_cancelled(self.rewrapper.wish.notified()).await;
            if asked.is_none() {
                return Ok(());
            }
            // A piece that is begun comes to its end, and nothing is lost with what is not taken over.
            let Some(done) = stop.run_until_cancelled(self.all()).await else { return Ok(()) };
            done?;
            self.rewrapper.progress.send_modify(|progress| progress.is_running = false);
            let Rewrapping { resealed, left, .. } = self.rewrapper.now();
            tracing::info!(payloads = resealed.messages, left = left.messages, "payloads are sealed again");
        }
    }

    async fn all(&self) -> Result<(), Halt> {
        loop {
            self.rewrapper.progress.send_modify(|progress| {
                (progress.in_work, progress.left) = (Amount::default(), Amount::default());
            });
            self.pass().await?;
            let Rewrapping { in_work, lacked_room, .. } = self.rewrapper.now();
            if in_work.messages == 0 || lacked_room {
                return Ok(());
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Looks at everything that is kept, once.
    async fn pass(&self) -> Result<(), Halt> {
        let mut after: Option<DeliveryId> = None;
        while !self.rewrapper.now().lacked_room {
            let payloads = self.sealing.store.payloads(after, TOGETHER).await?;
            let Some(last) = payloads.last() else { return Ok(()) };
            after = Some(last.delivery);
            let (mut small, mut large) = (Vec::new(), Vec::new());
            for (payload, recipients) in self.sealing.recipients(payloads).await? {
                match recipients {
                    Ok(recipients) if self.sealing.keyholders.is_present(&payload.mailbox, &recipients) => {}
                    // For nobody new: its mailbox is no longer configured.
                    Ok(_) if !self.sealing.keyholders.is_configured(&payload.mailbox) => {
                        self.count(&payload, &Became::Left);
                    }
                    Ok(_) if matches!(payload.location, Location::Group { .. }) => small.push(payload),
                    Ok(_) => large.push(payload),
                    Err(SpoolError::Failed(halt)) => return Err(halt),
                    // Purged or moved since, or damaged: the next pass knows.
                    Err(SpoolError::NoRoom(_) | SpoolError::Unreadable(_)) => self.miss(&payload).await?,
                }
            }
            self.small(small).await?;
            for payload in large {
                let became = self.large(&payload).await?;
                self.count(&payload, &became);
            }
        }
        Ok(())
    }

    /// Small ones, in one commit.
    async fn small(&self, payloads: Vec<KeptPayload>) -> Result<(), Halt> {
        if payloads.is_empty() {
            return Ok(());
        }
        let begun = Instant::now();
        let reader = self.sealing.reader.clone();
        let opened = unblocked(move || {
            let open = |payload: &KeptPayload| {
                let opened = reader.open(&payload.mailbox, &payload.message, &payload.location)?;
                let bytes = opened.payload.read_bounded(SMALL).map_err(SpoolError::NoRoom)?;
                Ok((opened.envelope, bytes))
            };
            payloads.into_iter().map(|payload| (open(&payload), payload)).collect::<Vec<_>>()
        })
        .await?;
        let (mut asked, mut reseals) = (Vec::new(), Vec::new());
        for (opened, payload) in opened {
            match opened {
                Ok((envelope, bytes)) => {
                    let (delivery, from) = (payload.delivery, payload.location.clone());
                    let body = IncomingBody::Small(bytes.into());
                    // Handed over together, they share a commit.
                    reseals.push(self.sealing.store.reseal(Reseal { delivery, from, envelope, body }));
                    asked.push(payload);
                }
                Err(SpoolError::Failed(halt)) => return Err(halt),
                Err(SpoolError::NoRoom(_) | SpoolError::Unreadable(_)) => self.miss(&payload).await?,
            }
        }
        for (payload, resealed) in asked.iter().zip(try_join_all(reseals).await?) {
            self.count(payload, &became(resealed));
        }
        rest(begun).await;
        Ok(())
    }

    /// A large one, a piece at a time.
    async fn large(&self, payload: &KeptPayload) -> Result<Became, Halt> {
        let (spool, of) = (self.spool.clone(), payload.clone());
        let begin = move || spool.begin_resealing(&of.mailbox, &of.message, &of.location);
        let mut step = unblocked(move || begin().map(|begun| Progress::More(Box::new(begun)))).await?;
        loop {
            let begun = Instant::now();
            step = match step {
                Ok(Progress::More(resealing)) => unblocked(move || resealing.step()).await?,
                Ok(Progress::Whole(envelope, sealed)) => {
                    let (delivery, from) = (payload.delivery, payload.location.clone());
                    let reseal = Reseal { delivery, from, envelope: *envelope, body: IncomingBody::Large(sealed) };
                    let became = became(self.sealing.store.reseal(reseal).await?);
                    if !matches!(became, Became::Resealed) {
                        self.forget(payload).await?;
                    }
                    return Ok(became);
                }
                Err(SpoolError::Failed(halt)) => return Err(halt),
                Err(SpoolError::NoRoom(error)) => {
                    tracing::warn!(%error, "no room to seal a large payload again");
                    self.forget(payload).await?;
                    return Ok(Became::NoRoom);
                }
                Err(SpoolError::Unreadable(_)) => {
                    self.forget(payload).await?;
                    return self.missed(payload).await;
                }
            };
            rest(begun).await;
        }
    }

    async fn forget(&self, payload: &KeptPayload) -> Result<(), Halt> {
        let (spool, of) = (self.spool.clone(), payload.clone());
        match unblocked(move || spool.forget_beside(Beside::Resealed, &of.mailbox, &of.message)).await? {
            Err(SpoolError::Failed(halt)) => Err(halt),
            // The next start removes it.
            Ok(()) | Err(SpoolError::NoRoom(_) | SpoolError::Unreadable(_)) => Ok(()),
        }
    }

    async fn miss(&self, payload: &KeptPayload) -> Result<(), Halt> {
        let became = self.missed(payload).await?;
        self.count(payload, &became);
        Ok(())
    }

    /// What did not open: it was purged, it was moved, or it is damaged.
    async fn missed(&self, payload: &KeptPayload) -> Result<Became, Halt> {
        let now = self.sealing.now(payload).await?;
        Ok(if now.as_ref() == Some(payload) { Became::Left } else { Became::InWork })
    }

    fn count(&self, payload: &KeptPayload, became: &Became) {
        self.rewrapper.progress.send_modify(|progress| {
            let amount = match became {
                Became::Resealed => &mut progress.resealed,
                Became::InWork => &mut progress.in_work,
                Became::Left => &mut progress.left,
                Became::NoRoom => {
                    progress.lacked_room = true;
                    &mut progress.left
                }
            };
            amount.messages += 1;
            amount.bytes += payload.length;
        });
    }
}

fn became(resealed: Resealed) -> Became {
    match resealed {
        Resealed::Done => Became::Resealed,
        Resealed::Elsewhere => Became::InWork,
        Resealed::NotKept(why) => {
            tracing::warn!(why, "no room for payloads sealed again");
            Became::NoRoom
        }
    }
}

/// As long as the work took: mail has the other half of the time.
async fn rest(begun: Instant) {
    tokio::time::sleep(begun.elapsed().max(REST)).await;
}

/// Off the threads that serve.
async fn unblocked<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Halt> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Halt(format!("seal payloads again: {error}")))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn what_is_begun_twice_runs_once_and_keeps_its_progress() {
        let rewrapper = Rewrapper::new();
        rewrapper.begin();
        assert!(rewrapper.wish.notified().now_or_never().is_some(), "it begins");
        let resealed = Amount { messages: 3, bytes: 70 };
        rewrapper.progress.send_modify(|progress| progress.resealed = resealed);

        rewrapper.begin();
        assert_eq!(rewrapper.now(), Rewrapping { is_running: true, resealed, ..Rewrapping::default() });
        assert!(rewrapper.wish.notified().now_or_never().is_none(), "nothing is left to do when it ends");

        rewrapper.progress.send_modify(|progress| progress.is_running = false);
        rewrapper.begin();
        assert!(rewrapper.wish.notified().now_or_never().is_some(), "it begins anew");
        assert_eq!(rewrapper.now(), Rewrapping { is_running: true, ..Rewrapping::default() });
    }
}
