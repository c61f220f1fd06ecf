//! Which deliveries the journal connects with people.

use std::collections::BTreeSet;

use super::archive::Archive;
use crate::domain::digest::ContentDigest;
use crate::domain::ids::DeliveryId;
use crate::ports::operations::FoundSubject;
use crate::ports::store::{Halt, LookUp, MOST_LOOKED_UP, Store};
use crate::ports::trace::{FoundRecord, Search, Unreadable};
use crate::store::journal::event::Event;

/// What one record says of deliveries and people.
pub(super) enum Connection {
    /// A delivery names these, and more people if so it says.
    Names { delivery: DeliveryId, patients: Vec<ContentDigest>, more: bool },
    /// One takes the place of another, and is about whom that is about. The row of the first may be gone by now, and
    /// nobody may have looked into the second.
    Replaces { before: DeliveryId, new: DeliveryId },
}

impl Connection {
    /// What `record` says, if it says anything of the kind.
    pub(super) fn of(record: &FoundRecord) -> Result<Option<Self>, Unreadable> {
        let event: Event = serde_json::from_str(&record.body)
            .map_err(|_| Unreadable(format!("record {} was written by another version", record.sequence)))?;
        let before = if let Event::Concerns { id, patients, more } = event {
            return Ok(Some(Self::Names { delivery: id, patients, more }));
        } else if let Event::Replayed(replay) = event {
            Some(replay.of)
        } else if let Event::BroughtIn(brought) = event {
            brought.replaces.map(|replaced| replaced.id)
        } else {
            None
        };
        Ok(before.map(|before| Self::Replaces { before, new: DeliveryId(record.sequence) }))
    }
}

/// Looks for all records of the kind that may be about `patients`, from a record on.
pub(super) fn search(patients: Vec<ContentDigest>, from: u64) -> Search {
    let kinds = ["concerns", "replayed", "brought-in"].map(str::to_owned).into();
    Search { kinds, patients, or_may_concern: true, from, ..Search::default() }
}

/// One page of what is known about `patients`, from a record on.
pub(super) async fn find(
    archive: &Archive,
    store: &dyn Store,
    patients: Vec<ContentDigest>,
    from: u64,
) -> Result<Result<FoundSubject, Unreadable>, Halt> {
    // Whatever was handed over before the question is in the answer.
    store.barrier().await?;
    let page = match archive.search(search(patients.clone(), from)).await? {
        Ok(page) => page,
        Err(unreadable) => return Ok(Err(unreadable)),
    };
    let connections: Result<Vec<_>, _> =
        page.records.iter().filter_map(|record| Connection::of(record).transpose()).collect();
    let connections = match connections {
        Ok(connections) => connections,
        Err(unreadable) => return Ok(Err(unreadable)),
    };
    let (mut connected, mut with_others, mut replaced) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for connection in connections {
        match connection {
            Connection::Names { delivery, patients: named, more } => {
                // Of lists that the journal has not whole, those that it names are found here; a scan finds the rest.
                if named.iter().any(|patient| patients.contains(patient)) {
                    connected.insert(delivery);
                    if more || named.len() > 1 {
                        with_others.insert(delivery);
                    }
                }
            }
            Connection::Replaces { before, new } => replaced.push((before, new)),
        }
    }
    let mut kept = Vec::new();
    for ids in connected.iter().copied().collect::<Vec<_>>().chunks(MOST_LOOKED_UP) {
        kept.extend(store.look_up(LookUp::Deliveries(ids.to_vec())).await?);
    }
    Ok(Ok(FoundSubject { connected, with_others, kept, replaced, rest: page.rest.map(|rest| rest.from) }))
}
