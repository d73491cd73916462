//! [`Workspace`]: what runs keep between them, in `working-dir/`.
//!
//! | file | what |
//! |---|---|
//! | `metadata.json` | the record of the chain, on the connected side, unless it is kept elsewhere |
//! | `metadata.moved.json` | what it was before it was kept elsewhere |
//! | `outgoing/` | an imageset on its way into a bucket |
//! | `published.json` | which chain was published from here, and where to |
//! | `results/` | the report of each run |
//! | `resolved-config.yaml` | the last configuration with everything pinned |
//! | `cluster-resources/` | resources for clusters; once more than one target was published to, in a directory for each |
//! | `delete/` | lists of images to delete, and of those that were pruned |
//! | `cache/` | blobs and plugins' findings that are wanted again; can be removed at any time |
//! | `trust.keys` | the keys that have to have signed what is published from here; made by the user |
//! | `trust.plugins` | the keys of which one has to have signed each plugin of a configuration; made by the user |
//! | `dry-run/` | what `--dry-run` found |
//! | `scratch/` | files of a run under way |
//! | `lock` | held while a run uses the workspace |

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oc_mirror_model::digest::Digest;
use oc_mirror_model::imageset::{FORMAT, FormatVersion};
use oc_mirror_model::metadata::Chain;
use oc_mirror_model::reference::Target;
use oc_mirror_model::report::RunReport;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{WorkflowError, WorkflowErrorKind, resources};
use crate::fsx;
use crate::metadata::local::Local;
use crate::metadata::{MetadataError, MetadataStore, Stored};

/// The report of the last run.
const LAST_RESULT: &str = "results/result.json";
/// The directory that runs keep things in.
const NAME: &str = "working-dir";
/// The file of keys that are trusted to sign imagesets.
pub(super) const TRUST: &str = "trust.keys";
/// The file of keys that are trusted to sign plugins.
const TRUSTED_PUBLISHERS: &str = "trust.plugins";
/// Where resources for clusters are in it.
const RESOURCES: &str = "cluster-resources";

/// A workspace in use by this process.
pub struct Workspace {
    dir: PathBuf,
    /// The record in the workspace itself.
    own: Local,
    records: Arc<dyn MetadataStore>,
    /// Whether the record is kept elsewhere, where other workspaces may use it too.
    shared: bool,
    _lock: fsx::Lock,
}

/// The chain that was published from a workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Published {
    format: FormatVersion,
    /// The chain.
    pub uid: Uuid,
    /// The sequence that each target was brought to from here.
    pub targets: BTreeMap<String, u64>,
}

/// Returns the directory itself of the workspace in `parent`.
///
/// A path that ends with `working-dir` is taken as the workspace itself, as oc-mirror v2 does.
pub fn directory_of_workspace(parent: &Path) -> PathBuf {
    if parent.ends_with(NAME) { parent.to_owned() } else { parent.join(NAME) }
}

/// Names the directory of a target's resources: `r.example_5000+team` for `docker://r.example:5000/team`.
///
/// No two targets have the same: `_` in a registry's name is doubled, and nothing else has a `+`.
pub(super) fn directory_of(target: &str) -> String {
    let target = target.trim_start_matches("docker://");
    let (registry, prefix) = target.split_once('/').map_or((target, None), |(r, p)| (r, Some(p)));
    let mut name = registry.replace('_', "__").replace(':', "_");
    if let Some(prefix) = prefix {
        name = format!("{name}+{}", prefix.replace('/', "+"));
    }
    name
}

/// Names the file that is there while a target is published to.
fn publishing(target: &Target) -> String {
    format!("publishing/{}", directory_of(&target.to_string()))
}

/// Returns where the workspace in `parent` keeps what makes runs faster. It can be used beside a run.
pub fn cache_in(parent: &Path) -> PathBuf {
    cache_of(&directory_of_workspace(parent))
}

/// What plugins of the last run have left for the next one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Remembered {
    /// The sequence of that run; 0 if there was none.
    pub sequence: u64,
    /// The state of each source, by its name.
    pub state: BTreeMap<String, Value>,
}

