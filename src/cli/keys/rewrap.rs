//! `meshd keys rewrap`

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;

use super::super::{Context, Failure};
use crate::daemon::{Answer, Ask, ask};
use crate::ports::sealed::Rewrapping;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
#[command(after_help = "\
The daemon works on it for at most half of the time, so that mail goes on. What is in work
waits until it is not. It needs room for what is sealed again beside what is not yet.
This command waits for the end, and may be cut off: the daemon goes on. If the daemon ends
first, ask again; it goes on with what is left.

Examples:
  meshd keys rewrap
  meshd keys rewrap && meshd keys status")]
pub(in crate::cli) struct Rewrap {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Rewrap {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        let socket = context.load()?.config.control.socket;
        let mut progress = rewrapping(&socket, Ask::Rewrap)?;
        while progress.is_running {
            sleep(LOOK);
            let before = progress;
            progress = rewrapping(&socket, Ask::Rewrapping)?;
            if progress.resealed.messages < before.resealed.messages {
                return Err(anyhow!("the daemon was started anew meanwhile: ask again").into());
            }
        }
        let Rewrapping { resealed, left, lacked_room, .. } = progress;
        if self.json {
            context.out.json(&progress)?;
        } else {
            context.out.line(format_args!("{} payloads, {} bytes: sealed again", resealed.messages, resealed.bytes))?;
        }
        if lacked_room {
            return Err(anyhow!("there is no room for more: make some, and ask again").into());
        }
        match left.messages {
            0 => Ok(()),
            count => {
                let why = "they do not open, or their mailbox is not configured";
                Err(anyhow!("{count} payloads stay as they are: {why}; `meshd keys status` tells").into())
            }
        }
    }
}

fn rewrapping(socket: &Path, question: Ask) -> Result<Rewrapping, Failure> {
    let Answer::Rewrapping(progress) = ask(socket, question)? else {
        return Err(anyhow!("the daemon answered another question").into());
    };
    Ok(progress)
}
