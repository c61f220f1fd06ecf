use super::*;

const USUAL: &str = "\
<DTSControl>
  <Version>1.0</Version>
  <AddressType>DTS</AddressType>
  <MessageType>Data</MessageType>
  <WorkflowId>TRUST_DEMO_FLOW</WorkflowId>
  <To_DTS>X26ABC2</To_DTS>
  <From_DTS>X26ABC1</From_DTS>
  <Subject>Demo batch 17</Subject>
  <LocalId>RXX-000017</LocalId>
  <Compress>Y</Compress>
  <AllowChunking>Y</AllowChunking>
  <Encrypted>N</Encrypted>
</DTSControl>
";

fn control() -> Control {
    Control {
        from: MailboxId::new("X26ABC1").expect("a mailbox id"),
        to: Sensitive::new("X26ABC2"),
        workflow: WorkflowId::new("TRUST_DEMO_FLOW").expect("a workflow id"),
        subject: Some(Sensitive::new("Demo batch 17")),
        local_id: Some(Sensitive::new("RXX-000017")),
        partner_id: None,
        checksum: None,
        compress: true,
        allow_chunking: true,
        encrypted: false,
    }
}

fn problems(text: &str) -> Vec<String> {
    let found = read(text.as_bytes()).expect_err("it is broken");
    found.iter().map(ToString::to_string).collect()
}

/// Points 4, 5 and 6 of the compatibility list (mesh-client-files 12), and the spellings of section 5.
#[test]
fn what_senders_write_reads_alike() {
    let utf16 = |mark: [u8; 2], bytes: fn(u16) -> [u8; 2]| {
        [mark.to_vec(), USUAL.encode_utf16().flat_map(bytes).collect()].concat()
    };
    let shuffled = "<?xml version=\"1.0\"?>\n<!-- made by hand --><DTSControl Version=\"1.0\" \
        xmlns:xsi=\"x\" xsi:noNamespaceSchemaLocation=\"y.xsd\"><LocalId > RXX-000017 </LocalId >\
        <Encrypted/><PartnerId></PartnerId><To_DTS>X26ABC2</To_DTS><Unknown><Deeper>1</Deeper></Unknown>\
        <From_DTS>x26abc1</From_DTS><Subject>Demo &#98;atch <![CDATA[17]]></Subject><MessageType>DATA</MessageType>\
        <WorkflowId>TRUST_DEMO_FLOW</WorkflowId><AddressType>all</AddressType><Version>1</Version></DTSControl>";
    for (what, bytes) in [
        ("usual", USUAL.as_bytes().to_vec()),
        ("with a mark", [b"\xef\xbb\xbf", USUAL.as_bytes()].concat()),
        ("UTF-16, little end first", utf16([0xff, 0xfe], u16::to_le_bytes)),
        ("UTF-16, big end first", utf16([0xfe, 0xff], u16::to_be_bytes)),
        ("Windows lines", USUAL.replace('\n', "\r\n").into_bytes()),
        ("shuffled", shuffled.as_bytes().to_vec()),
    ] {
        assert_eq!(read(&bytes), Ok(control()), "{what}");
    }
}

#[test]
fn text_of_windows_editors_and_escaped_text_is_what_was_meant() {
    let windows: Vec<u8> = USUAL
        .replace("Demo batch 17", "caf@ # 17")
        .bytes()
        .map(|byte| match byte {
            b'@' => 0xe9,
            b'#' => 0x80,
            other => other,
        })
        .collect();
    assert_eq!(read(&windows).expect("it reads").subject, Some(Sensitive::new("café € 17")));
    let escaped = USUAL.replace("Demo batch 17", "a &lt;b&gt; &amp; &quot;c&quot; &apos;d&apos; &#x263A;");
    assert_eq!(read(escaped.as_bytes()).expect("it reads").subject, Some(Sensitive::new("a <b> & \"c\" 'd' ☺")));
}

#[test]
fn everything_that_is_wrong_is_told_at_once_and_no_value_is_repeated() {
    let wrong = "<DTSControl><Version>one</Version><AddressType>SMTP</AddressType><MessageType>Report</MessageType>\
        <WorkflowId></WorkflowId><From_DTS>9990000018 SMITH</From_DTS><Compress>perhaps</Compress></DTSControl>";
    let found = problems(wrong);
    let names: Vec<&str> = found.iter().filter_map(|text| text.split(':').next()).collect();
    assert_eq!(names, ["Version", "AddressType", "MessageType", "Compress", "WorkflowId", "From_DTS", "To_DTS"]);
    assert!(!found.concat().contains("999"), "{found:?}");
}

#[test]
fn hostile_and_broken_files_are_refused_whole() {
    let entity =
        "<!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><DTSControl><Subject>&e;</Subject></DTSControl>";
    let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><DTSControl>&b;</DTSControl>";
    let deep = format!("<DTSControl>{}{}</DTSControl>", "<a>".repeat(5), "</a>".repeat(5));
    for (what, text, problem) in [
        ("an entity", entity.to_owned(), "document type"),
        ("a bomb", bomb.to_owned(), "document type"),
        ("an entity without a declaration", USUAL.replace("Demo", "&e;"), "entity of its own"),
        ("too deep", deep, "four levels"),
        ("another root", "<Control/>".to_owned(), "root"),
        ("two roots", format!("{USUAL}<DTSControl/>"), "root"),
        ("nothing", String::new(), "well-formed"),
        ("cut off", USUAL[..USUAL.len() - 5].to_owned(), "well-formed"),
        ("crossed", USUAL.replace("</Subject>", "</LocalId>"), "well-formed"),
        ("10 MB", USUAL.replace("Demo", &"x".repeat(10_000_000)), "64 KiB"),
    ] {
        let found = problems(&text);
        assert!(found.len() == 1 && found[0].contains(problem), "{what}: {found:?}");
    }
    for length in 0..USUAL.trim_end().len() {
        assert!(read(&USUAL.as_bytes()[..length]).is_err(), "{length} bytes");
    }
    assert!(read(b"\xff\xfe\x00\xd8").is_err(), "half a pair");
}

#[test]
fn every_element_that_says_something_is_told_by_its_path() {
    let file = "<DTSControl><Subject>Demo</Subject><PartnerId></PartnerId><ProcessId/><StatusRecord>\n \
        <Event>TRANSFER</Event><StatusCode>00</StatusCode></StatusRecord><Odd>1</Odd></DTSControl>";
    let said = texts(file.as_bytes()).expect("it reads");
    let said: Vec<_> = said.iter().map(|(path, text)| (path.as_str(), text.reveal())).collect();
    let status = [("StatusRecord/Event", "TRANSFER"), ("StatusRecord/StatusCode", "00")];
    assert_eq!(said, [&[("Subject", "Demo")], &status[..], &[("Odd", "1")]].concat());
    assert!(texts(b"<DTSControl>").is_err());
}
