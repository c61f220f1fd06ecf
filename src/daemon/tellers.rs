//! Those who tell others how the daemon is: control socket, HTTP, status files, service manager; and who looks.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::anyhow;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::archive::Archive;
use super::build::House;
use super::bulletin::Bulletins;
use super::control::{Control, ControlError, Groups};
use super::crew::Crew;
use super::health::{self, Watched};
use super::http::{self, Told};
use super::legal_holds::LegalHolds;
use super::monitors::Monitors;
use super::operations::Desk;
use super::readings::Readings;
use super::rewrap::{Rewrap, Rewrapper};
use super::sealing::Sealing;
use super::{Stop, heartbeat};
use crate::config::{Config, Listen};
use crate::ports::operations::{Operations, Phase};

/// What they listen at, bound: two daemons in one another's way end here, before any mail is touched.
pub(super) struct Tellers {
    control: Control,
    http: Option<TcpListener>,
}

impl Tellers {
    /// Takes the control socket and the address of HTTP.
    pub(super) async fn bind(config: &Config) -> Result<Self, Stop> {
        let settings = &config.control;
        let groups = Groups { view: settings.view_group.clone(), operate: settings.operate_group.clone() };
        let control = Control::bind(&settings.socket, groups).map_err(|error| match error {
            ControlError::Taken(_) => Stop::InTheWay(error.into()),
            ControlError::Failed(..) => Stop::Failed(error.into()),
        })?;
        let http = match config.http.listen {
            Listen::Off => None,
            Listen::Address(address) => Some(http::bind(address).await.map_err(|error| {
                let what = anyhow!("http.listen = \"{address}\": {error}: choose another address, or \"off\"");
                Stop::InTheWay(what)
            })?),
        };
        Ok(Self { control, http })
    }

    /// Begins to tell.
    pub(super) fn begin(
        self,
        config: &Config,
        house: &House,
        phase: watch::Receiver<Phase>,
    ) -> (Arc<dyn Operations>, Crew) {
        let (looked, looks) = watch::channel(None);
        let head = house.committer.head();
        let organisations = config.mailboxes.iter().map(|mailbox| (mailbox.id.clone(), mailbox.organisation.clone()));
        let monitors = Monitors {
            store: Arc::clone(&house.store),
            pipelines: house.work.pipelines.clone(),
            clock: Arc::clone(&house.clock),
        };
        let archive = Archive::new(config.state.directory.join("journal"), head.clone(), Arc::clone(&house.clock));
        let legal_holds = LegalHolds { store: Arc::clone(&house.store), archive: archive.clone() };
        let sealing = Sealing {
            store: Arc::clone(&house.store),
            reader: house.reader.clone(),
            keyholders: house.keyholders.clone(),
        };
        let rewrapper = Rewrapper::new();
        let desk: Arc<dyn Operations> = Arc::new(Desk {
            store: Arc::clone(&house.store),
            sends: Arc::clone(&house.sends),
            head: head.clone(),
            http: house.http.clone(),
            clock: Arc::clone(&house.clock),
            started_at: house.clock.wall(),
            organisations: organisations.collect(),
            phase,
            looked: looks,
            obstacles: house.obstacles.clone(),
            waits: house.waits.clone(),
            pickups: house.picked_up.clone(),
            pipelines: house.work.pipelines.clone(),
            suspensions: house.work.suspensions.clone(),
            monitors: monitors.clone(),
            bulk: house.bulk.clone(),
            entrance: house.entrance.clone(),
            archive,
            readings: Readings::default(),
            sealing: sealing.clone(),
            rewrapper: rewrapper.clone(),
            reader: house.reader.clone(),
        });

        let mut crew = Crew::new();
        let token = crew.token();
        let (answering, stop) = (Arc::clone(&desk), token.clone());
        crew.add("control", async move {
            self.control.serve(answering, stop).await;
            Ok(())
        });
        if let Some(listener) = self.http {
            let told = Told { operations: Arc::clone(&desk), metrics: house.metrics.clone() };
            let stop = token.clone();
            crew.add("http", async move {
                http::serve(listener, told, stop).await;
                Ok(())
            });
        }
        let watched = Watched {
            store: Arc::clone(&house.store),
            admission: Arc::clone(&house.admission),
            clock: Arc::clone(&house.clock),
            obstacles: house.obstacles.clone(),
            mailboxes: config.mailboxes.iter().map(|mailbox| mailbox.id.clone()).collect(),
        };
        let stop = token.clone();
        crew.add("health", async move {
            health::watch(watched, looked, stop).await;
            Ok(())
        });
        let rewrap = Rewrap { rewrapper, sealing, spool: house.vault.clone() };
        let stop = token.clone();
        crew.add("rewrap", async move { Ok(rewrap.serve(stop).await?) });
        let stop = token.clone();
        crew.add("monitors", async move { Ok(monitors.watch(stop).await?) });
        let stop = token.clone();
        crew.add("legal holds", async move { Ok(legal_holds.watch(stop).await?) });
        let bulletins = Bulletins {
            operations: Arc::clone(&desk),
            obstacles: house.obstacles.clone(),
            publisher: house.publisher.clone(),
            pipelines: house.work.pipelines.clone(),
            head,
            clock: Arc::clone(&house.clock),
            stuck: BTreeMap::new(),
        };
        let stop = token.clone();
        crew.add("status files", async move {
            bulletins.keep(stop).await;
            Ok(())
        });
        let beat = heartbeat::beat(Arc::clone(&house.store), Arc::clone(&desk), Arc::clone(&house.clock), token);
        crew.add("heartbeat", async move { Ok(beat.await?) });
        (desk, crew)
    }
}
