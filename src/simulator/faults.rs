//! Scripted faults: what goes wrong with which request, and when (torture 3.4).
//!
//! A [`Rule`] picks requests; its [`Fault`] says what happens to each.
//! A storm picks them by [`Chance`] instead, the same ones for the same seed and order of requests.
//! Faults strike after the token was checked, so a request they spoil has used its token up.
//!
//! # Where each fault of torture 3.4 is
//!
//! Those in the proxy strike a connection under TLS, each direction on its own, and corrupt what TLS then rejects.
//!
//! | Fault | Of a request, here | Of a connection, in [`proxy`](super::proxy) |
//! |---|---|---|
//! | delay, with jitter | [`Fault::Delay`]; a storm's are random | [`Toxic::Delay`] |
//! | rate | [`Fault::Drip`], [`Fault::Trickle`] | [`Toxic::Rate`] |
//! | stall after n | [`Fault::Stall`] | [`Toxic::Stall`] |
//! | reset after n (linger 0) | [`Fault::Cut`], [`Fault::CutWire`], [`Fault::LoseReply`] | [`Toxic::Reset`] |
//! | close after n | [`Fault::CloseWire`] | [`Toxic::Close`] |
//! | half-close | – | [`Toxic::HalfClose`] |
//! | one-byte slices | [`Fault::Drip`], [`Fault::Trickle`] | [`Toxic::Slice`] |
//! | a corrupt bit | [`Fault::CorruptWire`] | [`Toxic::Corrupt`] |
//! | blackhole | [`Fault::Stall`] from 0 | [`Toxic::Blackhole`] |
//! | refuse | [`Fault::Refuse`] | [`Passage::Refused`] |
//! | duplicate response | [`Fault::Twice`] | – |
//! | body shorter or longer than stated | [`Fault::ContentLength`] | – |
//! | chunk missing, repeated, out of order, wrong range | [`Fault::missing_chunk`], [`Fault::chunk_range`] | – |
//! | slow loris: headers, body | [`Fault::Trickle`], [`Fault::Drip`] | [`Toxic::Rate`] |
//! | storms of 429 and 503, `Retry-After` of any form | [`Fault::retry_after`] with [`Rule::chance`], [`Rule::lasting`] | – |
//! | 401, 403 for an hour; 5xx on acknowledge | [`Fault::status`] | – |
//! | redirect to another host or to http | [`Fault::redirect`] | – |
//!
//! Not here, since they need a name server or the machine's own network: DNS, packet loss, a link that is down, an MTU
//! hole.
//!
//! [`Toxic::Delay`]: super::proxy::Toxic::Delay
//! [`Toxic::Rate`]: super::proxy::Toxic::Rate
//! [`Toxic::Stall`]: super::proxy::Toxic::Stall
//! [`Toxic::Reset`]: super::proxy::Toxic::Reset
//! [`Toxic::Close`]: super::proxy::Toxic::Close
//! [`Toxic::HalfClose`]: super::proxy::Toxic::HalfClose
//! [`Toxic::Slice`]: super::proxy::Toxic::Slice
//! [`Toxic::Corrupt`]: super::proxy::Toxic::Corrupt
//! [`Toxic::Blackhole`]: super::proxy::Toxic::Blackhole
//! [`Passage::Refused`]: super::proxy::Passage::Refused

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::SimulatorError;
use super::calls::{Call, Route};
use super::lock;
use super::payload::{compress, compressed_zeros, mix};

