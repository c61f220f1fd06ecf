//! A new epoch: the first start on a state directory that was restored from a backup.
//!
//! What was not settled when the backup was made may have been settled since by the daemon that it was made of, which may
//! still run. So all of it is held (`RESTORED`) before anything else happens, and a person releases it; what was dead or
//! held then may have been handled since, and takes `--again` (see `store::acts`). If a later state
//! of that daemon's journal was taken over, that journal says what became of it: nothing is held but what was accepted
//! after the backup, whose payload is in no copy (`SPOOL-LOST`). What was moved since lies where it was before.
//! Bulk acts that were under way end either way: a person begins them again, or does not.
//!
//! # The mark, version 1
//!
//! `restored.json` in the state directory, from the first byte of a restore to the end of the first start:
//!
//! ```text
//! version   1
//! whole     false while it is being restored: no daemon starts on it
//! backup    the last record of the backup, as `sequence:hash`
//! later     true if a later journal was taken over
//! ```
//!
//! It goes after everything else of the epoch's beginning is durable. A crash before that begins the epoch again: what is
//! held already stays so.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::committer::{Committer, Moment, Stop, spool_failed};
use super::index::keys::{self, kind};
use super::journal::event::Event;
use super::journal::{Head, Records};
use super::state::{Place, Row, for_each};
use crate::domain::fault::FaultCode;
use crate::domain::ids::DeliveryId;
use crate::domain::output::OutputState;
use crate::domain::settlement::Reason;
use crate::domain::step::Step;
use crate::ports::disk::Disk;
use crate::ports::store::Halt;

const NAME: &str = "restored.json";
const VERSION: u32 = 1;
/// A mark is some hundred bytes; whatever is longer is none of ours.
const LONGEST: usize = 4 * 1024;
/// Records between two commits: one batch of the index must stay below 256 KB.
const BATCH: usize = 128;

/// Says that a state directory was restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mark {
    version: u32,
    /// A daemon may start on it.
    pub(super) whole: bool,
    backup: String,
    later: bool,
}

impl Mark {
    /// Of a directory that is being restored.
    pub(super) fn half(later: bool) -> Self {
        Self { version: VERSION, whole: false, backup: Head::default().to_string(), later }
    }

    /// The same, from the backup that ends with `head`.
    pub(super) fn of(self, head: Head) -> Self {
        Self { backup: head.to_string(), ..self }
    }

    /// The same, restored.
    pub(super) fn whole(self) -> Self {
        Self { whole: true, ..self }
    }

    /// The mark in a state directory, if there is one.
    pub(super) fn read(disk: &dyn Disk, state: &Path) -> Result<Option<Self>, Halt> {
        let path = state.join(NAME);
        let failed = |error: io::Error| Halt(format!("read {}: {error}", path.display()));
        if disk.entry(&path).map_err(failed)?.is_none() {
            return Ok(None);
        }
        let mut bytes = vec![0; LONGEST];
        let length = disk.read(&path).and_then(|file| file.read_at(&mut bytes, 0)).map_err(failed)?;
        let mark: Self = serde_json::from_slice(&bytes[..length]).map_err(|error| failed(error.into()))?;
        if mark.version == VERSION { Ok(Some(mark)) } else { Err(failed(io::ErrorKind::InvalidData.into())) }
    }

    /// The mark of a directory that a daemon may start on, if it was restored.
    pub(super) fn read_whole(disk: &dyn Disk, state: &Path) -> Result<Option<Self>, Halt> {
        let mark = Self::read(disk, state)?;
        if mark.as_ref().is_some_and(|mark| !mark.whole) {
            return Err(Halt(format!("{} is half restored: run `meshd backup restore` again", state.display())));
        }
        Ok(mark)
    }

    /// Puts it in the place of the one before. Durable on return.
    pub(super) fn write(&self, disk: &dyn Disk, state: &Path) -> io::Result<()> {
        let (path, temp) = (state.join(NAME), state.join("restored.part"));
        disk.remove(Step::RestoreWrite, &temp)?;
        let mut file = disk.create(Step::RestoreWrite, &temp)?;
        file.append(Step::RestoreWrite, &serde_json::to_vec(self)?)?;
        file.sync(Step::RestoreWrite)?;
        disk.rename(Step::RestoreWrite, &temp, &path)?;
        disk.sync_folder(Step::RestoreWrite, state)
    }

