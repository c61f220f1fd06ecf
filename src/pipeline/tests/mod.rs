//! Match, route and discard by table; mistakes by what an operator would write.

mod cases;
mod onward;
mod payloads;
mod shipped;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::transform::tests::{bytes, payload};
use super::*;
use crate::domain::envelope::{Envelope, MessageKind, Status};
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::finding::Finding;
use crate::domain::ids::{MessageId, Sensitive, WorkflowId};
use crate::domain::output::{FolderPlan, Layout, LineEnds, OutputPlan};
use crate::ports::spool::Opened;

const OUTPUT: &str = "[[output]]\nname = \"inbox\"\nkind = \"mesh-folder\"\npath = \"{mailbox.output}/IN\"\n";

#[test]
fn the_most_specific_pipeline_takes_the_message() {
    let files = [
        ("all", ""),
        ("data", "[match]\ntype = \"data\""),
        ("sender", "[match]\nfrom = \"RX1*\""),
        ("mailbox", "[match]\nmailbox = \"X26ABC1\""),
        ("a-star", "[match]\nworkflow = \"A*\""),
        ("a-b-star", "[match]\nworkflow = [\"A_B*\", \"C*\"]"),
        ("exact", "[match]\nworkflow = [\"A_B\"]\nmailbox = [\"X26ABC1\"]"),
    ];
    let pipelines = compile_all(&files).expect("no findings");
    let cases = [
        ("A_B", "X26ABC1", Some("RX1"), "exact"),
        ("A_B", "X26ABC2", Some("RX1"), "a-b-star"),
        ("A_BC", "X26ABC1", Some("RX1"), "a-b-star"),
        ("A_C", "X26ABC1", Some("RX1"), "a-star"),
        ("C", "X26ABC1", Some("RX1"), "a-b-star"),
        ("Z", "X26ABC1", Some("RX1"), "mailbox"),
        ("Z", "X26ABC2", Some("RX1A"), "sender"),
        ("Z", "X26ABC2", Some("RX2"), "data"),
        ("a_b", "X26ABC2", None, "data"),
    ];
    for (workflow, mailbox, from, expected) in cases {
        assert_eq!(chosen(&pipelines, workflow, mailbox, from, MessageKind::Data), expected, "{workflow} {mailbox}");
    }
    assert_eq!(chosen(&pipelines, "Z", "X26ABC2", None, MessageKind::Report), "all");
}

#[test]
fn a_sender_pattern_does_not_match_a_report() {
    let pipelines = compile_all(&[("sender", "[match]\nfrom = \"*\"")]).expect("no findings");
    assert_eq!(chosen(&pipelines, "A", "X26ABC1", None, MessageKind::Report), "(none)");
    assert_eq!(chosen(&pipelines, "A", "X26ABC1", Some("RX1"), MessageKind::Data), "sender");
}

#[test]
fn without_a_route_every_output_gets_the_message() {
    let second = "[[output]]\nname = \"copy\"\nkind = \"folder\"\npath = \"/srv/copies\"";
    let pipelines = compile_all(&[("both", second)]).expect("no findings");
    let Ok(Outcome::Deliver(plans)) = run(&pipelines, "A", None) else { panic!("it is delivered") };
    let folder = |plan| if let OutputPlan::Folder(plan) = plan { plan } else { panic!("it is a folder") };
    let plans: Vec<FolderPlan> = plans.into_iter().map(folder).collect();
    let places: Vec<(&str, Layout, &str)> =
        plans.iter().map(|plan| (plan.name.as_str(), plan.layout, plan.folder.to_str().expect("utf-8"))).collect();
    assert_eq!(
        places,
        [("copy", Layout::Folder, "/srv/copies"), ("inbox", Layout::MeshFolder, "/srv/mesh/X26ABC1/IN")]
    );
    assert!(plans.iter().all(|plan| plan.mode == 0o640 && plan.group.as_deref() == Some("meshd-out")));
}

#[test]
fn the_first_rule_that_fits_chooses_the_outputs() {
    let text = r#"
        [[stage]]
        use = "route"
        rules = [
            { when = { workflow = ["A*"], from = ["RX1"] }, to = ["copy"] },
            { when = { workflow = ["A*"] }, to = ["copy", "inbox"] },
            { otherwise = true, to = ["inbox"] },
        ]
        [[output]]
        name = "copy"
        kind = "folder"
        path = "{mailbox.output}/copy"
    "#;
    let pipelines = compile_all(&[("routed", text)]).expect("no findings");
    let cases = [
        ("A1", Some("RX1"), vec!["copy"]),
        ("A1", Some("RX2"), vec!["copy", "inbox"]),
        ("A1", None, vec!["copy", "inbox"]),
        ("B1", Some("RX1"), vec!["inbox"]),
    ];
    for (workflow, from, expected) in cases {
        let Ok(Outcome::Deliver(plans)) = run(&pipelines, workflow, from) else { panic!("it is delivered") };
        let names: Vec<&str> = plans.iter().map(|plan| plan.name().as_str()).collect();
        assert_eq!(names, expected, "{workflow} {from:?}");
    }
}

