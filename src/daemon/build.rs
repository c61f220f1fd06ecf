//! The house built from its parts: the one place that names concrete ones. Blocks, as recovery does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tokio::sync::watch;

use super::bringing::{Entrance, GoesOut, SentOn};
use super::clock::{SystemChance, SystemClock};
use super::directory::Remembered;
use super::jobs::Bulk;
use super::lock::LastEnd;
use super::metrics::Metrics;
use super::pickups::{PickupTask, Shared, pickup_plans};
use super::sealing::Keyholders;
use super::service::Service;
use super::{Stop, probe};
use crate::adapters::http::Client;
use crate::config::{Config, EncryptRule, Engine, Feature, Loaded, Mailbox, Order, Secrets};
use crate::domain::ids::MailboxId;
use crate::domain::operator::Operator;
use crate::domain::output::FolderPlan;
use crate::pipeline::Pipelines;
use crate::ports::clock::{Chance, Clock};
use crate::ports::directory::Directory;
use crate::ports::disk::{Disk, Floor};
use crate::ports::obstacles::Obstacles;
use crate::ports::outbox::Outbox;
use crate::ports::pickups::Pickups;
use crate::ports::spool::SpoolError;
use crate::ports::store::{Sends, Store};
use crate::ports::waits::Waits;
use crate::publish::{Backlogs, Patience, Patient, Publisher};
use crate::receive::admission::{Admission, AdmissionSettings, Budget, Limits};
use crate::receive::poller::{MailboxSettings, Receive, ReceiveParts};
use crate::receive::schedule::Polls;
use crate::send::encrypt::{Encryption, Rule};
use crate::send::sender::{Sender, SenderSettings};
use crate::send::tracking::Tracking;
use crate::send::turns::Turns;
use crate::store::disk::Real;
use crate::store::index::Index;
use crate::store::index::sled::{Opening, Sled};
use crate::store::spool::{Reader, Spool, SpoolSettings};
use crate::store::{self, CHECKPOINT_ROWS, CommitterThread, Retention, StoreParts, StoreSettings};
use crate::work::{Suspensions, Work, WorkSettings};

/// Mail of a small message is sealed into volumes; one is closed at this size, bytes.
const VOLUME_BYTES: u64 = 64 << 20;

/// And at this age, so that retention can remove it in time.
const VOLUME_AGE: Duration = Duration::from_secs(600);

/// Set aside in each mailbox for reports, which must get in when nothing else does.
const RESERVE: Limits = Limits { messages: 1_000, bytes: 10_000_000 };

/// On a service without national rules a schedule is followed as written, but never busily.
const LEAST_GAP: Duration = Duration::from_secs(1);

/// Between two lists of one inbox on a national service (mesh-api 11).
const NATIONAL_GAP: Duration = Duration::from_secs(300);

/// Everything that runs.
pub(super) struct House {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) http: Client,
    pub(super) store: Arc<dyn Store>,
    /// Bulk acts of operators.
    pub(super) bulk: Bulk,
    pub(super) sends: Arc<dyn Sends>,
    pub(super) committer: CommitterThread,
    pub(super) admission: Arc<Admission>,
    pub(super) obstacles: Obstacles,
    pub(super) waits: Waits,
    pub(super) picked_up: Pickups,
    pub(super) metrics: Metrics,
    pub(super) publisher: Publisher,
    /// Opens what is sealed, for operators.
    pub(super) reader: Reader,
    pub(super) keyholders: Keyholders,
    /// Seals again.
    pub(super) vault: Spool,
    /// Where a reload sends new ones.
    pub(super) pipelines: watch::Sender<Arc<Pipelines>>,
    /// Likewise the limits in them.
    pub(super) backlogs: Arc<Backlogs>,
    pub(super) entrance: Entrance,
    pub(super) directory: Option<Arc<dyn Directory>>,
    pub(super) pickups: Vec<PickupTask>,
    pub(super) turns: Turns,
    pub(super) tracking: Tracking,
    pub(super) receivers: Vec<(MailboxId, Receive)>,
    pub(super) work: Work,
}

