//! The folder that the import makes: for its owner alone, and whole or not at all.

use std::fs::{DirBuilder, canonicalize, remove_dir};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};

use super::super::Failure;
use super::super::own_file::{FOR_ITS_OWNER, folder, give_up};
use crate::store::disk::write_secret;

/// A folder of ours, and the files that were made in it.
pub(super) struct Place {
    root: PathBuf,
    folders: Vec<PathBuf>,
    written: Vec<PathBuf>,
}

impl Place {
    /// Makes the folder, or takes one that is empty. Its parent must be there.
    pub(super) fn make(path: &Path) -> Result<Self, Failure> {
        folder(path)?;
        let named = || format!("make {}", path.display());
        let root = canonicalize(path).with_context(named)?;
        if root.to_str().is_none() {
            return Err(anyhow!("{}: the configuration could not name it, as it is no UTF-8", path.display()).into());
        }
        Ok(Self { root, folders: Vec::new(), written: Vec::new() })
    }

    /// Where a file is, or will be.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Makes a folder in it.
    pub(super) fn folder(&mut self, name: &str) -> Result<(), Failure> {
        let path = self.path(name);
        let made = DirBuilder::new().mode(FOR_ITS_OWNER).create(&path);
        made.with_context(|| format!("make {}", path.display()))?;
        self.folders.push(path);
        Ok(())
    }

    /// Makes a file in it, mode 0600; it is durable on return. If that fails, all that was made is removed again.
    pub(super) fn write(&mut self, name: &str, text: &str) -> Result<(), Failure> {
        let path = self.path(name);
        let made = write_secret(&path, text);
        let is_anothers = matches!(&made, Err(error) if error.kind() == io::ErrorKind::AlreadyExists);
        let named = format!("make {}", path.display());
        // What could not be finished may be there all the same.
        if !is_anothers && path.exists() {
            self.written.push(path);
        }
        made.with_context(|| named).map_err(|error| self.empty(error.into()))
    }

    /// Leaves nothing of ours behind: half of it could pass for the whole.
    fn empty(&mut self, failure: Failure) -> Failure {
        let failure = self.written.drain(..).fold(failure, |failure, path| give_up(&path, failure));
        self.folders.drain(..).fold(failure, |failure, path| match remove_dir(&path) {
            Ok(()) => failure,
            Err(error) => anyhow!("{failure}; and {} stays: {error}", path.display()).into(),
        })
    }

    /// All files that were made.
    pub(super) fn into_written(self) -> Vec<PathBuf> {
        self.written
    }
}
