//! Each habit of the simulated disk, over many seeds where chance has a say.

use super::*;

const STEP: Step = Step::StageWrite;
const SEEDS: std::ops::Range<u64> = 0..200;

fn path(name: &str) -> &Path {
    Path::new(name)
}

fn put(disk: &Simulated, name: &str, bytes: &[u8]) -> Box<dyn DiskFile> {
    let mut file = disk.create(STEP, path(name)).unwrap();
    file.append(STEP, bytes).unwrap();
    file
}

/// A file whose name and bytes are durable.
fn keep(disk: &Simulated, name: &str, bytes: &[u8]) -> Box<dyn DiskFile> {
    let file = put(disk, name, bytes);
    file.sync(STEP).unwrap();
    disk.sync_folder(STEP, path("/")).unwrap();
    file
}

fn get(disk: &Simulated, name: &str) -> Option<Vec<u8>> {
    disk.entry(path(name)).unwrap()?;
    let file = disk.read(path(name)).unwrap();
    let mut bytes = vec![0; file.length().unwrap() as usize];
    file.read_at(&mut bytes, 0).unwrap();
    Some(bytes)
}

/// How many of the seeds end in each way.
fn outcomes<T: Ord>(run: impl Fn(Simulated) -> T) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    for seed in SEEDS {
        *counts.entry(run(Simulated::new(seed))).or_default() += 1;
    }
    counts
}

#[test]
fn what_was_synced_survives_every_crash() {
    let counts = outcomes(|disk| {
        keep(&disk, "/a", b"kept").append(STEP, b"").unwrap();
        disk.crash();
        disk.crash();
        get(&disk, "/a")
    });
    assert_eq!(counts, BTreeMap::from([(Some(b"kept".to_vec()), SEEDS.count())]));
}

#[test]
fn a_crash_tears_unsynced_appends_anywhere_and_never_what_lies_before() {
    let (mut lengths, mut garbled) = (std::collections::BTreeSet::new(), 0);
    for seed in SEEDS {
        let disk = Simulated::new(seed);
        keep(&disk, "/a", b"kept").append(STEP, &[7; 5000]).unwrap();
        disk.crash();
        let bytes = get(&disk, "/a").unwrap();
        assert!(bytes.starts_with(b"kept"));
        let tail = &bytes[4..];
        let clean = tail.iter().take_while(|byte| **byte == 7).count();
        assert!(tail.len() - clean <= 512, "garbage is at most one sector");
        garbled += usize::from(clean < tail.len());
        lengths.insert(tail.len());
    }
    assert!(lengths.len() > 100 && garbled > 50 && garbled < 150);
}

#[test]
fn a_crash_may_undo_a_cut_that_was_not_synced() {
    let counts = outcomes(|disk| {
        keep(&disk, "/a", b"kept and cut").cut(STEP, 4).unwrap();
        disk.crash();
        get(&disk, "/a")
    });
    assert_eq!(counts.into_keys().collect::<Vec<_>>(), [Some(b"kept".to_vec()), Some(b"kept and cut".to_vec())]);
}

#[test]
fn a_new_name_needs_its_folder_synced() {
    let counts = outcomes(|disk| {
        put(&disk, "/a", b"x").sync(STEP).unwrap();
        disk.crash();
        get(&disk, "/a")
    });
    assert_eq!(counts.into_keys().collect::<Vec<_>>(), [None, Some(b"x".to_vec())]);
}

#[test]
fn a_rename_without_folder_sync_is_whole_or_undone() {
    let counts = outcomes(|disk| {
        keep(&disk, "/a", b"new");
        keep(&disk, "/b", b"old");
        disk.rename(STEP, path("/a"), path("/b")).unwrap();
        disk.crash();
        (get(&disk, "/a"), get(&disk, "/b"))
    });
    let undone = (Some(b"new".to_vec()), Some(b"old".to_vec()));
    assert_eq!(counts.into_keys().collect::<Vec<_>>(), [(None, Some(b"new".to_vec())), undone]);
}

#[test]
fn a_rename_with_folder_sync_stays() {
    let counts = outcomes(|disk| {
        disk.create_folder(STEP, path("/from")).unwrap();
        disk.create_folder(STEP, path("/to")).unwrap();
        put(&disk, "/from/a", b"x").sync(STEP).unwrap();
        disk.rename_no_replace(STEP, path("/from/a"), path("/to/a")).unwrap();
        disk.sync_folder(STEP, path("/to")).unwrap();
        disk.crash();
        (get(&disk, "/from/a"), get(&disk, "/to/a"))
    });
    assert_eq!(counts.into_keys().collect::<Vec<_>>(), [(None, Some(b"x".to_vec()))]);
}

