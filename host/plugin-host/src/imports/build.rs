//! `plan.image-builder`: images that a plugin describes and the host writes.
//!
//! The result is a layout below the run's scratch directory, and a wish for it as for any other image.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use oc_mirror_engine::content::ImageView;
use oc_mirror_engine::content::build::{BuildError, ImageSpec, LayerBuilder};
use oc_mirror_engine::content::filesystem::{FilesystemError, Kind, Limits, Unpacked, unpack};
use oc_mirror_model::manifest::RawManifest;
use oc_mirror_model::platform::Platform;
use oc_mirror_model::reference::{Repository, Source, Tag};
use oc_mirror_model::request::ImageRequest;
use tokio::io::AsyncWriteExt;
use wasmtime::component::Resource;

use crate::bindings::oc_mirror::plugin::plan::{BuildSpec, HostImageBuilder};
use crate::bindings::oc_mirror::plugin::types;
use crate::convert;
use crate::fault::{Answer, Fault};
use crate::imports::filesystem::{Copied, Filesystem};
use crate::imports::plan::Spool;
use crate::imports::streams::{Reader, Writer};
use crate::scratch_layout::ScratchLayout;
use crate::state::StoreState;
use crate::text::clean;

/// The most labels, annotations or words of a command; images have a few dozen.
const MAX_ENTRIES: usize = 1_000;
/// The longest of them.
const MAX_TEXT: usize = 64 << 10;

/// The most files and directories of an archive that is unpacked into an image.
const MAX_UNPACKED: usize = 100_000;
/// The most bytes of them.
const MAX_UNPACKED_BYTES: u64 = 1 << 30;

/// An image that a plugin is describing.
pub struct Builder {
    request: ImageRequest,
    /// Whether the tag is made of the result's digest.
    tag_by_digest: bool,
    platforms: Vec<Platform>,
    base: Option<(Source, Arc<dyn ImageView>)>,
    layer: LayerBuilder,
    files: Files,
    /// Files that grow piece by piece, by their path in the image. They may be many, so none is held open.
    growing: BTreeMap<String, (u32, PathBuf)>,
    /// Directories of which nothing of the base remains, with their modes.
    cleared: BTreeMap<String, u32>,
    entrypoint: Option<Vec<String>>,
    /// The directories that were cleared, for the image's history.
    about: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    cmd: Option<Vec<String>>,
    finished: bool,
}

/// Files that have been written to their end, shared with the writers that are still at it.
type Files = Arc<Mutex<Vec<(String, u32, PathBuf)>>>;

/// A file of an image, being written.
pub struct BuilderFile {
    files: Files,
    path: String,
    mode: u32,
    spool: Spool,
}

impl BuilderFile {
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Answer<()> {
        self.spool.write(bytes).await
    }
}

impl From<BuildError> for Fault {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Content(error) => error.into(),
            BuildError::Path { .. } | BuildError::Base { .. } => {
                Self::invalid(clean(&error.to_string(), 1024))
            }
            BuildError::Disk { source, .. } => Self::disk("the image cannot be written", &source),
            BuildError::Cancelled => Self::Answer(types::Error::Cancelled),
        }
    }
}

async fn append(file: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut file = tokio::fs::File::options().create(true).append(true).open(file).await?;
    file.write_all(content).await?;
    file.flush().await
}

/// Answers whether a path is below a directory.
fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

/// Paths in images are written with or without a slash in front. Names that a guest makes up have nothing in them that would
/// move the cursor of whoever lists the image.
fn in_image(path: &str) -> Answer<&str> {
    match path.chars().any(char::is_control) {
        true => Err(Fault::invalid(format!("`{}` has control characters in it", clean(path, 200)))),
        false => Ok(path.strip_prefix('/').unwrap_or(path)),
    }
}

fn set(map: &mut BTreeMap<String, String>, key: String, value: String) -> bool {
    let fits = map.len() < MAX_ENTRIES && key.len() + value.len() <= MAX_TEXT;
    if fits {
        map.insert(key, value);
    }
    fits
}

