//! Whom an opened message names: in the headers that a person wrote, and in its payload as its pipeline left it.
//!
//! So a payload that a stage decompresses is searched decompressed; one that none does, as it is stored. A message that
//! was not opened, since clear facts decided about it, is not opened for this.

use std::io::{self, Read};

use crate::domain::envelope::Envelope;
use crate::domain::patients::{Patients, Scan};
use crate::ports::spool::{Opened, Payload};

/// So much of a payload is searched, bytes. What is longer is said to name more.
const LOOKED_AT: u64 = 1 << 20;

/// Read at once, bytes.
const PIECE: usize = 16 * 1024;

/// The NHS numbers in a message.
pub(super) fn named(opened: &Opened) -> Patients {
    let Envelope { to, subject, local_id, file_name, .. } = &opened.envelope;
    let mut scan = Scan::default();
    for header in [to, subject, local_id, file_name].into_iter().flatten() {
        scan.look_at(header.reveal().as_bytes());
        scan.break_off();
    }
    // A payload that does not read ends its own staging with that fault; here it counts as not looked at whole.
    let is_whole = look_at(&opened.payload, &mut scan).unwrap_or(false);
    let mut found = scan.end();
    found.more |= !is_whole;
    found
}

/// Looks at the payload as far as it is searched; whether that is all of it.
fn look_at(payload: &Payload, scan: &mut Scan) -> io::Result<bool> {
    let mut reader = payload.reader()?.take(LOOKED_AT);
    let mut piece = vec![0; PIECE];
    loop {
        match reader.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => scan.look_at(&piece[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(reader.limit() > 0 || reader.into_inner().read(&mut piece)? == 0)
}
