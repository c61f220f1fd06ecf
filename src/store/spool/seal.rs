//! age in and age out: the only file of the spool that knows the library.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, Read, Write};
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use super::errors;
use crate::domain::ids::MailboxId;
use crate::domain::recipient::RecipientTag;
use crate::ports::spool::SpoolError;
use crate::ports::store::Halt;

/// Who can open what is sealed for one mailbox, or for several that have the same recipients.
pub(in crate::store) struct RecipientSet {
    recipients: Vec<age::x25519::Recipient>,
    tags: Vec<RecipientTag>,
}

/// No set has more recipients: each costs 200 bytes of every sealed file.
pub(super) const MAX_RECIPIENTS: usize = 256;

impl RecipientSet {
    /// Reads age recipients (`age1…`). The text of a wrong one is not repeated: it may be an identity.
    pub(in crate::store) fn parse<T: AsRef<str>>(names: &[T]) -> Result<Self, SpoolError> {
        if names.is_empty() {
            return Err(SpoolError::Failed(Halt("no age recipient is given".into())));
        }
        if names.len() > MAX_RECIPIENTS {
            return Err(SpoolError::Failed(Halt(format!("more than {MAX_RECIPIENTS} age recipients are given"))));
        }
        let parsed: Result<Vec<_>, _> = names.iter().map(|name| name.as_ref().trim().parse()).collect();
        let recipients = parsed.map_err(|_| SpoolError::Failed(Halt("a recipient is not of the form age1…".into())))?;
        let tags: BTreeSet<_> = names.iter().map(|name| RecipientTag::of(name.as_ref())).collect();
        Ok(Self { recipients, tags: tags.into_iter().collect() })
    }

    /// Their names, in order, each once.
    pub(super) fn tags(&self) -> &[RecipientTag] {
        &self.tags
    }

    /// Begins an age file. It must be ended with [`age::stream::StreamWriter::finish`], or it is truncated.
    pub(in crate::store) fn seal<W: Write>(&self, output: W) -> io::Result<age::stream::StreamWriter<W>> {
        let recipients = self.recipients.iter().map(|recipient| recipient as &dyn age::Recipient);
        age::Encryptor::with_recipients(recipients).map_err(io::Error::other)?.wrap_output(output)
    }

    /// Adds `bytes` as one whole age file to the end of `output`.
    pub(super) fn seal_whole(&self, bytes: &[u8], output: &mut Vec<u8>) -> io::Result<()> {
        let mut writer = self.seal(output)?;
        writer.write_all(bytes)?;
        writer.finish().map(drop)
    }
}

/// The recipients of every mailbox.
pub(super) struct Recipients {
    sets: Vec<Arc<RecipientSet>>,
    by_mailbox: BTreeMap<MailboxId, usize>,
}

impl Recipients {
    /// Reads age recipients (`age1…`). Mailboxes with the same ones share a set.
    pub(super) fn parse(texts: &BTreeMap<MailboxId, Vec<String>>) -> Result<Self, SpoolError> {
        let mut known: BTreeMap<Vec<&str>, usize> = BTreeMap::new();
        let (mut sets, mut by_mailbox) = (Vec::new(), BTreeMap::new());
        for (mailbox, texts) in texts {
            let mut names: Vec<&str> = texts.iter().map(|text| text.trim()).collect();
            names.sort_unstable();
            names.dedup();
            let index = match known.get(&names) {
                Some(index) => *index,
                None => {
                    sets.push(Arc::new(parse_set(mailbox, &names)?));
                    known.insert(names, sets.len() - 1);
                    sets.len() - 1
                }
            };
            by_mailbox.insert(mailbox.clone(), index);
        }
        Ok(Self { sets, by_mailbox })
    }

    /// The number of the mailbox's set.
    pub(super) fn set_of(&self, mailbox: &MailboxId) -> Result<usize, SpoolError> {
        let set = self.by_mailbox.get(mailbox).copied();
        set.ok_or_else(|| SpoolError::Failed(Halt(format!("mailbox {mailbox} has no recipients to seal for"))))
    }

    /// The set of that number.
    pub(super) fn set(&self, number: usize) -> &Arc<RecipientSet> {
        &self.sets[number]
    }
}

fn parse_set(mailbox: &MailboxId, names: &[&str]) -> Result<RecipientSet, SpoolError> {
    RecipientSet::parse(names).map_err(|error| match error {
        SpoolError::Failed(Halt(what)) => SpoolError::Failed(Halt(format!("mailbox {mailbox}: {what}"))),
        other @ (SpoolError::NoRoom(_) | SpoolError::Unreadable(_)) => other,
    })
}

/// The private keys that open sealed files. None of them on a machine that only receives.
#[derive(Clone, Default)]
pub struct Identities(Arc<Vec<age::x25519::Identity>>);

