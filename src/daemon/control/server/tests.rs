use std::io::{Read, Write};
use std::sync::LazyLock;

use super::*;
use crate::daemon::control::client::{AskError, ask, ask_for_bytes, bring_in, pin};
use crate::domain::envelope::{Envelope, MessageKind};
use crate::domain::fingerprint::Fingerprint;
use crate::domain::ids::{DeliveryId, JobId, MailboxId, MessageId, Name, Sensitive, WorkflowId};
use crate::domain::legal_hold::LegalHoldId;
use crate::domain::monitor::MonitorId;
use crate::domain::operator::{Purpose, Remark};
use crate::domain::recipient::{Holder, RecipientTag};
use crate::domain::time::Timestamp;
use crate::ports::directory::{Endpoints, Wanted};
use crate::ports::operations::{FoundSubject, NotLookedUp, NotRevealed, Phase, Status, Told, Whose};
use crate::ports::sealed::{Rewrapping, SealedPage};
use crate::ports::spool::{Opened, PayloadSource};
use crate::ports::store::{
    Acted, Expunged, Extent, Foreseen, FoundAside, FoundAtMesh, FoundGroups, FoundRetention, Halt, HoldRefused, Job,
    JobAct, Kept, LookUp, NotAllowed, NotBroughtIn, NotExpunged, Pin, Queued, Sent, TooManyJobs,
};
use crate::ports::trace::{Page, Search, Unreadable};

/// A daemon that says what it was asked.
struct Parrot;

impl Operations for Parrot {
    fn status(&self) -> Status {
        Status {
            version: "0".into(),
            pid: 7,
            phase: Phase::Running,
            started_at: Timestamp(0),
            now: Timestamp(1),
            sequence: 2,
            suspects: 0,
            dropped_leases: 0,
            certificate_days: None,
            ready: true,
            pipelines: Vec::new(),
            monitors: Vec::new(),
            legal_holds: Vec::new(),
            obstacles: Vec::new(),
            mailboxes: Vec::new(),
        }
    }

