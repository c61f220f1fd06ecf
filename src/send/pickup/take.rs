//! Taking pairs: a control file is read, its data is kept, and from then on it goes out.

use std::io::{self, Read};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::away::{Finished, Spoken};
use super::vigil::Beat;
use super::{AutoRule, Pickup, Waits, told, unblocked};
use crate::domain::control::{Control, Told};
use crate::domain::digest::{ContentDigest, Hasher};
use crate::domain::ids::{DeliveryId, Sensitive};
use crate::domain::pair::{BaseName, Pair};
use crate::domain::sending::Sending;
use crate::ports::directory::Wanted;
use crate::ports::operations::{Letter, Origin, Posting, Upload};
use crate::ports::pairs::{FileSeen, PairSeen, Pairs};
use crate::ports::store::{Halt, NotBroughtIn, Sent};
use crate::send::control::{LONGEST, is_closed, read};
use crate::send::rules::Broken;

/// Pairs that could not be taken at one look: the others wait for the next.
const MOST_FAILURES: u32 = 16;
/// Read and handed on at a time.
const SLICE: usize = 128 * 1024;

/// What came of a pair that was to be taken.
enum Taken {
    /// It goes out.
    Queued(DeliveryId, Control),
    /// It went out before, as this: nobody sends it again.
    Before(Box<Sent>, Control),
    /// It cannot be sent; with what its control file says, as far as that could be read.
    Refused(Told, Option<Spoken>),
    /// It may still be on its way into `OUT`, or changed meanwhile; if it never will be whole, that is told.
    Unfinished(Told),
    /// Nothing more is taken for now.
    NotNow(NotBroughtIn),
}

impl Pickup {
    /// Takes what can be taken; why the first of the others waits is the answer.
    pub(super) async fn take_all(
        &mut self,
        pairs: Vec<PairSeen>,
        stop: &CancellationToken,
        refused: &mut Vec<Finished>,
    ) -> Result<Option<Waits>, Halt> {
        let (mut waits, mut failures) = (None, 0);
        for pair in pairs {
            if stop.is_cancelled() || failures >= MOST_FAILURES {
                break;
            }
            self.beat.strike();
            match self.take(&pair).await? {
                Taken::Queued(delivery, control) => {
                    tracing::info!(mailbox = %self.mailbox, %delivery, "picked up");
                    if self.rules.report_collect {
                        self.owed.push((pair, control, told::collected(self.parts.clock.wall())));
                    }
                }
                Taken::Before(sent, control) => {
                    let delivery = sent.delivery.id;
                    let what = "a pair that was picked up before lies in OUT again and is not sent twice: change the \
                                time of its data file if it is to be";
                    tracing::warn!(mailbox = %self.mailbox, %delivery, "{what}");
                    refused.extend(self.finished(pair, Some(control), &sent));
                }
                Taken::Refused(told, spoken) => refused.push(self.failed(pair, spoken, told)),
                Taken::Unfinished(told) => {
                    if self.is_given_up(&pair) {
                        refused.push(self.failed(pair, None, told));
                    }
                }
                // As much waits as may: it goes on by itself.
                Taken::NotNow(NotBroughtIn::TooMuchWaits(_) | NotBroughtIn::Busy) => break,
                // Of one alone, such as one that is too large for the room there is.
                Taken::NotNow(why) => {
                    failures += 1;
                    let code = if why == NotBroughtIn::NoRoom { "NO-ROOM" } else { "NOT-TAKEN" };
                    waits.get_or_insert((code, why.to_string()));
                }
            }
        }
        Ok(waits)
    }

    /// Whether a pair could not be read, or had no end, for as long as half a pair may wait.
    pub(super) fn is_given_up(&mut self, pair: &PairSeen) -> bool {
        let now = self.parts.clock.monotonic();
        let (seen, since) = self.unfinished.entry(pair.base.clone()).or_insert_with(|| (pair.clone(), now));
        if seen != pair {
            (*seen, *since) = (pair.clone(), now);
        }
        now.saturating_sub(*since) >= self.rules.orphan_after
    }

