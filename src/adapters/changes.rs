//! What the system tells of changes in folders. Only a hint: a network share tells of nothing, a watched folder over which
//! another is mounted tells no more, and what comes too fast is dropped. Whoever listens looks by itself as well.

use std::path::Path;
use std::sync::Arc;

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

/// One watched folder. Dropped, it is watched no more.
pub struct Changes {
    _watcher: RecommendedWatcher,
}

impl Changes {
    /// Tells `hint` of each change in `folder` from now on. What is only read there does not count, or each look would be
    /// the cause of the next.
    pub fn of(folder: &Path, hint: Arc<Notify>) -> Result<Self, notify::Error> {
        let tell = move |event: Result<Event, notify::Error>| match event.map(|event| event.kind) {
            Ok(EventKind::Access(_)) => {}
            // An error may be that some were dropped.
            Ok(
                EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) | EventKind::Other,
            )
            | Err(_) => hint.notify_one(),
        };
        let mut watcher = notify::recommended_watcher(tell)?;
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
        Ok(Self { _watcher: watcher })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_new_file_is_told_and_a_read_one_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let hint = Arc::new(Notify::new());
        let told = |within| tokio::time::timeout(Duration::from_millis(within), hint.notified());
        let _changes = Changes::of(folder.path(), Arc::clone(&hint)).expect("watched");
        std::fs::write(folder.path().join("a"), "a").expect("written");
        told(10_000).await.expect("told of a new file");
        // The rest of that.
        while told(300).await.is_ok() {}
        std::fs::read(folder.path().join("a")).expect("read");
        assert!(told(300).await.is_err(), "told of a read");
        assert!(Changes::of(&folder.path().join("missing"), Arc::clone(&hint)).is_err());
    }
}