/// Reads what the plugins of the workspace in `parent` would be told by the next run. Nothing is locked: it is of some moment.
/// A record that is kept elsewhere is not seen.
pub async fn remembered_in(parent: &Path) -> Result<Remembered, WorkflowError> {
    let records = Local::new(directory_of_workspace(parent).join("metadata.json"));
    let Some(uid) = records.chains().await?.first().copied() else { return Ok(Remembered::default()) };
    let stored = records.load(uid).await?;
    let last = stored.as_ref().and_then(|stored| stored.chain.last());
    Ok(Remembered {
        sequence: stored.as_ref().map_or(0, |stored| stored.chain.sequence()),
        state: last.map(|last| last.plugin_state.clone()).unwrap_or_default(),
    })
}

/// Resources for clusters that a workspace has, of one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourcesOf {
    /// The target: `docker://host/prefix`.
    pub target: String,
    /// The chain that was published there.
    pub chain: Uuid,
    /// Where they are; there may be none.
    pub dir: PathBuf,
}

/// Returns where the workspace in `parent` has resources for clusters, for each target that was published to from there. It
/// can be asked beside a run.
pub fn resources_in(parent: &Path) -> Result<Vec<ResourcesOf>, WorkflowError> {
    let dir = directory_of_workspace(parent);
    let Some(published) = published_in(&dir)? else { return Ok(Vec::new()) };
    let root = dir.join(RESOURCES);
    let is_only = published.targets.len() == 1;
    let of = |target: &String| ResourcesOf {
        target: target.clone(),
        chain: published.uid,
        dir: if is_only { root.clone() } else { root.join(directory_of(target)) },
    };
    Ok(published.targets.keys().map(of).collect())
}

/// Returns where the workspace in `parent` has the keys that are trusted to sign imagesets, if the user has put any there.
pub fn trusted_keys_in(parent: &Path) -> PathBuf {
    directory_of_workspace(parent).join(TRUST)
}

/// Returns where the workspace in `parent` has the keys that are trusted to sign plugins, if the user has put any there.
pub fn trusted_publishers_in(parent: &Path) -> PathBuf {
    directory_of_workspace(parent).join(TRUSTED_PUBLISHERS)
}

fn published_in(dir: &Path) -> Result<Option<Published>, WorkflowError> {
    let path = dir.join("published.json");
    let failed = |source| WorkflowErrorKind::Workspace { path: path.display().to_string(), source };
    match fsx::read(&path) {
        Ok(bytes) => {
            let published = serde_json::from_slice(&bytes).map_err(|e| failed(std::io::Error::other(e)))?;
            Ok(Some(published))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error).into()),
    }
}

/// What is noted of a record when publishing begins.
fn noted(record: Option<&Digest>) -> String {
    record.map_or_else(|| "no record".to_owned(), ToString::to_string)
}

fn cache_of(dir: &Path) -> PathBuf {
    dir.join("cache")
}

impl Workspace {
    /// Opens the workspace in `parent`, making it if need be, and keeps others out.
    pub fn open(parent: &Path) -> Result<Self, WorkflowError> {
        let dir = directory_of_workspace(parent);
        let failed = |source| WorkflowErrorKind::Workspace { path: dir.display().to_string(), source };
        fsx::durable_dir(&dir).and_then(|()| fsx::create_dir_all(&dir.join("results"))).map_err(failed)?;
        match fsx::Lock::acquire(&dir.join("lock")) {
            Ok(lock) => {
                // Of runs that were killed while they replaced a file; nobody else is at work now.
                fsx::remove_temporaries(&dir).map_err(failed)?;
                fsx::remove_temporaries(&dir.join("results")).map_err(failed)?;
                let own = Local::new(dir.join("metadata.json"));
                Ok(Self { dir, records: Arc::new(own.clone()), own, shared: false, _lock: lock })
            }
            Err(fsx::LockError::Held { holder, .. }) => {
                Err(WorkflowErrorKind::Locked { path: dir.display().to_string(), holder }.into())
            }
            Err(fsx::LockError::Io { source, .. }) => Err(failed(source).into()),
        }
    }

    /// Keeps the record of the chain elsewhere, where several workspaces may work on it.
    pub fn with_records(self, records: Arc<dyn MetadataStore>) -> Self {
        Self { records, shared: true, ..self }
    }

