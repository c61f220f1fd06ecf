//! FHIR in JSON: every object with a `system` and a `value`, at any depth, such as in the document of an ITK3 message.
//!
//! Where the text ends, or is not JSON from somewhere on, what was met before counts.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::SYSTEMS;

/// Tells every number that is declared.
pub(super) fn numbers(text: &str, tell: &mut dyn FnMut(&str)) {
    match (Walk { tell }).deserialize(&mut serde_json::Deserializer::from_str(text)) {
        // An error is the end of what can be read.
        Ok(_) | Err(_) => {}
    }
}

/// Looks at one value; answers its text, if it is one.
struct Walk<'a> {
    tell: &'a mut dyn FnMut(&str),
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = Option<Cow<'de, str>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = Option<Cow<'de, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut is_number, mut value) = (false, None);
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            let text = map.next_value_seed(Walk { tell: &mut *self.tell })?;
            match (key.as_ref(), text) {
                ("system", Some(system)) => is_number = SYSTEMS.contains(&system.as_ref()),
                ("value", text) => value = text,
                (_, _) => {}
            }
            // At once, and not at the object's end, where the text may be cut.
            if is_number && let Some(value) = value.take() {
                (self.tell)(&value);
            }
        }
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element_seed(Walk { tell: &mut *self.tell })?.is_some() {}
        Ok(None)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}