#[test]
fn a_discard_rule_ends_only_what_it_describes() {
    let text = "[[stage]]\nuse = \"discard\"\nwhen = { workflow = \"*_ACK\" }\nreason = \"acknowledgements\"";
    let pipelines = compile_all(&[("some", text)]).expect("no findings");
    let expected = Reason::new(FaultCode::MsgDiscarded, "acknowledgements");
    assert_eq!(run(&pipelines, "A_ACK", None), Ok(Outcome::Discard(expected)));
    assert!(matches!(run(&pipelines, "A", None), Ok(Outcome::Deliver(_))));
}

#[test]
fn sealed_keys_come_after_the_clear_ones() {
    let files = [
        ("all", ""),
        ("receipts", "[match]\nsubject = \"SUCCESS\""),
        ("ours", "[match]\nlocal_id = \"RXX-*\""),
        ("csv", "[match]\nfile_name = [\"*.csv\", \"*.dat\"]"),
        ("typed", "[match]\ntype = \"report\""),
    ];
    let pipelines = compile_all(&files).expect("no findings");
    let (workflow, mailbox) = (WorkflowId::new("A").expect("a letter"), mailbox());
    let cases = [
        ([Some("SUCCESS"), Some("RXX-1"), Some("a.csv")], MessageKind::Data, "receipts"),
        ([Some("success"), Some("RXX-1"), Some("a.csv")], MessageKind::Data, "ours"),
        ([None, None, Some("a.csv")], MessageKind::Data, "csv"),
        ([None, Some("RXY-1"), Some("a.txt")], MessageKind::Data, "all"),
        ([None, None, None], MessageKind::Data, "all"),
        ([Some("SUCCESS"), Some("RXX-1"), Some("a.csv")], MessageKind::Report, "typed"),
    ];
    for (sealed, kind, expected) in cases {
        let facts = Facts { workflow: &workflow, mailbox: &mailbox, from: None, kind, length: 1 };
        let letter = Given::new(&facts, sealed, b"x");
        let chosen = pipelines.choose(&Message::new(facts, &letter)).expect("it opens").expect("one takes it");
        assert_eq!(chosen.name().as_str(), expected, "{sealed:?}");
    }
}

#[test]
fn only_a_pipeline_that_else_fits_has_a_message_opened() {
    let files = [
        ("all", ""),
        ("exact", "[match]\nworkflow = \"A\""),
        ("sealed", "[match]\nworkflow = \"B\"\nsubject = \"x\""),
        ("other", "[match]\nfrom = \"R*\"\nsubject = \"x\""),
    ];
    let pipelines = compile_all(&files).expect("no findings");
    assert_eq!(chosen(&pipelines, "A", "X26ABC1", Some("RX1"), MessageKind::Data), "exact");
    assert_eq!(chosen(&pipelines, "C", "X26ABC1", Some("X1"), MessageKind::Data), "all");
}

#[test]
fn a_message_over_max_bytes_is_a_permanent_fault() {
    let pipelines = compile_all(&[("small", "[limits]\nmax_bytes = \"10B\"")]).expect("no findings");
    let fault = run(&pipelines, "A", None).expect_err("100 bytes are more than 10");
    assert_eq!(fault.code, FaultCode::MsgTooLarge);
    assert_eq!(fault.class, crate::domain::fault::Class::Permanent);
}

#[test]
fn limits_are_read_and_have_defaults() {
    let text = "[limits]\nmax_attempts = 3\nmax_age = \"2d\"\nmax_bytes = \"50MB\"";
    let pipelines = compile_all(&[("usual", "[match]\ntype = \"data\""), ("own", text)]).expect("no findings");
    assert_eq!(*pipelines.all()[0].limits(), Limits::default());
    let own = Limits { max_attempts: 3, max_age: Duration::from_secs(172_800), max_bytes: Some(50_000_000) };
    assert_eq!(*pipelines.all()[1].limits(), own);
}

