//! Folders: the names one sees, the names that survive, and the changes between them.
//!
//! Each change to a name is a [`Change`], kept in order until a folder sync makes it durable.
//! A sync takes the changes that touch its folder, and those before them that touch the same names, and no others:
//! less than a journalling file system would, so that a forgotten folder sync shows.
//! A crash keeps a prefix of what is left, as a journal does. A rename survives whole or not at all.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path};
use std::sync::{Arc, Mutex};

use super::content::Content;
use super::dice::Dice;

/// What a name stands for.
#[derive(Debug, Clone)]
pub(super) enum Node {
    File(Arc<Mutex<Content>>),
    Folder(FolderId),
}

/// A folder keeps its number wherever it is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FolderId(u64);

/// One name in one folder.
pub(super) type Place = (FolderId, OsString);

#[derive(Debug, Clone)]
enum Change {
    Add(Place, Node),
    Drop(Place),
    Move(Place, Place, Node),
}

impl Change {
    fn places(&self) -> impl Iterator<Item = &Place> {
        let (first, second) = match self {
            Self::Add(place, _) | Self::Drop(place) => (place, None),
            Self::Move(from, to, _) => (from, Some(to)),
        };
        std::iter::once(first).chain(second)
    }
}

#[derive(Debug, Default)]
struct Folder {
    live: BTreeMap<OsString, Node>,
    durable: BTreeMap<OsString, Node>,
}

/// All folders.
#[derive(Debug)]
pub(super) struct Names {
    folders: HashMap<FolderId, Folder>,
    pending: Vec<Change>,
    /// Names whose folder sync failed: no later change to them becomes durable before the next crash.
    stuck: BTreeSet<Place>,
    next: u64,
}

const ROOT: FolderId = FolderId(0);

impl Names {
    pub(super) fn new() -> Self {
        let folders = HashMap::from([(ROOT, Folder::default())]);
        Self { folders, pending: Vec::new(), stuck: BTreeSet::new(), next: 1 }
    }

