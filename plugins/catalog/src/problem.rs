//! [`Problem`] and [`Note`]: what is wrong, and what a user should know.

use std::fmt;

use serde::Serialize;

/// How many problems one error lists; the rest is counted.
pub const MOST_PROBLEMS: usize = 20;

/// Something that is wrong, with where and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What kind of problem it is, for programs.
    pub code: &'static str,
    /// The package at fault.
    pub package: Option<String>,
    /// The file at fault, below the configs root.
    pub file: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem without a place.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, package: None, file: None, message: message.into(), hint: None }
    }

    /// Says which package is at fault.
    pub fn package(mut self, name: &str) -> Self {
        self.package = Some(name.to_owned()).filter(|name| !name.is_empty());
        self
    }

    /// Says which file is at fault.
    pub fn file(mut self, file: &str) -> Self {
        self.file = Some(file.to_owned()).filter(|file| !file.is_empty());
        self
    }

    /// Says what to do.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into()).filter(|hint| !hint.is_empty());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(package) = &self.package {
            write!(f, "package `{package}`: ")?;
        }
        f.write_str(&self.message)?;
        if let Some(file) = &self.file {
            write!(f, " (in `{file}`)")?;
        }
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

/// All problems found in one go; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    /// The first of them, at most [`MOST_PROBLEMS`].
    pub problems: Vec<Problem>,
    /// How many more there are.
    pub more: usize,
}

impl Problems {
    /// Fails with `problems` if there are any.
    pub(crate) fn check(mut problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() {
            return Ok(());
        }
        let more = problems.len().saturating_sub(MOST_PROBLEMS);
        problems.truncate(MOST_PROBLEMS);
        Err(Self { problems, more })
    }

    /// Tells whether a problem has the code.
    pub fn has(&self, code: &str) -> bool {
        self.problems.iter().any(|problem| problem.code == code)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, problem) in self.problems.iter().enumerate() {
            let break_ = if place == 0 { "" } else { "\n" };
            write!(f, "{break_}{problem}")?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, "\n… and {more} more"),
        }
    }
}

impl std::error::Error for Problems {}

/// What is wrong with a catalog.
pub type CatalogError = Problems;
/// Why nothing can be selected as asked.
pub type SelectError = Problems;

/// Something that a user should know, for the run's report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// What kind of note it is, for programs.
    pub code: &'static str,
    /// The package it is about.
    pub package: String,
    /// What there is to know.
    pub message: String,
}

impl Note {
    /// A note about a package.
    pub fn new(code: &'static str, package: &str, message: impl Into<String>) -> Self {
        Self { code, package: package.to_owned(), message: message.into() }
    }
}
