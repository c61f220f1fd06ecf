//! FHIR in JSON, as far as the prefix goes: the parser stops where the text does, and what it met until then counts.
//!
//! Its depth is bounded by serde_json (128), and so is what it skips, which it does without recursion.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::fhir::Seen;
use super::{Content, Format};

/// What a text that begins with `{` is.
pub(super) fn recognise(text: &str) -> Option<Content> {
    let mut seen = Seen::default();
    let walk = Walk { seen: &mut seen, place: Place::Root };
    match walk.deserialize(&mut serde_json::Deserializer::from_str(text)) {
        // Cut, or not JSON from somewhere on: what was met before counts in either case.
        Ok(()) | Err(_) => seen.content(Format::FhirJson),
    }
}

/// A place in the text whose value says something.
#[derive(Clone, Copy)]
enum Place {
    Root,
    RootResource,
    BundleType,
    Entry,
    Resource,
    EntryResource,
    Event,
    EventSystem,
    EventCode,
}

impl Place {
    /// Where a member of the object at this place stands.
    fn member(self, key: &str) -> Option<Self> {
        match (self, key) {
            (Self::Root, "resourceType") => Some(Self::RootResource),
            (Self::Root, "type") => Some(Self::BundleType),
            (Self::Root, "entry") => Some(Self::Entry),
            (Self::Entry, "resource") => Some(Self::Resource),
            (Self::Resource, "resourceType") => Some(Self::EntryResource),
            // STU3, then both forms of R4.
            (Self::Resource, "event" | "eventCoding") => Some(Self::Event),
            (Self::Resource, "eventUri") => Some(Self::EventCode),
            (Self::Event, "system") => Some(Self::EventSystem),
            (Self::Event, "code") => Some(Self::EventCode),
            (_, _) => None,
        }
    }
}

struct Walk<'a> {
    seen: &'a mut Seen,
    place: Place,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if let Place::Resource = self.place {
            self.seen.end_entry();
        }
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            match self.place.member(&key) {
                Some(place) => map.next_value_seed(Walk { seen: &mut *self.seen, place })?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        match self.place {
            Place::Entry => {
                while seq.next_element_seed(Walk { seen: &mut *self.seen, place: Place::Entry })?.is_some() {}
            }
            Place::Root
            | Place::RootResource
            | Place::BundleType
            | Place::Resource
            | Place::EntryResource
            | Place::Event
            | Place::EventSystem
            | Place::EventCode => while seq.next_element::<IgnoredAny>()?.is_some() {},
        }
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        match self.place {
            Place::RootResource => self.seen.resource.set(text),
            Place::BundleType => self.seen.bundle.set(text),
            Place::EntryResource => self.seen.entry.resource.set(text),
            Place::EventSystem => self.seen.entry.system.set(text),
            Place::EventCode => self.seen.entry.code.set(text),
            Place::Root | Place::Entry | Place::Resource | Place::Event => {}
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}
