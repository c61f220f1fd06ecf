use super::*;
use crate::simulator::tokens::Refusal;

const INBOX: &str = "/messageexchange/X26ABC1/inbox";

fn with_token(token: &str) -> Vec<(&'static str, String)> {
    vec![("authorization", token.to_owned()), ("accept", ACCEPT_V2.to_owned())]
}

#[tokio::test]
async fn a_token_used_twice_is_403_the_second_time() {
    let bench = bench().await;
    let headers = with_token(&bench.token(MAILBOX));
    assert_eq!(bench.raw("GET", INBOX, &headers, b"").await.map(|got| got.status), Some(200));
    let second = bench.raw("GET", INBOX, &headers, b"").await.expect("an answer");
    assert_eq!(second.status, 403);
    let detail = serde_json::json!([{ "event": "", "code": "", "msg": "Invalid Authentication Token" }]);
    assert_eq!(second.json(), serde_json::json!({ "detail": detail }));
    assert_eq!(bench.simulator.statistics().refused.get(&Refusal::Reused), Some(&1));
}

#[tokio::test]
async fn a_clock_that_is_hours_off_is_403_and_the_date_header_says_so() {
    let bench = bench().await;
    let token = credentials(MAILBOX).token("00000000-0000-4000-8000-00000000ffff", bench.simulator.clock().wall());
    bench.simulator.clock().set_offset_ms(3 * 3_600_000);
    let got = bench.raw("GET", INBOX, &with_token(&token), b"").await.expect("an answer");
    assert_eq!(got.status, 403);
    let date = bench.simulator.clock().wall().utc().format("%a, %d %b %Y %H:").to_string();
    assert!(got.header("date").starts_with(&date), "{}", got.header("date"));
    assert_eq!(bench.simulator.statistics().refused.get(&Refusal::OutsideWindow), Some(&1));
}

#[tokio::test]
async fn wrong_credentials_are_answered_with_the_sandbox_texts() {
    let bench = bench().await;
    let wrong_key = Credentials::new(MailboxId::new(MAILBOX).expect("an id"), "password".into(), b"OtherKey")
        .token("00000000-0000-4000-8000-00000000fffe", bench.simulator.clock().wall());
    for (path, token, code, text) in [
        (INBOX, String::new(), "", "Error reading from Authorization header"),
        (INBOX, wrong_key, "", "Invalid Authentication Token"),
        (INBOX, bench.token(OTHER), "", "Mailbox id does not match token"),
        ("/messageexchange/NOPE/inbox", bench.token("NOPE"), "EPL-151", "No mailbox matched"),
        ("/messageexchange/x26abc1/inbox", bench.token("x26abc1"), "EPL-151", "No mailbox matched"),
    ] {
        let got = bench.raw("GET", path, &with_token(&token), b"").await.expect("an answer");
        assert_eq!(got.status, 403, "{text}");
        let detail = &got.json()["detail"][0];
        assert_eq!((detail["code"].as_str(), detail["msg"].as_str()), (Some(code), Some(text)));
    }
}

#[tokio::test]
async fn a_handshake_needs_its_three_headers() {
    let bench = bench().await;
    let path = format!("/messageexchange/{MAILBOX}");
    let all = [("mex-clientversion", "meshd==0.1.0"), ("mex-osname", "Linux"), ("mex-osversion", "6.1")];
    let got = bench.call("POST", &path, &all, b"").await.expect("an answer");
    assert_eq!((got.status, got.body.len()), (200, 0));
    for missing in 0..3 {
        let two: Vec<_> =
            all.iter().enumerate().filter(|(index, _)| *index != missing).map(|(_, pair)| *pair).collect();
        let got = bench.call("POST", &path, &two, b"").await.expect("an answer");
        assert_eq!(got.status, 400);
        let expected =
            serde_json::json!({ "type": "missing", "loc": ["header", all[missing].0], "msg": "Field required" });
        assert_eq!(got.json()["detail"][0], expected);
    }
}

#[tokio::test]
async fn only_version_2_as_one_media_type_is_served() {
    let bench = bench().await;
    for accept in ["application/json", "application/vnd.mesh.v2+json, */*"] {
        let headers = [("authorization", bench.token(MAILBOX)), ("accept", accept.to_owned())];
        assert_eq!(bench.raw("GET", INBOX, &headers, b"").await.map(|got| got.status), Some(400), "{accept}");
    }
}

#[tokio::test]
async fn a_client_without_a_certificate_of_this_authority_is_not_let_in() {
    let bench = bench().await;
    let stranger = crate::simulator::certificates::Authority::new().expect("another authority");
    let foreign = stranger.client("SERVER001.X26.api.mesh-client.nhs.uk", Default::default()).expect("a certificate");
    let pem = [foreign.certificate_pem.as_bytes(), foreign.key_pem.as_bytes()].concat();
    let foreign = builder(&bench.simulator).identity(Identity::from_pem(&pem).expect("an identity"));
    for client in [builder(&bench.simulator), foreign] {
        let client = client.build().expect("a client");
        assert!(client.get(format!("{}/health", bench.simulator.url())).send().await.is_err());
    }
    bench.simulator.wait_until(LIMIT, |far| far.statistics().tls_refused == 2).await.expect("two refusals");
    assert_eq!(bench.raw("GET", "/health", &[], b"").await.map(|got| got.status), Some(200));
}
