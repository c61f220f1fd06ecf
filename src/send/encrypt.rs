//! What goes out, encrypted for whoever is to have it, before it leaves: one age file, which their `decrypt` stage opens.
//!
//! The length of an age file is known from its header on, so that a message is checked, cut and counted before its first
//! byte is read.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use age::stream::StreamWriter;
use age::x25519::Recipient;

use crate::domain::ids::{MailboxId, WorkflowId};

/// Plain bytes in each chunk of an age file, and what authenticates it (age-encryption.org/v1, payload).
const CHUNK: u64 = 64 * 1024;
const TAG: u64 = 16;

/// Whom the mail of one mailbox is encrypted for.
#[derive(Debug, Clone, Default)]
pub struct Encryption(pub Vec<Rule>);

/// Whom some of it is encrypted for.
#[derive(Debug, Clone)]
pub struct Rule {
    /// What is for this mailbox; none for any, and for what routes to a patient's practice.
    pub to: Option<MailboxId>,
    /// What has this workflow; none for any.
    pub workflow: Option<WorkflowId>,
    /// Who can open it; at least one.
    pub recipients: Vec<Recipient>,
}

impl Encryption {
    /// The first rule that fits a message.
    pub fn rule(&self, to: Option<&MailboxId>, workflow: &WorkflowId) -> Option<&Rule> {
        let fits = |rule: &&Rule| {
            rule.to.as_ref().is_none_or(|wanted| Some(wanted) == to)
                && rule.workflow.as_ref().is_none_or(|wanted| wanted == workflow)
        };
        self.0.iter().find(fits)
    }
}

impl Rule {
    /// Begins an age file of so many plain bytes.
    pub fn begin(&self, plain: u64) -> io::Result<Encrypting> {
        let recipients = self.recipients.iter().map(|recipient| recipient as &dyn age::Recipient);
        let made = Made::default();
        let encryptor = age::Encryptor::with_recipients(recipients).map_err(io::Error::other)?;
        let writer = encryptor.wrap_output(made.clone())?;
        let header = made.lock().len() as u64;
        Ok(Encrypting { writer, made, length: header + plain + TAG * plain.div_ceil(CHUNK).max(1) })
    }
}

/// An age file on its way.
pub struct Encrypting {
    writer: StreamWriter<Made>,
    made: Made,
    length: u64,
}

impl Encrypting {
    /// How long it will be, bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Takes plain bytes, and hands over what was made of them and of those before.
    pub fn write(&mut self, plain: &[u8]) -> io::Result<Vec<u8>> {
        self.writer.write_all(plain)?;
        Ok(self.made.take())
    }

    /// The end of it.
    pub fn finish(self) -> io::Result<Vec<u8>> {
        self.writer.finish().map(|made| made.take())
    }
}

/// What the library wrote, and nobody took.
#[derive(Debug, Clone, Default)]
struct Made(Arc<Mutex<Vec<u8>>>);

impl Made {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Made {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_file_is_as_long_as_it_says_before_its_first_byte_and_opens() {
        let identity = age::x25519::Identity::generate();
        let rule = Rule { to: None, workflow: None, recipients: vec![identity.to_public()] };
        for length in [0, 1, 100, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 200_000] {
            let plain: Vec<u8> = (0..length).map(|number| (number % 251) as u8).collect();
            let mut encrypting = rule.begin(length).expect("it begins");
            let announced = encrypting.length();
            let mut made = Vec::new();
            for slice in plain.chunks(1_000) {
                made.extend(encrypting.write(slice).expect("it takes them"));
            }
            made.extend(encrypting.finish().expect("it ends"));
            assert_eq!(made.len() as u64, announced, "{length} plain bytes");
            assert_eq!(age::decrypt(&identity, &made).expect("it opens"), plain);
        }
    }

    #[test]
    fn the_first_rule_that_fits_counts() {
        let of = |to: Option<&str>, workflow: Option<&str>| Rule {
            to: to.map(|to| MailboxId::new(to).expect("a mailbox id")),
            workflow: workflow.map(|workflow| WorkflowId::new(workflow).expect("a workflow id")),
            recipients: vec![age::x25519::Identity::generate().to_public()],
        };
        let encryption = Encryption(vec![of(Some("A"), Some("W")), of(Some("A"), None), of(None, Some("V"))]);
        let found = |to: Option<&str>, workflow: &str| {
            let to = to.map(|to| MailboxId::new(to).expect("a mailbox id"));
            let rule = encryption.rule(to.as_ref(), &WorkflowId::new(workflow).expect("a workflow id"));
            rule.map(|rule| encryption.0.iter().position(|other| std::ptr::eq(other, rule)))
        };
        assert_eq!(found(Some("A"), "W"), Some(Some(0)));
        assert_eq!(found(Some("A"), "X"), Some(Some(1)));
        assert_eq!(found(Some("B"), "V"), Some(Some(2)));
        assert_eq!(found(None, "V"), Some(Some(2)), "whom MESH finds");
        assert_eq!(found(None, "W"), None);
    }
}
