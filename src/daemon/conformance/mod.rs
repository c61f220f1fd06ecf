//! `meshd conformance`: NHS's catalogue of compliance tests (mesh-api 11.1) against the configured MESH, by the very
//! adapter that the daemon uses.
//!
//! | File | What it is |
//! |---|---|
//! | [`catalogue`] | the cases, as one table |
//! | `cases` | one function a case |
//! | `scene`, `letter`, `collect` | what they act with: our mailboxes, synthetic messages, their downloads |
//! | `watch` | every request, ids masked |
//! | [`report`] | the evidence |
//!
//! **It touches its own mail only.** It asks for a message only by an id that MESH gave it for one of its own sends, and
//! acknowledges only what then has the local id of that send ([`crate::ports::trial`]). It keeps nothing.

mod cases;
pub mod catalogue;
mod collect;
mod letter;
pub mod report;
mod scene;
mod watch;

use std::io;
use std::sync::Arc;

use secrecy::SecretString;
use tokio::runtime::Builder;

use self::catalogue::{Case, How};
use self::report::{Outcome, Report, Standing};
use self::scene::{Desk, Scene, Short};
use self::watch::Watch;
use super::clock::{SystemChance, SystemClock};
use super::lock::{Lock, LockError};
use super::online::chain;
use super::service::Service;
use crate::adapters::mesh::{self, Environment, headers};
use crate::config::{Loaded, Secrets};
use crate::domain::fault::Fault;
use crate::domain::finding::Finding;
use crate::domain::ids::{MailboxId, WorkflowId};
use crate::ports::inbox::Inbox;
use crate::ports::trial::Trial;

/// Production on the old health network (mesh-api 1): somebody may have configured it as `custom`.
const OLD_LIVE: &str = "https://mesh-sync.national.ncrs.nhs.uk";

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The mailbox under test.
    pub mailbox: MailboxId,
    /// Where it sends; itself, if it is not said.
    pub partner: Option<MailboxId>,
    /// Under which workflow.
    pub workflow: WorkflowId,
    /// Which cases; all, if none is named.
    pub cases: Vec<u16>,
}

/// Why nothing was run.
#[derive(Debug, thiserror::Error)]
pub enum CannotRun {
    /// Production is no place for trials.
    #[error("{0} is the live service: its cases are run against integration or a sandbox")]
    Live(String),
    /// There is no such mailbox here.
    #[error("{0} is not among the configured mailboxes")]
    NoMailbox(MailboxId),
    /// A daemon has the mailbox: both would read it.
    #[error("the daemon must be stopped first: {0}")]
    Running(String),
    /// The state directory cannot be looked at.
    #[error("whether a daemon runs cannot be told: {0}")]
    Unseen(io::Error),
    /// The service cannot be made.
    #[error("the configuration has mistakes")]
    Configuration(Vec<Finding>),
    /// MESH is away, or refuses us.
    #[error("{mailbox}, handshake: {fault}")]
    Far {
        /// Whose handshake.
        mailbox: MailboxId,
        /// What came of it.
        fault: Fault,
    },
    /// Our own machine.
    #[error("{0}")]
    Failed(io::Error),
}

/// Runs the cases, and tells of each as it ends. No daemon can start on the same state meanwhile.
pub fn run(
    loaded: &Loaded,
    secrets: &Secrets,
    wish: &Wish,
    mut told: impl FnMut(&Outcome),
) -> Result<Report, CannotRun> {
    let (clock, chance) = (Arc::new(SystemClock::default()), Arc::new(SystemChance::default()));
    let service = Service::new(loaded, clock, chance).map_err(CannotRun::Configuration)?;
    refuse_live(service.base.as_str())?;
    let chunk = chunk_of(loaded, &wish.mailbox)?;
    let _lock = lock(loaded)?;
    let scene = set_scene(&service, secrets, wish, chunk)?;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(CannotRun::Failed)?;
    runtime.block_on(Box::pin(all(&service, &scene, wish, &mut told)))
}

fn refuse_live(base: &str) -> Result<(), CannotRun> {
    if [Environment::Live.base_url().as_str(), OLD_LIVE].contains(&base) {
        return Err(CannotRun::Live(base.to_owned()));
    }
    Ok(())
}

fn chunk_of(loaded: &Loaded, mailbox: &MailboxId) -> Result<u64, CannotRun> {
    let known = loaded.config.mailboxes.iter().find(|known| known.id == *mailbox);
    Ok(known.ok_or_else(|| CannotRun::NoMailbox(mailbox.clone()))?.send.chunk.0)
}

