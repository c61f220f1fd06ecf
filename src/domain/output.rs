//! Where a message goes, and how far each of its outputs has come.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::digest::ContentDigest;
use super::ids::{DeliveryId, Name};
use super::onward::MeshPlan;
use super::secret::SecretRef;

/// The file in each output root that says how the daemon is: no mail, and never to be taken for it.
pub const STATUS_FILE: &str = "meshd-status.json";

/// One destination, as a pipeline decided it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputPlan {
    /// Files in a folder.
    Folder(FolderPlan),
    /// A message that goes out.
    Mesh(MeshPlan),
}

impl OutputPlan {
    /// The output's name in its pipeline.
    pub fn name(&self) -> &Name {
        match self {
            Self::Folder(plan) => &plan.name,
            Self::Mesh(plan) => &plan.name,
        }
    }

    /// What is done to the payload on its way, in this order. Equal in all plans of one delivery.
    pub fn payload(&self) -> &[Transform] {
        match self {
            Self::Folder(plan) => &plan.payload,
            Self::Mesh(plan) => &plan.payload,
        }
    }
}

/// As the index, which is not self-describing, has an [`OutputPlan`].
#[derive(Serialize, Deserialize)]
#[serde(remote = "OutputPlan")]
enum Tagged {
    Folder(FolderPlan),
    Mesh(MeshPlan),
}

/// As the journal has it: told apart by its members, so that a folder is as it was before there was anything else.
#[derive(Deserialize)]
#[serde(untagged)]
enum Untagged {
    Folder(FolderPlan),
    Mesh(MeshPlan),
}

impl Serialize for OutputPlan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            _ if !serializer.is_human_readable() => Tagged::serialize(self, serializer),
            Self::Folder(plan) => plan.serialize(serializer),
            Self::Mesh(plan) => plan.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for OutputPlan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return Tagged::deserialize(deserializer);
        }
        Ok(match Untagged::deserialize(deserializer)? {
            Untagged::Folder(plan) => Self::Folder(plan),
            Untagged::Mesh(plan) => Self::Mesh(plan),
        })
    }
}

/// Files in a folder, as a pipeline decided it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FolderPlan {
    /// The output's name in its pipeline.
    pub name: Name,
    /// How the files are laid out.
    pub layout: Layout,
    /// How lines of control files end; a layout without any does not ask.
    #[serde(default)]
    pub line_ends: LineEnds,
    /// The folder the files appear in. Its root carries the marker: see [`Layout`].
    pub folder: PathBuf,
    /// Owning group of the files; the process's own when absent.
    pub group: Option<String>,
    /// Permission bits of the files, such as `0o640`.
    pub mode: u32,
    /// What is done to the payload on its way, in this order. Equal in all plans of one delivery.
    #[serde(default)]
    pub payload: Vec<Transform>,
}

impl Serialize for FolderPlan {
    /// A payload that passes untouched and the usual ends of lines are not mentioned in the journal, which is JSON and
    /// grows with every word. The index is not self-describing and holds every member.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_journal = serializer.is_human_readable();
        let is_untouched = self.payload.is_empty() && is_journal;
        let has_usual_ends = self.line_ends == LineEnds::Lf && is_journal;
        let members = 7 - usize::from(is_untouched) - usize::from(has_usual_ends);
        let mut plan = serializer.serialize_struct("FolderPlan", members)?;
        plan.serialize_field("name", &self.name)?;
        plan.serialize_field("layout", &self.layout)?;
        if !has_usual_ends {
            plan.serialize_field("line_ends", &self.line_ends)?;
        }
        plan.serialize_field("folder", &self.folder)?;
        plan.serialize_field("group", &self.group)?;
        plan.serialize_field("mode", &self.mode)?;
        if !is_untouched {
            plan.serialize_field("payload", &self.payload)?;
        }
        plan.end()
    }
}

/// One change to a payload, with the limits it was decided under: enough to make the same bytes again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transform {
    /// One layer of gzip is undone (RFC 1952).
    Gunzip {
        /// Length of what comes out, at most.
        max_bytes: u64,
        /// The same, as a multiple of what goes in.
        max_ratio: u32,
    },
    /// An age file is opened.
    Decrypt {
        /// By the identity that lies there.
        identity: SecretRef,
        /// Length of what comes out, at most.
        max_bytes: u64,
    },
}

impl FolderPlan {
    /// The folder that carries the marker.
    pub fn root(&self) -> &Path {
        match self.layout {
            Layout::MeshFolder => self.folder.parent().unwrap_or(&self.folder),
            Layout::Folder => &self.folder,
        }
    }
}

