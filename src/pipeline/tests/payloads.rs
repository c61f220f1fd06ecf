//! Stages that look at payloads, or change them.

use age::x25519::Identity;

use super::super::transform::decrypt::tests::seal;
use super::super::transform::gunzip::tests::gzip;
use super::*;
use crate::domain::fault::Origin;
use crate::domain::output::Transform;
use crate::domain::secret::SecretRef;

#[test]
fn what_comes_as_gzip_is_published_without_it() {
    let stage = "[[stage]]\nuse = \"decompress\"\nmax_bytes = \"1MB\"\nmax_ratio = 100";
    let pipelines = compile_all(&[("gzip", stage)]).expect("no findings");
    let transform = Transform::Gunzip { max_bytes: 1_000_000, max_ratio: 100 };
    for (input, expected, transforms) in [
        (gzip(b"a letter"), b"a letter".to_vec(), vec![transform.clone()]),
        (b"a letter".to_vec(), b"a letter".to_vec(), vec![]),
        (gzip(&gzip(b"a letter")), gzip(b"a letter"), vec![transform]),
        (vec![], vec![], vec![]),
    ] {
        let (outcome, published) = run_bytes(&pipelines, &input);
        let Ok(Outcome::Deliver(plans)) = outcome else { panic!("it is delivered") };
        assert_eq!((&published[..], plans[0].payload()), (&expected[..], &transforms[..]));
    }
    let (outcome, _) = run_bytes(&pipelines, &gzip(&vec![0; 2_000_000]));
    assert_eq!(outcome.expect_err("more than 1 MB").code, FaultCode::MsgTooLarge);
    let (outcome, _) = run_bytes(&pipelines, &gzip(b"a letter")[..20]);
    assert_eq!(outcome.expect_err("it is cut").code, FaultCode::MsgBadCompression);
}

#[test]
fn gzip_that_is_required_and_missing_is_a_fault_of_the_message() {
    let stage = "[[stage]]\nuse = \"decompress\"\nrequired = true";
    let pipelines = compile_all(&[("gzip", stage)]).expect("no findings");
    let (outcome, _) = run_bytes(&pipelines, b"a letter");
    assert_eq!(outcome.expect_err("it is not gzip").code, FaultCode::MsgBadCompression);
}

#[test]
fn a_report_passes_by_what_works_on_payloads() {
    let stage = "[[stage]]\nuse = \"decompress\"\nrequired = true";
    let pipelines = compile_all(&[("gzip", stage)]).expect("no findings");
    let (workflow, mailbox) = (WorkflowId::new("A").expect("a letter"), mailbox());
    let facts = Facts { workflow: &workflow, mailbox: &mailbox, from: None, kind: MessageKind::Report, length: 0 };
    let outcome = run_message(&pipelines, &mut Message::new(facts, &Closed));
    assert!(matches!(outcome, Ok(Outcome::Deliver(_))), "{outcome:?}");
}

const ADT: &[u8] = b"MSH|^~\\&|SYNTH|X26|DEMO|X26|20260105093012||ADT^A01|1|T|2.4\r";
const ORU: &[u8] = b"MSH|^~\\&|SYNTH|X26|DEMO|X26|20260105093012||ORU^R01|1|T|2.4\r";
const LAB: &[u8] = b"UNB+UNOB:2+A+B'UNH+1+MEDRPT:0:1:RT:NHS003'";