    async fn take(&self, pair: &PairSeen) -> Result<Taken, Halt> {
        let now = self.parts.clock.wall();
        let Some(data) = &pair.data else { return Ok(Taken::Unfinished(told::no_data(now))) };
        let (bytes, control) = match (&pair.control, self.auto(pair)) {
            (Some(file), _) => {
                let bytes = self.control_bytes(file).await?;
                let Some(bytes) = bytes.filter(|bytes| is_closed(bytes)) else {
                    return Ok(Taken::Unfinished(told::no_control(now)));
                };
                match read(&bytes) {
                    Ok(control) => (bytes, control),
                    Err(faults) => return Ok(Taken::Refused(told::faults(&faults, now), self.unsound(&bytes))),
                }
            }
            (None, Some(rule)) => match self.addressed(rule).await {
                Ok(control) => (Vec::new(), control),
                Err(taken) => return Ok(*taken),
            },
            (None, None) => return Ok(Taken::Unfinished(told::no_control(now))),
        };
        let faults = self.faults(&control, data.length);
        if !faults.is_empty() {
            return Ok(Taken::Refused(told::faults(&faults, now), Some(Spoken::sound(control))));
        }
        if data.length == 0 {
            return Ok(Taken::Refused(told::no_data(now), Some(Spoken::sound(control))));
        }
        if let Some(before) = self.before(pair, data, &bytes).await? {
            return Ok(Taken::Before(Box::new(before), control));
        }
        self.keep(pair, data, &bytes, control).await
    }

    /// The control file of a rule, with a recipient.
    async fn addressed(&self, rule: &AutoRule) -> Result<Control, Box<Taken>> {
        let Some(organisation) = rule.organisation.clone() else { return Ok(rule.control.clone()) };
        let not_now = |why: String| Box::new(Taken::NotNow(NotBroughtIn::Failed(why)));
        let Some(directory) = &self.parts.directory else { return Err(not_now("nobody knows mailboxes".into())) };
        let wanted = Wanted { organisation, workflow: rule.control.workflow.clone() };
        let found = directory.look_up(&wanted).await.map_err(|fault| not_now(fault.to_string()))?.found;
        match &found[..] {
            [one] => Ok(Control { to: Sensitive::new(one.mailbox.as_str()), ..rule.control.clone() }),
            others => {
                let told = told::not_one(&wanted.organisation, others.len(), self.parts.clock.wall());
                Err(Box::new(Taken::Refused(told, Some(Spoken::sound(rule.control.clone())))))
            }
        }
    }

    /// The bytes of a control file; none if it cannot be read.
    pub(super) async fn control_bytes(&self, file: &FileSeen) -> Result<Option<Vec<u8>>, Halt> {
        let (pairs, file, of) = (Arc::clone(&self.parts.pairs), file.clone(), file.base.clone());
        let read = move || -> io::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            // One more than it may have, which says that it has more.
            pairs.read(&file)?.take(LONGEST as u64 + 1).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let read = unblocked(read).await?;
        Ok(read.map_err(|error| self.unreadable("control", &of, &error)).ok())
    }

    /// What a control file says that its mailbox does not allow.
    pub(super) fn faults(&self, control: &Control, length: u64) -> Vec<Broken> {
        let mut faults = Vec::new();
        if control.from != self.mailbox {
            let problem = format!("this is the OUT folder of {}", self.mailbox);
            faults.push(Broken { header: "From_DTS", problem, code: Some("07") });
        }
        if !control.allow_chunking && length > self.rules.chunk {
            let problem = format!("N, and more than the {} bytes of one request", self.rules.chunk);
            faults.push(Broken { header: "AllowChunking", problem, code: None });
        }
        faults
    }

    /// What the same pair went out as, if MESH has anything of that: the same name, control file and data file, whose
    /// time did not change either. A sender who means it again writes it again.
    async fn before(&self, pair: &PairSeen, data: &FileSeen, control: &[u8]) -> Result<Option<Sent>, Halt> {
        let last = self.parts.sends.picked_up_as(&self.mailbox, self.names(&pair.base)).await?;
        Ok(last.filter(|sent| {
            let Some(outgoing) = &sent.delivery.outgoing else { return false };
            let is_same = |of: &Pair| {
                (of.modified, of.length) == (data.modified, data.length) && self.is_of(&of.control, control)
            };
            outgoing.progress != Sending::Ready && outgoing.pair.as_ref().is_some_and(is_same)
        }))
    }

