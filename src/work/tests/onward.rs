//! Outputs that send a message on.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::bench::{Bench, of, output, staged};
use super::fakes::Behaviour;
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::{DeliveryId, MailboxId, Name, WorkflowId};
use crate::domain::onward::MeshPlan;
use crate::domain::output::{LineEnds, OutputPlan, OutputState, Progress, Publication};
use crate::domain::settlement::Settlement;
use crate::pipeline::{MailboxOutputs, Pipelines};
use crate::ports::store::{Delivery, NotBroughtIn};

const PIPELINE: &str = r#"
name = "both"
[match]
workflow = "GO"
type = "data"
[[output]]
name = "inbox"
kind = "folder"
path = "/srv/letters"
[[output]]
name = "reply"
kind = "mesh"
to = "{message.from}"
workflow = "GO_ACK"
subject = "received"
"#;

const ONLY: &str = r#"
name = "only"
[match]
workflow = "ONLY"
type = "data"
[[output]]
name = "reply"
kind = "mesh"
to = "RX2"
"#;

fn bench() -> Bench {
    let bench = Bench::new();
    let outputs =
        MailboxOutputs { output: "/srv".into(), group: None, mode: 0o640, line_ends: LineEnds::Lf, waiting: None };
    let mailboxes = BTreeMap::from([(mailbox("MB1"), outputs)]);
    let files = [("both.toml", PIPELINE.to_owned()), ("only.toml", ONLY.to_owned())];
    let files = files.map(|(name, text)| (PathBuf::from(name), text));
    bench.pipelines.send_replace(Arc::new(Pipelines::compile(&files, &mailboxes).expect("no findings")));
    bench
}

fn mailbox(id: &str) -> MailboxId {
    MailboxId::new(id).expect("letters and digits")
}

fn from_afar(id: u64) -> Delivery {
    Delivery { from: Some(mailbox("RX1")), ..of("GO", id) }
}

fn reply(progress: Progress) -> OutputState {
    let plan = OutputPlan::Mesh(MeshPlan {
        name: Name::new("reply").expect("a name"),
        from: mailbox("MB1"),
        to: mailbox("RX1"),
        workflow: WorkflowId::new("GO_ACK").expect("a workflow id"),
        subject: None,
        keep: Vec::new(),
        payload: Vec::new(),
    });
    OutputState { plan, progress }
}

fn queued(id: u64) -> Progress {
    Progress::Published(Publication::Queued(DeliveryId(id)))
}

#[tokio::test]
async fn a_message_is_published_and_sent_on_and_its_end_says_as_what() {
    let bench = bench();
    bench.store.queue(from_afar(1));
    bench.run_until_settled(1).await.expect("no halt");
    let calls = ["lease MB1 d1", "stage d1 inbox", "staged d1", "send d1 reply", "publish d1 inbox", "settle d1"];
    assert_eq!(bench.calls.all(), calls);
    let [(letter, bytes)] = &bench.post.taken()[..] else { panic!("one is sent on") };
    assert_eq!(bytes, b"synthetic");
    assert_eq!((letter.mailbox.as_str(), letter.to.reveal(), letter.workflow.as_str()), ("MB1", "RX1", "GO_ACK"));
    assert_eq!(letter.subject.as_ref().map(|subject| subject.reveal()), Some("received"));
    let [(_, Settlement::Delivered(outputs))] = &bench.store.settled()[..] else { panic!("{:?}", bench.words()) };
    assert_eq!(outputs[1].progress, queued(1_001));
}

#[tokio::test]
async fn what_was_sent_on_before_a_crash_is_not_sent_again() {
    let bench = bench();
    let outputs = vec![output("inbox", staged(1)), reply(queued(7))];
    bench.store.queue(Delivery { outputs, ..from_afar(1) });
    bench.run_until_settled(1).await.expect("no halt");
    assert_eq!(bench.calls.all(), ["lease MB1 d1", "resume d1 inbox", "settle d1"]);
    assert_eq!(bench.words(), ["d1 delivered"]);
}

