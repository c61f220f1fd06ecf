//! Clear headers against hostile bytes, and groups against the standard.

use std::io::Read;

use proptest::prelude::*;

use super::super::tests::{envelope, identity, recipients_of};
use super::*;

fn sealed_sample() -> Vec<u8> {
    let identity = identity();
    let (one, two) = (envelope("A", "M1"), envelope("B", "M2"));
    let json = [serde_json::to_vec(&one).unwrap(), serde_json::to_vec(&two).unwrap()];
    let members = [
        Plain { envelope: &one, json: &json[0], bytes: b"first" },
        Plain { envelope: &two, json: &json[1], bytes: b"" },
    ];
    seal(&recipients_of(&identity), &members).unwrap()
}

#[test]
fn a_header_says_what_was_sealed() {
    let group = sealed_sample();
    let header = GroupHeader::parse(&group).unwrap();
    let names: Vec<_> = header.members.iter().map(|m| (m.mailbox.as_str(), m.message_id.as_str(), m.length)).collect();
    assert_eq!(names, [("A", "M1", 5), ("B", "M2", 0)]);
    assert_eq!(header.end(0), group.len() as u64);
}

#[test]
fn behind_the_clear_header_lies_a_plain_age_file() {
    let identity = identity();
    let envelope = envelope("A", "M1");
    let json = serde_json::to_vec(&envelope).unwrap();
    let group =
        seal(&recipients_of(&identity), &[Plain { envelope: &envelope, json: &json, bytes: b"payload" }]).unwrap();
    let header_length = u32::from_le_bytes(group[12..16].try_into().unwrap()) as usize;

    let decryptor = age::Decryptor::new(&group[header_length..]).unwrap();
    let mut plain = Vec::new();
    decryptor.decrypt(std::iter::once(&identity as _)).unwrap().read_to_end(&mut plain).unwrap();

    let mut expected = (json.len() as u32).to_le_bytes().to_vec();
    expected.extend_from_slice(&json);
    expected.extend_from_slice(&7u32.to_le_bytes());
    expected.extend_from_slice(b"payload");
    assert_eq!(plain, expected);
}

#[test]
fn a_newer_format_is_told_from_a_tail() {
    let mut group = sealed_sample();
    let length = GroupHeader::parse(&group).unwrap().header_length as usize;
    group[8] = 2;
    assert_eq!(GroupHeader::parse(&group), Err(NotAGroup::Tail), "its CRC is wrong");
    let crc = crc32c::crc32c(&group[..length - CRC]);
    group[length - CRC..length].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(GroupHeader::parse(&group), Err(NotAGroup::Newer(2)));
}

#[test]
fn a_group_that_holds_something_else_than_its_header_says_does_not_open() {
    let header = GroupHeader::parse(&sealed_sample()).unwrap();
    let member = |payload: &[u8]| {
        let mut bytes = 2u32.to_le_bytes().to_vec();
        bytes.extend_from_slice(b"{}");
        bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        bytes.extend_from_slice(payload);
        bytes
    };
    let good = [member(b"first"), member(b"")].concat();
    assert!(OpenGroup::parse(good.clone().into(), &header).is_ok());
    let wrong = [
        [good.clone(), vec![0]].concat(),
        good[..good.len() - 1].to_vec(),
        member(b"first"),
        [member(b"other!"), member(b"")].concat(),
        u32::MAX.to_le_bytes().to_vec(),
    ];
    for plain in wrong {
        assert!(OpenGroup::parse(plain.into(), &header).is_err());
    }
}

/// Makes a header's CRC right, so that the parser has to look at the rest.
fn with_right_crc(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().max(PREFIX + CRC), 0);
    let length = bytes.len();
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&[VERSION, 0, 0, 0]);
    bytes[12..16].copy_from_slice(&(length as u32).to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..length - CRC]);
    bytes[length - CRC..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

proptest! {
    #[test]
    fn any_bytes_parse_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(GroupHeader::parse(&bytes).is_err());
    }

    #[test]
    fn hostile_headers_with_a_right_crc_stay_within_bounds(
        bytes in proptest::collection::vec(prop_oneof![Just(0u8), Just(1), Just(0x41), Just(0xff), any::<u8>()], 0..600)
    ) {
        let bytes = with_right_crc(bytes);
        if let Ok(header) = GroupHeader::parse(&bytes) {
            prop_assert!(header.ciphertext_length <= MAX_CIPHERTEXT);
            prop_assert!(header.members.len() * 6 < bytes.len());
        }
    }

    #[test]
    fn a_changed_bit_in_a_header_is_seen(at in 0usize..10_000, bit in 0u8..8) {
        let mut group = sealed_sample();
        let length = GroupHeader::parse(&group).unwrap().header_length as usize;
        group[at % length] ^= 1 << bit;
        prop_assert_eq!(GroupHeader::parse(&group), Err(NotAGroup::Tail));
    }

    #[test]
    fn a_prefix_never_asks_for_more_than_the_longest_header(prefix in any::<[u8; PREFIX]>(), length in any::<u32>()) {
        let mut prefix = prefix;
        prefix[..8].copy_from_slice(&MAGIC);
        prefix[12..16].copy_from_slice(&length.to_le_bytes());
        if let Ok(length) = GroupHeader::length_from(&prefix) {
            prop_assert!(length <= MAX_HEADER);
        }
    }

    #[test]
    fn hostile_plaintext_opens_or_is_refused(plain in proptest::collection::vec(any::<u8>(), 0..200)) {
        let header = GroupHeader::parse(&sealed_sample()).unwrap();
        prop_assert!(OpenGroup::parse(plain.into(), &header).is_err());
    }
}
