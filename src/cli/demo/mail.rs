//! What the demonstration puts into MESH, and what must become of each piece.
//!
//! All of it is synthetic.

use std::io::Write;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::fault::FaultCode;
use crate::simulator::mail::{Kind, nhs_number, sample};
use crate::simulator::message::{Draft, Mail};
use crate::simulator::payload::{Part, Payload, compress};
use crate::simulator::{Simulator, SimulatorError};

/// The mailboxes of the demonstration.
pub(super) const MAILBOXES: [&str; 2] = ["X26ABC1", "X26ABC2"];
/// The folder of each mailbox that the consumer empties.
pub(super) const TAKEN: &str = "IN";
/// The folders of each mailbox whose files stay where they are.
pub(super) const LEFT: [&str; 3] = ["archive", "lists", "unsorted"];

/// More than `max_bytes` of the pipeline `results`.
const OVERSIZED_BYTES: u64 = 21_000_000;

/// A file of the daemon may not grow beyond this. Its own files of state stay below.
pub(super) const LARGEST_FILE_BYTES: u64 = 100_000_000;

/// What must become of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Fate {
    /// It comes out in these folders of its mailbox, once in each.
    Out(Vec<String>),
    /// It is dead or held with this reason, its bytes kept.
    SetAside(FaultCode),
    /// A rule says that it goes nowhere; its bytes are kept for a while.
    Discarded,
    /// It is not acknowledged: it stays at MESH.
    Refused,
}

/// What must become of each message, a line of JSON each, in the order of offering.
pub(super) const EXPECTED: &str = "expected.jsonl";

/// Such a line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Expected {
    pub(super) mailbox: String,
    pub(super) id: String,
    pub(super) fate: Fate,
}

/// Writes them.
pub(super) fn expect(offers: &[Offer], mut to: impl Write) -> Result<(), anyhow::Error> {
    for Offer { mailbox, id, fate, .. } in offers {
        let line = Expected { mailbox: (*mailbox).to_owned(), id: id.clone(), fate: fate.clone() };
        writeln!(to, "{}", serde_json::to_string(&line)?)?;
    }
    Ok(())
}

fn out(folders: &[&str]) -> Fate {
    Fate::Out(folders.iter().map(|folder| (*folder).to_owned()).collect())
}

/// One message in an inbox.
pub(super) struct Offer {
    pub(super) mailbox: &'static str,
    pub(super) id: String,
    pub(super) mail: Arc<Mail>,
    pub(super) fate: Fate,
}

/// Puts mail of every kind into both inboxes, once for each round.
pub(super) async fn offer(
    simulator: &Simulator,
    rounds: std::ops::Range<u64>,
    offers: &mut Vec<Offer>,
) -> Result<(), SimulatorError> {
    for round in rounds {
        for mailbox in MAILBOXES {
            for (mail, fate) in one_round(round)? {
                let id = simulator.offer(mailbox, &mail).await?;
                offers.push(Offer { mailbox, id, mail, fate });
            }
        }
    }
    Ok(())
}

/// Puts what goes wrong into the first inbox: no route, too large, hostile.
pub(super) async fn offer_trouble(simulator: &Simulator, offers: &mut Vec<Offer>) -> Result<(), SimulatorError> {
    let mailbox = MAILBOXES[0];
    let unknown = Draft::data("X26ABC9", "NOBODY_WANTS_THIS", Payload::plain("no pipeline takes this workflow"));
    let oversized = Payload::generated(1, OVERSIZED_BYTES, OVERSIZED_BYTES)?;
    let oversized = Draft::data("X26ABC9", Kind::List.workflow(), oversized);
    let not_gzip = Payload::Fixed(vec![Part::stored("this is not gzip".into(), true)]);
    let hostile = Draft::data("X26ABC9", Kind::List.workflow(), not_gzip);
    for (draft, fate) in [
        (unknown, Fate::SetAside(FaultCode::MsgNoRoute)),
        (oversized, Fate::SetAside(FaultCode::MsgTooLarge)),
        (hostile, Fate::Refused),
    ] {
        let mail = draft.ready()?;
        let id = simulator.offer(mailbox, &mail).await?;
        offers.push(Offer { mailbox, id, mail, fate });
    }
    Ok(())
}

/// Puts two delivered messages back under their ids: one with the same bytes, and one with others.
pub(super) async fn present_again(simulator: &Simulator, offers: &mut Vec<Offer>) -> Result<(), SimulatorError> {
    let mut delivered =
        offers.iter().filter(|offer| matches!(offer.fate, Fate::Out(_)) && offer.mail.payload.chunks() > 0);
    let (Some(same), Some(other)) = (delivered.next(), delivered.next()) else { return Ok(()) };
    simulator.offer_as(same.mailbox, &same.id, &same.mail).await?;
    let mail = Draft::data("X26ABC9", &other.mail.workflow, Payload::plain("other bytes under a known id")).ready()?;
    simulator.offer_as(other.mailbox, &other.id, &mail).await?;
    let fate = Fate::SetAside(FaultCode::MsgIdReused);
    let reused = Offer { mailbox: other.mailbox, id: other.id.clone(), mail, fate };
    offers.push(reused);
    Ok(())
}

/// Puts a message into the first inbox that grows beyond [`LARGEST_FILE_BYTES`] when its pipeline decompresses it.
pub(super) async fn offer_poison(simulator: &Simulator, offers: &mut Vec<Offer>) -> Result<(), SimulatorError> {
    let mailbox = MAILBOXES[0];
    // One member of gzip, again and again: no bomb by its ratio.
    let text: String = (0..20_000).map(|row| format!("{row},{},made up\r\n", nhs_number(row))).collect();
    let member = compress(text.as_bytes())?;
    let times = usize::try_from(LARGEST_FILE_BYTES).unwrap_or(usize::MAX) / text.len() + 2;
    let mail = Draft::data("X26ABC9", "EXPAND_DEMO", Payload::plain(member.repeat(times))).ready()?;
    let id = simulator.offer(mailbox, &mail).await?;
    offers.push(Offer { mailbox, id, mail, fate: Fate::SetAside(FaultCode::MsgPoison) });
    Ok(())
}

fn one_round(round: u64) -> Result<Vec<(Arc<Mail>, Fate)>, SimulatorError> {
    let letter = |text: &str| Payload::plain(format!("{text} {round}"));
    let for_practice = Draft::data("X26HC001", Kind::Discharge.workflow(), letter("synthetic discharge summary"));
    let acknowledgement = Draft::data("X26HC001", "TOC_FHIR_IP_DISCH_ACK", letter("synthetic acknowledgement"));
    let mut climbing = Draft::data("X26ABC9", Kind::Tiny.workflow(), letter("a file name that tries to climb"));
    climbing.file_name = Some("../../../etc/passwd".to_owned());
    let mut mails = vec![
        (for_practice.ready()?, out(&["IN"])),
        (acknowledgement.ready()?, Fate::Discarded),
        (climbing.ready()?, out(&["IN"])),
    ];
    for kind in Kind::ALL {
        let fate = match kind {
            Kind::Discharge => out(&["unsorted"]),
            Kind::Pathology => out(&["IN", "archive"]),
            Kind::List | Kind::Gzip | Kind::ChunkedGzip | Kind::OptOut => out(&["lists"]),
            // Twelve megabytes each: a few are enough.
            Kind::Chunked if !round.is_multiple_of(4) => continue,
            Kind::Admission | Kind::Tiny | Kind::Chunked | Kind::Binary | Kind::Report => out(&["IN"]),
        };
        mails.push((sample(kind, round)?, fate));
    }
    Ok(mails)
}