impl StoreState {
    pub(crate) async fn start_builder(&mut self, spec: BuildSpec) -> Answer<Builder> {
        let wish = types::ImageRequest {
            // Replaced by the layout once there is one.
            source: spec.origin.clone(),
            origin: spec.origin,
            kind: spec.kind,
            target_repository: Some(spec.target_repository),
            target_tag: Some(spec.target_tag).filter(|tag| !tag.is_empty()),
            platforms: spec.platforms,
            with_referrers: false,
            provenance: spec.provenance,
        };
        let (mut request, _) = convert::from_request(wish)?;
        // What is built has these platforms and no others, so there is nothing to choose from later.
        let platforms = std::mem::take(&mut request.platforms);
        let base = match spec.base {
            Some(base) => {
                let source = convert::source(&base)?;
                self.check_source(&source)?;
                self.charge_requests(1)?;
                let images = self.services()?.images.clone();
                let view = images.open(&source).await?;
                Some((source, view))
            }
            None => None,
        };
        Ok(Builder {
            tag_by_digest: request.target_tag.is_none(),
            request,
            platforms,
            base,
            layer: LayerBuilder::new(),
            files: Files::default(),
            growing: BTreeMap::new(),
            cleared: BTreeMap::new(),
            entrypoint: None,
            about: String::new(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            cmd: None,
            finished: false,
        })
    }

    pub(crate) async fn finish_builder_file(&mut self, file: BuilderFile) -> Result<(), String> {
        let BuilderFile { files, path, mode, mut spool } = file;
        spool.finish().await.map_err(|e| format!("`{path}` cannot be written: {e}"))?;
        files.lock().unwrap_or_else(PoisonError::into_inner).push((path, mode, spool.path));
        Ok(())
    }

    fn builder(&mut self, builder: &Resource<Builder>) -> Answer<&mut Builder> {
        let builder = self.table.get_mut(builder)?;
        match builder.finished {
            true => Err(Fault::invalid("the image is finished")),
            false => Ok(builder),
        }
    }

    /// For calls that have no result: what was left out must not go unnoticed.
    fn change_builder(
        &mut self,
        builder: &Resource<Builder>,
        change: impl FnOnce(&mut Builder) -> bool,
    ) -> wasmtime::Result<()> {
        match self.builder(builder).map(change) {
            Ok(true) => return Ok(()),
            Err(Fault::Trap(trap)) => return Err(trap),
            Ok(false) | Err(Fault::Answer(_)) => {}
        }
        if let Ok(collecting) = self.collecting() {
            collecting.fail("a generated image has too many or too long settings".to_owned());
        }
        Ok(())
    }
}

impl Builder {
    /// Moves the files that are complete into the layer.
    fn gather(&mut self) -> Answer<()> {
        if Arc::strong_count(&self.files) > 1 {
            return Err(Fault::invalid("a file of the image is still being written"));
        }
        let mut files = std::mem::take(&mut *self.files.lock().unwrap_or_else(PoisonError::into_inner));
        let growing = std::mem::take(&mut self.growing);
        files.extend(growing.into_iter().map(|(path, (mode, file))| (path, mode, file)));
        self.add_directories(files.iter().map(|(path, ..)| path.as_str()))?;
        for (path, mode, file) in files {
            self.layer.file(&path, mode, file)?;
        }
        Ok(())
    }

    /// Adds the directories that were cleared, and those of the new files in them: nothing else would say how they
    /// may be entered.
    fn add_directories<'a>(&mut self, files: impl Iterator<Item = &'a str>) -> Answer<()> {
        let cleared = std::mem::take(&mut self.cleared);
        let mut directories: BTreeMap<&str, u32> = BTreeMap::new();
        for path in files {
            let above = path.match_indices('/').map(|(at, _)| &path[..at]);
            let below = |dir: &&str| cleared.keys().any(|top| is_below(dir, top));
            directories.extend(above.filter(below).map(|dir| (dir, 0o755)));
        }
        directories.extend(cleared.iter().map(|(dir, mode)| (dir.as_str(), *mode)));
        for (dir, mode) in directories {
            self.layer.directory(dir, mode)?;
        }
        for dir in cleared.keys() {
            self.layer.opaque(dir)?;
        }
        Ok(())
    }

