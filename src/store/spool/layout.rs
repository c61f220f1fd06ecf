//! Names in the spool's directory: made from numbers and checked ids alone (I8).

use std::path::{Path, PathBuf};

use crate::domain::ids::{MailboxId, MessageId};

/// The sealed envelope of a chunk directory.
pub(super) const ENVELOPE: &str = "envelope.age";

/// What large messages are sealed here, and not on their way in. Their chunk directories are of no use to another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    /// Kept payloads, for other recipients.
    Resealed,
    /// Payloads that an operator brings in.
    BroughtIn,
}

impl Beside {
    const ALL: [Self; 2] = [Self::Resealed, Self::BroughtIn];

    /// The end of such a chunk directory's name.
    fn suffix(self) -> &'static str {
        match self {
            Self::Resealed => ".sealing",
            Self::BroughtIn => ".bringing",
        }
    }
}

/// The spool's directory.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    root: PathBuf,
}

/// One chunk directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PartsName {
    /// Still on its way in, or whole and not accepted.
    Arriving(MessageId),
    /// Taken over by the store for this life of the message id.
    Adopted(MessageId, u64),
}

impl Layout {
    pub(super) fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where the volumes lie.
    pub(super) fn volumes(&self) -> PathBuf {
        self.root.join("volumes")
    }

    /// Twenty digits, so that names sort as numbers and every `u64` has one.
    pub(super) fn volume(&self, number: u64) -> PathBuf {
        self.volumes().join(format!("{number:020}.vol"))
    }

    /// The last volume while it is written anew.
    pub(super) fn renewed_volume(&self) -> PathBuf {
        self.volumes().join("renewed")
    }

    /// The number of a volume's name, if it is one.
    pub(super) fn volume_number(path: &Path) -> Option<u64> {
        let digits = path.file_name()?.to_str()?.strip_suffix(".vol")?;
        let is_number = digits.len() == 20 && digits.bytes().all(|digit| digit.is_ascii_digit());
        if is_number { digits.parse().ok() } else { None }
    }

    /// Where the chunk directories of all mailboxes lie. A mailbox may be called `volumes`, so it has a level of its own.
    pub(super) fn chunks(&self) -> PathBuf {
        self.root.join("chunks")
    }

    /// Where the chunk directories of one mailbox lie.
    pub(super) fn mailbox(&self, mailbox: &MailboxId) -> PathBuf {
        self.chunks().join(mailbox.as_str())
    }

    /// A message on its way in.
    pub(super) fn arriving(&self, mailbox: &MailboxId, id: &MessageId) -> PathBuf {
        self.mailbox(mailbox).join(format!("{id}.part"))
    }

    /// A message that is being sealed here.
    pub(super) fn beside(&self, what: Beside, mailbox: &MailboxId, id: &MessageId) -> PathBuf {
        self.mailbox(mailbox).join(format!("{id}{}", what.suffix()))
    }

    /// Whether a chunk directory's name says that it is being sealed here.
    pub(super) fn is_beside(path: &Path) -> bool {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| Beside::ALL.iter().any(|what| name.ends_with(what.suffix())))
    }

    /// A message taken over by the store.
    pub(super) fn adopted(&self, mailbox: &MailboxId, id: &MessageId, life: u64) -> PathBuf {
        let name = if life == 0 { id.to_string() } else { format!("{id}.{life}") };
        self.mailbox(mailbox).join(name)
    }

    /// What a chunk directory's name says, if it is one. Ids hold no dot.
    pub(super) fn parts_name(path: &Path) -> Option<PartsName> {
        let name = path.file_name()?.to_str()?;
        match name.split_once('.') {
            None => Some(PartsName::Adopted(MessageId::new(name).ok()?, 0)),
            Some((id, "part")) => Some(PartsName::Arriving(MessageId::new(id).ok()?)),
            Some((id, life)) => {
                Some(PartsName::Adopted(MessageId::new(id).ok()?, life.parse().ok().filter(|l| *l > 0)?))
            }
        }
    }
}

/// A sealed chunk, from 1.
pub(super) fn chunk(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:06}.age"))
}

/// The sidecar of a chunk, from 1.
pub(super) fn sidecar(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:06}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_what_they_say() {
        let layout = Layout::new("/s");
        let (mailbox, id) = (MailboxId::new("volumes").unwrap(), MessageId::new("20260105_A-1").unwrap());
        assert_eq!(Layout::volume_number(&layout.volume(7)), Some(7));
        assert_eq!(Layout::volume_number(&layout.volume(u64::MAX)), Some(u64::MAX));
        let arriving = layout.arriving(&mailbox, &id);
        assert_eq!(Layout::parts_name(&arriving), Some(PartsName::Arriving(id.clone())));
        for life in [0, 1, u64::MAX] {
            let adopted = layout.adopted(&mailbox, &id, life);
            assert_eq!(Layout::parts_name(&adopted), Some(PartsName::Adopted(id.clone(), life)));
        }
        assert!(!arriving.starts_with(layout.volumes()));
    }

    #[test]
    fn other_names_mean_nothing() {
        for name in ["1.vol", "0000000000000000000x.vol", "00000000000000000001", "99999999999999999999.vol"] {
            assert_eq!(Layout::volume_number(Path::new(name)), None, "{name}");
        }
        for name in [".part", "a.0", "a.b", "a.part.part", "lost+found"] {
            assert_eq!(Layout::parts_name(Path::new(name)), None, "{name}");
        }
    }
}
