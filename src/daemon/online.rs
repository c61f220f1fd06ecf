//! What `meshd check --online` asks of MESH, of the keys and of the state's disk: one line of an answer for each
//! question, also where all is well.
//!
//! Of MESH it asks a sign of life once, and of each mailbox a handshake and one page of its list: a count, never an id.
//! Each handshake is one, as a daemon's own (mesh-api 11); nothing here keeps the time of the last one.
//! It changes nothing, and takes no lock: a daemon may run beside it.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Builder;

use super::build::floor;
use super::clock::{SystemChance, SystemClock};
use super::service::Service;
use crate::adapters::http::Certificate;
use crate::adapters::mesh;
use crate::config::{Config, Loaded, Secrets};
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::time::Timestamp;
use crate::ports::disk::{Disk, Mark, Shortage};
use crate::ports::inbox::{Inbox, Page};
use crate::store::disk::Real;
use crate::store::spool::try_keys;

/// A new client certificate takes NHS about five working days.
const SOON_DAYS: i64 = 30;

/// MESH refuses tokens made by a clock that is further off (mesh-api 4.4).
const LARGEST_SKEW: Duration = Duration::from_secs(2 * 3600);
/// Time synchronisation keeps a machine well within this.
const USUAL_SKEW: Duration = Duration::from_secs(60);

/// One page of a list, enough for a count.
const PAGE: u16 = 500;

/// A question and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// What was asked about.
    pub about: String,
    /// How it stands.
    pub verdict: Verdict,
    /// What came of it.
    pub answer: String,
}

/// How something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it should.
    Good,
    /// It works, and someone should look.
    Odd,
    /// It is wrong here.
    Wrong,
    /// The far side cannot be reached, or does not serve.
    Away,
    /// The far side refuses us.
    Refused,
}

impl Verdict {
    /// The word for lines and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Odd => "odd",
            Self::Wrong => "wrong",
            Self::Away => "away",
            Self::Refused => "refused",
        }
    }
}

/// Asks everything, what is here first. Blocks for at most `mesh.patience` at each question.
pub fn probe(loaded: &Loaded, secrets: &Secrets) -> Result<Vec<Probe>, anyhow::Error> {
    let mut probes = vec![room(&loaded.config, &Real::new())];
    probes.extend(keys(&loaded.config, secrets));
    let (clock, chance) = (Arc::new(SystemClock::default()), Arc::new(SystemChance::default()));
    // Whoever checks has told of a service that cannot be made.
    if let Ok(service) = Service::new(loaded, clock, chance) {
        Builder::new_current_thread().enable_all().build()?.block_on(far_side(loaded, secrets, &service, &mut probes));
    }
    Ok(probes)
}

fn room(config: &Config, disk: &dyn Disk) -> Probe {
    let about = "state disk";
    // The state directory itself may not be made yet.
    let Some(folder) = config.state.directory.ancestors().find(|folder| folder.exists()) else {
        return found(about, Verdict::Wrong, "there is no such folder, nor one above it");
    };
    match look_at(config, disk, folder) {
        Ok((verdict, answer)) => found(about, verdict, answer),
        Err(error) => found(about, Verdict::Wrong, format!("{}: {error}", folder.display())),
    }
}

fn look_at(config: &Config, disk: &dyn Disk, folder: &Path) -> std::io::Result<(Verdict, String)> {
    let (space, mount) = (disk.space(folder)?, disk.mount(folder)?);
    let (bytes, inodes) = (config.state.min_free.0, config.state.min_free_inodes.0);
    let mut answer = format!("{}, {} of {} bytes free (floor {bytes}%)", mount.kind, space.free_bytes, space.bytes);
    if space.inodes > 0 {
        answer += &format!(", {} of {} inodes free (floor {inodes}%)", space.free_inodes, space.inodes);
    }
    let verdict = match floor(config).shortage(&space, Mark::Low) {
        Some(Shortage::Bytes) => {
            answer += "; too little room: no mail is fetched";
            Verdict::Wrong
        }
        Some(Shortage::Inodes) => {
            answer += "; too few inodes: no mail is fetched";
            Verdict::Wrong
        }
        None if mount.ordered_renames => Verdict::Good,
        None => {
            answer += "; state belongs on ext4, xfs or btrfs";
            Verdict::Odd
        }
    };
    Ok((verdict, answer))
}

fn keys(config: &Config, secrets: &Secrets) -> Vec<Probe> {
    let of_mailbox = |mailbox: &crate::config::Mailbox| {
        let about = format!("{}, keys", mailbox.id);
        match try_keys(&mailbox.id, &mailbox.recipients, &secrets.identities) {
            Ok(()) => found(about, Verdict::Good, "keys.identity opens what is sealed for its recipients"),
            Err(error) => found(about, Verdict::Wrong, error),
        }
    };
    config.mailboxes.iter().map(of_mailbox).collect()
}

