use super::*;
use crate::domain::time::Timestamp;
use crate::store::disk::Real;
use crate::store::index::memory::Memory;

/// A clock that jumps ahead at every look, so that no wait lasts longer than two seconds: one that was closed just now
/// may hold its lock a little longer.
struct Impatient(std::sync::Mutex<Duration>);

impl Clock for Impatient {
    fn wall(&self) -> Timestamp {
        Timestamp(0)
    }

    fn monotonic(&self) -> Duration {
        let mut now = self.0.lock().unwrap();
        *now += LOCK_WAIT / 40;
        *now
    }
}

fn opening(room: &Path, probe: Option<Probe>) -> Opening {
    let clock = Arc::new(Impatient(std::sync::Mutex::new(Duration::ZERO)));
    Opening { directory: room.join("index"), disk: Arc::new(Real::new()), clock, probe }
}

fn open(room: &Path) -> Sled {
    Sled::open(opening(room, None)).unwrap()
}

fn batch(rows: &[(&str, Option<&str>)]) -> Batch {
    rows.iter().map(|(key, value)| (key.as_bytes().to_vec(), value.map(|value| value.as_bytes().to_vec()))).collect()
}

fn keys(pairs: Vec<Pair>) -> Vec<String> {
    pairs.into_iter().map(|(key, _)| String::from_utf8(key).unwrap()).collect()
}

/// What every index does.
fn contract(index: &mut dyn Index) {
    index.apply(&batch(&[("a", Some("1")), ("b", Some("2")), ("c", Some("3"))])).unwrap();
    index.apply(&batch(&[("b", None), ("c", Some("4")), ("d", Some(""))])).unwrap();
    index.sync().unwrap();
    assert_eq!(index.get(b"b"), Ok(None));
    assert_eq!(index.get(b"c"), Ok(Some(b"4".to_vec())));
    assert_eq!(keys(index.scan(b"a", b"d", Order::Ascending, 9).unwrap()), ["a", "c"]);
    assert_eq!(keys(index.scan(b"", b"z", Order::Descending, 2).unwrap()), ["d", "c"]);
    assert_eq!(index.scan(b"d", b"a", Order::Ascending, 9), Ok(Vec::new()));
    index.clear().unwrap();
    assert_eq!(index.scan(b"", b"z", Order::Ascending, 9), Ok(Vec::new()));
}

#[test]
fn sled_and_memory_keep_one_contract() {
    let room = tempfile::tempdir().unwrap();
    contract(&mut open(room.path()));
    contract(&mut Memory::default());
}

#[test]
fn what_was_synced_is_there_after_opening_again() {
    let room = tempfile::tempdir().unwrap();
    let mut index = open(room.path());
    index.apply(&batch(&[("a", Some("1"))])).unwrap();
    index.sync().unwrap();
    drop(index);
    assert_eq!(open(room.path()).get(b"a"), Ok(Some(b"1".to_vec())));
}

#[test]
fn what_is_no_database_is_moved_aside() {
    let room = tempfile::tempdir().unwrap();
    std::fs::create_dir(room.path().join("index")).unwrap();
    std::fs::write(room.path().join("index/conf"), b"rubbish, and more of it").unwrap();
    let mut index = open(room.path());
    assert_eq!(std::fs::read(room.path().join("index.aside/conf")).unwrap(), b"rubbish, and more of it");
    index.apply(&batch(&[("a", Some("1"))])).unwrap();
}

#[test]
fn one_that_does_not_pass_its_trial_or_was_condemned_is_moved_aside() {
    let room = tempfile::tempdir().unwrap();
    let mut index = open(room.path());
    index.apply(&batch(&[("a", Some("1"))])).unwrap();
    index.condemn();
    drop(index);
    let mut index = open(room.path());
    assert_eq!(index.get(b"a"), Ok(None), "condemned");
    index.apply(&batch(&[("b", Some("1"))])).unwrap();
    drop(index);

    let passes: Probe = Box::new(|directory| Sled::try_out(directory).map_err(|error| error.to_string()));
    let index = Sled::open(opening(room.path(), Some(passes))).unwrap();
    assert_eq!(index.get(b"b"), Ok(Some(b"1".to_vec())), "passed");
    drop(index);

    let fails: Probe = Box::new(|_| Err("it crashed".into()));
    let index = Sled::open(opening(room.path(), Some(fails))).unwrap();
    assert_eq!(index.get(b"b"), Ok(None), "failed");
}

#[test]
fn a_locked_database_is_not_taken_for_a_damaged_one() {
    let room = tempfile::tempdir().unwrap();
    let first = open(room.path());
    let second = Sled::open(opening(room.path(), None));
    assert!(second.is_err(), "another process owns it");
    assert!(!room.path().join("index.aside").exists());
    drop(first);
}
