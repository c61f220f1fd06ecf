//! A stop in the middle of traffic leaves nothing half done.

use std::collections::BTreeSet;
use std::fs;

use meshd::simulator::mail::mixed;
use meshd::store::disk::Real;
use meshd::store::journal::event::Event;
use meshd::store::journal::segment::Reader;
use meshd::store::journal::segments;

use crate::PATIENCE;
use crate::house::House;

/// What the journal says is not done.
#[derive(Debug, Default, PartialEq, Eq)]
struct Open {
    in_work: BTreeSet<u64>,
    unacknowledged: BTreeSet<u64>,
    accepted: usize,
}

impl Open {
    fn read(house: &House) -> Self {
        let directory = house.path("state/journal");
        let mut open = Self::default();
        for name in segments(&Real::new(), &directory).expect("the journal is there") {
            let mut reader = Reader::open(&Real::new(), &directory, &name).expect("a sound segment");
            while let Some(record) = reader.read().expect("a sound record") {
                open.take(record.frame.sequence, record.event);
            }
        }
        open
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the other events open and close nothing")]
    fn take(&mut self, sequence: u64, event: Event) {
        match event {
            Event::Accepted(_) => {
                self.accepted += 1;
                self.unacknowledged.insert(sequence);
            }
            Event::Acknowledged { id } => {
                self.unacknowledged.remove(&id.0);
            }
            Event::Working { ids, .. } => self.in_work.extend(ids.iter().map(|id| id.0)),
            Event::Delivered { id, .. }
            | Event::Discarded { id, .. }
            | Event::Retry { id, .. }
            | Event::Deferred { id, .. }
            | Event::Released { id, .. }
            | Event::Held { id, .. }
            | Event::Dead { id, .. } => {
                self.in_work.remove(&id.0);
            }
            _ => {}
        }
    }
}

#[test]
fn nothing_is_in_work_unacknowledged_or_in_staging_after_a_stop() {
    const MESSAGES: u64 = 90;
    let house = House::new();
    house.offer(MESSAGES, |number| mixed(number).expect("synthetic mail is well made"));
    house.set_up();
    let mut stops_within = 0;
    for already in [1, 10, 25, 45, 70] {
        let daemon = house.start();
        daemon.wait_for("some mail to come out", PATIENCE, || house.published().len() >= already);
        daemon.stop_in_order();
        let open = Open::read(&house);
        stops_within += usize::from((open.accepted as u64) < MESSAGES);
        assert_eq!((&open.in_work, &open.unacknowledged), (&BTreeSet::new(), &BTreeSet::new()), "{open:?}");
        let staging = house.output().join("TEMP");
        let left: Vec<_> = fs::read_dir(staging).expect("the folder is there").flatten().collect();
        assert!(left.is_empty(), "{left:?}");
    }
    assert!(stops_within > 0, "no stop came while mail was coming in");
    let last = house.start();
    house.wait_until_all_acknowledged(PATIENCE);
    last.wait_for("all mail to come out", PATIENCE, || house.published().len() as u64 == MESSAGES);
    last.stop_in_order();
    assert_eq!(house.published(), house.offered());
}
