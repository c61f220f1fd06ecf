//! What operators may do with a delivery, and when.
//!
//! | It is | `replay` | `release` | `hold` | `discard` |
//! |---|---|---|---|---|
//! | waiting for work | no: it needs nobody | no: it needs nobody | yes, *reason* | no: hold it first |
//! | in work, or waiting to be tried alone | no | no | no | no |
//! | dead | yes | no: replay it | yes, *reason* | yes, *reason* |
//! | held | yes | yes | no: it is | yes, *reason* |
//! | held, `SPOOL-LOST` | no | no | no: it is | yes, *reason* |
//! | delivered | *again* | no | no | no |
//! | discarded by a rule | yes | no | no | no |
//! | discarded by a person | no | no | no | no |
//! | replayed | no | no | no | no |
//! | not known | no | no | no | no |
//!
//! To which are added, in this order:
//!
//! - What was set aside dead at its acceptance is kept as MESH served it: neither replayed nor released.
//! - Where the code it was set aside with says so (`FaultCode::needs_force`), replay and release take `--force`.
//! - Where one of its outputs has begun (staged, published or held), replay takes `--again` and a reason, because
//!   today's pipelines know nothing of what a consumer may have (I2). Releasing needs neither: outputs keep their states,
//!   and only those that were held are staged anew, which a consumer may see as a second time.
//! - What goes out and may be at MESH takes `--again` and a reason for both: it may be a second message there. What MESH
//!   has in part goes on where it was when it is released.
//! - What rests since before a restore that knew nothing of what followed its backup takes `--again` and a reason for
//!   both: the daemon of before may have handled it since.
//!
//! **A replay** is a new delivery, linked to the old one and with nothing of its history: attempts, age and outputs
//! begin anew. It takes over the payload, so that this has one owner at any time; the old delivery ends as "replayed as"
//! the new one and is known until its retention ends. **A release** is the same delivery, as it is: its attempts are
//! kept, since a new budget is what a replay is for. Whatever is poison goes back as a suspect does: it is tried with
//! nothing else in work, and a death of the daemon is its own. **What is held** stays without a limit; a dead letter
//! that is held keeps the reason it died of. **What is discarded** no longer counts against the budget for mail set
//! aside; its payload goes after `retention.delivered`, as any other that ended.
//!
//! A replay with another payload has a table of its own: see `store::bring_in`.
//!
//! Each act is one record, with the Unix user who did it: evidence and change are the same bytes. Acts on many are
//! `store::jobs`.

use super::committer::{Committer, Moment, Stop};
use super::journal::event::{Event, Replay};
use super::state::{Ending, Place, Row};
use crate::domain::fault::FaultCode;
use crate::domain::ids::{DeliveryId, JobId};
use crate::domain::operator::Remark;
use crate::domain::settlement::{DeathCause, Reason};
use crate::domain::time::Timestamp;
use crate::ports::store::{Act, Acted, NotAllowed, Order, SetAsideKind};

impl Committer {
    /// Does what an operator says, if the table allows it.
    pub(super) fn obey(&mut self, moment: Moment, order: Order) -> Result<Result<Acted, NotAllowed>, Stop> {
        let Some(row) = self.state.row(self.index.as_ref(), order.delivery)? else {
            return Ok(Err(NotAllowed::Unknown));
        };
        match self.permitted(&row, order.act, order.why.as_ref()) {
            Ok(()) => self.carry_out(moment, row, order, None),
            Err(refused) => Ok(Err(refused)),
        }
    }

