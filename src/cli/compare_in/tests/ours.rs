//! One side is written by meshd itself.

use std::io;
use std::sync::Arc;

use super::*;
use crate::daemon::{SystemChance, SystemClock};
use crate::domain::digest::DigestKey;
use crate::domain::envelope::{Envelope, MessageKind, Status};
use crate::domain::ids::{DeliveryId, MailboxId, MessageId, Name, Sensitive, WorkflowId};
use crate::domain::output::{FolderPlan, Layout, LineEnds};
use crate::ports::outputs::{Outputs as _, PublishJob, Published, StageJob};
use crate::ports::spool::{Opened, Payload, PayloadSource};
use crate::ports::store::{Delivery, Location};
use crate::publish::{NewRoot, Publisher, init_root};
use crate::store::disk::Real;

struct Data;

impl PayloadSource for Data {
    fn reader(&self) -> io::Result<Box<dyn io::Read + Send>> {
        Ok(Box::new(&b"data"[..]))
    }
}

fn envelope() -> Envelope {
    let mailbox = MailboxId::new("X26ABC2").expect("an id");
    let workflow = WorkflowId::new("TRUST_DEMO_FLOW").expect("an id");
    Envelope {
        from: Some(MailboxId::new("X26ABC1").expect("an id")),
        to: Some(Sensitive::new("X26ABC2")),
        subject: Some(Sensitive::new(SECRET)),
        local_id: Some(Sensitive::new("RXX-000017")),
        status: Status {
            code: Some("00".to_owned()),
            event: Some("TRANSFER".to_owned()),
            success: Some("SUCCESS".to_owned()),
            timestamp: Some("20260105093013".to_owned()),
            description: None,
        },
        ..Envelope::going_out(mailbox, MessageId::new(ID).expect("an id"), workflow)
    }
}

fn delivery(envelope: &Envelope, key: &DigestKey) -> Delivery {
    Delivery {
        id: DeliveryId(1),
        mailbox: envelope.mailbox.clone(),
        message_id: envelope.message_id.clone(),
        workflow: envelope.workflow.clone(),
        from: envelope.from.clone(),
        kind: MessageKind::Data,
        length: 4,
        digest: key.of(b"data"),
        location: Location::Group { volume: 1, offset: 0, length: 300, member: 0 },
        accepted_at: Timestamp(1_767_605_413_000),
        attempts: 0,
        starts: 1,
        solo_deaths: 0,
        continues: None,
        outputs: Vec::new(),
        meant_for: None,
        outgoing: None,
    }
}

/// The report about a message that meshd published with such ends of lines; the old client's are LF.
fn report_with(line_ends: LineEnds) -> Value {
    let folders = Folders::new();
    let (disk, chance) = (Arc::new(Real::new()), Arc::new(SystemChance::default()));
    let (state, root) = (folders.base.path().join("state"), folders.root());
    fs::create_dir(&state).expect("made");
    let new = NewRoot { root: &root, layout: Layout::MeshFolder, group: None, adopt: false };
    init_root(&*disk, &*chance, &SystemClock::default(), &state, new).expect("set up");
    let key = DigestKey::new(b"a key for tests");
    let publisher = Publisher::new(disk, chance, key.clone(), state);
    let plan = FolderPlan {
        name: Name::new("inbox").expect("a name"),
        layout: Layout::MeshFolder,
        line_ends,
        folder: folders.here(),
        group: None,
        mode: 0o640,
        payload: Vec::new(),
    };
    let envelope = envelope();
    let delivery = delivery(&envelope, &key);
    let opened = Opened { envelope, payload: Payload::new(4, Arc::new(Data)) };
    let staged = publisher.stage(&[StageJob { plan: &plan, delivery: &delivery, opened: &opened }]);
    let set = staged.into_iter().next().expect("one answer").expect("staged");
    let published = publisher.publish(&[PublishJob { plan: &plan, set: &set, resumed: false }]);
    assert!(matches!(published[..], [Published::Done(_)]), "{published:?}");

    pair(&folders.there(), ID, &control(ID), b"data");
    folders.report()
}

#[test]
fn what_meshd_publishes_is_what_the_old_client_gave() {
    let report = report_with(LineEnds::Lf);
    assert_eq!((&report["counts"]["same"], &report["expected"]), (&json!(1), &json!([])), "{report}");
    assert_eq!(report["verdict"], "same");
    let report = report_with(LineEnds::Crlf);
    assert_eq!(
        (&report["counts"]["same"], &report["expected"][0]["kind"]),
        (&json!(1), &json!("line-ends")),
        "{report}"
    );
}
