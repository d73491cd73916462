//! `plan.image-builder`: images that a plugin describes and the host writes.
//!
//! The result is a layout below the run's scratch directory, and a wish for it as for any other image.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use oc_mirror_engine::content::ImageView;
use oc_mirror_engine::content::build::{BuildError, ImageSpec, LayerBuilder};
use oc_mirror_engine::content::filesystem::Kind;
use oc_mirror_model::manifest::RawManifest;
use oc_mirror_model::platform::Platform;
use oc_mirror_model::reference::Repository;
use oc_mirror_model::request::ImageRequest;
use wasmtime::component::Resource;

use crate::bindings::oc_mirror::plugin::plan::{BuildSpec, HostImageBuilder};
use crate::bindings::oc_mirror::plugin::types;
use crate::convert;
use crate::fault::{Answer, Fault};
use crate::imports::filesystem::{Copied, Filesystem};
use crate::imports::plan::Spool;
use crate::imports::streams::Writer;
use crate::scratch_layout::ScratchLayout;
use crate::state::StoreState;
use crate::text::clean;

/// The most labels, annotations or words of a command; images have a few dozen.
const MAX_ENTRIES: usize = 1_000;
/// The longest of them.
const MAX_TEXT: usize = 64 << 10;

/// An image that a plugin is describing.
pub struct Builder {
    request: ImageRequest,
    platforms: Vec<Platform>,
    base: Option<Arc<dyn ImageView>>,
    layer: LayerBuilder,
    files: Files,
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

/// Paths in images are written with or without a slash in front.
fn in_image(path: &str) -> &str {
    path.strip_prefix('/').unwrap_or(path)
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
            target_tag: Some(spec.target_tag),
            platforms: spec.platforms,
            with_referrers: false,
            provenance: Vec::new(),
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
                Some(images.open(&source).await?)
            }
            None => None,
        };
        Ok(Builder {
            request,
            platforms,
            base,
            layer: LayerBuilder::new(),
            files: Files::default(),
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
        let files = std::mem::take(&mut *self.files.lock().unwrap_or_else(PoisonError::into_inner));
        for (path, mode, file) in files {
            self.layer.file(&path, mode, file)?;
        }
        Ok(())
    }

    async fn write(&mut self, dir: PathBuf) -> Answer<RawManifest> {
        let text = dir.to_str().filter(|text| !text.contains([':', '@']));
        let text =
            text.ok_or_else(|| Fault::invalid("the scratch directory has a name that no reference takes"))?;
        let disk = |e| Fault::disk("the image cannot be written", &e);
        let layout = ScratchLayout::create(&dir).await.map_err(disk)?;
        let layer = std::mem::take(&mut self.layer).finish(&dir).await?;
        let spec = ImageSpec {
            base: self.base.as_deref(),
            platforms: self.platforms.clone(),
            layers: vec![&layer],
            labels: self.labels.clone(),
            annotations: self.annotations.clone(),
            cmd: self.cmd.clone(),
            created_by: "oc-mirror".to_owned(),
            ..ImageSpec::default()
        };
        let repository: Repository = "generated".parse().expect("a repository's name");
        let image = spec.build(&layout, &repository).await?;
        layout.finish(&image).await.map_err(disk)?;
        self.request.source = format!("oci:{text}@{}", image.digest());
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

    async fn remove(&mut self, builder: Resource<Builder>, path: String) -> Answer<()> {
        self.charge_items(1)?;
        self.builder(&builder)?.layer.whiteout(in_image(&path))?;
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
        let path = in_image(&path).to_owned();
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
        let dest = in_image(&dest).trim_end_matches('/');
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

    async fn finish(&mut self, builder: Resource<Builder>) -> Answer<String> {
        self.builder(&builder)?.gather()?;
        let dir = self.collecting()?.next_file();
        let builder = self.builder(&builder)?;
        let image = builder.write(dir).await?;
        builder.finished = true;
        let request = builder.request.clone();
        self.collecting()?.add_image(request);
        Ok(image.digest().to_string())
    }

    async fn drop(&mut self, builder: Resource<Builder>) -> wasmtime::Result<()> {
        self.table.delete(builder)?;
        Ok(())
    }
}
