//! What only catalogs know: whether what is wanted is there, is deprecated, or needs what is not wanted.

use std::path::Path;
use std::sync::Arc;

use oc_mirror_engine::report::Silence;
use oc_mirror_engine::source::{Collected, PluginError};
use oc_mirror_engine::workflow::tryout::{Around, Tryout};
use oc_mirror_model::config::{
    self, Configuration, Finding, ImageSetConfiguration, Operator, Problem, Severity, locate,
};
use oc_mirror_plugin_host::Host;

use crate::args::LintArgs;
use crate::commands::list::asking;
use crate::commands::plugin::desk::Desk;
use crate::error::CliError;
use crate::{environment, operators, plugins};

/// Whom to ask.
pub(super) struct Catalogs {
    host: Host,
    desk: Desk,
}

impl Catalogs {
    /// Prepares to ask.
    pub(super) fn open(args: &LintArgs) -> Result<Self, CliError> {
        let mut run = asking(environment::created()?.text);
        run.events = Arc::new(Silence);
        Ok(Self { host: plugins::host()?, desk: Desk::with(&args.network, run)? })
    }

    /// Looks at what a configuration wants of catalogs. Where it cannot be used there is nothing to ask.
    pub(super) fn look(&self, path: &Path, text: &str) -> Result<Vec<Finding>, CliError> {
        let Ok(parsed) = config::parse(text) else { return Ok(Vec::new()) };
        let Configuration::Mirror(configuration) = parsed.configuration else { return Ok(Vec::new()) };
        if configuration.mirror.operators.is_empty() {
            return Ok(Vec::new());
        }
        let operators = &configuration.mirror.operators;
        Ok(match self.collect(path, &configuration)? {
            Ok(collected) => {
                let remarks = collected.warnings.iter().filter_map(|(code, message)| remark(code, message));
                remarks.map(|(code, message, hint)| finding(text, operators, code, message, hint)).collect()
            }
            // A run ends with the same.
            Err(error) => vec![refused(text, operators, &error)],
        })
    }

    fn collect(
        &self,
        path: &Path,
        configuration: &ImageSetConfiguration,
    ) -> Result<Result<Collected, PluginError>, CliError> {
        let mirror = &configuration.mirror;
        let directory = Desk::directory()?;
        let beside = path.parent().unwrap_or(Path::new(""));
        let settings = operators::settings(configuration.api, &mirror.operators, beside)?;
        let grants = operators::grants(mirror.operators.iter().map(|operator| operator.catalog.as_str()));
        let spec = plugins::builtin(&self.host, operators::NAME, settings, &grants)?;
        let outside = self.desk.outside()?;
        let tryout = Tryout::new(&self.desk.run, outside, directory.path(), None, Around::default());
        self.desk.work(async {
            let source =
                self.host.source(spec).await.map_err(|error| {
                    plugins::failed("the built-in plugin `operator` cannot be used", &error)
                })?;
            Ok(tryout.collect(source.as_ref()).await)
        })
    }
}

/// Returns the code of a remark of the plugin and what to do about it; nothing of one that is about a run.
fn remark<'a>(code: &str, message: &'a str) -> Option<(&'static str, &'a str, &'static str)> {
    match code {
        "operator.missing-dependency" => Some((
            "missing-dependency",
            message,
            "add the package, or have it added with `dependencies: resolve` beside `catalog`; if clusters have it from elsewhere: \
             `dependencies: ignore`",
        )),
        "operator.deprecated" => Some((
            "deprecated",
            message,
            "see what the operator's maintainers recommend in its place; clusters get no fixes from what is deprecated",
        )),
        _ => None,
    }
}

/// Places what is said at the package, else at the catalog that it begins with.
fn finding(text: &str, operators: &[Operator], code: &'static str, message: &str, hint: &str) -> Finding {
    let path = place(operators, message);
    let problem = Problem::new(locate(text, &path), &path, message).with_hint(hint);
    Finding::new(code, Severity::Warning, problem)
}

fn refused(text: &str, operators: &[Operator], error: &PluginError) -> Finding {
    let shown = CliError::from_error(error);
    let message = std::iter::once(shown.heading).chain(shown.causes).collect::<Vec<_>>().join(": ");
    let path = place(operators, &message);
    let problem = Problem::new(locate(text, &path), &path, message);
    let problem = match &error.hint {
        Some(hint) => problem.with_hint(hint),
        None => problem,
    };
    Finding::new("refused", Severity::Error, problem)
}

/// Finds the entry that a message is about. Those of the plugin begin with the catalog and have the package in backquotes.
fn place(operators: &[Operator], message: &str) -> String {
    let of_catalog = |operator: &Operator| message.contains(&format!("{}:", operator.catalog));
    let Some((at, operator)) = operators.iter().enumerate().find(|(_, operator)| of_catalog(operator)) else {
        return "mirror.operators".to_owned();
    };
    let named = |name: &str| message.contains(&format!("package `{name}`"));
    match operator.packages.iter().position(|package| named(&package.name)) {
        Some(package) => format!("mirror.operators[{at}].packages[{package}]"),
        None => format!("mirror.operators[{at}].catalog"),
    }
}
