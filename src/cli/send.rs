//! `meshd send`

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use clap::Args;
use serde_json::json;

use super::message::{mailbox, workflow};
use super::{Context, Failure};
use crate::config::Config;
use crate::daemon::{self, Answer, Ask};
use crate::domain::ids::{MailboxId, Sensitive, WorkflowId};
use crate::domain::sending::recipient;
use crate::ports::operations::Letter;

#[derive(Debug, Args)]
#[command(after_help = "\
The file is sealed before the command ends, and sent by the running daemon: once, with its state
in `meshd sent list`. Arguments can be seen by every user of this machine: name no patient in
them. Whoever may not act may not send.

Examples:
  meshd send results.xml --to X26ABC2 --workflow PATH_LAB_RESULTS
  meshd send list.csv --mailbox X26ABC1 --to X26ABC2 --workflow DEMO --local-id batch-17 --json")]
pub(super) struct Send {
    /// The file
    file: PathBuf,
    /// The mailbox it goes out from; may be left out where there is one
    #[arg(long, value_parser = mailbox)]
    mailbox: Option<MailboxId>,
    /// The mailbox that is to have it
    #[arg(long, value_name = "MAILBOX", value_parser = mailbox)]
    to: MailboxId,
    /// Its workflow
    #[arg(long, value_name = "WORKFLOW-ID", value_parser = workflow)]
    workflow: WorkflowId,
    /// Its subject
    #[arg(long, value_name = "TEXT")]
    subject: Option<String>,
    /// A reference of the sender; without it the message gets one that no other has
    #[arg(long, value_name = "TEXT")]
    local_id: Option<String>,
    /// The file name that the recipient is told
    #[arg(long, value_name = "TEXT")]
    file_name: Option<String>,
    /// A digest for the recipient to check
    #[arg(long, value_name = "TEXT")]
    checksum: Option<String>,
    /// What the payload is, such as application/xml
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// Tell the recipient that the file is encrypted; it is not compressed then
    #[arg(long)]
    encrypted: bool,
    /// Do not compress it in transit
    #[arg(long)]
    no_compress: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Send {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        let loaded = context.load()?;
        if recipient(&Sensitive::new(self.to.as_str())).is_none() {
            return Err(anyhow!("--to takes a mailbox: what routes to a patient's practice names the patient").into());
        }
        let mailbox = match &self.mailbox {
            Some(mailbox) => mailbox.clone(),
            None => only_mailbox(&loaded.config)?,
        };
        let named = || self.file.display().to_string();
        let file = File::open(&self.file).with_context(named)?;
        let found = file.metadata().with_context(named)?;
        if !found.is_file() {
            return Err(anyhow!("{}: it is no regular file", named()).into());
        }
        let letter = Letter {
            mailbox,
            to: Sensitive::new(self.to.as_str()),
            workflow: self.workflow,
            subject: self.subject.map(Sensitive::new),
            local_id: self.local_id.map(Sensitive::new),
            file_name: self.file_name.map(Sensitive::new),
            partner_id: None,
            checksum: self.checksum.map(Sensitive::new),
            content_type: self.content_type,
            encrypted: self.encrypted,
            compress: self.no_compress.then_some(false),
        };
        let question = Ask::Post { letter: Box::new(letter), length: found.len() };
        let Answer::BroughtIn(id) =
            daemon::bring_in(&loaded.config.control.socket, question, &mut file.take(found.len()))?
        else {
            return Err(anyhow!("the daemon answered another question").into());
        };
        if self.json {
            return context.out.json(&json!({ "queued": id }));
        }
        context.out.good(format_args!(
            "{id} is to be sent to {}, {} bytes: see `meshd sent list`",
            self.to,
            found.len()
        ))
    }
}

fn only_mailbox(config: &Config) -> Result<MailboxId, Failure> {
    match &config.mailboxes[..] {
        [one] => Ok(one.id.clone()),
        others => {
            let names: Vec<&str> = others.iter().map(|mailbox| mailbox.id.as_str()).collect();
            Err(anyhow!("from which mailbox? --mailbox with one of {}", names.join(", ")).into())
        }
    }
}