#[test]
fn rules_ask_what_the_payload_is_as_it_is_then() {
    let text = r#"
        [[stage]]
        use = "decompress"
        [[stage]]
        use = "discard"
        when = { content = { format = "hl7v2", type = ["ACK", "ORU"] } }
        reason = "results are not filed here"
        [[stage]]
        use = "route"
        rules = [
            { when = { workflow = "A", content = { format = ["hl7v2", "edifact"], event = "A0*" } }, to = ["copy"] },
            { when = { workflow = "B", content = { format = "edifact" } }, to = ["copy"] },
            { otherwise = true, to = ["inbox"] },
        ]
        [[output]]
        name = "copy"
        kind = "folder"
        path = "{mailbox.output}/copy"
    "#;
    let pipelines = compile_all(&[("routed", text)]).expect("no findings");
    for (input, expected) in [
        (ADT.to_vec(), "copy"),
        (gzip(ADT), "copy"),
        (ORU.to_vec(), "discarded"),
        (gzip(ORU), "discarded"),
        (LAB.to_vec(), "inbox"),
        (b"a letter".to_vec(), "inbox"),
    ] {
        let came = match run_bytes(&pipelines, &input).0.expect("no fault") {
            Outcome::Deliver(plans) => plans[0].name().to_string(),
            Outcome::Discard(_) => "discarded".into(),
            Outcome::Hold(reason) => panic!("{reason:?}"),
        };
        assert_eq!(came, expected);
    }
}

#[test]
fn a_disagreement_between_workflow_and_content_is_told_or_held() {
    let text = |otherwise| {
        format!("[[stage]]\nuse = \"expect\"\ncontent = {{ format = \"hl7v2\", type = \"ADT\" }}\n{otherwise}")
    };
    let cases = [
        (ADT, None),
        (ORU, Some("the content is hl7v2 of another type or event, and its pipeline expects hl7v2 of type ADT")),
        (LAB, Some("the content is edifact, and its pipeline expects hl7v2 of type ADT")),
        (b"", Some("the content is not recognised, and its pipeline expects hl7v2 of type ADT")),
    ];
    for (input, expected) in cases {
        let expected = expected.map(|detail| Reason::new(FaultCode::MsgContentMismatch, detail));
        for otherwise in ["", "otherwise = \"alarm\""] {
            let pipelines = compile_all(&[("alarm", &text(otherwise))]).expect("no findings");
            let (outcome, alarms) = alarms(&pipelines, input);
            assert!(matches!(outcome, Outcome::Deliver(_)), "{outcome:?}");
            assert_eq!(alarms, Vec::from_iter(expected.clone()));
        }
        let pipelines = compile_all(&[("hold", &text("otherwise = \"hold\""))]).expect("no findings");
        let (outcome, alarms) = alarms(&pipelines, input);
        assert!(alarms.is_empty());
        match expected {
            Some(reason) => assert_eq!(outcome, Outcome::Hold(reason)),
            None => assert!(matches!(outcome, Outcome::Deliver(_)), "{outcome:?}"),
        }
    }
}

