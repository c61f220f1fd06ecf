//! One group: its clear header, and what is sealed behind it. Bytes to values and back, no I/O.
//!
//! The layout is drawn in the documentation of [`super`].

use std::io::{self, Write};
use std::ops::Range;

use zeroize::Zeroizing;

use super::seal::{MAX_RECIPIENTS, RecipientSet};
use crate::domain::envelope::Envelope;
use crate::domain::ids::{MailboxId, MessageId};
use crate::domain::recipient::RecipientTag;
use crate::ports::spool::SpoolError;

/// The first bytes of every group.
pub(super) const MAGIC: [u8; 8] = *b"MESHDGRP";
/// The version this code writes.
pub(super) const VERSION: u8 = 1;
/// The fixed part of a clear header, bytes.
pub(super) const PREFIX: usize = 32;
/// Members of one group. A commit has at most 256 commands.
pub(super) const MAX_MEMBERS: usize = 1024;
/// A group is closed before it holds more plaintext, unless a single member does. Opening a group needs this much memory.
pub(super) const GROUP_BYTES: usize = 1 << 20;
/// No group has more plaintext, bytes: a payload of 64 KiB and headers far beyond what HTTP lets through.
pub(super) const MAX_PLAINTEXT: usize = 4 << 20;
/// No group's ciphertext is longer, bytes: its plaintext, age's header and its 16 bytes for each 64 KiB.
pub(super) const MAX_CIPHERTEXT: u64 = (MAX_PLAINTEXT + (1 << 20)) as u64;
/// No clear header is longer, bytes: two ids of 100 bytes each per member, and 8 bytes per recipient.
pub(super) const MAX_HEADER: usize = PREFIX + MAX_MEMBERS * (1 + 100 + 1 + 100 + 4) + 2 + MAX_RECIPIENTS * TAG + CRC;

const CRC: usize = 4;
const TAG: usize = 8;

/// The clear header of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GroupHeader {
    /// Its own length, bytes.
    pub(super) header_length: u32,
    /// Length of the age file behind it, bytes.
    pub(super) ciphertext_length: u64,
    /// CRC32C of that age file.
    pub(super) ciphertext_crc: u32,
    /// In the order they are sealed.
    pub(super) members: Vec<MemberHeader>,
    /// For whom it is sealed; none where the header does not say.
    pub(super) recipients: Vec<RecipientTag>,
}

/// What is known of one member without a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MemberHeader {
    pub(super) mailbox: MailboxId,
    pub(super) message_id: MessageId,
    /// Length of its payload, bytes.
    pub(super) length: u32,
}

/// Why bytes are no group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotAGroup {
    /// No magic, impossible lengths or a wrong CRC: here the volume ends.
    #[error("no whole group begins here")]
    Tail,
    /// A sound header of a format that a newer release writes.
    #[error("a group of format {0}, which a newer release wrote")]
    Newer(u8),
}

impl GroupHeader {
    /// The whole header's length, from its fixed part. Bounded by [`MAX_HEADER`].
    pub(super) fn length_from(prefix: &[u8; PREFIX]) -> Result<usize, NotAGroup> {
        let length = u32_at(prefix, 12).ok_or(NotAGroup::Tail)? as usize;
        if prefix[..8] != MAGIC || !(PREFIX + CRC..=MAX_HEADER).contains(&length) {
            return Err(NotAGroup::Tail);
        }
        Ok(length)
    }