#[tokio::test]
async fn what_was_not_sent_on_before_a_crash_is_sent_as_it_was_decided() {
    let bench = bench();
    let outputs = vec![output("inbox", Progress::Published(Publication::Seen)), reply(Progress::Planned)];
    bench.store.queue(Delivery { outputs, ..of("NO_PIPELINE_TAKES_THIS", 1) });
    bench.run_until_settled(1).await.expect("no halt");
    assert_eq!(bench.calls.all(), ["lease MB1 d1", "staged d1", "send d1 reply", "settle d1"]);
}

#[tokio::test]
async fn while_much_waits_to_go_out_it_waits_and_is_published_once() {
    let bench = bench();
    bench.post.script(Some(NotBroughtIn::TooMuchWaits(mailbox("MB1"))));
    bench.store.queue(from_afar(1));
    let story = async {
        bench.wait_for(|bench| bench.words().iter().any(|word| word == "d1 deferred SEND-BACKLOG")).await;
        bench.post.script(None);
        bench.wait_for(|bench| bench.words().last().is_some_and(|word| word == "d1 delivered")).await;
    };
    bench.run_during(story).await.expect("no halt");
    assert_eq!(bench.calls.of(&["stage ", "publish", "send"]), ["stage d1 inbox", "publish d1 inbox", "send d1 reply"]);
}

#[tokio::test]
async fn while_a_folder_is_away_it_is_sent_on_once() {
    let bench = bench();
    bench.outputs.script("inbox", Some(Behaviour::NoStage(super::bench::away())));
    bench.store.queue(from_afar(1));
    let story = async {
        bench.wait_for(|bench| bench.words().len() >= 2).await;
        bench.outputs.script("inbox", None);
        bench.wait_for(|bench| bench.words().last().is_some_and(|word| word == "d1 delivered")).await;
    };
    bench.run_during(story).await.expect("no halt");
    assert_eq!(bench.post.taken().len(), 1);
}

#[tokio::test]
async fn what_mesh_would_not_take_is_a_dead_letter_unless_its_consumer_has_it() {
    let bench = bench();
    bench.post.script(Some(NotBroughtIn::Unsendable(vec!["payload: it is empty".into()])));
    bench.store.queue(of("ONLY", 1));
    let published = vec![output("inbox", Progress::Published(Publication::Seen)), reply(Progress::Planned)];
    bench.store.queue(Delivery { outputs: published, ..from_afar(2) });
    bench.run_until_settled(2).await.expect("no halt");
    assert_eq!(bench.words(), ["d1 dead Permanent SEND-UNSENDABLE", "d2 held SEND-UNSENDABLE"]);
    assert!(bench.post.taken().is_empty());
}

#[tokio::test]
async fn a_message_that_is_bad_for_its_folder_is_not_sent_on() {
    let bench = bench();
    let bad = Fault::message(FaultCode::MsgTooLarge, "scripted");
    bench.outputs.script("inbox", Some(Behaviour::NoStage(bad)));
    bench.store.queue(from_afar(1));
    bench.run_until_settled(1).await.expect("no halt");
    assert_eq!(bench.words(), ["d1 dead Permanent MSG-TOO-LARGE"]);
    assert!(bench.post.taken().is_empty());
}

#[tokio::test]
async fn nobody_is_answered_who_is_not_there_and_no_mailbox_of_our_own() {
    let bench = bench();
    bench.store.queue(of("GO", 1));
    bench.store.queue(Delivery { from: Some(mailbox("mb1")), ..of("GO", 2) });
    bench.run_until_settled(2).await.expect("no halt");
    let expected = ["d1 dead Permanent SEND-NO-RECIPIENT", "d2 dead Permanent SEND-NO-RECIPIENT"];
    assert_eq!(bench.words(), expected);
}

#[tokio::test]
async fn a_payload_that_panics_on_its_way_is_bad_mail_and_ends_nothing_else() {
    let bench = bench();
    bench.post.panic();
    bench.store.queue(of("ONLY", 1));
    bench.run_until_settled(1).await.expect("work goes on");
    assert_eq!(bench.words(), ["d1 dead Poison MSG-PANIC"]);
}