    /// Adds what an archive holds, each directory named once: whoever unpacks the layer need not make any up.
    fn add_unpacked(&mut self, dest: &str, found: Vec<Unpacked>) -> Answer<u64> {
        let mut directories = BTreeSet::from([dest.to_owned()]);
        let mut files = 0;
        for unpacked in found {
            let path = format!("{dest}/{}", unpacked.path);
            let above = path.match_indices('/').map(|(at, _)| path[..at].to_owned());
            directories.extend(above.filter(|dir| is_below(dir, dest)));
            match unpacked.file {
                Some(file) => {
                    files += 1;
                    self.layer.file(&path, if unpacked.is_executable { 0o755 } else { 0o644 }, file)?;
                }
                None => {
                    directories.insert(path);
                }
            }
        }
        for directory in directories {
            self.layer.directory(&directory, 0o755)?;
        }
        Ok(files)
    }

    async fn write(&mut self, dir: PathBuf) -> Answer<RawManifest> {
        let text = dir.to_str().filter(|text| !text.contains([':', '@']));
        let text =
            text.ok_or_else(|| Fault::invalid("the scratch directory has a name that no reference takes"))?;
        let disk = |e| Fault::disk("the image cannot be written", &e);
        let layout = ScratchLayout::create(&dir).await.map_err(disk)?;
        let layer = std::mem::take(&mut self.layer).finish(&dir).await?;
        let spec = ImageSpec {
            base: self.base.as_ref().map(|(_, view)| &**view),
            platforms: self.platforms.clone(),
            layers: vec![&layer],
            labels: self.labels.clone(),
            annotations: self.annotations.clone(),
            cmd: self.cmd.clone(),
            entrypoint: self.entrypoint.clone(),
            created_by: format!("oc-mirror {}", self.about),
            leave_base: true,
            ..ImageSpec::default()
        };
        let repository: Repository = "generated".parse().expect("a repository's name");
        let image = spec.build(&layout, &repository).await?;
        layout.finish(&image).await.map_err(disk)?;
        self.request.source = format!("oci:{text}@{}", image.digest());
        if self.tag_by_digest {
            self.request.target_tag = Some(Tag::for_digest(image.digest()));
        }
        Ok(image)
    }
}

impl HostImageBuilder for StoreState {
    async fn label(
        &mut self,
        builder: Resource<Builder>,
        key: String,
        value: String,
    ) -> wasmtime::Result<()> {
        self.change_builder(&builder, |b| set(&mut b.labels, key, value))
    }

    async fn annotation(
        &mut self,
        builder: Resource<Builder>,
        key: String,
        value: String,
    ) -> wasmtime::Result<()> {
        self.change_builder(&builder, |b| set(&mut b.annotations, key, value))
    }

    async fn cmd(&mut self, builder: Resource<Builder>, args: Vec<String>) -> wasmtime::Result<()> {
        self.change_builder(&builder, |b| {
            let fits = args.len() <= MAX_ENTRIES && args.iter().map(String::len).sum::<usize>() <= MAX_TEXT;
            b.cmd = Some(args);
            fits
        })
    }

    async fn entrypoint(&mut self, builder: Resource<Builder>, args: Vec<String>) -> wasmtime::Result<()> {
        self.change_builder(&builder, |b| {
            let fits = args.len() <= MAX_ENTRIES && args.iter().map(String::len).sum::<usize>() <= MAX_TEXT;
            b.entrypoint = Some(args);
            fits
        })
    }

    async fn clear(&mut self, builder: Resource<Builder>, path: String, mode: u32) -> Answer<()> {
        self.charge_items(1)?;
        let path = in_image(&path)?.trim_end_matches('/').to_owned();
        self.builder(&builder)?.cleared.insert(path, mode & 0o7777);
        Ok(())
    }

    async fn append(
        &mut self,
        builder: Resource<Builder>,
        path: String,
        mode: u32,
        content: Vec<u8>,
    ) -> Answer<()> {
        self.charge_items(1)?;
        self.charge_written(content.len() as u64)?;
        let path = in_image(&path)?.to_owned();
        let new = self.collecting()?.next_file();
        let growing = &mut self.builder(&builder)?.growing;
        let (_, file) = growing.entry(path).or_insert_with(|| (mode & 0o7777, new));
        append(file, &content).await.map_err(|e| Fault::disk("a file cannot be written", &e))
    }

    async fn remove(&mut self, builder: Resource<Builder>, path: String) -> Answer<()> {
        self.charge_items(1)?;
        self.builder(&builder)?.layer.whiteout(in_image(&path)?)?;
        Ok(())
    }

