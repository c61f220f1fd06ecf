//! A network that fails, and a far side in trouble: nothing is lost, nothing comes twice, nobody is hammered
//! (torture 3.4).
//!
//! How often the daemon asked, and when, is read from the far side's own ledger.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use meshd::domain::fault::FaultCode;
use meshd::simulator::calls::Call;
use meshd::simulator::faults::{Chance, Fault, Rule};
use meshd::simulator::house::Plan;
use meshd::simulator::ledger::{self, Event, History, Line};
use meshd::simulator::message::{Draft, Mail};
use meshd::simulator::payload::Payload;
use meshd::simulator::proxy::{Passage, Toxic};

use crate::estate::{BAD, Case, End, Estate, Journal, check_discreet, chunked, plain};
use crate::house::House;
use crate::place::Daemon;

const LIMIT: Duration = Duration::from_secs(110);
const SECOND: Duration = Duration::from_secs(1);
/// The far side notes a request when it reads it, not when it was sent.
const SLACK: Duration = Duration::from_millis(10);

/// Every message as it was sent, in every mailbox.
struct Town {
    house: House,
    mailboxes: Vec<String>,
    mail: Vec<(String, Arc<Mail>)>,
}

impl Town {
    fn new(mailboxes: usize, mail: Vec<(String, Arc<Mail>)>) -> Self {
        let mailboxes: Vec<String> = (0..mailboxes).map(|n| format!("X26H{n:03}")).collect();
        let mesh = "patience = \"3s\"";
        let house = House::with_ledger(Plan { mailboxes: mailboxes.clone(), mesh, ..Plan::default() }, "ledger");
        for mailbox in &mailboxes {
            for (id, mail) in &mail {
                house.offer_as(mailbox, id, mail);
            }
        }
        Self { house, mailboxes, mail }
    }

    /// A rule for the mailbox of this number.
    fn fault(&self, mailbox: usize, rule: Rule) {
        self.house.fault(Rule { mailbox: Some(self.mailboxes[mailbox].clone()), ..rule });
    }

    fn start(&self) -> Daemon {
        self.house.set_up();
        self.house.start()
    }

    /// Waits until everything is out and acknowledged, ends the daemon, and checks that everything came once.
    fn prove(&self, daemon: Daemon) -> Arrivals {
        daemon.wait_for("everything to come out", LIMIT, || {
            self.mailboxes.iter().all(|mailbox| self.house.published_of(mailbox).len() == self.mail.len())
        });
        self.house.wait_until_all_acknowledged(LIMIT);
        let log = daemon.log();
        daemon.stop_in_order();
        assert!(!log.contains("panicked"), "{log}");
        check_discreet(&self.house, &log);
        self.house.meshd(&["journal", "verify"]).expect_done();
        let offered: BTreeMap<String, Option<String>> =
            self.mail.iter().map(|(id, mail)| (id.clone(), mail.sha256().map(str::to_owned))).collect();
        let journal = Journal::read(&self.house);
        for mailbox in &self.mailboxes {
            assert_eq!(self.house.published_of(mailbox), offered, "{mailbox}");
            assert_eq!(journal.accepted(mailbox), 1, "{mailbox} accepted {BAD}");
        }
        Arrivals(ledger::read(&self.house.path("ledger")).expect("the ledger is there"))
    }
}

/// What the far side was asked.
struct Arrivals(Vec<Line>);

impl Arrivals {
    /// When this mailbox asked for one of these, since the start.
    fn of(&self, mailbox: &str, wanted: &[Call]) -> Vec<Duration> {
        let is_it = |line: &&Line| matches!(&line.event, Event::Request { call, mailbox: of } if wanted.contains(call) && of == mailbox);
        self.0.iter().filter(is_it).map(|line| Duration::from_nanos(line.t_ns)).collect()
    }

    /// The shortest time in which so many of these were asked for.
    fn shortest(&self, mailbox: &str, wanted: &[Call], count: usize) -> Duration {
        let times = self.of(mailbox, wanted);
        times.windows(count).map(|some| some[count - 1] - some[0]).min().unwrap_or(Duration::MAX)
    }

    /// A list is asked for each second, when a wait is over, and again when something was acknowledged: these three may
    /// fall together, and a fourth may not.
    fn assert_calm(&self, mailbox: &str, case: &str) {
        let shortest = self.shortest(mailbox, &[Call::List], 4);
        assert!(shortest >= SECOND * 9 / 10, "{case}: four lists in {shortest:?}");
    }

    fn histories(&self) -> BTreeMap<(String, String), History> {
        ledger::histories(&self.0)
    }
}

/// One message that is `BAD` by its name only.
fn one() -> Vec<(String, Arc<Mail>)> {
    let mail = Draft::data("X26ABC9", "NETWORK", Payload::plain("a letter, again and again. ".repeat(100)));
    vec![(BAD.to_owned(), mail.ready().expect("a sound message"))]
}

