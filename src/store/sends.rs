//! What goes out: kept, handed to whoever sends it one at a time for each mailbox, and shown.
//!
//! A send is a delivery with a queue of its own: what else becomes of deliveries becomes of it by the same code. Whoever
//! sends notes how far it came before and after each request, so that a crash finds what MESH may have:
//!
//! | The last note | After a crash |
//! |---|---|
//! | queued | it is sent |
//! | begun | MESH may have it, and gave no id: whoever sends has to find out |
//! | uploading | it goes on behind the last chunk that MESH answered for |
//! | accepted | it is settled |
//!
//! What a pipeline sends on is kept by one record, which publishes the output that it is sent for as well. A commit with
//! several records would not do: a power cut may leave the first of them.

use super::command::{Planned, SendCommand};
use super::committer::{Committer, Moment, Stop};
use super::index::Order;
use super::index::keys::{self, kind};
use super::journal::event::{Event, Release, SendQueued};
use super::plan::{MOST_ROWS, Placed, missing};
use super::state::{Place, Row, for_each};
use crate::domain::digest::ContentDigest;
use crate::domain::envelope::{Envelope, MessageKind};
use crate::domain::ids::{DeliveryId, MailboxId};
use crate::domain::onward::Onward;
use crate::domain::output::OutputPlan;
use crate::domain::sending::{Sending, code};
use crate::ports::store::{FoundAtMesh, NotAllowed, NotQueued, SendOrder, SendPage, Sent, SetAsideKind};

impl Committer {
    pub(super) fn send(&mut self, moment: Moment, command: SendCommand, placed: Placed) -> Result<Planned, Stop> {
        match command {
            SendCommand::Queue(order) => match self.not_to_send_on(&order)? {
                Some(why) => Ok(Planned::Declined(why)),
                None => Ok(Planned::SendQueued(self.queue_send(moment, *order, placed)?)),
            },
            SendCommand::Lease(mailbox) => self.next_send(moment, &mailbox),
            SendCommand::Progress(id, progress) => match self.state.row(self.index.as_ref(), id)? {
                Some(row) if row.delivery.outgoing.is_some() => self.done(moment, &Event::Sending { id, progress }),
                Some(_) => Ok(Planned::Declined(format!("delivery {id} does not go out"))),
                // Its time was over before MESH said what became of it.
                None => Ok(Planned::Done),
            },
            SendCommand::Resolve(found) => Ok(Planned::SendResolved(self.resolve_send(moment, found)?)),
            SendCommand::List(page) => Ok(Planned::Sends(self.sends(&page)?)),
            SendCommand::PutAway(id) => match self.state.row(self.index.as_ref(), id)? {
                Some(row) if row.lying_key().is_some() => self.done(moment, &Event::PairPutAway { id }),
                Some(_) | None => Ok(Planned::Done),
            },
            SendCommand::PickedUpAs(mailbox, names) => Ok(Planned::Sends(self.picked_up_as(&mailbox, &names)?)),
        }
    }

    /// What is sent on is sent for an output that waits for it, and by whoever works on its delivery: so it is sent once.
    fn not_to_send_on(&self, order: &SendOrder) -> Result<Option<String>, Stop> {
        let Some(Onward { delivery, output }) = &order.outgoing.onward else { return Ok(None) };
        let row = self.working(*delivery)?;
        let outputs = row.as_ref().map(|row| row.delivery.outputs.as_slice()).unwrap_or_default();
        let mut of_that_name = outputs.iter().filter(|state| state.plan.name() == output);
        let waits = of_that_name.any(|state| matches!(state.plan, OutputPlan::Mesh(_)) && state.progress.is_to_stage());
        Ok((!waits).then(|| format!("output {output} of delivery {delivery} does not wait to be sent on")))
    }

    fn queue_send(
        &mut self,
        moment: Moment,
        order: SendOrder,
        placed: Placed,
    ) -> Result<Result<DeliveryId, NotQueued>, Stop> {
        let SendOrder { envelope, body, outgoing, by } = order;
        let (length, mut digests) = self.measure(&body);
        let location = match self.take_over(&envelope, body, placed)? {
            Ok(location) => location,
            Err(why) => return Ok(Err(NotQueued(why.to_string()))),
        };
        let kept = self.acceptance(moment, &envelope, (length, digests.swap_remove(0)), location);
        let event = Event::SendQueued(Box::new(SendQueued { kept, outgoing, by }));
        Ok(Ok(DeliveryId(self.record(moment, &event)?)))
    }

    /// What is due first, unless its mailbox rests.
    fn next_send(&mut self, moment: Moment, mailbox: &MailboxId) -> Result<Planned, Stop> {
        let prefix = keys::mailbox(kind::SEND_QUEUE, mailbox);
        let first = self.state.scan(self.index.as_ref(), &prefix, &keys::after(&prefix), Order::Ascending, 1)?;
        let due = first.first().and_then(|(key, _)| Some((keys::due_of(key)?, DeliveryId(keys::number_of(key)?))));
        let Some((due, id)) = due.filter(|_| !self.state.is_suspended(mailbox)) else {
            return Ok(Planned::NextSend(Err(None)));
        };
        if due > moment.now {
            return Ok(Planned::NextSend(Err(Some(self.time.wall_of(due)))));
        }
        self.record(moment, &Event::Working { ids: vec![id], alone: false })?;
        let row = self.state.row(self.index.as_ref(), id)?.ok_or_else(|| missing(id))?;
        Ok(Planned::NextSend(Ok(Box::new((row.delivery, moment.now.since(row.since))))))
    }