/// What happens to a request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// This answer instead of the right one; the request has no effect.
    Reply(Reply),
    /// The right answer, after a while.
    Delay(Duration),
    /// The connection is reset before anything happens.
    Refuse,
    /// The request takes effect, then the connection is reset instead of the answer.
    LoseReply,
    /// The connection is reset after so many body bytes. An answer without a body is whole: use [`Fault::CutWire`].
    Cut {
        /// Body bytes sent before.
        after: u64,
    },
    /// The connection is reset after so many bytes of the answer, status line and headers included.
    CutWire {
        /// Bytes sent before.
        after: u64,
    },
    /// The connection is closed in order after so many bytes of the answer, status line and headers included.
    CloseWire {
        /// Bytes sent before.
        after: u64,
    },
    /// One bit of this byte of the answer is turned over before TLS seals it, status line and headers included.
    CorruptWire {
        /// Bytes before it.
        at: u64,
    },
    /// The body stops after so many bytes, and goes on when the time is over.
    Stall {
        /// Body bytes sent before.
        after: u64,
        /// How long; a client's patience ends long before a day.
        lasting: Duration,
    },
    /// The body comes in small pieces.
    Drip {
        /// Bytes of each piece, 1 or more.
        piece: u64,
        /// Time between pieces.
        every: Duration,
    },
    /// The whole answer comes in small pieces, status line and headers included.
    Trickle {
        /// Bytes of each piece, 1 or more.
        piece: u64,
        /// Time before each piece.
        every: Duration,
    },
    /// The answer comes twice, one behind the other. One of more than a few kilobytes comes twice piece by piece.
    Twice,
    /// `Content-Length` differs from the body by so much. Longer: the connection ends early. Shorter: the body is cut.
    ContentLength(i64),
    /// These headers added to the right answer, or put in place of its own: any bytes but controls.
    Headers(Vec<(String, Vec<u8>)>),
    /// Another body under the right headers.
    Body {
        /// The bytes.
        bytes: Bytes,
        /// `Content-Encoding: gzip` is declared, whatever the bytes are.
        declared_gzip: bool,
    },
    /// These bytes on the wire instead of any answer, after the request took effect; then the connection ends.
    Raw(Bytes),
}

/// A scripted answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// All headers but `Content-Length` and `Date`.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Bytes,
}

impl Fault {
    /// A status with a JSON body of the second version's shape (mesh-api 9.1).
    pub fn status(status: u16) -> Self {
        let body = r#"{"detail":[{"event":"","code":"","msg":"scripted fault"}]}"#;
        Self::reply(status, &[("content-type", "application/json")], body)
    }

    /// A status with `Retry-After`: seconds, a date, or nonsense.
    pub fn retry_after(status: u16, value: &str) -> Self {
        Self::reply(status, &[("content-type", "application/json"), ("retry-after", value)], "{}")
    }

    /// The XML fault that the service can give on an internal error (mesh-api 9.1).
    pub fn xml() -> Self {
        let body = "<?xml version=\"1.0\"?><Envelope><Body><Fault><faultstring>internal</faultstring></Fault></Body></Envelope>";
        Self::reply(500, &[("content-type", "text/xml")], body)
    }

    /// A success whose body is no JSON.
    pub fn garbage() -> Self {
        Self::reply(200, &[("content-type", "application/json")], "\u{0}{{{[[[ garbage")
    }

    /// A redirect to another address.
    pub fn redirect(location: &str) -> Self {
        Self::reply(307, &[("location", location)], "")
    }

    /// The chunk is not there (mesh-api 6.4).
    pub fn missing_chunk() -> Self {
        let body = r#"{"detail":[{"event":"RECEIVE","code":"20","msg":"Message does not exist"}]}"#;
        Self::reply(404, &[("content-type", "application/json")], body)
    }

    /// A wrong `Mex-Chunk-Range`.
    pub fn chunk_range(range: &str) -> Self {
        Self::Headers(vec![("mex-chunk-range".to_owned(), range.as_bytes().to_vec())])
    }

    /// A body declared gzip that is not.
    pub fn not_gzip() -> Self {
        Self::Body { bytes: Bytes::from_static(b"this is not gzip"), declared_gzip: true }
    }

    /// A gzip body that ends before its end.
    pub fn torn_gzip() -> Result<Self, SimulatorError> {
        let whole = compress(&[b'x'; 4096])?;
        Ok(Self::Body { bytes: whole.slice(..whole.len() / 2), declared_gzip: true })
    }

    /// A gzip body of so many zero bytes: about a thousandth of that on the wire.
    pub fn bomb(decoded_bytes: u64) -> Result<Self, SimulatorError> {
        Ok(Self::Body { bytes: compressed_zeros(decoded_bytes)?, declared_gzip: true })
    }

