//! Do the configured keys belong to what is kept here?

use crate::config::{Loaded, Secrets};
use crate::domain::finding::Finding;
use crate::ports::disk::Disk;
use crate::store::journal::written_with::written_with;

/// The mistake, if the journal was written with another HMAC key than the configured one.
///
/// A journal that cannot be read is not the key's fault: it is told by who opens it.
pub fn foreign_key(loaded: &Loaded, secrets: &Secrets, disk: &dyn Disk) -> Option<Finding> {
    let directory = loaded.config.state.directory.join("journal");
    let theirs = written_with(disk, &directory).ok().flatten()?;
    let ours = secrets.hmac.id();
    secrets.hmac.named(&theirs).is_none().then(|| {
        let problem =
            format!("this is HMAC key {ours}, but the journal in {} was written with another", directory.display());
        let expected = format!(
            "key {theirs}: put it back from where it is kept, here or into keys.retired_hmac after it was rotated"
        );
        loaded.finding("keys.hmac", problem, expected)
    })
}
