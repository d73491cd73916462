//! The image of a catalog: [`CatalogImage`] finds it and where in it the catalog is, and reads its documents.

use oc_mirror_catalog::{Builder, Catalog};
use oc_mirror_plugin_sdk::host::registry::{self, Entry, Image};
use oc_mirror_plugin_sdk::host::streams::{Documents, Reader};
use oc_mirror_plugin_sdk::host::{progress, types};
use oc_mirror_plugin_sdk::{Descriptor, Error, about, other, read_all, with_hint};

use crate::fault;
use crate::target::pinned;

/// The label that says where in the image the catalog is.
pub(crate) const CONFIGS_LABEL: &str = "operators.operatorframework.io.index.configs.v1";
/// The label of catalogs of another kind, which are databases.
const DATABASE_LABEL: &str = "operators.operatorframework.io.index.database.v1";
/// The name of files that say which other files are no part of the catalog.
const IGNORE_FILE: &str = ".indexignore";

/// What to do about a catalog that is not there.
const NO_SUCH_CATALOG: &str = "check the name and the tag; `oc-mirror list operators --catalogs --version X.Y` lists those of a version of OpenShift";

/// How deep indexes may be within each other.
const MAX_DEPTH: usize = 4;
/// The most bytes of an `.indexignore`.
const MAX_IGNORE: usize = 1 << 20;
/// How many documents of one file are read between two signs of life.
const POLL: usize = 100;

/// The image of a catalog.
pub(crate) struct CatalogImage {
    /// The digest of what the reference named, which may be an index.
    pub(crate) digest: String,
    /// The same image, named by that digest.
    pub(crate) pinned: String,
    /// The images of all platforms; at least one.
    pub(crate) images: Vec<Image>,
    /// The directory of the catalog, without slashes around it.
    pub(crate) directory: String,
}

impl CatalogImage {
    /// Finds the image of a catalog.
    pub(crate) fn open(catalog: &str) -> Result<Self, Error> {
        let named = |error| about(error, catalog);
        let image = registry::open(catalog).map_err(|error| match error {
            Error::NotFound(_) => with_hint(Error::NotFound(catalog.to_owned()), NO_SUCH_CATALOG),
            error => named(error),
        })?;
        let digest = image.descriptor().digest;
        let pinned = pinned(catalog, &digest);
        let mut images = Vec::new();
        platforms(image, catalog, 0, &mut images).map_err(named)?;
        let Some(first) = images.first() else {
            return Err(named(other("operator.catalog", "it is an index without an image")));
        };
        let directory = directory(first).map_err(named)?;
        Ok(Self { digest, pinned, images, directory })
    }

    /// Reads all documents of the catalog.
    pub(crate) fn read(&self) -> Result<Catalog, Error> {
        let mut builder = Builder::new();
        self.files(
            |_| true,
            |path, document| {
                match document {
                    Found::Document(text) => builder.document(path, text),
                    Found::Ignore(text) => builder.ignore_file(path, text),
                    Found::Broken(reason) => builder.broken(path, reason),
                }
                Ok(())
            },
        )?;
        builder.finish().map_err(|problems| fault::of_problems("operator.catalog", &self.pinned, &problems))
    }

