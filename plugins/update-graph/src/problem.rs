//! [`Problem`] and [`Note`]: what is wrong, and what a user should know.

use std::fmt;

use serde::Serialize;

/// Something that is wrong, with what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What kind of problem it is, for programs.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem without a hint.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// Says what to do.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into()).filter(|hint| !hint.is_empty());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

/// Something that a user should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    /// What kind of note it is, for programs.
    pub code: &'static str,
    /// Tells whether something may have to be done about it.
    pub is_warning: bool,
    /// What there is to know.
    pub text: String,
}

impl Note {
    /// A note that only informs.
    pub(crate) fn info(code: &'static str, text: impl Into<String>) -> Self {
        Self { code, is_warning: false, text: text.into() }
    }

    /// A note that asks for attention.
    pub(crate) fn warning(code: &'static str, text: impl Into<String>) -> Self {
        Self { code, is_warning: true, text: text.into() }
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SelectError<E> {
    /// A graph could not be had.
    Graphs(E),
    /// The graphs do not have what was asked for; at least one problem.
    Problems(Vec<Problem>),
}

impl<E: fmt::Display> fmt::Display for SelectError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Graphs(error) => error.fmt(f),
            Self::Problems(problems) => {
                let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
                f.write_str(&lines.join("\n"))
            }
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for SelectError<E> {}

impl<E> From<Problem> for SelectError<E> {
    fn from(problem: Problem) -> Self {
        Self::Problems(vec![problem])
    }
}
