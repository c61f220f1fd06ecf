//! Stages that look at payloads, or change them.

use super::super::transform::gunzip::tests::gzip;
use super::*;
use crate::domain::output::Transform;

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
        assert_eq!((&published, &plans[0].payload), (&expected, &transforms));
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
