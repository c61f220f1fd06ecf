//! What the cases act with: our mailboxes at MESH, the letters that are on their way, and what was noticed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::sleep;

use super::collect::{Collected, download};
use super::letter;
use super::watch::Watch;
use crate::adapters::mesh;
use crate::domain::envelope::Envelope;
use crate::domain::fault::Fault;
use crate::domain::ids::{MailboxId, MessageId, Sensitive, WorkflowId};
use crate::ports::clock::Chance;
use crate::ports::inbox::{Encoding, Inbox, Listing, Page};
use crate::ports::outbox::Unsent;
use crate::ports::trial::Trial;
use crate::send::at_once;

/// Ids of one page, as the daemon asks for them (mesh-api 6.3).
pub(super) const PAGE: u16 = 500;
/// No list is followed further.
const MOST_PAGES: usize = 100;
/// Seconds before each look for a message: what MESH lists may lag (mesh-api 15, row 13).
const LOOKS: [u64; 5] = [0, 1, 4, 15, 40];

/// Why a case did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Short {
    /// Something is not as expected.
    Failed(String),
    /// It cannot be shown here and now.
    NotRun(String),
}

/// How a case goes.
pub(super) type Ran<'a> = BoxFuture<'a, Result<(), Short>>;

/// A letter that MESH took.
#[derive(Debug, Clone)]
pub(super) struct Posted {
    /// MESH's id of it.
    pub(super) id: MessageId,
    /// Ours.
    pub(super) number: u32,
    /// Plain bytes.
    pub(super) length: u64,
    /// SHA-256 of them.
    pub(super) sha256: String,
    /// Where it lies.
    to: MailboxId,
}

/// What differs from letter to letter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Letter {
    /// Plain bytes.
    pub(super) length: u64,
    /// How it goes out.
    pub(super) encoding: Encoding,
}

/// The stage of one run.
pub(super) struct Scene {
    /// The mailbox under test.
    pub(super) own: mesh::Mailbox,
    /// The same with a password that is wrong.
    pub(super) impostor: mesh::Mailbox,
    /// Another mailbox of ours that letters go to and come from.
    pub(super) partner: Option<mesh::Mailbox>,
    /// Where letters go, ours or not.
    pub(super) partner_id: MailboxId,
    pub(super) workflow: WorkflowId,
    /// Plain bytes of one request.
    pub(super) chunk: u64,
    pub(super) trial: Trial,
    pub(super) watch: Arc<Watch>,
    pub(super) chance: Arc<dyn Chance>,
    pub(super) desk: Desk,
}

/// What was noticed, and what is on its way.
#[derive(Default)]
pub(super) struct Desk(Mutex<Papers>);

#[derive(Default)]
struct Papers {
    notes: Vec<String>,
    letters: u32,
    /// Not acknowledged yet.
    on_their_way: BTreeMap<MessageId, Posted>,
}

impl Scene {
    /// The mailbox that letters go to, if it is ours.
    pub(super) fn recipient(&self) -> Option<&mesh::Mailbox> {
        if self.partner_id == *self.id() { Some(&self.own) } else { self.partner.as_ref() }
    }

    /// The mailbox that letters come from.
    pub(super) fn sender(&self) -> &mesh::Mailbox {
        self.partner.as_ref().unwrap_or(&self.own)
    }

    /// The mailbox under test.
    pub(super) fn id(&self) -> &MailboxId {
        Inbox::mailbox(&self.own)
    }

    /// Notes what was seen.
    pub(super) fn saw(&self, note: impl Into<String>) {
        self.desk.papers(|papers| papers.notes.push(note.into()));
    }

    /// What was noted since the last call of this.
    pub(super) fn take_notes(&self) -> Vec<String> {
        self.desk.papers(|papers| std::mem::take(&mut papers.notes))
    }

    /// Sends a letter, and says what MESH answered if it did not take it.
    pub(super) async fn try_to_post(
        &self,
        from: &mesh::Mailbox,
        to: &str,
        letter: Letter,
    ) -> Result<Result<Posted, Unsent>, Short> {
        let number = self.desk.papers(|papers| {
            papers.letters += 1;
            papers.letters
        });
        let local_id = self.trial.local_id(number);
        let payload = letter::payload(&local_id, letter.length);
        let read = payload.clone();
        let digest = tokio::task::spawn_blocking(move || letter::sha256(&read)).await.map_err(broken)?;
        let sha256 = digest.map_err(broken)?;
        let envelope = self.envelope(Inbox::mailbox(from), to, &local_id)?;
        let sent = at_once(from, &envelope, payload, self.chunk, letter.encoding).await;
        let to = MailboxId::new(to).map_err(broken)?;
        Ok(sent.map(|id| {
            let posted = Posted { id, number, length: letter.length, sha256, to };
            self.desk.papers(|papers| papers.on_their_way.insert(posted.id.clone(), posted.clone()));
            posted
        }))
    }

    /// Sends a letter that MESH is to take.
    pub(super) async fn post(&self, from: &mesh::Mailbox, to: &MailboxId, letter: Letter) -> Result<Posted, Short> {
        self.try_to_post(from, to.as_str(), letter).await?.map_err(|unsent| match unsent {
            Unsent::NotTaken(fault) | Unsent::Refused(fault) => Short::Failed(format!("it was not sent: {fault}")),
            Unsent::Unknown(fault) => Short::Failed(format!("whether it was sent is not known: {fault}")),
            Unsent::Unreadable(why) => Short::Failed(format!("it could not be made up: {why}")),
        })
    }