/// Recovers what is there and builds the rest around it. Durable on return: the store's run has begun.
pub(super) fn build(loaded: &Loaded, secrets: Secrets, pipelines: Pipelines, last: LastEnd) -> Result<House, Stop> {
    let config = &loaded.config;
    let disk: Arc<dyn Disk> = Arc::new(Real::new());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let chance: Arc<dyn Chance> = Arc::new(SystemChance::default());

    let service = Service::new(loaded, Arc::clone(&clock), Arc::clone(&chance)).map_err(Stop::Configuration)?;
    let index = index(config, last, &disk, &clock)?;
    let spool_settings = SpoolSettings {
        directory: config.state.directory.join("spool"),
        recipients: config.mailboxes.iter().map(|mailbox| (mailbox.id.clone(), mailbox.recipients.clone())).collect(),
        identities: secrets.identities.clone(),
        volume_bytes: VOLUME_BYTES,
        volume_age: VOLUME_AGE,
    };
    let (spool, appender) = Spool::open(Arc::clone(&disk), Arc::clone(&clock), secrets.hmac.clone(), spool_settings)
        .map_err(|error| match error {
            // A sync that failed: only a person can say what the disk still holds.
            SpoolError::Failed(halt) => Stop::Halted(halt),
            other @ (SpoolError::NoRoom(_) | SpoolError::Unreadable(_)) => {
                Stop::Failed(anyhow::Error::new(other).context("open the spool"))
            }
        })?;
    let (kept, committer) = store::open(StoreParts {
        disk: Arc::clone(&disk),
        clock: Arc::clone(&clock),
        key: secrets.hmac.clone(),
        spool: (spool.clone(), appender),
        index,
        settings: store_settings(config),
    })?;
    let bulk = Bulk::new(Arc::new(kept.clone()));
    let sends: Arc<dyn Sends> = Arc::new(kept.clone());
    let store: Arc<dyn Store> = Arc::new(kept);
    let reader = spool.reader().clone();
    let vault = spool.clone();
    let spool: Arc<dyn crate::ports::spool::Spool> = Arc::new(spool);

    let (obstacles, waits, metrics) = (Obstacles::default(), Waits::default(), Metrics::default());
    let admission = Admission::new(admission(config), Arc::clone(&store), Arc::clone(&disk), Arc::clone(&clock));
    let mesh = config.mesh.as_ref().context("there is no service")?;
    let (mut receivers, mut senders, mut outboxes) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    let mut directory: Option<Arc<dyn Directory>> = None;
    for mailbox in &config.mailboxes {
        let Some(inbox) = service.inbox(&mailbox.id, &secrets) else { continue };
        let mesh_mailbox = Arc::new(inbox);
        let (outbox, ledger) = (Arc::clone(&mesh_mailbox) as Arc<dyn Outbox>, Arc::clone(&sends));
        outboxes.insert(mailbox.id.clone(), Arc::clone(&outbox));
        // Any mailbox may ask.
        directory.get_or_insert_with(|| Arc::new(Remembered::new(Arc::clone(&mesh_mailbox) as _, Arc::clone(&clock))));
        let settings = SenderSettings { ask_after: mesh.ask_after.0 };
        let sender = Sender::new(outbox, ledger, Arc::clone(&spool), Arc::clone(&chance), settings);
        senders.insert(mailbox.id.clone(), sender);
        let parts = ReceiveParts {
            inbox: mesh_mailbox,
            store: Arc::clone(&store),
            spool: Arc::clone(&spool),
            admission: Arc::clone(&admission),
            clock: Arc::clone(&clock),
            chance: Arc::clone(&chance),
            disk: Arc::clone(&disk),
            timings: Arc::new(metrics.clone()),
            obstacles: obstacles.clone(),
            waits: waits.clone(),
        };
        let gap = if mesh.environment.is_national() { NATIONAL_GAP } else { LEAST_GAP };
        let polls = Polls::new(mailbox.poll.schedule().clone(), &mailbox.id, gap);
        let settings =
            MailboxSettings { polls, in_flight: usize::from(mailbox.in_flight.0), retry_refused: mesh.retry_refused.0 };
        receivers.push((mailbox.id.clone(), Receive::new(parts, settings)));
    }

    let tracking = Tracking::new(Arc::clone(&sends), Arc::clone(&clock), outboxes, mesh.track_after.0);
    let turns = Turns::new(Arc::clone(&store), Arc::clone(&sends), Arc::clone(&clock), senders);
    let keyholders = Keyholders::new(config, &secrets);
    let key = secrets.hmac.clone();
    let entrance = Entrance {
        store: Arc::clone(&store),
        sends: Arc::clone(&sends),
        chance: Arc::clone(&chance),
        spool: vault.clone(),
        disk: Arc::clone(&disk),
        floor: floor(config),
        directory: config.state.directory.clone(),
        admission: Arc::clone(&admission),
        mailboxes: Arc::new(goes_out(config)?),
        turn: Arc::default(),
    };
    let backlogs = Backlogs::new(Arc::clone(&clock));
    backlogs.change(pipelines.waiting());
    let publisher =
        Publisher::new(Arc::clone(&disk), Arc::clone(&chance), secrets.hmac, config.state.directory.clone())
            .with_backlogs(Arc::clone(&backlogs));
    let picked_up = Pickups::default();
    let shared = Shared {
        picked_up: &picked_up,
        directory: &directory,
        key: &key,
        publisher: &publisher,
        entrance: &entrance,
        store: &store,
        sends: &sends,
        clock: &clock,
        obstacles: &obstacles,
    };
    let pickups = shared.pickups(config);
    let workers = usize::from(config.life.workers.0);
    let outputs = Patient::new(Arc::new(publisher.clone()), Patience::beside(workers));
    let plans = pipelines.folders().into_iter().chain(pickup_plans(config)).map(|(_, plan)| plan);
    sweep(&outputs, &plans.collect::<Vec<_>>(), &committer);
    let (pipelines, current) = watch::channel(Arc::new(pipelines));
    let work = Work {
        store: Arc::clone(&store),
        spool,
        outputs: Arc::new(outputs),
        post: Arc::new(SentOn(entrance.clone())),
        by: Operator(rustix::process::geteuid().as_raw()),
        pipelines: current,
        suspensions: Suspensions::default(),
        clock: Arc::clone(&clock),
        chance: Arc::clone(&chance),
        timings: Arc::new(metrics.clone()),
        key,
        settings: WorkSettings {
            workers,
            looks_for_patients: config.audit.patients,
            holds_synthetic: !config.may_use(Feature::SyntheticNumbers),
            ..WorkSettings::default()
        },
    };
    Ok(House {
        clock,
        http: service.http,
        store,
        sends,
        entrance,
        directory,
        pickups,
        turns,
        tracking,
        bulk,
        committer,
        admission,
        obstacles,
        waits,
        picked_up,
        metrics,
        publisher,
        reader,
        keyholders,
        vault,
        pipelines,
        backlogs,
        receivers,
        work,
    })
}

