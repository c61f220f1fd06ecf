//! Outputs that send a message on.

use super::*;
use crate::domain::onward::{KeptHeader, MeshPlan};
use crate::domain::output::OutputPlan;

const DATA: &str = "type = \"data\"\n";

/// An answer, by a workflow that is not answered.
const ANSWERED: &str = "workflow = \"A\"\ntype = \"data\"\n";
const ANSWER: &str = "to = \"{message.from}\"\nworkflow = \"A_ACK\"";

fn onward(matching: &str, output: &str) -> String {
    format!("[match]\n{matching}[[output]]\nname = \"onward\"\nkind = \"mesh\"\n{output}")
}

fn plan(pipelines: &Pipelines) -> MeshPlan {
    let Ok(Outcome::Deliver(plans)) = run(pipelines, "A", Some("RX1")) else { panic!("it is delivered") };
    let mut sent = plans.into_iter().filter_map(|plan| match plan {
        OutputPlan::Mesh(plan) => Some(plan),
        OutputPlan::Folder(_) => None,
    });
    sent.next().expect("it is sent on")
}

#[test]
fn what_is_left_out_is_as_the_message_has_it() {
    let pipelines = compile_all(&[("on", &onward(DATA, "to = \"RX9\""))]).expect("no findings");
    let MeshPlan { from, to, workflow, subject, keep, .. } = plan(&pipelines);
    assert_eq!((from.as_str(), to.as_str(), workflow.as_str()), ("X26ABC1", "RX9", "A"));
    assert_eq!((subject, keep), (None, vec![]));
    let pipelines = compile_all(&[("on", &onward(ANSWERED, ANSWER))]).expect("no findings");
    let MeshPlan { to, workflow, .. } = plan(&pipelines);
    assert_eq!((to.as_str(), workflow.as_str()), ("RX1", "A_ACK"));
    let all =
        "to = \"RX2\"\nfrom = \"X26ABC2\"\nworkflow = \"B\"\nsubject = \"s\"\nkeep = [\"file_name\", \"local_id\"]";
    let pipelines = compile_all(&[("on", &onward(DATA, all))]).expect("no findings");
    let MeshPlan { from, to, workflow, subject, keep, .. } = plan(&pipelines);
    assert_eq!((from.as_str(), to.as_str(), workflow.as_str()), ("X26ABC2", "RX2", "B"));
    assert_eq!((subject.as_deref(), keep), (Some("s"), vec![KeptHeader::FileName, KeptHeader::LocalId]));
}