    /// Reads a whole header.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, NotAGroup> {
        let prefix = bytes.first_chunk::<PREFIX>().ok_or(NotAGroup::Tail)?;
        let length = Self::length_from(prefix)?;
        let bytes = bytes.get(..length).ok_or(NotAGroup::Tail)?;
        let (body, crc) = bytes.split_at(length - CRC);
        if u32_at(crc, 0) != Some(crc32c::crc32c(body)) {
            return Err(NotAGroup::Tail);
        }
        if body[8] != VERSION {
            return Err(NotAGroup::Newer(body[8]));
        }
        Self::parse_sound(body, length).ok_or(NotAGroup::Tail)
    }

    fn parse_sound(body: &[u8], length: usize) -> Option<Self> {
        let ciphertext_length = u64::from_le_bytes(body.get(16..24)?.try_into().ok()?);
        let count = u32_at(body, 24)? as usize;
        if body[9..12] != [0; 3] || !(1..=MAX_MEMBERS).contains(&count) || ciphertext_length > MAX_CIPHERTEXT {
            return None;
        }
        let mut rest = &body[PREFIX..];
        let mut members = Vec::with_capacity(count);
        for _ in 0..count {
            let mailbox = MailboxId::new(take_text(&mut rest)?).ok()?;
            let message_id = MessageId::new(take_text(&mut rest)?).ok()?;
            members.push(MemberHeader { mailbox, message_id, length: take_u32(&mut rest)? });
        }
        let header_length = u32::try_from(length).ok()?;
        let ciphertext_crc = u32_at(body, 28)?;
        let recipients = take_recipients(rest)?;
        Some(Self { header_length, ciphertext_length, ciphertext_crc, members, recipients })
    }

    /// Length of the whole group, bytes.
    pub(super) fn length(&self) -> u64 {
        u64::from(self.header_length) + self.ciphertext_length
    }

    /// Where the next group begins, for a group at `offset`.
    pub(super) fn end(&self, offset: u64) -> u64 {
        offset + self.length()
    }
}

/// One member about to be sealed.
pub(super) struct Plain<'a> {
    pub(super) envelope: &'a Envelope,
    /// The envelope as JSON.
    pub(super) json: &'a [u8],
    pub(super) bytes: &'a [u8],
}

impl Plain<'_> {
    /// What it takes of a group's plaintext, bytes.
    pub(super) fn sealed_bytes(&self) -> usize {
        8 + self.json.len() + self.bytes.len()
    }
}