#[test]
fn a_removal_without_folder_sync_may_be_half_done() {
    let counts = outcomes(|disk| {
        disk.create_folder(STEP, path("/a")).unwrap();
        put(&disk, "/a/1", b"x").sync(STEP).unwrap();
        disk.sync_folder(STEP, path("/a")).unwrap();
        disk.remove(STEP, path("/a")).unwrap();
        disk.crash();
        (disk.entry(path("/a")).unwrap().is_some(), get(&disk, "/a/1").is_some())
    });
    assert_eq!(counts.into_keys().collect::<Vec<_>>(), [(false, false), (true, false), (true, true)]);
}

#[test]
fn a_sync_of_one_folder_says_nothing_of_another() {
    let counts = outcomes(|disk| {
        disk.create_folder(STEP, path("/one")).unwrap();
        disk.create_folder(STEP, path("/two")).unwrap();
        put(&disk, "/one/a", b"");
        put(&disk, "/two/a", b"");
        disk.sync_folder(STEP, path("/two")).unwrap();
        disk.crash();
        (get(&disk, "/one/a").is_some(), get(&disk, "/two/a").is_some())
    });
    assert_eq!(counts.into_keys().collect::<Vec<_>>(), [(false, true), (true, true)]);
}

#[test]
fn a_failed_sync_loses_the_data_though_the_next_one_succeeds() {
    for seed in SEEDS {
        let disk = Simulated::new(seed);
        let mut file = keep(&disk, "/a", b"kept");
        file.append(STEP, b"lost").unwrap();
        disk.fail_sync(1);
        assert!(file.sync(STEP).is_err());
        file.sync(STEP).unwrap();
        assert_eq!(get(&disk, "/a").unwrap(), b"keptlost", "the cache still has it");
        file.append(STEP, b"more").unwrap();
        file.sync(STEP).unwrap();
        disk.crash();
        assert_eq!(get(&disk, "/a").unwrap(), b"kept\0\0\0\0more");
    }
}

#[test]
fn a_failed_folder_sync_loses_the_names_though_the_next_one_succeeds() {
    for seed in SEEDS {
        let disk = Simulated::new(seed);
        put(&disk, "/a", b"x").sync(STEP).unwrap();
        disk.fail_sync(1);
        assert!(disk.sync_folder(STEP, path("/")).is_err());
        disk.sync_folder(STEP, path("/")).unwrap();
        assert!(get(&disk, "/a").is_some());
        disk.crash();
        assert_eq!(get(&disk, "/a"), None);
    }
}

#[test]
fn the_planned_sync_fails_and_only_it() {
    let disk = Simulated::new(0);
    let file = put(&disk, "/a", b"x");
    disk.fail_sync(3);
    let results: Vec<bool> = (0..5).map(|_| file.sync(STEP).is_ok()).collect();
    assert_eq!(results, [true, true, false, true, true]);
}

#[test]
fn a_full_disk_takes_what_fits_and_says_so() {
    let disk = Simulated::new(0);
    let mut file = put(&disk, "/a", b"1234");
    disk.limit_bytes(Some(6));
    assert_eq!(disk.space(path("/")).unwrap().free_bytes, 2);
    assert_eq!(file.append(STEP, b"5678").unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(get(&disk, "/a").unwrap(), b"123456");
    disk.remove(STEP, path("/a")).unwrap();
    put(&disk, "/b", b"123456");
}

#[test]
fn a_stopped_machine_does_nothing_until_it_is_turned_on() {
    for (side, expected) in [(Side::Before, "1"), (Side::After, "12")] {
        let disk = Simulated::new(0);
        let mut file = put(&disk, "/a", b"1");
        assert_eq!(disk.passes(Step::GroupWrite), 0);
        disk.stop_at(Step::GroupWrite, 1, side);
        assert!(file.append(Step::GroupWrite, b"2").is_err());
        assert!(disk.entry(path("/a")).is_err());
        assert!(file.sync(STEP).is_err());
        let seen = lock(&disk.state).names.files()[0].lock().unwrap().live.clone();
        assert_eq!(seen, expected.as_bytes());
        disk.crash();
        assert!(disk.entry(path("/a")).is_ok());
    }
}

#[test]
fn a_stop_counts_from_when_it_was_planned() {
    let disk = Simulated::new(0);
    disk.pass(Step::Acknowledge);
    disk.stop_at(Step::Acknowledge, 2, Side::Before);
    disk.pass(Step::Acknowledge);
    assert!(disk.list(path("/")).is_ok());
    disk.pass(Step::Acknowledge);
    assert!(disk.list(path("/")).is_err());
}

#[test]
fn a_handle_does_not_outlive_a_crash() {
    let disk = Simulated::new(0);
    let mut file = keep(&disk, "/a", b"x");
    disk.crash();
    assert!(file.append(STEP, b"y").is_err());
    assert!(file.sync(STEP).is_err());
    assert!(file.length().is_err());
}

#[test]
fn equal_seeds_crash_alike() {
    let run = |seed| {
        let disk = Simulated::new(seed);
        keep(&disk, "/a", b"").append(STEP, &[1; 4000]).unwrap();
        disk.crash();
        get(&disk, "/a")
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}
