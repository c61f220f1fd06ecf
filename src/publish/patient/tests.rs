//! Outputs that hang until told otherwise. Limits are a few milliseconds, real ones: threads wait, not tasks.

use std::path::Path;
use std::sync::Condvar;

use super::*;
use crate::domain::digest::ContentDigest;
use crate::domain::output::{Layout, Publication, StagedFile, Transform};
use crate::publish::testing::{Mail, mail, plan};

/// Everything goes well, once the gate of its output's name is open.
#[derive(Default)]
struct Gated {
    /// Names of outputs that hang.
    shut: Mutex<Vec<String>>,
    opened: Condvar,
    calls: Mutex<Vec<String>>,
}

impl Gated {
    fn shut(&self, output: &str) {
        locked(&self.shut).push(output.to_owned());
    }

    fn open(&self) {
        locked(&self.shut).clear();
        self.opened.notify_all();
    }

    fn pass(&self, doing: &str, plan: &FolderPlan) {
        let output = plan.name.as_str();
        locked(&self.calls).push(format!("{doing} {output}"));
        let shut = locked(&self.shut);
        drop(self.opened.wait_while(shut, |shut| shut.iter().any(|name| name == output)).expect("no poison"));
    }

    fn calls(&self) -> Vec<String> {
        locked(&self.calls).clone()
    }
}

