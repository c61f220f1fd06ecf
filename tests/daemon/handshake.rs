//! A handshake that was refused is not tried again for an hour, whoever restarts the daemon.

use meshd::simulator::calls::Call;
use meshd::simulator::faults::{Fault, Rule};
use meshd::simulator::house::Plan;
use meshd::simulator::ledger::{self, Event};
use meshd::simulator::mail::mixed;

use crate::PATIENCE;
use crate::house::House;

#[test]
fn a_refused_handshake_is_not_repeated_by_a_restart_and_mail_comes_once_it_may() {
    let house = House::with_ledger(Plan::default(), "ledger");
    house.set_up();
    house.offer(1, |_| mixed(0).expect("synthetic mail is well made"));
    // A 403 is tried once more with a fresh token (mesh-api 4.4).
    house.fault(Rule { times: 2, ..Rule::always(Call::Handshake, Fault::status(403)) });
    let first = house.start();
    first.wait_for("the alarm", PATIENCE, || first.log().contains("MESH refuses this mailbox's credentials"));
    first.kill();
    let second = house.start();
    second.wait_for("the mail to come out", PATIENCE, || house.published().len() == 1);
    house.wait_until_all_acknowledged(PATIENCE);
    second.stop_in_order();
    let events = ledger::read(&house.path("ledger")).expect("the ledger is there");
    let is_handshake = |event: &Event| matches!(event, Event::Request { call: Call::Handshake, .. });
    assert_eq!(events.iter().filter(|line| is_handshake(&line.event)).count(), 2, "both by the first run");
}
