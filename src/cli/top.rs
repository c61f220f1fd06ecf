//! `meshd top`

mod view;

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;

use self::view::{Size, View};
use super::{Context, Failure};
use crate::daemon::{Answer, Ask, ask};
use crate::ports::operations::Status;

/// Between two questions; rates are measured over it.
const EVERY: Duration = Duration::from_secs(1);

/// What an 80-column terminal of the oldest kind shows.
const USUAL: Size = Size { columns: 80, rows: usize::MAX };

/// To the first character of the first line.
const HOME: &str = "\x1b[H";
/// Clears the rest of a line.
const END_OF_LINE: &str = "\x1b[K";
/// Clears the rest of the screen.
const END_OF_SCREEN: &str = "\x1b[J";

#[derive(Debug, Args)]
#[command(after_help = "\
Rates are of the last second. AT MESH is how long mail waits at MESH that could not be taken,
and how much of MESH's five days that is. What is not on a terminal is printed once.

Examples:
  meshd top
  meshd top --once")]
pub(super) struct Top {
    /// Print one view, and end
    #[arg(long)]
    once: bool,
}

impl Top {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        let socket = context.load()?.config.control.socket;
        let mut before = status(&socket)?;
        if self.once || !std::io::stdout().is_terminal() {
            std::thread::sleep(EVERY);
            let now = status(&socket)?;
            let view = View { now: &now, before: &before, trouble: None };
            return view.lines(USUAL).into_iter().try_for_each(|line| context.out.line(line));
        }
        context.out.bytes(format!("{HOME}{END_OF_SCREEN}").as_bytes())?;
        let mut now = before.clone();
        // Ctrl-C ends it: nothing of the terminal was changed that would have to be put back.
        let mut trouble = None;
        loop {
            let view = View { now: &now, before: &before, trouble };
            let lines: Vec<String> =
                view.lines(size()).into_iter().map(|line| format!("{line}{END_OF_LINE}")).collect();
            context.out.bytes(format!("{HOME}{}{END_OF_SCREEN}", lines.join("\r\n")).as_bytes())?;
            std::thread::sleep(EVERY);
            // A daemon that begins anew is back in a moment.
            trouble = match status(&socket) {
                Ok(next) => {
                    before = std::mem::replace(&mut now, next);
                    None
                }
                Err(failure) => Some(failure.to_string()),
            };
        }
    }
}

fn status(socket: &Path) -> Result<Status, Failure> {
    let Answer::Status(status) = ask(socket, Ask::Status)? else {
        return Err(anyhow!("the daemon answered another question").into());
    };
    Ok(*status)
}

/// The terminal's size now: it may have been changed since the last view.
fn size() -> Size {
    match rustix::termios::tcgetwinsize(std::io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
            Size { columns: size.ws_col.into(), rows: size.ws_row.into() }
        }
        Ok(_) | Err(_) => USUAL,
    }
}
