//! An output that does not answer: its own mail waits, all other goes on (I6).

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::bench::{Bench, of};
use super::fakes::{Behaviour, delivery};
use crate::publish::{Patience, Patient};
use crate::work::Work;

const PATIENCE: Patience = Patience {
    at_once: 1,
    place: Duration::from_millis(5),
    answer: Duration::from_millis(100),
    bytes_per_second: 1_000_000,
};

impl Bench {
    fn patient_work(&self) -> Work {
        Work { outputs: Arc::new(Patient::new(Arc::clone(&self.outputs), PATIENCE)), ..self.work() }
    }

    async fn tell(&self, story: impl Future<Output = ()>) {
        let cancel = CancellationToken::new();
        let told = async {
            story.await;
            cancel.cancel();
        };
        let (result, ()) = tokio::join!(self.patient_work().run(cancel.clone()), told);
        assert_eq!(result, Ok(()));
    }

    fn has(&self, word: &str) -> bool {
        self.words().iter().any(|told| told == word)
    }
}

#[tokio::test]
async fn other_mailboxes_go_on_while_one_output_hangs_and_its_mail_goes_out_once_it_answers() {
    let bench = Bench::new();
    bench.outputs.script("hasty", Some(Behaviour::Hang));
    (1..=4).for_each(|id| bench.store.queue(of("HASTY", id)));
    let story = async {
        bench.wait_for(|bench| bench.has("d1 deferred OUT-HUNG")).await;
        (11..=60).for_each(|id| bench.store.queue(delivery(id, "MB2")));
        bench.wait_for(|bench| (11..=60).all(|id| bench.has(&format!("d{id} delivered")))).await;
        assert!((1..=4).all(|id| !bench.has(&format!("d{id} delivered"))), "{:?}", bench.words());
        bench.outputs.script("hasty", None);
        bench.wait_for(|bench| (1..=4).all(|id| bench.has(&format!("d{id} delivered")))).await;
    };
    bench.tell(story).await;
    assert_eq!(bench.calls.of(&["stage d1 hasty"]).len(), 1, "what was staged late is not staged again");
    assert_eq!(bench.calls.of(&["publish d1 hasty"]).len(), 1);
    assert_eq!(bench.store.dropped_leases(), 0);
}

#[tokio::test]
async fn a_suspect_whose_output_hangs_does_not_stop_all_work() {
    let bench = Bench::new();
    bench.outputs.script("hasty", Some(Behaviour::Hang));
    bench.store.queue_suspect(of("HASTY", 1));
    bench.store.queue(delivery(2, "MB2"));
    let story = async {
        bench.wait_for(|bench| bench.has("d2 delivered")).await;
        assert!(bench.has("d1 deferred OUT-HUNG"), "{:?}", bench.words());
        bench.outputs.script("hasty", None);
        bench.wait_for(|bench| bench.has("d1 delivered")).await;
    };
    bench.tell(story).await;
}
