//! The layout that a MESH client leaves on disk, so that what reads its folders today keeps working
//! (mesh-client-files 2.2, 4.3 and 7).
//!
//! ```text
//! <root>/IN/<message id>.dat   the payload, plain bytes; not there for a report
//! <root>/IN/<message id>.ctl   last: the signal to the consumer; see `ctl`
//! <root>/TEMP/                 ours alone: where both are made
//! <root>/OUT, SENT, FAILED     the site's, for sending
//! ```

use crate::domain::envelope::Envelope;
use crate::domain::ids::Sensitive;
use crate::domain::output::LineEnds;
use crate::ports::store::Delivery;

use super::ctl;

/// The folders of a root, as `meshd output init` makes them.
pub(super) const FOLDERS: &[&str] = &[IN, "OUT", "SENT", "FAILED", STAGING];
/// Where a consumer looks.
pub(super) const IN: &str = "IN";
/// Where files are made, beside the folder they appear in.
pub(super) const STAGING: &str = "TEMP";

/// The bytes of the last file of a set.
pub(super) fn control(envelope: &Envelope, delivery: &Delivery, line_ends: LineEnds) -> Vec<u8> {
    let Some(meant_for) = &delivery.meant_for else {
        return ctl::received(envelope, delivery.accepted_at, line_ends).into_bytes();
    };
    // Where the server puts our own mailbox into a report, the ledger knows better (mesh-client-files 11).
    let corrected = Envelope { to: Some(Sensitive::new(meant_for.as_str())), ..envelope.clone() };
    ctl::received(&corrected, delivery.accepted_at, line_ends).into_bytes()
}
