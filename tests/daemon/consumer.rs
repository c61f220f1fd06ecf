//! A consumer under a user of its own: it reads and takes through the output's group, and nobody else does. Needs root.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use meshd::simulator::house::{EVERYTHING, Plan};
use meshd::simulator::mail::mixed;

use crate::house::House;
use crate::place::{Ended, PROGRAM};
use crate::{PATIENCE, say};

/// Users that no machine has by name, and a group that every Debian has.
const DAEMON: u32 = 64_101;
const CONSUMER: u32 = 64_102;
const STRANGER: u32 = 64_103;
const GROUP: (&str, u32) = ("games", 60);

/// Takes nothing here. Its output lies in a folder of its own.
const DEEP: &str = r#"
name = "deep"
[match]
workflow = ["NO_SUCH_FLOW"]
[[output]]
name = "down"
kind = "folder"
path = "{mailbox.output}/deep/down"
"#;

const MESSAGES: u64 = 4;

/// A program run by this user, in [`GROUP`] or in no group but its own.
fn by(user: u32, is_member: bool, program: impl AsRef<Path>) -> Command {
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={user}"), format!("--regid={user}")]);
    if is_member {
        command.arg(format!("--groups={}", GROUP.1));
    } else {
        command.arg("--clear-groups");
    }
    command.args(["--inh-caps=-all", "--no-new-privs"]).arg(program.as_ref());
    command
}

/// Gives a folder and everything in it to [`DAEMON`].
fn give(path: &Path) {
    chown(path, Some(DAEMON), Some(DAEMON)).expect("we are root");
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("the folder is ours") {
            give(&entry.expect("the folder is ours").path());
        }
    }
}

#[test]
fn another_user_of_the_output_group_takes_and_deletes_and_nobody_else_can_look() {
    if let Some(why) = cannot_run() {
        return say(&format!("NOT RUN a consumer of its own: {why}"));
    }
    let pipelines = vec![("everything.toml", EVERYTHING.to_owned()), ("deep.toml", DEEP.to_owned())];
    let house = House::build(Plan { mailbox: "group = \"games\"", pipelines, ..Plan::default() });
    house.offer(MESSAGES, |number| mixed(number).expect("synthetic mail is well made"));
    house.set_up_without_output();
    // A copy, since ours may lie where only its builder may look.
    let program = house.path("meshd");
    fs::copy(PROGRAM, &program).expect("the folder is ours");
    let output = house.output();
    fs::create_dir_all(output.parent().expect("it has one")).expect("the folder is ours");
    let root = house.path("");
    fs::set_permissions(&root, fs::Permissions::from_mode(0o711)).expect("the folder is ours");
    give(&root);
    let init = house.command_of(by(DAEMON, true, &program)).args(["output", "init"]).output().expect("it runs");
    assert!(init.status.success(), "{init:?}");

    let mut run = house.command_of(by(DAEMON, true, &program));
    run.arg("run");
    let daemon = house.spawn(run);
    let inbox = house.inbox();
    daemon.wait_for("all mail to come out", PATIENCE, || house.published().len() as u64 == MESSAGES);
    assert_eq!(house.published(), house.offered());
    let look = |path: &Path| {
        let found = fs::metadata(path).expect("it came out");
        (found.uid(), found.gid(), found.mode() & 0o7777)
    };
    for folder in [&inbox, &house.output().join("deep"), &house.output().join("deep/down")] {
        assert_eq!(look(folder), (DAEMON, GROUP.1, 0o2770), "{}", folder.display());
    }
    for entry in fs::read_dir(&inbox).expect("we are root") {
        assert_eq!(look(&entry.expect("we are root").path()), (DAEMON, GROUP.1, 0o640));
    }

    let shell = |user, is_member, script: &str| {
        let mut command = by(user, is_member, "/bin/sh");
        let output = command.args(["-euc", script]).current_dir("/").env("IN", &inbox).output().expect("it runs");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    };
    let name = house.published().into_keys().next().expect("mail came out");
    for script in [r#"ls "$IN""#.to_owned(), format!(r#"cat "$IN/{name}.ctl""#), format!(r#"rm -f "$IN/{name}.ctl""#)] {
        let refused = shell(STRANGER, false, &script);
        assert!(refused.code != Some(0) && refused.stderr.contains("Permission denied"), "{script}: {refused:?}");
    }
    for command in
        ["spool list --directory spool", "spool verify --directory spool", "journal verify --directory journal"]
    {
        let script = command.replace("--directory ", &format!("--directory {}/", house.path("state").display()));
        let refused = shell(STRANGER, false, &format!("{} {script}", program.display()));
        assert_eq!(refused.code, Some(77), "{command}: {refused:?}");
    }
    let altered = shell(CONSUMER, true, &format!(r#"echo more >> "$IN/{name}.ctl""#));
    assert_ne!(altered.code, Some(0), "its mail is its own to take, not to write");
    shell(CONSUMER, true, r#"cat "$IN"/*.dat "$IN"/*.ctl > /dev/null; rm "$IN"/*"#).expect_done();
    assert!(house.published().is_empty());

    house.offer(1, |_| mixed(0).expect("synthetic mail is well made"));
    daemon.wait_for("more mail to come out", PATIENCE, || house.published().len() == 1);
    shell(CONSUMER, true, r#"rm "$IN"/*"#).expect_done();
    house.wait_until_all_acknowledged(PATIENCE);
    daemon.stop_in_order();
}

fn cannot_run() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("needs root".to_owned());
    }
    match by(STRANGER, false, "/bin/true").output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(format!("setpriv: {error}")),
    }
}
