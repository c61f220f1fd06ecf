//! Another age identity in the place of the one that mail was sealed for.

use std::fs;

use meshd::simulator::mail::mixed;

use crate::house::House;
use crate::{MESSAGES, PATIENCE};

#[test]
fn mail_sealed_for_the_old_identity_comes_out_under_the_new_one() {
    let house = House::new();
    house.set_up();
    let marker = (house.output().join(".meshd-output"), house.output().join("away"));
    rustix::fs::rename(&marker.0, &marker.1).expect("the folder is ours");
    house.offer(MESSAGES, |number| mixed(number).expect("synthetic mail is well made"));
    let daemon = house.start();
    house.wait_until_all_acknowledged(PATIENCE);
    daemon.stop_in_order();
    rustix::fs::rename(&marker.1, &marker.0).expect("the folder is ours");

    let text = |name: &str| fs::read_to_string(house.path(name)).expect("it is ours");
    let new = house.path("new").display().to_string();
    let recipient = house.meshd(&["keys", "generate", "--output", &new]).expect_done();
    let old = text("identity").lines().next().and_then(|line| line.rsplit(' ').next().map(str::to_owned));
    let configuration = text("meshd.toml").replace(&old.expect("a public key"), recipient.trim());
    house.write("meshd.toml", &configuration);
    let refused = house.meshd(&["check"]);
    assert_eq!(refused.code, Some(78), "the new recipient's identity is not loaded: {refused:?}");
    house.write("identity", &(text("new") + &text("identity")));
    house.meshd(&["check"]).expect_done();

    let daemon = house.start();
    house.offer(MESSAGES, |number| mixed(number).expect("synthetic mail is well made"));
    daemon.wait_for("mail of both to come out", PATIENCE, || house.published().len() as u64 == 2 * MESSAGES);
    daemon.stop_in_order();
    assert_eq!(house.published(), house.offered());
    house.meshd(&["spool", "verify"]).expect_done();
    let verified = house.meshd(&["spool", "verify", "--identity", &new]);
    assert!(
        verified.code == Some(1) && verified.stderr.contains("problems"),
        "the old one is needed yet: {verified:?}"
    );
}