    fn reply(status: u16, headers: &[(&str, &str)], body: &'static str) -> Self {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
        Self::Reply(Reply { status, headers: headers.collect(), body: Bytes::from_static(body.as_bytes()) })
    }
}

/// Which requests a fault is for. What is `None` fits all.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The call.
    pub call: Option<Call>,
    /// The mailbox.
    pub mailbox: Option<String>,
    /// The message.
    pub message: Option<String>,
    /// The chunk.
    pub chunk: Option<u64>,
    /// The first of the fitting requests that is struck, from 1.
    pub from_nth: u64,
    /// How many are struck from there on.
    pub times: u64,
    /// Of those, only the ones that this chance picks.
    pub chance: Option<Chance>,
    /// How long after it was scripted it begins; requests before that are not met.
    pub after: Duration,
    /// How long it lasts from there on; for ever if not said.
    pub lasting: Option<Duration>,
    /// With what.
    pub fault: Fault,
}

impl Rule {
    /// Strikes the first request of this call, in any mailbox.
    pub fn once(call: Call, fault: Fault) -> Self {
        Self { call: Some(call), times: 1, ..Self::every(fault) }
    }

    /// Strikes every request of this call, in any mailbox.
    pub fn always(call: Call, fault: Fault) -> Self {
        Self { call: Some(call), ..Self::every(fault) }
    }

    /// Strikes every request.
    pub fn every(fault: Fault) -> Self {
        Self {
            call: None,
            mailbox: None,
            message: None,
            chunk: None,
            from_nth: 1,
            times: u64::MAX,
            chance: None,
            after: Duration::ZERO,
            lasting: None,
            fault,
        }
    }

    /// Whether it is for this request, so long after it was scripted.
    fn fits(&self, route: &Route<'_>, age: Duration) -> bool {
        let is_in_force = |since: Duration| self.lasting.is_none_or(|lasting| since < lasting);
        age.checked_sub(self.after).is_some_and(is_in_force)
            && self.call.is_none_or(|call| call == route.call)
            && self.mailbox.as_deref().is_none_or(|mailbox| mailbox == route.mailbox)
            && self.message.as_deref().is_none_or(|message| message == route.message)
            && self.chunk.is_none_or(|chunk| Some(chunk) == route.chunk_number())
    }
}

/// Picks so many requests in a hundred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chance {
    /// Equal seeds pick the same requests, counted in order of arrival.
    pub seed: u64,
    /// 0 to 100.
    pub percent: u8,
}

/// The script in force.
#[derive(Default)]
pub(super) struct Faults {
    is_armed: AtomicBool,
    script: Mutex<Script>,
    arrivals: AtomicU64,
}

#[derive(Default)]
struct Script {
    rules: Vec<Scripted>,
    storm: Option<Chance>,
}

struct Scripted {
    rule: Rule,
    since: Instant,
    /// Fitting requests so far.
    met: u64,
}

impl Faults {
    pub(super) fn add(&self, rule: Rule) {
        lock(&self.script).rules.push(Scripted { rule, since: Instant::now(), met: 0 });
        self.is_armed.store(true, Ordering::Release);
    }

    pub(super) fn set_storm(&self, storm: Option<Chance>) {
        lock(&self.script).storm = storm;
        self.is_armed.store(true, Ordering::Release);
    }

    pub(super) fn clear(&self) {
        *lock(&self.script) = Script::default();
        self.is_armed.store(false, Ordering::Release);
    }