    /// Answers whether other workspaces may work on the same record.
    pub fn is_shared(&self) -> bool {
        self.shared
    }

    /// Returns the directory of imagesets that are to go elsewhere.
    pub fn outgoing(&self) -> PathBuf {
        self.dir.join("outgoing")
    }

    /// Returns the directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns where runs keep what makes the next one faster.
    pub fn cache(&self) -> PathBuf {
        cache_of(&self.dir)
    }

    /// Returns where the record of the chain is kept on this side.
    pub fn metadata(&self) -> &Arc<dyn MetadataStore> {
        &self.records
    }

    /// Returns which chain was published from here.
    pub fn published(&self) -> Result<Option<Published>, WorkflowError> {
        published_in(&self.dir)
    }

    /// Answers whether publishing to a target began and did not come to its end.
    pub(super) fn was_cut_off(&self, target: &Target) -> bool {
        self.dir.join(publishing(target)).exists()
    }

    /// Notes that publishing to a target with this record begins. Answers whether it began before and did not come to its end:
    /// then there may be more at the target than any record says.
    pub fn begin_publishing(&self, target: &Target, record: Option<&Digest>) -> Result<bool, WorkflowError> {
        let was_cut_off = self.was_cut_off(target);
        if !was_cut_off {
            self.write(&publishing(target), noted(record).as_bytes())?;
        }
        Ok(was_cut_off)
    }

    /// Answers whether publishing to a target was cut off, and somebody may have published there since: then this
    /// workspace may have moved tags back which they had moved.
    pub(super) fn was_overtaken(
        &self,
        target: &Target,
        record: Option<&Digest>,
    ) -> Result<bool, WorkflowError> {
        let path = self.dir.join(publishing(target));
        match fsx::read(&path) {
            Ok(found) => Ok(found != noted(record).as_bytes()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(source) => {
                Err(WorkflowErrorKind::Workspace { path: path.display().to_string(), source }.into())
            }
        }
    }

    /// Notes that all that was published to a target is in its record.
    pub fn end_publishing(&self, target: &Target) -> Result<(), WorkflowError> {
        self.remove(&publishing(target))
    }

    /// Notes that a sequence was published.
    pub fn note_published(&self, uid: Uuid, target: &str, sequence: u64) -> Result<(), WorkflowError> {
        let before = self.published()?.filter(|p| p.uid == uid);
        let mut published = before.unwrap_or(Published { format: FORMAT, uid, targets: BTreeMap::new() });
        if let Some(only) = published.targets.keys().next().filter(|only| *only != target)
            && published.targets.len() == 1
        {
            self.make_room_beside(only)?;
        }
        published.targets.insert(target.to_owned(), sequence);
        let bytes = serde_json::to_vec_pretty(&published).expect("strings and numbers serialise");
        self.write("published.json", &bytes)
    }

    /// Answers whether nothing else was published to from here.
    pub fn is_only_target(&self, target: &Target) -> Result<bool, WorkflowError> {
        let target = target.to_string();
        Ok(self.published()?.is_none_or(|p| p.targets.keys().all(|other| *other == target)))
    }

    /// Returns the directory of the resources for clusters of a target.
    ///
    /// It is `cluster-resources` itself as long as nothing else was published to from here. From then on each target has a
    /// directory of its own in it.
    pub fn cluster_resources(&self, target: &Target) -> Result<PathBuf, WorkflowError> {
        let root = self.dir.join(RESOURCES);
        Ok(if self.is_only_target(target)? { root } else { root.join(directory_of(&target.to_string())) })
    }

    /// Puts the resources of what was the only target into a directory of their own.
    fn make_room_beside(&self, only: &str) -> Result<(), WorkflowError> {
        let root = self.dir.join(RESOURCES);
        let failed = |source| WorkflowErrorKind::Workspace { path: root.display().to_string(), source };
        let own = root.join(directory_of(only));
        for name in resources::ours(&root).map_err(failed)? {
            fsx::create_dir_all(&own).map_err(failed)?;
            fsx::rename(&root.join(&name), &own.join(&name)).map_err(failed)?;
        }
        Ok(())
    }

    /// Returns the chain that this workspace belongs to, made or published.
    pub async fn uid(&self) -> Result<Option<Uuid>, WorkflowError> {
        let recorded = self.records.chains().await?.first().copied();
        let own = self.own.chains().await?.first().copied();
        match (recorded, own) {
            (Some(found), Some(own)) if found != own => {
                let path = self.records.name();
                Err(WorkflowErrorKind::PlaceOfOtherChain { path, found, wanted: own }.into())
            }
            (Some(uid), _) | (None, Some(uid)) => Ok(Some(uid)),
            (None, None) => Ok(self.published()?.map(|p| p.uid)),
        }
    }

    /// Reads the record of a chain, with what a commit compares against. A record that this workspace has kept for itself so
    /// far is where the one kept elsewhere begins.
    pub(super) async fn load_record(&self, uid: Uuid) -> Result<(Chain, Option<Stored>), WorkflowError> {
        let found = self.records.load(uid).await?;
        if found.is_none()
            && self.shared
            && let Some(own) = self.own.load(uid).await?
        {
            return Ok((own.chain, None));
        }
        Ok((found.as_ref().map_or_else(|| Chain::new(uid), |f| f.chain.clone()), found))
    }

    /// Fails if somebody else has committed since the record was `found`.
    pub(super) async fn check_unchanged(
        &self,
        uid: Uuid,
        found: Option<&Stored>,
    ) -> Result<(), WorkflowError> {
        let now = match self.records.revision(uid).await {
            Err(MetadataError::OtherChain { place, .. }) => {
                return Err(MetadataError::Conflict { place }.into());
            }
            now => now?,
        };
        if now.as_ref() == found.map(|f| &f.revision) {
            return Ok(());
        }
        Err(MetadataError::Conflict { place: self.records.name() }.into())
    }

    /// Commits the record. Where it is kept elsewhere, one that is still here is set aside, so that there are not two.
    pub(super) async fn commit_record(
        &self,
        chain: &Chain,
        found: Option<&Stored>,
    ) -> Result<(), WorkflowError> {
        self.records.commit(chain, found.map(|found| &found.revision)).await?;
        if self.shared && self.own.path().exists() {
            let aside = self.dir.join("metadata.moved.json");
            fsx::rename(self.own.path(), &aside).map_err(|source| WorkflowErrorKind::Workspace {
                path: self.own.path().display().to_string(),
                source,
            })?;
        }
        Ok(())
    }

    /// Writes a file of the workspace, replacing it in one step.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), WorkflowError> {
        self.write_below(&self.dir, name, bytes)
    }