    fn resolve_send(&mut self, moment: Moment, found: FoundAtMesh) -> Result<Result<(), NotAllowed>, Stop> {
        let FoundAtMesh { delivery: id, message, by, why } = found;
        let Some(row) = self.state.row(self.index.as_ref(), id)? else { return Ok(Err(NotAllowed::Unknown)) };
        let is_held = matches!(row.place, Place::Aside { kind: SetAsideKind::Held, .. });
        if !is_held || !row.may_be_at_mesh() {
            return Ok(Err(NotAllowed::NotUnknown));
        }
        let keep = moment.now.plus(self.settings.retention.delivered);
        self.record(moment, &Event::SendResolved { id, message, keep, by, why })?;
        Ok(Ok(()))
    }

    /// What a report says was lost (mesh-api 7.3), and whom it was for, if it went out of here: by MESH's id of it,
    /// whatever `Mex-To` says.
    pub(super) fn lost(&self, report: &Envelope) -> Result<Option<(DeliveryId, Option<MailboxId>)>, Stop> {
        let linked = report.linked_message_id.as_ref().filter(|_| report.kind == MessageKind::Report);
        let Some(message) = linked else { return Ok(None) };
        let Some(id) = self.state.sent_as(self.index.as_ref(), &report.mailbox, message)? else { return Ok(None) };
        let outgoing = self.state.row(self.index.as_ref(), id)?.and_then(|row| row.delivery.outgoing);
        Ok(Some((id, outgoing.and_then(|outgoing| outgoing.to))))
    }

    /// What went out is told that it was lost.
    pub(super) fn report_undelivered(&mut self, moment: Moment, report: &Envelope, id: DeliveryId) -> Result<(), Stop> {
        let Some(message) = &report.linked_message_id else { return Ok(()) };
        let code = report.status.code.as_deref().and_then(code);
        tracing::error!(delivery = %id, mailbox = %report.mailbox, %message, code, "MESH did not deliver what was sent");
        let progress = Sending::Undelivered { message: message.clone(), code };
        self.record(moment, &Event::Sending { id, progress })?;
        Ok(())
    }

    fn sends(&self, page: &SendPage) -> Result<Vec<Sent>, Stop> {
        let kind = if page.lying { kind::LYING } else { kind::SEND };
        let prefix = page.mailbox.as_ref().map_or(vec![kind], |owner| keys::mailbox(kind, owner));
        let to = keys::after(&prefix);
        let after = page.after.as_ref().map(|place| keys::of_mailbox(kind, &place.mailbox, place.delivery));
        let from = after.map_or(prefix, |after| keys::after(&after));
        let rows = self.state.scan(self.index.as_ref(), &from, &to, Order::Ascending, page.count.min(MOST_ROWS))?;
        let mut found = Vec::with_capacity(rows.len());
        for id in rows.iter().filter_map(|(key, _)| keys::number_of(key)).map(DeliveryId) {
            let row = self.state.row(self.index.as_ref(), id)?.ok_or_else(|| missing(id))?;
            found.push(self.sent(row));
        }
        Ok(found)
    }

    /// The last of that name; of several digests of it, the last under any.
    fn picked_up_as(&self, mailbox: &MailboxId, names: &[ContentDigest]) -> Result<Vec<Sent>, Stop> {
        let mut last = None;
        for name in names {
            last = last.max(self.state.picked_up_as(self.index.as_ref(), mailbox, name)?);
        }
        let Some(id) = last else { return Ok(Vec::new()) };
        let row = self.state.row(self.index.as_ref(), id)?.ok_or_else(|| missing(id))?;
        Ok(vec![self.sent(row)])
    }

    fn sent(&self, row: Row) -> Sent {
        let (class, due) = (row.class(), row.due().map(|due| self.time.wall_of(due)));
        let reason = match row.place {
            Place::Aside { reason, .. } => Some(reason),
            Place::Queued { .. } | Place::Working { .. } | Place::Suspect | Place::Ended { .. } => row.last,
        };
        Sent { delivery: row.delivery, class, due, reason }
    }

    /// Takes up what the run before was sending: how far it came is noted.
    pub(super) fn take_up_sends(&mut self, moment: Moment) -> Result<(), Stop> {
        let mut ids = Vec::new();
        for_each(self.index.as_ref(), kind::IN_SENDING, |key, _| {
            ids.extend(keys::number_of(key).map(DeliveryId));
            Ok(())
        })?;
        for id in ids {
            let why = Release::Stopped;
            self.record(moment, &Event::Released { id, due: moment.now, why })?;
        }
        Ok(())
    }
}
