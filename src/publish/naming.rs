//! The names of files: pure.
//!
//! A name is made from the message id, the delivery id and numbers of our own; nothing a sender wrote ever reaches one
//! (I8; mesh-client-files 3.2 and 3.4). Both ids are checked to be safe in a path when they are built.
//!
//! ```text
//! final      <message id>.dat                          then .ctl or .json
//! in staging <message id>.<delivery>.<stamp>.dat.part  stamp: 8 hex digits of the boot, 8 random ones
//! ```
//!
//! The random part keeps two stagings apart, so a leftover never stands in the way.
//! The boot part tells, after a crash, whether the machine itself went down since: see `staging::evidence`.

use crate::domain::ids::{DeliveryId, MessageId};

/// Extension of a payload.
pub(super) const DATA: &str = "dat";
/// Extension of a control file in the MESH-client layout.
pub(super) const CONTROL: &str = "ctl";
/// Extension of a control file in the plain layout.
pub(super) const JSON: &str = "json";

const SUFFIX: &str = ".part";
const HEX_DIGITS: usize = 8;

/// Names a boot of the machine, by the first eight hex digits of its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Boot(String);

impl Boot {
    /// From the kernel's boot id, a UUID; `None` for any other text.
    pub(super) fn from_id(id: &str) -> Option<Self> {
        id.get(..HEX_DIGITS).filter(|digits| is_hex(digits)).map(|digits| Self(digits.to_owned()))
    }

    /// Where the system does not tell. Two unknown boots are never taken for the same.
    pub(super) fn unknown() -> Self {
        Self("0".repeat(HEX_DIGITS))
    }

    /// Did the machine run without a break since `temp` was staged, as far as can be known?
    pub(super) fn is_that_of(&self, temp: &str) -> bool {
        *self != Self::unknown() && parts(temp).is_some_and(|parts| parts.stamp.starts_with(&self.0))
    }
}

/// The name in the output folder.
pub(super) fn published(message_id: &MessageId, extension: &str) -> String {
    format!("{message_id}.{extension}")
}

/// The name in the staging folder.
pub(super) fn staged(message_id: &MessageId, delivery: DeliveryId, boot: &Boot, dice: u64, extension: &str) -> String {
    let random = dice >> 32;
    format!("{message_id}.{delivery}.{}{random:08x}.{extension}{SUFFIX}", boot.0)
}

/// Could we have given this name in a staging folder? Anything else there is not ours to touch.
pub(super) fn is_ours(name: &str) -> bool {
    parts(name).is_some()
}

struct Parts<'a> {
    stamp: &'a str,
}

fn parts(name: &str) -> Option<Parts<'_>> {
    let mut pieces = name.strip_suffix(SUFFIX)?.split('.');
    let (message_id, delivery, stamp, extension) = (pieces.next()?, pieces.next()?, pieces.next()?, pieces.next()?);
    let is_shaped = pieces.next().is_none()
        && MessageId::new(message_id).is_ok()
        && delivery.parse::<DeliveryId>().is_ok_and(|id| id.to_string() == delivery)
        && stamp.len() == 2 * HEX_DIGITS
        && is_hex(stamp)
        && [DATA, CONTROL, JSON].contains(&extension);
    is_shaped.then_some(Parts { stamp })
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot(id: &str) -> Boot {
        Boot::from_id(id).expect("a boot id")
    }

    #[test]
    fn a_staged_name_is_recognised_with_its_boot() {
        let id = MessageId::new("20260105093012123456_0A1B2C").expect("an id");
        let here = boot("0a1b2c3d-0000-4000-8000-000000000000");
        let name = staged(&id, DeliveryId(42), &here, 0xdead_beef_0000_0000, DATA);
        assert_eq!(name, "20260105093012123456_0A1B2C.d42.0a1b2c3ddeadbeef.dat.part");
        assert!(is_ours(&name));
        assert!(here.is_that_of(&name));
        assert!(!boot("ffffffff-0000").is_that_of(&name));
    }

    #[test]
    fn two_unknown_boots_are_not_the_same() {
        let id = MessageId::new("A").expect("an id");
        let name = staged(&id, DeliveryId(1), &Boot::unknown(), 7, JSON);
        assert!(is_ours(&name));
        assert!(!Boot::unknown().is_that_of(&name));
        assert_eq!(Boot::from_id("no boot id"), None);
        assert_eq!(Boot::from_id(""), None);
    }

    #[test]
    fn what_has_another_shape_is_not_ours() {
        for name in [
            "",
            "A.dat",
            "A.dat.part",
            "A.d1.0a1b2c3ddeadbeef.exe.part",
            "A.d1.0a1b2c3ddeadbeef.dat",
            "A.d1.0A1B2C3DDEADBEEF.dat.part",
            "A.d01.0a1b2c3ddeadbeef.dat.part",
            "A.1.0a1b2c3ddeadbeef.dat.part",
            "A B.d1.0a1b2c3ddeadbeef.dat.part",
            "A.d1.0a1b2c3ddeadbeef.more.dat.part",
            "../x.d1.0a1b2c3ddeadbeef.dat.part",
        ] {
            assert!(!is_ours(name), "{name:?}");
        }
    }

    #[test]
    fn the_longest_names_fit_a_file_system() {
        let id = MessageId::new("x".repeat(100)).expect("an id");
        assert!(staged(&id, DeliveryId(u64::MAX), &Boot::unknown(), u64::MAX, JSON).len() <= 255);
    }
}
