use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::super::keystore::{Authorities, Format, Trust, Unreadable};
use super::*;
use crate::domain::digest::hex;

fn converted(name: &str) -> Converted {
    convert(&fixture(name), PASSWORD, None).expect("it is whole, and the password is right")
}

fn key_of(converted: &Converted) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_slice(converted.key.as_bytes()).expect("PKCS#8 in PEM")
}

fn names(pem: &str) -> Vec<String> {
    let name = |der: &[u8]| {
        let (_, certificate) = x509_parser::parse_x509_certificate(der).expect("a certificate");
        let name = certificate.subject().iter_common_name().next().expect("it has a name");
        name.as_str().expect("text").to_owned()
    };
    CertificateDer::pem_slice_iter(pem.as_bytes()).map(|der| name(&der.expect("PEM"))).collect()
}

#[test]
fn what_keytool_and_openssl_wrote_gives_one_key_with_its_chain() {
    let expected = std::fs::read_to_string(fixture("key.sha256")).expect("it is in the repository");
    for (name, format) in [("mesh.jks", Format::Jks), ("mesh.p12", Format::Pkcs12), ("openssl.p12", Format::Pkcs12)] {
        let converted = converted(name);
        assert_eq!((converted.format, converted.alias.as_str()), (format, "meshclient"), "{name}");
        let key = key_of(&converted);
        assert_eq!(hex(digest(&SHA256, key.secret_der()).as_ref()), expected.trim(), "{name}");
        assert!(matches!(key, PrivateKeyDer::Pkcs8(_)), "{name}");
        let shown = ["synthetic.X26.api.mesh-client.nhs.uk", "Synthetic Issuing Authority"];
        assert_eq!(names(&converted.certificates), shown, "{name}: our own first, and no root");
    }
}

#[test]
fn authorities_are_those_that_java_trusts_and_else_our_own() {
    for name in ["mesh.jks", "mesh.p12"] {
        let Authorities::Trusted(pem) = converted(name).authorities else { panic!("{name}: keytool marked them") };
        let mut found = names(&pem);
        found.sort();
        assert_eq!(found, ["Synthetic Issuing Authority", "Synthetic Root Authority"], "{name}");
    }
    let Authorities::Own(pem) = converted("openssl.p12").authorities else { panic!("OpenSSL marks none") };
    assert_eq!(names(&pem).len(), 2);
}

#[test]
fn a_wrong_password_is_told_and_not_repeated() {
    for name in ["mesh.jks", "mesh.p12", "openssl.p12"] {
        for wrong in ["another-one", "", "\u{a3}"] {
            let Err(error) = convert(&fixture(name), wrong, None) else { panic!("{name} opens with {wrong:?}") };
            let told = format!("{error:#}");
            assert!(told.contains("KeyStorePassword does not open it") && told.contains(name), "{told}");
            assert!(wrong.is_empty() || !told.contains(wrong), "{told}");
        }
    }
}

#[test]
fn a_key_of_another_name_is_not_taken() {
    assert!(convert(&fixture("mesh.jks"), PASSWORD, Some("MESHCLIENT")).is_ok(), "Java does not mind case");
    let Err(error) = convert(&fixture("mesh.jks"), PASSWORD, Some("rootca")) else { panic!("it has no key") };
    assert!(format!("{error:#}").contains("--key-alias with one of \"meshclient\""), "{error:#}");
}

#[test]
fn what_is_no_keystore_is_told_so() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("mesh.keystore");
    // The last is JCEKS.
    for bytes in [&b""[..], b"password=hunter2", b"\xce\xce\xce\xce\0\0\0\x02"] {
        std::fs::write(&path, bytes).expect("a temporary folder is writable");
        let Err(error) = convert(&path, PASSWORD, None) else { panic!("it is none") };
        assert!(format!("{error:#}").contains("neither JKS nor PKCS#12"), "{error:#}");
    }
    for bytes in [&b"\x30\x82"[..], b"\xfe\xed\xfe\xed", b"\xfe\xed\xfe\xed\0\0\0\x02\xff\xff\xff\xff"] {
        std::fs::write(&path, bytes).expect("a temporary folder is writable");
        assert!(convert(&path, PASSWORD, None).is_err(), "{bytes:?}");
    }
}

fn utf16(password: &str) -> Vec<u8> {
    password.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

fn sha1(parts: &[&[u8]]) -> Vec<u8> {
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    parts.iter().for_each(|part| context.update(part));
    context.finish().as_ref().to_vec()
}

/// A body with the digest that it should have.
fn sealed(body: &[u8]) -> Vec<u8> {
    [body, &sha1(&[&utf16(PASSWORD), b"Mighty Aphrodite", body])].concat()
}

fn keytools() -> Vec<u8> {
    let whole = std::fs::read(fixture("mesh.jks")).expect("it is in the repository");
    whole[..whole.len() - 20].to_vec()
}

#[test]
fn a_damaged_jks_is_told_wherever_the_damage_is() {
    let body = keytools();
    let whole = sealed(&body);
    assert!(jks::read(&whole, PASSWORD).is_ok(), "the digest is keytool's own");
    for at in (0..whole.len()).step_by(97) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        assert_eq!(jks::read(&damaged, PASSWORD).err(), Some(Unreadable::Password), "at {at}");
    }
    // Whoever knows the password can seal anything.
    for length in (0..body.len()).step_by(41) {
        assert_eq!(jks::read(&sealed(&body[..length]), PASSWORD).err(), Some(Unreadable::Damaged), "of {length}");
    }
}

#[test]
fn a_key_that_another_password_protects_is_told_so() {
    let mut body = keytools();
    // The authority is before the key, whose bytes are many: one well within them.
    let at = body.windows(10).position(|window| window == b"meshclient").expect("its alias") + 300;
    body[at] ^= 0x10;
    assert_eq!(jks::read(&sealed(&body), PASSWORD).err(), Some(Unreadable::KeyPassword));
}

#[test]
fn the_first_version_of_jks_has_no_types_of_certificates() {
    let certificate = b"not looked at here";
    let body = [&b"\xfe\xed\xfe\xed\0\0\0\x01\0\0\0\x01\0\0\0\x02\0\x02ca\0\0\0\0\0\0\0\0\0\0\0\x12"[..], certificate]
        .concat();
    let contained = jks::read(&sealed(&body), PASSWORD).expect("a sound one");
    assert!(contained.keys.is_empty());
    let [(der, trust)] = &contained.certificates[..] else { panic!("one certificate") };
    assert_eq!((&der[..], *trust == Trust::Anchor), (&certificate[..], true));
}
