//! What certificates say of themselves: for warnings, metrics and whoever checks a connection. Pure.

use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

use crate::domain::time::Timestamp;

/// The name of the throw-away authorities that simulators make.
pub const TEST_AUTHORITY: &str = "Throw-away test authority";

/// One certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Its subject, such as `CN=SERVER001.X26.api.mesh-client.nhs.uk`.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// The host names it is for.
    pub names: Vec<String>,
    /// Valid from then on.
    pub not_before: Timestamp,
    /// Valid until then.
    pub not_after: Timestamp,
}

impl Certificate {
    /// Reads it from one certificate; nothing if that is not X.509.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate.as_ref()).ok()?;
        let names = parsed.subject_alternative_name().ok().flatten().map(|list| list.value.general_names.iter());
        #[expect(clippy::wildcard_enum_match_arm, reason = "only host names matter, whatever other kinds there are")]
        let name = |name: &GeneralName<'_>| match name {
            GeneralName::DNSName(text) => Some((*text).to_owned()),
            _ => None,
        };
        Some(Self {
            subject: parsed.subject().to_string(),
            issuer: parsed.issuer().to_string(),
            names: names.into_iter().flatten().filter_map(name).collect(),
            not_before: timestamp(parsed.validity().not_before),
            not_after: timestamp(parsed.validity().not_after),
        })
    }

    /// Did a simulator's authority issue it? It proves nothing to anyone else.
    pub fn is_for_tests(&self) -> bool {
        self.issuer.contains(TEST_AUTHORITY)
    }

    /// Why it is not valid at `now`, if it is not: MESH refuses it.
    pub fn invalidity(&self, now: Timestamp) -> Option<String> {
        if now > self.not_after {
            Some(format!("it expired at {}", self.not_after))
        } else if now < self.not_before {
            Some(format!("it is not valid before {}", self.not_before))
        } else {
            None
        }
    }

    /// Whole days left; negative once it is over.
    pub fn days_left(&self, now: Timestamp) -> i64 {
        const DAY_MS: i64 = 24 * 60 * 60 * 1000;
        self.not_after.0.saturating_sub(now.0).div_euclid(DAY_MS)
    }
}

fn timestamp(time: ASN1Time) -> Timestamp {
    Timestamp(time.timestamp().saturating_mul(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(not_before: Timestamp, not_after: Timestamp) -> Certificate {
        let text = || "CN=x".to_owned();
        Certificate { subject: text(), issuer: text(), names: Vec::new(), not_before, not_after }
    }

    #[test]
    fn days_are_counted_down_and_below_zero() {
        let certificate = certificate(Timestamp(0), Timestamp(10 * 86_400_000));
        for (now_ms, days) in [(0, 10), (1, 9), (10 * 86_400_000, 0), (10 * 86_400_000 + 1, -1)] {
            assert_eq!(certificate.days_left(Timestamp(now_ms)), days, "at {now_ms}");
        }
    }

    #[test]
    fn its_first_and_last_moments_are_valid_and_nothing_beyond() {
        let certificate = certificate(Timestamp(1_000), Timestamp(2_000));
        for (now, problem) in [(999, Some("not valid before")), (1_000, None), (2_000, None), (2_001, Some("expired"))]
        {
            let told = certificate.invalidity(Timestamp(now));
            assert_eq!(told.is_some(), problem.is_some(), "at {now}: {told:?}");
            assert!(told.unwrap_or_default().contains(problem.unwrap_or_default()), "at {now}");
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_expiry() {
        assert_eq!(Certificate::of(&CertificateDer::from(vec![0x30, 0x03, 1, 2, 3])), None);
    }
}
