//! Layer 5: the command line, one file per command.
//!
//! Everything is checked before anything is done; what a machine reads is JSON behind `--json`;
//! colours appear on a terminal only. How a command ends is one `Exit`.

mod archive;
mod audit;
mod backup;
mod check;
mod compare_in;
mod completions;
mod conformance;
mod deadletter;
#[cfg(feature = "simulator")]
mod demo;
mod exit;
mod hold;
mod import_meshclient;
mod index_probe;
mod journal;
mod keys;
mod listing;
mod mailbox;
mod man;
mod message;
mod monitor;
mod output;
mod own_file;
mod pages;
mod pipeline;
mod print;
mod queue;
mod readable;
mod retention;
mod run;
mod schema;
mod send;
mod sent;
#[cfg(feature = "simulator")]
mod simulate;
mod spool;
mod status;
mod subject;
mod top;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::exit::{Exit, Failure};
use self::print::Printer;
use crate::config::{self, Loaded};
use crate::daemon;

/// A durable MESH message daemon: mail is kept before it is acknowledged, and comes out once.
#[derive(Debug, Parser)]
#[command(name = "meshd", version, about, after_help = exit::HELP, propagate_version = true)]
#[command(infer_subcommands = false, arg_required_else_help = true)]
struct Arguments {
    /// The main configuration file; conf.d/*.toml beside it is read after it
    /// [env: MESHD_CONFIG] [default: /etc/meshd/meshd.toml]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Everywhere")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon
    Run(run::Run),
    /// Check configuration, pipelines, keys, outputs and state, and report every mistake
    Check(check::Check),
    /// Run NHS's catalogue of compliance tests against MESH, and write the evidence
    Conformance(conformance::Conformance),
    /// Ask the running daemon how it is
    Status(status::Status),
    /// Show the running daemon live, until Ctrl-C
    Top(top::Top),
    /// Make the daemon's keys, and see which are needed
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Set up output folders
    #[command(subcommand)]
    Output(output::Output),
    /// Make a configuration of that of the Java client, with its keys and secrets
    ImportMeshclient(import_meshclient::ImportMeshclient),
    /// Compare what the Java client put into its IN folder with what meshd put into its own
    CompareIn(compare_in::CompareIn),
    /// Look into the spool of sealed payloads
    #[command(subcommand)]
    Spool(spool::Spool),
    /// Back up what the daemon keeps, and restore it
    #[command(subcommand)]
    Backup(backup::Backup),
    /// Check the journal
    #[command(subcommand)]
    Journal(journal::Journal),
    /// Look at dead and held mail, and say what becomes of it
    #[command(subcommand)]
    Deadletter(deadletter::Deadletter),
    /// Tell what happened to a message
    #[command(subcommand)]
    Message(message::Message),
    /// List what waits for work
    #[command(subcommand)]
    Queue(queue::Queue),
    /// Send a file by MESH
    Send(send::Send),
    /// List what goes out, and say what became of it
    #[command(subcommand)]
    Sent(sent::Sent),
    /// Read the journal: who did what to which message, and when
    #[command(subcommand)]
    Audit(Box<audit::Audit>),
    /// Keep mail for an inquiry or a court, whatever its retention says
    #[command(subcommand)]
    Hold(hold::Hold),
    /// Tell what is kept for how long
    #[command(subcommand)]
    Retention(retention::Retention),
    /// Find what is kept about a person, and remove it
    #[command(subcommand)]
    Subject(subject::Subject),
    /// List mailboxes, have one rest, and let it go on
    #[command(subcommand)]
    Mailbox(mailbox::Mailbox),
    /// List pipelines, and let a suspended one go on
    #[command(subcommand)]
    Pipeline(pipeline::Pipeline),
    /// List what should come and did not, and accept what will not
    #[command(subcommand)]
    Monitor(monitor::Monitor),
    /// Show the whole of meshd against a simulated MESH, and count what went where
    #[cfg(feature = "simulator")]
    Demo(demo::Demo),
    /// Judge what became of a demonstration's mail
    #[cfg(feature = "simulator")]
    #[command(name = demo::judge::COMMAND, hide = true)]
    DemoJudge(demo::judge::Judge),
    /// Simulate the far side of MESH on loopback, for trials and benchmarks
    #[cfg(feature = "simulator")]
    Simulate(Box<simulate::Simulate>),
    /// Print a schema of the configuration, for editors
    Schema(schema::Schema),
    /// Print completions for a shell
    Completions(completions::Completions),
    /// Print the manual page
    Man(man::Man),
    /// Open the index at a folder, and end
    #[command(name = daemon::INDEX_PROBE, hide = true)]
    IndexProbe(index_probe::IndexProbe),
}

