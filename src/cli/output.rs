//! `meshd output`

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand};

use super::{Context, Failure};
use crate::daemon::{self, SystemChance, SystemClock};
use crate::domain::output::Layout;
use crate::domain::step::Step;
use crate::ports::disk::Disk;
use crate::publish::{NewRoot, init_root};
use crate::store::disk::Real;

#[derive(Debug, Subcommand)]
pub(super) enum Output {
    /// Make the folders of outputs, and the marker that says they are really there
    Init(Init),
}

#[derive(Debug, Args)]
#[command(after_help = "\
An output root without its marker counts as away: an unmounted disk must not swallow mail.
Run it as the daemon's user, once for each root; run again it changes nothing.

Examples:
  sudo -u meshd meshd output init
  sudo -u meshd meshd output init /srv/mesh/X26ABC1
  sudo -u meshd meshd output init --adopt")]
pub(super) struct Init {
    /// Take them from the daemon whose state this was restored from, which must have ended for good
    #[arg(long)]
    adopt: bool,
    /// Only these roots; without any, all that the pipelines name, and those of mailboxes with `pickup`
    roots: Vec<PathBuf>,
}

impl Output {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        match self {
            Self::Init(init) => init.run(context),
        }
    }
}

impl Init {
    fn run(self, context: &mut Context) -> Result<(), Failure> {
        let loaded = context.load()?;
        let pipelines = daemon::load_pipelines(&loaded).map_err(Failure::Configuration)?;
        let state = &loaded.config.state.directory;
        let (disk, chance, clock) = (Real::new(), SystemChance::default(), SystemClock::default());
        prepare_state(&disk, state)?;
        let mut done: Vec<(PathBuf, Layout)> = Vec::new();
        for (_, plan) in pipelines.folders().into_iter().chain(daemon::pickup_plans(&loaded.config)) {
            let root = plan.root().to_path_buf();
            let wanted = self.roots.is_empty() || self.roots.contains(&root);
            if !wanted || done.contains(&(root.clone(), plan.layout)) {
                continue;
            }
            let new = NewRoot { root: &root, layout: plan.layout, group: plan.group.as_deref(), adopt: self.adopt };
            let id =
                init_root(&disk, &chance, &clock, state, new).with_context(|| format!("set up {}", root.display()))?;
            context.out.good(format_args!("{} is set up (marker {id})", root.display()))?;
            done.push((root, plan.layout));
        }
        let unknown = self.roots.iter().find(|wanted| !done.iter().any(|(root, _)| root == *wanted));
        match unknown {
            Some(root) => {
                Err(anyhow!("no pipeline has an output with the root {}, and no mailbox with `pickup`", root.display())
                    .into())
            }
            None => Ok(()),
        }
    }
}

/// The record of markers lies in the state directory; written by another user the daemon could not change it.
fn prepare_state(disk: &dyn Disk, state: &PathBuf) -> Result<(), anyhow::Error> {
    let owner = match std::fs::metadata(state) {
        Ok(metadata) => metadata.uid(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            disk.create_folder(Step::StateDirectory, state)
                .and_then(|()| disk.set_access(state, 0o700, None))
                .with_context(|| format!("make the state directory {}", state.display()))?;
            return Ok(());
        }
        Err(error) => return Err(error).with_context(|| format!("look at {}", state.display())),
    };
    let own = rustix::process::geteuid().as_raw();
    if owner != own {
        let problem = format!(
            "{} belongs to user {owner}, but this runs as user {own}: run it as the daemon's user",
            state.display()
        );
        return Err(std::io::Error::new(std::io::ErrorKind::PermissionDenied, problem).into());
    }
    Ok(())
}