async fn far_side(loaded: &Loaded, secrets: &Secrets, service: &Service, probes: &mut Vec<Probe>) {
    let now = service.clock.wall();
    probes.push(client_certificate(&service.http.health().client_chain, now));
    let answered = mesh::ping(&service.http, &service.base, &service.name, service.limits.answer).await;
    let presented = service.http.health().server_chain;
    let chain = shown(&presented, service.clock.wall());
    match answered {
        Err(fault) => {
            let answer = if presented.is_empty() { fault.to_string() } else { format!("{fault}; it presents {chain}") };
            probes.push(found(service.base.as_str(), Verdict::Away, answer));
            // Every further question would have the same answer, after as long a wait.
            return;
        }
        Ok(date) => {
            let answer = if presented.is_empty() { "answers, without TLS".into() } else { format!("presents {chain}") };
            probes.push(found(service.base.as_str(), Verdict::Good, answer));
            let clock = clock(date, service.clock.wall());
            let is_hopeless = clock.verdict == Verdict::Wrong;
            probes.push(clock);
            if is_hopeless {
                return;
            }
        }
    }
    for mailbox in &loaded.config.mailboxes {
        if let Some(inbox) = service.inbox(&mailbox.id, secrets) {
            one_mailbox(&inbox, probes).await;
        }
    }
}

/// One whose handshake is refused is not asked for its list: the same credentials would be refused again.
async fn one_mailbox(inbox: &dyn Inbox, probes: &mut Vec<Probe>) {
    let id = inbox.mailbox();
    let about = format!("{id}, handshake");
    if let Err(fault) = inbox.handshake().await {
        probes.push(failed(about, &fault));
        return;
    }
    probes.push(found(about, Verdict::Good, "accepted"));
    let about = format!("{id}, list");
    match inbox.list(Page::First { max_results: PAGE, workflow_filter: None }).await {
        Ok(listing) => {
            let count = listing.ids.len() + listing.unusable;
            let answer = match (listing.approximate_count, listing.next) {
                (Some(all), Some(_)) => format!("about {all} messages wait"),
                (None, Some(_)) => format!("more than {count} messages wait"),
                (_, None) => format!("{count} messages wait"),
            };
            probes.push(found(about, Verdict::Good, answer));
        }
        Err(fault) => probes.push(failed(about, &fault)),
    }
}

/// Whoever checks has told of one that is not valid now.
fn client_certificate(chain: &[Certificate], now: Timestamp) -> Probe {
    let days = chain.first().map(|own| own.days_left(now));
    let verdict = match days {
        Some(days) if days < SOON_DAYS => Verdict::Odd,
        Some(_) | None => Verdict::Good,
    };
    found("client certificate", verdict, shown(chain, now))
}

/// A chain in words, own certificate first.
fn shown(presented: &[Certificate], now: Timestamp) -> String {
    chain(presented, now).join("; then ")
}

/// Each certificate of a chain in words.
pub(super) fn chain(presented: &[Certificate], now: Timestamp) -> Vec<String> {
    let one = |certificate: &Certificate| {
        let names = match certificate.names.as_slice() {
            [] => String::new(),
            names => format!(", for {}", names.join(", ")),
        };
        let (until, days) = (certificate.not_after, certificate.days_left(now));
        format!("{}{names}, by {}, until {until} ({days} days)", certificate.subject, certificate.issuer)
    };
    presented.iter().map(one).collect()
}

fn clock(theirs: Option<Timestamp>, ours: Timestamp) -> Probe {
    let Some(theirs) = theirs else {
        return found("clock", Verdict::Odd, "MESH does not say what the time is");
    };
    let (apart, word) = if ours > theirs { (ours.since(theirs), "ahead of") } else { (theirs.since(ours), "behind") };
    let verdict = match apart {
        apart if apart > LARGEST_SKEW => Verdict::Wrong,
        apart if apart > USUAL_SKEW => Verdict::Odd,
        _ => Verdict::Good,
    };
    found("clock", verdict, format!("{} s {word} MESH's", apart.as_secs()))
}

fn failed(about: String, fault: &Fault) -> Probe {
    let is_refused = fault.code == FaultCode::MeshAuth || fault.code == FaultCode::MeshRequest;
    found(about, if is_refused { Verdict::Refused } else { Verdict::Away }, fault)
}

fn found(about: impl Into<String>, verdict: Verdict, answer: impl Display) -> Probe {
    Probe { about: about.into(), verdict, answer: answer.to_string() }
}