    fn set_aside(&self, page: SetAsidePage) -> Told<'_, FoundAside> {
        Box::pin(async move { Err(Halt(format!("{page:?}"))) })
    }

    fn groups(&self, after: Option<Fingerprint>) -> Told<'_, FoundGroups> {
        Box::pin(async move { Ok(FoundGroups { page: Vec::new(), rest: after }) })
    }

    fn queue(&self, page: QueuePage) -> Told<'_, Vec<Queued>> {
        Box::pin(async move { Err(Halt(format!("{page:?}"))) })
    }

    fn sealed(&self, after: Option<DeliveryId>) -> Told<'_, SealedPage> {
        Box::pin(async move { Err(Halt(format!("{after:?}"))) })
    }

    fn key_made(&self, _: RecipientTag, _: Operator) -> Told<'_, Vec<Holder>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn rewrap(&self, _: Operator) -> Told<'_, Rewrapping> {
        Box::pin(async { Ok(Rewrapping::default()) })
    }

    fn rewrapping(&self) -> Rewrapping {
        Rewrapping::default()
    }

    fn act(&self, order: Order) -> Told<'_, Result<Acted, NotAllowed>> {
        Box::pin(async move { Ok(Ok(Acted::ReplayedAs(DeliveryId(order.by.0.into())))) })
    }

    fn foresee(&self, wanted: Foresight) -> Told<'_, Foreseen> {
        Box::pin(async move { Ok(Foreseen { tallies: Vec::new(), rest: wanted.after }) })
    }

    fn begin_job(&self, order: JobOrder) -> Told<'_, Result<JobId, TooManyJobs>> {
        Box::pin(async move { Ok(Ok(JobId(order.by.0.into()))) })
    }

    fn jobs(&self) -> Told<'_, Vec<Job>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn cancel_job(&self, job: JobId, by: Operator) -> Told<'_, bool> {
        Box::pin(async move { Ok(job == JobId(by.0.into())) })
    }

    fn resume(&self, pipeline: Name, by: Operator, _: Option<Remark>) -> Told<'_, bool> {
        Box::pin(async move { Ok(pipeline.as_str() == format!("of-{}", by.0)) })
    }

    fn accept_monitor(&self, of: MonitorId, by: Operator, _: Remark) -> Told<'_, bool> {
        Box::pin(async move { Ok(of.monitor.as_str() == format!("of-{}", by.0)) })
    }

    fn bring_in(&self, wish: Bringing) -> Told<'_, Result<Box<dyn Upload>, NotBroughtIn>> {
        Box::pin(async move { Ok(Ok(Box::new(Nest { left: wish.length, by: wish.by }) as Box<dyn Upload>)) })
    }

    fn post(&self, posting: Posting) -> Told<'_, Result<Box<dyn Upload>, NotBroughtIn>> {
        Box::pin(async move { Ok(Ok(Box::new(Nest { left: posting.length, by: posting.by }) as Box<dyn Upload>)) })
    }

    fn resolve_send(&self, found: FoundAtMesh) -> Told<'_, Result<(), NotAllowed>> {
        Box::pin(async move { Err(Halt(format!("{found:?}"))) })
    }

    fn sends(&self, page: SendPage) -> Told<'_, Vec<Sent>> {
        Box::pin(async move { Err(Halt(format!("{page:?}"))) })
    }

    fn legal_hold(&self, order: HoldOrder) -> Told<'_, Result<LegalHoldId, HoldRefused>> {
        Box::pin(async move {
            Ok(match order {
                HoldOrder::Add { by, .. } => Ok(LegalHoldId(by.0.into())),
                HoldOrder::Remove { hold, by, .. } if hold.0 == u64::from(by.0) => Ok(hold),
                HoldOrder::Remove { .. } | HoldOrder::Take { .. } | HoldOrder::Complete { .. } => {
                    Err(HoldRefused::UnknownHold)
                }
            })
        })
    }

    fn tally(&self, page: RetentionPage) -> Told<'_, FoundRetention> {
        Box::pin(async move { Err(Halt(format!("{page:?}"))) })
    }

    fn look_up(&self, wanted: LookUp) -> Told<'_, Vec<Kept>> {
        Box::pin(async move { Err(Halt(format!("{wanted:?}"))) })
    }

    fn subject(&self, wish: SubjectWish) -> Told<'_, Result<FoundSubject, Unreadable>> {
        let connected = [DeliveryId(wish.by.0.into())].into();
        Box::pin(async move { Ok(Ok(FoundSubject { connected, ..FoundSubject::default() })) })
    }

    fn expunge(&self, _: DeliveryId, by: Operator, _: Remark) -> Told<'_, Result<Expunged, NotExpunged>> {
        Box::pin(async move { Ok(Ok(Expunged::WithVolume { volume: by.0.into() })) })
    }

    fn pin(&self, by: Operator) -> Told<'_, Pin> {
        Box::pin(async move { Ok(Pin::new(extent(by.0), Arc::clone(&PINS))) })
    }

    fn backup_ended(&self, ended: Extent, by: Operator) -> Told<'_, ()> {
        Box::pin(async move { if ended == extent(by.0) { Ok(()) } else { Err(Halt("another backup".into())) } })
    }

    fn trace(&self, wanted: Search) -> Told<'_, Result<Page, Unreadable>> {
        Box::pin(async move { Ok(Err(Unreadable(format!("traced {wanted}")))) })
    }

    fn audit(&self, wanted: Search, by: Operator) -> Told<'_, Result<Page, Unreadable>> {
        Box::pin(async move { Ok(Err(Unreadable(format!("{by} read {wanted}")))) })
    }

    fn reveal(&self, wish: Reveal) -> Told<'_, Result<Opened, NotRevealed>> {
        let opened = match wish.delivery {
            CUT_SHORT => Ok(1),
            GONE => Err(NotRevealed::NotAside),
            DeliveryId(length) => Ok(length),
        };
        Box::pin(async move {
            Ok(opened.map(|length| Opened {
                envelope: envelope(wish.by),
                payload: Payload::new(length, Arc::new(Zeros(if wish.delivery == CUT_SHORT { 0 } else { length }))),
            }))
        })
    }

    fn suspend_mailbox(&self, mailbox: MailboxId, by: Operator, _: Remark) -> Told<'_, bool> {
        Box::pin(async move { Ok(mailbox.as_str() == format!("OF{}", by.0)) })
    }

    fn resume_mailbox(&self, mailbox: MailboxId, by: Operator, _: Option<Remark>) -> Told<'_, bool> {
        Box::pin(async move { Ok(mailbox.as_str() == format!("OF{}", by.0)) })
    }

    fn endpoints(&self, _: Wanted) -> Told<'_, Result<Endpoints, NotLookedUp>> {
        Box::pin(async { Ok(Err(NotLookedUp("a parrot does not know".into()))) })
    }

    fn journal_head(&self) -> Told<'_, String> {
        Box::pin(async { Ok("1:00".into()) })
    }
}

