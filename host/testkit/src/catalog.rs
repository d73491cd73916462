//! Catalogs of operators: [`Fbc`] writes the documents of one package, [`CatalogBuilder`] makes an image of files.

use std::path::Path;

use serde_json::{Value, json};

use crate::{Image, ImageBuilder, IndexBuilder};

/// The label that says where in an image the catalog is.
const LABEL: &str = "operators.operatorframework.io.index.configs.v1";

/// The documents of one package, as concatenated JSON.
#[derive(Clone, Debug)]
pub struct Fbc {
    package: Value,
    channels: Vec<Value>,
    bundles: Vec<Value>,
}

impl Fbc {
    /// Starts a package.
    pub fn new(package: &str, default_channel: &str) -> Self {
        let package = json!({ "schema": "olm.package", "name": package, "defaultChannel": default_channel });
        Self { package, channels: Vec::new(), bundles: Vec::new() }
    }

    fn name(&self) -> &str {
        self.package["name"].as_str().expect("a package is started with a name")
    }

    /// Adds a channel of bundles, the head first; each replaces the one behind it.
    pub fn chain(self, channel: &str, bundles: &[&str]) -> Self {
        let entry = |place: usize| match bundles.get(place + 1) {
            Some(replaces) => json!({ "name": bundles[place], "replaces": replaces }),
            None => json!({ "name": bundles[place] }),
        };
        let entries = (0..bundles.len()).map(entry).collect();
        self.channel(channel, entries)
    }

    /// Adds a channel with these entries.
    pub fn channel(mut self, channel: &str, entries: Vec<Value>) -> Self {
        let document =
            json!({ "schema": "olm.channel", "package": self.name(), "name": channel, "entries": entries });
        self.channels.push(document);
        self
    }

    /// Adds a bundle `package.vVERSION` with its image and the images that it names.
    pub fn bundle(self, version: &str, image: &str, related: &[&str]) -> Self {
        self.bundle_with(version, image, related, Vec::new())
    }

    /// Adds a bundle with more properties: what it provides and needs.
    pub fn bundle_with(mut self, version: &str, image: &str, related: &[&str], more: Vec<Value>) -> Self {
        let package = self.name().to_owned();
        let mut properties = vec![
            json!({ "type": "olm.package", "value": { "packageName": package, "version": version } }),
            json!({ "type": "olm.csv.metadata", "value": { "displayName": format!("The {package} operator") } }),
        ];
        properties.extend(more);
        let own = json!({ "name": "", "image": image });
        let related = related.iter().map(|image| json!({ "name": "part", "image": image }));
        let images: Vec<Value> = std::iter::once(own).chain(related).collect();
        self.bundles.push(json!({
            "schema": "olm.bundle",
            "package": package,
            "name": format!("{package}.v{version}"),
            "image": image,
            "properties": properties,
            "relatedImages": images,
        }));
        self
    }

    /// Returns the documents.
    pub fn text(&self) -> String {
        let all = std::iter::once(&self.package).chain(&self.channels).chain(&self.bundles);
        all.map(|document| format!("{document:#}\n")).collect()
    }
}

/// Builds the image of a catalog: a layer of programs, a layer with the catalog, and a layer with a cache that is
/// stale as soon as the catalog changes.
#[derive(Clone, Debug, Default)]
pub struct CatalogBuilder {
    files: Vec<(String, Vec<u8>)>,
    docker: bool,
    platforms: Vec<String>,
    without_history: bool,
    patches: Vec<Vec<(String, Vec<u8>)>>,
    linked_to: Option<String>,
    label: Option<(String, String)>,
}

impl CatalogBuilder {
    /// Starts an empty catalog for `linux/amd64`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file below the catalog's directory.
    pub fn file(mut self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.files.push((path.to_owned(), content.as_ref().to_vec()));
        self
    }

    /// Adds a package in a file of its own.
    pub fn package(self, package: &Fbc) -> Self {
        let path = format!("{}/catalog.json", package.name());
        self.file(&path, package.text())
    }

