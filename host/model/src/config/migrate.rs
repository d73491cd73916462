//! [`migrate`]: writes a configuration of `v1alpha2` as one of `v2alpha1`.
//!
//! Sections mean the same, but for what [`Migrated::differences`] names. The text is changed where that is enough, so that
//! comments stay; else it is written anew.

use super::check::Places;
use super::operators::{Dependencies, Operator, Package};
use super::patch::{Edit, EditAction, in_text};
use super::problem::{ConfigError, Problem, Problems};
use super::schema::DocumentKind;
use super::types::{ApiVersion, DeleteImageSetConfiguration, ImageSetConfiguration};
use super::validate::Validator;
use super::{Configuration, parse, read_all};

/// A configuration of `v1alpha2` as one of `v2alpha1`.
#[derive(Clone, Debug, PartialEq)]
pub struct Migrated {
    /// Its text.
    pub text: String,
    /// Whether the text that was there is kept, with its comments.
    pub kept: bool,
    /// What `v2alpha1` has no word for, or understands in another way, at its place in the old text and in its order.
    pub differences: Vec<Problem>,
}

/// Writes a configuration of `v1alpha2` as one of `v2alpha1`; nothing if it is one already.
///
/// # Errors
///
/// Fails with everything that is wrong with the configuration, also where only `v2alpha1` refuses it.
pub fn migrate(text: &str) -> Result<Option<Migrated>, ConfigError> {
    let (configuration, places, _) = read_all(text)?;
    match configuration {
        Configuration::Mirror(old) if old.api == ApiVersion::V1Alpha2 => {
            let migration = Migration {
                text,
                places: &places,
                edits: Vec::new(),
                gone: Vec::new(),
                differences: Vec::new(),
            };
            migration.mirror(old).map(Some)
        }
        Configuration::Delete(old) if old.api == ApiVersion::V1Alpha2 => {
            let edits = [api_version()];
            let new = DeleteImageSetConfiguration { api: ApiVersion::V2Alpha1, ..old };
            let written = new.to_yaml();
            Ok(Some(written_as(text, &edits, &[], &Configuration::Delete(new), written)))
        }
        _ => Ok(None),
    }
}

fn api_version() -> Edit {
    set("apiVersion", ApiVersion::V2Alpha1.as_str())
}

fn set(at: &str, value: &str) -> Edit {
    Edit { action: EditAction::Set, at: at.to_owned(), value: value.into(), why: String::new() }
}

/// Changes the text where that gives what is expected; else takes the one that was written anew.
fn written_as(
    text: &str,
    edits: &[Edit],
    gone: &[String],
    expected: &Configuration,
    anew: String,
) -> Migrated {
    let is_meant = |text: &String| parse(text).is_ok_and(|parsed| parsed.configuration == *expected);
    match in_text(text, edits, gone).filter(is_meant) {
        Some(text) => Migrated { text, kept: true, differences: Vec::new() },
        None => Migrated { text: anew, kept: false, differences: Vec::new() },
    }
}

/// A migration under way.
struct Migration<'a> {
    text: &'a str,
    places: &'a Places,
    edits: Vec<Edit>,
    /// The keys that go.
    gone: Vec<String>,
    differences: Vec<Problem>,
}

