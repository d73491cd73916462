//! The configuration: YAML in, [`ImageSetConfiguration`] or [`DeleteImageSetConfiguration`] out.
//!
//! [`parse`] reads the text into a tree that knows lines and columns, checks the tree against the schema of the
//! document's version, and then what it means. All problems are reported together. Nothing here reads files, and
//! nothing decides what a section does: that is for the content sources and policies.

mod check;
mod extensions;
mod hints;
mod identity;
mod lint;
mod locate;
mod migrate;
mod operators;
mod outline;
mod patch;
mod problem;
mod releases;
mod schema;
mod storage;
mod tree;
mod types;
mod v1alpha2;
mod v2alpha1;
mod validate;
mod validate_extensions;
mod validate_helm;
mod version;

use serde::de::DeserializeOwned;
use serde_json::Value;

pub use extensions::{
    BlockedImage, ConfigFiles, PluginEntry, PluginTrust, PolicyEntry, PolicyFailure, PolicyMode, WrittenAt,
};
pub use hints::closest;
pub use lint::{Finding, LintSettings, Severity, lint};
pub use locate::{locate, locate_key};
pub use migrate::{Migrated, migrate};
pub use operators::{Dependencies, IncompleteBundles, Operator, Package, PackageBundle, PackageChannel};
pub use outline::Outline;
pub use patch::{Edit, EditAction, Patched, patch};
pub use problem::{ConfigError, Position, Problem};
pub use releases::{ReleaseChannel, ReleasePlatform, ReleaseType};
pub(crate) use schema::generate as generate_schema;
pub use schema::{DocumentKind, schema};
pub use storage::fault_of_endpoint;
pub use types::{
    AdditionalImage, ApiVersion, DeleteImageSetConfiguration, GiB, Helm, HelmRepository,
    ImageSetConfiguration, LocalChart, Mirror, RepositoryChart, Sample, SectionPositions, SectionUse,
    StorageConfig,
};

use check::Places;
use problem::Problems;
use validate::Validator;

/// A configuration that was read, of either kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Configuration {
    /// What to mirror.
    Mirror(ImageSetConfiguration),
    /// What to delete.
    Delete(DeleteImageSetConfiguration),
}

/// A configuration with what is remarkable about its text.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// The configuration.
    pub configuration: Configuration,
    /// What was forgiven, in the order of the text.
    pub warnings: Vec<Problem>,
}

/// Reads a configuration.
///
/// Fails with everything that is wrong with it, each with line, column and mostly a hint.
pub fn parse(text: &str) -> Result<Parsed, ConfigError> {
    let (configuration, _, warnings) = read_all(text)?;
    Ok(Parsed { configuration, warnings })
}

/// Returns the version that a configuration of what to mirror is written in; nothing if a text is none. What it says is not
/// looked at, which is most of the work.
pub fn version(text: &str) -> Option<ApiVersion> {
    let document = tree::read(text).ok()?;
    let mut problems = Problems::default();
    let (kind, api) = identity::identify(&document, &mut problems);
    let is_known = problems.finish().is_ok() && !matches!(kind, DocumentKind::Delete);
    is_known.then_some(api)
}

/// Reads a configuration, with where its values stand and what was forgiven.
fn read_all(text: &str) -> Result<(Configuration, Places, Vec<Problem>), ConfigError> {
    let mut problems = Problems::default();
    let read = read(text, &mut problems);
    let warnings = problems.finish()?;
    match read {
        Some((configuration, places)) => Ok((configuration, places, warnings)),
        None => Err(ConfigError {
            problems: vec![Problem::new(Position { line: 1, column: 1 }, "", "it cannot be read")],
        }),
    }
}

/// Reads as much as can be read; nothing is returned only if an error was reported.
fn read(text: &str, problems: &mut Problems) -> Option<(Configuration, Places)> {
    let document = match tree::read(text) {
        Ok(document) => document,
        Err(problem) => {
            problems.error(problem);
            return None;
        }
    };
    if !matches!(document.content, tree::Content::Mapping(_)) {
        let problem = Problem::new(document.at, "", "a configuration is a mapping");
        problems.error(problem.with_hint("start the file with `kind: ImageSetConfiguration`"));
        return None;
    }
    let (kind, api) = identity::identify(&document, problems);
    let (value, places) = check::check(kind, &document, problems);
    let configuration = match kind {
        DocumentKind::ImageSetV1Alpha2 => {
            let document: v1alpha2::Document = typed(value, problems)?;
            let storage = document.storage_config.and_then(|storage| storage.place(&places, problems));
            let mirror = complete(document.mirror.into(), kind, &places, problems);
            let archive_size = document.archive_size;
            Configuration::Mirror(ImageSetConfiguration { api, archive_size, storage, mirror })
        }
        DocumentKind::ImageSetV2Alpha1 => {
            let document: v2alpha1::Document = typed(value, problems)?;
            let storage = document.storage_config.and_then(|storage| storage.place(&places, problems));
            let mirror = complete(document.mirror, kind, &places, problems);
            let archive_size = document.archive_size;
            Configuration::Mirror(ImageSetConfiguration { api, archive_size, storage, mirror })
        }
        DocumentKind::Delete => {
            let document: v2alpha1::DeleteDocument = typed(value, problems)?;
            let mut delete = complete(document.delete.into(), kind, &places, problems);
            default_architecture(&mut delete);
            Configuration::Delete(DeleteImageSetConfiguration { api, delete })
        }
    };
    Some((configuration, places))
}

/// Gives a checked value its type, which cannot fail unless the check lets pass what the types do not take.
fn typed<T: DeserializeOwned>(value: Value, problems: &mut Problems) -> Option<T> {
    match serde_json::from_value(value) {
        Ok(document) => Some(document),
        Err(error) => {
            let start = Position { line: 1, column: 1 };
            problems.error(Problem::new(start, "", format!("the configuration cannot be read: {error}")));
            None
        }
    }
}

/// Checks what the sections mean and notes where they stand.
fn complete(mut mirror: Mirror, kind: DocumentKind, places: &Places, problems: &mut Problems) -> Mirror {
    Validator { kind, places, problems }.mirror(&mut mirror);
    // Some name thousands, and lists grow to up to twice of what they hold.
    mirror.additional_images.shrink_to_fit();
    let root = kind.root_section();
    let place = |name: &'static str| places.get(&format!("{root}.{name}")).map(|at| (name, at));
    mirror.written_at = SectionPositions(types::SECTIONS.into_iter().filter_map(place).collect());
    mirror
}

/// Chooses `amd64` where channels but no architectures are given, as oc-mirror v2 does when it deletes.
fn default_architecture(delete: &mut Mirror) {
    if let Some(platform) = &mut delete.platform
        && !platform.channels.is_empty()
        && platform.architectures.is_empty()
        && platform.platforms.is_empty()
    {
        platform.architectures.push("amd64".to_owned());
    }
}