    /// Does what the table allows, as part of a job if one is named.
    pub(super) fn carry_out(
        &mut self,
        moment: Moment,
        row: Row,
        order: Order,
        job: Option<JobId>,
    ) -> Result<Result<Acted, NotAllowed>, Stop> {
        let Order { delivery: id, by, .. } = order;
        Ok(match (order.act, order.why.clone()) {
            (Act::Hold | Act::Discard, None) => Err(NotAllowed::NeedsReason),
            (Act::Replay { .. }, _) => Ok(self.replay(moment, row, order, job)?),
            (Act::Release { .. }, why) => {
                let alone = is_poison(&row);
                self.record(moment, &Event::OperatorReleased { id, due: moment.now, alone, by, why, job })?;
                Ok(Acted::Released)
            }
            (Act::Hold, Some(why)) => {
                let reason = reason(&row).cloned();
                let reason = reason.unwrap_or_else(|| Reason::new(FaultCode::OperatorHeld, why.as_str()));
                self.record(moment, &Event::OperatorHeld { id, reason, by, why, job })?;
                Ok(Acted::Held)
            }
            (Act::Discard, Some(why)) => {
                let keep = moment.now.plus(self.settings.retention.delivered);
                self.record(moment, &Event::OperatorDiscarded { id, keep, by, why, job })?;
                Ok(Acted::Discarded)
            }
        })
    }

    fn replay(&mut self, moment: Moment, row: Row, order: Order, job: Option<JobId>) -> Result<Acted, Stop> {
        let keep = self.keep_after(moment, &row);
        let alone = is_poison(&row);
        let delivery = row.delivery;
        let replay = Replay {
            of: delivery.id,
            mailbox: delivery.mailbox,
            message: delivery.message_id,
            length: delivery.length,
            digest: delivery.digest,
            due: moment.now,
            alone,
            keep,
            by: order.by,
            why: order.why,
            job,
        };
        let sequence = self.record(moment, &Event::Replayed(Box::new(replay)))?;
        Ok(Acted::ReplayedAs(DeliveryId(sequence)))
    }

    /// Whether the table allows it.
    pub(super) fn permitted(&self, row: &Row, act: Act, why: Option<&Remark>) -> Result<(), NotAllowed> {
        match act {
            Act::Replay { force, again } => {
                may_replay(row, force, again, why)?;
                self.is_ours_to_handle(row, again, why)
            }
            Act::Release { force, again } => {
                may_release(row, force)?;
                if row.may_be_at_mesh() && !again {
                    return Err(NotAllowed::NeedsAgain);
                }
                self.is_ours_to_handle(row, again, why)
            }
            Act::Hold => may_hold(row),
            Act::Discard => may_discard(row),
        }
    }

    /// Whether it may be handled anew with another payload: its own may not decode, but has the headers beside it.
    pub(super) fn may_be_replaced(&self, row: &Row, force: bool, again: bool, why: &Remark) -> Result<(), NotAllowed> {
        let is_delivered = may_begin_anew(row)?;
        if row.is_lost() {
            return Err(NotAllowed::Lost);
        }
        is_meant(row, force)?;
        may_come_again(row, is_delivered, again, Some(why))?;
        self.is_ours_to_handle(row, again, Some(why))
    }

    /// Whether no daemon of before a restore can have handled it, or somebody says that it may come again.
    fn is_ours_to_handle(&self, row: &Row, again: bool, why: Option<&Remark>) -> Result<(), NotAllowed> {
        match (row.rests_since_before(self.state.meta.restored), again, why) {
            (true, false, _) => Err(NotAllowed::MayBeHandled),
            (_, true, None) => Err(NotAllowed::NeedsReason),
            (false, false, _) | (_, true, Some(_)) => Ok(()),
        }
    }

    /// Until when what another takes the place of is kept.
    pub(super) fn keep_after(&self, moment: Moment, row: &Row) -> Timestamp {
        match row.place {
            Place::Aside { keep: Some(keep), .. } | Place::Ended { keep, .. } => keep,
            Place::Aside { keep: None, .. } | Place::Queued { .. } | Place::Working { .. } | Place::Suspect => {
                moment.now.plus(self.settings.retention.dead)
            }
        }
    }
}

fn may_replay(row: &Row, force: bool, again: bool, why: Option<&Remark>) -> Result<(), NotAllowed> {
    let is_delivered = may_begin_anew(row)?;
    may_be_handled(row, force)?;
    may_come_again(row, is_delivered, again, why)
}