#[test]
fn a_reset_at_any_byte_of_a_list_a_fetch_or_an_acknowledge_loses_and_doubles_nothing() {
    const STEP: usize = 97;
    // As long as the answers are, and a step more.
    let sweep = [(Call::List, 600), (Call::Fetch, 3800), (Call::Acknowledge, 300)];
    let cuts: Vec<(Call, u64)> =
        sweep.into_iter().flat_map(|(call, end)| (0..end).step_by(STEP).map(move |after| (call, after))).collect();
    let town = Town::new(cuts.len(), one());
    for (n, (call, after)) in cuts.iter().enumerate() {
        town.fault(n, Rule::once(*call, Fault::CutWire { after: *after }));
    }
    let arrivals = town.prove(town.start());
    let told = arrivals.histories();
    let mut cut = 0;
    for ((call, after), mailbox) in cuts.iter().zip(&town.mailboxes) {
        let asked = arrivals.of(mailbox, &[*call]).len();
        let name = format!("{call:?} cut after {after}: asked {asked} times");
        let history = &told[&(mailbox.clone(), BAD.to_owned())];
        assert_eq!(history.acknowledged, 1, "{name}");
        cut += usize::from(*call == Call::Fetch && asked > 1);
        // Again once, but for the list that is asked for each second.
        assert!(asked <= 2 || *call == Call::List, "{name}");
        arrivals.assert_calm(mailbox, &name);
        assert!(history.served <= if *call == Call::Fetch { 2 } else { 1 }, "{name}: no download more than is needed");
    }
    // An acknowledge whose answer was cut is not needed again: the next list no longer names the message.
    let fetches = cuts.iter().filter(|(call, _)| *call == Call::Fetch).count();
    assert!((1..fetches).contains(&cut), "the sweep reaches from the first byte over the last: {cut} of {fetches}");
}

#[test]
fn a_connection_that_is_spoilt_under_tls_is_opened_again_and_nothing_is_lost() {
    let spoilt = [
        Passage::Refused,
        Passage::down(Toxic::Reset(500)),
        Passage::down(Toxic::Reset(3000)),
        Passage::up(Toxic::Reset(200)),
        Passage::up(Toxic::Reset(2500)),
        Passage::down(Toxic::Close(2500)),
        Passage::down(Toxic::HalfClose(2600)),
        Passage::up(Toxic::HalfClose(2400)),
        Passage::down(Toxic::Corrupt(100)),
        Passage::down(Toxic::Corrupt(2700)),
        Passage::up(Toxic::Corrupt(2700)),
        Passage::down(Toxic::Stall(2600)),
        Passage::down(Toxic::Blackhole),
        Passage::up(Toxic::Blackhole),
    ];
    let slow = [
        Passage::down(Toxic::Slice),
        Passage::up(Toxic::Slice),
        Passage::down(Toxic::Rate(200_000)),
        Passage::Open {
            up: Toxic::Delay { lasting: SECOND / 50, jitter: SECOND / 50 },
            down: Toxic::Delay { lasting: SECOND / 50, jitter: SECOND / 50 },
        },
    ];
    let town = Town::new(8, [one(), vec![("CHUNKED".to_owned(), small_chunks())]].concat());
    let passage = move |n: u64| {
        let n = usize::try_from(n).expect("few");
        spoilt.get(n).copied().unwrap_or(slow[n % slow.len()])
    };
    let proxy = town.house.set_up_behind(passage);
    let arrivals = town.prove(town.house.start());
    assert!(proxy.connections() > spoilt.len() as u64, "every one of them was met: {}", proxy.connections());
    for mailbox in &town.mailboxes {
        arrivals.assert_calm(mailbox, mailbox);
        assert!(arrivals.of(mailbox, &[Call::Fetch]).len() <= 4 + 2 * spoilt.len(), "{mailbox}");
    }
}

fn small_chunks() -> Arc<Mail> {
    let payload = Payload::generated(7, 30_000, 10_000).expect("a sound size");
    Draft::data("X26ABC9", "NETWORK", payload).ready().expect("a sound message")
}

