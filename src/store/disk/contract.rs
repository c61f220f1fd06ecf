//! What every [`Disk`] does, run over each of them.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{Real, Simulated};
use crate::domain::step::Step;
use crate::ports::disk::{Disk, DiskFile, EntryKind};

const STEP: Step = Step::StageWrite;

/// A disk and an empty folder on it.
struct Room {
    disk: Box<dyn Disk>,
    folder: PathBuf,
    _real: Option<tempfile::TempDir>,
}

impl Room {
    fn real() -> Self {
        let real = tempfile::tempdir().unwrap();
        Self { disk: Box::new(Real::new()), folder: real.path().to_owned(), _real: Some(real) }
    }

    fn simulated() -> Self {
        let disk = Simulated::new(1);
        disk.create_folder(STEP, Path::new("/room")).unwrap();
        Self { disk: Box::new(disk), folder: "/room".into(), _real: None }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Box<dyn DiskFile> {
        let mut file = self.disk.create(STEP, &self.path(name)).unwrap();
        file.append(STEP, bytes).unwrap();
        file
    }

    fn get(&self, name: &str) -> Vec<u8> {
        let file = self.disk.read(&self.path(name)).unwrap();
        let mut bytes = vec![0; file.length().unwrap() as usize];
        assert_eq!(file.read_at(&mut bytes, 0).unwrap(), bytes.len());
        bytes
    }

    fn names(&self) -> Vec<String> {
        let entries = self.disk.list(&self.folder).unwrap();
        entries.iter().map(|entry| entry.path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
    }
}

macro_rules! contract {
    ($($claim:ident,)+) => {
        mod real {
            $(#[test] fn $claim() { super::$claim(super::Room::real()); })+
        }
        mod simulated {
            $(#[test] fn $claim() { super::$claim(super::Room::simulated()); })+
        }
    };
}

contract! {
    a_new_file_must_not_exist,
    appends_go_to_the_end_and_read_back,
    an_opened_file_is_continued,
    a_file_opened_for_reading_takes_no_bytes,
    a_cut_only_shortens,
    missing_is_an_error_to_open_and_nothing_to_find,
    folders_are_made_with_their_parents_and_twice,
    a_file_in_the_way_of_a_folder_is_an_error,
    a_folder_is_not_opened_as_a_file,
    a_list_is_in_name_order_and_says_what_is_there,
    a_rename_replaces_a_file,
    a_careful_rename_replaces_nothing,
    a_rename_of_nothing_is_an_error,
    a_folder_is_renamed_with_all_it_holds,
    removing_takes_whole_folders_and_nothing_is_fine,
    syncs_and_access_succeed_on_what_is_there,
    space_is_no_less_than_what_is_free_of_it,
}

fn a_new_file_must_not_exist(room: Room) {
    room.put("a", b"1");
    let error = room.disk.create(STEP, &room.path("a")).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(room.get("a"), b"1");
}

fn appends_go_to_the_end_and_read_back(room: Room) {
    let mut file = room.put("a", b"one");
    file.append(STEP, b"").unwrap();
    file.append(STEP, b"two").unwrap();
    let mut buffer = [0; 4];
    assert_eq!(file.length().unwrap(), 6);
    assert_eq!(file.read_at(&mut buffer, 1).unwrap(), 4);
    assert_eq!(&buffer, b"netw");
    assert_eq!(file.read_at(&mut buffer, 4).unwrap(), 2);
    assert_eq!(file.read_at(&mut buffer, 6).unwrap(), 0);
    assert_eq!(file.read_at(&mut buffer, 600).unwrap(), 0);
}

fn an_opened_file_is_continued(room: Room) {
    room.put("a", b"one");
    room.disk.open(&room.path("a")).unwrap().append(STEP, b"two").unwrap();
    assert_eq!(room.get("a"), b"onetwo");
}

fn a_file_opened_for_reading_takes_no_bytes(room: Room) {
    room.put("a", b"one");
    assert!(room.disk.read(&room.path("a")).unwrap().append(STEP, b"two").is_err());
    assert_eq!(room.get("a"), b"one");
}

fn a_cut_only_shortens(room: Room) {
    let mut file = room.put("a", b"onetwo");
    file.cut(STEP, 4).unwrap();
    assert_eq!(file.cut(STEP, 5).unwrap_err().kind(), ErrorKind::InvalidInput);
    file.append(STEP, b"x").unwrap();
    assert_eq!(room.get("a"), b"onetx");
}

fn missing_is_an_error_to_open_and_nothing_to_find(room: Room) {
    let missing = room.path("missing");
    assert_eq!(room.disk.open(&missing).err().unwrap().kind(), ErrorKind::NotFound);
    assert_eq!(room.disk.read(&missing).err().unwrap().kind(), ErrorKind::NotFound);
    assert_eq!(room.disk.list(&missing).err().unwrap().kind(), ErrorKind::NotFound);
    assert_eq!(room.disk.sync_folder(STEP, &missing).err().unwrap().kind(), ErrorKind::NotFound);
    assert_eq!(room.disk.create(STEP, &missing.join("a")).err().unwrap().kind(), ErrorKind::NotFound);
    assert_eq!(room.disk.entry(&missing).unwrap(), None);
    assert_eq!(room.disk.entry(&missing.join("a")).unwrap(), None);
}

fn folders_are_made_with_their_parents_and_twice(room: Room) {
    for _ in 0..2 {
        room.disk.create_folder(STEP, &room.path("a/b/c")).unwrap();
    }
    assert_eq!(room.disk.entry(&room.path("a/b/c")).unwrap().unwrap().kind, EntryKind::Folder);
}

fn a_file_in_the_way_of_a_folder_is_an_error(room: Room) {
    room.put("a", b"");
    assert_eq!(room.disk.create_folder(STEP, &room.path("a")).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert!(room.disk.create_folder(STEP, &room.path("a/b")).is_err());
}

fn a_folder_is_not_opened_as_a_file(room: Room) {
    assert!(room.disk.open(&room.folder).is_err());
    assert_eq!(room.disk.read(&room.folder).err().unwrap().kind(), ErrorKind::InvalidInput);
}

fn a_list_is_in_name_order_and_says_what_is_there(room: Room) {
    room.put("b", b"12");
    room.put("c", b"");
    room.disk.create_folder(STEP, &room.path("a")).unwrap();
    let found = room.disk.list(&room.folder).unwrap();
    let shape: Vec<_> = found.iter().map(|entry| (entry.path.clone(), entry.kind, entry.length)).collect();
    assert_eq!(
        shape,
        [
            (room.path("a"), EntryKind::Folder, 0),
            (room.path("b"), EntryKind::File, 2),
            (room.path("c"), EntryKind::File, 0),
        ]
    );
    assert_eq!(room.disk.entry(&room.path("b")).unwrap().as_ref(), Some(&found[1]));
    assert!(found.iter().all(|entry| entry.device == found[0].device));
}

fn a_rename_replaces_a_file(room: Room) {
    room.put("a", b"a");
    room.put("b", b"b");
    room.disk.rename(STEP, &room.path("a"), &room.path("b")).unwrap();
    assert_eq!(room.names(), ["b"]);
    assert_eq!(room.get("b"), b"a");
}

fn a_careful_rename_replaces_nothing(room: Room) {
    room.put("a", b"a");
    room.put("b", b"b");
    let error = room.disk.rename_no_replace(STEP, &room.path("a"), &room.path("b")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert_eq!((room.get("a"), room.get("b")), (b"a".to_vec(), b"b".to_vec()));
    room.disk.rename_no_replace(STEP, &room.path("a"), &room.path("c")).unwrap();
    assert_eq!(room.names(), ["b", "c"]);
}

fn a_rename_of_nothing_is_an_error(room: Room) {
    room.put("b", b"b");
    for to in ["b", "c"] {
        let (from, to) = (room.path("a"), room.path(to));
        assert_eq!(room.disk.rename(STEP, &from, &to).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(room.disk.rename_no_replace(STEP, &from, &to).unwrap_err().kind(), ErrorKind::NotFound);
    }
}

fn a_folder_is_renamed_with_all_it_holds(room: Room) {
    room.disk.create_folder(STEP, &room.path("a.part")).unwrap();
    room.put("a.part/1", b"x");
    room.disk.rename_no_replace(STEP, &room.path("a.part"), &room.path("a")).unwrap();
    room.disk.sync_folder(STEP, &room.folder).unwrap();
    assert_eq!(room.get("a/1"), b"x");
    room.disk.create_folder(STEP, &room.path("b")).unwrap();
    let error = room.disk.rename_no_replace(STEP, &room.path("b"), &room.path("a")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(
        room.disk.rename(STEP, &room.path("b"), &room.path("a")).unwrap_err().kind(),
        ErrorKind::DirectoryNotEmpty
    );
}

fn removing_takes_whole_folders_and_nothing_is_fine(room: Room) {
    room.disk.create_folder(STEP, &room.path("a/b")).unwrap();
    room.put("a/b/c", b"x");
    room.put("d", b"x");
    for name in ["a", "d", "missing", "missing/too"] {
        room.disk.remove(STEP, &room.path(name)).unwrap();
    }
    assert_eq!(room.names(), [""; 0]);
}

fn syncs_and_access_succeed_on_what_is_there(room: Room) {
    let (a, b) = (room.put("a", b"a"), room.put("b", b"b"));
    room.disk.sync_all(&[]).unwrap();
    room.disk.sync_all(&[(STEP, a.as_ref()), (STEP, b.as_ref())]).unwrap();
    room.disk.sync_folder(STEP, &room.folder).unwrap();
    room.disk.set_access(&room.path("a"), 0o640, None).unwrap();
    assert!(room.disk.set_access(&room.path("missing"), 0o640, None).is_err());
    room.disk.pass(STEP);
}

fn space_is_no_less_than_what_is_free_of_it(room: Room) {
    let space = room.disk.space(&room.folder).unwrap();
    assert!(space.bytes > 0);
    assert!(space.free_bytes <= space.bytes && space.free_inodes <= space.inodes);
    assert!(!room.disk.mount(&room.folder).unwrap().kind.is_empty());
}
