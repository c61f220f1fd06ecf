//! Turns by table, and fairness by property: a house of lanes and workers in made-up time.

use std::collections::VecDeque;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::work::tests::fakes::START;

#[test]
fn the_last_free_worker_goes_to_a_mailbox_that_has_none() {
    let (mut lanes, now) = (lanes(2), Instant::now());
    let (one, both) = (occupancy(&["A"]), occupancy(&["A", "B"]));
    assert_eq!(next(&mut lanes, &one, now), "A");
    lanes.leased(&id("A"), ONE);
    assert_eq!(next(&mut lanes, &one, now), "-");
    assert_eq!(next(&mut lanes, &both, now), "B");
    lanes.leased(&id("B"), ONE);
    lanes.ended(&id("B"));
    lanes.ended(&id("A"));
    assert_eq!(next(&mut lanes, &one, now), "A");
}

#[test]
fn one_lease_is_asked_for_at_a_time() {
    let (mut lanes, now, one) = (lanes(4), Instant::now(), occupancy(&["A"]));
    assert_eq!(next(&mut lanes, &one, now), "A");
    assert_eq!(next(&mut lanes, &one, now), "-");
    lanes.leased(&id("A"), ONE);
    assert_eq!(next(&mut lanes, &one, now), "A");
}

#[test]
fn a_lane_that_gave_nothing_is_asked_again_when_the_store_changed_or_after_a_rest() {
    let (mut lanes, now) = (lanes(1), Instant::now());
    let mut occupancy = occupancy(&["A"]);
    assert_eq!(next(&mut lanes, &occupancy, now), "A");
    lanes.found_nothing(&id("A"), occupancy.sequence, now);
    assert_eq!(next(&mut lanes, &occupancy, now), "-");
    assert_eq!(lanes.until_due(&occupancy, START, now), Some(EMPTY_REST));
    assert_eq!(lanes.wait(&occupancy, &id("A"), START, now + EMPTY_REST), Some(Duration::ZERO));
    occupancy.sequence += 1;
    assert_eq!(next(&mut lanes, &occupancy, now), "A");
}

#[test]
fn a_fruitless_lane_rests_longer_and_longer_and_others_go_on() {
    let (mut lanes, now, both) = (lanes(4), Instant::now(), occupancy(&["A", "B"]));
    let fruitless = BatchEnd::default();
    let rests: Vec<u128> = (0..7)
        .map(|_| {
            lanes.rest(&id("A"), &fruitless, now);
            lanes.wait(&both, &id("A"), START, now).expect("it waits for time").as_millis()
        })
        .collect();
    assert_eq!(rests, [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]);
    assert_eq!(next(&mut lanes, &both, now), "B");
    assert_eq!(next(&mut lanes, &both, now), "-");
    lanes.rest(&id("A"), &BatchEnd { is_fruitful: true, ..BatchEnd::default() }, now);
    assert_eq!(next(&mut lanes, &both, now), "A");
}

#[test]
fn a_shortage_of_our_own_rests_every_lane() {
    let (mut lanes, now, both) = (lanes(4), Instant::now(), occupancy(&["A", "B"]));
    lanes.rest(&id("A"), &BatchEnd { is_fruitful: true, is_short: true, ..BatchEnd::default() }, now);
    assert_eq!(next(&mut lanes, &both, now), "-");
    assert_eq!(lanes.until_due(&both, START, now), Some(Duration::from_secs(5)));
    assert_eq!(next(&mut lanes, &both, now + Duration::from_secs(5)), "A");
}

#[test]
fn what_is_due_later_is_waited_for() {
    let (mut lanes, now, mut occupancy) = (lanes(4), Instant::now(), occupancy(&["A"]));
    let later = Duration::from_secs(7);
    occupancy.mailboxes.entry(id("A")).or_default().next_due = Some(START.plus(later));
    assert_eq!(next(&mut lanes, &occupancy, now), "-");
    assert_eq!(lanes.until_due(&occupancy, START, now), Some(later));
}

fn lanes(workers: usize) -> Lanes {
    Lanes::new(WorkSettings { workers, ..WorkSettings::default() })
}

fn id(text: &str) -> MailboxId {
    MailboxId::new(text).expect("letters")
}

/// Mailboxes with mail that is due at [`START`].
fn occupancy(mailboxes: &[&str]) -> Occupancy {
    let mut occupancy = Occupancy::default();
    for mailbox in mailboxes {
        occupancy.mailboxes.entry(id(mailbox)).or_default().next_due = Some(START);
    }
    occupancy
}

