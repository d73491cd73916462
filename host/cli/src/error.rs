//! [`CliError`]: what went wrong, in the shape in which it is shown. The one place that maps errors to exit codes.

use std::error::Error;
use std::fmt::Display;

use oc_mirror_clusters::ClusterError;
use oc_mirror_engine::workflow::{WorkflowError, WorkflowErrorKind};
use oc_mirror_model::config::ConfigError;
use oc_mirror_model::redact::without_credentials;
use oc_mirror_model::report::exit;

/// An error with its causes and a hint.
#[derive(Debug)]
pub(crate) struct CliError {
    /// What could not be done.
    pub heading: String,
    /// Why, outermost first.
    pub causes: Vec<String>,
    /// What to do about it.
    pub hint: Option<String>,
    code: u8,
}

impl CliError {
    /// Makes an error without a cause.
    pub(crate) fn new(heading: impl Display) -> Self {
        Self { heading: shown(&heading), causes: Vec::new(), hint: None, code: exit::GENERIC }
    }

    /// Makes an error out of another one and its sources.
    pub(crate) fn from_error(error: &dyn Error) -> Self {
        let mut causes = Vec::new();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = shown(cause);
            // Transparent wrappers would say everything twice.
            if causes.last() != Some(&text) {
                causes.push(text);
            }
            source = cause.source();
        }
        Self { causes, ..Self::new(error) }
    }

    /// Makes an error about something, caused by another one.
    pub(crate) fn caused(heading: impl Display, error: &dyn Error) -> Self {
        let inner = Self::from_error(error);
        let mut causes = vec![inner.heading];
        causes.extend(inner.causes);
        Self { causes, ..Self::new(heading) }
    }

    /// Adds what to do about it.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Sets the exit code.
    pub(crate) fn code(self, code: u8) -> Self {
        Self { code, ..self }
    }

    /// Returns the exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        self.code
    }

    /// Makes an error out of everything that is wrong with a configuration.
    pub(crate) fn configuration(path: &str, error: &ConfigError) -> Self {
        let count = error.problems.len();
        let noun = if count == 1 { "a problem" } else { "problems" };
        let mut made = Self::new(format!("the configuration `{path}` has {noun}"));
        for problem in &error.problems {
            let mut line = format!("{}:{}: {}", problem.line, problem.column, problem.message);
            if !problem.path.is_empty() {
                line = format!("{}:{}: {}: {}", problem.line, problem.column, problem.path, problem.message);
            }
            made.causes.push(line);
        }
        made.hint = error.hint();
        made
    }
}

/// Returns what may be shown of a message: all but passwords, which it may repeat from what was written somewhere.
fn shown(message: &dyn Display) -> String {
    without_credentials(&message.to_string()).into_owned()
}

impl From<WorkflowError> for CliError {
    fn from(error: WorkflowError) -> Self {
        let mut made = Self::from_error(&error);
        if let WorkflowErrorKind::Unfit(unfit) = error.kind.as_ref() {
            made.causes = unfit.findings.iter().map(|finding| finding.message.clone()).collect();
        }
        made.hint = error.hint();
        made.code = error.exit_code();
        made
    }
}

impl From<ClusterError> for CliError {
    fn from(error: ClusterError) -> Self {
        Self { hint: error.hint(), ..Self::from_error(&error) }
    }
}