/// The parrot has a payload of one byte for it, and none comes.
const CUT_SHORT: DeliveryId = DeliveryId(1);

/// The parrot shows nothing of it.
const GONE: DeliveryId = DeliveryId(0);

/// Takes zeros alone, and keeps them as a delivery of their bringer's number.
struct Nest {
    left: u64,
    by: Operator,
}

impl Upload for Nest {
    fn write(&mut self, bytes: &[u8]) -> Result<Result<(), NotBroughtIn>, Halt> {
        self.left = self.left.checked_sub(bytes.len() as u64).expect("no more comes than was announced");
        Ok(if bytes.iter().all(|byte| *byte == 0) { Ok(()) } else { Err(NotBroughtIn::NoRoom) })
    }

    fn keep(self: Box<Self>, _: Origin) -> Told<'static, Result<DeliveryId, NotBroughtIn>> {
        let kept = if self.left == 0 { Ok(DeliveryId(self.by.0.into())) } else { Err(NotBroughtIn::Busy) };
        Box::pin(async move { Ok(kept) })
    }
}

/// So many zeros.
struct Zeros(u64);

impl PayloadSource for Zeros {
    fn reader(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(io::repeat(0).take(self.0)))
    }
}

/// Its addressee is who asks.
fn envelope(by: Operator) -> Envelope {
    Envelope {
        mailbox: MailboxId::new("X26ABC1").expect("an id"),
        message_id: MessageId::new("M1").expect("an id"),
        kind: MessageKind::Data,
        workflow: WorkflowId::new("W").expect("an id"),
        from: None,
        to: Some(Sensitive::new(by.to_string())),
        subject: None,
        local_id: None,
        file_name: None,
        partner_id: None,
        checksum: None,
        content_type: None,
        content_encrypted: false,
        content_compressed: None,
        status: Default::default(),
        linked_message_id: None,
        chunks: 1,
    }
}

/// The answer, without what follows it.
async fn answer(
    line: &[u8],
    operator: Result<Operator, Refusal>,
    operations: &dyn Operations,
) -> Result<Answer, Refusal> {
    super::answer(line, operator, operations).await.map(|given| given.answer)
}

/// One clone of it for each pin that lives.
static PINS: LazyLock<Arc<()>> = LazyLock::new(Arc::default);

fn extent(user: u32) -> Extent {
    let head = "9:00".into();
    Extent { head, sequence: user.into(), segment: 1, segment_bytes: 2, volume: 3, volume_bytes: 4 }
}

/// Runs `ask` against a served socket.
fn while_served<T: Send + 'static>(asking: impl FnOnce(&Path) -> T + Send + 'static) -> T {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("control.sock");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let control = Control::bind(&path, Groups::default()).expect("the folder is ours");
        let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
        let served = tracker.spawn(control.serve(Arc::new(Parrot), stop.clone()));
        let asked = path.clone();
        let answer = tokio::task::spawn_blocking(move || asking(&asked)).await.expect("asking does not panic");
        stop.cancel();
        served.await.expect("serving does not panic");
        assert!(!path.exists(), "the socket is gone");
        answer
    })
}

#[test]
fn a_question_gets_its_answer() {
    let (status, head) = while_served(|path| (ask(path, Ask::Status), ask(path, Ask::JournalHead)));
    assert!(matches!(status, Ok(Answer::Status(status)) if status.pid == 7));
    assert!(matches!(head, Ok(Answer::JournalHead(head)) if head == "1:00"));
}

