use std::sync::Mutex;

use futures_util::FutureExt as _;

use super::*;
use crate::domain::ids::DeliveryId;
use crate::domain::operator::Remark;
use crate::ports::store::{Acted, JobAct, JobEnd, JobOutcome, LeftBehind, Reply, Selection};

/// Jobs with so much to do, and when each step was.
#[derive(Default)]
struct Scripted {
    jobs: Mutex<Vec<(Job, usize)>>,
    steps: Mutex<Vec<(JobId, usize, Instant)>>,
    fails: bool,
}

impl Scripted {
    fn with(jobs: &[(u64, u32, usize)]) -> Arc<Self> {
        let job = |(id, rate, todo): &(u64, u32, usize)| (job(*id, *rate), *todo);
        Arc::new(Self { jobs: Mutex::new(jobs.iter().map(job).collect()), ..Self::default() })
    }

    fn steps(&self) -> Vec<(JobId, usize, Instant)> {
        self.steps.lock().expect("no test panics here").clone()
    }
}

fn job(id: u64, rate: u32) -> Job {
    let order = JobOrder {
        selection: Selection::default(),
        act: JobAct::Replay,
        rate: rate.try_into().expect("a rate"),
        by: Operator(1000),
        why: Remark::new("in a test").expect("a remark"),
    };
    let begun = crate::domain::time::Timestamp(0);
    Job { id: JobId(id), order, begun, reached: None, done: 0, left: LeftBehind::new(), ended: None }
}

impl Jobs for Scripted {
    fn foresee(&self, _: Foresight) -> Reply<Foreseen> {
        async { Err(Halt("not asked".into())) }.boxed()
    }

    fn begin_job(&self, order: JobOrder) -> Reply<Result<JobId, TooManyJobs>> {
        let mut jobs = self.jobs.lock().expect("no test panics here");
        let id = JobId(jobs.len() as u64 + 100);
        jobs.push((Job { id, order, ..job(0, 1) }, 1));
        async move { Ok(Ok(id)) }.boxed()
    }

    fn step_job(&self, id: JobId, count: usize) -> Reply<Stepped> {
        if self.fails {
            return async { Err(Halt("as a test".into())) }.boxed();
        }
        let mut jobs = self.jobs.lock().expect("no test panics here");
        let (job, todo) = jobs.iter_mut().find(|(job, _)| job.id == id).expect("it is there");
        let acts = count.min(*todo);
        *todo -= acts;
        let is_open = *todo > 0;
        if !is_open {
            job.ended = Some(JobEnd { at: job.begun, how: JobOutcome::Done });
        }
        self.steps.lock().expect("no test panics here").push((id, acts, Instant::now()));
        let acted = vec![(DeliveryId(1), Acted::Released); acts];
        async move { Ok(Stepped { acted, is_open }) }.boxed()
    }

    fn cancel_job(&self, _: JobId, _: Operator) -> Reply<bool> {
        async { Ok(false) }.boxed()
    }

    fn jobs(&self) -> Reply<Vec<Job>> {
        let jobs = self.jobs.lock().expect("no test panics here").iter().map(|(job, _)| job.clone()).collect();
        async move { Ok(jobs) }.boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn jobs_of_an_earlier_run_go_on_each_at_its_own_rate() {
    let store = Scripted::with(&[(1, 10, 30), (2, 1_000, 500)]);
    let stop = CancellationToken::new();
    let began = Instant::now();
    let running = Bulk::new(store.clone()).run(stop.clone());
    let waited = tokio::time::timeout(Duration::from_secs(10), running).await;
    assert!(waited.is_err(), "it waits for the next");
    for (id, acts, fastest) in [(JobId(1), 30, 2_900), (JobId(2), 500, 400)] {
        let steps: Vec<_> = store.steps().into_iter().filter(|(of, ..)| *of == id).collect();
        assert_eq!(steps.iter().map(|(_, acts, _)| acts).sum::<usize>(), acts);
        let took = steps.last().expect("there is one").2 - began;
        let slowest = Duration::from_millis(fastest + 200);
        assert!(took >= Duration::from_millis(fastest) && took <= slowest, "{id}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_begins_is_done_at_once() {
    let store = Scripted::with(&[]);
    let bulk = Bulk::new(store.clone());
    let begin = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        bulk.begin(job(0, 1).order).await.expect("it holds").expect("there is room");
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    tokio::select! {
        ended = bulk.clone().run(CancellationToken::new()) => panic!("{ended:?}"),
        () = begin => {}
    }
    assert_eq!(store.steps().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_ends_it_and_so_does_a_stop() {
    let failing = Arc::new(Scripted { fails: true, jobs: Mutex::new(vec![(job(1, 1), 1)]), ..Scripted::default() });
    assert_eq!(Bulk::new(failing).run(CancellationToken::new()).await, Err(Halt("as a test".into())));
    let stop = CancellationToken::new();
    stop.cancel();
    assert_eq!(Bulk::new(Scripted::with(&[(1, 1, 9)])).run(stop).await, Ok(()));
}
