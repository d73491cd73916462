//! [`Builder`]: makes a [`Catalog`] of documents, which come in any order.

mod assemble;
mod document;

use std::collections::{BTreeMap, HashMap};

use semver::Version;

use crate::ignore::Ignore;
use crate::model::{Bundle, Catalog, Channel, Deprecation, Other};
use crate::problem::{CatalogError, Problem};
pub(crate) use document::Head;
use document::{Document, Property};

/// Collects the documents of a catalog.
///
/// Nothing fails before [`Builder::finish`], since an `.indexignore` that comes late may exclude what is wrong.
#[derive(Debug, Default)]
pub struct Builder {
    files: Vec<String>,
    places: HashMap<String, u32>,
    ignore: Ignore,
    packages: BTreeMap<String, Draft>,
    others: Vec<Other>,
    problems: Vec<(u32, Problem)>,
}

/// What is known of one package so far. Its places are those in the builder's files.
#[derive(Debug, Default)]
struct Draft {
    declared: Vec<Declared>,
    channels: Vec<Channel>,
    bundles: Vec<Bundle>,
    deprecations: Vec<Deprecation>,
    others: Vec<(u32, Other)>,
    /// The highest bundle of each file, as that file may be ignored in the end.
    names: BTreeMap<u32, (Version, Option<String>)>,
}

#[derive(Debug)]
struct Declared {
    file: u32,
    default_channel: String,
}

impl Builder {
    /// Starts without a document.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a document, which is JSON.
    pub fn document(&mut self, file: &str, json: &str) {
        let place = self.place(file);
        let start = json.trim_start().as_bytes().first().copied();
        if !matches!(start, Some(b'{' | b'n')) {
            let message = "a document is malformed: it is not an object".to_owned();
            return self.problem(place, "", "catalog.malformed", message);
        }
        match serde_json::from_str::<Option<Document<'_>>>(json) {
            Ok(Some(document)) => self.add(place, document),
            // An empty YAML document; loaders skip it.
            Ok(None) => {}
            Err(error) => self.odd(place, json, &error),
        }
    }

    /// Adds the content of an `.indexignore`.
    pub fn ignore_file(&mut self, path: &str, content: &str) {
        self.ignore.add(bare(path), content);
    }

    /// Says that a file could not be cut into documents.
    pub fn broken(&mut self, file: &str, reason: &str) {
        let place = self.place(file);
        self.problem(place, "", "catalog.broken-file", format!("a file cannot be read: {reason}"));
    }

    /// Makes the catalog, or tells everything that is wrong with it.
    pub fn finish(self) -> Result<Catalog, CatalogError> {
        assemble::assemble(self)
    }

    fn place(&mut self, file: &str) -> u32 {
        let file = bare(file);
        if let Some(place) = self.places.get(file) {
            return *place;
        }
        let place = u32::try_from(self.files.len()).unwrap_or(u32::MAX);
        self.files.push(file.to_owned());
        self.places.insert(file.to_owned(), place);
        place
    }

    fn problem(&mut self, place: u32, package: &str, code: &'static str, message: String) {
        self.problems.push((place, Problem::new(code, message).package(package)));
    }

    /// Takes a document that does not have the shape of a known schema: it may be of another one.
    fn odd(&mut self, place: u32, json: &str, error: &serde_json::Error) {
        match serde_json::from_str::<Head>(json) {
            Ok(Head { schema: Some(schema), package, .. }) if !is_known(&schema) && !schema.is_empty() => {
                self.other(place, schema, package.unwrap_or_default());
            }
            Ok(head) if head.schema.as_deref().unwrap_or("").is_empty() => {
                self.no_schema(place, head.owner())
            }
            Ok(head) => {
                let what = named(head.schema.as_deref(), head.name.as_deref());
                let message = format!("{what} is malformed: {error}");
                self.problem(place, head.owner(), "catalog.malformed", message);
            }
            Err(_) => {
                self.problem(place, "", "catalog.malformed", format!("a document is malformed: {error}"))
            }
        }
    }

    fn no_schema(&mut self, place: u32, package: &str) {
        let message = "a document has no `schema`".to_owned();
        self.problem(place, package, "catalog.no-schema", message);
    }

    fn add(&mut self, place: u32, document: Document<'_>) {
        let schema = document.schema.as_deref().unwrap_or("");
        match schema {
            "" => self.no_schema(place, document.package.as_deref().unwrap_or("")),
            "olm.package" => self.add_package(place, document),
            _ if !is_known(schema) => {
                self.other(place, schema.to_owned(), document.package.unwrap_or_default());
            }
            _ if document.package.as_deref().unwrap_or("").is_empty() => {
                let what = named(Some(schema), document.name.as_deref());
                self.problem(place, "", "catalog.no-package", format!("{what} names no package"));
            }
            "olm.channel" => self.add_channel(place, document),
            "olm.bundle" => self.add_bundle(place, document),
            _ => self.add_deprecations(place, document),
        }
    }

    fn draft(&mut self, package: Option<String>) -> &mut Draft {
        self.packages.entry(package.unwrap_or_default()).or_default()
    }

    fn other(&mut self, place: u32, schema: String, package: String) {
        let file = self.files.get(place as usize).cloned().unwrap_or_default();
        let other = Other { schema, package: package.clone(), file };
        match package.is_empty() {
            true => self.others.push(other),
            false => self.draft(Some(package)).others.push((place, other)),
        }
    }

    fn add_package(&mut self, place: u32, document: Document<'_>) {
        if document.name.as_deref().unwrap_or("").is_empty() {
            return self.problem(place, "", "catalog.no-name", "a package has no name".to_owned());
        }
        let default_channel = document.default_channel.unwrap_or_default();
        self.draft(document.name).declared.push(Declared { file: place, default_channel });
    }

    fn add_channel(&mut self, place: u32, document: Document<'_>) {
        let package = document.package.unwrap_or_default();
        let name = document.name.unwrap_or_default();
        let entries: Vec<_> = document.entries.into_iter().map(document::Item::into_entry).collect();
        if name.is_empty() {
            return self.problem(place, &package, "catalog.no-name", "a channel has no name".to_owned());
        }
        if entries.iter().any(Option::is_none) {
            let message = format!("channel `{name}` has an entry without a name");
            return self.problem(place, &package, "catalog.malformed", message);
        }
        let priority = document.properties.iter().find_map(|property| match property {
            Property::Priority(priority) => Some(*priority),
            _ => None,
        });
        let entries = entries.into_iter().flatten().collect();
        self.draft(Some(package)).channels.push(Channel { name, file: place, priority, entries });
    }

    fn add_bundle(&mut self, place: u32, document: Document<'_>) {
        let package = document.package.unwrap_or_default();
        let name = document.name.unwrap_or_default();
        if name.is_empty() {
            return self.problem(place, &package, "catalog.no-name", "a bundle has no name".to_owned());
        }
        let mut related = Vec::with_capacity(document.related_images.len());
        for image in document.related_images.into_iter().map(|related| related.image.unwrap_or_default()) {
            // Many bundles name an image twice.
            if image.is_empty() || !related.contains(&image) {
                related.push(image);
            }
        }
        related.shrink_to_fit();
        let image = document.image.unwrap_or_default();
        let mut bundle = Bundle { name, file: place, image, related, ..Bundle::default() };
        let names = Names::take(document.properties, &mut bundle);
        let draft = self.draft(Some(package));
        if let Some(version) = &bundle.version {
            draft.note_name(place, version, names);
        }
        draft.bundles.push(bundle);
    }

    fn add_deprecations(&mut self, place: u32, document: Document<'_>) {
        let references = document.entries.into_iter().filter_map(|item| item.reference);
        let deprecations: Vec<_> = references
            .map(|reference| Deprecation {
                schema: reference.schema.unwrap_or_default(),
                name: reference.name.unwrap_or_default(),
                file: place,
            })
            .collect();
        // A document without entries keeps its file wanted, as upstream keeps emptied documents.
        let empty = deprecations.is_empty().then(|| Deprecation { file: place, ..Deprecation::default() });
        self.draft(document.package).deprecations.extend(deprecations.into_iter().chain(empty));
    }
}

