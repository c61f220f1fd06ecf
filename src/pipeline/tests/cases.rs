//! `[[test]]` in pipeline files: how they run, and what is wrong with them.

use super::super::transform::gunzip::tests::gzip;
use super::*;
use crate::domain::digest::Hasher;

#[test]
fn each_test_of_a_file_runs_as_a_message_would() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("letter.txt"), "a letter").expect("our own folder");
    std::fs::write(folder.path().join("letter.gz"), gzip(b"a letter")).expect("our own folder");
    let text = format!(
        r#"name = "tested"
[match]
workflow = ["*_LATE", "LETTER", "LETTER_ACK"]
[limits]
max_bytes = "20MB"
[[stage]]
use = "decompress"
required = true
[[stage]]
use = "discard"
when = {{ workflow = "*_ACK" }}
reason = "not wanted"
[[stage]]
use = "route"
rules = [ {{ when = {{ from = "RX*" }}, to = "inbox" }}, {{ otherwise = true, to = "copy" }} ]
{OUTPUT}
[[output]]
name = "copy"
kind = "folder"
path = "/srv/copies"
[[test]]
name = "gzip is undone"
message = "letter.gz"
expect = {{ outputs = "copy", sha256 = "{0}" }}
[[test]]
name = "a sender"
message = "letter.gz"
given = {{ from = "RX1" }}
expect = {{ outputs = ["inbox"] }}
[[test]]
name = "acknowledgement"
message = "letter.gz"
given = {{ workflow = "LETTER_ACK" }}
expect = {{ discard = true }}
[[test]]
name = "not gzip"
message = "letter.txt"
expect = {{ dead = "MSG-BAD-COMPRESSION" }}
[[test]]
name = "wrong outputs"
message = "letter.gz"
expect = {{ outputs = ["copy", "inbox"] }}
[[test]]
name = "wrong bytes"
message = "letter.gz"
expect = {{ outputs = "copy", bytes = "same" }}
[[test]]
name = "no such file"
message = "letter.zip"
expect = {{ discard = true }}
[[test]]
name = "of another"
message = "letter.gz"
given = {{ workflow = "OTHER" }}
expect = {{ discard = true }}
"#,
        sha256(b"a letter")
    );
    let file = folder.path().join("tested.toml");
    let tested = Pipelines::compile(&[(file, text)], &mailboxes()).expect("no findings").test();
    assert_eq!(tested.count, 8);
    let found: Vec<String> = tested.failures.iter().map(ToString::to_string).collect();
    let found = found.join("\n").replace(&format!("{}/", folder.path().display()), "");
    let found = found.replace(&sha256(b"a letter"), "[plain]").replace(&sha256(&gzip(b"a letter")), "[gzip]");
    insta::assert_snapshot!(found, @r#"
    tested.toml:43: test[5].expect: test "wrong outputs": it is delivered to copy; expected delivered to copy, inbox
    tested.toml:47: test[6].expect: test "wrong bytes": the bytes published have the SHA-256 [plain]; expected SHA-256 [gzip]
    tested.toml:51: test[7].message: test "no such file": letter.zip: No such file or directory (os error 2); expected a readable file
    tested.toml:55: test[8].given: test "of another": no pipeline takes it; expected this pipeline to take it
    "#);
}

#[test]
fn mistakes_in_tests_are_reported() {
    let text = r#"
[match]
workflow = "A*"
[[test]]
name = " "
message = "../letter"
expect = {}
[[test]]
name = "two ends"
message = "/letter"
given = { workflow = "AB", mailbox = "X26ABC9", from = "A B", sender = "x" }
expect = { discard = true, dead = "MSG-GONE", bytes = "sam" }
[[test]]
name = "a report"
message = "letter"
given = { workflow = "AB", type = "report" }
expect = { discard = true, bytes = "same" }
[[test]]
name = "outputs"
given = { workflow = "AB" }
expect = { outputs = ["inbx"], bytes = "same", sha256 = "0" }
"#;
    let findings = compile_all(&[("tests", text)]).expect_err("mistakes");
    insta::assert_snapshot!(listed(&findings), @r#"
    tests.toml:5: test[1].given.workflow: this key is missing; expected a value, since all those of [match] have a `*`
    tests.toml:6: test[1].name: this value is not understood; expected what the test shows, in a few words
    tests.toml:7: test[1].message: this value is not understood; expected a path below the folder of this file, without `..`
    tests.toml:8: test[1].expect: a message has one end; expected one of: outputs, discard, dead, held
    tests.toml:11: test[2].message: this value is not understood; expected a path below the folder of this file, without `..`
    tests.toml:12: test[2].given.from: this value cannot be; expected letters, digits, `_`, `-`
    tests.toml:12: test[2].given.mailbox: this value cannot be; expected a configured mailbox
    tests.toml:12: test[2].given.sender: this key is not known here; expected one of: type, workflow, mailbox, from, subject, local_id, file_name
    tests.toml:13: test[2].expect: a message has one end; expected one of: outputs, discard, dead, held
    tests.toml:13: test[2].expect.bytes: this value is not understood; expected "same"
    tests.toml:14: test[3]: a report has no payload; expected no `message`
    tests.toml:18: test[3].expect: nothing is published; expected `bytes` and `sha256` with `outputs` alone
    tests.toml:19: test[4]: there is no `message`; expected the file with its payload
    tests.toml:22: test[4].expect.outputs[1]: no output has this name; expected one of: inbox; did you mean `inbox`?
    tests.toml:22: test[4].expect.sha256: this value is not understood; expected 64 lower-case hex digits
    "#);
}

fn sha256(bytes: &[u8]) -> String {
    let mut hasher = Hasher::new();
    hasher.update(bytes);
    hasher.clear()
}