/// Clear header and age file of one group.
pub(super) fn seal(recipients: &RecipientSet, members: &[Plain<'_>]) -> io::Result<Vec<u8>> {
    let plaintext: usize = members.iter().map(Plain::sealed_bytes).sum();
    let mut group = Vec::with_capacity(plaintext + plaintext / 1024 + 1024 + members.len() * 64);
    group.extend_from_slice(&MAGIC);
    group.extend_from_slice(&[VERSION, 0, 0, 0]);
    // Lengths and the ciphertext's CRC are filled in below.
    group.resize(PREFIX, 0);
    for member in members {
        put_text(&mut group, member.envelope.mailbox.as_str())?;
        put_text(&mut group, member.envelope.message_id.as_str())?;
        group.extend_from_slice(&length_of(member.bytes)?);
    }
    let tags = recipients.tags();
    group.extend_from_slice(&u16::try_from(tags.len()).map_err(io::Error::other)?.to_le_bytes());
    tags.iter().for_each(|tag| group.extend_from_slice(&tag.0.to_le_bytes()));
    let header_length = group.len() + CRC;
    group.resize(header_length, 0);

    let mut writer = recipients.seal(&mut group)?;
    for member in members {
        for part in [member.json, member.bytes] {
            writer.write_all(&length_of(part)?)?;
            writer.write_all(part)?;
        }
    }
    writer.finish()?;

    let ciphertext = &group[header_length..];
    let (ciphertext_length, ciphertext_crc) = (ciphertext.len() as u64, crc32c::crc32c(ciphertext));
    group[12..16].copy_from_slice(&u32::try_from(header_length).map_err(io::Error::other)?.to_le_bytes());
    group[16..24].copy_from_slice(&ciphertext_length.to_le_bytes());
    group[24..28].copy_from_slice(&u32::try_from(members.len()).map_err(io::Error::other)?.to_le_bytes());
    group[28..32].copy_from_slice(&ciphertext_crc.to_le_bytes());
    let header_crc = crc32c::crc32c(&group[..header_length - CRC]);
    group[header_length - CRC..header_length].copy_from_slice(&header_crc.to_le_bytes());
    Ok(group)
}

/// A group's plaintext and where its members lie in it. Wiped when dropped.
pub(super) struct OpenGroup {
    plain: Zeroizing<Vec<u8>>,
    members: Vec<OpenMember>,
}

struct OpenMember {
    envelope: Range<usize>,
    payload: Range<usize>,
}

impl OpenGroup {
    /// Finds the members that `header` announced, and nothing besides them.
    pub(super) fn parse(plain: Zeroizing<Vec<u8>>, header: &GroupHeader) -> Result<Self, SpoolError> {
        let wrong = || SpoolError::Unreadable("a group does not hold what its header says".into());
        let mut members = Vec::with_capacity(header.members.len());
        let mut at = 0;
        for announced in &header.members {
            let envelope = take_range(&plain, &mut at).ok_or_else(wrong)?;
            let payload = take_range(&plain, &mut at).ok_or_else(wrong)?;
            if payload.len() != announced.length as usize {
                return Err(wrong());
            }
            members.push(OpenMember { envelope, payload });
        }
        if at == plain.len() { Ok(Self { plain, members }) } else { Err(wrong()) }
    }

    /// The envelope of a member, as JSON.
    pub(super) fn envelope(&self, member: u32) -> Option<&[u8]> {
        self.members.get(member as usize).map(|found| &self.plain[found.envelope.clone()])
    }

    /// The payload of a member.
    pub(super) fn payload(&self, member: u32) -> Option<&[u8]> {
        self.members.get(member as usize).map(|found| &self.plain[found.payload.clone()])
    }

    /// What it holds in memory, bytes.
    pub(super) fn size(&self) -> usize {
        self.plain.capacity()
    }
}

fn take_range(plain: &[u8], at: &mut usize) -> Option<Range<usize>> {
    let start = at.checked_add(4)?;
    let end = start.checked_add(u32_at(plain, *at)? as usize)?;
    if end > plain.len() {
        return None;
    }
    *at = end;
    Some(start..end)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    let (number, after) = rest.split_first_chunk::<4>()?;
    *rest = after;
    Some(u32::from_le_bytes(*number))
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let (length, after) = rest.split_first()?;
    let (text, after) = after.split_at_checked(usize::from(*length))?;
    *rest = after;
    std::str::from_utf8(text).ok()
}

/// What is left of a header, to its end: nothing, or names of recipients.
fn take_recipients(rest: &[u8]) -> Option<Vec<RecipientTag>> {
    let Some((count, tags)) = rest.split_first_chunk::<2>() else { return rest.is_empty().then(Vec::new) };
    let (tags, over) = tags.as_chunks::<TAG>();
    let count = usize::from(u16::from_le_bytes(*count));
    let is_whole = over.is_empty() && tags.len() == count && (1..=MAX_RECIPIENTS).contains(&count);
    is_whole.then(|| tags.iter().map(|tag| RecipientTag(u64::from_le_bytes(*tag))).collect())
}

fn put_text(group: &mut Vec<u8>, text: &str) -> io::Result<()> {
    group.push(u8::try_from(text.len()).map_err(io::Error::other)?);
    group.extend_from_slice(text.as_bytes());
    Ok(())
}

fn length_of(bytes: &[u8]) -> io::Result<[u8; 4]> {
    u32::try_from(bytes.len()).map(u32::to_le_bytes).map_err(io::Error::other)
}

#[cfg(test)]
impl OpenGroup {
    /// Makes it as large as a test of the cache needs.
    pub(super) fn pad(&mut self, bytes: usize) {
        self.plain.reserve_exact(bytes);
    }
}

#[cfg(test)]
#[path = "group_tests.rs"]
mod tests;
