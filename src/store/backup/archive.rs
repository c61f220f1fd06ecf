//! A tar archive, written and read as a stream: only what a backup needs of it.
//!
//! ```text
//! offset  bytes                       offset  bytes
//!      0    100  name                    157    100  zero
//!    100      8  mode, "0000600\0"       257      8  "ustar\0" "00"
//!    108     16  zero user and group     265     80  zero
//!    124     12  length, octal           345    155  zero
//!    136     12  zero time               500     12  zero
//!    148      8  checksum
//!    156      1  "0", or "L": the content is the name of the next entry
//! ```
//!
//! The content follows, filled up with zeros to a multiple of 512. Two blocks of zeros are the end.

use std::io::{self, Read, Write};

use super::PIECE;
use crate::domain::digest::Hasher;
use crate::store::journal::segment::fill;

const BLOCK: usize = 512;
const NAME: usize = 100;
/// Two ids of a hundred characters each, and the folders above them.
const LONGEST_NAME: u64 = 512;
const FILE: u8 = b'0';
const LONG_NAME: u8 = b'L';

/// Writes entries one after the other.
pub(super) struct Writer<W> {
    to: W,
    hasher: Hasher,
    files: u64,
    bytes: u64,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(to: W) -> Self {
        Self { to, hasher: Hasher::new(), files: 0, bytes: 0 }
    }

    /// Number of files so far, and their length together.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.files, self.bytes)
    }

    /// SHA-256 of everything so far.
    pub(super) fn sha256(&self) -> String {
        self.hasher.clear()
    }

    /// Adds a file with the first `length` bytes of `content`, which must have as many.
    pub(super) fn add(&mut self, name: &str, length: u64, content: &mut dyn Read) -> io::Result<()> {
        if name.len() > NAME {
            self.put(&header("././@LongLink", name.len() as u64 + 1, LONG_NAME)?)?;
            self.put(name.as_bytes())?;
            self.put(&[0])?;
            self.pad(name.len() as u64 + 1)?;
        }
        // Who reads the entry before knows the whole name.
        self.put(&header(&name[..name.len().min(NAME)], length, FILE)?)?;
        let mut piece = vec![0; PIECE];
        let mut rest = length;
        while rest > 0 {
            let wanted = usize::try_from(rest).unwrap_or(PIECE).min(PIECE);
            if fill(content, &mut piece[..wanted])? < wanted {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.put(&piece[..wanted])?;
            rest -= wanted as u64;
        }
        self.files += 1;
        self.bytes += length;
        self.pad(length)
    }

    /// Ends the archive.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.put(&[0; 2 * BLOCK])?;
        Ok(self.to)
    }

    fn pad(&mut self, length: u64) -> io::Result<()> {
        self.put(&[0; BLOCK][..padding(length)])
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.to.write_all(bytes)
    }
}

fn padding(length: u64) -> usize {
    (length.next_multiple_of(BLOCK as u64) - length) as usize
}

fn header(name: &str, length: u64, kind: u8) -> io::Result<[u8; BLOCK]> {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    let octal = format!("{length:011o}");
    if octal.len() > 11 {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "no file in a backup has 8 GiB"));
    }
    put(0, name.as_bytes());
    put(100, b"0000600\x000000000\x000000000\x00");
    put(124, octal.as_bytes());
    put(136, b"00000000000\0        ");
    put(156, &[kind]);
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(block)
}

/// Reads entries one after the other.
pub(super) struct Entries<R> {
    from: R,
    hasher: Hasher,
    /// Of the entry handed out: its content not read yet, and what fills it up.
    rest: u64,
    padding: usize,
}

/// What an entry says of itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) length: u64,
    /// SHA-256 of the archive before it.
    pub(super) before: String,
}

impl<R: Read> Entries<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, hasher: Hasher::new(), rest: 0, padding: 0 }
    }

    /// The next entry; `None` at the end. Its content is what is read from `self` until the next call.
    pub(super) fn read_next(&mut self) -> io::Result<Option<Entry>> {
        io::copy(self, &mut io::sink())?;
        self.take(self.padding)?;
        self.padding = 0;
        let before = self.hasher.clear();
        let Some((mut name, mut length, kind)) = self.header()? else {
            // To its very end, where the seal says that nothing was cut off.
            io::copy(&mut self.from, &mut io::sink())?;
            return Ok(None);
        };
        if kind == LONG_NAME {
            if length > LONGEST_NAME {
                return Err(unsound("a name is too long"));
            }
            let long = self.take((length + padding(length) as u64) as usize)?;
            name = text(&long)?;
            let Some((_, its, FILE)) = self.header()? else { return Err(unsound("a name without its file")) };
            length = its;
        } else if kind != FILE {
            return Err(unsound("an entry that is no file"));
        }
        (self.rest, self.padding) = (length, padding(length));
        Ok(Some(Entry { name, length, before }))
    }

    fn header(&mut self) -> io::Result<Option<(String, u64, u8)>> {
        let block = self.take(BLOCK)?;
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let name = text(&block[..NAME])?;
        let octal = std::str::from_utf8(&block[124..135]).ok().and_then(|digits| u64::from_str_radix(digits, 8).ok());
        let length = octal.ok_or_else(|| unsound("a length"))?;
        let kind = block[156];
        // What we do not read has no say: the header must be the one we would write.
        if header(&name, length, kind)?[..] != block[..] {
            return Err(unsound("a header that meshd does not write"));
        }
        Ok(Some((name, length, kind)))
    }

    fn take(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.from.read_exact(&mut bytes)?;
        self.hasher.update(&bytes);
        Ok(bytes)
    }
}

