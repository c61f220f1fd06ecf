//! Lists that are none, name what is no message, lead elsewhere or never end; and waits that MESH asks for.

use std::time::Duration;

use bytes::Bytes;
use chrono::Utc;
use meshd::domain::fault::FaultCode;
use meshd::simulator::calls::Call;
use meshd::simulator::faults::{Fault, Reply, Rule};
use meshd::simulator::house::Plan;
use meshd::simulator::ledger::{self, Event};
use serde_json::json;

use crate::estate::{CANARY, Case, End, Estate, check_discreet, plain};
use crate::house::House;
use crate::place::MAILBOX;

fn reply(body: impl Into<Bytes>) -> Fault {
    let headers = vec![("content-type".into(), b"application/vnd.mesh.v2+json".to_vec())];
    Fault::Reply(Reply { status: 200, headers, body: body.into() })
}

fn listing(ids: &[String], next: Option<&str>) -> Fault {
    let mut links = json!({ "self": "/messageexchange/X/inbox" });
    if let Some(next) = next {
        links["next"] = next.into();
    }
    reply(json!({ "messages": ids, "links": links, "approx_inbox_count": ids.len() }).to_string())
}

/// A list that comes so many times in place of the right one; then all is well.
fn case(name: &str, times: u64, fault: Fault) -> Case {
    Case::of(name, plain(), End::Delivered).with(Call::List, None, times, fault)
}

