//! One run of the daemon, from its configuration to its end.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tokio::sync::watch;

use super::build::{self, House};
use super::crew::{Crew, Drained, End};
use super::keys::foreign_key;
use super::lock::{Lock, LockError};
use super::logging::Level;
use super::pickups::PickupTask;
use super::reload::{self, Reload};
use super::signals::{Signals, Wish};
use super::tellers::Tellers;
use super::{Stop, heartbeat, logging, notify, pipelines};
use crate::config::{Config, Loaded, Secrets};
use crate::domain::step::Step;
use crate::pipeline::Pipelines;
use crate::ports::disk::Disk;
use crate::ports::operations::{Operations, Phase};
use crate::ports::store::Note;
use crate::store::boot_id;
use crate::store::disk::Real;

/// What runs beside receiving and work needs no longer than this to end.
const TELLING_LIMIT: Duration = Duration::from_secs(15);

/// Blocking calls still under way at the end are left to the process's end after this.
const LEAVE_AFTER: Duration = Duration::from_secs(2);

/// Runs the daemon until it is told to stop, or must.
///
/// `file` is the main file that `loaded` was read from, for a reload.
pub fn run(file: &Path, loaded: Loaded) -> Result<(), Stop> {
    let config = &loaded.config;
    let level = logging::start(config.log.format, config.log.level);
    logging::hush_panics();
    let boot = boot_id();
    prepare_state(config)?;
    let lock = Lock::take(&config.state.directory, &boot).map_err(|error| match error {
        LockError::Held { .. } => Stop::InTheWay(error.into()),
        LockError::Failed { .. } => Stop::Failed(error.into()),
    })?;
    let secrets = loaded.resolve().map_err(Stop::Configuration)?;
    if let Some(mistake) = foreign_key(&loaded, &secrets, &Real::new()) {
        return Err(Stop::Configuration(vec![mistake]));
    }
    let pipelines = pipelines::load_with_keys(&loaded).map_err(Stop::Configuration)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    let ended = runtime.block_on(live((file, loaded), level, secrets, pipelines, &lock));
    runtime.shutdown_timeout(LEAVE_AFTER);
    match ended {
        Ok(Drained::Whole) => Ok(lock.end_in_order(&boot).context("note the orderly end")?),
        // The lock file keeps saying that this run did not end in order, so the next one looks twice.
        Ok(Drained::Cut) => {
            tracing::warn!("{}", Stop::CutOff);
            Err(Stop::CutOff)
        }
        Err(stop) => {
            tracing::error!(error = %stop, "stopped");
            Err(stop)
        }
    }
}

/// Makes the state directory if it is missing, for us alone.
fn prepare_state(config: &Config) -> Result<(), Stop> {
    let (disk, directory) = (Real::new(), &config.state.directory);
    let prepare = || {
        if disk.entry(directory)?.is_none() {
            disk.create_folder(Step::StateDirectory, directory)?;
            disk.set_access(directory, 0o700, None)?;
        }
        Ok::<_, std::io::Error>(())
    };
    Ok(prepare().with_context(|| format!("make the state directory {}", directory.display()))?)
}