/// Removes what earlier runs left half made in staging. An output that is away is swept at a later start.
fn sweep(outputs: &Patient<Publisher>, plans: &[FolderPlan], committer: &CommitterThread) {
    let swept = outputs.sweep(plans, committer.staged_at_start());
    if swept.removed > 0 {
        tracing::info!(files = swept.removed, "removed what an earlier run left in staging");
    }
    for fault in swept.faults {
        tracing::warn!(code = %fault.code, detail = fault.detail, "an output is away: mail for it waits");
    }
}

fn index(config: &Config, last: LastEnd, disk: &Arc<dyn Disk>, clock: &Arc<dyn Clock>) -> Result<Box<dyn Index>, Stop> {
    let opening = Opening {
        directory: config.state.directory.join("index"),
        disk: Arc::clone(disk),
        clock: Arc::clone(clock),
        probe: match last {
            LastEnd::InOrder => None,
            LastEnd::Unknown => Some(Box::new(probe::in_a_child)),
        },
    };
    match config.queue.engine {
        Engine::Sled => Ok(Box::new(Sled::open(opening).context("open the index")?)),
    }
}

fn store_settings(config: &Config) -> StoreSettings {
    let retention = &config.retention;
    let strict = config.mailboxes.iter().filter(|mailbox| mailbox.order == Order::Strict);
    StoreSettings {
        directory: config.state.directory.clone(),
        segment_bytes: config.journal.segment.0,
        strict: strict.map(|mailbox| mailbox.id.clone()).collect(),
        checkpoint_rows: CHECKPOINT_ROWS,
        head_interval: config.journal.head_interval.0,
        floor: floor(config),
        retention: Retention {
            delivered: retention.delivered.0,
            dead: retention.dead.0,
            seen: retention.seen.0,
            journal: retention.journal.0,
        },
        boot: store::boot_id(),
    }
}

/// How each mailbox's mail goes out. Recipients were checked with the configuration.
fn goes_out(config: &Config) -> Result<BTreeMap<MailboxId, GoesOut>, anyhow::Error> {
    let rule = |rule: &EncryptRule| {
        let recipients: Result<Vec<_>, _> = rule.recipients.iter().map(|recipient| recipient.parse()).collect();
        let recipients = recipients.map_err(|error: &str| anyhow!("mailbox.encrypt.recipients: {error}"))?;
        Ok::<_, anyhow::Error>(Rule { to: rule.to.clone(), workflow: rule.workflow.clone(), recipients })
    };
    let of = |mailbox: &Mailbox| {
        let encryption = Encryption(mailbox.encrypt.iter().map(rule).collect::<Result<_, _>>()?);
        Ok((mailbox.id.clone(), GoesOut { settings: mailbox.send, encryption }))
    };
    config.mailboxes.iter().map(of).collect()
}

pub(super) fn floor(config: &Config) -> Floor {
    Floor { bytes_percent: config.state.min_free.0, inodes_percent: config.state.min_free_inodes.0 }
}

/// The limits of intake, as configured.
pub(super) fn admission(config: &Config) -> AdmissionSettings {
    let limits = |limits: crate::config::Limits| Limits { messages: limits.messages, bytes: limits.bytes.0 };
    let budget = |queued, set_aside| Budget { queued: limits(queued), set_aside: limits(set_aside) };
    let mailboxes: BTreeMap<_, _> = config
        .mailboxes
        .iter()
        .map(|mailbox| (mailbox.id.clone(), budget(mailbox.limits, mailbox.set_aside)))
        .collect();
    AdmissionSettings {
        all: budget(config.queue.limits, config.queue.set_aside),
        mailboxes,
        reserve: RESERVE,
        floor: floor(config),
        directory: config.state.directory.clone(),
    }
}
