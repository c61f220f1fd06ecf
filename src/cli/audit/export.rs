//! `meshd audit export`: records into a file, one page in memory at a time.

use std::io::{BufWriter, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use serde_json::Value;

use super::super::pages::for_each_record;
use super::super::{Context, Failure, own_file};
use super::fhir::Translator;
use super::filter::Filter;
use super::json_line;
use crate::daemon::{Ask, SystemClock};
use crate::ports::clock::Clock as _;
use crate::ports::trace::FoundRecord;

#[derive(Debug, Args)]
#[command(after_help = "\
Asks the running daemon, which notes in the journal who read what; see `meshd audit find`.
The file is made, for its owner alone; one that is there is never written over.

`fhir` is one FHIR R4 Bundle with an AuditEvent for each record and a Provenance for each
delivered message, after the UK Core profiles. `jsonl` has a record on each line, as written.

Examples:
  meshd audit export --format jsonl --out journal.jsonl
  meshd audit export --format fhir --since 2026-01-05 --until 2026-01-06 --out audit.json")]
pub(in crate::cli) struct Export {
    #[command(flatten)]
    filter: Filter,
    /// In which form
    #[arg(long)]
    format: Format,
    /// Into which file
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A FHIR R4 Bundle
    Fhir,
    /// A record as JSON on each line
    Jsonl,
}

impl Export {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        let loaded = context.load()?;
        let wanted = self.filter.search(&loaded)?;
        let mut writer = Writer::new(BufWriter::new(own_file::make(&self.out)?), self.format);
        let written = || {
            writer.begin()?;
            for_each_record(&loaded.config.control.socket, wanted, Ask::Audit, |record| {
                writer.add(&record)?;
                Ok(ControlFlow::Continue(()))
            })?;
            writer.end()
        };
        match written() {
            Ok(records) => context.out.good(format_args!("{records} records are in {}", self.out.display())),
            Err(failure) => Err(own_file::give_up(&self.out, failure)),
        }
    }
}

struct Writer<W> {
    out: W,
    format: Format,
    translator: Translator,
    records: u64,
    is_first: bool,
}

impl<W: Write> Writer<W> {
    fn new(out: W, format: Format) -> Self {
        Self { out, format, translator: Translator::default(), records: 0, is_first: true }
    }

    fn begin(&mut self) -> Result<(), Failure> {
        match self.format {
            Format::Jsonl => Ok(()),
            Format::Fhir => {
                let now = SystemClock::default().wall();
                let text = format!(
                    "{{\"resourceType\":\"Bundle\",\"type\":\"collection\",\"timestamp\":\"{now}\",\"entry\":["
                );
                self.put(&text)
            }
        }
    }

    fn add(&mut self, record: &FoundRecord) -> Result<(), Failure> {
        self.records += 1;
        match self.format {
            Format::Jsonl => {
                let line = json_line(record)?;
                self.put(&line)?;
                self.put("\n")
            }
            Format::Fhir => {
                let resources = self.translator.resources(record)?;
                resources.iter().try_for_each(|resource| self.entry(resource))
            }
        }
    }

    fn entry(&mut self, resource: &Value) -> Result<(), Failure> {
        let comma = if std::mem::take(&mut self.is_first) { "" } else { "," };
        self.put(&format!("{comma}\n{{\"resource\":{resource}}}"))
    }

    /// How many records there are.
    fn end(&mut self) -> Result<u64, Failure> {
        match self.format {
            Format::Jsonl => {}
            Format::Fhir => self.put("\n]}\n")?,
        }
        self.out.flush().context("write the export")?;
        Ok(self.records)
    }

    fn put(&mut self, text: &str) -> Result<(), Failure> {
        Ok(self.out.write_all(text.as_bytes()).context("write the export")?)
    }
}

#[cfg(test)]
pub(super) fn fhir_of(records: &[FoundRecord]) -> String {
    let mut writer = Writer::new(Vec::new(), Format::Fhir);
    writer.begin().expect("memory takes it");
    records.iter().try_for_each(|record| writer.add(record)).expect("they translate");
    writer.end().expect("memory takes it");
    String::from_utf8(writer.out).expect("JSON is text")
}