fn next(lanes: &mut Lanes, occupancy: &Occupancy, now: Instant) -> String {
    lanes.next(occupancy, START, now).map_or("-".into(), |mailbox| mailbox.to_string())
}
/// One small delivery.
const ONE: Amount = Amount { messages: 1, bytes: 9 };

#[test]
fn a_giant_is_paid_for_while_others_have_due_mail_and_only_then() {
    let (mut lanes, now, both) = (lanes(1), Instant::now(), occupancy(&["A", "B"]));
    let (giant, full) = (Amount { messages: 1, bytes: 3 * QUANTUM }, Amount { messages: 64, bytes: 64 });
    let mut turn = |occupancy: &Occupancy| {
        let mailbox = lanes.next(occupancy, START, now).expect("someone's turn");
        lanes.leased(&mailbox, if mailbox == id("A") { giant } else { full });
        lanes.ended(&mailbox);
        mailbox.to_string()
    };
    let turns: String = (0..10).map(|_| turn(&both)).collect();
    assert_eq!(turns, "ABBBABBBAB", "three quanta are paid for in three rounds");
    let alone: String = (0..3).map(|_| turn(&occupancy(&["A"]))).collect();
    assert_eq!(alone, "AAA", "nobody else waits");
}

#[test]
fn a_lane_in_debt_waits_for_the_answer_to_whoever_asks() {
    let (mut lanes, now, both) = (lanes(4), Instant::now(), occupancy(&["A", "B"]));
    assert_eq!(next(&mut lanes, &both, now), "A");
    lanes.leased(&id("A"), Amount { messages: 1, bytes: QUANTUM });
    assert_eq!(next(&mut lanes, &both, now), "B");
    assert_eq!(next(&mut lanes, &both, now), "-", "B may have credit left, and A has none");
    lanes.leased(&id("B"), ONE);
    assert_eq!(next(&mut lanes, &both, now), "B");
}

#[test]
fn a_batch_that_ends_says_nothing_of_the_lease_that_is_asked_for() {
    let (mut lanes, now, one) = (lanes(4), Instant::now(), occupancy(&["A"]));
    assert_eq!(next(&mut lanes, &one, now), "A");
    lanes.leased(&id("A"), ONE);
    assert_eq!(next(&mut lanes, &one, now), "A");
    lanes.ended(&id("A"));
    assert_eq!(next(&mut lanes, &one, now), "-", "one lease is asked for at a time");
}

/// Bytes of a quantum.
const QUANTUM: u64 = 8 << 20;

/// Lanes with mail, and workers that take a microsecond a byte and a millisecond a delivery.
struct House {
    lanes: Lanes,
    queues: BTreeMap<MailboxId, VecDeque<u64>>,
    /// Ends of the batches in work, earliest last.
    running: Vec<(u64, MailboxId)>,
    time: u64,
    taken: BTreeMap<MailboxId, Amount>,
}

impl House {
    fn new(workers: usize, queues: impl IntoIterator<Item = (MailboxId, Vec<u64>)>) -> Self {
        let queues: BTreeMap<_, _> = queues.into_iter().map(|(id, queue)| (id, VecDeque::from(queue))).collect();
        let taken = queues.keys().map(|id| (id.clone(), Amount::default())).collect();
        Self { lanes: lanes(workers), queues, running: Vec::new(), time: 0, taken }
    }

    /// Begins every batch that may begin; says whose.
    fn begin(&mut self) -> Vec<MailboxId> {
        let mut begun = Vec::new();
        loop {
            let waiting: Vec<_> = self.queues.iter().filter(|(_, queue)| !queue.is_empty()).collect();
            let waiting: Vec<&str> = waiting.iter().map(|(id, _)| id.as_str()).collect();
            let Some(mailbox) = self.lanes.next(&occupancy(&waiting), START, *BEGIN) else { return begun };
            let took = batch(self.queues.get_mut(&mailbox).expect("a lane"));
            self.lanes.leased(&mailbox, took);
            let taken = self.taken.entry(mailbox.clone()).or_default();
            *taken = Amount { messages: taken.messages + took.messages, bytes: taken.bytes + took.bytes };
            self.running.push((self.time + took.bytes + 1_000 * took.messages, mailbox.clone()));
            self.running.sort_by(|one, other| other.cmp(one));
            begun.push(mailbox);
        }
    }

