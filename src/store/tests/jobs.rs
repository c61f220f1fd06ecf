//! Bulk acts: what each step does, what it leaves, and how far it came.

use super::*;
use crate::domain::ids::JobId;
use crate::domain::operator::{Operator, Remark};
use crate::ports::store::{
    Act, Acted, AsideState, Forecast, Foreseen, Foresight, Job, JobAct, JobOrder, JobOutcome, Left, LeftBehind,
    MOST_OPEN_JOBS, Order, Stepped, TooManyJobs,
};
use crate::store::command::{JobAnswer, JobCommand};
use crate::store::journal::Records;
use crate::store::journal::event::Event;

fn order(act: JobAct, selection: Selection) -> JobOrder {
    let (rate, why) = (10.try_into().unwrap(), Remark::new("in a test").unwrap());
    JobOrder { selection, act, rate, by: Operator(1000), why }
}

impl Committer {
    fn ask(&mut self, command: JobCommand) -> JobAnswer {
        let Answer::Job(answer) = self.one(Command::Job(command)) else { panic!("another answer") };
        answer
    }

    fn try_begin(&mut self, order: JobOrder) -> Result<JobId, TooManyJobs> {
        let JobAnswer::Begun(begun) = self.ask(JobCommand::Begin(Box::new(order))) else { panic!("another answer") };
        begun
    }

    pub(super) fn begin(&mut self, act: JobAct) -> JobId {
        self.try_begin(order(act, Selection::default())).unwrap()
    }

    pub(super) fn step(&mut self, job: JobId, count: usize) -> Stepped {
        let JobAnswer::Stepped(stepped) = self.ask(JobCommand::Step(job, count)) else { panic!("another answer") };
        stepped
    }

    fn cancel(&mut self, job: JobId) -> bool {
        let JobAnswer::Cancelled(was_open) = self.ask(JobCommand::Cancel(job, Operator(7))) else { panic!() };
        was_open
    }

    pub(super) fn jobs(&mut self) -> Vec<Job> {
        let JobAnswer::Listed(jobs) = self.ask(JobCommand::List) else { panic!("another answer") };
        jobs
    }

    fn foresee(&mut self, act: JobAct) -> Foreseen {
        let wanted = Foresight { selection: Selection::default(), act, after: None };
        let JobAnswer::Foreseen(foreseen) = self.ask(JobCommand::Foresee(Box::new(wanted))) else { panic!() };
        foreseen
    }

    /// A delivery that ended so.
    pub(super) fn aside(&mut self, id: &str, end: &Settlement) -> DeliveryId {
        let delivery = self.new_delivery(id, "bytes");
        self.settle_all(end);
        delivery
    }
}

fn poison() -> Settlement {
    Settlement::Dead { cause: DeathCause::Poison, reason: Reason::new(FaultCode::MsgPoison, "in a test") }
}

fn held() -> Settlement {
    Settlement::Held { reason: Reason::new(FaultCode::MsgTooOld, "in a test"), outputs: Vec::new() }
}

fn lost() -> Settlement {
    Settlement::Held { reason: Reason::new(FaultCode::SpoolLost, "in a test"), outputs: Vec::new() }
}

fn ids(stepped: &Stepped) -> Vec<DeliveryId> {
    stepped.acted.iter().map(|(id, _)| *id).collect()
}

#[test]
fn a_job_replays_what_it_may_once_in_the_order_of_ids_and_counts_what_it_leaves() {
    let machine = Machine::new();
    let mut store = machine.open();
    let first = store.aside("M1", &dead());
    store.aside("M2", &poison());
    let third = store.aside("M3", &held());
    let Answer::Accepted(_) = store.one(dead_on_arrival("M4")) else { panic!("not kept") };
    let fifth = store.aside("M5", &dead());
    store.aside("M6", &lost());
    let expected: LeftBehind = [(Left::NeedsForce, 1), (Left::AsServed, 1), (Left::Lost, 1)].into();

    let foreseen = store.foresee(JobAct::Replay);
    assert_eq!(foreseen.rest, None);
    assert_eq!(foreseen.tallies.iter().map(|tally| tally.would).sum::<u64>(), 3);
    let none = |tally: &&Forecast| tally.would == 0;
    assert!(foreseen.tallies.iter().filter(none).all(|tally| tally.left.values().sum::<u64>() == 1), "{foreseen:?}");

    let job = store.begin(JobAct::Replay);
    let stepped = store.step(job, 1);
    assert_eq!((ids(&stepped), stepped.is_open), (vec![first], true));
    assert!(matches!(stepped.acted[..], [(_, Acted::ReplayedAs(new))] if new.0 > job.0));
    // What was replayed fails again meanwhile: it is no more of this job.
    store.settle_all(&dead());
    let stepped = store.step(job, 64);
    assert_eq!((ids(&stepped), stepped.is_open), (vec![third, fifth], false));
    let done = store.jobs().remove(0);
    assert_eq!((done.id, done.done, &done.left), (job, 3, &expected));
    assert_eq!(done.ended.map(|end| end.how), Some(JobOutcome::Done));
    assert_eq!(store.step(job, 64), Stepped { acted: Vec::new(), is_open: false }, "it has ended");
}

