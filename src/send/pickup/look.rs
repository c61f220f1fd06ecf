//! One look: what lies in `OUT`, compared with what the store knows of it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Pickup, Waits};
use crate::domain::ids::DeliveryId;
use crate::domain::pair::BaseName;
use crate::ports::pairs::{Lying, PairSeen};
use crate::ports::store::{Class, Halt, QueuePlace, SendPage, Sent};

/// Sends of the store that are asked for at a time.
const PAGE: usize = 256;

/// What one look at `OUT` found to do.
#[derive(Default)]
pub(super) struct Work {
    /// Whole, and unknown.
    pub(super) take: Vec<PairSeen>,
    /// Halves that nothing more is coming of.
    pub(super) stale: Vec<PairSeen>,
    /// What ended and lies there.
    pub(super) ended: Vec<(PairSeen, Sent)>,
    /// What ended and does not.
    pub(super) gone: Vec<DeliveryId>,
    /// What has to wait, and was not told so.
    pub(super) delayed: Vec<(PairSeen, Sent)>,
    /// When there is more, by the monotonic clock.
    pub(super) next: Option<Duration>,
    /// What keeps some from being taken.
    pub(super) waits: Option<Waits>,
}

impl Pickup {
    /// All that was taken and lies in `OUT`, as far as the store knows, by name.
    pub(super) async fn known(&self) -> Result<BTreeMap<String, Sent>, Halt> {
        let mut known = BTreeMap::new();
        let mut after = None;
        loop {
            let page = SendPage { mailbox: Some(self.mailbox.clone()), lying: true, after, count: PAGE };
            let page = self.parts.sends.sends(page).await?;
            let is_last = page.len() < PAGE;
            let last = page.last().map(|sent| sent.delivery.id);
            known.extend(page.into_iter().filter_map(|sent| {
                let name = sent.delivery.outgoing.as_ref()?.pair.as_ref()?.name.0.clone();
                Some((name, sent))
            }));
            match last {
                Some(delivery) if !is_last => after = Some(QueuePlace { mailbox: self.mailbox.clone(), delivery }),
                Some(_) | None => return Ok(known),
            }
        }
    }

    /// What is to be done, by what lies there and what is known.
    pub(super) fn compare(&mut self, lying: &Lying, mut known: BTreeMap<String, Sent>) -> Work {
        let now = self.parts.clock.monotonic();
        self.settling.see(&lying.pairs, now);
        let lies = |base: &BaseName| lying.pairs.binary_search_by(|pair| pair.base.cmp(base)).is_ok();
        self.unfinished.retain(|base, _| lies(base));
        self.tell(lying);
        let (mut work, mut of_before) = (Work::default(), 0);
        for pair in &lying.pairs {
            let sent = self.names(&pair.base).iter().find_map(|name| known.remove(&name.0));
            match sent {
                Some(sent) if has_ended(&sent) => work.ended.push((pair.clone(), sent)),
                Some(sent) => {
                    let waits = self.rules.report_delay && sent.class == Class::Waiting && sent.reason.is_some();
                    if waits && self.delayed.insert(sent.delivery.id) {
                        work.delayed.push((pair.clone(), sent));
                    }
                }
                None if is_of_before(pair, lying) => of_before += 1,
                None => {
                    let (rest, ready) = match self.is_whole(pair) {
                        true => (self.rules.settle, &mut work.take),
                        false => (self.rules.orphan_after, &mut work.stale),
                    };
                    match self.settling.rests_until(pair, rest, now) {
                        Some(then) => work.next = work.next.into_iter().chain([then]).min(),
                        None => ready.push(pair.clone()),
                    }
                }
            }
        }
        if of_before > 0 {
            let what = "lie in OUT since before the state was restored, and may have been sent: `touch` the control \
                        files of those that are to be sent, and take the others away";
            work.waits = Some(("RESTORED", format!("{of_before} pairs {what}")));
        }
        work.gone = known.into_values().filter(has_ended).map(|sent| sent.delivery.id).collect();
        // In the order of their times, then of their names (mesh-client-files 4.3).
        work.take.sort_by_key(|pair| pair.control.as_ref().or(pair.data.as_ref()).map(|file| file.modified));
        work
    }

    fn tell(&mut self, lying: &Lying) {
        let times = lying.pairs.iter().filter_map(|pair| Some(pair.control.as_ref().or(pair.data.as_ref())?.modified));
        self.parts.told.looked(&self.mailbox, lying.pairs.len() as u64, times.min());
        let count = lying.strangers;
        if count > self.strangers {
            let what = "files in OUT are neither <name>.dat nor <name>.ctl, or have a name that is not allowed";
            tracing::warn!(mailbox = %self.mailbox, count, "{what}: they are left there");
        }
        self.strangers = count;
    }
}

/// It lay there when the root was adopted, and nothing is known of it: the daemon of before may have sent it.
fn is_of_before(pair: &PairSeen, lying: &Lying) -> bool {
    let signal = pair.control.as_ref().or(pair.data.as_ref()).map(|file| file.modified);
    lying.adopted.zip(signal).is_some_and(|(adopted, signal)| signal <= adopted)
}

/// Nothing more becomes of it by itself, nor by a person.
fn has_ended(sent: &Sent) -> bool {
    match sent.class {
        Class::Dead | Class::Delivered | Class::Discarded => true,
        Class::Waiting | Class::Held | Class::Replayed => false,
    }
}