#[test]
fn a_bad_list_is_survived_and_what_is_no_id_is_left_alone() {
    let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    let hostile = ids(&[
        "../../etc/passwd",
        "/etc/passwd",
        "",
        ".",
        "..",
        "a\nb",
        "a\0b",
        "BAD.dat",
        "%2e%2e",
        "\u{202e}",
        "a b",
        CANARY,
    ]);
    let long = "x".repeat(4096);
    let twins = ids(&["BAD", "bad", "Bad", "bAD"]);
    let many = |id: &dyn Fn(usize) -> String| (0..100_000).map(id).collect::<Vec<_>>();
    let deep = format!(r#"{{"messages":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let large = format!(r#"{{"messages":[],"more":"{}"}}"#, "x".repeat(17 << 20));
    let number = format!(r#"{{"messages":["BAD"],"approx_inbox_count":{}}}"#, "9".repeat(1_000_000));
    Estate::prove(vec![
        case("no JSON", 2, Fault::garbage()),
        case("nothing", 2, reply("")),
        case("null", 1, reply("null")),
        case("an array", 1, reply("[]")),
        case("no messages", 1, reply("{}")),
        case("messages as a text", 1, reply(format!(r#"{{"messages":"{CANARY}"}}"#))),
        case("deep", 1, reply(deep)),
        case("17 MiB", 1, reply(large)),
        case("a number of a million digits", 1, reply(number)),
        case("a byte order mark", 1, reply("\u{feff}{\"messages\":[]}")),
        case("a lone surrogate", 1, reply(r#"{"messages":["\ud800"]}"#)),
        case("truncated", 1, reply(r#"{"messages":["BAD","GO"#)),
        case("SOAP", 1, Fault::xml()),
        case("cut", 1, Fault::Cut { after: 20 }),
        case("longer stated", 1, Fault::ContentLength(9)),
        case("shorter stated", 1, Fault::ContentLength(-9)),
        case("keys twice", 1, reply(r#"{"messages":["BAD"],"messages":["GOOD-BEFORE"]}"#)),
        case("ids of every wrong shape", 1, listing(&hostile, None)),
        case("an id of 4096 characters", 1, listing(&[long], None)),
        case("ids that are none", 1, reply(r#"{"messages":[7,null,{},[],true,1e999]}"#)),
        case("one id in many spellings", 3, listing(&twins, None)),
        case("one id many times", 3, listing(&vec!["BAD".to_owned(); 500], None)),
        case("a hundred thousand ids that are none", 1, listing(&many(&|n| format!("../{n}")), None)),
        case("a hundred thousand messages that are not there", 1, listing(&many(&|n| format!("NOT-{n}")), None)),
        case("next on another host", 3, listing(&[], Some("https://192.0.2.1/messageexchange/X/inbox"))),
        case("next on another host, without a scheme", 3, listing(&[], Some("//192.0.2.1/messageexchange/X/inbox"))),
        case("next outside the exchange", 1, listing(&[], Some("/admin/reset"))),
        case("next climbing out", 1, listing(&[], Some("/messageexchange/../admin/reset"))),
        case("next with a line break", 1, listing(&[], Some("/messageexchange/X\r\nX: y"))),
        case("next as the user of another host", 1, listing(&[], Some("@192.0.2.1/messageexchange/"))),
        case("next that is no link", 1, reply(r#"{"messages":[],"links":{"next":{"a":1}}}"#)),
        case(
            "next for ever",
            5,
            listing(&[], Some("/messageexchange/X26H031/inbox?continue_from=aaaaaaaaaaaaaaaaaaaaaaaa")),
        ),
        case("redirected", 1, Fault::redirect("https://192.0.2.1/messageexchange/X/inbox")),
    ]);
}

#[test]
fn waits_that_mesh_asks_for_are_kept_and_a_refusal_is_not_hammered() {
    const GOOD: &str = "GOOD";
    let mailbox = |n: usize| format!("X26H{n:03}");
    let six = || "6".to_owned();
    let then = || (Utc::now() + Duration::from_secs(8)).format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let asked =
        [six(), then(), "1000000000".into(), "0".into(), "-5".into(), "soon".into(), String::new(), CANARY.into()];
    let (refused_list, refused_door) = (asked.len(), asked.len() + 1);
    let plan = Plan { mailboxes: (0..asked.len() + 2).map(mailbox).collect(), ..Plan::default() };
    let house = House::with_ledger(plan, "ledger");
    for n in 0..asked.len() + 2 {
        house.offer_as(&mailbox(n), GOOD, &plain());
    }
    house.set_up();
    // The date counts from here on.
    let asked: Vec<_> = asked.into_iter().enumerate().map(|(n, text)| if n == 1 { then() } else { text }).collect();
    for (n, text) in asked.iter().enumerate() {
        house.fault(Rule { mailbox: Some(mailbox(n)), ..Rule::once(Call::List, Fault::retry_after(503, text)) });
    }
    for (n, call) in [(refused_list, Call::List), (refused_door, Call::Handshake)] {
        house.fault(Rule { mailbox: Some(mailbox(n)), ..Rule::always(call, Fault::status(403)) });
    }
    let daemon = house.start();
    let comes = |n: usize| n != 2 && n < asked.len();
    let is_out = |n: usize| house.published_of(&mailbox(n)).contains_key(GOOD);
    let limit = Duration::from_secs(60);
    daemon.wait_for("what may come", limit, || (0..asked.len()).filter(|n| comes(*n)).all(is_out));
    let log = daemon.log();
    daemon.stop_in_order();

    let events = ledger::read(&house.path("ledger")).expect("the ledger is there");
    let times = |n: usize, wanted: Call| -> Vec<Duration> {
        let is_it = |event: &Event| matches!(event, Event::Request { call, mailbox: of } if *call == wanted && *of == mailbox(n));
        events.iter().filter(|line| is_it(&line.event)).map(|line| Duration::from_nanos(line.t_ns)).collect()
    };
    for (n, text) in asked.iter().enumerate() {
        let lists = times(n, Call::List);
        let gap = lists.get(1).map(|second| *second - lists[0]);
        match n {
            0 => assert!(gap.is_some_and(|gap| gap >= Duration::from_secs(6)), "{text}: {gap:?}"),
            1 => assert!(gap.is_some_and(|gap| gap >= Duration::from_secs(4)), "{text}: {gap:?}"),
            2 => assert_eq!(gap, None, "{text}"),
            _ => assert!(gap.is_some_and(|gap| gap >= Duration::from_millis(990)), "{text}: {gap:?}"),
        }
    }
    // Once with each of two tokens (mesh-api 4.4), and then not for an hour.
    assert_eq!(times(refused_list, Call::List).len(), 2);
    assert_eq!(times(refused_list, Call::Handshake).len(), 1);
    assert_eq!(times(refused_door, Call::Handshake).len(), 2);
    assert_eq!(times(refused_door, Call::List).len(), 0);
    let alarms = log.lines().filter(|line| line.contains("refuses this mailbox's credentials"));
    assert_eq!(alarms.filter(|line| line.contains(FaultCode::MeshAuth.as_str())).count(), 2, "one for each mailbox");
    assert!(!log.contains("panicked"), "{log}");
    check_discreet(&house, &log);
}

#[test]
fn an_acknowledged_message_that_a_late_list_still_names_is_not_downloaded_again() {
    let house = House::with_ledger(Plan::default(), "ledger");
    house.set_up();
    house.offer_as(MAILBOX, "LATE", &plain());
    let daemon = house.start();
    let limit = Duration::from_secs(60);
    house.wait_until_all_acknowledged(limit);
    let late = listing(&["LATE".to_owned()], None);
    house.fault(Rule { times: 2, ..Rule::always(Call::List, late) });
    let is_told = || daemon.log().matches("listed again, though acknowledged").count() == 2;
    daemon.wait_for("the late lists", limit, is_told);
    house.offer_as(MAILBOX, "NEXT", &plain());
    daemon.wait_for("what comes next", limit, || house.published().contains_key("NEXT"));
    let log = daemon.log();
    daemon.stop_in_order();
    let events = ledger::read(&house.path("ledger")).expect("the ledger is there");
    let asked = |wanted: Call| {
        let is_it = |event: &Event| matches!(event, Event::Request { call, .. } if *call == wanted);
        events.iter().filter(|line| is_it(&line.event)).count()
    };
    assert_eq!((asked(Call::Head), asked(Call::Fetch)), (2, 2), "each message is downloaded once");
    assert!(!log.contains("\"WARN\"") && !log.contains("\"ERROR\""), "{log}");
}

#[test]
fn a_list_that_links_to_itself_is_not_followed_round_and_that_is_said_once() {
    let house = House::with_ledger(Plan::default(), "ledger");
    house.set_up();
    let itself = format!("/messageexchange/{MAILBOX}/inbox?continue_from=aaaaaaaaaaaaaaaaaaaaaaaa");
    house.fault(Rule { times: 6, ..Rule::always(Call::List, listing(&["GONE".to_owned()], Some(&itself))) });
    house.offer_as(MAILBOX, "GOOD", &plain());
    let daemon = house.start();
    let limit = Duration::from_secs(60);
    daemon.wait_for("what is behind it", limit, || house.published().contains_key("GOOD"));
    let log = daemon.log();
    daemon.stop_in_order();
    assert_eq!(log.matches("stopped following the pages of a list").count(), 1, "{log}");
    let events = ledger::read(&house.path("ledger")).expect("the ledger is there");
    let is_list = |event: &Event| matches!(event, Event::Request { call: Call::List, .. });
    let lists: Vec<_> = events.iter().filter(|line| is_list(&line.event)).map(|line| line.t_ns).take(7).collect();
    // Two lists a pass, and a pass a second.
    let passes = Duration::from_nanos(lists[6] - lists[0]);
    assert!(passes >= Duration::from_millis(1_900), "{passes:?}");
}
