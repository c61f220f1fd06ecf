//! The folders by which applications send: pairs of files in, and what became of them out (mesh-client-files 1 to 4).

use std::io::{self, Read};

use crate::domain::control::{Control, Told};
use crate::domain::fault::Fault;
use crate::domain::pair::BaseName;
use crate::domain::time::Timestamp;

/// The folders of one mailbox. All calls block, for as long as the file system does.
pub trait Pairs: Send + Sync {
    /// What lies in `OUT`. Nothing is opened.
    fn look(&self) -> Result<Lying, Fault>;
    /// Opens one of its files.
    fn read(&self, file: &FileSeen) -> io::Result<Box<dyn Read + Send>>;
    /// Whether the files of a pair are as they were seen.
    fn is_as_seen(&self, pair: &PairSeen) -> io::Result<bool>;
    /// Tells applications what became of pairs, and takes these out of `OUT`. Durable on return; done again after a
    /// crash, it finds what it did before. A pair that is not as it was seen is left as it is, and `false` said of it.
    fn put_away(&self, away: &[Away<'_>]) -> Result<Vec<bool>, Fault>;
    /// Writes reports about pairs that stay in `OUT` for now.
    fn report(&self, reports: &[Report<'_>]) -> Result<(), Fault>;
}

/// What lies in `OUT`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lying {
    /// Pairs, and halves of pairs, by name.
    pub pairs: Vec<PairSeen>,
    /// Files that are no half of a pair, or have a name that no pair may have.
    pub strangers: u64,
    /// When the root was taken from a daemon whose state this was restored from: what lay there then may have been sent by
    /// that one.
    pub adopted: Option<Timestamp>,
}

/// A pair, or a half of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairSeen {
    /// The name of both.
    pub base: BaseName,
    /// `<base>.dat`
    pub data: Option<FileSeen>,
    /// `<base>.ctl`
    pub control: Option<FileSeen>,
}

/// A file as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSeen {
    /// Its base name.
    pub base: BaseName,
    /// Its extension as it is spelled there.
    pub extension: String,
    /// Bytes.
    pub length: u64,
    /// When its content last changed, by the wall clock.
    pub modified: Timestamp,
}

/// A pair that is to be taken out of `OUT`.
#[derive(Debug, Clone, Copy)]
pub struct Away<'a> {
    /// The pair, as it must be found.
    pub pair: &'a PairSeen,
    /// What its control file said, as far as it could be read.
    pub control: Option<&'a Control>,
    /// The control file is written anew with what became of it; else it stays as its sender wrote it.
    pub rewrites: bool,
    /// What became of it.
    pub told: &'a Told,
    /// Where it goes.
    pub to: Shelf,
    /// A report of it is put into `IN`.
    pub report: bool,
}

/// Where a pair goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shelf {
    /// `SENT`
    Sent,
    /// `FAILED`
    Failed,
    /// Nowhere: it is removed.
    Removed,
}

/// What is told of a pair that stays.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// The pair.
    pub pair: &'a PairSeen,
    /// What its control file said.
    pub control: &'a Control,
    /// What became of it so far.
    pub told: &'a Told,
}
