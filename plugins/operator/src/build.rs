//! Describes the catalog that offers what was selected: the original image with one layer on top.

use std::collections::BTreeMap;

use oc_mirror_catalog::{Catalog, Entry, Problems, Renderer, Selection};
use oc_mirror_plugin_sdk::host::plan::{BuildSpec, ImageBuilder};
use oc_mirror_plugin_sdk::{Error, Sink, other, warning};

use crate::base::{Base, CONFIGS};
use crate::collect::platforms;
use crate::fault;
use crate::read::{CONFIGS_LABEL, CatalogImage, Found};
use crate::target::Target;

/// How much is collected before it goes to the host.
const BATCH: usize = 1 << 20;
/// The most bytes that go to the host in one call.
const PIECE: usize = 4 << 20;

/// What a catalog is built of.
pub(crate) struct Plan<'a> {
    pub(crate) entry: &'a Entry,
    pub(crate) target: &'a Target,
    pub(crate) image: &'a CatalogImage,
    pub(crate) catalog: &'a Catalog,
    pub(crate) selection: &'a Selection,
    pub(crate) provenance: Vec<(String, String)>,
}

impl Plan<'_> {
    /// Has the catalog built.
    pub(crate) fn build(&self, out: &Sink) -> Result<(), Error> {
        let builder = out.build(&BuildSpec {
            kind: "catalog".to_owned(),
            origin: self.target.origin.clone(),
            target_repository: self.target.repository.clone(),
            target_tag: self.target.tag.clone().unwrap_or_default(),
            base: Some(self.image.pinned.clone()),
            platforms: platforms(self.entry),
            provenance: self.provenance.clone(),
        })?;
        self.start(&builder, out)?;
        self.write(&builder)?;
        builder.finish().map(drop)
    }

    /// Says how the image is started, and empties what is of the old catalog.
    fn start(&self, builder: &ImageBuilder, out: &Sink) -> Result<(), Error> {
        let base = Base::of(&self.image.images)?;
        builder.clear(CONFIGS, 0o755)?;
        if self.image.directory != CONFIGS && !self.image.directory.is_empty() {
            builder.clear(&self.image.directory, 0o755)?;
        }
        for cache in &base.caches {
            // OpenShift runs catalogs as users that no image knows.
            builder.clear(cache, 0o777)?;
        }
        builder.label(CONFIGS_LABEL, &format!("/{CONFIGS}"));
        if let Some(entrypoint) = &base.entrypoint {
            builder.entrypoint(entrypoint);
        }
        builder.cmd(&["serve".to_owned(), format!("/{CONFIGS}")]);
        if !base.is_opm {
            let text = format!(
                "`{}` is not started by `opm`, for all that can be seen; its command is now `serve /{CONFIGS}`",
                self.entry.catalog
            );
            warning(out, "operator.entrypoint", &text);
        }
        Ok(())
    }

    /// Goes through the original catalog once more, and writes what is kept of it.
    fn write(&self, builder: &ImageBuilder) -> Result<(), Error> {
        let renderer = Renderer::new(self.catalog, self.selection);
        let mut pending = Pending { builder, files: BTreeMap::new(), size: 0 };
        self.image.files(
            |file| renderer.is_wanted_file(file),
            |file, found| {
                let text = match found {
                    Found::Document(text) => text,
                    Found::Ignore(_) => return Ok(()),
                    // It was whole when the index was made of it.
                    Found::Broken(reason) => {
                        return Err(other("operator.catalog", format!("`{file}` cannot be read: {reason}")));
                    }
                };
                let rendered = renderer.document(file, text);
                let rendered = rendered.map_err(|problem| {
                    let problems = Problems { problems: vec![problem], more: 0 };
                    fault::of_problems("operator.catalog", &self.entry.catalog, &problems)
                })?;
                match rendered {
                    Some(rendered) => pending.add(&rendered.path, &rendered.text),
                    None => Ok(()),
                }
            },
        )?;
        pending.flush()
    }
}

/// Text of files that has not gone to the host yet.
struct Pending<'a> {
    builder: &'a ImageBuilder,
    files: BTreeMap<String, Vec<u8>>,
    size: usize,
}

impl Pending<'_> {
    fn add(&mut self, path: &str, text: &str) -> Result<(), Error> {
        self.files.entry(path.to_owned()).or_default().extend_from_slice(text.as_bytes());
        self.size += text.len();
        if self.size > BATCH { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.size = 0;
        for (path, text) in std::mem::take(&mut self.files) {
            for piece in text.chunks(PIECE) {
                self.builder.append(&format!("{CONFIGS}/{path}"), 0o644, piece)?;
            }
        }
        Ok(())
    }
}