    /// Removes a file of the workspace, if it is there.
    pub(super) fn remove(&self, name: &str) -> Result<(), WorkflowError> {
        let path = self.dir.join(name);
        fsx::remove_if_there(&path).map_err(|source| {
            WorkflowErrorKind::Workspace { path: path.display().to_string(), source }.into()
        })
    }

    /// Writes a file below a directory of the workspace, replacing it in one step.
    pub fn write_below(&self, dir: &Path, name: &str, bytes: &[u8]) -> Result<(), WorkflowError> {
        replace(&dir.join(name), |file| file.write_all(bytes))
    }

    /// Copies a file into the workspace, replacing what is there in one step.
    pub(super) fn copy(&self, name: &str, from: &Path) -> Result<(), WorkflowError> {
        replace(&self.dir.join(name), |file| io::copy(&mut File::open(from)?, file).map(drop))
    }

    /// Keeps the report of a run: as the last one, and for its sequence.
    pub fn keep_report(&self, report: &RunReport) -> Result<(), WorkflowError> {
        // It may have tens of thousands of images.
        let write = |name: &str| {
            replace(&self.dir.join(name), |file| {
                let mut file = BufWriter::new(file);
                serde_json::to_writer_pretty(&mut file, report)?;
                file.write_all(b"\n")?;
                file.flush()
            })
        };
        if let Some(last) = report.imagesets.last().filter(|_| !report.dry_run) {
            let name = format!("results/seq{}-{}.json", last.sequence, report.workflow.as_str());
            write(&name)?;
        }
        write(LAST_RESULT)
    }