#[test]
fn a_page_is_never_larger_than_the_largest() {
    let question =
        Ask::SetAside { before: Some(DeliveryId(9)), only: None, selection: Box::default(), count: usize::MAX };
    let error = while_served(|path| ask(path, question)).expect_err("the parrot has halted");
    assert!(error.to_string().contains("count: 200"), "{error}");
}

#[test]
fn what_is_not_understood_is_refused_and_never_met_with_silence() {
    for line in ["", "{}\n", "{\"version\":2,\"ask\":\"status\"}\n", "{\"version\":1,\"ask\":\"shutdown\"}\n"] {
        let response = while_served(move |path| {
            let mut stream = StdStream::connect(path).expect("it is served");
            stream.write_all(line.as_bytes()).expect("it reads");
            stream.shutdown(std::net::Shutdown::Write).expect("it is open");
            let mut response = String::new();
            stream.read_to_string(&mut response).expect("it answers");
            response
        });
        assert!(response.contains("not-understood"), "{line:?}: {response}");
    }
}

#[test]
fn a_request_without_end_is_cut_off() {
    let response = while_served(|path| {
        let mut stream = StdStream::connect(path).expect("it is served");
        stream.write_all(&[b'x'; LONGEST_REQUEST as usize]).expect("it reads that much");
        let mut response = String::new();
        stream.read_to_string(&mut response).expect("it answers");
        response
    });
    assert!(response.contains("not-understood"), "{response}");
}

fn acting(count: u64, act: Act) -> Vec<u8> {
    let deliveries = (0..count).map(|n| DeliveryId(u64::MAX - n)).collect();
    let why = Remark::new("\"".repeat(Remark::LONGEST)).ok();
    let request = Request { version: VERSION, ask: Ask::Act { deliveries, act, why } };
    serde_json::to_vec(&request).expect("JSON")
}

#[tokio::test]
async fn whoever_may_only_look_is_told_which_group_may_act() {
    let refusal = Refusal::MayOnlyLook { group: Some("meshd-operate".into()) };
    let looks = || Err(refusal.clone());
    assert_eq!(answer(&acting(1, Act::Discard), looks(), &Parrot).await, Err(refusal.clone()));
    assert!(refusal.to_string().contains("members of meshd-operate"), "{refusal}");
    let status = serde_json::to_vec(&Request { version: VERSION, ask: Ask::Status }).expect("JSON");
    assert!(answer(&status, looks(), &Parrot).await.is_ok());
}

#[tokio::test]
async fn acts_are_done_in_the_name_of_who_asks_and_force_is_for_one_alone() {
    let by = || Ok(Operator(1000));
    let Ok(Answer::Acted(outcomes)) = answer(&acting(2, Act::Discard), by(), &Parrot).await else { panic!("refused") };
    assert_eq!(outcomes.iter().map(|outcome| outcome.delivery.0).collect::<Vec<_>>(), [u64::MAX, u64::MAX - 1]);
    // The parrot takes the user's number for a delivery.
    assert!(outcomes.iter().all(|outcome| outcome.result == Ok(Acted::ReplayedAs(DeliveryId(1000)))));

    let most = acting(MOST_ACTS as u64, Act::Replay { force: false, again: true });
    assert!(most.len() < LONGEST_REQUEST as usize, "{} bytes", most.len());
    assert!(answer(&most, by(), &Parrot).await.is_ok());
    assert_eq!(answer(&acting(MOST_ACTS as u64 + 1, Act::Hold), by(), &Parrot).await, Err(Refusal::TooMany));
    for act in [Act::Release { force: true, again: false }, Act::Replay { force: true, again: false }] {
        assert_eq!(answer(&acting(2, act), by(), &Parrot).await, Err(Refusal::TooMany));
        assert!(answer(&acting(1, act), by(), &Parrot).await.is_ok());
    }
}

