//! The one builder of HTTP clients: every call to a national service goes through a [`Client`] made here.
//!
//! It guarantees: rustls with aws-lc-rs, TLS 1.2 or later (mesh-api 2); no trust anchor but those of the given bundle;
//! HTTP/1.1 only; no redirect followed; no cookie, no transparent decompression, no retry; every wait limited; idle
//! connections dropped before the far side's five seconds are over (mesh-api 14.7). Certificate, key and bundle are
//! read again when their files change, and a pair that does not work leaves the one in use alone.
//!
//! It does not know any service: what a status means is the adapter's.

mod certificates;
mod client;
mod files;
mod presented;
#[cfg(test)]
pub(in crate::adapters) mod tests_support;

pub use certificates::{Certificate, TEST_AUTHORITY};
pub use client::{Client, ClientError, Health, Network};
pub use files::{FileError, Identity, TlsFiles};

/// Makes aws-lc-rs the process's provider for whoever asks rustls for its default. First thing in `main`.
///
/// Two providers in one process panic at first use, so this must come before any other library may choose.
/// Calling it again changes nothing.
pub fn install_provider() {
    // An error means that a default is installed already, which after the first call is this one.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
}