    /// The fault for this request: the first rule that strikes, else the storm's. Every fitting rule counts it.
    pub(super) fn strike(&self, route: &Route<'_>) -> Option<Fault> {
        if !self.is_armed.load(Ordering::Acquire) {
            return None;
        }
        let arrival = self.arrivals.fetch_add(1, Ordering::Relaxed);
        let mut script = lock(&self.script);
        let mut struck = None;
        for Scripted { rule, met, .. } in
            script.rules.iter_mut().filter(|one| one.rule.fits(route, one.since.elapsed()))
        {
            *met += 1;
            let is_due = *met >= rule.from_nth && *met - rule.from_nth < rule.times;
            if struck.is_none() && is_due && rule.chance.is_none_or(|chance| chance.dice(*met).is_some()) {
                struck = Some(rule.fault.clone());
            }
        }
        struck.or_else(|| script.storm.and_then(|chance| chance.dice(arrival)).map(transient))
    }
}

impl Chance {
    /// Random bits, if the request of this number is picked.
    fn dice(self, number: u64) -> Option<u64> {
        let dice = mix(self.seed ^ mix(number));
        (dice % 100 < u64::from(self.percent)).then_some(dice)
    }
}

/// One of the faults that pass.
fn transient(dice: u64) -> Fault {
    match (dice >> 8) % 8 {
        0 => Fault::status(500),
        1 => Fault::retry_after(503, "1"),
        2 => Fault::retry_after(429, "1"),
        3 => Fault::xml(),
        4 => Fault::Refuse,
        5 => Fault::LoseReply,
        6 => Fault::CutWire { after: (dice >> 16) % 2048 },
        _ => Fault::Delay(Duration::from_millis((dice >> 16) % 500)),
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    fn route(path: &str) -> Route<'_> {
        Route::read(&Method::GET, path).expect("a mailbox's path")
    }

    #[test]
    fn a_rule_strikes_the_nth_fitting_request_and_so_many_after_it() {
        let faults = Faults::default();
        let rule = Rule::once(Call::Fetch, Fault::Refuse);
        faults.add(Rule { message: Some("B".into()), chunk: Some(2), from_nth: 2, times: 2, ..rule });
        let (fits, other) = (route("/messageexchange/X/inbox/B/2"), route("/messageexchange/X/inbox/B/1"));
        let struck: Vec<bool> = [&fits, &other, &fits, &other, &fits, &fits]
            .into_iter()
            .map(|route| faults.strike(route).is_some())
            .collect();
        assert_eq!(struck, [false, false, true, false, true, false]);
    }

    #[test]
    fn a_rule_begins_and_ends_in_time_and_strikes_its_share() {
        let route = route("/messageexchange/X/inbox");
        let rule = Rule { after: Duration::from_secs(5), ..Rule::always(Call::List, Fault::Refuse) };
        let second = Duration::from_secs(1);
        assert!(!rule.fits(&route, 4 * second) && rule.fits(&route, 5 * second) && rule.fits(&route, 5000 * second));
        let rule = Rule { lasting: Some(3 * second), ..rule };
        assert!(rule.fits(&route, 7 * second) && !rule.fits(&route, 8 * second));

        let faults = Faults::default();
        let chance = Some(Chance { seed: 1, percent: 50 });
        faults.add(Rule { chance, ..Rule::always(Call::List, Fault::Refuse) });
        let share = (0..1000).filter(|_| faults.strike(&route).is_some()).count();
        assert!((430..570).contains(&share), "{share} of 1000");
    }

    #[test]
    fn a_storm_repeats_itself_and_keeps_its_share() {
        let strikes = |seed| {
            let faults = Faults::default();
            faults.set_storm(Some(Chance { seed, percent: 20 }));
            let route = route("/messageexchange/X/inbox");
            (0..1000).map(|_| faults.strike(&route).is_some()).collect::<Vec<_>>()
        };
        assert_eq!(strikes(1), strikes(1));
        assert_ne!(strikes(1), strikes(2));
        let share = strikes(1).into_iter().filter(|struck| *struck).count();
        assert!((150..250).contains(&share), "{share} of 1000");
    }

    #[test]
    fn cleared_faults_strike_no_more() {
        let faults = Faults::default();
        faults.add(Rule::always(Call::List, Fault::Refuse));
        assert!(faults.strike(&route("/messageexchange/X/inbox")).is_some());
        faults.clear();
        assert!(faults.strike(&route("/messageexchange/X/inbox")).is_none());
    }
}