#[tokio::test]
async fn a_pipeline_is_resumed_in_the_name_of_who_asks_and_only_by_who_may_act() {
    let pipeline = Name::new("of-1000").expect("a name");
    let request = Request { version: VERSION, ask: Ask::Resume { pipeline, why: None } };
    let request = serde_json::to_vec(&request).expect("JSON");
    assert_eq!(answer(&request, Ok(Operator(1000)), &Parrot).await, Ok(Answer::Resumed(true)));
    assert_eq!(answer(&request, Ok(Operator(1001)), &Parrot).await, Ok(Answer::Resumed(false)));
    let looks = Refusal::MayOnlyLook { group: None };
    assert_eq!(answer(&request, Err(looks.clone()), &Parrot).await, Err(looks));
}

fn asking(ask: Ask) -> Vec<u8> {
    serde_json::to_vec(&Request { version: VERSION, ask }).expect("JSON")
}

#[tokio::test]
async fn whoever_looks_may_trace_one_message_and_only_who_acts_may_read_the_rest_of_the_journal() {
    let looks = || Err(Refusal::MayOnlyLook { group: None });
    let one = Search { delivery: Some(DeliveryId(7)), ..Search::default() };
    let traced = Refusal::Unreadable(Unreadable("traced delivery d7, from record 1".into()));
    assert_eq!(answer(&asking(Ask::Trace(Box::new(one.clone()))), looks(), &Parrot).await, Err(traced));
    let all = asking(Ask::Trace(Box::default()));
    assert_eq!(answer(&all, Ok(Operator(1000)), &Parrot).await, Err(Refusal::TooWide));
    let audit = asking(Ask::Audit(Box::new(one)));
    assert_eq!(answer(&audit, looks(), &Parrot).await, Err(Refusal::MayOnlyLook { group: None }));
    let smith = Search { kinds: vec!["dead".into(), "SMITH".into()], ..Search::default() };
    let not_ours = answer(&asking(Ask::Audit(Box::new(smith))), Ok(Operator(1000)), &Parrot).await;
    assert_eq!(not_ours, Err(Refusal::NotUnderstood { speaks: VERSION }), "its words would go to the journal");
    let read = Refusal::Unreadable(Unreadable("user 1000 read delivery d7, from record 1".into()));
    assert_eq!(answer(&audit, Ok(Operator(1000)), &Parrot).await, Err(read));
}

#[test]
fn a_search_that_goes_on_fits_into_a_request() {
    let longest = Search {
        message: MessageId::new("m".repeat(100)).ok(),
        mailbox: MailboxId::new("m".repeat(100)).ok(),
        lives: (0..200).map(|n| DeliveryId(u64::MAX - n)).collect(),
        ..Search::default()
    };
    assert!(asking(Ask::Audit(Box::new(longest))).len() < LONGEST_REQUEST as usize);
}

#[tokio::test]
async fn a_mailbox_rests_and_goes_on_in_the_name_of_who_asks_and_only_by_who_may_act() {
    let mailbox = MailboxId::new("OF1000").expect("an id");
    let why = Remark::new("INC0012345").expect("a remark");
    let suspend = Ask::SuspendMailbox { mailbox: mailbox.clone(), why };
    let resume = Ask::ResumeMailbox { mailbox, why: None };
    for (ask, done) in [(suspend, Answer::MailboxSuspended(true)), (resume, Answer::MailboxResumed(true))] {
        let request = serde_json::to_vec(&Request { version: VERSION, ask }).expect("JSON");
        assert_eq!(answer(&request, Ok(Operator(1000)), &Parrot).await, Ok(done));
        let looks = Refusal::MayOnlyLook { group: None };
        assert_eq!(answer(&request, Err(looks.clone()), &Parrot).await, Err(looks));
    }
}

