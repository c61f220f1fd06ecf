//! What may not go, whatever its retention says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::ids::DeliveryId;
use crate::domain::legal_hold::{HoldScope, LegalHoldId};
use crate::domain::operator::{Operator, Remark};
use crate::domain::time::Timestamp;

/// No more legal holds at once: each purge asks all of them.
pub const MOST_LEGAL_HOLDS: usize = 100;

/// All that stand.
pub type LegalHolds = BTreeMap<LegalHoldId, LegalHold>;

/// One that stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegalHold {
    /// What it keeps.
    pub scope: HoldScope,
    /// Since when.
    pub since: Timestamp,
    /// Who wanted it.
    pub by: Operator,
    /// Why, in their words.
    pub why: Remark,
    /// The mail of before that it keeps is found. Nothing at all is purged before.
    pub is_complete: bool,
}

/// What is to become of a legal hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldOrder {
    /// It begins.
    Add {
        /// What it keeps.
        scope: HoldScope,
        /// Who wants it.
        by: Operator,
        /// Why.
        why: Remark,
    },
    /// The journal connects these with the people it is about.
    Take {
        /// Which.
        hold: LegalHoldId,
        /// What was found; of what is gone by now, nothing is noted.
        deliveries: Vec<DeliveryId>,
    },
    /// All of the journal was searched for what it keeps.
    Complete {
        /// Which.
        hold: LegalHoldId,
    },
    /// It ends. What only it kept goes.
    Remove {
        /// Which.
        hold: LegalHoldId,
        /// Who wants it.
        by: Operator,
        /// Why.
        why: Remark,
    },
}

/// Why a [`HoldOrder`] was not carried out. Nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum HoldRefused {
    /// No payload to keep.
    #[error("that delivery is not known: there never was one, or its retention is over")]
    UnknownDelivery,
    /// No such mailbox.
    #[error("no mailbox is called that: `meshd mailbox list` shows them")]
    UnknownMailbox,
    /// No such legal hold.
    #[error("there is no such legal hold: `meshd hold list` shows them")]
    UnknownHold,
    /// Each purge asks all of them.
    #[error("there are {MOST_LEGAL_HOLDS} legal holds, and there may be no more: remove one first")]
    TooMany,
}