async fn live(
    (file, loaded): (&Path, Loaded),
    level: Level,
    secrets: Secrets,
    pipelines: Pipelines,
    lock: &Lock,
) -> Result<Drained, Stop> {
    let config = &loaded.config;
    let mut signals = Signals::new().context("take signals")?;
    notify::status("starting: recovering");
    // Recovery blocks; signals wait meanwhile, and a second one ends at once.
    let last = lock.last_end();
    let fingerprint = reload::fingerprint(&loaded, &pipelines);
    let house = tokio::task::block_in_place(|| build::build(&loaded, secrets, pipelines, last))?;
    let store = Arc::clone(&house.store);
    let tellers = Tellers::bind(config).await?;
    store.note(Note::Started { version: env!("CARGO_PKG_VERSION").into() }).await?;
    store.note(Note::Configured { sha256: fingerprint }).await?;
    let (phase, phases) = watch::channel(Phase::Starting);
    let (desk, mut telling) = tellers.begin(config, &house, phases);
    notify::ready();

    let House { committer, bulk, turns, pickups, tracking, receivers, work, admission, pipelines, backlogs, .. } =
        house;
    let mut working = Crew::new();
    let token = working.token();
    working.add("work", async move { work.run(token).await.map_err(work_stop) });
    let mut receiving = Crew::new();
    for (mailbox, receive) in receivers {
        let token = receiving.token();
        receiving.add(mailbox.to_string(), async move { Ok(receive.run(token).await?) });
    }
    let token = receiving.token();
    // It brings work, as receiving does, and ends with it.
    receiving.add("bulk acts", async move { Ok(bulk.run(token).await?) });
    let token = receiving.token();
    receiving.add("sending", async move { Ok(turns.run(token).await?) });
    for PickupTask { mailbox, pickup, changes } in pickups {
        let token = receiving.token();
        receiving.add(format!("{mailbox}, OUT"), async move {
            let end = pickup.run(token).await;
            drop(changes);
            Ok(end?)
        });
    }
    let token = receiving.token();
    receiving.add("tracking", async move { Ok(tracking.run(token).await?) });
    phase.send_replace(Phase::Running);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), mailboxes = config.mailboxes.len(), "running");

    let limit = config.life.drain.0;
    let (file, store_of) = (file.to_owned(), Arc::clone(&store));
    let mut reload = Reload { file, config: loaded.config, level, admission, pipelines, backlogs, store: store_of };
    let why = serve(&mut signals, &mut reload, &*desk, [&mut receiving, &mut working, &mut telling]).await;
    drop(reload);
    phase.send_replace(Phase::Stopping);
    if let Err(Stop::Halted(halt)) = why {
        // Nothing more can be kept, so nothing is waited for: recovery takes it from here.
        return Err(Stop::Halted(halt));
    }
    notify::stopping();
    store.note(Note::Stopping).await?;
    let received = receiving.drain("receiving, and acknowledges of what is kept", limit).await;
    let worked = working.drain("work in hand", limit).await;
    let told = telling.drain("control, status files and heartbeat", TELLING_LIMIT).await;
    let ends = [received, worked, told];
    let is_whole = ends.iter().all(|end| matches!(end, Ok(Drained::Whole)));
    if is_whole {
        store.note(Note::Stopped).await?;
    }
    store.barrier().await?;
    drop(desk);
    drop(store);
    tokio::task::block_in_place(|| committer.stop())?;
    why?;
    ends.into_iter().collect::<Result<Vec<_>, _>>()?;
    if !is_whole {
        return Ok(Drained::Cut);
    }
    tracing::info!("stopped in order");
    Ok(Drained::Whole)
}

/// Until a signal asks for the end, or something ends by itself.
async fn serve(
    signals: &mut Signals,
    reload: &mut Reload,
    desk: &dyn Operations,
    crews: [&mut Crew; 3],
) -> Result<(), Stop> {
    let [receiving, working, telling] = crews;
    let mut halted = reload.store.halted();
    loop {
        let (name, end): End = tokio::select! {
            biased;
            halt = &mut halted => return Err(halt.into()),
            wish = signals.next() => match wish {
                Wish::Stop => {
                    tracing::info!("stopping");
                    return Ok(());
                }
                Wish::Status => {
                    tracing::info!(status = heartbeat::line(&desk.status()), "status");
                    continue;
                }
                Wish::Reload => {
                    reload.reload().await?;
                    continue;
                }
            },
            end = receiving.next_end() => end,
            end = working.next_end() => end,
            end = telling.next_end() => end,
        };
        end?;
        return Err(anyhow!("{name} ended unasked").into());
    }
}

fn work_stop(error: crate::work::WorkError) -> Stop {
    match error {
        crate::work::WorkError::Halted(halt) => Stop::Halted(halt),
        crate::work::WorkError::Lost => Stop::Failed(error.into()),
    }
}
