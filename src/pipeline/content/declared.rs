//! The NHS numbers that a payload declares: those in the field its format has for the patient's number.
//!
//! | Format | Where one stands |
//! |---|---|
//! | `fhir-json`, `fhir-xml` | `value` of an identifier whose `system` is that of NHS numbers, at any depth |
//! | `cda`, `itk2` | `extension` of an id whose `root` is the NHS number's OID |
//! | `hl7v2` | `PID-3`, a repetition of the authority `NHS` or the type `NH` |
//! | `edifact` | `PNA+PAT` with the code list `OPI` |
//! | `nhs-numbers` | every line |
//!
//! Any ten digits may pass for a number by chance, so what stands elsewhere says nothing. Only how many are of which
//! kind is kept (I8).

mod json;
mod xml;

#[cfg(test)]
mod tests;

use super::{Format, PREFIX, edifact, hl7v2, numbers, recognise, text_of};
use crate::domain::nhs_number::NhsNumber;

/// Systems of FHIR identifiers that are NHS numbers: from STU3 on, and before.
const SYSTEMS: [&str; 2] = ["https://fhir.nhs.uk/Id/nhs-number", "http://fhir.nhs.net/Id/nhs-number"];

/// The root of NHS numbers in CDA and other HL7 version 3.
const OID: &str = "2.16.840.1.113883.2.1.4.1";

/// Whom a payload declares, as far as it was looked at.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(in crate::pipeline) struct Declared {
    /// Numbers of the range that is given to nobody.
    pub(in crate::pipeline) synthetic: u32,
    /// All others, and whatever else stands where a number should.
    pub(in crate::pipeline) other: u32,
}

impl Declared {
    /// What stands in such a field.
    fn add(&mut self, text: &str) {
        match text.parse::<NhsNumber>() {
            Ok(number) if number.is_synthetic() => self.synthetic = self.synthetic.saturating_add(1),
            // Empty is as good as absent.
            Err(_) if text.trim().is_empty() => {}
            Ok(_) | Err(_) => self.other = self.other.saturating_add(1),
        }
    }
}

/// Whom a payload with this prefix declares; nobody, if its format is not known.
pub(in crate::pipeline) fn declared(prefix: &[u8]) -> Declared {
    let prefix = &prefix[..prefix.len().min(PREFIX)];
    let mut declared = Declared::default();
    let Some(content) = recognise(prefix) else { return declared };
    let text = text_of(prefix);
    let text = text.trim_start();
    let add = &mut |number: &str| declared.add(number);
    match content.format() {
        Format::FhirJson => json::numbers(text, add),
        Format::FhirXml | Format::Itk2 | Format::Cda => xml::numbers(text, add),
        Format::Hl7v2 => hl7v2::numbers(text, add),
        Format::Edifact => edifact::numbers(text.as_bytes(), add),
        Format::NhsNumbers => numbers::lines(text, prefix.len() == PREFIX).into_iter().for_each(add),
    }
    declared
}