/// Where a bundle's display name may come from.
#[derive(Default)]
struct Names<'a> {
    metadata: Option<String>,
    objects: Vec<&'a serde_json::value::RawValue>,
}

impl<'a> Names<'a> {
    /// Moves what properties say into a bundle.
    fn take(properties: Vec<Property<'a>>, bundle: &mut Bundle) -> Self {
        let mut names = Self::default();
        let mut versions = Vec::new();
        for property in properties {
            match property {
                Property::Package(version) => versions.push(version),
                Property::Gvk(gvk) => bundle.provides.push(gvk),
                Property::Needs(requirement) => bundle.requires.push(requirement),
                Property::Metadata(name) => names.metadata = name.or(names.metadata),
                Property::Object(object) => names.objects.push(object),
                Property::MaxOpenShift(version) => bundle.max_openshift = Some(version),
                Property::Priority(_) | Property::Unknown => {}
            }
        }
        match version(&versions) {
            Ok(version) => bundle.version = Some(version),
            Err(fault) => bundle.fault = Some(fault),
        }
        bundle.provides.shrink_to_fit();
        bundle.requires.shrink_to_fit();
        names
    }
}

/// Reads the version of a bundle; the error completes "the bundle …".
fn version(versions: &[Option<String>]) -> Result<Version, String> {
    match versions {
        [] => Err("has no `olm.package` property".to_owned()),
        [None] => Err("has an `olm.package` property without a version".to_owned()),
        [Some(text)] => crate::version::parse(text)
            .ok_or_else(|| format!("has the version `{text}`, which is not of the form X.Y.Z")),
        more => Err(format!("has {} `olm.package` properties", more.len())),
    }
}

impl Draft {
    /// Remembers the display name of the highest bundle.
    fn note_name(&mut self, file: u32, version: &Version, names: Names<'_>) {
        let highest = self.names.get(&file);
        if highest.is_none_or(|(highest, _)| version.cmp_precedence(highest).is_gt()) {
            let name = names.metadata.or_else(|| document::display_name(&names.objects));
            self.names.insert(file, (version.clone(), name));
        }
    }
}

/// Returns a path as it is kept: relative to the configs root.
pub(crate) fn bare(path: &str) -> &str {
    path.trim_start_matches("./").trim_start_matches('/')
}

fn is_known(schema: &str) -> bool {
    matches!(schema, "olm.package" | "olm.channel" | "olm.bundle" | "olm.deprecations")
}

/// Names a document in a message.
fn named(schema: Option<&str>, name: Option<&str>) -> String {
    match (schema.unwrap_or("document"), name) {
        (schema, Some(name)) => format!("the {schema} `{name}`"),
        (schema, None) => format!("an {schema}"),
    }
}

#[cfg(test)]
mod tests;
