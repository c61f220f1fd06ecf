//! Where log lines go and how they look.
//!
//! Lines of other libraries appear from `warn` on, ours from the configured level on.

use std::io::{self, IsTerminal};

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, reload};

use crate::config::{LogFormat, LogLevel};

/// The handle by which a reload changes the level.
pub(super) struct Level(reload::Handle<Targets, Registry>);

impl Level {
    /// From now on lines from `level` on are written.
    pub(super) fn set(&self, level: LogLevel) {
        if let Err(error) = self.0.reload(targets(level)) {
            tracing::warn!(%error, "the log level stays as it was");
        }
    }
}

/// Starts logging. Once per process; a second call changes nothing.
pub(super) fn start(format: LogFormat, level: LogLevel) -> Level {
    let (filter, handle) = reload::Layer::new(targets(level));
    let (layer, trouble) = layer(concrete(format, in_a_unit(), io::stderr().is_terminal()));
    let is_first = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init().is_ok();
    if let (true, Some(error)) = (is_first, trouble) {
        tracing::warn!(%error, "the system journal cannot be reached: lines go to standard error");
    }
    Level(handle)
}

fn targets(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Error => tracing::Level::ERROR,
        LogLevel::Warn => tracing::Level::WARN,
        LogLevel::Info => tracing::Level::INFO,
        LogLevel::Debug => tracing::Level::DEBUG,
    };
    Targets::new().with_default(tracing::Level::WARN.min(level)).with_target("meshd", level)
}

/// From here on a panic says where it was, and nothing else: its words may quote a message (I8).
pub(super) fn hush_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, thread = std::thread::current().name(), "panicked");
    }));
}

fn layer(format: LogFormat) -> (Box<dyn Layer<Registry> + Send + Sync>, Option<io::Error>) {
    match format {
        LogFormat::Journald => match tracing_journald::layer() {
            Ok(layer) => (layer.with_syslog_identifier("meshd".into()).boxed(), None),
            Err(error) => (json(), Some(error)),
        },
        LogFormat::Human => {
            let coloured = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            (tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(coloured).boxed(), None)
        }
        LogFormat::Json | LogFormat::Auto => (json(), None),
    }
}

fn json() -> Box<dyn Layer<Registry> + Send + Sync> {
    tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(io::stderr).boxed()
}

/// What `auto` means here; never `auto` again.
fn concrete(format: LogFormat, in_a_unit: bool, on_a_terminal: bool) -> LogFormat {
    match (format, in_a_unit, on_a_terminal) {
        (LogFormat::Auto, true, _) => LogFormat::Journald,
        (LogFormat::Auto, false, true) => LogFormat::Human,
        (LogFormat::Auto, false, false) => LogFormat::Json,
        (LogFormat::Human | LogFormat::Json | LogFormat::Journald, _, _) => format,
    }
}

/// Is standard error the journal's? systemd says which file it connected; a redirected one is another.
fn in_a_unit() -> bool {
    let Some(named) = std::env::var_os("JOURNAL_STREAM") else { return false };
    let Ok(ours) = rustix::fs::fstat(io::stderr()) else { return false };
    named.to_str() == Some(&format!("{}:{}", ours.st_dev, ours.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_chooses_by_where_lines_go_and_a_choice_stands() {
        assert_eq!(concrete(LogFormat::Auto, true, true), LogFormat::Journald);
        assert_eq!(concrete(LogFormat::Auto, false, true), LogFormat::Human);
        assert_eq!(concrete(LogFormat::Auto, false, false), LogFormat::Json);
        for chosen in [LogFormat::Human, LogFormat::Json, LogFormat::Journald] {
            assert_eq!(concrete(chosen, true, true), chosen);
        }
    }
}
