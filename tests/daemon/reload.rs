//! HUP: configuration and pipelines anew, all or nothing.

use std::fs;

use meshd::simulator::house::{EVERYTHING, Plan};
use meshd::simulator::mail::mixed;
use rustix::process::Signal;

use crate::PATIENCE;
use crate::house::House;
use crate::place::Daemon;

/// Takes nothing that is offered here.
const NOTHING: &str = r#"
name = "nothing"
[match]
workflow = ["NO_SUCH_FLOW"]
[[output]]
name = "inbox"
kind = "mesh-folder"
path = "{mailbox.output}/IN"
"#;

/// Has the daemon reload, and waits until it said what came of it.
pub(crate) fn reload(daemon: &Daemon, says: &str) {
    let before = daemon.log().matches(says).count();
    daemon.signal(Signal::HUP);
    daemon.wait_for(says, PATIENCE, || daemon.log().matches(says).count() > before);
}

#[test]
fn a_new_pipeline_takes_mail_and_a_wrong_one_changes_nothing() {
    let pipelines = vec![("nothing.toml", NOTHING.to_owned())];
    let house = House::build(Plan { pipelines, ..Plan::default() });
    house.set_up();
    let daemon = house.start();
    house.offer(1, |_| mixed(0).expect("synthetic mail is well made"));
    house.wait_until_all_acknowledged(PATIENCE);
    daemon.wait_for("a dead letter", PATIENCE, || daemon.log().contains("MSG-NO-ROUTE"));

    house.write("pipelines/everything.toml", EVERYTHING);
    reload(&daemon, "configuration reloaded");
    assert!(daemon.log().contains("\"pipeline\":\"everything\",\"change\":\"added\""), "{}", daemon.log());
    house.offer(1, |_| mixed(0).expect("synthetic mail is well made"));
    daemon.wait_for("mail to come out", PATIENCE, || house.published().len() == 1);

    house.write("pipelines/wrong.toml", "name = \"wrong\"\n[match]\nworkflw = [\"X\"]\n");
    reload(&daemon, "nothing was reloaded");
    assert!(daemon.log().contains("did you mean `workflow`"), "{}", daemon.log());
    let failing = "\n[[test]]\nname = \"a letter\"\nmessage = \"letter.txt\"\ngiven = { workflow = \"OTHER\" }\nexpect = { outputs = [\"inbox\"] }\n";
    house.write("pipelines/letter.txt", "a letter");
    house.write(
        "pipelines/wrong.toml",
        &(EVERYTHING.replace("everything", "letters") + failing)
            .replace("[[output]]", "[match]\nworkflow = [\"LETTER\"]\n[[output]]"),
    );
    let refused = daemon.log().matches("nothing was reloaded").count();
    reload(&daemon, "nothing was reloaded");
    assert!(refused == 1 && daemon.log().contains("a letter"), "{}", daemon.log());
    fs::remove_file(house.path("pipelines/wrong.toml")).expect("removed");
    let pipe = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, house.path("pipelines/wrong.toml"), pipe, 0o600.into(), 0)
        .expect("our folder");
    reload(&daemon, "nothing was reloaded");
    assert!(daemon.log().contains("it is not a plain file"), "{}", daemon.log());
    fs::remove_file(house.path("pipelines/wrong.toml")).expect("removed");

    let configuration = fs::read_to_string(house.path("meshd.toml")).expect("the file is there");
    house.write("meshd.toml", &configuration.replace("drain = \"20s\"", "drain = \"21s\""));
    reload(&daemon, "these changes need a restart");
    assert!(daemon.log().contains("\"keys\":\"life\""), "{}", daemon.log());
    house.write("meshd.toml", &configuration.replace("output = ", "line_ends = \"crlf\"\noutput = "));
    reload(&daemon, "these changes need a restart");
    assert!(daemon.log().contains("\"keys\":\"mailbox[1].line_ends\""), "{}", daemon.log());
    for (key, value) in [("send", "{ chunk = \"1MB\" }"), ("pickup", "{ settle = \"1m\" }")] {
        house.write("meshd.toml", &configuration.replace("output = ", &format!("{key} = {value}\noutput = ")));
        reload(&daemon, "these changes need a restart");
        assert!(daemon.log().contains(&format!("\"keys\":\"mailbox[1].{key}\"")), "{}", daemon.log());
    }
    house.write("meshd.toml", &configuration.replace("level = \"debug\"", "level = \"info\""));
    reload(&daemon, "configuration reloaded");
    assert!(daemon.log().contains("\"keys\":\"log.level\""), "{}", daemon.log());

    house.offer(1, |_| mixed(0).expect("synthetic mail is well made"));
    daemon.wait_for("mail to come out still", PATIENCE, || house.published().len() == 2);
    daemon.stop_in_order();
}

#[test]
fn a_hundred_reloads_in_the_middle_of_traffic_lose_and_double_and_kill_nothing() {
    const MESSAGES: u64 = 300;
    let house = House::new();
    house.set_up();
    let daemon = house.start();
    for round in 0..100 {
        house.offer(MESSAGES / 100, |number| mixed(round * 3 + number).expect("synthetic mail is well made"));
        // Other words every time, the same meaning.
        house.write("pipelines/again.toml", &format!("# {round}\n{}", NOTHING.replace("\"nothing\"", "\"again\"")));
        reload(&daemon, "configuration reloaded");
    }
    house.wait_until_all_acknowledged(PATIENCE);
    daemon.wait_for("all mail to come out", PATIENCE, || house.published().len() as u64 == MESSAGES);
    assert_eq!(house.meshd(&["deadletter", "list", "--json"]).expect_done().trim(), "[]");
    daemon.stop_in_order();
    assert_eq!(house.published(), house.offered());
    house.meshd(&["journal", "verify"]).expect_done();
}