    /// Removes it. Durable on return.
    pub(super) fn remove(disk: &dyn Disk, state: &Path) -> Result<(), Halt> {
        let removed = disk.remove(Step::RestoreWrite, &state.join(NAME));
        let synced = removed.and_then(|()| disk.sync_folder(Step::RestoreWrite, state));
        synced.map_err(|error| Halt(format!("remove the mark of a restore: {error}")))
    }

    /// The last record of the backup.
    fn sequence(&self) -> Result<u64, Halt> {
        let head: Head = self.backup.parse().map_err(|error| Halt(format!("{NAME}: {error}")))?;
        Ok(head.sequence)
    }
}

impl Committer {
    /// Begins the epoch that `mark` asks for. Durable on return, but for the mark's end.
    pub(super) fn begin_epoch(&mut self, moment: Moment, mark: &Mark) -> Result<(), Stop> {
        let (backup, later) = (mark.sequence()?, mark.later);
        tracing::warn!(backup, later, "restored from a backup: a new epoch begins");
        self.record(moment, &Event::Restored { backup, later })?;
        self.end_jobs(moment)?;
        if later {
            self.move_back_since(moment, backup)?;
        }
        self.make_durable()?;
        let held = if later { self.lost_since(backup)? } else { self.unsettled()? };
        for batch in held.chunks(BATCH) {
            for (id, reason) in batch {
                let outputs = self.outputs_of(*id)?;
                self.record(moment, &Event::Held { id: *id, reason: reason.clone(), outputs, handling: None })?;
            }
            self.make_durable()?;
        }
        Ok(())
    }

    /// What was moved since the backup lies where it did then, as far as it is in the backup.
    fn move_back_since(&mut self, moment: Moment, backup: u64) -> Result<(), Stop> {
        let mut moves = Vec::new();
        let directory = self.journal.directory().to_owned();
        let disk = self.disk.clone();
        let mut records = Records::from(disk.as_ref(), &directory, backup + 1)?;
        while let Some(record) = records.read()? {
            if let Event::Moved { .. } | Event::Resealed(_) = record.event {
                moves.push(record.event);
            }
        }
        // The last first: what was moved twice goes back twice.
        for (done, moved) in moves.into_iter().rev().enumerate() {
            if let Event::Moved { ids, from, to } = moved {
                if !self.appender.holds_group((to.volume, to.offset)).map_err(spool_failed)? {
                    self.move_back(moment, ids, from, to)?;
                }
            } else if let Event::Resealed(moved) = moved {
                let holds = self.appender.holds(&moved.mailbox, &moved.message, &moved.to);
                if !holds.map_err(spool_failed)? {
                    self.seal_back(moment, *moved)?;
                }
            }
            if done % BATCH == BATCH - 1 {
                self.make_durable()?;
            }
        }
        Ok(())
    }

    /// Everything that was neither settled nor set aside.
    fn unsettled(&self) -> Result<Vec<(DeliveryId, Reason)>, Stop> {
        let reason = Reason::new(FaultCode::Restored, "it may have been delivered since the backup was made");
        let mut found = Vec::new();
        for_each(self.index.as_ref(), kind::DELIVERY, |_, value| {
            let row: Row = keys::decode(value)?;
            match row.place {
                Place::Queued { .. } | Place::Working { .. } | Place::Suspect => {
                    found.push((row.delivery.id, reason.clone()));
                }
                Place::Aside { .. } | Place::Ended { .. } => {}
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Everything that is to be handled and whose payload came after the backup.
    fn lost_since(&self, backup: u64) -> Result<Vec<(DeliveryId, Reason)>, Stop> {
        let mut since = Vec::new();
        for_each(self.index.as_ref(), kind::DELIVERY, |_, value| {
            let row: Row = keys::decode(value)?;
            if row.delivery.id.0 > backup && !matches!(row.place, Place::Ended { .. }) {
                since.push(row.delivery);
            }
            Ok(())
        })?;
        let reason = Reason::new(FaultCode::SpoolLost, "it was accepted after the backup was made");
        let mut lost = Vec::new();
        for delivery in since {
            let holds = self.appender.holds(&delivery.mailbox, &delivery.message_id, &delivery.location);
            if !holds.map_err(spool_failed)? {
                lost.push((delivery.id, reason.clone()));
            }
        }
        Ok(lost)
    }

    fn outputs_of(&self, id: DeliveryId) -> Result<Vec<OutputState>, Stop> {
        let row = self.state.row(self.index.as_ref(), id)?;
        Ok(row.map(|row| row.delivery.outputs).unwrap_or_default())
    }
}
