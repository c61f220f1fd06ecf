//! A poller, watched from both ends: what MESH was asked, what the store was given, and in which order.

mod admission;
mod floor;
mod memory;
mod presented;
mod refused;
mod resumed;
mod search;
mod stuck;
mod waiting;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::domain::envelope::MessageKind;
use crate::domain::fault::{Class, Fault, FaultCode, Origin};
use crate::domain::time::Timestamp;
use crate::ports::clock::Clock as _;
use crate::ports::disk::Floor;
use crate::ports::inbox::Encoding;
use crate::ports::obstacles::{At, Obstacles};
use crate::ports::spool::SMALL;
use crate::ports::store::{IncomingBody, Known};
use crate::ports::waits::Waits;

use super::admission::{Admission, AdmissionSettings, Budget, Limits, Need};
use super::fakes::{FakeMesh, FakeSpool, FakeStore, Log, Stage, Waiting, busy, id, mailbox};
use super::poller::{MailboxSettings, Receive, ReceiveParts};
use super::schedule::Polls;

struct House {
    mesh: Arc<FakeMesh>,
    store: Arc<FakeStore>,
    spool: FakeSpool,
    admission: Arc<Admission>,
    obstacles: Obstacles,
    waits: Waits,
    stage: Stage,
    /// How long a run lasts, in simulated time.
    lasting: Duration,
    log: Log,
}

const ROOMY: Limits = Limits { messages: 1_000, bytes: 10_000_000 };
const SET_ASIDE: Limits = Limits { messages: 5, bytes: 5_000 };

/// Long enough for a poll with some waits in it.
const ONE_POLL: Duration = Duration::from_secs(20);
/// Long enough for some more: they are five minutes apart.
const SOME_POLLS: Duration = Duration::from_secs(1_800);

fn house(limits: Limits, page_size: usize, free_bytes: u64) -> House {
    let log = Log::default();
    let mesh = Arc::new(FakeMesh { page_size, log: Arc::clone(&log), ..FakeMesh::default() });
    let stage = Stage::with_free(free_bytes);
    let store = Arc::new(FakeStore { log: Arc::clone(&log), stage: stage.clone(), ..FakeStore::default() });
    let settings = AdmissionSettings {
        all: Budget { queued: ROOMY, set_aside: Limits { messages: 8, bytes: 8_000 } },
        mailboxes: BTreeMap::from([(mailbox(), Budget { queued: limits, set_aside: SET_ASIDE })]),
        reserve: Limits { messages: 1, bytes: 1_000 },
        floor: Floor { bytes_percent: 10, inodes_percent: 5 },
        directory: "/var/lib/meshd".into(),
    };
    let machine = Arc::new(stage.clone());
    let admission = Admission::new(settings, Arc::clone(&store) as _, Arc::clone(&machine) as _, machine);
    let spool = FakeSpool { used: Arc::clone(&stage.spooled), ..FakeSpool::default() };
    let (obstacles, waits) = (Obstacles::default(), Waits::default());
    House { mesh, store, spool, admission, obstacles, waits, stage, lasting: ONE_POLL, log }
}

impl House {
    fn offer(&self, messages: &[(&str, Waiting)]) {
        let mut inbox = self.mesh.inbox.lock().expect("unpoisoned");
        inbox.extend(messages.iter().map(|(name, waiting)| (id(name), waiting.clone())));
    }

    /// Lets the mailbox run.
    async fn run(&self, in_flight: usize) {
        let stage = Arc::new(self.stage.clone());
        let parts = ReceiveParts {
            inbox: Arc::clone(&self.mesh) as _,
            store: Arc::clone(&self.store) as _,
            spool: Arc::new(self.spool.clone()),
            admission: Arc::clone(&self.admission),
            clock: Arc::clone(&stage) as _,
            chance: Arc::clone(&stage) as _,
            disk: stage,
            timings: Arc::new(()),
            obstacles: self.obstacles.clone(),
            waits: self.waits.clone(),
        };
        let schedule = "0 */5 * * * *".parse().expect("a cron expression");
        let polls = Polls::new(schedule, &mailbox(), Duration::from_secs(300));
        let stop = CancellationToken::new();
        let running = Receive::new(parts, MailboxSettings { polls, in_flight, retry_refused: Duration::from_secs(60) })
            .run(stop.clone());
        let stopping = async {
            tokio::time::sleep(self.lasting).await;
            stop.cancel();
        };
        let (ended, ()) = tokio::join!(running, stopping);
        ended.expect("the store did not halt");
    }