#[tokio::test]
async fn bulk_acts_are_foreseen_and_listed_by_who_looks_and_begun_and_ended_by_who_may_act() {
    let looks = || Err(Refusal::MayOnlyLook { group: None });
    let (selection, act, why) = (Box::default, JobAct::Replay, Remark::new("INC0012345").expect("a remark"));
    let foresee = asking(Ask::Foresee { selection: selection(), act, after: Some(DeliveryId(7)) });
    let foreseen = Foreseen { tallies: Vec::new(), rest: Some(DeliveryId(7)) };
    assert_eq!(answer(&foresee, looks(), &Parrot).await, Ok(Answer::Foreseen(foreseen)));
    assert_eq!(answer(&asking(Ask::Jobs), looks(), &Parrot).await, Ok(Answer::Jobs(Vec::new())));
    let begin = asking(Ask::BeginJob { selection: selection(), act, rate: "50/s".parse().expect("a rate"), why });
    let cancel = asking(Ask::CancelJob { job: JobId(1000) });
    for (request, done) in [(begin, Answer::JobBegun(JobId(1000))), (cancel, Answer::JobCancelled(true))] {
        assert_eq!(answer(&request, Ok(Operator(1000)), &Parrot).await, Ok(done));
        assert_eq!(answer(&request, looks(), &Parrot).await, Err(Refusal::MayOnlyLook { group: None }));
    }
}

#[tokio::test]
async fn a_legal_hold_is_added_and_removed_in_the_name_of_who_asks_and_only_by_who_may_act() {
    let why = || Remark::new("INC0012345").expect("a remark");
    let patients = |digest: String| Box::new(HoldScope::Patients(vec![ContentDigest(digest)]));
    let add = |scope| asking(Ask::AddLegalHold { scope, why: why() });
    let remove = asking(Ask::RemoveLegalHold { hold: LegalHoldId(1000), why: why() });
    for request in [add(patients("ab".repeat(32))), remove.clone()] {
        let done = answer(&request, Ok(Operator(1000)), &Parrot).await;
        assert_eq!(done, Ok(Answer::LegalHold(LegalHoldId(1000))));
        let looks = Refusal::MayOnlyLook { group: None };
        assert_eq!(answer(&request, Err(looks.clone()), &Parrot).await, Err(looks));
    }
    let refused = answer(&remove, Ok(Operator(1001)), &Parrot).await;
    assert_eq!(refused, Err(Refusal::LegalHold(HoldRefused::UnknownHold)));
    for scope in [patients("9990000018".into()), Box::new(HoldScope::Patients(Vec::new()))] {
        let not_ours = answer(&add(scope), Ok(Operator(1000)), &Parrot).await;
        assert_eq!(not_ours, Err(Refusal::NotUnderstood { speaks: VERSION }), "it would go to the journal");
    }
}

#[tokio::test]
async fn people_are_looked_for_in_the_name_of_who_asks_and_only_by_who_may_act() {
    let subject = |digest: String| {
        let why = Remark::new("INC0012345").expect("a remark");
        asking(Ask::Subject { patients: vec![ContentDigest(digest)], purpose: Purpose::Find, from: 0, why })
    };
    let request = subject("ab".repeat(32));
    let found = FoundSubject { connected: [DeliveryId(1000)].into(), ..FoundSubject::default() };
    assert_eq!(answer(&request, Ok(Operator(1000)), &Parrot).await, Ok(Answer::Subject(found)));
    let why = Remark::new("INC0012345").expect("a remark");
    let expunge = asking(Ask::Expunge { deliveries: vec![DeliveryId(7)], why });
    let removed = vec![(DeliveryId(7), Ok(Expunged::WithVolume { volume: 1000 }))];
    assert_eq!(answer(&expunge, Ok(Operator(1000)), &Parrot).await, Ok(Answer::Expunged(removed)));
    let looks = Refusal::MayOnlyLook { group: None };
    for request in [request, expunge, asking(Ask::LookUp { wanted: LookUp::Messages(Vec::new()) })] {
        assert_eq!(answer(&request, Err(looks.clone()), &Parrot).await, Err(looks.clone()));
    }
    let not_ours = answer(&subject("9990000018".into()), Ok(Operator(1000)), &Parrot).await;
    assert_eq!(not_ours, Err(Refusal::NotUnderstood { speaks: VERSION }), "it would go to the journal");
}

fn reveal(delivery: DeliveryId, payload: bool) -> Ask {
    Ask::Reveal { delivery, payload, why: Remark::new("INC0012345").expect("a remark") }
}