#[test]
fn each_act_of_a_job_does_what_it_does_by_hand_and_says_whose_it_is() {
    for (act, expected) in
        [(JobAct::Release, Acted::Released), (JobAct::Hold, Acted::Held), (JobAct::Discard, Acted::Discarded)]
    {
        let machine = Machine::new();
        let mut store = machine.open();
        let end = if act == JobAct::Hold { dead() } else { held() };
        let id = store.aside("M1", &end);
        let job = store.begin(act);
        assert_eq!(store.step(job, 9), Stepped { acted: vec![(id, expected)], is_open: false });
        let mut records = Records::from(&machine.disk, "/state/journal".as_ref(), job.0 + 1).unwrap();
        let event = records.read().unwrap().unwrap().event;
        let (Event::OperatorReleased { job: said, .. }
        | Event::OperatorHeld { job: said, .. }
        | Event::OperatorDiscarded { job: said, .. }) = event
        else {
            panic!("{event:?}")
        };
        assert_eq!(said, Some(job), "{act:?}");
    }
}

#[test]
fn what_is_set_aside_after_a_job_began_is_not_its() {
    let machine = Machine::new();
    let mut store = machine.open();
    let waiting = store.new_delivery("M1", "bytes");
    let job = store.begin(JobAct::Discard);
    // Accepted before the job began, and dead after.
    store.settle_all(&dead());
    assert_eq!(store.step(job, 9), Stepped { acted: Vec::new(), is_open: false });
    assert_eq!(store.set_aside_now().remove(0).delivery.id, waiting);
}

#[test]
fn a_job_takes_only_what_its_selection_takes() {
    let mut store = Machine::new().open();
    store.aside("M1", &dead());
    let wanted = store.aside("M2", &held());
    let selection = Selection { state: Some(AsideState::Held), ..Selection::default() };
    let job = store.try_begin(order(JobAct::Discard, selection)).unwrap();
    let stepped = store.step(job, 9);
    assert_eq!((ids(&stepped), stepped.is_open), (vec![wanted], false));
    assert_eq!(store.jobs()[0].left, LeftBehind::new(), "others are not left behind: they are not its");
}

#[test]
fn a_job_goes_on_after_a_restart_where_it_was_with_the_index_or_without() {
    for burns in [false, true] {
        let machine = Machine::new();
        let mut store = machine.open();
        let all: Vec<_> = (0..6)
            .map(|number| store.aside(&format!("M{number}"), &if number % 2 == 0 { dead() } else { poison() }))
            .collect();
        let job = store.begin(JobAct::Replay);
        let mut seen = Vec::new();
        loop {
            let stepped = store.step(job, 1);
            seen.extend(ids(&stepped));
            let before = store.jobs();
            drop(store);
            if burns {
                machine.index.burn();
            }
            store = machine.open();
            assert_eq!(store.jobs(), before);
            if !stepped.is_open {
                break;
            }
        }
        assert_eq!(seen, [all[0], all[2], all[4]]);
        let ended = store.jobs().remove(0);
        assert_eq!((ended.done, ended.left), (3, [(Left::NeedsForce, 3)].into()), "each counted once");
    }
}

