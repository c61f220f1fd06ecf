//! The `Authorization` header of MESH (mesh-api 4.1 to 4.4). Pure.
//!
//! A token is good for one request: make a new one for every attempt, every retry included.

use aws_lc_rs::hmac;

use crate::domain::digest::hex;
use crate::domain::ids::MailboxId;
use crate::domain::time::Timestamp;

/// What makes a token besides the moment: the mailbox, its password and the environment's shared key.
#[derive(Clone)]
pub struct Credentials {
    mailbox: MailboxId,
    password: secrecy::SecretString,
    shared_key: hmac::Key,
}

impl Credentials {
    /// Credentials of one mailbox in one environment.
    pub fn new(mailbox: MailboxId, password: secrecy::SecretString, shared_key: &[u8]) -> Self {
        Self { mailbox, password, shared_key: hmac::Key::new(hmac::HMAC_SHA256, shared_key) }
    }

    /// The mailbox they are of.
    pub fn mailbox(&self) -> &MailboxId {
        &self.mailbox
    }

    /// The header's value. `nonce` must be fresh; its use count is then always 0.
    pub fn token(&self, nonce: &str, now: Timestamp) -> String {
        let timestamp = now.utc().format("%Y%m%d%H%M").to_string();
        self.token_parts(nonce, "0", &timestamp)
    }

    /// The value for exactly these parts, hashed as they are sent: leading zeros of `nonce_count` are text.
    pub fn token_parts(&self, nonce: &str, nonce_count: &str, timestamp: &str) -> String {
        use secrecy::ExposeSecret;
        let mailbox = &self.mailbox;
        let mut context = hmac::Context::with_key(&self.shared_key);
        let password = self.password.expose_secret();
        for part in [mailbox.as_str(), ":", nonce, ":", nonce_count, ":", password, ":", timestamp] {
            context.update(part.as_bytes());
        }
        let hash = hex(context.sign().as_ref());
        format!("NHSMESH {mailbox}:{nonce}:{nonce_count}:{timestamp}:{hash}")
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[credentials of {}]", self.mailbox)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test vectors of mesh-api 4.3.
    #[test]
    fn tokens_match_the_published_vectors() {
        const NONCE: &str = "11111111-1111-4111-8111-111111111111";
        for (mailbox, nonce, count, password, timestamp, key, hash) in [
            (
                "X26ABC1",
                NONCE,
                "0",
                "password",
                "202601021504",
                "TestKey",
                "42f06affcf54970729ae34c731024d1d3f039ec8e7147a9824b0991fe5c940b8",
            ),
            (
                "X26ABC1",
                NONCE,
                "1",
                "password",
                "202601021504",
                "TestKey",
                "4d44e6e201d6ae93d8f8a7b6549dff7079a6f141ad5dbebf463e8495c96f53ba",
            ),
            (
                "MAILBOX01",
                "73eefd69-811f-44d0-81f8-a54ff352a991",
                "001",
                "pa:ss word!",
                "202611220650",
                "BackBone",
                "597bf56f88099c8f3c61b52ecb424ac176b833f394daa325d341ba18255a36dc",
            ),
        ] {
            let mailbox = MailboxId::new(mailbox).expect("a valid mailbox id");
            let credentials = Credentials::new(mailbox.clone(), password.into(), key.as_bytes());
            assert_eq!(
                credentials.token_parts(nonce, count, timestamp),
                format!("NHSMESH {mailbox}:{nonce}:{count}:{timestamp}:{hash}")
            );
        }
    }

    #[test]
    fn the_timestamp_is_utc_minutes() {
        let mailbox = MailboxId::new("X26ABC1").expect("a valid mailbox id");
        let token = Credentials::new(mailbox, "password".into(), b"TestKey")
            .token("11111111-1111-4111-8111-111111111111", Timestamp(1_767_366_299_999));
        assert!(token.contains(":0:202601021504:42f06aff"), "{token}");
    }

    #[test]
    fn credentials_do_not_print_secrets() {
        let mailbox = MailboxId::new("X26ABC1").expect("a valid mailbox id");
        let printed = format!("{:?}", Credentials::new(mailbox, "hunter2".into(), b"TestKey"));
        assert!(!printed.contains("hunter2") && !printed.contains("TestKey"));
    }
}