#[tokio::test]
async fn sealed_mail_is_shown_in_the_name_of_who_asks_and_only_to_who_may_act() {
    let request = asking(reveal(DeliveryId(7), true));
    let shown = Answer::Revealed { envelope: Box::new(envelope(Operator(1000))), length: 7 };
    assert_eq!(answer(&request, Ok(Operator(1000)), &Parrot).await, Ok(shown));
    let looks = Refusal::MayOnlyLook { group: None };
    assert_eq!(answer(&request, Err(looks.clone()), &Parrot).await, Err(looks));
    let refused = answer(&asking(reveal(GONE, true)), Ok(Operator(1000)), &Parrot).await;
    assert_eq!(refused, Err(Refusal::NotRevealed(NotRevealed::NotAside)));
}

#[test]
fn a_payload_follows_its_response_only_if_it_was_asked_for() {
    let pieces = 3 * PIECE as u64 + 1;
    for (delivery, payload, follows) in
        [(DeliveryId(pieces), true, pieces), (DeliveryId(pieces), false, 0), (CUT_SHORT, true, 0)]
    {
        let count = while_served(move |path| {
            let (_, mut rest) = ask_for_bytes(path, reveal(delivery, payload)).expect("it answers");
            io::copy(&mut rest, &mut io::sink()).expect("it ends")
        });
        assert_eq!(count, follows, "{delivery}");
    }
}

#[test]
fn nobody_listening_is_told_from_a_socket_left_behind() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("control.sock");
    assert!(matches!(ask(&path, Ask::Status), Err(AskError::NotRunning(_))));
    drop(std::os::unix::net::UnixListener::bind(&path).expect("the folder is ours"));
    assert!(matches!(ask(&path, Ask::Status), Err(AskError::NotRunning(_))));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _inside = runtime.enter();
    let first = Control::bind(&path, Groups::default()).expect("what was left behind is replaced");
    assert!(matches!(Control::bind(&path, Groups::default()), Err(ControlError::Taken(_))));
    drop(first);
}

#[test]
fn a_daemon_that_listens_and_says_nothing_is_told_from_one_that_is_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("control.sock");
    let _deaf = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
    let error = ask(&path, Ask::Status).expect_err("nobody answers");
    assert!(matches!(error, AskError::Silent(_)), "{error}");
    assert!(error.to_string().contains("did not answer"), "{error}");
    assert!(error.to_string().contains("within 5 s"), "{error}");
}

#[test]
fn a_pin_lives_as_long_as_its_connection() {
    while_served(|path| {
        let (given, held) = pin(path).expect("it is given");
        assert_eq!((given, Arc::strong_count(&PINS)), (extent(rustix::process::geteuid().as_raw()), 2));
        held.whole().expect("nothing came between");
        let (_, held) = pin(path).expect("it is given again");
        drop(held);
        let begun = std::time::Instant::now();
        while Arc::strong_count(&PINS) > 1 {
            assert!(begun.elapsed() < PATIENCE, "whoever asked is gone, and the pin is not");
            std::thread::yield_now();
        }
    });
}

#[test]
fn a_payload_is_brought_in_whole_or_not_at_all() {
    const LENGTH: u64 = 10 * PIECE as u64 + 1;
    let bring = |sent: Vec<u8>| {
        while_served(move |path| {
            let whose = Whose::Message(Box::new(envelope(Operator(0))));
            let question = Ask::BringIn { whose, length: LENGTH, why: Remark::new("mended").expect("a remark") };
            bring_in(path, question, &mut sent.as_slice())
        })
    };
    let whole = vec![0; LENGTH as usize];
    let user = rustix::process::geteuid().as_raw();
    assert_eq!(bring(whole.clone()).expect("all came"), Answer::BroughtIn(DeliveryId(user.into())));
    let refused = |answer| match answer {
        Err(AskError::Refused(Refusal::NotBroughtIn(why))) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(bring(whole[1..].to_vec())), NotBroughtIn::Busy, "one byte is missing");
    let spoiled = [&whole[..PIECE], &[1][..], &whole[PIECE + 1..]].concat();
    assert_eq!(refused(bring(spoiled)), NotBroughtIn::NoRoom, "refused half-way");
}