impl Identities {
    /// Reads age identities: one each, or the text of whole identity files with comments.
    pub fn parse(texts: &[SecretString]) -> Result<Self, SpoolError> {
        let mut identities = Vec::new();
        for text in texts {
            let lines = text.expose_secret().lines().map(str::trim);
            for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
                let identity = line.parse().map_err(|_| {
                    SpoolError::Failed(Halt("an age identity is not of the form AGE-SECRET-KEY-1…".into()))
                })?;
                identities.push(identity);
            }
        }
        Ok(Self(Arc::new(identities)))
    }

    /// No identity: nothing can be opened.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Opens an age file. Each piece read is authentic; the end is, once a read returns 0.
    pub(in crate::store) fn unseal<R: BufRead>(&self, input: R) -> Result<age::stream::StreamReader<R>, SpoolError> {
        if self.is_empty() {
            return Err(SpoolError::Unreadable("no identity is loaded".into()));
        }
        let identities = self.0.iter().map(|identity| identity as &dyn age::Identity);
        match age::Decryptor::new_buffered(input).and_then(|file| file.decrypt(identities)) {
            Ok(reader) => Ok(reader),
            Err(age::DecryptError::Io(error)) => Err(errors::read("read an age file", error)),
            Err(other) => Err(SpoolError::Unreadable(other.to_string())),
        }
    }

    /// Opens an age file of at most `limit` bytes of plaintext.
    pub(super) fn unseal_whole(&self, sealed: &[u8], limit: usize) -> Result<zeroize::Zeroizing<Vec<u8>>, SpoolError> {
        // The plaintext is shorter than its sealed form, so the buffer never moves and leaves no copy behind.
        let mut plain = zeroize::Zeroizing::new(Vec::with_capacity(sealed.len()));
        let mut reader = self.unseal(sealed)?.take(limit as u64 + 1);
        reader.read_to_end(&mut plain).map_err(|error| errors::read("open an age file", error))?;
        if plain.len() > limit {
            return Err(SpoolError::Unreadable(format!("more than {limit} bytes are sealed in it")));
        }
        Ok(plain)
    }
}

/// Seals a few bytes for these recipients and opens them with these identities, all in memory.
pub fn try_keys(mailbox: &MailboxId, recipients: &[String], identities: &[SecretString]) -> Result<(), SpoolError> {
    const PROBE: &[u8] = b"meshd check --online";
    let names: Vec<&str> = recipients.iter().map(String::as_str).collect();
    let mut sealed = Vec::new();
    let sealing = parse_set(mailbox, &names)?.seal_whole(PROBE, &mut sealed);
    sealing.map_err(|error| errors::read("seal a few bytes", error))?;
    let opened = Identities::parse(identities)?.unseal_whole(&sealed, PROBE.len())?;
    if *opened == PROBE { Ok(()) } else { Err(SpoolError::Unreadable("what was opened is not what was sealed".into())) }
}

impl std::fmt::Debug for Identities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{} identities]", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mailbox(id: &str) -> MailboxId {
        MailboxId::new(id).unwrap()
    }

    #[test]
    fn mailboxes_with_the_same_recipients_share_a_set() {
        let [a, b] = [(); 2].map(|()| age::x25519::Identity::generate().to_public().to_string());
        let texts = BTreeMap::from([
            (mailbox("A"), vec![a.clone(), b.clone()]),
            (mailbox("B"), vec![b.clone(), a.clone(), a.clone()]),
            (mailbox("C"), vec![b]),
        ]);
        let recipients = Recipients::parse(&texts).unwrap();
        assert_eq!(recipients.set_of(&mailbox("A")).unwrap(), recipients.set_of(&mailbox("B")).unwrap());
        assert_ne!(recipients.set_of(&mailbox("A")).unwrap(), recipients.set_of(&mailbox("C")).unwrap());
        assert!(recipients.set_of(&mailbox("D")).is_err());
    }

    #[test]
    fn wrong_keys_are_refused_and_not_repeated() {
        let secret = age::x25519::Identity::generate().to_string();
        for texts in [vec![], vec![secret.expose_secret().to_owned()]] {
            let error = Recipients::parse(&BTreeMap::from([(mailbox("A"), texts)])).err().unwrap();
            assert!(!error.to_string().contains("SECRET"));
        }
        let error = Identities::parse(&["AGE-SECRET-KEY-1WRONG".to_owned().into()]).err().unwrap();
        assert!(!error.to_string().contains("WRONG"));
    }

    #[test]
    fn an_identity_file_with_comments_is_read() {
        let secret = age::x25519::Identity::generate().to_string();
        let file = format!("# created: 2026-01-05\n\n{}\n", secret.expose_secret());
        let identities = Identities::parse(&[file.into()]).unwrap();
        assert_eq!(format!("{identities:?}"), "[1 identities]");
    }

    #[test]
    fn nothing_opens_without_an_identity() {
        assert!(matches!(Identities::default().unseal(&b""[..]), Err(SpoolError::Unreadable(_))));
    }

    #[test]
    fn keys_are_tried_by_sealing_and_opening() {
        let mailbox = mailbox("X26ABC1");
        let [ours, other] = [age::x25519::Identity::generate(), age::x25519::Identity::generate()];
        let recipients = [other.to_public().to_string(), ours.to_public().to_string()];
        assert!(try_keys(&mailbox, &recipients, &[ours.to_string()]).is_ok());
        assert!(try_keys(&mailbox, &recipients[..1], &[ours.to_string()]).is_err(), "sealed for another");
        assert!(try_keys(&mailbox, &[], &[ours.to_string()]).is_err(), "sealed for nobody");
    }
}
