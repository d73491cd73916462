//! [`ChartError`]: what is wrong with a chart.

use oc_mirror_go_template::Failure;

/// What is wrong with a chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChartError {
    /// The archive cannot be unpacked, or must not be.
    Archive(String),
    /// A file of the chart is not what it should be: the file, and why.
    File(String, String),
    /// The chart is for other versions of Kubernetes: those, and the one at hand.
    KubeVersion(String, String),
    /// The values cannot be used.
    Values(String),
    /// A template cannot be executed.
    Template(Failure),
    /// What a template makes is not YAML: the template, and why.
    Manifest(String, String),
}

impl ChartError {
    /// Answers whether a limit was reached.
    pub fn is_limit(&self) -> bool {
        matches!(self, Self::Template(failure) if failure.is_limit())
    }
}

impl From<Failure> for ChartError {
    fn from(failure: Failure) -> Self {
        Self::Template(failure)
    }
}

impl std::fmt::Display for ChartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Archive(why) => write!(f, "the archive cannot be used: {why}"),
            Self::File(file, why) => write!(f, "`{file}`: {why}"),
            Self::KubeVersion(wanted, given) => {
                write!(f, "the chart is for Kubernetes `{wanted}`, and rendered for {given}")
            }
            Self::Values(why) => write!(f, "the values cannot be used: {why}"),
            Self::Template(failure) => failure.fmt(f),
            Self::Manifest(template, why) => write!(f, "what `{template}` makes is not YAML: {why}"),
        }
    }
}

impl std::error::Error for ChartError {}
