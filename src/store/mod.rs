//! Layer 3: the only code that owns stable state.

pub mod disk;
pub mod examine;
pub mod index;
pub mod journal;
pub mod spool;

mod abandoned;
mod acceptance;
mod acts;
pub mod backup;
mod bring_in;
pub mod command;
pub mod committer;
mod compaction;
mod epoch;
mod expunge;
mod jobs;
mod kept;
mod legal_holds;
mod plan;
mod queue;
mod recovery;
mod reseal;
mod retention;
mod room;
mod sends;
mod staged;
pub(crate) mod state;
mod subject;
mod tally;
#[cfg(test)]
mod tests;
mod thread;
mod time;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use self::kept::Kept;
pub use self::thread::{CommitterThread, open};

use self::index::Index;
use self::spool::{Appender, Spool};
use crate::domain::digest::DigestKey;
use crate::domain::ids::MailboxId;
use crate::ports::clock::Clock;
use crate::ports::disk::{Disk, Floor};

/// What the store is built from.
pub struct StoreParts {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// The key of all keyed digests in the journal.
    pub key: DigestKey,
    /// The opened spool.
    pub spool: (Spool, Appender),
    /// The index.
    pub index: Box<dyn Index>,
    /// The settings.
    pub settings: StoreSettings,
}

/// Rows that each commit adds to a checkpoint on its way: a few milliseconds, and a million of them in an idle hour.
pub const CHECKPOINT_ROWS: usize = 512;

/// How the store is run.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// The state directory; the journal lies in `journal` below it.
    pub directory: PathBuf,
    /// A journal segment is closed at this length, bytes.
    pub segment_bytes: u64,
    /// Mailboxes whose deliveries are handled one at a time, in the order of their acceptance. A delivery that waits
    /// keeps back those accepted after it; a dead or held one does not. One that a person replays is as if accepted then.
    pub strict: BTreeSet<MailboxId>,
    /// Rows that each commit adds to a checkpoint on its way: [`CHECKPOINT_ROWS`].
    pub checkpoint_rows: usize,
    /// How long things are kept.
    pub retention: Retention,
    /// The part of the disk that intake leaves free: near it, delivered payloads go before their time.
    pub floor: Floor,
    /// How often the head of the journal goes to the log, so that a cut tail shows.
    pub head_interval: Duration,
    /// The machine's boot id (see [`boot_id`]): a death on another boot is nobody's fault.
    pub boot: String,
}

/// How long things are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Payloads of delivered and discarded messages.
    pub delivered: Duration,
    /// Payloads of dead letters.
    pub dead: Duration,
    /// Ids of messages, to recognise one that comes again.
    pub seen: Duration,
    /// Journal segments.
    pub journal: Duration,
}

impl Default for Retention {
    /// 7 days, 30 days, 45 days (MESH may put a message back until day 30 and list it five more), 8 years.
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        Self { delivered: 7 * DAY, dead: 30 * DAY, seen: 45 * DAY, journal: 8 * 366 * DAY }
    }
}

/// The id of the machine's present boot, as Linux gives it; empty where it does not.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|text| text.trim().to_owned()).unwrap_or_default()
}
