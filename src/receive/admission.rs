//! May we take more? Without room we stop fetching; we never accept and then shed (I7).
//!
//! Budgets count what is queued and what is on its way in, in messages and bytes, per mailbox and in all.
//! Mail set aside, dead or held, has budgets of its own: nothing but its retention or a person ends it, so a flood that
//! no pipeline takes must close its own mailbox long before it fills the disk of all (I6).
//! The disk has a floor in bytes and inodes, with a higher mark to open again, so that intake does not flutter.
//! A reserve on top of each budget takes only reports, so that a full house still learns what failed.
//! Of a message that was cut off, only what is missing must still fit the disk: what is there holds the room it needs.
//! A giant, larger than a whole budget, passes alone: when its mailbox is empty and no other giant is on its way.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use crate::domain::envelope::MessageKind;
use crate::domain::ids::MailboxId;
use crate::ports::clock::Clock;
use crate::ports::disk::{Disk, Floor, Mark, Shortage, Space};
use crate::ports::store::{Amount, MailboxOccupancy, Occupancy, Store};

/// So much, and no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Messages.
    pub messages: u64,
    /// Decoded bytes of their payloads.
    pub bytes: u64,
}

/// The budgets of one mailbox, or of all together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Of what is queued or on its way in.
    pub queued: Limits,
    /// Of what is dead or held.
    pub set_aside: Limits,
}

/// What admission is told.
#[derive(Debug, Clone)]
pub struct AdmissionSettings {
    /// For all mailboxes together.
    pub all: Budget,
    /// For each mailbox.
    pub mailboxes: BTreeMap<MailboxId, Budget>,
    /// On top of each budget, for reports only.
    pub reserve: Limits,
    /// The disk's floor.
    pub floor: Floor,
    /// A folder on the disk that fills.
    pub directory: PathBuf,
}

/// Why there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// An operator has the mailbox rest.
    #[error("an operator's suspension of the mailbox, which `meshd mailbox resume` ends")]
    Suspended,
    /// The mailbox's budget of messages.
    #[error("the mailbox's limit of queued messages")]
    MailboxMessages,
    /// The mailbox's budget of bytes.
    #[error("the mailbox's limit of queued bytes")]
    MailboxBytes,
    /// The daemon's budget of messages.
    #[error("the limit of queued messages in all")]
    AllMessages,
    /// The daemon's budget of bytes.
    #[error("the limit of queued bytes in all")]
    AllBytes,
    /// The mailbox's budget of dead and held mail.
    #[error("the mailbox's limit of dead and held mail, which `meshd deadletter list` shows")]
    MailboxSetAside,
    /// The daemon's budget of dead and held mail.
    #[error("the limit of dead and held mail in all, which `meshd deadletter list` shows")]
    AllSetAside,
    /// The disk's floor in bytes.
    #[error("free space on the state disk")]
    DiskBytes,
    /// The disk's floor in inodes.
    #[error("free inodes on the state disk")]
    DiskInodes,
    /// A giant waits for its mailbox to be empty, or for another giant to be through.
    #[error("a message larger than the whole budget, which waits for an empty mailbox")]
    Giant,
    /// The disk is not at its floor, but this message would take it there. Smaller ones need not wait for it.
    #[error("a message larger than the free space on the state disk")]
    TooLargeForDisk,
}

/// What a message needs, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// Reports have a reserve.
    pub kind: MessageKind,
    /// Its decoded bytes.
    pub bytes: u64,
    /// Of those, what an earlier fetch left on the disk: they count against the budgets, and need no more of the disk.
    pub landed: u64,
}

/// The doorkeeper of all mailboxes.
pub struct Admission {
    settings: RwLock<Arc<AdmissionSettings>>,
    store: Arc<dyn Store>,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    on_their_way: BTreeMap<MailboxId, Amount>,
    /// Of those bytes, what lies on the disk already: its free space is smaller by as much.
    landed: u64,
    /// All of `on_their_way`. It and `kept` are remembered, since they are asked for several times a message and there may
    /// be a thousand mailboxes.
    coming: Amount,
    /// What is kept in all, and the occupancy that says so.
    kept: Option<(Arc<Occupancy>, Kept)>,
    giant: bool,
    below_floor: Option<Closed>,
    measured: Option<(Duration, Space)>,
}

/// What counts against the two budgets.
#[derive(Clone, Copy, Default)]
struct Kept {
    queued: Amount,
    set_aside: Amount,
}

impl Kept {
    fn of(occupancy: &MailboxOccupancy) -> Self {
        Self { queued: occupancy.queued, set_aside: sum([occupancy.held, occupancy.dead]) }
    }
}

/// How long one look at the disk is believed.
const MEASURE_EVERY: Duration = Duration::from_millis(500);

/// Room set aside for one message on its way in. Dropping it gives the room back.
pub struct Claim {
    admission: Arc<Admission>,
    mailbox: MailboxId,
    bytes: u64,
    /// What it was thought to need at first.
    expected: u64,
    landed: u64,
    giant: bool,
}

