//! What a failed call on the disk means to the spool.

use std::io::{self, ErrorKind};

use crate::ports::spool::SpoolError;
use crate::ports::store::Halt;

/// A failed write, create, rename or remove: no room is a state of the machine, all else is final.
pub(super) fn written(what: &str, error: io::Error) -> SpoolError {
    if is_shortage(&error) { SpoolError::NoRoom(error) } else { halted(what, error) }
}

/// A failed sync is final whatever its reason: what is on the disk is unknown.
pub(super) fn halted(what: &str, error: io::Error) -> SpoolError {
    SpoolError::Failed(Halt(format!("{what}: {error}")))
}

/// A failed read: short of descriptors for now, or this payload does not open.
pub(super) fn read(what: &str, error: io::Error) -> SpoolError {
    if is_shortage(&error) { SpoolError::NoRoom(error) } else { SpoolError::Unreadable(format!("{what}: {error}")) }
}

/// Disk, quota, inodes or descriptors used up. None of them says that anything is damaged.
fn is_shortage(error: &io::Error) -> bool {
    let no_descriptors = matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE));
    no_descriptors || matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_is_no_room_and_a_failed_sync_is_final_even_so() {
        let full = || io::Error::from_raw_os_error(libc::ENOSPC);
        assert!(matches!(written("write", full()), SpoolError::NoRoom(_)));
        assert!(matches!(written("write", io::Error::from_raw_os_error(libc::EDQUOT)), SpoolError::NoRoom(_)));
        assert!(matches!(written("write", io::Error::from_raw_os_error(libc::EIO)), SpoolError::Failed(_)));
        assert!(matches!(halted("sync", full()), SpoolError::Failed(_)));
        assert!(matches!(read("read", io::Error::from_raw_os_error(libc::EMFILE)), SpoolError::NoRoom(_)));
        assert!(matches!(read("read", io::Error::from_raw_os_error(libc::EIO)), SpoolError::Unreadable(_)));
    }
}
