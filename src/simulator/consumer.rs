//! The other end of the daemon: takes each set of files the moment its control file appears, and deletes it.
//!
//! What it took goes into a ledger of its own, before the deletion and, on request, synced. So the ledger never
//! misses a set that is gone from the folder. A set can be in it twice only if the folder offered it twice, or if
//! the consumer itself was killed between ledger and deletion; [`Consumer::stop`] ends it between sets.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};

use super::clock::FarClock;
use super::ledger::{self, Event, Line};
use super::payload::Sha256;
use super::{SimulatorError, lock};
use crate::domain::output::{Layout, STATUS_FILE};
use crate::ports::clock::Clock;

/// Pause between two looks into an empty folder: tight, and yet under one per cent of a core.
const PAUSE: Duration = Duration::from_millis(3);
/// Sets recorded, and synced, together at most.
const TOGETHER: usize = 512;
/// Read at a time.
const PIECE_BYTES: usize = 256 * 1024;

/// What to take, and how to record it.
#[derive(Debug, Clone)]
pub struct ConsumerSettings {
    /// The folder in which files appear: `IN` itself in the MESH-client layout.
    pub folder: PathBuf,
    /// Says which suffix a control file has.
    pub layout: Layout,
    /// Where to record; nowhere but in memory otherwise.
    pub ledger: Option<PathBuf>,
    /// The ledger is synced before anything is deleted.
    pub synced: bool,
    /// The control files' text is kept too: about a kilobyte each.
    pub controls: bool,
}

/// One set that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// File name without suffix.
    pub name: String,
    /// SHA-256 of the data file in lower-case hex; `None` if there was none.
    pub sha256: Option<String>,
    /// Its length.
    pub length: Option<u64>,
    /// The control file's text, if it was to be kept.
    pub control: Option<String>,
}

/// A consumer on a thread of its own.
pub struct Consumer {
    shared: Arc<Shared>,
    thread: JoinHandle<Result<(), SimulatorError>>,
}

#[derive(Default)]
struct Shared {
    is_stopped: AtomicBool,
    count: AtomicU64,
    taken: Mutex<Vec<Taken>>,
}

impl Consumer {
    /// Starts taking.
    pub fn start(settings: ConsumerSettings) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let worker = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("consumer".to_owned()).spawn(move || {
            let remember = |taken: &[Taken]| {
                lock(&worker.taken).extend_from_slice(taken);
                worker.count.fetch_add(taken.len() as u64, Ordering::AcqRel);
            };
            run(&settings, &worker.is_stopped, remember)
        })?;
        Ok(Self { shared, thread })
    }

    /// How many sets were taken so far.
    pub fn count(&self) -> u64 {
        self.shared.count.load(Ordering::Acquire)
    }

    /// What was taken so far, in that order.
    pub fn taken(&self) -> Vec<Taken> {
        lock(&self.shared.taken).clone()
    }

    /// Blocks until so many sets were taken; false if the limit passes first.
    pub fn wait_for(&self, count: u64, limit: Duration) -> bool {
        let start = Instant::now();
        while self.count() < count {
            if start.elapsed() > limit || self.thread.is_finished() {
                return false;
            }
            std::thread::sleep(PAUSE);
        }
        true
    }

    /// Takes what is there, ends, and returns all that was taken.
    pub fn stop(self) -> Result<Vec<Taken>, SimulatorError> {
        self.shared.is_stopped.store(true, Ordering::Release);
        self.thread.join().map_err(|_| io::Error::other("the consumer panicked"))??;
        Ok(std::mem::take(&mut lock(&self.shared.taken)))
    }
}

/// Takes sets until stopped, and once more after that.
fn run(
    settings: &ConsumerSettings,
    is_stopped: &AtomicBool,
    mut remember: impl FnMut(&[Taken]),
) -> Result<(), SimulatorError> {
    let clock = FarClock::default();
    let mut book = match &settings.ledger {
        Some(path) => Some(ledger::open(path)?),
        None => None,
    };
    let opened = Line::at(Duration::ZERO, Event::Opened { wall_ms: clock.wall().0 });
    record(&mut book, &[opened], settings.synced)?;
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        // Read before looking: what is published before the stop is still taken.
        let is_last = is_stopped.load(Ordering::Acquire);
        let controls = waiting(settings)?;
        for some in controls.chunks(TOGETHER) {
            let mut taken = Vec::with_capacity(some.len());
            for control in some {
                taken.push(examine(control, settings.controls, &mut buffer)?);
            }
            let now = clock.monotonic();
            let lines: Vec<Line> = taken.iter().map(|taken| Line::at(now, event(taken))).collect();
            record(&mut book, &lines, settings.synced)?;
            for control in some {
                // The data file first: a set is never left without its control file.
                remove(&control.with_extension("dat"))?;
                remove(control)?;
            }
            remember(&taken);
        }
        if is_last {
            return Ok(());
        }
        if controls.is_empty() {
            std::thread::sleep(PAUSE);
        }
    }
}

