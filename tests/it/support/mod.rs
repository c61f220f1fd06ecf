//! What the integration tests stand on.

pub(crate) mod certificates;
pub(crate) mod clock;
pub(crate) mod peers;
