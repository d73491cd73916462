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
    /// The values do not fit the schema of the chart, or of one in it.
    Schema(Vec<Misfit>),
    /// A template cannot be executed.
    Template(Failure),
    /// What a template makes is not YAML: the template, and why.
    Manifest(String, String),
}

/// A value that does not fit a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The chart whose schema it is: its name, and those of the charts that it is in before it.
    pub chart: String,
    /// Where it is in the values of this chart, as a JSON pointer.
    pub at: String,
    /// What is wrong with it.
    pub what: String,
}

impl std::fmt::Display for Misfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { chart, at, what } = self;
        match at.as_str() {
            "" => write!(f, "values of `{chart}`: {what}"),
            at => write!(f, "`{at}` of `{chart}`: {what}"),
        }
    }
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
            Self::Schema(misfits) => {
                let all: Vec<String> = misfits.iter().map(ToString::to_string).collect();
                write!(f, "the values do not fit `values.schema.json`: {}", all.join("; "))
            }
            Self::Template(failure) => failure.fmt(f),
            Self::Manifest(template, why) => write!(f, "what `{template}` makes is not YAML: {why}"),
        }
    }
}

impl std::error::Error for ChartError {}