/// Whether another delivery may take its place; `true` where it was delivered.
fn may_begin_anew(row: &Row) -> Result<bool, NotAllowed> {
    Ok(match &row.place {
        Place::Queued { .. } => return Err(NotAllowed::Waits),
        Place::Working { .. } | Place::Suspect => return Err(NotAllowed::InWork),
        Place::Aside { .. } | Place::Ended { how: Ending::Discarded, .. } => false,
        Place::Ended { how: Ending::Delivered, .. } => true,
        Place::Ended { how: Ending::GivenUp, .. } => return Err(NotAllowed::Discarded),
        Place::Ended { how: Ending::Replayed(to), .. } => return Err(NotAllowed::ReplayedAs(*to)),
    })
}

fn may_come_again(row: &Row, is_delivered: bool, again: bool, why: Option<&Remark>) -> Result<(), NotAllowed> {
    let is_sent = row.delivery.outgoing.as_ref().is_some_and(|outgoing| outgoing.progress.is_begun());
    let may_be_out = is_delivered || is_sent || row.delivery.outputs.iter().any(|output| output.progress.is_begun());
    match (may_be_out, again, why) {
        (true, false, _) => Err(NotAllowed::NeedsAgain),
        (_, true, None) => Err(NotAllowed::NeedsReason),
        (false, false, _) | (_, true, Some(_)) => Ok(()),
    }
}

fn may_release(row: &Row, force: bool) -> Result<(), NotAllowed> {
    match &row.place {
        Place::Queued { .. } => Err(NotAllowed::Waits),
        Place::Working { .. } | Place::Suspect => Err(NotAllowed::InWork),
        Place::Aside { kind: SetAsideKind::Dead(_), .. } => Err(NotAllowed::NotHeld),
        Place::Aside { kind: SetAsideKind::Held, .. } => may_be_handled(row, force),
        Place::Ended { how, .. } => Err(ended(*how)),
    }
}

fn may_hold(row: &Row) -> Result<(), NotAllowed> {
    match &row.place {
        Place::Queued { .. } | Place::Aside { kind: SetAsideKind::Dead(_), .. } => Ok(()),
        Place::Working { .. } | Place::Suspect => Err(NotAllowed::InWork),
        Place::Aside { kind: SetAsideKind::Held, .. } => Err(NotAllowed::AlreadyHeld),
        Place::Ended { how, .. } => Err(ended(*how)),
    }
}

fn may_discard(row: &Row) -> Result<(), NotAllowed> {
    match &row.place {
        Place::Queued { .. } => Err(NotAllowed::Waits),
        Place::Working { .. } | Place::Suspect => Err(NotAllowed::InWork),
        Place::Aside { .. } => Ok(()),
        Place::Ended { how, .. } => Err(ended(*how)),
    }
}

/// Whether a pipeline may have what was set aside.
fn may_be_handled(row: &Row, force: bool) -> Result<(), NotAllowed> {
    if row.is_lost() {
        return Err(NotAllowed::Lost);
    }
    if row.as_served && reason(row).is_some() {
        return Err(NotAllowed::AsServed);
    }
    is_meant(row, force)
}

/// Whether somebody says that they know what it may do.
fn is_meant(row: &Row, force: bool) -> Result<(), NotAllowed> {
    let Some(reason) = reason(row) else { return Ok(()) };
    if (reason.code.needs_force() || is_poison(row)) && !force {
        return Err(NotAllowed::NeedsForce(reason.code));
    }
    Ok(())
}

fn ended(how: Ending) -> NotAllowed {
    match how {
        Ending::Delivered => NotAllowed::Delivered,
        Ending::Discarded | Ending::GivenUp => NotAllowed::Discarded,
        Ending::Replayed(to) => NotAllowed::ReplayedAs(to),
    }
}

/// Why it was set aside.
fn reason(row: &Row) -> Option<&Reason> {
    match &row.place {
        Place::Aside { reason, .. } => Some(reason),
        Place::Queued { .. } | Place::Working { .. } | Place::Suspect | Place::Ended { .. } => None,
    }
}

/// Handling it ended the daemon, or broke a step.
pub(super) fn is_poison(row: &Row) -> bool {
    let died_of_it = matches!(row.place, Place::Aside { kind: SetAsideKind::Dead(DeathCause::Poison), .. });
    died_of_it || reason(row).is_some_and(|reason| reason.code.is_poison())
}