    /// Returns where the report of the last run is.
    pub fn last_result(&self) -> PathBuf {
        self.dir.join(LAST_RESULT)
    }

    /// Returns where files of a run under way are, from the root. Whoever is lent the directory names it so, and what is in there
    /// is recognised by that.
    pub fn scratch_path(&self) -> io::Result<PathBuf> {
        std::path::absolute(self.dir.join("scratch"))
    }

    /// Makes an empty directory for files of this run; what an earlier run left there is removed.
    pub fn scratch(&self) -> Result<Scratch, WorkflowError> {
        let path = self.scratch_path().map_err(|source| WorkflowErrorKind::Workspace {
            path: self.dir.display().to_string(),
            source,
        })?;
        let failed = |source| WorkflowErrorKind::Workspace { path: path.display().to_string(), source };
        match fsx::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error).into()),
            _ => {}
        }
        fsx::create_dir(&path).map_err(failed)?;
        Ok(Scratch { path })
    }
}

/// Writes a file in one step, and the directories that it is in where they are not there.
fn replace(
    path: &Path,
    write: impl FnOnce(&mut fsx::Sink<'_>) -> io::Result<()>,
) -> Result<(), WorkflowError> {
    let made = path.parent().map_or(Ok(()), fsx::durable_dir);
    let written = made.and_then(|()| fsx::write_atomic_with(path, write));
    written.map_err(|source| WorkflowErrorKind::Workspace { path: path.display().to_string(), source }.into())
}

/// A directory that is gone when the run ends.
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Returns the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What remains is removed by the next run.
        let _ = fsx::remove_dir_all(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "kind: X\nmetadata:\n  annotations:\n    createdBy: oc-mirror\n";
    const FILE: &str = "idms-oc-mirror.yaml";

    fn target(text: &str) -> Target {
        text.parse().expect("a target")
    }

    #[test]
    fn directories_of_targets_differ() {
        let targets = [
            "docker://r.example",
            "docker://r.example:5000",
            "docker://r.example/5000",
            "docker://r.example/a/b",
            "docker://r.example/a_b",
            "docker://odd_5000",
            "docker://odd:5000",
        ];
        let names: std::collections::BTreeSet<String> =
            targets.iter().map(|text| directory_of(&target(text).to_string())).collect();
        assert_eq!(names.len(), targets.len(), "{names:?}");
        assert!(names.contains("r.example_5000") && names.contains("r.example+a+b"), "{names:?}");
        assert!(names.iter().all(|name| !name.contains(['/', ':'])), "{names:?}");
    }

    #[test]
    fn one_target_has_the_directory_for_itself_and_several_have_one_each() {
        let home = tempfile::tempdir().expect("a temporary directory");
        let workspace = Workspace::open(home.path()).expect("a workspace");
        let (a, b) = (target("docker://a.example:5000"), target("docker://a.example:5000/b"));
        let root = workspace.dir().join(RESOURCES);
        let note = |target: &Target| {
            workspace.note_published(Uuid::nil(), &target.to_string(), 1).expect("noted");
            workspace.cluster_resources(target).expect("a directory")
        };
        assert_eq!(workspace.cluster_resources(&a).expect("a directory"), root);
        assert_eq!(note(&a), root);
        for (name, text) in [(FILE, OURS), ("cs-mine.yaml", "kind: CatalogSource\n")] {
            workspace.write_below(&root, name, text.as_bytes()).expect("written");
        }
        assert_eq!(note(&a), root);
        assert!(root.join(FILE).is_file());
        // What there is for the one makes room for the other; what the user put there stays.
        assert_eq!(note(&b), root.join("a.example_5000+b"));
        let own = workspace.cluster_resources(&a).expect("a directory");
        assert_eq!(own, root.join("a.example_5000"));
        let there = [root.join(FILE), own.join(FILE), root.join("cs-mine.yaml")].map(|path| path.is_file());
        assert_eq!(there, [false, true, true]);
        let listed: Vec<PathBuf> =
            resources_in(workspace.dir()).expect("read").into_iter().map(|of| of.dir).collect();
        assert_eq!(listed, [own.clone(), root.join("a.example_5000+b")]);
        assert_eq!(note(&a), own);
    }
}