#[test]
fn every_mistake_in_every_file_is_reported_at_once() {
    let first = (
        PathBuf::from("a.toml"),
        "name = \"a\"\n[match]\nworkflw = [\"A\"]\ntype = \"dta\"\nmailbox = [\"X26ABD1\"]\n[limits]\nmax_age = \"soon\"\n\
         [[stage]]\nuse = \"rote\"\n[[output]]\nname = \"x\"\nkind = \"mesh_folder\"\npath = \"{mailbox.outptu}/IN\"\n"
            .to_owned(),
    );
    let second = (PathBuf::from("b.toml"), "name = \"B\"\nsubject = 1\n".to_owned());
    let third = (PathBuf::from("c.toml"), "name = \"c\"\n[match\n".to_owned());
    let findings = Pipelines::compile(&[first, second, third], &mailboxes()).expect_err("mistakes");
    insta::assert_snapshot!(listed(&findings), @r#"
    a.toml:3: match.workflw: this key is not known here; expected one of: workflow, mailbox, from, subject, local_id, file_name, type; did you mean `workflow`?
    a.toml:4: match.type: this type of message is not known; expected one of: data, report; did you mean `data`?
    a.toml:5: match.mailbox[1]: no configured mailbox matches; expected one of: X26ABC1, X26ABC2, X26ABC3; did you mean `X26ABC1`?
    a.toml:7: limits.max_age: this value is not understood; expected a whole number and a unit: ms, s, m, h, d, w or y, such as "72h"
    a.toml:9: stage[1].use: this stage is not known; expected one of: decompress, decrypt, discard, expect, route; did you mean `route`?
    a.toml:12: output[1].kind: this kind of output is not known; expected one of: mesh-folder, folder, mesh; did you mean `mesh-folder`?
    a.toml:13: output[1].path: a placeholder other than {mailbox.output} at the beginning; expected one of: {mailbox.output}; did you mean `{mailbox.output}`?
    b.toml:1: name: this value is not understood; expected 1 to 64 lower-case letters, digits, `_`, `.` or `-`
    b.toml:1: output: this key is missing; expected at least one [[output]]
    b.toml:2: subject: this key is not known here; expected one of: name, match, limits, output, stage, monitor, test
    c.toml:2: this is not TOML: unclosed table, expected `]`; expected lines such as `key = "value"`
    "#);
}

#[test]
fn mistakes_in_stages_are_reported() {
    let text = r#"
[[stage]]
use = "discard"
when = {}
reason = " "
[[stage]]
use = "route"
rules = [
    { when = { workflow = ["A*"] }, to = ["inboxx"] },
    { to = ["inbox"] },
    { when = { subjct = "x" }, otherwise = true, to = [] },
]
[[stage]]
use = "route"
rules = [ { otherwise = true, to = ["inbox", "inbox"] }, { when = { from = "A B" }, to = "inbox" } ]
"#;
    let findings = compile_all(&[("stages", text)]).expect_err("mistakes");
    insta::assert_snapshot!(listed(&findings), @r#"
    stages.toml:5: stage[1].when: this discards everything; expected at least one key
    stages.toml:6: stage[1].reason: this value is not understood; expected why, in a few words for the journal, without patient data
    stages.toml:9: stage[2].rules: some messages would go nowhere; expected `otherwise = true` in the last rule
    stages.toml:10: stage[2].rules[1].to[1]: no output has this name; expected one of: inbox; did you mean `inbox`?
    stages.toml:11: stage[2].rules[2]: a rule says for what it is; expected either `when = { … }` or `otherwise = true`
    stages.toml:12: stage[2].rules[3]: a rule says for what it is; expected either `when = { … }` or `otherwise = true`
    stages.toml:12: stage[2].rules[3].to: nothing is named; expected at least one string
    stages.toml:12: stage[2].rules[3].when: this fits everything; expected at least one key, or `otherwise = true`
    stages.toml:12: stage[2].rules[3].when.subjct: this key is not known here; expected one of: content, workflow, mailbox, from, subject, local_id, file_name, type; did you mean `subject`?
    stages.toml:15: stage[3].use: this pipeline routes twice; expected one stage that routes
    stages.toml:16: stage[3].rules[1].to[2]: this output is named twice; expected each output once
    stages.toml:16: stage[3].rules[2]: a rule after the one for all the rest; expected `otherwise = true` in the last rule
    stages.toml:16: stage[3].rules[2].when: this fits everything; expected at least one key, or `otherwise = true`
    stages.toml:16: stage[3].rules[2].when.from: this can never match; expected letters, digits, `_`, `-`, with `*` for any run of them
    "#);
}

#[test]
fn outputs_that_could_write_one_path_do_not_compile() {
    let collisions = [
        "name = \"other\"\nkind = \"mesh-folder\"\npath = \"{mailbox.output}//IN/\"",
        "name = \"other\"\nkind = \"folder\"\npath = \"{mailbox.output}/IN\"",
        "name = \"other\"\nkind = \"folder\"\npath = \"/srv/mesh/X26ABC1/IN\"",
        "name = \"other\"\nkind = \"folder\"\npath = \"{mailbox.output}/TEMP\"",
        "name = \"other\"\nkind = \"mesh-folder\"\npath = \"{mailbox.output}/ARCHIVE\"",
    ];
    for output in collisions {
        let findings = compile_all(&[("two", &format!("[[output]]\n{output}"))]).expect_err(output);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(findings[0].problem.contains("could write the same path for mailbox X26ABC1"), "{findings:?}");
    }
    let apart = "[[output]]\nname = \"other\"\nkind = \"folder\"\npath = \"{mailbox.output}/other\"";
    assert!(compile_all(&[("two", apart)]).is_ok());
}

#[test]
fn paths_that_leave_their_place_do_not_compile() {
    for (kind, path) in [
        ("folder", "relative/path"),
        ("folder", "{mailbox.output}/../other"),
        ("folder", "{mailbox.output}x"),
        ("folder", "/srv/{message.id}"),
        ("mesh-folder", "{mailbox.output}"),
        ("mesh-folder", "/IN"),
        ("mesh-folder", "{mailbox.output}/TEMP"),
        ("mesh-folder", "{mailbox.output}/temp"),
    ] {
        let text = format!("name = \"p\"\n[[output]]\nname = \"o\"\nkind = \"{kind}\"\npath = \"{path}\"");
        let findings = Pipelines::compile(&[("p.toml".into(), text)], &mailboxes()).expect_err(path);
        assert_eq!((findings.len(), findings[0].line), (1, Some(5)), "{path}: {findings:?}");
    }
}

#[test]
fn two_equally_specific_pipelines_are_an_error_that_names_both_files() {
    let ties = [
        ("", ""),
        ("[match]\nworkflow = \"A*\"", "[match]\nworkflow = [\"Z\", \"*B\"]"),
        ("[match]\nworkflow = \"A\"\nfrom = \"R*\"", "[match]\nworkflow = \"A\"\nfrom = \"*1\""),
        ("[match]\ntype = \"data\"", "[match]\ntype = \"data\""),
        ("[match]\nfile_name = \"*.csv\"", "[match]\nfile_name = \"*.csv\""),
    ];
    for (one, other) in ties {
        let findings = compile_all(&[("one", one), ("other", other)]).expect_err("a tie");
        assert_eq!(findings.len(), 1, "{one:?} {other:?}");
        assert_eq!(findings[0].file, PathBuf::from("other.toml"));
        assert!(findings[0].problem.contains("one.toml"), "{}", findings[0]);
    }
    let apart = [
        ("[match]\nsubject = \"A*\"", "[match]\nlocal_id = \"A*\""),
        ("[match]\nsubject = \"A*\"", "[match]\nsubject = \"A\""),
        ("[match]\nworkflow = \"A*\"", "[match]\nworkflow = \"B*\""),
        ("[match]\nworkflow = \"A*\"", "[match]\nworkflow = \"AB*\""),
        ("[match]\ntype = \"data\"", "[match]\ntype = \"report\""),
        ("[match]\nworkflow = \"A*\"\nmailbox = \"X26ABC1\"", "[match]\nworkflow = \"A*\"\nmailbox = \"X26ABC2\""),
    ];
    for (one, other) in apart {
        assert!(compile_all(&[("one", one), ("other", other)]).is_ok(), "{one:?} {other:?}");
    }
}

#[test]
fn names_are_unique_and_an_empty_set_is_a_mistake() {
    let text = |workflow| format!("name = \"same\"\n[match]\nworkflow = \"{workflow}\"\n{OUTPUT}");
    let files = [("a.toml".into(), text("A")), ("b.toml".into(), text("B"))];
    let findings = Pipelines::compile(&files, &mailboxes()).expect_err("one name twice");
    assert_eq!(findings[0].to_string(), "b.toml:1: name: a.toml has this name already; expected a name of its own");
    assert!(Pipelines::compile(&[], &mailboxes()).is_err());
}

fn mailboxes() -> BTreeMap<MailboxId, MailboxOutputs> {
    ["X26ABC1", "X26ABC2", "X26ABC3"]
        .map(|id| {
            let outputs = MailboxOutputs {
                output: PathBuf::from("/srv/mesh").join(id),
                group: Some("meshd-out".into()),
                mode: 0o640,
                line_ends: LineEnds::Lf,
                waiting: None,
            };
            (MailboxId::new(id).expect("letters and digits"), outputs)
        })
        .into()
}

/// Compiles `(name, text)` pairs, each with the output `inbox` at its end.
fn compile_all(files: &[(&str, &str)]) -> Result<Pipelines, Vec<Finding>> {
    let files: Vec<(PathBuf, String)> = files
        .iter()
        .map(|(name, text)| (format!("{name}.toml").into(), format!("name = \"{name}\"\n{text}\n{OUTPUT}")))
        .collect();
    Pipelines::compile(&files, &mailboxes())
}

/// A message that is open already.
pub(in crate::pipeline) struct Given(Opened);

impl Given {
    /// With its subject, local id and file name.
    pub(in crate::pipeline) fn new(facts: &Facts<'_>, sealed: [Option<&str>; 3], bytes: &[u8]) -> Self {
        let [subject, local_id, file_name] = sealed.map(|text| text.map(Sensitive::new));
        let envelope = Envelope {
            mailbox: facts.mailbox.clone(),
            message_id: MessageId::new("A").expect("a letter"),
            kind: facts.kind,
            workflow: facts.workflow.clone(),
            from: facts.from.cloned(),
            to: None,
            subject,
            local_id,
            file_name,
            partner_id: None,
            checksum: None,
            content_type: None,
            content_encrypted: false,
            content_compressed: None,
            status: Status::default(),
            linked_message_id: None,
            chunks: 1,
        };
        Self(Opened { envelope, payload: payload(bytes) })
    }
}

impl Letter for Given {
    fn opened(&self) -> Result<&Opened, Fault> {
        Ok(&self.0)
    }
}

/// A message that must not be opened.
struct Closed;

impl Letter for Closed {
    fn opened(&self) -> Result<&Opened, Fault> {
        panic!("nothing here asks for what is sealed")
    }
}

fn chosen(pipelines: &Pipelines, workflow: &str, mailbox: &str, from: Option<&str>, kind: MessageKind) -> String {
    let workflow = WorkflowId::new(workflow).expect("printable");
    let mailbox = MailboxId::new(mailbox).expect("letters and digits");
    let from = from.map(|from| MailboxId::new(from).expect("letters and digits"));
    let facts = Facts { workflow: &workflow, mailbox: &mailbox, from: from.as_ref(), kind, length: 100 };
    let chosen = pipelines.choose(&Message::new(facts, &Closed)).expect("it asks for nothing sealed");
    chosen.map_or("(none)".into(), |pipeline| pipeline.name().to_string())
}

fn run(pipelines: &Pipelines, workflow: &str, from: Option<&str>) -> Result<Outcome, Fault> {
    let workflow = WorkflowId::new(workflow).expect("printable");
    let from = from.map(|from| MailboxId::new(from).expect("letters and digits"));
    let mailbox = mailbox();
    let facts =
        Facts { workflow: &workflow, mailbox: &mailbox, from: from.as_ref(), kind: MessageKind::Data, length: 100 };
    run_message(pipelines, &mut Message::new(facts, &Closed))
}

/// Runs data of the workflow `A` with these bytes: the outcome, and the bytes that would be published.
fn run_bytes(pipelines: &Pipelines, input: &[u8]) -> (Result<Outcome, Fault>, Vec<u8>) {
    let (workflow, mailbox) = (WorkflowId::new("A").expect("a letter"), mailbox());
    let length = input.len() as u64;
    let facts = Facts { workflow: &workflow, mailbox: &mailbox, from: None, kind: MessageKind::Data, length };
    let letter = Given::new(&facts, [None; 3], input);
    let mut message = Message::new(facts, &letter);
    let outcome = run_message(pipelines, &mut message);
    let published = bytes(message.payload().expect("it is open"));
    (outcome, published)
}

fn run_message(pipelines: &Pipelines, message: &mut Message<'_>) -> Result<Outcome, Fault> {
    let outputs = pipelines.mailbox(&mailbox()).expect("it is configured");
    pipelines.choose(message)?.expect("one takes it").run(message, outputs, &mut |_| ())
}

fn mailbox() -> MailboxId {
    MailboxId::new("X26ABC1").expect("letters and digits")
}

fn listed(findings: &[Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
