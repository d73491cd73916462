//! `plan`: where a content source puts what it finds. [`Collecting`] keeps it until the call has ended well.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use oc_mirror_engine::content::CHUNK;
use oc_mirror_engine::source::{Artifact, Collected};
use oc_mirror_model::digest::{Algorithm, Digest, Hasher};
use oc_mirror_model::reference::Source;
use oc_mirror_model::request::ImageRequest;
use serde_json::Value;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use wasmtime::component::Resource;

use crate::bindings::oc_mirror::plugin::plan::{BuildSpec, Host, HostSink, Unavailable};
use crate::bindings::oc_mirror::plugin::types as wit;
use crate::convert;
use crate::fault::{Answer, Fault};
use crate::grants::Access;
use crate::imports::build::Builder;
use crate::imports::streams::{Reader, Writer};
use crate::state::StoreState;
use crate::text::{MESSAGE, clean};

/// The largest cluster resource. The API server takes 1.5 MiB.
const MAX_DOCUMENT: usize = 1 << 20;
/// The largest state of a plugin.
const MAX_STATE: usize = 16 << 20;
/// The longest path of a file.
const MAX_PATH: usize = 1024;
/// Bytes that one call may write to disk.
const MAX_WRITTEN: u64 = 16 << 30;
/// The cluster resources that say where mirrored content is. A plugin has no business with any other.
const KINDS: [&str; 7] = [
    "CatalogSource",
    "ClusterCatalog",
    "ConfigMap",
    "ImageContentSourcePolicy",
    "ImageDigestMirrorSet",
    "ImageTagMirrorSet",
    "UpdateService",
];

/// The handle through which a source hands over what it finds.
pub struct Sink;

/// What one call has handed over so far.
pub(crate) struct Collecting {
    collected: Collected,
    seen: HashSet<Digest>,
    names: BTreeSet<String>,
    /// Where files of this call go.
    pub(crate) dir: PathBuf,
    files: u64,
    written: u64,
    /// Why what has been handed over is not complete, although the guest may not have noticed.
    incomplete: Option<String>,
}

impl Collecting {
    /// Starts with nothing. Files go to a new directory below `scratch`.
    pub(crate) fn new(scratch: &Path) -> std::io::Result<Self> {
        let dir = tempfile::Builder::new().prefix("plugin-").tempdir_in(scratch)?.keep();
        Ok(Self {
            collected: Collected::default(),
            seen: HashSet::new(),
            names: BTreeSet::new(),
            dir,
            files: 0,
            written: 0,
            incomplete: None,
        })
    }

    /// Hands over everything; nothing if a part of it is missing.
    pub(crate) fn finish(self) -> Result<Collected, String> {
        match self.incomplete {
            Some(why) => Err(why),
            None => Ok(self.collected),
        }
    }

    /// Takes a wish, unless it is there already.
    pub(crate) fn add_image(&mut self, request: ImageRequest) -> bool {
        let key = serde_json::to_vec(&request).expect("plain data is serialisable");
        let new = self.seen.insert(Digest::of(&key));
        if new {
            self.collected.images.push(request);
        }
        new
    }

    /// Notes that something is missing from what was handed over.
    pub(crate) fn fail(&mut self, why: String) {
        self.incomplete.get_or_insert(why);
    }

    /// Returns a path for a new file.
    pub(crate) fn next_file(&mut self) -> PathBuf {
        self.files += 1;
        self.dir.join(self.files.to_string())
    }
}

/// A file that a guest is writing.
pub(crate) struct Spool {
    file: File,
    pub(crate) path: PathBuf,
    hasher: Hasher,
    pub(crate) size: u64,
}

