use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::adapters::http::tests_support::{Authority, write};

fn files(directory: &Path) -> TlsFiles {
    let authority = Authority::new("Test MESH CA", 2000);
    let (certificate, key) = authority.issue("SERVER001.X26.api.mesh-client.nhs.uk", 2999);
    let pair = Identity { certificate: directory.join("client.pem"), key: directory.join("client.key") };
    write(&directory.join("ca.pem"), &authority.pem(), 0o644);
    write(&pair.certificate, &certificate, 0o644);
    write(&pair.key, &key, 0o600);
    TlsFiles { ca: directory.join("ca.pem"), identity: Some(pair), credentials_directory: None }
}

fn key_of(files: &TlsFiles) -> PathBuf {
    files.identity.as_ref().expect("the test files have an identity").key.clone()
}

#[test]
fn a_bundle_with_an_expired_anchor_is_accepted() {
    let directory = tempfile::tempdir().expect("a folder");
    let files = files(directory.path());
    let live = Authority::new("Live CA", 2999);
    let bundle = format!("{}{}", live.pem(), Authority::new("Gone CA", 2024).pem());
    write(&files.ca, &bundle, 0o644);
    let loaded = files.load().expect("an expired anchor does no harm");
    let years: Vec<String> = loaded.anchors.iter().map(|a| a.not_after.to_string()[..4].to_owned()).collect();
    assert_eq!(years, ["2999", "2024"]);
    assert!(loaded.anchors[0].subject.contains("Live CA"));
}

#[test]
fn the_client_certificates_last_day_is_known() {
    let directory = tempfile::tempdir().expect("a folder");
    let expiry = files(directory.path()).load().expect("good files").client_chain.remove(0);
    assert!(expiry.not_after.to_string().starts_with("2999-"), "{expiry:?}");
    assert!(expiry.subject.contains("SERVER001.X26"));
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let directory = tempfile::tempdir().expect("a folder");
    let files = files(directory.path());
    for mode in [0o640, 0o604, 0o660, 0o644] {
        std::fs::set_permissions(key_of(&files), std::fs::Permissions::from_mode(mode)).expect("chmod");
        let error = files.load().expect_err("readable by others").to_string();
        assert!(error.contains("client.key") && error.contains(&format!("{mode:04o}")), "{error}");
    }
}

#[test]
fn a_systemd_credential_may_show_an_access_mask_but_not_the_world() {
    let directory = tempfile::tempdir().expect("a folder");
    let files = TlsFiles { credentials_directory: Some(directory.path().to_owned()), ..files(directory.path()) };
    for (mode, fits) in [(0o440, true), (0o444, false)] {
        std::fs::set_permissions(key_of(&files), std::fs::Permissions::from_mode(mode)).expect("chmod");
        assert_eq!(files.load().is_ok(), fits, "{mode:o}");
    }
}

#[test]
fn errors_name_the_file_and_what_was_expected_but_not_its_content() {
    let directory = tempfile::tempdir().expect("a folder");
    let good = files(directory.path());
    let pair = good.identity.clone().expect("an identity");
    let other_key = Authority::new("Other CA", 2999).issue("other", 2999).1;
    for (path, content, expected) in [
        (&good.ca, "hunter2", "no certificate is in it"),
        (&good.ca, "-----BEGIN CERTIFICATE-----\nhunter2 !!\n-----END CERTIFICATE-----\n", "damaged"),
        (&pair.certificate, "", "a client certificate in PEM"),
        (&pair.key, "hunter2", "an unencrypted private key in PEM"),
        (&pair.key, other_key.as_str(), "it belongs to another than"),
    ] {
        let files = files(directory.path());
        write(path, content, 0o600);
        let error = files.load().expect_err("the file is broken").to_string();
        assert!(error.starts_with(&path.display().to_string()) && error.contains(expected), "{error}");
        assert!(!error.contains("hunter2") && !error.contains("PRIVATE KEY"), "{error}");
    }
    std::fs::remove_file(&good.ca).expect("remove");
    assert!(good.load().expect_err("missing").to_string().contains("No such file"));
}

#[test]
fn an_endless_file_is_not_read_into_memory() {
    let endless = TlsFiles { ca: PathBuf::from("/dev/zero"), identity: None, credentials_directory: None };
    assert!(endless.load().expect_err("no certificate").to_string().contains("larger than"));
}

/// NHS's own certificates are RSA; keys come in three PEM forms.
#[test]
fn rsa_and_ec_keys_are_taken_in_every_unencrypted_form() {
    let directory = tempfile::tempdir().expect("a folder");
    let files = files(directory.path());
    let pair = files.identity.clone().expect("an identity");
    let openssl = |arguments: &str| {
        let done =
            std::process::Command::new("openssl").args(arguments.split(' ')).current_dir(directory.path()).output();
        let done = done.expect("openssl is installed");
        assert!(done.status.success(), "{arguments}: {}", String::from_utf8_lossy(&done.stderr));
    };
    for (make, traditional) in [
        ("req -x509 -newkey rsa:2048 -nodes -keyout client.key -out client.pem -subj /CN=x", "BEGIN RSA PRIVATE KEY"),
        (
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout client.key -out client.pem -subj /CN=x",
            "BEGIN EC PRIVATE KEY",
        ),
    ] {
        openssl(make);
        files.load().expect("PKCS #8");
        openssl("pkey -in client.key -traditional -out client.key.new");
        let text = std::fs::read_to_string(directory.path().join("client.key.new")).expect("read");
        assert!(text.contains(traditional));
        write(&pair.key, &text, 0o600);
        files.load().expect(traditional);
    }
    openssl("pkey -in client.key -aes256 -passout pass:hunter2 -out client.key.new");
    let text = std::fs::read_to_string(directory.path().join("client.key.new")).expect("read");
    write(&pair.key, &text, 0o600);
    assert!(files.load().expect_err("encrypted").to_string().contains("an unencrypted private key in PEM"));
}