    /// Adds all files of a directory.
    pub fn directory(mut self, root: &Path) -> Self {
        let mut pending = vec![root.to_path_buf()];
        while let Some(directory) = pending.pop() {
            let entries = std::fs::read_dir(&directory).expect("the directory of a catalog can be listed");
            for entry in entries.flatten() {
                let path = entry.path();
                if path.is_dir() {
                    pending.push(path);
                    continue;
                }
                let below = path.strip_prefix(root).expect("it was listed below").display().to_string();
                self.files.push((below, std::fs::read(&path).expect("a file of a catalog can be read")));
            }
        }
        self.files.sort();
        self
    }

    /// Uses the media types of Docker's schema 2.
    pub fn docker(mut self) -> Self {
        self.docker = true;
        self
    }

    /// Makes it an index of images for these platforms.
    pub fn platforms(mut self, platforms: &[&str]) -> Self {
        self.platforms = platforms.iter().map(|p| p.to_string()).collect();
        self
    }

    /// Leaves the history out, so that it cannot be seen which layer holds the catalog.
    pub fn without_history(mut self) -> Self {
        self.without_history = true;
        self
    }

    /// Adds a layer with these files on top; `.wh.NAME` removes a file of the layers below.
    pub fn patch(mut self, files: &[(&str, &str)]) -> Self {
        self.patches
            .push(files.iter().map(|(path, text)| (path.to_string(), text.as_bytes().to_vec())).collect());
        self
    }

    /// Puts the catalog into this directory, and makes its usual place a link to it.
    pub fn linked_to(mut self, directory: &str) -> Self {
        self.linked_to = Some(directory.to_owned());
        self
    }

    /// Sets this label in place of the one that says where the catalog is.
    pub fn labelled(mut self, key: &str, value: &str) -> Self {
        self.label = Some((key.to_owned(), value.to_owned()));
        self
    }

    /// Finishes the image or index.
    pub fn build(self) -> Image {
        let platforms =
            if self.platforms.is_empty() { vec!["linux/amd64".to_owned()] } else { self.platforms.clone() };
        let images: Vec<Image> = platforms.iter().map(|platform| self.image(platform)).collect();
        if self.platforms.is_empty() {
            return images.into_iter().next().expect("there is one");
        }
        let index = if self.docker { IndexBuilder::new().docker() } else { IndexBuilder::new() };
        images.iter().fold(index, IndexBuilder::child).build()
    }

    fn image(&self, platform: &str) -> Image {
        let image = if self.docker { ImageBuilder::new().docker() } else { ImageBuilder::new() };
        let directory = self.linked_to.as_deref().unwrap_or("configs");
        let mut history = vec!["ADD base in /".to_owned(), format!("ADD catalog /{directory} # buildkit")];
        let mut image = image
            .platform(platform)
            .layer(&[("bin/opm", format!("program for {platform}"))])
            .layer(&placed(directory, &self.files));
        for patch in &self.patches {
            image = image.layer(&placed(directory, patch));
            history.push(format!("COPY patch /{directory} # buildkit"));
        }
        if let Some(directory) = &self.linked_to {
            image = image.links(&[("configs", &format!("/{directory}"))]);
            history.push(format!("RUN ln -s /{directory} /configs"));
        }
        history.push("RUN /bin/opm serve /configs --cache-dir=/tmp/cache --cache-only".to_owned());
        let (key, value) = match &self.label {
            Some((key, value)) => (key.as_str(), value.as_str()),
            None => (LABEL, "/configs"),
        };
        let image = image
            .layer(&[("tmp/cache/digest", "stale"), ("tmp/cache/cache/a.json", "{}")])
            .label(key, value)
            .entrypoint(&["/bin/opm"])
            .cmd(&["serve", "/configs", "--cache-dir=/tmp/cache"]);
        match self.without_history {
            true => image.build(),
            false => image.history(&history.iter().map(String::as_str).collect::<Vec<_>>()).build(),
        }
    }
}

fn placed<'a>(directory: &str, files: &'a [(String, Vec<u8>)]) -> Vec<(String, &'a [u8])> {
    files.iter().map(|(path, bytes)| (format!("{directory}/{path}"), bytes.as_slice())).collect()
}
