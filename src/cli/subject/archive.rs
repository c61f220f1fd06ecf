//! A tar archive that is sealed with age as it is written: none of it is ever on the disk in clear.

use std::fs::File;
use std::io::{self, Read as _};

use age::stream::StreamWriter;
use age::x25519::Recipient;
use anyhow::{Context as _, anyhow};
use serde::Serialize;
use tar::{Builder, Header};

use super::super::Failure;
use crate::ports::spool::Payload;

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

    /// Adds a payload of any length, in the memory of a piece.
    pub(super) fn add_payload(&mut self, name: &str, payload: &Payload) -> Result<(), Failure> {
        let length = payload.length();
        let mut reader = payload.reader().with_context(|| format!("open {name}"))?.take(length);
        self.add(name, length, &mut reader)?;
        // An archive says how long a member is before it comes: one of another length would spoil all that follow.
        let is_whole = reader.limit() == 0 && reader.into_inner().read(&mut [0]).context("read a payload")? == 0;
        if is_whole { Ok(()) } else { Err(anyhow!("{name} is not {length} bytes long, as was accepted").into()) }
    }

    /// Adds the last member. What is cut off before it has no end of an age file, and does not open as a whole.
    pub(super) fn end(mut self, name: &str, value: &impl Serialize) -> Result<(), Failure> {
        self.add_json(name, value)?;
        Ok(self.0.into_inner().and_then(StreamWriter::finish).map(drop).context("end the file")?)
    }

    fn add(&mut self, name: &str, length: u64, bytes: impl io::Read) -> Result<(), Failure> {
        let mut header = Header::new_gnu();
        header.set_size(length);
        header.set_mode(0o600);
        Ok(self.0.append_data(&mut header, name, bytes).with_context(|| format!("write {name}"))?)
    }
}