    fn log(&self) -> Vec<String> {
        self.log.lock().expect("unpoisoned").clone()
    }

    fn logged(&self, prefix: &str) -> usize {
        self.log().iter().filter(|line| line.starts_with(prefix)).count()
    }
}

/// A message of which nothing has come.
fn data(bytes: u64) -> Need {
    Need { kind: MessageKind::Data, bytes, landed: 0 }
}

fn gzip(bytes: &[u8]) -> Bytes {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory").into()
}

#[tokio::test(start_paused = true)]
async fn acknowledges_only_after_the_store_has_it() {
    let house = house(ROOMY, 500, 900_000);
    house.offer(&[("A", Waiting::plain(b"one")), ("B", Waiting::plain(b"two"))]);
    house.run(1).await;
    let log = house.log();
    assert_eq!(log[0], "handshake");
    for name in ["A", "B"] {
        let at = |what: &str| log.iter().position(|line| *line == format!("{what} {name}")).expect(what);
        assert!(at("accept") < at("acknowledge") && at("acknowledge") < at("acknowledged"), "{log:?}");
    }
    assert!(house.mesh.inbox.lock().expect("unpoisoned").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_full_inbox_is_drained_page_by_page() {
    let house = house(ROOMY, 10, 900_000);
    let messages: Vec<_> = (100..160).map(|n| n.to_string()).collect();
    let offered: Vec<_> = messages.iter().map(|name| (name.as_str(), Waiting::plain(b"x"))).collect();
    house.offer(&offered);
    house.run(4).await;
    assert_eq!(house.logged("accept "), 60);
    assert_eq!(house.logged("list 10"), 6);
}

#[tokio::test(start_paused = true)]
async fn what_stays_on_the_first_page_does_not_block_what_lies_behind() {
    let house = house(ROOMY, 10, 900_000);
    for n in 100..110 {
        let refused =
            Known::Refused { until: Timestamp(i64::MAX), times: 1, first: Timestamp(0), presented: false, lost: false };
        house.store.known.lock().expect("unpoisoned").insert(id(&n.to_string()), refused);
        house.offer(&[(&n.to_string(), Waiting::plain(b"bad"))]);
    }
    house.offer(&[("200", Waiting::plain(b"good"))]);
    house.run(1).await;
    assert_eq!(house.logged("accept 200"), 1);
    assert_eq!(house.logged("fetch"), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_is_acknowledged_without_a_fetch() {
    let house = house(ROOMY, 500, 900_000);
    house.offer(&[("A", Waiting::plain(b"one"))]);
    let proof = house.store.proof(&id("A"));
    house.store.known.lock().expect("unpoisoned").insert(id("A"), Known::Kept(proof));
    house.run(1).await;
    assert_eq!((house.logged("fetch"), house.logged("acknowledge A")), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn gzip_is_undone_for_small_and_large() {
    let house = house(ROOMY, 500, 900_000);
    let large: Vec<u8> = (0..SMALL * 3).map(|n| (n % 251) as u8).collect();
    let encoded = |bytes: &[u8]| Waiting { encoding: Encoding::Gzip, ..Waiting::plain(&gzip(bytes)) };
    house.offer(&[("A", encoded(b"small")), ("B", encoded(&large))]);
    house.run(1).await;
    let kept = house.store.kept.lock().expect("unpoisoned");
    assert!(matches!(&kept[0].body, IncomingBody::Small(bytes) if bytes.as_ref() == b"small"));
    assert!(matches!(&kept[1].body, IncomingBody::Large(sealed) if sealed.length == large.len() as u64));
    assert_eq!(house.spool.chunks.lock().expect("unpoisoned").concat(), large);
}

#[tokio::test(start_paused = true)]
async fn a_large_message_resumes_at_the_first_missing_chunk() {
    let house = house(ROOMY, 500, 900_000);
    let chunks: Vec<Bytes> =
        ["first", "second", "third"].iter().map(|text| Bytes::from_static(text.as_bytes())).collect();
    house.spool.chunks.lock().expect("unpoisoned").push(b"first".to_vec());
    house.offer(&[("A", Waiting { chunks, ..Waiting::plain(b"") })]);
    house.run(1).await;
    assert_eq!(house.spool.chunks.lock().expect("unpoisoned").concat(), b"firstsecondthird");
    // Chunk 1 is asked for its headers; its body is not read again.
    assert_eq!(house.logged("fetch A"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_not_gzip_is_refused_twice_then_kept_as_served() {
    for size in [10, SMALL * 2] {
        let house = house(ROOMY, 500, 900_000);
        let bytes = vec![7_u8; size];
        house.offer(&[("A", Waiting { encoding: Encoding::Gzip, ..Waiting::plain(&bytes) })]);
        let refused =
            Known::Refused { until: Timestamp(0), times: 1, first: Timestamp(0), presented: false, lost: false };
        house.store.known.lock().expect("unpoisoned").insert(id("A"), refused.clone());
        house.run(1).await;
        assert_eq!((house.logged("refuse A MSG-BAD-ENCODING"), house.logged("accept")), (1, 0));

        let twice =
            Known::Refused { until: Timestamp(0), times: 2, first: Timestamp(0), presented: false, lost: false };
        house.store.known.lock().expect("unpoisoned").insert(id("A"), twice);
        house.store.occupancy.lock().expect("unpoisoned").mailboxes.clear();
        house.run(1).await;
        let kept = house.store.kept.lock().expect("unpoisoned");
        assert_eq!(kept[0].verdict.as_ref().map(|verdict| verdict.code), Some(FaultCode::MsgBadEncoding));
        match &kept[0].body {
            IncomingBody::Small(kept) => assert_eq!(kept.as_ref(), bytes),
            IncomingBody::Large(_) => assert_eq!(house.spool.chunks.lock().expect("unpoisoned").concat(), bytes),
        }
        assert_eq!(house.logged("acknowledge A"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_bomb_is_stopped() {
    // Its first piece alone is 64 MB: there is room for it, so that it is not the disk that stops it.
    let house = house(ROOMY, 500, 100_000_000);
    let bomb = gzip(&vec![0; 64 * 1024 * 1024]);
    house.offer(&[("A", Waiting { encoding: Encoding::Gzip, ..Waiting::plain(&bomb) })]);
    house.run(1).await;
    assert_eq!((house.logged("refuse A MSG-TOO-LARGE"), house.logged("accept")), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn chunk_ranges_that_disagree_are_refused() {
    let house = house(ROOMY, 500, 900_000);
    house.offer(&[("A", Waiting::plain(b"one"))]);
    *house.mesh.wrong_place.lock().expect("unpoisoned") = Some((2, 2));
    house.run(1).await;
    assert_eq!((house.logged("refuse A MSG-BAD-CHUNKS"), house.logged("accept")), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn with_the_door_closed_only_a_report_passes() {
    let house = house(Limits { messages: 2, bytes: 1_000_000 }, 500, 900_000);
    let report = Waiting { kind: MessageKind::Report, chunks: Vec::new(), ..Waiting::plain(b"") };
    house.offer(&[
        ("A", Waiting::plain(b"1")),
        ("B", Waiting::plain(b"2")),
        ("C", Waiting::plain(b"3")),
        ("D", report),
    ]);
    house.run(1).await;
    assert_eq!((house.logged("accept"), house.logged("accept C"), house.logged("accept D")), (3, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_message_too_large_for_the_disk_waits_and_what_lies_behind_it_does_not() {
    let house = house(ROOMY, 500, 150_000);
    let chunks: Vec<Bytes> = (0..3).map(|_| Bytes::from(vec![7; 40_000])).collect();
    house.offer(&[("A", Waiting { chunks, ..Waiting::plain(b"") }), ("B", Waiting::plain(b"1"))]);
    house.run(1).await;
    assert_eq!((house.logged("accept A"), house.logged("accept B"), house.logged("refuse")), (0, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn with_the_door_closed_an_outage_ends_the_search_for_reports() {
    let house = house(Limits { messages: 0, bytes: 1_000_000 }, 500, 900_000);
    house.offer(&[("A", Waiting::plain(b"1")), ("B", Waiting::plain(b"2")), ("C", Waiting::plain(b"3"))]);
    house.mesh.head_faults.lock().expect("unpoisoned").push_back(busy());
    house.run(1).await;
    let log = house.log();
    let first = log.iter().position(|line| line.starts_with("head")).expect("a head");
    assert!(log.get(first + 1).is_none_or(|line| !line.starts_with("head")), "{log:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_damaged_of_one_message_costs_no_other() {
    let house = house(ROOMY, 500, 900_000);
    house.spool.refuses.lock().expect("unpoisoned").insert(id("A"));
    let chunks: Vec<Bytes> = (0..2).map(|_| Bytes::from_static(b"x")).collect();
    house.offer(&[("A", Waiting { chunks, ..Waiting::plain(b"") }), ("B", Waiting::plain(b"1"))]);
    house.run(1).await;
    assert_eq!((house.logged("refuse A SPOOL-UNREADABLE"), house.logged("accept B")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_busy_mesh_is_asked_again_later_and_nothing_is_refused() {
    let house = house(ROOMY, 500, 900_000);
    house.mesh.list_faults.lock().expect("unpoisoned").extend([busy(), busy()]);
    house.offer(&[("A", Waiting::plain(b"1"))]);
    house.run(1).await;
    assert_eq!((house.logged("accept A"), house.logged("refuse")), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn an_outage_stands_in_the_way_until_a_list_is_answered() {
    let house = house(ROOMY, 500, 900_000);
    house.mesh.list_faults.lock().expect("unpoisoned").extend((0..100).map(|_| busy()));
    house.run(1).await;
    let told: Vec<_> = house.obstacles.all().into_iter().map(|obstacle| (obstacle.at, obstacle.code)).collect();
    assert_eq!(told, [(At::Mesh(mailbox()), busy().code.to_string())]);
    house.mesh.list_faults.lock().expect("unpoisoned").clear();
    house.run(1).await;
    assert_eq!(house.obstacles.all(), []);
}

#[tokio::test(start_paused = true)]
async fn faults_between_messages_that_come_in_do_not_end_the_poll() {
    let house = house(ROOMY, 500, 900_000);
    for n in 100..140 {
        house.offer(&[(&n.to_string(), Waiting::plain(b"1"))]);
        if n % 10 == 5 {
            house.mesh.fetch_faults.lock().expect("unpoisoned").insert(id(&n.to_string()), busy());
        }
    }
    house.run(1).await;
    // The third pass goes past one more of them: there were two before it.
    assert_eq!((house.logged("accept "), house.logged("list")), (40, 4));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_not_there_is_left_and_the_others_come_in() {
    let house = house(ROOMY, 500, 900_000);
    house.offer(&[("A", Waiting::plain(b"1")), ("B", Waiting::plain(b"2"))]);
    let gone = Fault::new(FaultCode::MsgGone, Class::Transient, Origin::Message, "404");
    house.mesh.fetch_faults.lock().expect("unpoisoned").insert(id("A"), gone);
    house.run(1).await;
    assert_eq!((house.logged("accept B"), house.logged("accept A"), house.logged("refuse A MSG-GONE")), (1, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_fails_is_not_repeated_within_the_hour_and_mail_still_comes() {
    let house = house(ROOMY, 500, 900_000);
    house.mesh.handshake_faults.lock().expect("unpoisoned").extend([busy(), busy()]);
    house.offer(&[("A", Waiting::plain(b"1"))]);
    house.run(1).await;
    assert_eq!((house.logged("handshake"), house.logged("accept A")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_failed_before_a_restart_is_repeated_an_hour_after_it_and_not_before() {
    let mut house = house(ROOMY, 500, 900_000);
    house.mesh.handshake_faults.lock().expect("unpoisoned").push_back(busy());
    house.run(1).await;
    house.run(1).await;
    assert_eq!(house.logged("handshake"), 1, "{:?}", house.log());
    house.lasting = Duration::from_secs(3_000);
    house.run(1).await;
    assert_eq!(house.logged("handshake"), 1, "{:?}", house.log());
    house.lasting = Duration::from_secs(1_200);
    house.run(1).await;
    assert_eq!(house.logged("handshake"), 2, "{:?}", house.log());
}

#[tokio::test(start_paused = true)]
async fn a_handshake_is_made_again_a_day_after_one_that_was_accepted() {
    let mut house = house(ROOMY, 500, 900_000);
    for (hours, handshakes) in [(23, 1), (2, 2), (21, 2), (3, 3)] {
        house.lasting = Duration::from_secs(hours * 3600);
        house.run(1).await;
        assert_eq!(house.logged("handshake"), handshakes, "after {hours} more hours");
    }
    house.lasting = Duration::from_secs(10 * 24 * 3600);
    house.run(1).await;
    assert_eq!(house.logged("handshake"), 13, "one a day, without a restart too");
}

#[tokio::test(start_paused = true)]
async fn what_the_store_has_no_room_for_is_not_acknowledged_and_stays_at_mesh() {
    let house = house(ROOMY, 500, 900_000);
    house.offer(&[("A", Waiting::plain(b"1")), ("B", Waiting::plain(b"2"))]);
    *house.store.full.lock().expect("unpoisoned") = true;
    house.run(1).await;
    assert_eq!(house.logged("acknowledge"), 0);
    assert_eq!(house.mesh.inbox.lock().expect("unpoisoned").len(), 2);
}
