//! Layer 3: one folder per outside thing; none imports another.

pub mod changes;
pub mod http;
pub mod mesh;