    /// Whether a keyed digest is that of these bytes, under any of the keys.
    pub(super) fn is_of(&self, digest: &ContentDigest, bytes: &[u8]) -> bool {
        self.parts.key.each().any(|key| key.of(bytes) == *digest)
    }

    async fn keep(&self, pair: &PairSeen, data: &FileSeen, bytes: &[u8], control: Control) -> Result<Taken, Halt> {
        let now = self.parts.clock.wall();
        let file_name =
            self.rules.file_name.then(|| Sensitive::new(format!("{}.{}", pair.base.reveal(), data.extension)));
        let letter = Letter { file_name, ..Letter::of(control.clone()) };
        let posting = Posting { letter, length: data.length, by: self.rules.by };
        let upload = match self.parts.post.post(posting).await? {
            Ok(upload) => upload,
            Err(NotBroughtIn::Unsendable(faults)) => {
                return Ok(Taken::Refused(told::unsendable(&faults, now), Some(Spoken::sound(control))));
            }
            Err(why) => return Ok(Taken::NotNow(why)),
        };
        let (pairs, seen, beat) = (Arc::clone(&self.parts.pairs), pair.clone(), self.beat.clone());
        let (upload, read) = match unblocked(move || fill(&*pairs, &seen, upload, &beat)).await? {
            Ok(filled) => filled,
            Err(Unfilled::NotNow(why)) => return Ok(Taken::NotNow(why)),
            Err(Unfilled::Halted(halt)) => return Err(halt),
            Err(Unfilled::Changed) => return Ok(Taken::Unfinished(told::no_data(now))),
            Err(Unfilled::Unread(error)) => {
                self.unreadable("data", &data.base, &error);
                return Ok(Taken::Unfinished(told::no_data(now)));
            }
        };
        let key = &self.parts.key;
        let pair = Pair {
            name: key.identify(pair.base.reveal()),
            control: key.of(bytes),
            control_modified: pair.control.as_ref().map(|control| control.modified),
            data: key.sign(read),
            length: data.length,
            modified: data.modified,
            is_put_away: false,
        };
        Ok(match upload.keep(Origin::Pair(pair)).await? {
            Ok(id) => Taken::Queued(id, control),
            Err(why) => Taken::NotNow(why),
        })
    }

    /// It is tried again. Told once of each, and its name to nobody.
    fn unreadable(&self, half: &str, of: &BaseName, error: &io::Error) {
        if self.unfinished.contains_key(of) {
            return;
        }
        tracing::warn!(mailbox = %self.mailbox, half, %error, "a file in OUT does not read: tried again");
    }
}

/// Why a payload was not taken whole.
enum Unfilled {
    /// It changed while it was read.
    Changed,
    Unread(io::Error),
    NotNow(NotBroughtIn),
    Halted(Halt),
}

/// Hands all bytes of a data file on, and digests them, if both files are then still as they were seen.
fn fill(
    pairs: &dyn Pairs,
    pair: &PairSeen,
    mut upload: Box<dyn Upload>,
    beat: &Beat,
) -> Result<(Box<dyn Upload>, Hasher), Unfilled> {
    let Some(data) = &pair.data else { return Err(Unfilled::Changed) };
    let mut reader = pairs.read(data).map_err(Unfilled::Unread)?;
    let (mut hasher, mut slice) = (Hasher::new(), vec![0; SLICE]);
    let mut left = data.length;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(SLICE).min(SLICE);
        let count = reader.read(&mut slice[..most]).map_err(Unfilled::Unread)?;
        if count == 0 {
            return Err(Unfilled::Changed);
        }
        beat.strike();
        left -= count as u64;
        hasher.update(&slice[..count]);
        if let Err(why) = upload.write(&slice[..count]).map_err(Unfilled::Halted)? {
            return Err(Unfilled::NotNow(why));
        }
    }
    if pairs.is_as_seen(pair).map_err(Unfilled::Unread)? { Ok((upload, hasher)) } else { Err(Unfilled::Changed) }
}
