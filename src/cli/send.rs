//! `meshd send`

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::Args;
use serde_json::json;

use super::mailbox::find;
use super::message::{mailbox, workflow};
use super::{Context, Failure};
use crate::config::Config;
use crate::daemon::{self, Answer, Ask};
use crate::domain::control::Control;
use crate::domain::ids::{MailboxId, Sensitive, WorkflowId};
use crate::domain::sending::recipient;
use crate::ports::operations::Letter;
use crate::send::control::{self, LONGEST};

#[derive(Debug, Args)]
#[command(after_help = "\
The file is sealed before the command ends, and sent by the running daemon: once, with its state
in `meshd sent list`. Arguments can be seen by every user of this machine: name no patient in
them. Whoever may not act may not send.

With --control a control file says all that the options would, as in the OUT folder of a MESH
client: so may a recipient be named that routes to a patient's practice.

Examples:
  meshd send results.xml --to X26ABC2 --workflow PATH_LAB_RESULTS
  meshd send results.xml --to-ods Y00001 --workflow PATH_LAB_RESULTS
  meshd send discharge.xml --control discharge.ctl
  meshd send list.csv --mailbox X26ABC1 --to X26ABC2 --workflow DEMO --local-id batch-17 --json")]
pub(super) struct Send {
    /// The file
    file: PathBuf,
    /// The mailbox it goes out from; may be left out where there is one
    #[arg(long, value_parser = mailbox)]
    mailbox: Option<MailboxId>,
    /// The mailbox that is to have it
    #[arg(long, value_name = "MAILBOX", value_parser = mailbox, required_unless_present_any = ["control", "to_ods"])]
    to: Option<MailboxId>,
    /// The organisation that is to have it, if it has one mailbox for the workflow: its ODS code
    #[arg(long, value_name = "CODE", conflicts_with_all = ["to", "control"])]
    to_ods: Option<String>,
    /// Its workflow
    #[arg(long, value_name = "WORKFLOW-ID", value_parser = workflow, required_unless_present = "control")]
    workflow: Option<WorkflowId>,
    /// A control file that says what the other options would
    #[arg(long, value_name = "FILE")]
    #[arg(conflicts_with_all = ["mailbox", "to", "workflow", "subject", "local_id", "checksum", "encrypted"])]
    control: Option<PathBuf>,
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
        let letter = self.letter(&loaded.config)?;
        let to = recipient(&letter.to).map_or("whom MESH finds".to_owned(), |to| to.to_string());
        let named = || self.file.display().to_string();
        let file = File::open(&self.file).with_context(named)?;
        let found = file.metadata().with_context(named)?;
        if !found.is_file() {
            return Err(anyhow!("{}: it is no regular file", named()).into());
        }
        let question = Ask::Post { letter: Box::new(letter), length: found.len() };
        let Answer::BroughtIn(id) =
            daemon::bring_in(&loaded.config.control.socket, question, &mut file.take(found.len()))?
        else {
            return Err(anyhow!("the daemon answered another question").into());
        };
        if self.json {
            return context.out.json(&json!({ "queued": id }));
        }
        context.out.good(format_args!("{id} is to be sent to {to}, {} bytes: see `meshd sent list`", found.len()))
    }

    /// What the options say, or the control file.
    fn letter(&self, config: &Config) -> Result<Letter, Failure> {
        let text = |text: &Option<String>| text.as_ref().map(Sensitive::new);
        let (file_name, content_type) = (text(&self.file_name), self.content_type.clone());
        let compress = self.no_compress.then_some(false);
        if let Some(path) = &self.control {
            let said = read_control(path)?;
            let letter = Letter::of(said);
            return Ok(Letter { file_name, content_type, compress: compress.or(letter.compress), ..letter });
        }
        let Some(workflow) = &self.workflow else { return Err(anyhow!("by which workflow? --workflow").into()) };
        let to = Sensitive::new(self.recipient(config, workflow)?.as_str());
        if recipient(&to).is_none() {
            return Err(
                anyhow!("what routes to a patient's practice names the patient: only in a --control file").into()
            );
        }
        let mailbox = match &self.mailbox {
            Some(mailbox) => mailbox.clone(),
            None => only_mailbox(config)?,
        };
        Ok(Letter {
            mailbox,
            to,
            workflow: workflow.clone(),
            subject: text(&self.subject),
            local_id: text(&self.local_id),
            file_name,
            partner_id: None,
            checksum: text(&self.checksum),
            content_type,
            encrypted: self.encrypted,
            compress,
        })
    }
}

impl Send {
    /// Who is to have it, by name or by organisation.
    fn recipient(&self, config: &Config, workflow: &WorkflowId) -> Result<MailboxId, Failure> {
        let organisation = match (&self.to, &self.to_ods) {
            (Some(to), _) => return Ok(to.clone()),
            (None, Some(organisation)) => organisation,
            (None, None) => return Err(anyhow!("who is to have it? --to, --to-ods or --control").into()),
        };
        let found = find(&config.control.socket, organisation.clone(), workflow.clone())?.found;
        match &found[..] {
            [one] => Ok(one.mailbox.clone()),
            [] => Err(anyhow!("{organisation} has no mailbox for {workflow}, says MESH").into()),
            several => {
                let names: Vec<&str> = several.iter().map(|one| one.mailbox.as_str()).collect();
                Err(anyhow!("{organisation} has several mailboxes for {workflow}: --to with {}", names.join(" or "))
                    .into())
            }
        }
    }
}

fn read_control(path: &Path) -> Result<Control, Failure> {
    let named = || path.display().to_string();
    let mut bytes = Vec::new();
    // One more than it may have, which says that it has more.
    File::open(path).with_context(named)?.take(LONGEST as u64 + 1).read_to_end(&mut bytes).with_context(named)?;
    control::read(&bytes).map_err(|broken| {
        let broken: Vec<String> = broken.iter().map(ToString::to_string).collect();
        anyhow!("{}: {}", path.display(), broken.join("; ")).into()
    })
}

/// The mailbox that need not be named.
pub(super) fn only_mailbox(config: &Config) -> Result<MailboxId, Failure> {
    match &config.mailboxes[..] {
        [one] => Ok(one.id.clone()),
        others => {
            let names: Vec<&str> = others.iter().map(|mailbox| mailbox.id.as_str()).collect();
            Err(anyhow!("from which mailbox? --mailbox with one of {}", names.join(", ")).into())
        }
    }
}
