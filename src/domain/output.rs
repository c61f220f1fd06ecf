//! Where a message goes, and how far each of its outputs has come (design 7).

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::digest::ContentDigest;
use super::ids::Name;

/// The file in each output root that says how the daemon is: no mail, and never to be taken for it.
pub const STATUS_FILE: &str = "meshd-status.json";

/// One destination, as a pipeline decided it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputPlan {
    /// The output's name in its pipeline.
    pub name: Name,
    /// How the files are laid out.
    pub layout: Layout,
    /// The folder the files appear in. Its root carries the marker: see [`Layout`].
    pub folder: PathBuf,
    /// Owning group of the files; the process's own when absent.
    pub group: Option<String>,
    /// Permission bits of the files, such as `0o640`.
    pub mode: u32,
}

impl OutputPlan {
    /// The folder that carries the marker.
    pub fn root(&self) -> &Path {
        match self.layout {
            Layout::MeshFolder => self.folder.parent().unwrap_or(&self.folder),
            Layout::Folder => &self.folder,
        }
    }
}

/// The two layouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// `<id>.dat` then `<id>.ctl` in `IN`, staged in the sibling `TEMP`; the marker lies in the folder above.
    MeshFolder,
    /// `<id>.dat` then `<id>.json`, staged in `.staging/` inside the folder, where the marker lies too.
    Folder,
}

/// How far one output of a delivery has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputState {
    /// What was decided.
    pub plan: OutputPlan,
    /// Where it stands.
    pub progress: Progress,
}

/// Where one output stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// Decided, nothing written that counts.
    Planned,
    /// Whole and durable in staging, about to be renamed.
    Staged(StagedSet),
    /// The consumer has it, or may take it.
    Published(Publication),
    /// A person must look: the code says why.
    Held(super::fault::FaultCode),
}

/// How we know that an output was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Publication {
    /// We renamed it and saw it there.
    Seen,
    /// Both names were gone on a file system where that means the consumer took it.
    Inferred,
    /// Renamed once more after the output's own disk lost power (`OUT-REPUBLISHED`).
    Again,
}

/// The files of one output, whole in staging.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedSet {
    /// The id in the marker of the root they were staged under.
    pub marker: String,
    /// In the order they are renamed: data first, control last.
    pub files: Vec<StagedFile>,
}

/// One staged file. Names are ours: made from the message id alone (I8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedFile {
    /// Name inside the staging folder.
    pub temp: String,
    /// Name inside the output folder.
    pub name: String,
    /// Length in bytes.
    pub length: u64,
    /// Keyed digest of the bytes.
    pub digest: ContentDigest,
}
