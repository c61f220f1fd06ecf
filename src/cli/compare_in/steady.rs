//! Files that others may write, move or remove meanwhile: read in small pieces, and known to have stayed as they were.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use aws_lc_rs::digest;

use super::folder::{Half, Side};

/// Read at a time from each side.
const PIECE: usize = 64 * 1024;

/// Why a file says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    /// It lay there when the folder was listed.
    Vanished,
    /// It was written to while it was read.
    Changed,
    /// What it is, that it is not opened.
    Odd(&'static str),
    Failed(io::ErrorKind),
}

/// An open file, and how it was when it was opened.
pub(super) struct Steady {
    file: File,
    before: (u64, i64, i64),
    pub(super) length: u64,
    /// Since 1970, in milliseconds, by the wall clock of whoever wrote it.
    pub(super) modified: i64,
}

impl Steady {
    /// Opens it for reading. Never waits for a pipe's other end, and never follows a link.
    pub(super) fn open(half: &Half) -> Result<Self, Unread> {
        if let Some(odd) = half.odd {
            return Err(Unread::Odd(odd));
        }
        let file = open(&half.path)?;
        let metadata = file.metadata().map_err(|error| Unread::Failed(error.kind()))?;
        if !metadata.is_file() {
            return Err(Unread::Odd("it is no regular file"));
        }
        let modified = metadata.mtime().saturating_mul(1000).saturating_add(metadata.mtime_nsec() / 1_000_000);
        Ok(Self { file, before: state(&metadata), length: metadata.len(), modified })
    }

    /// All of it, or the first bytes: one more than `longest`.
    pub(super) fn read_up_to(mut self, longest: usize) -> Result<Vec<u8>, Unread> {
        let mut bytes = Vec::new();
        let limit = longest as u64 + 1;
        self.file.by_ref().take(limit).read_to_end(&mut bytes).map_err(|error| Unread::Failed(error.kind()))?;
        self.see_that_it_stayed()?;
        Ok(bytes)
    }

    /// SHA-256 of all of it. `seen` is told how many bytes each piece had.
    pub(super) fn sha256(mut self, seen: &mut dyn FnMut(u64)) -> Result<[u8; 32], Unread> {
        let mut context = digest::Context::new(&digest::SHA256);
        let mut piece = vec![0; PIECE];
        loop {
            let filled = self.fill(&mut piece)?;
            context.update(&piece[..filled]);
            seen(filled as u64);
            if filled < PIECE {
                break;
            }
        }
        self.see_that_it_stayed()?;
        let mut sum = [0; 32];
        sum.copy_from_slice(context.finish().as_ref());
        Ok(sum)
    }

    fn fill(&mut self, piece: &mut [u8]) -> Result<usize, Unread> {
        let mut filled = 0;
        while filled < piece.len() {
            match self.file.read(&mut piece[filled..]) {
                Ok(0) => break,
                Ok(more) => filled += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Unread::Failed(error.kind())),
            }
        }
        Ok(filled)
    }

    fn see_that_it_stayed(&self) -> Result<(), Unread> {
        let now = self.file.metadata().map_err(|error| Unread::Failed(error.kind()))?;
        if state(&now) == self.before { Ok(()) } else { Err(Unread::Changed) }
    }
}

fn open(path: &Path) -> Result<File, Unread> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(|error| match error.raw_os_error() {
        Some(libc::ENOENT) => Unread::Vanished,
        Some(libc::ELOOP) => Unread::Odd("it is a symbolic link, which is not followed"),
        Some(_) | None => Unread::Failed(error.kind()),
    })
}

fn state(metadata: &Metadata) -> (u64, i64, i64) {
    (metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}

/// The offset of the first byte that differs; the length of the shorter one where it is the other's beginning.
pub(super) fn first_difference(
    mut there: Steady,
    mut here: Steady,
    seen: &mut dyn FnMut(u64),
) -> Result<Option<u64>, (Side, Unread)> {
    let (mut left, mut right) = (vec![0; PIECE], vec![0; PIECE]);
    let mut offset = 0;
    let found = loop {
        let of_left = there.fill(&mut left).map_err(|unread| (Side::There, unread))?;
        let of_right = here.fill(&mut right).map_err(|unread| (Side::Here, unread))?;
        let (left, right) = (&left[..of_left], &right[..of_right]);
        let both = left.len().min(right.len());
        // Whole pieces first: they compare many times faster than bytes.
        if left[..both] != right[..both] {
            let place = left.iter().zip(right).position(|(left, right)| left != right).unwrap_or(both);
            break Some(offset + place as u64);
        }
        if left.len() != right.len() {
            break Some(offset + both as u64);
        }
        offset += both as u64;
        seen(2 * both as u64);
        if both < PIECE {
            break None;
        }
    };
    there.see_that_it_stayed().map_err(|unread| (Side::There, unread))?;
    here.see_that_it_stayed().map_err(|unread| (Side::Here, unread))?;
    Ok(found)
}