/// Takes sets until SIGTERM or SIGINT: a consumer as a process of its own.
pub fn run_until_signal(settings: &ConsumerSettings) -> Result<(), SimulatorError> {
    let is_stopped = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&is_stopped))?;
    }
    run(settings, &is_stopped, |_| {})
}

/// Control files that are there now.
fn waiting(settings: &ConsumerSettings) -> io::Result<Vec<PathBuf>> {
    let suffix = match settings.layout {
        Layout::MeshFolder => "ctl",
        Layout::Folder => "json",
    };
    let entries = match fs::read_dir(&settings.folder) {
        Ok(entries) => entries,
        // Made, or mounted, later.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut controls = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(OsStr::to_str);
        let is_mail = name.is_some_and(|name| !name.starts_with('.') && name != STATUS_FILE);
        if is_mail && path.extension() == Some(OsStr::new(suffix)) {
            controls.push(path);
        }
    }
    Ok(controls)
}

fn examine(control: &Path, keep_control: bool, buffer: &mut [u8]) -> io::Result<Taken> {
    let name = control.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let (sha256, length) = match File::open(control.with_extension("dat")) {
        Ok(mut file) => {
            let mut hasher = Sha256::default();
            let mut length = 0;
            loop {
                match file.read(buffer)? {
                    0 => break,
                    read => {
                        hasher.update(&buffer[..read]);
                        length += read as u64;
                    }
                }
            }
            (Some(hasher.hex()), Some(length))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => (None, None),
        Err(error) => return Err(error),
    };
    let control = if keep_control { Some(fs::read_to_string(control)?) } else { None };
    Ok(Taken { name, sha256, length, control })
}

fn event(taken: &Taken) -> Event {
    Event::Taken {
        name: taken.name.clone(),
        sha256: taken.sha256.clone(),
        length: taken.length,
        control: taken.control.clone(),
    }
}

fn record(book: &mut Option<File>, lines: &[Line], synced: bool) -> Result<(), SimulatorError> {
    let Some(book) = book else { return Ok(()) };
    let mut bytes = Vec::with_capacity(lines.len() * 192);
    for line in lines {
        line.write_to(&mut bytes)?;
    }
    book.write_all(&bytes)?;
    if synced {
        ledger::sync(book)?;
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(folder: &Path, layout: Layout) -> ConsumerSettings {
        let ledger = Some(folder.join("taken.jsonl"));
        ConsumerSettings { folder: folder.join("IN"), layout, ledger, synced: true, controls: true }
    }

    fn publish(folder: &Path, name: &str, suffix: &str, data: Option<&str>) {
        if let Some(data) = data {
            fs::write(folder.join(format!("IN/{name}.dat")), data).expect("write the data file");
        }
        fs::write(folder.join(format!("IN/{name}.{suffix}")), "control").expect("write the control file");
    }

    #[test]
    fn takes_sets_of_both_layouts_records_them_and_deletes_them() {
        for (layout, suffix) in [(Layout::MeshFolder, "ctl"), (Layout::Folder, "json")] {
            let folder = tempfile::tempdir().expect("a folder");
            fs::create_dir(folder.path().join("IN")).expect("a folder in it");
            let consumer = Consumer::start(settings(folder.path(), layout)).expect("a consumer");
            publish(folder.path(), "ONE", suffix, Some("hello mesh"));
            publish(folder.path(), "REPORT", suffix, None);
            fs::write(folder.path().join("IN/HALF.dat"), "no control file yet").expect("write half a set");
            assert!(consumer.wait_for(2, Duration::from_secs(20)));
            let mut taken = consumer.stop().expect("an orderly end");
            taken.sort_by(|a, b| a.name.cmp(&b.name));
            let [one, report] = taken.as_slice() else { panic!("two sets, not {taken:?}") };
            assert_eq!((one.name.as_str(), one.length, one.control.as_deref()), ("ONE", Some(10), Some("control")));
            let mut hasher = Sha256::default();
            hasher.update(b"hello mesh");
            assert_eq!(one.sha256, Some(hasher.hex()));
            assert_eq!((report.name.as_str(), &report.sha256), ("REPORT", &None));
            let left: Vec<_> = fs::read_dir(folder.path().join("IN")).expect("list").flatten().collect();
            assert_eq!(left.len(), 1, "only the half set is left");
            let lines = ledger::read(&folder.path().join("taken.jsonl")).expect("read the ledger");
            let expected = [("ONE".to_owned(), vec![one.sha256.clone()]), ("REPORT".to_owned(), vec![None])];
            assert_eq!(ledger::taken(&lines), expected.into());
        }
    }

    #[test]
    fn what_is_there_before_the_stop_is_still_taken() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("IN")).expect("a folder in it");
        for number in 0..700 {
            publish(folder.path(), &format!("M{number}"), "ctl", Some("x"));
        }
        let consumer = Consumer::start(settings(folder.path(), Layout::MeshFolder)).expect("a consumer");
        assert_eq!(consumer.stop().expect("an orderly end").len(), 700);
    }
}
