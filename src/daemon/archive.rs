//! Reading the journal while it is written: few at a time, each for a short time, off the threads that serve.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use crate::ports::clock::Clock;
use crate::ports::store::Halt;
use crate::ports::trace::{Page, Search, Unreadable};
use crate::store::disk::Real;
use crate::store::journal::Head;
use crate::store::journal::search::search;

/// One who reads on while another asks something small. A third waits.
const MOST_SEARCHES: usize = 2;
/// How long one page is looked for: below the patience of whoever asks, also behind two others.
const LONGEST: Duration = Duration::from_secs(2);

/// The journal, for those who ask about it. Clones share the places.
#[derive(Clone)]
pub(super) struct Archive {
    directory: PathBuf,
    head: watch::Receiver<Head>,
    clock: Arc<dyn Clock>,
    slots: Arc<Semaphore>,
}

impl Archive {
    /// The journal in `directory`, whose end is `head`.
    pub(super) fn new(directory: PathBuf, head: watch::Receiver<Head>, clock: Arc<dyn Clock>) -> Self {
        Self { directory, head, clock, slots: Arc::new(Semaphore::new(MOST_SEARCHES)) }
    }

    /// One page of what is wanted.
    pub(super) async fn search(&self, wanted: Search) -> Result<Result<Page, Unreadable>, Halt> {
        let slot = Arc::clone(&self.slots).acquire_owned().await;
        let (directory, clock, head) = (self.directory.clone(), Arc::clone(&self.clock), *self.head.borrow());
        let looked = tokio::task::spawn_blocking(move || {
            // Held until the end, also if nobody waits for the answer any more.
            let _slot = slot;
            let until = clock.monotonic() + LONGEST;
            search(&Real::new(), &directory, head, wanted, &|| clock.monotonic() >= until)
        });
        looked.await.map_err(|_| Halt("a search of the journal ended without an answer".into()))
    }
}