impl Transform {
    /// The word that tells a consumer what was done.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Gunzip { .. } => "gunzip",
            Self::Decrypt { .. } => "decrypt",
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

/// How the lines of a control file end (mesh-client-files 12, point 14).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LineEnds {
    /// As everywhere but on Windows.
    #[default]
    Lf,
    /// For consumers on Windows that read line by line.
    Crlf,
}

/// How much may lie in an output folder that its consumer has not taken: at most so many files, none of them for longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unconsumed {
    /// Files; a message has two, a report one.
    pub files: Option<u64>,
    /// How long the oldest may lie there.
    pub age: Option<Duration>,
}

impl Unconsumed {
    /// The least of both.
    pub fn least(self, other: Self) -> Self {
        let age = self.age.into_iter().chain(other.age).min();
        Self { files: self.files.into_iter().chain(other.files).min(), age }
    }
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
    /// It was held for this code, and a person had it tried again: to be staged anew, as it was decided. Where the
    /// consumer did have it, it appears once more.
    Reopened(super::fault::FaultCode),
}

impl Progress {
    /// Nothing is written yet, or nothing of it counts any more.
    pub fn is_to_stage(&self) -> bool {
        match self {
            Self::Planned | Self::Reopened(_) => true,
            Self::Staged(_) | Self::Published(_) | Self::Held(_) => false,
        }
    }

    /// It came so far that its delivery must never go through a pipeline again (I2).
    pub fn is_begun(&self) -> bool {
        match self {
            Self::Planned => false,
            Self::Staged(_) | Self::Published(_) | Self::Held(_) | Self::Reopened(_) => true,
        }
    }
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
    /// It is kept to be sent, as this delivery.
    Queued(DeliveryId),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{MailboxId, WorkflowId};
    use crate::domain::onward::KeptHeader;

    fn folder(payload: Vec<Transform>) -> OutputPlan {
        let name = Name::new("inbox").expect("a name");
        OutputPlan::Folder(FolderPlan {
            name,
            layout: Layout::Folder,
            line_ends: LineEnds::Lf,
            folder: "/srv".into(),
            group: None,
            mode: 0o640,
            payload,
        })
    }

    fn mesh(payload: Vec<Transform>) -> OutputPlan {
        let mailbox = |id| MailboxId::new(id).expect("a mailbox id");
        OutputPlan::Mesh(MeshPlan {
            name: Name::new("onward").expect("a name"),
            from: mailbox("X26ABC1"),
            to: mailbox("X26ABC2"),
            workflow: WorkflowId::new("TOC").expect("a workflow id"),
            subject: Some("results".into()),
            keep: vec![KeptHeader::FileName],
            payload,
        })
    }

    #[test]
    fn ends_of_lines_read_back_and_a_plan_without_them_has_the_usual_ones() {
        for (words, line_ends) in [("", LineEnds::Lf), (r#""line_ends":"crlf","#, LineEnds::Crlf)] {
            let OutputPlan::Folder(plan) = folder(Vec::new()) else { panic!("it is a folder") };
            let plan = OutputPlan::Folder(FolderPlan { layout: Layout::MeshFolder, line_ends, ..plan });
            let journal =
                format!(r#"{{"name":"inbox","layout":"mesh-folder",{words}"folder":"/srv","group":null,"mode":416}}"#);
            assert_eq!(serde_json::to_string(&plan).expect("JSON"), journal);
            assert_eq!(serde_json::from_str::<OutputPlan>(&journal).expect("it reads"), plan);
            let index = postcard::to_allocvec(&plan).expect("postcard");
            assert_eq!(postcard::from_bytes::<OutputPlan>(&index).expect("it reads"), plan);
        }
    }

    #[test]
    fn a_plan_reads_back_from_journal_and_index() {
        let decrypt = Transform::Decrypt { identity: SecretRef::Credential("key".into()), max_bytes: 10 };
        for payload in [vec![], vec![Transform::Gunzip { max_bytes: 10, max_ratio: 2 }, decrypt]] {
            for plan in [folder(payload.clone()), mesh(payload)] {
                let journal = serde_json::to_string(&plan).expect("JSON");
                assert_eq!(serde_json::from_str::<OutputPlan>(&journal).expect("it reads"), plan);
                let index = postcard::to_allocvec(&vec![plan.clone(), plan.clone()]).expect("postcard");
                assert_eq!(postcard::from_bytes::<Vec<OutputPlan>>(&index).expect("it reads"), [plan.clone(), plan]);
            }
        }
    }

    #[test]
    fn an_untouched_payload_costs_the_journal_nothing() {
        let text = serde_json::to_string(&folder(Vec::new())).expect("JSON");
        assert_eq!(text, r#"{"name":"inbox","layout":"folder","folder":"/srv","group":null,"mode":416}"#);
    }
}