impl Migration<'_> {
    fn mirror(mut self, old: ImageSetConfiguration) -> Result<Migrated, ConfigError> {
        let mut new = ImageSetConfiguration { api: ApiVersion::V2Alpha1, ..old };
        self.edits.push(api_version());
        for (index, image) in new.mirror.additional_images.iter().enumerate() {
            if image.name.ends_with(":latest") {
                // Where it was left out, it is written now.
                self.edits.push(set(&format!("mirror.additionalImages[{index}].name"), &image.name));
            }
        }
        for (index, operator) in new.mirror.operators.iter_mut().enumerate() {
            self.operator(operator, &format!("mirror.operators[{index}]"));
        }
        self.history(&new);
        // What the older version only warns of, at its place in the text that people know.
        let mut problems = Problems::default();
        let kind = DocumentKind::ImageSetV2Alpha1;
        Validator { kind, places: self.places, problems: &mut problems }.mirror(&mut new.mirror.clone());
        problems.finish()?;
        let anew = new.to_whole_yaml();
        let expected = Configuration::Mirror(new);
        let mut migrated = written_as(self.text, &self.edits, &self.gone, &expected, anew);
        self.differences.sort_by_key(|problem| (problem.line, problem.column));
        migrated.differences = self.differences;
        Ok(migrated)
    }

    fn is_written(&self, path: &str) -> bool {
        self.places.get(path).is_some()
    }

    fn differs(&mut self, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.differences.push(Problem::new(self.places.nearest(path), path, message).with_hint(hint));
    }

    fn operator(&mut self, operator: &mut Operator, path: &str) {
        let target = format!("{path}.targetName");
        if self.is_written(&target) {
            self.gone.push(target);
        }
        // Either may come from `targetName`, or from a tag behind the path.
        if let Some(catalog) = &operator.target_catalog {
            self.edits.push(set(&format!("{path}.targetCatalog"), catalog.as_str()));
        }
        if let Some(tag) = &operator.target_tag {
            self.edits.push(set(&format!("{path}.targetTag"), tag.as_str()));
        }
        let original = format!("{path}.originalRef");
        if self.is_written(&original) {
            self.differs(&original, "`originalRef` never had an effect, and is left out", "nothing is lost");
            self.gone.push(original);
        }
        let is_untouched = operator.full && operator.packages.is_empty();
        if !operator.skip_dependencies && !is_untouched {
            operator.dependencies = Dependencies::Resolve;
            self.edits.push(set(&format!("{path}.dependencies"), "resolve"));
            self.differs(
                path,
                "packages that others need, which v1alpha2 mirrors unasked, are asked for with `dependencies: resolve`",
                "remove it if they are not wanted",
            );
        }
        self.full(operator, path);
        for (index, package) in operator.packages.iter_mut().enumerate() {
            self.package(package, &format!("{path}.packages[{index}]"));
        }
    }

    /// `v2alpha1` refuses `full: true` beside ranges of versions, of which `v1alpha2` heeds the ranges.
    fn full(&mut self, operator: &mut Operator, path: &str) {
        if !operator.full || !operator.packages.iter().any(has_range) {
            return;
        }
        operator.full = false;
        let path = format!("{path}.full");
        let rest = operator.packages.iter().filter(|package| !is_ranged(package));
        let rest: Vec<String> = rest.map(|package| format!("`{}`", package.name)).collect();
        let message = "`full: true` is refused beside ranges of versions, and is left out";
        match rest.is_empty() {
            true => self.differs(&path, message, "nothing is lost: all packages have a range"),
            false => self.differs(
                &path,
                format!("{message}: without a range only the heads of channels are mirrored"),
                format!("give {} a `minVersion`", rest.join(", ")),
            ),
        }
        self.gone.push(path);
    }

    fn package(&mut self, package: &mut Package, path: &str) {
        let has_channels = !package.channels.is_empty();
        match (&package.min_version, &package.max_version) {
            (Some(_), None) if has_channels => self.differs(
                &format!("{path}.minVersion"),
                "v1alpha2 looks for `minVersion` in every channel of the package, v2alpha1 in those that are listed",
                "list further channels if they are wanted",
            ),
            (_, Some(_)) if has_channels => self.differs(
                &format!("{path}.maxVersion"),
                "v1alpha2 does not heed the range of a package whose channels are listed, v2alpha1 does",
                "remove `minVersion` and `maxVersion` of the package if the heads of its channels are wanted",
            ),
            _ => {}
        }
        if let Some(bundle) = package.min_bundle.take() {
            self.min_bundle(path, &bundle);
        }
        for (index, channel) in package.channels.iter_mut().enumerate() {
            if let Some(bundle) = channel.min_bundle.take() {
                self.min_bundle(&format!("{path}.channels[{index}]"), &bundle);
            }
        }
    }

    fn min_bundle(&mut self, path: &str, bundle: &str) {
        let path = format!("{path}.minBundle");
        self.differs(
            &path,
            "there is no `minBundle` in v2alpha1, and it is left out: v1alpha2 mirrors whole channels for it, v2alpha1 their heads",
            format!("give `minVersion` the version of `{bundle}`"),
        );
        self.gone.push(path);
    }

    /// What `v1alpha2` makes of what was mirrored before has no exact counterpart.
    fn history(&mut self, new: &ImageSetConfiguration) {
        if new.mirror.operators.iter().any(|operator| !operator.full || !operator.packages.is_empty()) {
            self.differs(
                "mirror.operators",
                "v1alpha2 goes on from the versions that earlier runs mirrored, v2alpha1 begins with the heads of today",
                "write `keepUpgradePaths: true` to keep a way from what was mirrored before",
            );
        }
        let is_head_only = |platform: &super::ReleasePlatform| {
            platform.channels.iter().any(|c| c.min_version.is_none() && c.max_version.is_none() && !c.full)
        };
        if new.mirror.platform.as_ref().is_some_and(is_head_only) {
            self.differs(
                "mirror.platform.channels",
                "v1alpha2 goes on from the release that earlier runs mirrored, v2alpha1 takes the newest one alone",
                "write `minVersion` with the release that clusters are on, and `shortestPath: true`",
            );
        }
    }
}

/// Answers whether a range of versions is given anywhere in a package.
fn has_range(package: &Package) -> bool {
    let in_channels = package.channels.iter().any(|c| c.min_version.is_some() || c.max_version.is_some());
    package.min_version.is_some() || package.max_version.is_some() || in_channels
}

/// Answers whether all that is wanted of a package is within ranges of versions.
fn is_ranged(package: &Package) -> bool {
    let own = package.min_version.is_some() || package.max_version.is_some();
    let all = package.channels.iter().all(|c| c.min_version.is_some() || c.max_version.is_some());
    own || (!package.channels.is_empty() && all)
}
