//! Mutual TLS: who is trusted, and what a rotation does.

use super::*;
use crate::support::certificates::{Authority, Server, replace};
use crate::support::peers::Kind;

#[tokio::test]
async fn a_server_certificate_that_does_not_hold_is_refused_with_its_reason() {
    for (server, words) in [
        (Server::Expired, "it has expired"),
        (Server::NotYetValid, "it is not valid yet"),
        (Server::OtherName, "it is for another host name"),
    ] {
        let sandbox = Sandbox::listen(Kind::Plain, server);
        let fault = mailbox(&sandbox, Wish::default()).handshake().await.expect_err(words);
        assert_eq!(facts(&fault), (FaultCode::MeshUnreachable, Class::Transient, false));
        assert!(fault.detail.contains("MESH's certificate is refused") && fault.detail.contains(words), "{fault}");
    }
}

#[tokio::test]
async fn a_server_of_another_authority_is_refused() {
    let sandbox = Sandbox::start(Kind::Plain).await;
    Authority::new().write(&sandbox.tls.ca);
    let fault = mailbox(&sandbox, Wish::default()).handshake().await.expect_err("an unknown issuer");
    assert!(fault.detail.contains("no anchor of the CA bundle issued it"), "{fault}");
}

#[tokio::test]
async fn a_client_certificate_of_another_authority_is_turned_away() {
    let sandbox = Sandbox::start(Kind::Plain).await;
    let stranger = Authority::new().client(sandbox.directory.path(), "stranger");
    let wish = Wish { client: Some(stranger), ..Wish::default() };
    let fault = mailbox(&sandbox, wish).handshake().await.expect_err("the server does not know it");
    assert_eq!(fault.code, FaultCode::MeshUnreachable);
    assert!(fault.detail.contains("client certificate"), "{fault}");
}

#[tokio::test]
async fn nobody_listening_is_unreachable() {
    let sandbox = Sandbox::start(Kind::Plain).await;
    let wish = Wish { proxy: Some("http://127.0.0.1:9".into()), ..Wish::default() };
    let fault = mailbox(&sandbox, wish).handshake().await.expect_err("no proxy is there");
    assert_eq!(facts(&fault), (FaultCode::MeshUnreachable, Class::Transient, false));
}

#[tokio::test]
async fn rotating_certificate_and_key_under_load_fails_no_call() {
    let sandbox = Sandbox::start(Kind::Plain).await;
    let http = client(&sandbox, &Wish::default());
    let rotating = mailbox_on(http.clone(), &sandbox, Wish::default());
    let loaded = mailbox_on(http.clone(), &sandbox, Wish { mailbox: FROM, ..Wish::default() });
    let mut rejections = 0;
    let rotations = async {
        for round in 0..100 {
            let new = sandbox.tls.authority.client(sandbox.directory.path(), "new");
            replace(&sandbox.tls.client.certificate, &new.certificate);
            rotating.handshake().await.unwrap_or_else(|fault| panic!("round {round}, half way: {fault}"));
            rejections += usize::from(http.health().rejected.is_some());
            replace(&sandbox.tls.client.key, &new.key);
            rotating.handshake().await.unwrap_or_else(|fault| panic!("round {round}, whole: {fault}"));
        }
    };
    let load = async {
        loop {
            loaded.list(first_page()).await.expect("no call fails");
        }
    };
    tokio::select! {
        () = rotations => (),
        () = load => (),
    }
    assert!(rejections > 0, "the half-way pairs were seen and not used");
    assert_eq!(http.refresh().await.rejected, None, "the last whole pair is in use");
}