#[test]
fn mistakes_in_conditions_on_content_are_reported() {
    let text = r#"
[match]
content = { format = "hl7v2" }
[[stage]]
use = "expect"
content = {}
otherwise = "shout"
[[stage]]
use = "expect"
content = { format = ["hl7", "itk3"], type = "A B", evnt = "x" }
[[stage]]
use = "expect"
"#;
    let findings = compile_all(&[("content", text)]).expect_err("mistakes");
    insta::assert_snapshot!(listed(&findings), @r"
    content.toml:4: match.content: this key is not known here; expected one of: workflow, mailbox, from, subject, local_id, file_name, type
    content.toml:7: stage[1].content: this fits everything that is recognised; expected at least one key
    content.toml:8: stage[1].otherwise: this is not known; expected one of: alarm, hold
    content.toml:11: stage[2].content.evnt: this key is not known here; expected one of: format, type, event; did you mean `event`?
    content.toml:11: stage[2].content.format[1]: this format is not known; expected one of: fhir-json, fhir-xml, itk3, itk2, cda, hl7v2, edifact, nhs-numbers
    content.toml:11: stage[2].content.type: this can never match; expected a word, with `*` for any run
    content.toml:12: stage[3].content: this key is missing; expected what the payload should be
    ");
}

/// How data of the workflow `A` with these bytes ends, and what alarms it raises.
fn alarms(pipelines: &Pipelines, input: &[u8]) -> (Outcome, Vec<Reason>) {
    let (workflow, mailbox) = (WorkflowId::new("A").expect("a letter"), mailbox());
    let facts = Facts { workflow: &workflow, mailbox: &mailbox, from: None, kind: MessageKind::Data, length: 1 };
    let letter = Given::new(&facts, [None; 3], input);
    let mut message = Message::new(facts, &letter);
    let outcome = run_message(pipelines, &mut message).expect("no fault");
    (outcome, message.alarms().to_vec())
}

const DECRYPT: &str = "[[stage]]\nuse = \"decrypt\"\nidentity = { credential = \"partner\" }\nmax_bytes = \"1MB\"\n";

#[test]
fn what_is_sealed_for_us_is_published_as_it_was_before() {
    let identity = Identity::generate();
    let stages = format!("{DECRYPT}[[stage]]\nuse = \"decompress\"\nmax_bytes = \"1MB\"\nmax_ratio = 10");
    let pipelines = compile_all(&[("sealed", &stages)]).expect("no findings");
    let (pipelines, findings) = pipelines.with_keys(|_| Ok(vec![identity.clone()]));
    assert!(findings.is_empty(), "{findings:?}");
    let sealed = Transform::Decrypt { identity: SecretRef::Credential("partner".into()), max_bytes: 1_000_000 };
    let gunzip = Transform::Gunzip { max_bytes: 1_000_000, max_ratio: 10 };
    for (input, transforms) in [
        (seal(b"a letter", &identity), vec![sealed.clone()]),
        (seal(&gzip(b"a letter"), &identity), vec![sealed, gunzip]),
        (b"a letter".to_vec(), vec![]),
    ] {
        let (outcome, published) = run_bytes(&pipelines, &input);
        let Ok(Outcome::Deliver(plans)) = outcome else { panic!("it is delivered") };
        assert_eq!((published.as_slice(), plans[0].payload()), (&b"a letter"[..], &transforms[..]));
    }
}

#[test]
fn what_is_not_for_us_is_dead_but_a_key_that_is_not_loaded_holds() {
    let (ours, theirs) = (Identity::generate(), Identity::generate());
    let closed = compile_all(&[("sealed", &format!("{DECRYPT}required = true"))]).expect("no findings");
    let fault = run_bytes(&closed, &seal(b"x", &ours)).0.expect_err("no key");
    assert_eq!((fault.code, fault.origin), (FaultCode::MsgNotDecryptable, Origin::Local("identity")));
    let (opened, findings) = closed.with_keys(|_| Ok(vec![ours.clone()]));
    assert!(findings.is_empty(), "{findings:?}");
    for input in [seal(b"x", &theirs), b"a letter".to_vec()] {
        let fault = run_bytes(&opened, &input).0.expect_err("not for us");
        assert_eq!((fault.code, fault.origin), (FaultCode::MsgNotDecryptable, Origin::Message));
    }
}

#[test]
fn an_identity_that_cannot_be_read_is_told_with_its_place() {
    let pipelines = compile_all(&[("sealed", DECRYPT)]).expect("no findings");
    let (_, findings) = pipelines.with_keys(|_| Err("no such credential".into()));
    insta::assert_snapshot!(listed(&findings), @"sealed.toml:4: stage[1].identity: no such credential; expected a file of age identities that only we can read, as `meshd keys generate` makes it");
    for (identity, problem) in [
        ("{}", "exactly one reference is needed"),
        ("{ credential = \"a\", file = \"/a\" }", "exactly one reference is needed"),
        ("{ credential = \"../a\" }", "this value is not understood"),
        ("{ file = \"a\" }", "this value is not understood"),
        ("\"AGE-SECRET-KEY-1\"", "this is of the kind string"),
    ] {
        let stage = format!("[[stage]]\nuse = \"decrypt\"\nidentity = {identity}");
        let findings = compile_all(&[("sealed", &stage)]).expect_err(identity);
        assert_eq!(findings.iter().map(|finding| finding.problem.as_str()).collect::<Vec<_>>(), [problem]);
    }
}