impl<R: Read> Read for Entries<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.rest).unwrap_or(buffer.len()).min(buffer.len());
        if wanted == 0 {
            // age 0.12 drops a piece of 64 KiB when it is asked for nothing at its beginning.
            return Ok(0);
        }
        let got = self.from.read(&mut buffer[..wanted])?;
        if got == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.hasher.update(&buffer[..got]);
        self.rest -= got as u64;
        Ok(got)
    }
}

/// A name, ended by a zero or the field.
fn text(field: &[u8]) -> io::Result<String> {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    let name = std::str::from_utf8(&field[..end]).ok().filter(|name| name.is_ascii());
    name.map(str::to_owned).ok_or_else(|| unsound("a name"))
}

fn unsound(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(files: &[(String, Vec<u8>)]) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new());
        for (name, content) in files {
            writer.add(name, content.len() as u64, &mut content.as_slice()).expect("memory takes it");
        }
        writer.finish().expect("memory takes it")
    }

    fn files() -> Vec<(String, Vec<u8>)> {
        let long = format!("spool/chunks/{}/{}.7/000001.age", "M".repeat(100), "m".repeat(100));
        [("a".to_owned(), 0), (long, 513), ("n".repeat(100), 512), ("z".to_owned(), 3 * PIECE + 1)]
            .map(|(name, length)| (name, (0..length).map(|place| place as u8).collect()))
            .into()
    }

    #[test]
    fn what_was_written_reads_back_and_its_digest_is_that_of_the_stream() {
        let archive = written(&files());
        let mut entries = Entries::new(archive.as_slice());
        let mut begins = 0;
        for (name, content) in files() {
            let entry = entries.read_next().expect("it is whole").expect("it is there");
            assert_eq!((&entry.name, entry.length), (&name, content.len() as u64));
            let mut hasher = Hasher::new();
            hasher.update(&archive[..begins]);
            assert_eq!(entry.before, hasher.clear());
            let mut read = Vec::new();
            entries.read_to_end(&mut read).expect("it is whole");
            assert!(read == content, "{name}");
            let long = if name.len() > NAME { 2 } else { 0 };
            begins += BLOCK * (1 + long) + content.len() + padding(content.len() as u64);
        }
        assert_eq!(entries.read_next().expect("it is whole"), None);
    }

    #[test]
    fn the_source_is_never_asked_for_nothing() {
        struct Touchy<'a>(&'a [u8]);
        impl Read for Touchy<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                assert!(!buffer.is_empty(), "age would drop what it has");
                self.0.read(buffer)
            }
        }
        let archive = written(&files());
        let mut entries = Entries::new(Touchy(&archive));
        while entries.read_next().expect("it is whole").is_some() {}
    }

    #[test]
    fn the_usual_tar_reads_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("backup.tar");
        std::fs::write(&path, written(&files())).expect("the folder is ours");
        let listed = std::process::Command::new("tar").arg("-tf").arg(&path).output().expect("tar is there");
        let names: Vec<String> = files().into_iter().map(|(name, _)| name).collect();
        assert_eq!(String::from_utf8_lossy(&listed.stdout).lines().collect::<Vec<_>>(), names);
    }

    #[test]
    fn what_is_cut_or_changed_is_told() {
        let archive = written(&files());
        let read = |bytes: &[u8]| -> io::Result<()> {
            let mut entries = Entries::new(bytes);
            while entries.read_next()?.is_some() {}
            Ok(())
        };
        read(&archive).expect("it is whole");
        for length in [0, 100, BLOCK, BLOCK + 1, archive.len() - 2 * BLOCK] {
            read(&archive[..length]).expect_err("it is cut");
        }
        let mut other = archive.clone();
        other[0] = b'b';
        read(&other).expect_err("its checksum is another's");
        other = archive;
        other[156] = b'2';
        read(&other).expect_err("a link is no file");
    }
}
