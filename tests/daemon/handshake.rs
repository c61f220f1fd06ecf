//! A handshake that was refused is not tried again for an hour, whoever restarts the daemon; and one that was accepted is
//! good for a day, as a list of the inbox is for as long as `poll` says.

use std::fs;

use meshd::simulator::calls::Call;
use meshd::simulator::faults::{Fault, Rule};
use meshd::simulator::house::Plan;
use meshd::simulator::ledger::{self, Event};
use meshd::simulator::mail::mixed;

use crate::PATIENCE;
use crate::house::House;
use crate::place::MAILBOX;

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

/// A storm of restarts, with mail to be sent: MESH is asked no more often than by a daemon that stays (mesh-api 11).
#[test]
fn restarts_with_mail_to_send_ask_for_no_more_handshakes_and_no_more_lists() {
    const RESTARTS: usize = 8;
    let house = House::with_ledger(Plan { mesh: "ask_after = \"1s\"\n", ..Plan::default() }, "ledger");
    house.set_up();
    let file = house.path("meshd.toml");
    let text = fs::read_to_string(&file).expect("it is there").replace("* * * * * *", "0 */5 * * * *");
    fs::write(&file, text).expect("the folder is ours");
    let letter = house.path("letter");
    for number in 0..RESTARTS {
        let daemon = house.start();
        fs::write(&letter, format!("letter {number}")).expect("the folder is ours");
        let name = letter.to_str().expect("a plain name");
        house.meshd(&["send", name, "--to", MAILBOX, "--workflow", "LETTERS"]).expect_done();
        if number % 2 == 0 {
            daemon.wait_for("it to be sent", PATIENCE, || daemon.log().contains("\"sent\""));
        }
        daemon.kill();
    }
    let daemon = house.start();
    let is_sent = || house.meshd(&["sent", "list"]).expect_done().matches("accepted").count() == RESTARTS;
    daemon.wait_for("all to be sent", PATIENCE, is_sent);
    daemon.stop_in_order();
    let events = ledger::read(&house.path("ledger")).expect("the ledger is there");
    let count = |wanted: Call| {
        let is = |event: &Event| matches!(event, Event::Request { call, .. } if *call == wanted);
        events.iter().filter(|line| is(&line.event)).count()
    };
    assert_eq!(count(Call::Handshake), 1, "one is good for a day");
    // This may have gone on across the one full five minutes.
    assert!((1..=2).contains(&count(Call::List)), "{} lists in {RESTARTS} runs", count(Call::List));
    assert_eq!(count(Call::Send), RESTARTS, "each once");
}
