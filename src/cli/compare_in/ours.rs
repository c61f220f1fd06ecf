//! Which folder is meshd's own, by the configuration.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::anyhow;

use super::super::{Context, Failure};
use crate::daemon;
use crate::domain::ids::MailboxId;
use crate::domain::output::Layout;

/// The one folder of the MESH client's layout, of all mailboxes or of `mailbox`.
pub(super) fn folder(context: &Context, mailbox: Option<&MailboxId>) -> Result<PathBuf, Failure> {
    let loaded = context.load()?;
    let pipelines = daemon::load_pipelines(&loaded).map_err(Failure::Configuration)?;
    let plans = pipelines.folders().into_iter().chain(daemon::pickup_plans(&loaded.config));
    let like_a_client = plans.filter(|(_, plan)| plan.layout == Layout::MeshFolder);
    let wanted = like_a_client.filter(|(id, _)| mailbox.is_none_or(|mailbox| mailbox == id));
    choose(wanted.map(|(id, plan)| (id, plan.folder)).collect(), mailbox.is_some())
}

fn choose(found: BTreeSet<(MailboxId, PathBuf)>, is_of_one: bool) -> Result<PathBuf, Failure> {
    let folders: BTreeSet<&PathBuf> = found.iter().map(|(_, folder)| folder).collect();
    let problem = match (folders.first(), folders.len()) {
        (Some(folder), 1) => return Ok((*folder).clone()),
        (None, _) => anyhow!("no output in the layout of a MESH client is configured for it: say where with --with"),
        (Some(_), _) => {
            let listed: Vec<_> = found.iter().map(|(id, folder)| format!("{id}: {}", folder.display())).collect();
            let how = if is_of_one { "say which with --with" } else { "say which with --mailbox, or with --with" };
            anyhow!("there are {} folders ({}): {how}", folders.len(), listed.join(", "))
        }
    };
    Err(Failure::NotLooked(problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(found: &[(&str, &str)], is_of_one: bool) -> Result<PathBuf, String> {
        let found = found.iter().map(|(id, folder)| (MailboxId::new(*id).expect("an id"), PathBuf::from(folder)));
        choose(found.collect(), is_of_one).map_err(|failure| failure.to_string())
    }

    #[test]
    fn one_folder_is_chosen_and_several_are_asked_about() {
        assert_eq!(chosen(&[("A", "/a/IN")], false), Ok("/a/IN".into()));
        assert!(chosen(&[], true).unwrap_err().contains("--with"));
        let asked = chosen(&[("A", "/a/IN"), ("B", "/b/IN")], false).unwrap_err();
        assert!(asked.contains("A: /a/IN, B: /b/IN") && asked.contains("--mailbox"), "{asked}");
        assert!(!chosen(&[("A", "/a/IN"), ("A", "/a/URGENT")], true).unwrap_err().contains("--mailbox"));
    }
}
