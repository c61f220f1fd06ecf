//! How long certificates last: read from the PEM text, for warnings and metrics. Pure.

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::domain::time::Timestamp;

/// One certificate and its last moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    /// The certificate's subject, such as `CN=SERVER001.X26.api.mesh-client.nhs.uk`.
    pub subject: String,
    /// Valid until then.
    pub not_after: Timestamp,
}

impl Expiry {
    /// Reads it from one certificate; nothing if that is not X.509.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate.as_ref()).ok()?;
        let seconds = parsed.validity().not_after.timestamp();
        Some(Self { subject: parsed.subject().to_string(), not_after: Timestamp(seconds.saturating_mul(1000)) })
    }

    /// Whole days left; negative once it is over.
    pub fn days_left(&self, now: Timestamp) -> i64 {
        const DAY_MS: i64 = 24 * 60 * 60 * 1000;
        self.not_after.0.saturating_sub(now.0).div_euclid(DAY_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_down_and_below_zero() {
        let expiry = Expiry { subject: "CN=x".into(), not_after: Timestamp(10 * 86_400_000) };
        for (now_ms, days) in [(0, 10), (1, 9), (10 * 86_400_000, 0), (10 * 86_400_000 + 1, -1)] {
            assert_eq!(expiry.days_left(Timestamp(now_ms)), days, "at {now_ms}");
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_expiry() {
        assert_eq!(Expiry::of(&CertificateDer::from(vec![0x30, 0x03, 1, 2, 3])), None);
    }
}