    async fn file(
        &mut self,
        builder: Resource<Builder>,
        path: String,
        mode: u32,
    ) -> Answer<Resource<Writer>> {
        self.charge_items(1)?;
        let spooled = self.collecting()?.next_file();
        let files = Arc::clone(&self.builder(&builder)?.files);
        let path = in_image(&path)?.to_owned();
        let spool = Spool::create(spooled).await?;
        let file = BuilderFile { files, path, mode: mode & 0o7777, spool };
        Ok(self.table.push(Writer::Image(file))?)
    }

    /// Returns how many bytes were copied.
    async fn copy_from(
        &mut self,
        builder: Resource<Builder>,
        from: Resource<Filesystem>,
        path: String,
        dest: String,
    ) -> Answer<u64> {
        self.builder(&builder)?;
        let filesystem = self.table.get(&from)?.clone();
        let mut total = 0;
        let dest = in_image(&dest)?.trim_end_matches('/');
        for Copied { below, entry } in filesystem.subtree(&path)? {
            self.charge_items(1)?;
            let to = match (dest.is_empty(), below.is_empty()) {
                (true, _) => below,
                (_, true) => dest.to_owned(),
                _ => format!("{dest}/{below}"),
            };
            match entry.kind {
                // The root is there in every image, and nothing can be said of it in a layer.
                _ if to.is_empty() => {}
                Kind::Directory => {
                    self.builder(&builder)?.layer.directory(&to, entry.mode)?;
                }
                Kind::Symlink => {
                    let target = entry.link_target.unwrap_or_default();
                    self.builder(&builder)?.layer.symlink(&to, &target)?;
                }
                Kind::File => {
                    let mut reader = filesystem.reader(&entry.path).await?;
                    let mut spool = Spool::create(self.collecting()?.next_file()).await?;
                    total += self.spool_all(&mut reader, &mut spool).await?;
                    spool.finish().await.map_err(|e| Fault::disk("a file cannot be written", &e))?;
                    self.builder(&builder)?.layer.file(&to, entry.mode, spool.path)?;
                }
                // Devices have no place in what plugins generate.
                Kind::Special => {}
            }
        }
        Ok(total)
    }

    async fn unpack(
        &mut self,
        builder: Resource<Builder>,
        archive: Resource<Reader>,
        dest: String,
    ) -> Answer<u64> {
        self.charge_items(1)?;
        self.builder(&builder)?;
        let scratch = self.collecting()?.next_file();
        let stream = self.table.get_mut(&archive)?.take();
        let limits = Limits { entries: MAX_UNPACKED, output_bytes: MAX_UNPACKED_BYTES, ..Limits::default() };
        let found = unpack(stream, &scratch, limits).await.map_err(|error| match error {
            FilesystemError::Limit { what, .. } => {
                Fault::limit(format!("an archive goes beyond a limit: {what}"))
            }
            FilesystemError::Invalid { reason, .. } => {
                Fault::invalid(clean(&format!("the archive cannot be read: {reason}"), 1024))
            }
            error => error.into(),
        })?;
        self.charge_items(found.len() as u64)?;
        self.charge_written(found.iter().map(|u| u.size).sum())?;
        let dest = in_image(&dest)?.trim_end_matches('/');
        self.builder(&builder)?.add_unpacked(dest, found)
    }

    async fn finish(&mut self, builder: Resource<Builder>) -> Answer<String> {
        let dir = self.collecting()?.next_file();
        let builder = self.builder(&builder)?;
        builder.about = builder.cleared.keys().map(|dir| format!("/{dir}")).collect::<Vec<_>>().join(" ");
        builder.gather()?;
        let image = builder.write(dir.clone()).await?;
        builder.finished = true;
        let request = builder.request.clone();
        if let Some((base, _)) = &builder.base {
            let base = base.clone();
            let images = self.services()?.images.clone();
            images.extend(&dir, &base).await?;
        }
        self.collecting()?.add_image(request);
        Ok(image.digest().to_string())
    }

    async fn drop(&mut self, builder: Resource<Builder>) -> wasmtime::Result<()> {
        self.table.delete(builder)?;
        Ok(())
    }
}
