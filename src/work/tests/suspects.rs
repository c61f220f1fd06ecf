//! Suspects and panics: nothing is condemned that did not itself fail (I10).

use super::bench::{Bench, of, output, staged};
use super::fakes::{Behaviour, delivery};
use crate::domain::ids::DeliveryId;
use crate::ports::store::Delivery;

#[tokio::test]
async fn a_panic_condemns_only_what_panicked_by_itself() {
    let bench = Bench::new();
    bench.outputs.script("inbox", Some(Behaviour::PanicOn(DeliveryId(2))));
    (1..=3).for_each(|id| bench.store.queue(of("GO", id)));
    bench.run_until_settled(3).await.expect("no halt");
    assert_eq!(bench.words(), ["d1 delivered", "d2 dead Poison MSG-PANIC", "d3 delivered"]);
}

#[tokio::test]
async fn suspects_run_first_one_at_a_time() {
    let bench = Bench::new();
    bench.store.queue(delivery(1, "MB1"));
    bench.store.queue_suspect(delivery(2, "MB1"));
    bench.store.queue_suspect(delivery(3, "MB2"));
    bench.store.queue_suspect(delivery(4, "MB2"));
    bench.run_until_settled(4).await.expect("no halt");
    assert_eq!(
        bench.calls.of(&["lease", "settle"]),
        [
            "lease MB1 d2",
            "settle d2",
            "lease MB2 d3",
            "settle d3",
            "lease MB2 d4",
            "settle d4",
            "lease MB1 d1",
            "settle d1",
        ]
    );
}

#[tokio::test]
async fn two_deaths_during_solo_runs_are_poison_before_a_third_start() {
    let bench = Bench::new();
    bench.store.queue_suspect(Delivery { solo_deaths: 1, ..delivery(1, "MB1") });
    let outputs = vec![output("inbox", staged(3))];
    bench.store.queue_suspect(Delivery { solo_deaths: 2, ..delivery(2, "MB1") });
    bench.store.queue_suspect(Delivery { solo_deaths: 2, outputs, ..delivery(3, "MB1") });
    bench.run_until_settled(3).await.expect("no halt");
    assert_eq!(bench.words(), ["d1 delivered", "d2 dead Poison MSG-POISON", "d3 held MSG-POISON"]);
    assert_eq!(bench.calls.of(&["stage ", "publish", "resume"]), ["stage d1 inbox", "publish d1 inbox"]);
}