    /// Waits for the next batch to end.
    fn end(&mut self) {
        if let Some((time, mailbox)) = self.running.pop() {
            self.time = time;
            self.lanes.ended(&mailbox);
        }
    }
}

static BEGIN: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);

/// What the store would lease: see `LeaseWish`.
fn batch(queue: &mut VecDeque<u64>) -> Amount {
    let mut took = Amount::default();
    while let Some(bytes) = queue.front().copied() {
        if took.messages == 64 || took.messages > 0 && took.bytes + bytes > QUANTUM {
            break;
        }
        took = Amount { messages: took.messages + 1, bytes: took.bytes + bytes };
        queue.pop_front();
    }
    took
}

fn named(queues: Vec<Vec<u64>>) -> Vec<(MailboxId, Vec<u64>)> {
    (0..).zip(queues).map(|(number, queue)| (id(&format!("L{number}")), queue)).collect()
}

fn any_size() -> impl Strategy<Value = u64> {
    prop_oneof![0..10_000u64, 0..2_000_000u64, QUANTUM..20 * QUANTUM]
}

/// The largest difference, over the time in which all lanes have due mail, between what two of them took.
fn widest(queues: Vec<Vec<u64>>, measure: impl Fn(&Amount) -> u64) -> u64 {
    let mut house = House::new(1, named(queues));
    let mut widest = 0;
    while house.queues.values().all(|queue| !queue.is_empty()) {
        house.begin();
        house.end();
        let taken: Vec<u64> = house.taken.values().map(&measure).collect();
        let (least, most) = (taken.iter().min().copied(), taken.iter().max().copied());
        widest = widest.max(most.unwrap_or(0) - least.unwrap_or(0));
    }
    widest
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_lane_comes_to_its_end_and_no_round_gives_more_than_a_quantum(
        workers in 1..5usize,
        queues in vec(vec(any_size(), 0..60), 1..6),
    ) {
        let largest = queues.iter().flatten().max().copied().unwrap_or(0).max(QUANTUM);
        let mut house = House::new(workers, named(queues));
        while house.queues.values().any(|queue| !queue.is_empty()) {
            prop_assert!(!house.begin().is_empty() || !house.running.is_empty(), "a free worker and due mail");
            house.end();
            let rounds = house.lanes.round + 1;
            for took in house.taken.values() {
                prop_assert!(took.messages <= rounds * 64 + 64 && took.bytes <= rounds * QUANTUM + largest);
            }
        }
    }

    #[test]
    fn lanes_of_small_mail_take_as_many_deliveries(queues in vec(vec(0..100_000u64, 200..600), 2..5)) {
        prop_assert!(widest(queues, |took| took.messages) <= 64 + 64);
    }

    #[test]
    fn lanes_of_large_mail_and_giants_take_as_many_bytes(
        queues in vec(vec(QUANTUM / 63..20 * QUANTUM, 20..60), 2..5),
    ) {
        let largest = queues.iter().flatten().max().copied().unwrap_or(0);
        prop_assert!(widest(queues, |took| took.bytes) < QUANTUM + largest.max(QUANTUM));
    }

    #[test]
    fn the_giants_of_a_lane_keep_another_waiting_no_longer_than_two_batches_of_each_other_lane(
        workers in 2..5usize,
        giants in vec(QUANTUM..50 * QUANTUM, 1..20),
        floods in vec(vec(0..300_000u64, 100..400), 0..3),
    ) {
        let others = floods.len() as u64;
        let (quiet, giant) = (id("QUIET"), id("GIANT"));
        let lanes = named(floods).into_iter().chain([(giant, giants), (quiet.clone(), Vec::new())]);
        let mut house = House::new(workers, lanes);
        while house.queues.values().any(|queue| !queue.is_empty()) {
            house.begin();
            house.queues.get_mut(&quiet).expect("a lane").push_back(9);
            let since = house.time;
            while !house.begin().contains(&quiet) {
                house.end();
            }
            // Two: whoever has something left of its quantum takes a whole batch yet.
            prop_assert!(house.time - since <= 2 * others * (QUANTUM + 64_000), "after {} us", house.time - since);
            while house.running.iter().any(|(_, mailbox)| *mailbox == quiet) {
                house.end();
                house.begin();
            }
            house.end();
        }
    }
}
