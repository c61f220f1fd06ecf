//! Reading volumes: one group by its place, or all of them from the start. No key is needed for any of it.

use std::io;

use super::errors;
use super::group::{GroupHeader, MAX_CIPHERTEXT, NotAGroup, PREFIX};
use crate::ports::disk::DiskFile;
use crate::ports::spool::SpoolError;

/// Piece in which a volume is read to be checked, bytes.
const PIECE: usize = 256 * 1024;

/// How a walk through a volume ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// After the last whole group.
    Clean,
    /// Bytes from here on are no group: what a crash left of one that was never acknowledged, or damage.
    Tail(u64),
}

/// The clear header at `offset`.
pub(super) fn header_at(file: &dyn DiskFile, offset: u64) -> Result<Result<GroupHeader, NotAGroup>, io::Error> {
    let mut prefix = [0; PREFIX];
    if file.read_at(&mut prefix, offset)? < PREFIX {
        return Ok(Err(NotAGroup::Tail));
    }
    let length = match GroupHeader::length_from(&prefix) {
        Ok(length) => length,
        Err(wrong) => return Ok(Err(wrong)),
    };
    let mut bytes = vec![0; length];
    let count = file.read_at(&mut bytes, offset)?;
    Ok(GroupHeader::parse(&bytes[..count]))
}

/// The clear header and age file of the group at `offset`, whole.
pub(super) fn group_at(file: &dyn DiskFile, offset: u64) -> Result<(GroupHeader, Vec<u8>), SpoolError> {
    let (header, mut bytes) = bytes_at(file, offset)?;
    let sealed = bytes.split_off(header.header_length as usize);
    Ok((header, sealed))
}

/// All bytes of the group at `offset`, header and age file, once both checksums were right.
pub(super) fn bytes_at(file: &dyn DiskFile, offset: u64) -> Result<(GroupHeader, Vec<u8>), SpoolError> {
    let read = |error| errors::read("read a volume", error);
    let header = header_at(file, offset).map_err(read)?.map_err(|wrong| SpoolError::Unreadable(wrong.to_string()))?;
    // The parser bounds the length by MAX_CIPHERTEXT.
    debug_assert!(header.ciphertext_length <= MAX_CIPHERTEXT);
    let mut bytes = vec![0; header.length() as usize];
    let count = file.read_at(&mut bytes, offset).map_err(read)?;
    if count < bytes.len() || crc32c::crc32c(&bytes[header.header_length as usize..]) != header.ciphertext_crc {
        return Err(SpoolError::Unreadable("a group's sealed bytes are damaged".into()));
    }
    Ok((header, bytes))
}

/// Whether the group's sealed bytes are all there and as they were written.
pub(super) fn is_sound(file: &dyn DiskFile, offset: u64, header: &GroupHeader) -> io::Result<bool> {
    let (mut at, end) = (offset + u64::from(header.header_length), header.end(offset));
    let mut piece = vec![0; PIECE.min(header.ciphertext_length as usize)];
    let mut crc = 0;
    while at < end {
        let wanted = piece.len().min((end - at) as usize);
        let count = file.read_at(&mut piece[..wanted], at)?;
        if count == 0 {
            return Ok(false);
        }
        crc = crc32c::crc32c_append(crc, &piece[..count]);
        at += count as u64;
    }
    Ok(crc == header.ciphertext_crc)
}

/// Visits the groups of a volume in order, by their clear headers.
pub(super) fn walk(
    file: &dyn DiskFile,
    mut visit: impl FnMut(u64, &GroupHeader) -> Result<(), SpoolError>,
) -> Result<End, SpoolError> {
    let read = |error| errors::read("read a volume", error);
    let length = file.length().map_err(read)?;
    let mut offset = 0;
    while offset < length {
        let header = match header_at(file, offset).map_err(read)? {
            Ok(header) if header.end(offset) <= length => header,
            Ok(_) | Err(NotAGroup::Tail) => return Ok(End::Tail(offset)),
            Err(newer @ NotAGroup::Newer(_)) => return Err(SpoolError::Unreadable(newer.to_string())),
        };
        visit(offset, &header)?;
        offset = header.end(offset);
    }
    Ok(End::Clean)
}