impl Spool {
    pub(crate) async fn create(path: PathBuf) -> Answer<Self> {
        let file = File::create_new(&path).await.map_err(|e| Fault::disk("a file cannot be made", &e))?;
        Ok(Self { file, path, hasher: Algorithm::Sha256.hasher(), size: 0 })
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Answer<()> {
        self.file.write_all(bytes).await.map_err(|e| Fault::disk("a file cannot be written", &e))?;
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// Ends the file and returns its digest.
    pub(crate) async fn finish(&mut self) -> std::io::Result<Digest> {
        self.file.flush().await?;
        Ok(self.hasher.clone().finish())
    }
}

/// An opaque file of the imageset, being written.
pub struct ArtifactFile {
    path: String,
    spool: Spool,
}

impl ArtifactFile {
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Answer<()> {
        self.spool.write(bytes).await
    }
}

/// Returns the path as components, if it stays below where it starts and is written in the one normal way.
pub(crate) fn relative_path(path: &str) -> Answer<&str> {
    let good = |part: &str| !matches!(part, "" | "." | "..");
    let plain = !path.chars().any(|c| c.is_control() || c == '\\') && path.len() <= MAX_PATH;
    match plain && path.split('/').all(good) {
        true => Ok(path),
        false => Err(Fault::invalid(format!("`{}` is not a relative, normalised path", clean(path, 200)))),
    }
}

impl StoreState {
    pub(crate) fn collecting(&mut self) -> Answer<&mut Collecting> {
        self.collecting.as_mut().ok_or_else(|| Fault::denied("nothing is being collected"))
    }

    /// Takes handed over items from the budget of the call. What did not fit must not go unnoticed: then nothing of
    /// the call counts.
    pub(crate) fn charge_items(&mut self, count: u64) -> Answer<()> {
        self.meter.items = self.meter.items.saturating_add(count);
        let limit = self.shared.limits.items;
        if self.meter.items <= limit {
            return Ok(());
        }
        let why = format!("used up its {limit} items");
        self.collecting()?.fail(why.clone());
        Err(Fault::limit(why))
    }

    /// Takes bytes on disk from the budget of the call.
    pub(crate) fn charge_written(&mut self, bytes: u64) -> Answer<()> {
        let collecting = self.collecting()?;
        collecting.written = collecting.written.saturating_add(bytes);
        if collecting.written <= MAX_WRITTEN {
            return Ok(());
        }
        let why = format!("used up its {} GiB on disk", MAX_WRITTEN >> 30);
        collecting.fail(why.clone());
        Err(Fault::limit(why))
    }

    /// Writes all that is left of a stream to a file and returns how much it was.
    pub(crate) async fn spool_all(&mut self, reader: &mut Reader, spool: &mut Spool) -> Answer<u64> {
        let before = spool.size;
        loop {
            let piece = reader.next(CHUNK).await?;
            if piece.is_empty() {
                return Ok(spool.size - before);
            }
            self.charge_written(piece.len() as u64)?;
            spool.write(&piece).await?;
        }
    }

    /// Closes what a guest has written. An error has nowhere to go but to the end of the call.
    pub(crate) async fn finish_writer(&mut self, writer: Writer) {
        let finished = match writer {
            Writer::Artifact(file) => self.finish_artifact(file).await,
            Writer::Image(file) => self.finish_builder_file(file).await,
        };
        if let (Err(why), Ok(collecting)) = (finished, self.collecting()) {
            collecting.fail(why);
        }
    }

    async fn finish_artifact(&mut self, file: ArtifactFile) -> Result<(), String> {
        let ArtifactFile { path, mut spool } = file;
        let digest = spool.finish().await.map_err(|e| format!("`{path}` cannot be written: {e}"))?;
        if let Some(collecting) = &mut self.collecting {
            let artifact = Artifact { path, file: spool.path, digest, size: spool.size };
            collecting.collected.artifacts.push(artifact);
        }
        Ok(())
    }
}

impl HostSink for StoreState {
    async fn images(&mut self, _: Resource<Sink>, batch: Vec<wit::ImageRequest>) -> Answer<u32> {
        let mut checked = Vec::with_capacity(batch.len());
        for wish in batch {
            let (request, source) = convert::from_request(wish)?;
            // Registries are read by the engine as the user configured them; a directory of this machine is not
            // for every plugin to point at.
            if let Source::Layout(layout) = &source {
                self.check(Access::Layout(&layout.path))?;
            }
            checked.push(request);
        }
        self.charge_items(checked.len() as u64)?;
        let collecting = self.collecting()?;
        let new = checked.into_iter().map(|request| collecting.add_image(request));
        Ok(new.map(u32::from).sum())
    }

    async fn resource_document(&mut self, _: Resource<Sink>, name: String, document: String) -> Answer<()> {
        self.check(Access::Resources)?;
        let name = convert::word(&name, "name of a document")?;
        check_document(&document)?;
        self.charge_items(1)?;
        let collecting = self.collecting()?;
        if !collecting.names.insert(name.clone()) {
            return Err(Fault::invalid(format!("there is a document `{name}` already")));
        }
        collecting.collected.documents.push((name, document));
        Ok(())
    }

    async fn artifact(&mut self, _: Resource<Sink>, path: String) -> Answer<Resource<Writer>> {
        self.check(Access::Artifact)?;
        relative_path(&path)?;
        self.charge_items(1)?;
        let collecting = self.collecting()?;
        // A slash cannot be part of a document's name, so one set of names serves both.
        if !collecting.names.insert(format!("/{path}")) {
            return Err(Fault::invalid(format!("there is a file `{path}` already")));
        }
        let spool = Spool::create(collecting.next_file()).await?;
        Ok(self.table.push(Writer::Artifact(ArtifactFile { path, spool }))?)
    }

    async fn build(&mut self, _: Resource<Sink>, spec: BuildSpec) -> Answer<Resource<Builder>> {
        self.check(Access::Build)?;
        self.charge_items(1)?;
        let builder = self.start_builder(spec).await?;
        Ok(self.table.push(builder)?)
    }

    async fn warn(&mut self, _: Resource<Sink>, code: String, message: String) -> wasmtime::Result<()> {
        let warning = (clean(&code, 128), clean(&message, MESSAGE));
        if self.charge_items(1).is_ok()
            && let Ok(collecting) = self.collecting()
        {
            collecting.collected.warnings.push(warning);
        }
        Ok(())
    }

    async fn note(&mut self, _: Resource<Sink>, code: String, message: String) -> wasmtime::Result<()> {
        let note = (clean(&code, 128), clean(&message, MESSAGE));
        if self.charge_items(1).is_ok()
            && let Ok(collecting) = self.collecting()
        {
            collecting.collected.notes.push(note);
        }
        Ok(())
    }

    async fn drop(&mut self, sink: Resource<Sink>) -> wasmtime::Result<()> {
        self.table.delete(sink)?;
        Ok(())
    }
}

fn check_document(document: &str) -> Answer<()> {
    if document.len() > MAX_DOCUMENT {
        return Err(Fault::invalid(format!("a document has at most {MAX_DOCUMENT} bytes")));
    }
    let value: Value = serde_saphyr::from_str(document)
        .map_err(|e| Fault::invalid(format!("this is not one document: {}", clean(&e.to_string(), 1024))))?;
    let member = |name: &str| value.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let (Some(_), Some(kind)) = (member("apiVersion"), member("kind")) else {
        return Err(Fault::invalid("a cluster resource has `apiVersion` and `kind`"));
    };
    match KINDS.contains(&kind) {
        true => Ok(()),
        false => {
            let kind = clean(kind, 100);
            Err(Fault::denied(format!("`{kind}` is not a kind for plugins; valid are {}", KINDS.join(", "))))
        }
    }
}

impl Host for StoreState {
    async fn withheld(&mut self) -> wasmtime::Result<Vec<Unavailable>> {
        if let Ok(collecting) = self.collecting() {
            collecting.collected.minds_unavailable = true;
        }
        let known = self.run.as_ref().map(|run| run.services.unavailable.clone()).unwrap_or_default();
        let told = known.iter().map(|image| Unavailable {
            origin: image.origin.clone(),
            reason: image.reason.as_str().to_owned(),
            message: clean(&image.message, MESSAGE),
        });
        Ok(told.collect())
    }

    /// Without the capability there is no state, as for a plugin that runs for the first time.
    async fn load_state(&mut self) -> wasmtime::Result<Option<String>> {
        if !self.shared.permissions.allow(&Access::State) {
            return Ok(None);
        }
        let name = &self.shared.identity.name;
        Ok(self.run.as_ref().and_then(|run| run.services.state.get(name)).map(Value::to_string))
    }

    async fn save_state(&mut self, state: String) -> Answer<()> {
        self.check(Access::State)?;
        if state.len() > MAX_STATE {
            return Err(Fault::invalid(format!("a state has at most {} MiB", MAX_STATE >> 20)));
        }
        let state =
            serde_json::from_str(&state).map_err(|e| Fault::invalid(format!("this is not JSON: {e}")))?;
        self.collecting()?.collected.state = Some(state);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("a", true)]
    #[case("a/b-c/d.e", true)]
    #[case("", false)]
    #[case("/a", false)]
    #[case("a/", false)]
    #[case("a//b", false)]
    #[case("../a", false)]
    #[case("a/../b", false)]
    #[case("./a", false)]
    #[case("a\0b", false)]
    #[case("C:\\a", false)]
    fn paths(#[case] path: &str, #[case] good: bool) {
        assert_eq!(relative_path(path).is_ok(), good);
    }

    #[rstest]
    #[case("apiVersion: v1\nkind: ConfigMap\n", "")]
    #[case("{\"apiVersion\":\"config.openshift.io/v1\",\"kind\":\"ImageDigestMirrorSet\"}", "")]
    #[case("apiVersion: v1\nkind: ConfigMap\n---\napiVersion: v1\nkind: Secret\n", "not one document")]
    #[case("apiVersion: v1\nkind: Secret\n", "`Secret` is not a kind for plugins")]
    #[case("apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\n", "not a kind")]
    #[case("kind: ConfigMap\n", "`apiVersion` and `kind`")]
    #[case("[]", "`apiVersion` and `kind`")]
    fn documents(#[case] document: &str, #[case] reason: &str) {
        match check_document(document) {
            Ok(()) => assert_eq!(reason, ""),
            Err(Fault::Answer(error)) => {
                let text = crate::fault::describe(&error);
                assert!(!reason.is_empty() && text.contains(reason), "{text}");
            }
            Err(Fault::Trap(trap)) => panic!("{trap}"),
        }
    }
}