    /// The folder and last name of `path`.
    pub(super) fn place(&self, path: &Path) -> io::Result<Place> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path has no last name"));
        };
        Ok((self.folder(parent)?, name.to_owned()))
    }

    /// The folder at `path`.
    pub(super) fn folder(&self, path: &Path) -> io::Result<FolderId> {
        let mut at = ROOT;
        for component in path.components() {
            match component {
                Component::RootDir | Component::CurDir => {}
                Component::Normal(name) => match self.find(at, name) {
                    Some(Node::Folder(id)) => at = *id,
                    Some(Node::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
                    None => return Err(io::ErrorKind::NotFound.into()),
                },
                Component::ParentDir | Component::Prefix(_) => return Err(io::ErrorKind::InvalidInput.into()),
            }
        }
        Ok(at)
    }

    /// What lies at `path`; the root is a folder.
    pub(super) fn node(&self, path: &Path) -> io::Result<Option<Node>> {
        if path.file_name().is_none() {
            return self.folder(path).map(|id| Some(Node::Folder(id)));
        }
        match self.place(path) {
            Ok((folder, name)) => Ok(self.find(folder, &name).cloned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The names in a folder, in order.
    pub(super) fn list(&self, folder: FolderId) -> Vec<(OsString, Node)> {
        self.live(folder).iter().map(|(name, node)| (name.clone(), node.clone())).collect()
    }

    fn find(&self, folder: FolderId, name: &OsStr) -> Option<&Node> {
        self.live(folder).get(name)
    }

    fn live(&self, folder: FolderId) -> &BTreeMap<OsString, Node> {
        &self.folders[&folder].live
    }

    /// Adds a new, empty folder under `place`, which must be free.
    pub(super) fn add_folder(&mut self, place: Place) -> FolderId {
        let id = FolderId(self.next);
        self.next += 1;
        self.folders.insert(id, Folder::default());
        self.change(Change::Add(place, Node::Folder(id)));
        id
    }

    /// Adds a new, empty file under `place`, which must be free.
    pub(super) fn add_file(&mut self, place: Place) -> io::Result<Arc<Mutex<Content>>> {
        if self.find(place.0, &place.1).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let content = Arc::new(Mutex::new(Content::default()));
        self.change(Change::Add(place, Node::File(content.clone())));
        Ok(content)
    }

    /// Renames as rename(2) does: a file replaces a file, a folder an empty folder.
    pub(super) fn rename(&mut self, from: Place, to: Place) -> io::Result<()> {
        let node = self.find(from.0, &from.1).cloned().ok_or(io::ErrorKind::NotFound)?;
        match (&node, self.find(to.0, &to.1)) {
            (_, None) | (Node::File(_), Some(Node::File(_))) => {}
            (Node::Folder(_), Some(Node::Folder(target))) if self.live(*target).is_empty() => {}
            (Node::Folder(_), Some(Node::Folder(_))) => return Err(io::ErrorKind::DirectoryNotEmpty.into()),
            (Node::File(_), Some(Node::Folder(_))) => return Err(io::ErrorKind::IsADirectory.into()),
            (Node::Folder(_), Some(Node::File(_))) => return Err(io::ErrorKind::NotADirectory.into()),
        }
        if from != to {
            self.change(Change::Move(from, to, node));
        }
        Ok(())
    }

    /// Removes a name, and what is below it first, as a crash may find it half done.
    pub(super) fn remove(&mut self, place: Place) {
        if let Some(Node::Folder(id)) = self.find(place.0, &place.1).cloned() {
            for (name, _) in self.list(id) {
                self.remove((id, name));
            }
        }
        if self.find(place.0, &place.1).is_some() {
            self.change(Change::Drop(place));
        }
    }

    fn change(&mut self, change: Change) {
        apply(&mut self.folders, |folder| &mut folder.live, &change);
        self.pending.push(change);
    }

    /// Makes the names in `folder` durable.
    pub(super) fn sync(&mut self, folder: FolderId) {
        for change in self.take_related(folder) {
            self.settle(&change);
        }
    }

    /// The names in `folder` stay as they are seen now until the next crash, and are gone after it.
    pub(super) fn fail_sync(&mut self, folder: FolderId) {
        for change in self.take_related(folder) {
            self.stuck.extend(change.places().cloned());
        }
    }

    /// Power goes: of the changes never synced, the first few survive.
    pub(super) fn crash(&mut self, dice: &mut Dice) {
        let mut pending = std::mem::take(&mut self.pending);
        pending.truncate(dice.below(pending.len() + 1));
        for change in &pending {
            self.settle(change);
        }
        self.stuck.clear();
        for folder in self.folders.values_mut() {
            folder.live = folder.durable.clone();
        }
        let reachable = self.reachable(ROOT);
        self.folders.retain(|id, _| reachable.contains(id));
        for content in self.files() {
            lock(&content).crash(dice);
        }
    }

    /// Takes out the pending changes that touch `folder`, and those before them that touch the same names.
    fn take_related(&mut self, folder: FolderId) -> Vec<Change> {
        let mut names: BTreeSet<Place> = BTreeSet::new();
        let (mut taken, mut left) = (Vec::new(), Vec::new());
        for change in std::mem::take(&mut self.pending).into_iter().rev() {
            if change.places().any(|place| place.0 == folder || names.contains(place)) {
                names.extend(change.places().cloned());
                taken.push(change);
            } else {
                left.push(change);
            }
        }
        left.reverse();
        taken.reverse();
        self.pending = left;
        taken
    }

    fn settle(&mut self, change: &Change) {
        if change.places().any(|place| self.stuck.contains(place)) {
            self.stuck.extend(change.places().cloned());
        } else {
            apply(&mut self.folders, |folder| &mut folder.durable, change);
        }
    }

    fn reachable(&self, from: FolderId) -> BTreeSet<FolderId> {
        let mut seen = BTreeSet::from([from]);
        let mut open = vec![from];
        while let Some(id) = open.pop() {
            for node in self.live(id).values() {
                if let Node::Folder(inner) = node
                    && seen.insert(*inner)
                {
                    open.push(*inner);
                }
            }
        }
        seen
    }

    /// Every file with a name, in the order of folders and names.
    pub(super) fn files(&self) -> Vec<Arc<Mutex<Content>>> {
        let mut found = Vec::new();
        for id in self.reachable(ROOT) {
            for node in self.live(id).values() {
                if let Node::File(content) = node {
                    found.push(content.clone());
                }
            }
        }
        found
    }
}

fn apply(
    folders: &mut HashMap<FolderId, Folder>,
    view: fn(&mut Folder) -> &mut BTreeMap<OsString, Node>,
    change: &Change,
) {
    let mut set = |place: &Place, node: Option<&Node>| {
        if let Some(folder) = folders.get_mut(&place.0) {
            match node {
                Some(node) => view(folder).insert(place.1.clone(), node.clone()),
                None => view(folder).remove(&place.1),
            };
        }
    };
    match change {
        Change::Add(place, node) => set(place, Some(node)),
        Change::Drop(place) => set(place, None),
        Change::Move(from, to, node) => {
            set(from, None);
            set(to, Some(node));
        }
    }
}

/// No code panics while it holds one of these locks.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