/// What a command gets besides its own arguments.
struct Context {
    config: PathBuf,
    out: Printer,
}

impl Context {
    /// The checked configuration, or every mistake in it.
    fn load(&self) -> Result<Loaded, Failure> {
        config::load(&self.config).map_err(Failure::Configuration)
    }
}

/// Reads the command line, does what it says, and tells how it ended.
pub fn main() -> ExitCode {
    let Arguments { config, command } = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors; if even they cannot be printed, nothing else can.
            drop(error.print());
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    let mut context = Context { config: config::main_file(config), out: Printer::new() };
    match dispatch(command, &mut context) {
        Ok(()) => Exit::Done.into(),
        Err(failure) => {
            context.out.failure(&failure);
            failure.exit().into()
        }
    }
}

fn dispatch(command: Command, context: &mut Context) -> Result<(), Failure> {
    match command {
        Command::Run(run) => run.run(context),
        Command::Check(check) => check.run(context),
        Command::Conformance(conformance) => conformance.run(context),
        Command::Status(status) => status.run(context),
        Command::Top(top) => top.run(context),
        Command::Keys(keys) => keys.run(context),
        Command::Output(output) => output.run(context),
        Command::ImportMeshclient(import) => import.run(context),
        Command::CompareIn(compare) => compare.run(context),
        Command::Spool(spool) => spool.run(context),
        Command::Backup(backup) => backup.run(context),
        Command::Journal(journal) => journal.run(context),
        Command::Deadletter(deadletter) => deadletter.run(context),
        Command::Message(message) => message.run(context),
        Command::Queue(queue) => queue.run(context),
        Command::Send(send) => send.run(context),
        Command::Sent(sent) => sent.run(context),
        Command::Audit(audit) => audit.run(context),
        Command::Hold(hold) => hold.run(context),
        Command::Retention(retention) => retention.run(context),
        Command::Subject(subject) => subject.run(context),
        Command::Mailbox(mailbox) => mailbox.run(context),
        Command::Pipeline(pipeline) => pipeline.run(context),
        Command::Monitor(monitor) => monitor.run(context),
        #[cfg(feature = "simulator")]
        Command::Demo(demo) => demo.run(context),
        #[cfg(feature = "simulator")]
        Command::DemoJudge(judge) => judge.run(context),
        #[cfg(feature = "simulator")]
        Command::Simulate(simulate) => simulate.run(),
        Command::Schema(schema) => schema.run(context),
        Command::Completions(completions) => completions.run(context),
        Command::Man(man) => man.run(context),
        Command::IndexProbe(probe) => probe.run(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_explains_itself_with_an_example() {
        fn explain(command: &clap::Command, path: &str) {
            for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set() && inner.get_name() != "help") {
                let path = format!("{path} {}", inner.get_name());
                assert!(inner.get_about().is_some(), "{path} says what it does");
                if inner.get_subcommands().next().is_none() {
                    let help = inner.get_after_help().map(ToString::to_string).unwrap_or_default();
                    assert!(help.contains(path.as_str()), "{path} shows an example: {help}");
                }
                explain(inner, &path);
            }
        }
        explain(&Arguments::command(), "meshd");
    }

    /// A longer one is wrapped once more on a terminal, which leaves a word alone on a line.
    #[test]
    fn no_line_of_any_help_that_is_broken_by_hand_is_too_long() {
        const LONGEST: usize = 96;
        fn measure(command: &clap::Command) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in help.lines() {
                assert!(line.chars().count() <= LONGEST, "{}: {line}", command.get_name());
            }
            command.get_subcommands().for_each(measure);
        }
        measure(&Arguments::command());
    }
}