impl Outputs for Gated {
    fn stage(&self, jobs: &[StageJob<'_>]) -> Vec<Result<StagedSet, Fault>> {
        jobs.iter()
            .map(|job| {
                self.pass("stage", job.plan);
                assert!(job.plan.name.as_str() != "broken", "as a test");
                let temp = format!("{}.{}.part", job.delivery.id, job.plan.name);
                let file = StagedFile { temp, name: "A.dat".into(), length: 1, digest: ContentDigest("00".into()) };
                Ok(StagedSet { marker: "marker".into(), files: vec![file] })
            })
            .collect()
    }

    fn publish(&self, jobs: &[PublishJob<'_>]) -> Vec<Published> {
        jobs.iter()
            .map(|job| {
                self.pass("publish", job.plan);
                Published::Done(Publication::Seen)
            })
            .collect()
    }
}

struct Bench {
    inner: Arc<Gated>,
    outputs: Arc<Patient<Gated>>,
    mail: Mail,
}

impl Bench {
    fn new() -> Self {
        Self::with_limit(Duration::from_millis(300))
    }

    fn with_limit(answer: Duration) -> Self {
        let inner: Arc<Gated> = Arc::default();
        let patience = Patience { at_once: 1, place: Duration::from_millis(20), answer, bytes_per_second: 1_000_000 };
        let outputs = Arc::new(Patient::new(Arc::clone(&inner), patience));
        Self { inner, outputs, mail: mail("A", b"a") }
    }

    fn stage(&self, outputs: &[&str]) -> Vec<Result<StagedSet, Fault>> {
        let plans: Vec<_> = outputs.iter().map(|name| output(name)).collect();
        let job = |plan| StageJob { plan, delivery: &self.mail.delivery, opened: &self.mail.opened };
        self.outputs.stage(&plans.iter().map(job).collect::<Vec<_>>())
    }

    fn publish(&self, name: &str, set: &StagedSet, resumed: bool) -> Published {
        self.outputs.publish(&[PublishJob { plan: &output(name), set, resumed }]).pop().expect("one answer")
    }

    /// Asks until the output no longer hangs.
    fn once_answered<T>(&self, ask: impl Fn() -> T, hangs: impl Fn(&T) -> bool) -> T {
        for _ in 0..20_000 {
            let answer = ask();
            if !hangs(&answer) {
                return answer;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("it hangs for ever");
    }
}

fn output(name: &str) -> FolderPlan {
    plan(name, Layout::Folder, Path::new("/srv").join(name))
}

fn hangs(answer: &Result<StagedSet, Fault>) -> bool {
    answer.as_ref().is_err_and(|fault| fault.code == FaultCode::OutHung)
}

#[test]
fn an_output_that_hangs_is_let_go_and_the_others_of_its_batch_are_served() {
    let bench = Bench::new();
    bench.inner.shut("dead");
    let answers = bench.stage(&["alive", "dead", "well"]);
    assert_eq!(answers.iter().map(hangs).collect::<Vec<_>>(), [false, true, false]);
    let fault = answers[1].as_ref().expect_err("it hangs");
    assert_eq!(
        *fault,
        Fault::dependency(FaultCode::OutHung, fault_name("dead"), "its file system did not answer in time")
    );
    bench.inner.open();
}

#[test]
fn nothing_new_goes_to_an_output_before_what_was_let_go_has_ended() {
    let bench = Bench::new();
    bench.inner.shut("dead");
    assert!(hangs(&bench.stage(&["dead"])[0]));
    let begun = std::time::Instant::now();
    for _ in 0..100 {
        assert!(hangs(&bench.stage(&["dead"])[0]));
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "it is refused at once, not waited for");
    assert_eq!(bench.inner.calls(), ["stage dead"]);
    bench.inner.open();
}

#[test]
fn what_was_staged_late_is_not_staged_again() {
    let bench = Bench::new();
    bench.inner.shut("dead");
    assert!(hangs(&bench.stage(&["dead"])[0]));
    bench.inner.open();
    let answer = bench.once_answered(|| bench.stage(&["dead"]).remove(0), hangs);
    assert_eq!(answer.expect("staged").files[0].temp, "d42.dead.part");
    assert_eq!(bench.inner.calls(), ["stage dead"]);
    // It is handed out once.
    bench.stage(&["dead"])[0].as_ref().expect("staged");
    assert_eq!(bench.inner.calls(), ["stage dead", "stage dead"]);
}

#[test]
fn what_was_staged_late_by_a_plan_that_changed_since_is_staged_again() {
    type Change = fn(&mut FolderPlan);
    let changes: [Change; 3] = [
        |plan| plan.payload.push(Transform::Gunzip { max_bytes: 10, max_ratio: 2 }),
        |plan| plan.group = Some("ward".to_owned()),
        |plan| plan.mode = 0o600,
    ];
    for change in changes {
        let bench = Bench::new();
        bench.inner.shut("dead");
        assert!(hangs(&bench.stage(&["dead"])[0]));
        bench.inner.open();
        let mut plan = output("dead");
        change(&mut plan);
        let job = StageJob { plan: &plan, delivery: &bench.mail.delivery, opened: &bench.mail.opened };
        bench.once_answered(|| bench.outputs.stage(&[job]).remove(0), hangs).expect("staged");
        assert_eq!(bench.inner.calls(), ["stage dead", "stage dead"]);
        // What the old plan made is forgotten, should that plan come back.
        bench.stage(&["dead"])[0].as_ref().expect("staged");
        assert_eq!(bench.inner.calls().len(), 3);
    }
}

#[test]
fn an_answer_that_comes_just_before_a_place_is_got_is_not_asked_for_again() {
    let bench = Bench::new();
    bench.inner.shut("dead");
    assert!(hangs(&bench.stage(&["dead"])[0]));
    let plan = output("dead");
    let job = Staging::from(&StageJob { plan: &plan, delivery: &bench.mail.delivery, opened: &bench.mail.opened });
    let root = bench.outputs.root(&plan).expect("a root");
    assert!(job.recall(&mut locked(&root.late)).is_none(), "it hangs still");
    // The hung call ends between the look for its answer and the place.
    bench.inner.open();
    let begin = || bench.outputs.begin(&root, Arc::from([job.clone()]));
    let call = bench.once_answered(begin, |call| matches!(call, Err(Unanswered::Hangs(_))));
    let Ok(answers) = call.and_then(Waiting::wait) else { panic!("it no longer hangs") };
    answers[0].as_ref().expect("staged");
    assert_eq!(bench.inner.calls(), ["stage dead"]);
}

#[test]
fn what_was_published_late_is_known_to_be_whatever_a_consumer_did_since() {
    let bench = Bench::new();
    let set = bench.stage(&["dead"]).remove(0).expect("staged");
    bench.inner.shut("dead");
    let is_hung = |answer: &Published| matches!(answer, Published::NotNow(fault) if fault.code == FaultCode::OutHung);
    assert!(is_hung(&bench.publish("dead", &set, false)));
    bench.inner.open();
    let answer = bench.once_answered(|| bench.publish("dead", &set, true), is_hung);
    assert_eq!(answer, Published::Done(Publication::Seen));
    assert_eq!(bench.inner.calls(), ["stage dead", "publish dead"]);
}

#[test]
fn an_output_whose_places_are_taken_is_not_waited_for_long() {
    let bench = Bench::new();
    bench.inner.shut("slow");
    std::thread::scope(|scope| {
        scope.spawn(|| bench.stage(&["slow"]));
        bench.once_answered(|| bench.inner.calls().len(), |calls| *calls == 0);
        assert!(hangs(&bench.stage(&["slow"])[0]));
        bench.inner.open();
    });
}

#[test]
fn a_large_payload_may_take_longer() {
    let patience = Patience::beside(4);
    assert_eq!(patience.at_once, 3);
    assert_eq!(patience.limit(0), Duration::from_secs(15));
    assert_eq!(patience.limit(2_000_000_000), Duration::from_secs(2_015));
    assert_eq!(Patience::beside(1).at_once, 1);
}

#[test]
fn a_panic_is_its_askers_own() {
    // Writing a trace of it takes a while.
    let bench = Bench::with_limit(Duration::from_secs(20));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| bench.stage(&["broken"])));
    assert!(panicked.is_err());
    bench.stage(&["alive"])[0].as_ref().expect("staged");
}

fn fault_name(text: &str) -> crate::domain::ids::Name {
    crate::domain::ids::Name::new(text).expect("a name")
}
