//! For whom the kept payloads are sealed.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::{Config, Secrets};
use crate::domain::ids::{DeliveryId, MailboxId};
use crate::domain::recipient::{Holder, RecipientTag};
use crate::ports::sealed::{SealedPage, SealedSet};
use crate::ports::spool::SpoolError;
use crate::ports::store::{Amount, Halt, KeptPayload, Location, Store};
use crate::store::spool::Reader;

/// Payloads looked at for one page, in one file each at worst: well within a command's patience.
const PAGE: usize = 1_000;

/// Whose identities are loaded, and whom new mail is sealed for.
#[derive(Debug, Clone)]
pub(super) struct Keyholders {
    pub(super) holders: Vec<Holder>,
    present: BTreeMap<MailboxId, Vec<RecipientTag>>,
}

impl Keyholders {
    pub(super) fn new(config: &Config, secrets: &Secrets) -> Self {
        let present = config.mailboxes.iter().map(|mailbox| {
            let mut tags: Vec<_> = mailbox.recipients.iter().map(|name| RecipientTag::of(name)).collect();
            tags.sort_unstable();
            tags.dedup();
            (mailbox.id.clone(), tags)
        });
        Self { holders: secrets.holders.clone(), present: present.collect() }
    }

    /// Whether they are those that new mail of the mailbox is sealed for.
    pub(super) fn is_present(&self, mailbox: &MailboxId, recipients: &[RecipientTag]) -> bool {
        self.present.get(mailbox).is_some_and(|present| present == recipients)
    }

    /// Whether new mail of the mailbox is sealed at all.
    pub(super) fn is_configured(&self, mailbox: &MailboxId) -> bool {
        self.present.contains_key(mailbox)
    }
}

/// What reads it from the store and the spool.
#[derive(Clone)]
pub(super) struct Sealing {
    pub(super) store: Arc<dyn Store>,
    pub(super) reader: Reader,
    pub(super) keyholders: Keyholders,
}

impl Sealing {
    /// For whom the next payloads after a delivery are sealed.
    pub(super) async fn page(&self, after: Option<DeliveryId>) -> Result<SealedPage, Halt> {
        let (mut sets, mut unreadable) = (BTreeMap::<_, Amount>::new(), Amount::default());
        let (mut last, mut looked_at) = (after, 0);
        while looked_at < PAGE {
            let payloads = self.store.payloads(last, PAGE).await?;
            let Some(end) = payloads.last().map(|payload| payload.delivery) else {
                last = None;
                break;
            };
            (last, looked_at) = (Some(end), looked_at + payloads.len());
            let mut waiting = payloads;
            while !waiting.is_empty() {
                let mut moved = Vec::new();
                for (payload, recipients) in self.recipients(waiting).await? {
                    let amount = match recipients {
                        Ok(recipients) => {
                            let is_present = self.keyholders.is_present(&payload.mailbox, &recipients);
                            sets.entry((recipients, is_present)).or_default()
                        }
                        Err(SpoolError::Failed(halt)) => return Err(halt),
                        Err(SpoolError::NoRoom(_) | SpoolError::Unreadable(_)) => match self.now(&payload).await? {
                            None => continue,
                            Some(now) if now == payload => &mut unreadable,
                            Some(now) => {
                                moved.push(now);
                                continue;
                            }
                        },
                    };
                    amount.messages += 1;
                    amount.bytes += payload.length;
                }
                waiting = moved;
            }
        }
        let set = |((recipients, is_present), amount)| SealedSet { recipients, is_present, amount };
        let sets = sets.into_iter().map(set).collect();
        Ok(SealedPage { holders: self.keyholders.holders.clone(), sets, unreadable, last })
    }

    /// For whom each is sealed, read off the threads that serve.
    pub(super) async fn recipients(&self, payloads: Vec<KeptPayload>) -> Result<Vec<(KeptPayload, Recipients)>, Halt> {
        let reader = self.reader.clone();
        let read = move || {
            let mut group: Option<((u64, u64), Vec<RecipientTag>)> = None;
            let mut found = Vec::with_capacity(payloads.len());
            for payload in payloads {
                let place = match payload.location {
                    Location::Group { volume, offset, .. } => Some((volume, offset)),
                    Location::Parts { .. } => None,
                };
                let recipients = match &group {
                    // Its neighbours lie beside it.
                    Some((known, recipients)) if Some(*known) == place => Ok(recipients.clone()),
                    Some(_) | None => reader.recipients(&payload.mailbox, &payload.message, &payload.location),
                };
                if let (Some(place), Ok(recipients)) = (place, &recipients) {
                    group = Some((place, recipients.clone()));
                }
                found.push((payload, recipients));
            }
            found
        };
        tokio::task::spawn_blocking(read).await.map_err(|error| Halt(format!("read for whom mail is sealed: {error}")))
    }

    /// Where a payload lies now that did not read: it may have been moved, or purged, since its place was asked for.
    pub(super) async fn now(&self, payload: &KeptPayload) -> Result<Option<KeptPayload>, Halt> {
        let before = DeliveryId(payload.delivery.0.saturating_sub(1));
        let found = self.store.payloads(Some(before), 1).await?;
        Ok(found.into_iter().find(|found| found.delivery == payload.delivery))
    }
}

/// For whom one is sealed.
pub(super) type Recipients = Result<Vec<RecipientTag>, SpoolError>;
