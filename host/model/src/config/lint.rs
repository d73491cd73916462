//! [`lint`]: what is wrong with a configuration, and what is likely not to be meant.
//!
//! Each [`Finding`] has a code that does not change. What is told needs neither network nor files: whether a package lacks one that it
//! needs, only a run can know.

mod catalogs;
mod content;
mod lifecycle;
mod pins;
mod places;

use serde::Serialize;

use super::check::Places;
use super::problem::Problem;
use super::types::{ApiVersion, ImageSetConfiguration, Mirror};
use super::{Configuration, locate, read_all};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Note,
    /// Likely not what is meant, or regretted later.
    Warning,
    /// A run refuses it.
    Error,
}

impl Severity {
    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One thing that is remarkable about a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of thing it is: `unpinned`. It does not change.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Where and what it is, and what to do about it.
    #[serde(flatten)]
    pub problem: Problem,
}

impl Finding {
    /// Makes a finding.
    pub fn new(code: &'static str, severity: Severity, problem: Problem) -> Self {
        Self { code, severity, problem }
    }
}

/// What a configuration is looked at with.
#[derive(Clone, Copy, Debug, Default)]
pub struct LintSettings<'a> {
    /// The plugins that are part of the program.
    pub builtins: &'a [&'a str],
    /// The day, `YYYY-MM-DD`; nothing is told of the support of releases without it.
    pub today: Option<&'a str>,
}

/// Looks for what is remarkable about a configuration.
///
/// The findings are in the order of the text. Where the configuration cannot be used, they are what is wrong with it, and nothing
/// else is looked for.
pub fn lint(text: &str, settings: LintSettings<'_>) -> Vec<Finding> {
    let (configuration, places, warnings) = match read_all(text) {
        Ok(read) => read,
        Err(error) => {
            let wrong = error.problems.into_iter();
            return wrong.map(|problem| Finding::new("invalid", Severity::Error, problem)).collect();
        }
    };
    let forgiven = warnings.into_iter().map(|problem| Finding::new("suspicious", Severity::Warning, problem));
    let LintSettings { builtins, today } = settings;
    let mut linter = Linter { places: &places, builtins, today, findings: forgiven.collect() };
    match &configuration {
        Configuration::Mirror(configuration) => linter.image_set(text, configuration),
        Configuration::Delete(configuration) => {
            linter.version(text, configuration.api);
            linter.empty_sections(&configuration.delete, "delete");
        }
    }
    linter.findings.sort_by_key(|f| (f.problem.line, f.problem.column, f.problem.path.clone()));
    linter.findings
}

/// Looks at a configuration that can be used.
struct Linter<'a> {
    places: &'a Places,
    builtins: &'a [&'a str],
    today: Option<&'a str>,
    findings: Vec<Finding>,
}

impl Linter<'_> {
    fn error(&mut self, code: &'static str, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.find(code, Severity::Error, path, message.into(), hint.into());
    }

    fn warn(&mut self, code: &'static str, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.find(code, Severity::Warning, path, message.into(), hint.into());
    }

    /// Notes that the range of a channel has versions of that of another one, which is at `place`.
    fn overlapping(&mut self, path: &str, channel: &str, other: &str, place: &str) {
        let line = self.line(place);
        let message = format!("the range of `{channel}` overlaps with that of `{other}` in line {line}");
        self.note("overlap", path, message, "one of them is enough, unless clusters follow both channels");
    }

    fn note(&mut self, code: &'static str, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.find(code, Severity::Note, path, message.into(), hint.into());
    }

    fn find(&mut self, code: &'static str, severity: Severity, path: &str, message: String, hint: String) {
        let problem = Problem::new(self.places.nearest(path), path, message).with_hint(hint);
        self.findings.push(Finding::new(code, severity, problem));
    }

    /// Answers whether there is a finding about a value already.
    fn is_told(&self, path: &str) -> bool {
        self.findings.iter().any(|finding| finding.problem.path == path)
    }

    /// Answers whether a list is written and has nothing in it.
    fn is_written_empty<T>(&self, path: &str, list: &[T]) -> bool {
        list.is_empty() && self.places.get(path).is_some()
    }

    fn line(&self, path: &str) -> u32 {
        self.places.nearest(path).line
    }

    fn image_set(&mut self, text: &str, configuration: &ImageSetConfiguration) {
        let mirror = &configuration.mirror;
        self.version(text, configuration.api);
        self.archive_size(configuration);
        self.empty_sections(mirror, "mirror");
        self.platform(mirror);
        self.catalogs(configuration);
        self.images(mirror);
        self.charts(mirror);
        self.blocked(mirror);
        self.plugins(mirror);
        for index in 0..mirror.samples.len().min(1) {
            self.error(
                "samples",
                &format!("mirror.samples[{index}]"),
                "there is no content source for samples: a run refuses the section",
                "remove it",
            );
        }
    }

    fn version(&mut self, text: &str, api: ApiVersion) {
        if api == ApiVersion::V1Alpha2 {
            let message = "the configuration is written as oc-mirror v1 had it, and is read by its rules";
            let problem = Problem::new(locate(text, "apiVersion"), "apiVersion", message)
                .with_hint("`oc-mirror lint --fix` writes it as v2alpha1, and says what changes");
            self.findings.push(Finding::new("v1alpha2", Severity::Note, problem));
        }
    }

    fn archive_size(&mut self, configuration: &ImageSetConfiguration) {
        if configuration.archive_size.is_none_or(|size| size.0 == 0) {
            self.note(
                "archive-size",
                "archiveSize",
                "without an `archiveSize` the files of an imageset grow up to 500 GiB",
                "write `archiveSize: 4` for files of up to 4 GiB, or what fits on the medium",
            );
        }
    }

    fn empty_sections(&mut self, sections: &Mirror, root: &str) {
        let used: Vec<&str> = sections.sections_in_use().into_iter().map(|section| section.name).collect();
        if !used.iter().any(|name| super::types::SOURCES.contains(name)) {
            let what = if root == "delete" { "deleted" } else { "mirrored" };
            let hint = format!("list what is to be {what}, such as `additionalImages`");
            self.warn("empty", root, format!("nothing is {what}: no section asks for anything"), hint);
        }
        for name in super::types::SECTIONS.into_iter().filter(|name| !used.contains(name)) {
            let path = format!("{root}.{name}");
            if self.places.get(&path).is_some() {
                let message = format!("`{name}` asks for nothing");
                self.note("empty", &path, message, "remove it, or list what is wanted");
            }
        }
    }
}