/// Held until the run is over. Where there is no lock yet, no daemon ever ran.
fn lock(loaded: &Loaded) -> Result<Option<Lock>, CannotRun> {
    match Lock::look(&loaded.config.state.directory) {
        Ok(lock) => Ok(Some(lock)),
        Err(LockError::Failed { error, .. }) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(held @ LockError::Held { .. }) => Err(CannotRun::Running(held.to_string())),
        Err(LockError::Failed { error, .. }) => Err(CannotRun::Unseen(error)),
    }
}

fn set_scene(service: &Service, secrets: &Secrets, wish: &Wish, chunk: u64) -> Result<Scene, CannotRun> {
    let watch = Arc::new(Watch::default());
    let seen = |mailbox: mesh::Mailbox| mailbox.witnessed_by(Arc::clone(&watch) as _);
    let unique = service.chance.uuid();
    let own = service.inbox(&wish.mailbox, secrets).ok_or_else(|| CannotRun::NoMailbox(wish.mailbox.clone()))?;
    let wrong = SecretString::from(format!("not-the-password-{unique}"));
    let impostor = service.mailbox(&wish.mailbox, wrong, secrets);
    let partner_id = wish.partner.as_ref().unwrap_or(&wish.mailbox).clone();
    let partner = Some(&partner_id).filter(|id| **id != wish.mailbox).and_then(|id| service.inbox(id, secrets));
    Ok(Scene {
        own: seen(own),
        impostor: seen(impostor),
        partner: partner.map(seen),
        partner_id,
        workflow: wish.workflow.clone(),
        chunk,
        trial: Trial::new(&unique),
        watch: Arc::clone(&watch),
        chance: Arc::clone(&service.chance),
        desk: Desk::default(),
    })
}

async fn all(
    service: &Service,
    scene: &Scene,
    wish: &Wish,
    told: &mut impl FnMut(&Outcome),
) -> Result<Report, CannotRun> {
    let began = service.clock.wall();
    // One of each, as MESH wants no more than one an hour (mesh-api 11).
    for mailbox in [Some(&scene.own), scene.partner.as_ref()].into_iter().flatten() {
        let far = |fault| CannotRun::Far { mailbox: Inbox::mailbox(mailbox).clone(), fault };
        mailbox.handshake().await.map_err(far)?;
    }
    let before = scene.watch.take();
    let mut cases = Vec::new();
    for case in catalogue::CATALOGUE {
        let outcome = one(service, scene, wish, case).await;
        told(&outcome);
        cases.push(outcome);
    }
    let left = scene.tidy().await;
    let ended = service.clock.wall();
    let health = service.http.health();
    Ok(Report {
        catalogue: catalogue::NAME,
        program: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        machine: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        api: headers::ACCEPT_V2,
        endpoint: service.base.to_string(),
        endpoint_certificates: chain(&health.server_chain, ended),
        client_certificates: chain(&health.client_chain, ended),
        mailbox: wish.mailbox.to_string(),
        partner: scene.partner_id.to_string(),
        workflow: scene.workflow.to_string(),
        run: scene.trial.as_str().to_owned(),
        began: began.to_string(),
        ended: ended.to_string(),
        before,
        cases,
        after: scene.watch.take(),
        left,
    })
}

async fn one(service: &Service, scene: &Scene, wish: &Wish, case: &Case) -> Outcome {
    let began = service.clock.wall();
    let came = match case.how {
        How::NotHere(why) => Err(Short::NotRun(why.to_owned())),
        How::Runs(_) if !wish.cases.is_empty() && !wish.cases.contains(&case.number) => {
            Err(Short::NotRun("it was not asked for".to_owned()))
        }
        How::Runs(run) => run(scene).await,
    };
    let (verdict, reason) = match came {
        Ok(()) => (Standing::Passed, None),
        Err(Short::Failed(why)) => (Standing::Failed, Some(why)),
        Err(Short::NotRun(why)) => (Standing::NotRun, Some(why)),
    };
    Outcome {
        number: case.number,
        title: case.title,
        optional: case.is_optional,
        verdict,
        reason,
        done: case.done,
        expected: case.expected,
        seen: scene.take_notes(),
        began: began.to_string(),
        ended: service.clock.wall().to_string(),
        requests: scene.watch.take(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn production_is_refused_by_whatever_name() {
        for live in [Environment::Live.base_url().as_str(), OLD_LIVE] {
            assert!(matches!(refuse_live(live), Err(CannotRun::Live(_))), "{live}");
        }
        for other in [Environment::Int, Environment::Dep] {
            assert!(refuse_live(other.base_url().as_str()).is_ok());
        }
    }
}