impl Admission {
    /// A doorkeeper that knows what is queued from `store` and what is free from `disk`.
    pub fn new(
        settings: AdmissionSettings,
        store: Arc<dyn Store>,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        let settings = RwLock::new(Arc::new(settings));
        Arc::new(Self { settings, store, disk, clock, state: Mutex::default() })
    }

    /// Goes by these from now on. What was admitted stays.
    pub fn change(&self, settings: AdmissionSettings) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }

    fn settings(&self) -> Arc<AdmissionSettings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Is there room for anything at all? Cheap: asked before each fetch.
    pub fn open(&self, mailbox: &MailboxId, kind: MessageKind) -> Result<(), Closed> {
        self.may_go_on(mailbox)?;
        let mut state = self.lock();
        self.above_floor(&mut state)?;
        self.fits_set_aside(&mut state, mailbox, kind)?;
        self.fits(&mut state, mailbox, kind, 1)
    }

    /// Would [`Admission::claim`] set so much room aside now?
    pub fn room_for(&self, mailbox: &MailboxId, need: Need) -> Result<(), Closed> {
        self.admits(&mut self.lock(), mailbox, need)
    }

    /// Sets room aside for a message.
    pub fn claim(self: &Arc<Self>, mailbox: &MailboxId, need: Need) -> Result<Claim, Closed> {
        let Need { bytes, landed, .. } = need;
        let mut state = self.lock();
        self.admits(&mut state, mailbox, need)?;
        let giant = bytes > self.largest(mailbox);
        state.giant |= giant;
        state.landed += landed;
        state.change(mailbox, |amount| {
            amount.messages += 1;
            amount.bytes += bytes;
        });
        Ok(Claim { admission: Arc::clone(self), mailbox: mailbox.clone(), bytes, expected: bytes, landed, giant })
    }

    /// Much was removed from the disk: what was measured before tells nothing.
    pub fn measure_again(&self) {
        self.lock().measured = None;
    }

    fn admits(&self, state: &mut State, mailbox: &MailboxId, need: Need) -> Result<(), Closed> {
        let Need { kind, bytes, landed } = need;
        self.may_go_on(mailbox)?;
        self.above_floor(state)?;
        self.fits_disk(state, bytes.saturating_sub(landed))?;
        self.fits_set_aside(state, mailbox, kind)?;
        if bytes > self.largest(mailbox) {
            self.fits_giant(state, mailbox)
        } else {
            self.fits(state, mailbox, kind, bytes)
        }
    }

    /// What is on its way in comes in, so that it can be acknowledged.
    fn may_go_on(&self, mailbox: &MailboxId) -> Result<(), Closed> {
        if self.store.occupancy().suspension(mailbox).is_some() { Err(Closed::Suspended) } else { Ok(()) }
    }

    fn largest(&self, mailbox: &MailboxId) -> u64 {
        self.budget(mailbox).queued.bytes.min(self.settings().all.queued.bytes)
    }

    /// The present budgets of a mailbox.
    pub fn budget(&self, mailbox: &MailboxId) -> Budget {
        let settings = self.settings();
        settings.mailboxes.get(mailbox).copied().unwrap_or(settings.all)
    }

    fn fits(&self, state: &mut State, mailbox: &MailboxId, kind: MessageKind, bytes: u64) -> Result<(), Closed> {
        let (own, all) = self.used(state, mailbox);
        let limits = self.with_reserve(self.budget(mailbox).queued, kind);
        let all_limits = self.with_reserve(self.settings().all.queued, kind);
        let over = |used: u64, more: u64, limit: u64| used.saturating_add(more) > limit;
        if over(own.messages, 1, limits.messages) {
            Err(Closed::MailboxMessages)
        } else if over(own.bytes, bytes, limits.bytes) {
            Err(Closed::MailboxBytes)
        } else if over(all.messages, 1, all_limits.messages) {
            Err(Closed::AllMessages)
        } else if over(all.bytes, bytes, all_limits.bytes) {
            Err(Closed::AllBytes)
        } else {
            Ok(())
        }
    }

    /// Full is closed: any message may be the next dead letter. So may all that is queued, which comes on top at worst.
    fn fits_set_aside(&self, state: &mut State, mailbox: &MailboxId, kind: MessageKind) -> Result<(), Closed> {
        let occupancy = self.store.occupancy();
        let own = occupancy.mailboxes.get(mailbox).map(Kept::of).unwrap_or_default().set_aside;
        let all = state.kept(occupancy).set_aside;
        let full = |used: Amount, limits: Limits| {
            let limits = self.with_reserve(limits, kind);
            used.messages >= limits.messages || used.bytes >= limits.bytes
        };
        if full(own, self.budget(mailbox).set_aside) {
            Err(Closed::MailboxSetAside)
        } else if full(all, self.settings().all.set_aside) {
            Err(Closed::AllSetAside)
        } else {
            Ok(())
        }
    }

    fn with_reserve(&self, limits: Limits, kind: MessageKind) -> Limits {
        let Limits { messages, bytes } = self.settings().reserve;
        match kind {
            MessageKind::Report => {
                Limits { messages: limits.messages.saturating_add(messages), bytes: limits.bytes.saturating_add(bytes) }
            }
            MessageKind::Data => limits,
        }
    }

    fn fits_giant(&self, state: &mut State, mailbox: &MailboxId) -> Result<(), Closed> {
        let (own, _) = self.used(state, mailbox);
        if state.giant || own.messages > 0 { Err(Closed::Giant) } else { Ok(()) }
    }

    /// Queued and on their way in: of this mailbox, and of all.
    fn used(&self, state: &mut State, mailbox: &MailboxId) -> (Amount, Amount) {
        let occupancy = self.store.occupancy();
        let own = occupancy.mailboxes.get(mailbox).map(Kept::of).unwrap_or_default().queued;
        let coming = state.on_their_way.get(mailbox).copied().unwrap_or_default();
        let all = sum([state.kept(occupancy).queued, state.coming]);
        (sum([own, coming]), all)
    }

    /// Closed at the floor, open again at a quarter above it. A disk that cannot be read has no room.
    fn above_floor(&self, state: &mut State) -> Result<(), Closed> {
        let now = self.clock.monotonic();
        let space = match state.measured {
            Some((at, space)) if now.saturating_sub(at) < MEASURE_EVERY => space,
            Some(_) | None => {
                let space = self.disk.space(&self.settings().directory).map_err(|_| Closed::DiskBytes)?;
                state.measured = Some((now, space));
                space
            }
        };
        let mark = if state.below_floor.is_some() { Mark::High } else { Mark::Low };
        let promised = Space { free_bytes: free_bytes(state, space), ..space };
        let verdict = match self.settings().floor.shortage(&promised, mark) {
            Some(Shortage::Bytes) => Err(Closed::DiskBytes),
            Some(Shortage::Inodes) => Err(Closed::DiskInodes),
            None => Ok(()),
        };
        state.below_floor = verdict.err();
        verdict
    }

    /// Would this message alone take a disk above its floor down to it? Asked after [`Admission::above_floor`].
    fn fits_disk(&self, state: &State, bytes: u64) -> Result<(), Closed> {
        let Some((_, space)) = state.measured else { return Err(Closed::DiskBytes) };
        let floor = self.settings().floor.bytes(&space);
        if free_bytes(state, space) <= floor.saturating_add(bytes) { Err(Closed::TooLargeForDisk) } else { Ok(()) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Free, without what is promised to messages on their way in and has not come yet.
fn free_bytes(state: &State, space: Space) -> u64 {
    space.free_bytes.saturating_sub(state.coming.bytes.saturating_sub(state.landed))
}

impl State {
    /// Changes what is on its way to `mailbox`, and so in all.
    fn change(&mut self, mailbox: &MailboxId, change: impl Fn(&mut Amount)) {
        change(&mut self.coming);
        change(self.on_their_way.entry(mailbox.clone()).or_default());
    }

    /// What is kept in all: counted once for each occupancy.
    fn kept(&mut self, occupancy: Arc<Occupancy>) -> Kept {
        match &self.kept {
            Some((counted, kept)) if Arc::ptr_eq(counted, &occupancy) => *kept,
            Some(_) | None => {
                let kept = occupancy.mailboxes.values().map(Kept::of).fold(Kept::default(), |all, of| Kept {
                    queued: sum([all.queued, of.queued]),
                    set_aside: sum([all.set_aside, of.set_aside]),
                });
                self.kept = Some((occupancy, kept));
                kept
            }
        }
    }
}

fn sum(amounts: impl IntoIterator<Item = Amount>) -> Amount {
    amounts.into_iter().fold(Amount::default(), |sum, amount| Amount {
        messages: sum.messages + amount.messages,
        bytes: sum.bytes + amount.bytes,
    })
}

impl Claim {
    /// So many bytes have come. Is it more than was thought, then the claim grows, whatever the budget says.
    pub fn correct(&mut self, bytes: u64) {
        let grown = bytes.saturating_sub(self.bytes);
        let landed = bytes.saturating_sub(self.landed);
        self.bytes += grown;
        self.landed += landed;
        let mut state = self.admission.lock();
        state.landed += landed;
        state.change(&self.mailbox, |amount| amount.bytes += grown);
    }

    /// Is the disk above its floor, with all that has come? A message that grew beyond its claim must also leave what is
    /// promised to others: only what was promised may be taken. A disk that cannot be read has no room.
    pub fn is_above_floor(&self) -> bool {
        let settings = self.admission.settings();
        let Ok(space) = self.admission.disk.space(&settings.directory) else { return false };
        let free_bytes =
            if self.bytes > self.expected { free_bytes(&self.admission.lock(), space) } else { space.free_bytes };
        settings.floor.shortage(&Space { free_bytes, ..space }, Mark::Low).is_none()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut state = self.admission.lock();
        if self.giant {
            state.giant = false;
        }
        state.landed -= self.landed;
        state.change(&self.mailbox, |amount| {
            amount.messages -= 1;
            amount.bytes -= self.bytes;
        });
    }
}
