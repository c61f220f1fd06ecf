//! One header at a time: found, decoded, held to its limit (mesh-api 5.2, 10).

use http::HeaderMap;

use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::Sensitive;

/// The headers of one answer.
pub(super) struct Fields<'a>(pub(super) &'a HeaderMap);

impl Fields<'_> {
    /// The value, decoded; nothing when it is absent or empty, since MESH leaves empty ones out.
    ///
    /// Bytes that are not UTF-8 are read as Latin-1, so that no byte a sender wrote is lost. A tab, the one control
    /// character that HTTP lets through, stays: it is data, and who writes it on must escape it anyway.
    /// Refused are longer values than the dictionary allows, and repetitions that disagree.
    pub(super) fn text(&self, name: &'static str, longest: usize) -> Result<Option<String>, Fault> {
        let mut values = self.0.get_all(name).iter();
        let Some(first) = values.next() else { return Ok(None) };
        if values.any(|other| other != first) {
            return Err(bad(name, "comes twice with different values"));
        }
        let bytes = first.as_bytes();
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect(),
        };
        let length = text.chars().count();
        if length > longest {
            return Err(bad(name, &format!("has {length} characters, more than {longest}")));
        }
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    /// The same, out of sight.
    pub(super) fn sensitive(&self, name: &'static str, longest: usize) -> Result<Option<Sensitive>, Fault> {
        Ok(self.text(name, longest)?.map(Sensitive::new))
    }

    /// A value of printable ASCII, which may be shown.
    pub(super) fn plain(&self, name: &'static str, longest: usize) -> Result<Option<String>, Fault> {
        match self.text(name, longest)? {
            Some(text) if !text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) => {
                Err(bad(name, "is not printable ASCII"))
            }
            other => Ok(other),
        }
    }

    /// A flag in any of the ways NHS's own code writes one (mesh-api 5.1); nothing if it is something else, since the
    /// flags are information for the recipient and decide nothing.
    pub(super) fn flag(&self, name: &'static str) -> Result<Option<bool>, Fault> {
        let text = self.text(name, 20)?.map(|text| text.to_ascii_lowercase());
        Ok(match text.as_deref() {
            Some("y" | "yes" | "t" | "true" | "on" | "1") => Some(true),
            Some("n" | "no" | "f" | "false" | "off" | "0") => Some(false),
            Some(_) | None => None,
        })
    }
}

/// The fault of a header; its value is not repeated.
pub(super) fn bad(name: &'static str, problem: &str) -> Fault {
    Fault::message(FaultCode::MsgBadHeaders, format!("{name} {problem}"))
}
