//! The schema against every configuration there is, by a validator of the few words that the schema uses.

use super::*;
use crate::config::tests::{EXAMPLES, minimal};

const WRITTEN: &str = include_str!("../../../config/meshd.schema.json");

fn document(text: &str) -> Json {
    let table: toml::Table = toml::from_str(text).expect("TOML");
    serde_json::to_value(table).expect("TOML without dates is JSON")
}

/// What does not fit, by its path.
fn misfits(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    compare(&schema(), &document(text), "", &mut found);
    found
}

fn compare(schema: &Json, value: &Json, path: &str, found: &mut Vec<String>) {
    for (word, rule) in schema.as_object().expect("a schema is an object") {
        let fits = match word.as_str() {
            "type" => match rule.as_str().expect("one type") {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "integer" => value.is_i64(),
                "boolean" => value.is_boolean(),
                other => panic!("the type {other}"),
            },
            "enum" => rule.as_array().expect("a list").contains(value),
            "minimum" => value.as_i64() >= rule.as_i64(),
            "maximum" => value.as_i64() <= rule.as_i64(),
            "required" => {
                rule.as_array().expect("a list").iter().all(|key| value.get(key.as_str().expect("a key")).is_some())
            }
            "additionalProperties" => {
                let known = &schema["properties"];
                value.as_object().is_none_or(|object| object.keys().all(|key| known.get(key).is_some()))
            }
            "oneOf" => {
                let fits = |choice: &&Json| {
                    let mut found = Vec::new();
                    compare(choice, value, path, &mut found);
                    found.is_empty()
                };
                rule.as_array().expect("a list").iter().filter(fits).count() == 1
            }
            "properties" => {
                for (key, inner) in rule.as_object().expect("an object") {
                    if let Some(value) = value.get(key) {
                        compare(inner, value, &format!("{path}.{key}"), found);
                    }
                }
                true
            }
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    compare(rule, item, path, found);
                }
                true
            }
            "$schema" | "title" | "description" | "default" => true,
            other => panic!("the word {other}"),
        };
        if !fits {
            found.push(format!("{path}: {word}"));
        }
    }
}

#[test]
fn the_written_schema_is_up_to_date() {
    let written: Json = serde_json::from_str(WRITTEN).expect("JSON");
    assert!(written == schema(), "write it anew: meshd schema > config/meshd.schema.json");
}

#[test]
fn the_shipped_file_fits_as_it_is_and_with_every_key_switched_on() {
    assert_eq!(misfits(SHIPPED), Vec::<String>::new());
    assert_eq!(misfits(&shipped_in_full()), Vec::<String>::new());
}

#[test]
fn a_minimal_file_and_every_example_fit() {
    assert_eq!(misfits(&minimal()), Vec::<String>::new());
    for (name, text) in EXAMPLES {
        assert_eq!(misfits(text), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn keys_have_the_words_and_the_defaults_of_the_shipped_file() {
    let drain = &schema()["properties"]["life"]["properties"]["drain"];
    assert_eq!(drain["default"], "60s");
    assert!(drain["description"].as_str().is_some_and(|words| words.starts_with("How long work in hand")), "{drain}");
    assert_eq!(schema()["properties"]["mailbox"]["items"]["required"][0], "id");
    assert_eq!(schema()["properties"]["mesh"]["required"], Json::Null, "a drop-in may set one key of it");
}

#[test]
fn what_reading_refuses_by_its_kind_does_not_fit_either() {
    for (text, expected) in [
        ("[life]\nworker = 4", ".life: additionalProperties"),
        ("[life]\nworkers = 0", ".life.workers: minimum"),
        ("[life]\nworkers = \"4\"", ".life.workers: type"),
        ("[log]\nlevel = \"debgu\"", ".log.level: enum"),
        ("[keys]\nhmac = \"secret\"", ".keys.hmac: oneOf"),
        ("[features]\nallow = [\"anything\"]", ".features.allow: enum"),
        ("[[mailbox]]\nid = \"X26ABC1\"", ".mailbox: required"),
    ] {
        assert!(misfits(text).iter().any(|found| found == expected), "{text}: {:?}", misfits(text));
    }
}
