use std::path::Path;

use super::*;
use crate::adapters::http::files::Identity;
use crate::adapters::http::tests_support::{Authority, write};

/// A clock that stands where it was put.
#[derive(Default)]
struct Hands(Mutex<Duration>);

impl Clock for Hands {
    fn wall(&self) -> Timestamp {
        Timestamp(0)
    }
    fn monotonic(&self) -> Duration {
        *self.0.lock().expect("no panic holds it")
    }
}

struct Fixture {
    directory: tempfile::TempDir,
    clock: Arc<Hands>,
    client: Client,
}

fn identity(directory: &Path) -> Identity {
    Identity { certificate: directory.join("client.pem"), key: directory.join("client.key") }
}

fn rotate(directory: &Path, until: i32) {
    let (certificate, key) = Authority::new("Test CA", 2999).issue("client", until);
    write(&identity(directory).certificate, &certificate, 0o644);
    write(&identity(directory).key, &key, 0o600);
}

fn fixture() -> Fixture {
    let directory = tempfile::tempdir().expect("a folder");
    let ca = directory.path().join("ca.pem");
    write(&ca, &Authority::new("Test CA", 2999).pem(), 0o644);
    rotate(directory.path(), 2100);
    let files = TlsFiles { ca, identity: Some(identity(directory.path())), credentials_directory: None };
    let clock = Arc::new(Hands::default());
    let client = Client::new(files, Network::default(), clock.clone()).expect("good files make a client");
    Fixture { directory, clock, client }
}

fn year(health: &Health) -> String {
    health.client_chain.first().expect("an identity").not_after.to_string()[..4].to_owned()
}

#[tokio::test]
async fn a_new_pair_is_taken_up_at_the_next_due_look() {
    let fixture = fixture();
    rotate(fixture.directory.path(), 2200);
    fixture.client.current().await;
    assert_eq!(year(&fixture.client.health()), "2100", "no look is due yet");
    *fixture.clock.0.lock().expect("no panic holds it") = Network::default().look_every;
    fixture.client.current().await;
    assert_eq!(year(&fixture.client.health()), "2200");
}

#[tokio::test]
async fn a_broken_new_pair_keeps_the_old_one_and_is_reported() {
    let fixture = fixture();
    let pair = identity(fixture.directory.path());
    let other = Authority::new("Test CA", 2999).issue("client", 2200);
    write(&pair.certificate, &other.0, 0o644);
    let half_way = fixture.client.refresh().await;
    assert_eq!(year(&half_way), "2100");
    assert!(half_way.rejected.expect("reported").contains("client.key"));
    write(&pair.key, &other.1, 0o600);
    let complete = fixture.client.refresh().await;
    assert_eq!((year(&complete).as_str(), complete.rejected), ("2200", None));
}

#[tokio::test]
async fn a_corrected_mode_alone_is_noticed() {
    use std::os::unix::fs::PermissionsExt;
    let fixture = fixture();
    let pair = identity(fixture.directory.path());
    rotate(fixture.directory.path(), 2200);
    std::fs::set_permissions(&pair.key, std::fs::Permissions::from_mode(0o644)).expect("chmod");
    assert!(fixture.client.refresh().await.rejected.is_some());
    std::fs::set_permissions(&pair.key, std::fs::Permissions::from_mode(0o600)).expect("chmod");
    assert_eq!(fixture.client.refresh().await.rejected, None);
}

#[test]
fn a_proxy_that_is_none_is_refused_without_repeating_it() {
    let fixture = fixture();
    let files = TlsFiles { ca: fixture.directory.path().join("ca.pem"), identity: None, credentials_directory: None };
    let network = Network { proxy: Some("http://user:hunter2@[bad".into()), ..Network::default() };
    let error = Client::new(files, network, fixture.clock.clone()).map(drop).expect_err("no proxy").to_string();
    assert!(error.contains("proxy.example") && !error.contains("hunter2"), "{error}");
}