#[test]
fn mistakes_in_it_are_reported() {
    let text = "from = \"X26ABD1\"\nworkflow = \"\"\nsubject = \"é\"\nkeep = [\"subjct\", \"file_name\", \"file_name\"]\npath = \"/srv\"";
    let findings = compile_all(&[("on", &onward(DATA, text))]).expect_err("mistakes");
    insta::assert_snapshot!(listed(&findings), @r#"
    on.toml:4: output[1].to: this key is missing; expected a mailbox id, or {message.from}
    on.toml:7: output[1].from: no mailbox of the configuration has this id; expected one of: X26ABC1, X26ABC2, X26ABC3; did you mean `X26ABC1`?
    on.toml:8: output[1].workflow: this value is not understood; expected a workflow id: printable ASCII
    on.toml:9: output[1].subject: this value is not understood; expected 1 to 500 printable ASCII characters, the same for every message
    on.toml:10: output[1].keep[1]: no header is kept by this name; expected one of: subject, local_id, file_name, partner_id, content_type; did you mean `subject`?
    on.toml:10: output[1].keep[3]: this header stands here twice; expected each header once
    on.toml:11: output[1].path: this key is not known here; expected one of: name, kind, to, from, workflow, subject, keep
    "#);
}

/// Each pipeline, by its `[match]` and what it sends; then the lines at which a circle is found.
#[test]
fn pipelines_that_would_send_to_each_other_for_ever_do_not_compile() {
    let of = |mailbox: &str| format!("mailbox = \"{mailbox}\"\n{DATA}");
    let to = |mailbox: &str, rest: &str| format!("to = \"{mailbox}\"\n{rest}");
    let cases = [
        // To itself, in whatever case.
        (vec![(of("X26ABC1"), to("x26abc1", ""))], 1),
        // To itself, by a workflow that it does not take.
        (vec![(format!("workflow = \"A\"\n{}", of("X26ABC1")), to("X26ABC1", "workflow = \"B\""))], 0),
        // Two that send to each other.
        (vec![(of("X26ABC1"), to("X26ABC2", "")), (of("X26ABC2"), to("X26ABC1", ""))], 2),
        // Three in a chain.
        (vec![(of("X26ABC1"), to("X26ABC2", "")), (of("X26ABC2"), to("X26ABC3", ""))], 0),
        // Three in a ring.
        (
            vec![
                (of("X26ABC1"), to("X26ABC2", "")),
                (of("X26ABC2"), to("X26ABC3", "")),
                (of("X26ABC3"), to("X26ABC1", "")),
            ],
            3,
        ),
        // One that leads into a circle, and is not part of it.
        (vec![(of("X26ABC1"), to("X26ABC2", "")), (of("X26ABC2"), to("X26ABC2", ""))], 1),
        // Workflows that never meet.
        (
            vec![
                (format!("workflow = \"A*\"\n{}", of("X26ABC1")), to("X26ABC2", "")),
                (format!("workflow = \"B*\"\n{}", of("X26ABC2")), to("X26ABC1", "")),
            ],
            0,
        ),
        // To others.
        (vec![(DATA.to_owned(), to("RX1", ""))], 0),
    ];
    for (pipelines, circles) in cases {
        let texts: Vec<(String, String)> = pipelines
            .iter()
            .enumerate()
            .map(|(number, (matching, output))| (format!("p{number}"), onward(matching, output)))
            .collect();
        let files: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let findings = compile_all(&files).err().unwrap_or_default();
        let found = findings.iter().filter(|finding| finding.problem.contains("for ever")).count();
        assert_eq!((found, findings.len()), (circles, circles), "{pipelines:?}: {findings:?}");
    }
}

#[test]
fn answers_that_would_be_answered_the_same_way_do_not_compile() {
    let answer = "to = \"{message.from}\"\n";
    for (matching, output) in [
        (ANSWERED.to_owned(), answer.to_owned()),
        (DATA.to_owned(), format!("{answer}workflow = \"A_ACK\"")),
        (format!("workflow = \"A*\"\n{DATA}"), format!("{answer}workflow = \"A_ACK\"")),
    ] {
        let findings = compile_all(&[("on", &onward(&matching, &output))]).expect_err("it would never end");
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(findings[0].problem.contains("would never end"), "{findings:?}");
    }
}

#[test]
fn reports_are_kept_from_it_by_the_match_or_by_a_route() {
    let findings = compile_all(&[("on", &onward("", "to = \"RX1\""))]).expect_err("reports come");
    assert!(findings[0].problem.contains("reports would come to `onward`"), "{findings:?}");
    let rules = "[[stage]]\nuse = \"route\"\nrules = [{ when = { type = \"report\" }, to = [\"inbox\"] }, \
                 { otherwise = true, to = [\"onward\"] }]\n";
    let routed = format!("{rules}{}", onward("", "to = \"RX1\"").replace("[match]\n", ""));
    assert!(compile_all(&[("on", &routed)]).is_ok());
}

#[test]
fn nobody_of_ours_is_answered_and_no_report_is_sent_on() {
    let pipelines = compile_all(&[("on", &onward(ANSWERED, ANSWER))]).expect("no findings");
    for from in [None, Some("x26abc3")] {
        assert_eq!(run(&pipelines, "A", from).expect_err("nobody").code, FaultCode::SendNoRecipient);
    }
    let template = &pipelines.all()[0].outputs[0];
    let (workflow, mailbox) = (WorkflowId::new("A").expect("a letter"), mailbox());
    let facts =
        Facts { workflow: &workflow, mailbox: &mailbox, from: Some(&mailbox), kind: MessageKind::Report, length: 0 };
    let outputs = pipelines.mailbox(&mailbox).expect("it is configured");
    assert_eq!(template.plan(&facts, outputs, &[]).expect_err("a report").code, FaultCode::SendNoRecipient);
}
