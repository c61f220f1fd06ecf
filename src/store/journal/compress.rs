//! Replaces closed segments by their compressed form, a piece at a time, so that no commit waits for a whole one.
//!
//! The compressed file is made under a temporary name, synced and renamed before the plain one goes; a crash leaves
//! either both, and then the plain one wins and is compressed again, or a temporary file that the next opening removes.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::segment::Name;
use super::{failed, segments};
use crate::domain::step::Step;
use crate::ports::disk::{Disk, DiskFile};
use crate::ports::store::Halt;

/// Bytes compressed in one step: about a millisecond of work.
const PIECE: usize = 256 * 1024;
/// Most of what there is to gain, at five times the speed of the usual level.
const LEVEL: u32 = 1;

/// Compresses the closed segments of one folder, oldest first.
pub struct Compressor {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    waiting: Vec<Name>,
    current: Option<Job>,
}

struct Job {
    name: Name,
    source: Box<dyn DiskFile>,
    at: u64,
    out: GzEncoder<Sink>,
}

struct Sink(Box<dyn DiskFile>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.append(Step::SegmentCompress, bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Compressor {
    /// Finds what waits in `directory`: all plain segments before `open_from`.
    pub fn new(disk: Arc<dyn Disk>, directory: &Path, open_from: u64) -> Result<Self, Halt> {
        let mut waiting = segments(disk.as_ref(), directory)?;
        waiting.retain(|name| !name.compressed && name.first < open_from);
        waiting.reverse();
        Ok(Self { disk, directory: directory.to_owned(), waiting, current: None })
    }

    /// A segment was closed.
    pub fn add(&mut self, name: Name) {
        self.waiting.insert(0, name);
    }

    /// Something waits.
    pub fn is_busy(&self) -> bool {
        self.current.is_some() || !self.waiting.is_empty()
    }

    /// Does one piece of work. A failure is final, like every failed write.
    pub fn step(&mut self) -> Result<(), Halt> {
        match self.current.take() {
            Some(job) => self.go_on(job).map_err(failed("compress a journal segment")),
            None => match self.waiting.pop() {
                Some(name) => self.begin(name).map_err(failed("begin to compress a journal segment")),
                None => Ok(()),
            },
        }
    }

    fn temp(&self, name: &Name) -> PathBuf {
        self.directory.join(format!("{:020}.gz.tmp", name.first))
    }

    fn begin(&mut self, name: Name) -> io::Result<()> {
        let temp = self.temp(&name);
        self.disk.remove(Step::SegmentCompress, &temp)?;
        let sink = Sink(self.disk.create(Step::SegmentCompress, &temp)?);
        let source = self.disk.read(&name.path(&self.directory))?;
        self.current = Some(Job { name, source, at: 0, out: GzEncoder::new(sink, Compression::new(LEVEL)) });
        Ok(())
    }

    fn go_on(&mut self, mut job: Job) -> io::Result<()> {
        let mut piece = vec![0; PIECE];
        let got = job.source.read_at(&mut piece, job.at)?;
        if got > 0 {
            job.out.write_all(&piece[..got])?;
            job.at += got as u64;
            self.current = Some(job);
            return Ok(());
        }
        let Sink(file) = job.out.finish()?;
        file.sync(Step::SegmentCompress)?;
        let plain = job.name.path(&self.directory);
        let packed = Name { compressed: true, ..job.name.clone() }.path(&self.directory);
        self.disk.rename(Step::SegmentCompress, &self.temp(&job.name), &packed)?;
        self.disk.sync_folder(Step::SegmentCompress, &self.directory)?;
        self.disk.remove(Step::SegmentCompress, &plain)?;
        self.disk.sync_folder(Step::SegmentCompress, &self.directory)
    }
}