    fn envelope(&self, from: &MailboxId, to: &str, local_id: &str) -> Result<Envelope, Short> {
        let message_id = MessageId::new(local_id).map_err(broken)?;
        Ok(Envelope {
            to: Some(Sensitive::new(to)),
            subject: Some(Sensitive::new("meshd conformance, synthetic")),
            local_id: Some(Sensitive::new(local_id)),
            ..Envelope::going_out(from.clone(), message_id, self.workflow.clone())
        })
    }

    /// One page of a list.
    pub(super) async fn list(&self, mailbox: &mesh::Mailbox, page: Page) -> Result<Listing, Short> {
        mailbox.list(page).await.map_err(|fault| Short::Failed(format!("the list: {fault}")))
    }

    /// The first page.
    pub(super) async fn first_page(&self, mailbox: &mesh::Mailbox) -> Result<Listing, Short> {
        self.list(mailbox, Page::First { max_results: PAGE, workflow_filter: None }).await
    }

    /// All that waits in a mailbox.
    pub(super) async fn waiting(&self, mailbox: &mesh::Mailbox) -> Result<BTreeSet<MessageId>, Short> {
        let mut listing = self.first_page(mailbox).await?;
        let mut found: BTreeSet<MessageId> = listing.ids.drain(..).collect();
        for _ in 1..MOST_PAGES {
            let Some(next) = listing.next else { return Ok(found) };
            listing = self.list(mailbox, Page::Next(next)).await?;
            found.extend(listing.ids.drain(..));
        }
        Err(Short::Failed(format!("the list of {} has no end", Inbox::mailbox(mailbox))))
    }

    /// Waits until a letter is listed.
    pub(super) async fn find(&self, mailbox: &mesh::Mailbox, posted: &Posted) -> Result<(), Short> {
        for seconds in LOOKS {
            sleep(Duration::from_secs(seconds)).await;
            let waiting = self.waiting(mailbox).await?;
            if waiting.contains(&posted.id) {
                let others = waiting.iter().filter(|id| !self.desk.knows(id)).count();
                self.saw(format!("it is listed; messages of others that wait, and are left alone: {others}"));
                return Ok(());
            }
        }
        Err(Short::Failed(format!("it is not listed after {} s", LOOKS.iter().sum::<u64>())))
    }

    /// Downloads a letter, compares it with what was sent, and acknowledges it directly after.
    pub(super) async fn collect(&self, mailbox: &mesh::Mailbox, posted: &Posted) -> Result<Collected, Short> {
        let collected = download(mailbox, &self.trial, posted).await?;
        let acknowledged = mailbox.acknowledge_own(&collected.own).await;
        acknowledged.map_err(|fault| Short::Failed(format!("the acknowledge: {fault}")))?;
        self.desk.papers(|papers| papers.on_their_way.remove(&posted.id));
        Ok(collected)
    }

    /// Waits for a letter and collects it, and says how it came.
    pub(super) async fn receive(&self, mailbox: &mesh::Mailbox, posted: &Posted) -> Result<Collected, Short> {
        self.find(mailbox, posted).await?;
        let collected = self.collect(mailbox, posted).await?;
        let (Posted { length, sha256, .. }, Collected { chunks, as_gzip, .. }) = (posted, &collected);
        self.saw(format!(
            "{length} bytes came (chunks: {chunks}, of them as gzip: {as_gzip}) with the SHA-256 of what was sent: {sha256}"
        ));
        self.saw("it was acknowledged directly after its download");
        Ok(collected)
    }

    /// Acknowledges what a failed case left in mailboxes of ours, and tells what stays.
    pub(super) async fn tidy(&self) -> Vec<String> {
        let on_their_way = self.desk.papers(|papers| std::mem::take(&mut papers.on_their_way));
        let mut left = Vec::new();
        for posted in on_their_way.into_values() {
            let ours = [Some(&self.own), self.partner.as_ref()].into_iter().flatten();
            let Some(mailbox) = ours.into_iter().find(|mailbox| *Inbox::mailbox(*mailbox) == posted.to) else {
                left.push(format!("letter {} waits in {} for its owner", posted.number, posted.to));
                continue;
            };
            if let Err(fault) = self.put_away(mailbox, &posted).await {
                left.push(format!("letter {} stays in {}: {fault}", posted.number, posted.to));
            }
        }
        left
    }

    async fn put_away(&self, mailbox: &mesh::Mailbox, posted: &Posted) -> Result<(), Left> {
        let envelope = mailbox.head(&posted.id).await?;
        let own = self.trial.recognise(posted.number, &envelope).ok_or(Left::NotOurs)?;
        Ok(mailbox.acknowledge_own(&own).await?)
    }
}

/// Why a letter stays.
#[derive(Debug, thiserror::Error)]
enum Left {
    #[error("what lies there does not have its local id")]
    NotOurs,
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Desk {
    fn papers<T>(&self, act: impl FnOnce(&mut Papers) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn knows(&self, id: &MessageId) -> bool {
        self.papers(|papers| papers.on_their_way.contains_key(id))
    }
}

/// Something of ours did not work.
fn broken(problem: impl std::fmt::Display) -> Short {
    Short::Failed(format!("meshd itself failed: {problem}"))
}
