//! A tar archive that is sealed with age as it is written: none of it is ever on the disk in clear.

use std::fs::File;
use std::io::Read;

use age::stream::StreamWriter;
use age::x25519::Recipient;
use anyhow::{Context as _, anyhow};
use serde::Serialize;
use tar::{Builder, Header};

use super::Failure;

pub(super) struct Archive(Builder<StreamWriter<File>>);

impl Archive {
    /// Begins one that only these can open.
    pub(super) fn begin(file: File, recipients: &[Recipient]) -> Result<Self, Failure> {
        let recipients = recipients.iter().map(|recipient| recipient as &dyn age::Recipient);
        let encryptor = age::Encryptor::with_recipients(recipients).context("seal the file")?;
        Ok(Self(Builder::new(encryptor.wrap_output(file).context("write the file")?)))
    }

    pub(super) fn add_json(&mut self, name: &str, value: &impl Serialize) -> Result<(), Failure> {
        let json = serde_json::to_vec_pretty(value).context("write JSON")?;
        self.add(name, json.len() as u64, json.as_slice())
    }

    /// Adds so many bytes of any number, in the memory of a piece; there must be as many.
    pub(super) fn add_bytes(&mut self, name: &str, length: u64, bytes: impl Read) -> Result<(), Failure> {
        let mut bytes = bytes.take(length);
        self.add(name, length, &mut bytes)?;
        // An archive says how long a member is before it comes: a shorter one would spoil all that follow.
        match bytes.limit() {
            0 => Ok(()),
            missing => Err(anyhow!("{name}: the last {missing} of {length} bytes do not come").into()),
        }
    }

    /// Ends it. What is cut off before has no end of an age file, and does not open as a whole.
    pub(super) fn end(self) -> Result<(), Failure> {
        Ok(self.0.into_inner().and_then(StreamWriter::finish).map(drop).context("end the file")?)
    }

    fn add(&mut self, name: &str, length: u64, bytes: impl Read) -> Result<(), Failure> {
        let mut header = Header::new_gnu();
        header.set_size(length);
        header.set_mode(0o600);
        Ok(self.0.append_data(&mut header, name, bytes).with_context(|| format!("write {name}"))?)
    }
}

/// A public age key, as a command is given it.
pub(super) fn recipient(text: &str) -> Result<Recipient, &'static str> {
    text.parse().map_err(|_| "expected a recipient such as `meshd keys generate` prints, beginning with `age1`")
}