    /// Goes through the files of the catalog in one pass, and hands over what is in those that are wanted.
    ///
    /// The catalogs of all platforms are the same, so that of the first one is read.
    pub(crate) fn files(
        &self,
        wanted: impl Fn(&str) -> bool,
        mut take: impl FnMut(&str, Found<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let image = &self.images[0];
        let named = |error| about(error, &self.pinned);
        let files = image.files(&self.directory).map_err(named)?;
        let mut any = false;
        while let Some((entry, content)) = files.next().map_err(named)? {
            if progress::cancelled() {
                return Err(Error::Cancelled);
            }
            let Some(path) = below(&entry.path, &self.directory) else { continue };
            any = true;
            let is_ignore = path.rsplit('/').next() == Some(IGNORE_FILE);
            if !is_ignore && !wanted(path) {
                continue;
            }
            let Some(content) = opened(image, &entry, content).map_err(named)? else { continue };
            match is_ignore {
                true => take(path, Found::Ignore(&text(&content).map_err(named)?))?,
                false => documents(content, named, |found| take(path, found))?,
            }
        }
        if any {
            return Ok(());
        }
        let reason =
            format!("there is nothing in `/{}`, where its label says that the catalog is", self.directory);
        let hint = "the catalog is at fault: ask whoever publishes it";
        Err(named(with_hint(other("operator.catalog", reason), hint)))
    }
}

/// Something in the files of a catalog.
pub(crate) enum Found<'a> {
    /// A document, as JSON.
    Document(&'a str),
    /// A file that says which others are no part of the catalog.
    Ignore(&'a str),
    /// A file that cannot be read to its end, and why.
    Broken(&'a str),
}

/// What is read of a reader until the file ends or breaks.
fn documents(
    content: Reader,
    named: impl Fn(Error) -> Error,
    mut take: impl FnMut(Found<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let documents = Documents::new(content, &[]);
    for count in 1.. {
        match documents.next() {
            Ok(Some(document)) => take(Found::Document(&document))?,
            Ok(None) => break,
            // What is wrong with the text is the file's; anything else is the network's, or the host's.
            Err(Error::Invalid(reason) | Error::Limit(reason)) => return take(Found::Broken(&reason)),
            Err(error) => return Err(named(error)),
        }
        if count % POLL == 0 && progress::cancelled() {
            return Err(Error::Cancelled);
        }
    }
    Ok(())
}

/// Links are found through the index of all files.
fn opened(image: &Image, entry: &Entry, content: Option<Reader>) -> Result<Option<Reader>, Error> {
    if content.is_some() || !matches!(entry.kind.as_str(), "file" | "symlink") {
        return Ok(content);
    }
    let files = image.filesystem()?;
    match files.stat(&entry.path)? {
        Some(behind) if behind.kind == "file" => files.open(&entry.path).map(Some),
        _ => Ok(None),
    }
}

fn text(content: &Reader) -> Result<String, Error> {
    let bytes = read_all(content, MAX_IGNORE, &format!("an `{IGNORE_FILE}`"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn below<'a>(path: &'a str, directory: &str) -> Option<&'a str> {
    if directory.is_empty() {
        return Some(path);
    }
    path.strip_prefix(directory)?.strip_prefix('/')
}

/// Collects the images of an index, or the one image.
fn platforms(image: Image, catalog: &str, depth: usize, found: &mut Vec<Image>) -> Result<(), Error> {
    if !image.is_index() {
        found.push(image);
        return Ok(());
    }
    if depth > MAX_DEPTH {
        return Err(other("operator.catalog", "it has too many indexes within each other"));
    }
    for child in image.children()?.iter().filter(|child| is_image(child)) {
        platforms(registry::open(&pinned(catalog, &child.digest))?, catalog, depth + 1, found)?;
    }
    Ok(())
}

/// Answers whether an entry of an index is an image, and not something that tells about one.
fn is_image(child: &Descriptor) -> bool {
    let unknown = |platform: &types::Platform| platform.os == "unknown";
    let attests = child.annotations.iter().any(|(key, _)| key == "vnd.docker.reference.type");
    !attests && !child.platform.as_ref().is_some_and(unknown)
}

/// Finds the directory of the catalog.
fn directory(image: &Image) -> Result<String, Error> {
    let labels = image.labels()?;
    let label = |name: &str| labels.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    match (label(CONFIGS_LABEL), label(DATABASE_LABEL)) {
        (Some(directory), _) => Ok(directory.trim_matches('/').to_owned()),
        (None, Some(_)) => Err(with_hint(
            other(
                "operator.catalog",
                "it is a catalog with a database, which no version of OpenShift that is supported takes",
            ),
            "use a file-based catalog, or make one of it with `opm migrate`",
        )),
        (None, None) => Err(with_hint(
            other(
                "operator.catalog",
                format!("it is not a catalog of operators: it has no label `{CONFIGS_LABEL}`"),
            ),
            "see whether the reference is that of a catalog, and not of a bundle or an operator",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_seen_from_the_catalog() {
        assert_eq!(below("configs/a/b.json", "configs"), Some("a/b.json"));
        assert_eq!(below("configs-old/a", "configs"), None);
        assert_eq!(below("a/b.json", ""), Some("a/b.json"));
    }

    #[test]
    fn what_tells_about_images_is_none() {
        let child = |os: &str, annotations: &[(&str, &str)]| Descriptor {
            media_type: String::new(),
            digest: String::new(),
            size: 0,
            artifact_type: None,
            platform: Some(types::Platform { os: os.to_owned(), arch: "amd64".to_owned(), variant: None }),
            annotations: annotations.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        };
        assert!(is_image(&child("linux", &[])));
        assert!(!is_image(&child("unknown", &[])));
        assert!(!is_image(&child("linux", &[("vnd.docker.reference.type", "attestation-manifest")])));
    }
}
