//! Those who pick up what applications put into `OUT`, built from the configuration.

use std::sync::Arc;

use tokio::sync::Notify;

use super::bringing::Entrance;
use crate::adapters::changes::Changes;
use crate::config::{AutoControl, Config, Mailbox, PickupReport, PickupSettings};
use crate::domain::control::Control;
use crate::domain::digest::DigestKey;
use crate::domain::ids::{MailboxId, Name, Sensitive};
use crate::domain::operator::Operator;
use crate::domain::output::{FolderPlan, Layout};
use crate::ports::clock::Clock;
use crate::ports::directory::Directory;
use crate::ports::obstacles::Obstacles;
use crate::ports::pickups::Pickups;
use crate::ports::store::{Sends, Store};
use crate::publish::{PairFolders, Publisher};
use crate::send::pickup::{AutoRule, Pickup, PickupParts, PickupRules};

/// A mailbox's pickup, and what tells it of changes.
pub(super) struct PickupTask {
    pub(super) mailbox: MailboxId,
    pub(super) pickup: Pickup,
    pub(super) changes: Option<Changes>,
}

/// The root that a mailbox's pairs lie in, as an output: it is set up, looked at and swept like any other.
pub fn pickup_plans(config: &Config) -> Vec<(MailboxId, FolderPlan)> {
    let with_pickup = config.mailboxes.iter().filter(|mailbox| mailbox.pickup.is_some());
    with_pickup.map(|mailbox| (mailbox.id.clone(), plan(mailbox))).collect()
}

fn plan(mailbox: &Mailbox) -> FolderPlan {
    FolderPlan {
        name: Name::new("pickup").expect("a name"),
        layout: Layout::MeshFolder,
        line_ends: mailbox.line_ends,
        folder: mailbox.output.join("IN"),
        group: mailbox.group.clone(),
        mode: mailbox.mode.0,
        payload: Vec::new(),
    }
}

/// The control file that a data file without one has.
fn rule(mailbox: &MailboxId, auto: &AutoControl) -> AutoRule {
    let control = Control {
        from: mailbox.clone(),
        to: Sensitive::new(auto.to.as_ref().map_or("", MailboxId::as_str)),
        workflow: auto.workflow.clone(),
        subject: auto.subject.as_deref().map(Sensitive::new),
        local_id: None,
        partner_id: None,
        checksum: None,
        compress: true,
        encrypted: false,
        allow_chunking: true,
    };
    AutoRule { begins: auto.begins.clone(), organisation: auto.to_ods.clone(), control }
}

/// What all of them share.
pub(super) struct Shared<'a> {
    pub(super) key: &'a DigestKey,
    pub(super) picked_up: &'a Pickups,
    pub(super) directory: &'a Option<Arc<dyn Directory>>,
    pub(super) publisher: &'a Publisher,
    pub(super) entrance: &'a Entrance,
    pub(super) store: &'a Arc<dyn Store>,
    pub(super) sends: &'a Arc<dyn Sends>,
    pub(super) clock: &'a Arc<dyn Clock>,
    pub(super) obstacles: &'a Obstacles,
}

impl Shared<'_> {
    /// The pickups of all mailboxes that have one.
    pub(super) fn pickups(&self, config: &Config) -> Vec<PickupTask> {
        let with_pickup = config.mailboxes.iter().filter_map(|mailbox| Some((mailbox, mailbox.pickup.as_ref()?)));
        with_pickup.map(|(mailbox, settings)| self.pickup(mailbox, settings)).collect()
    }

    fn pickup(&self, mailbox: &Mailbox, settings: &PickupSettings) -> PickupTask {
        let hint = Arc::new(Notify::new());
        let out = mailbox.output.join("OUT");
        let changes = Changes::of(&out, Arc::clone(&hint));
        let changes = changes.map_err(|error| {
            tracing::info!(mailbox = %mailbox.id, %error, "changes in OUT are not told: it is looked at every `scan`");
        });
        let parts = PickupParts {
            pairs: Arc::new(PairFolders::new(self.publisher.clone(), mailbox.id.clone(), plan(mailbox))),
            post: Arc::new(self.entrance.apart()),
            store: Arc::clone(self.store),
            sends: Arc::clone(self.sends),
            clock: Arc::clone(self.clock),
            key: self.key.clone(),
            obstacles: self.obstacles.clone(),
            told: self.picked_up.clone(),
            directory: self.directory.clone(),
            hint,
        };
        let reports = |report| settings.reports.contains(&report);
        let rules = PickupRules {
            settle: settings.settle.0,
            orphan_after: settings.orphan_after.0,
            scan: settings.scan.0,
            save_sent: settings.save_sent,
            file_name: settings.file_name,
            report_collect: reports(PickupReport::Collect),
            report_transfer: reports(PickupReport::Transfer),
            report_delay: reports(PickupReport::Delay),
            auto: settings.auto.iter().map(|auto| rule(&mailbox.id, auto)).collect(),
            chunk: mailbox.send.chunk.0,
            by: Operator(rustix::process::geteuid().as_raw()),
        };
        let pickup = Pickup::new(mailbox.id.clone(), parts, rules);
        PickupTask { mailbox: mailbox.id.clone(), pickup, changes: changes.ok() }
    }
}