#[test]
fn answers_that_are_slow_torn_doubled_or_wrong_by_a_bit_harm_no_message() {
    let waits = End::Waits(FaultCode::MeshUnreachable);
    let trickle = Fault::Trickle { piece: 1, every: SECOND };
    let with = |name: &str, mail, call, chunk, fault| Case::of(name, mail, End::Delivered).with(call, chunk, 1, fault);
    let mut cases = vec![
        Case::fetch("headers that trickle", trickle.clone(), waits),
        Case::fetch("closed in its headers", Fault::CloseWire { after: 300 }, waits),
        // As if it were whole: then its length is wrong.
        Case::of("closed in a chunk", chunked(), End::Refused(FaultCode::MsgBadLength)).with(
            Call::Fetch,
            Some(2),
            u64::MAX,
            Fault::CloseWire { after: 50_000 },
        ),
        with("a list that trickles", plain(), Call::List, None, trickle.clone()),
        with("an acknowledge that trickles", plain(), Call::Acknowledge, None, trickle),
        with("a list that is closed", plain(), Call::List, None, Fault::CloseWire { after: 200 }),
        with("an acknowledge that is closed", plain(), Call::Acknowledge, None, Fault::CloseWire { after: 20 }),
        with("a message twice", plain(), Call::Fetch, None, Fault::Twice),
        with("a chunk twice", small_chunks(), Call::Fetch, Some(2), Fault::Twice),
        with("a list twice", plain(), Call::List, None, Fault::Twice),
        with("an acknowledge twice", plain(), Call::Acknowledge, None, Fault::Twice),
    ];
    cases.extend((0..600).step_by(97).map(|at| {
        with(&format!("a list with a wrong bit at {at}"), plain(), Call::List, None, Fault::CorruptWire { at })
    }));
    Estate::prove(cases);
}

#[test]
fn a_storm_of_refusals_is_waited_out_as_it_asks() {
    const LASTING: Duration = Duration::from_secs(12);
    let forms = ["3", "0", "-5", "soon", "", "Sun, 06 Nov 1994 08:49:37 GMT"];
    let storms: Vec<(u16, &str, u8)> = [429, 503]
        .into_iter()
        .flat_map(|status| forms.into_iter().flat_map(move |form| [(status, form, 100), (status, form, 50)]))
        .collect();
    let town = Town::new(storms.len(), one());
    town.house.set_up();
    for (n, (status, form, percent)) in (0..).zip(&storms) {
        let chance = Some(Chance { seed: n, percent: *percent });
        let rule = Rule { chance, lasting: Some(LASTING), ..Rule::every(Fault::retry_after(*status, form)) };
        town.fault(usize::try_from(n).expect("few"), rule);
    }
    let arrivals = town.prove(town.house.start());
    for ((status, form, percent), mailbox) in storms.iter().zip(&town.mailboxes) {
        let name = format!("{status} in {percent} % with {form:?}");
        arrivals.assert_calm(mailbox, &name);
        if (*form, *percent) == ("3", 100) {
            let all = arrivals.of(mailbox, Call::ALL);
            let begun = all[0];
            let during: Vec<_> = all.into_iter().filter(|at| *at < begun + LASTING - SECOND).collect();
            let gap = during.windows(2).map(|pair| pair[1] - pair[0]).min();
            assert!(gap.is_some_and(|gap| gap + SLACK >= 3 * SECOND), "{name}: {gap:?}");
        }
    }
}

#[test]
fn an_acknowledge_that_fails_for_a_while_costs_no_second_download() {
    const LASTING: Duration = Duration::from_secs(8);
    let town = Town::new(3, one());
    for (n, status) in [500, 502, 503].into_iter().enumerate() {
        let rule = Rule::always(Call::Acknowledge, Fault::status(status));
        town.fault(n, Rule { lasting: Some(LASTING), ..rule });
    }
    let arrivals = town.prove(town.start());
    for mailbox in &town.mailboxes {
        assert_eq!(arrivals.of(mailbox, &[Call::Fetch]).len(), 1, "{mailbox}");
        // The end of a wait and the tick of a poll, a second apart here, may come close to each other.
        let gap = arrivals.shortest(mailbox, &[Call::Acknowledge], 3);
        let times = arrivals.of(mailbox, &[Call::Acknowledge]).len();
        assert!((2..=10).contains(&times) && gap >= SECOND * 9 / 10, "{mailbox}: {times} times, after {gap:?}");
    }
}

#[test]
fn a_redirect_leads_nowhere_and_shows_nobody_a_token() {
    let elsewhere = TcpListener::bind(("127.0.0.1", 0)).expect("loopback is free");
    elsewhere.set_nonblocking(true).expect("a socket of ours");
    let port = elsewhere.local_addr().expect("it listens").port();
    let calls = [Call::Handshake, Call::List, Call::Fetch, Call::Acknowledge];
    let redirects: Vec<(Call, String)> = calls
        .into_iter()
        .flat_map(|call| ["http", "https"].map(|scheme| (call, format!("{scheme}://127.0.0.1:{port}/"))))
        .collect();
    let town = Town::new(redirects.len(), one());
    for (n, (call, location)) in redirects.iter().enumerate() {
        town.fault(n, Rule::once(*call, Fault::redirect(location)));
    }
    let arrivals = town.prove(town.start());
    for ((call, _), mailbox) in redirects.iter().zip(&town.mailboxes) {
        // A handshake need not be shaken again.
        let times = if *call == Call::Handshake { 1 } else { 2 };
        assert!(arrivals.of(mailbox, &[*call]).len() >= times, "{call:?} is asked again where it belongs");
    }
    let came = elsewhere.accept().map(|(_, from)| from).map_err(|error| error.kind());
    assert_eq!(came, Err(ErrorKind::WouldBlock));
}