/// The end of a commit's records may be lost with the power; what is left must still count each delivery once.
#[test]
fn a_step_cut_off_after_any_of_its_records_leaves_a_count_that_comes_out_right() {
    let prepared = || {
        let machine = Machine::new();
        let mut store = machine.open();
        for number in 0..6 {
            let end = if number % 3 == 0 { dead() } else { poison() };
            store.aside(&format!("M{number}"), &end);
        }
        let job = store.begin(JobAct::Replay);
        (machine, store, job)
    };
    let (_, mut store, job) = prepared();
    let before = store.head().sequence;
    store.step(job, 64);
    let records = store.head().sequence - before;
    assert_eq!(records, 5, "acted, passed, acted, passed, ended");
    for kept in 0..=records {
        let (machine, mut store, job) = prepared();
        let events = events_of(&machine, job, &mut store);
        drop(store);
        // The index is made from the records that are left.
        let mut state = crate::store::state::State::load(&machine.index).unwrap().unwrap();
        let at = crate::store::journal::Stamp { wall: Timestamp(0), monotonic_ms: 0 };
        for (sequence, event) in events.iter().take(kept as usize) {
            state.apply(&machine.index, *sequence, at, event).unwrap();
        }
        let reached = state.job(&machine.index, job).unwrap().unwrap();
        let acted = events.iter().take(kept as usize).filter(|(_, event)| matches!(event, Event::Replayed(_))).count();
        assert_eq!(reached.done, acted as u64);
        // Of the two that are left behind after each act, all or none are counted: those that it will not meet again.
        let behind = reached.left.values().sum::<u64>();
        assert_eq!(behind, [0, 0, 2, 2, 4, 4][kept as usize], "{kept} records");
    }
}

/// The records that one step makes, without a trace in the index.
fn events_of(machine: &Machine, job: JobId, store: &mut Committer) -> Vec<(u64, Event)> {
    let before = store.head().sequence;
    let rows = machine.index.rows();
    store.step(job, 64);
    let mut records = Records::from(&machine.disk, "/state/journal".as_ref(), before + 1).unwrap();
    let mut events = Vec::new();
    while let Some(record) = records.read().unwrap() {
        events.push((record.frame.sequence, record.event));
    }
    machine.index.restore(&rows);
    events
}

#[test]
fn a_cancelled_job_does_nothing_more_and_says_who_ended_it() {
    let mut store = Machine::new().open();
    for number in 0..3 {
        store.aside(&format!("M{number}"), &dead());
    }
    let job = store.begin(JobAct::Replay);
    store.step(job, 1);
    assert!(store.cancel(job));
    assert!(!store.cancel(job), "once");
    assert_eq!(store.step(job, 9), Stepped { acted: Vec::new(), is_open: false });
    let ended = store.jobs().remove(0);
    assert_eq!((ended.done, ended.ended.map(|end| end.how)), (1, Some(JobOutcome::Cancelled(Operator(7)))));
    assert_eq!(store.set_aside_now().len(), 2);
}

#[test]
fn few_jobs_are_under_way_at_once_and_of_those_that_ended_the_last_are_told_of() {
    let mut store = Machine::new().open();
    for _ in 0..MOST_OPEN_JOBS {
        store.begin(JobAct::Hold);
    }
    assert_eq!(store.try_begin(order(JobAct::Hold, Selection::default())), Err(TooManyJobs));
    let open = store.jobs().remove(0).id;
    for job in store.jobs().into_iter().skip(1) {
        assert!(store.cancel(job.id));
    }
    for _ in 0..120 {
        let job = store.begin(JobAct::Hold);
        assert!(store.cancel(job));
    }
    let told = store.jobs();
    assert_eq!((told.len(), told[0].id), (100, open), "one under way is never forgotten");
}

#[test]
fn a_job_that_finds_nothing_for_long_says_how_far_it_looked() {
    let mut store = Machine::new().open();
    // More than one step looks at.
    for hundred in 0..83 {
        let commands = (0..100).map(|number| dead_on_arrival(&format!("N{hundred}x{number}"))).collect();
        store.commit(commands).unwrap();
    }
    let wanted = store.aside("LAST", &held());
    let selection = Selection { state: Some(AsideState::Held), ..Selection::default() };
    let job = store.try_begin(order(JobAct::Discard, selection)).unwrap();
    assert_eq!(store.step(job, 9), Stepped { acted: Vec::new(), is_open: true });
    let reached = store.jobs()[0].reached;
    assert!(reached.is_some_and(|reached| reached < wanted));
    let stepped = store.step(job, 9);
    assert_eq!((ids(&stepped), stepped.is_open), (vec![wanted], false));
}

#[test]
fn what_a_person_did_meanwhile_is_no_more_a_jobs() {
    let mut store = Machine::new().open();
    let first = store.aside("M1", &dead());
    let second = store.aside("M2", &dead());
    let job = store.begin(JobAct::Replay);
    let why = Remark::new("in a test").ok();
    store.one(Command::Act(Order { delivery: first, act: Act::Discard, by: Operator(1), why }));
    let stepped = store.step(job, 9);
    assert_eq!((ids(&stepped), stepped.is_open), (vec![second], false));
}
