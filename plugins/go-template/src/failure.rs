//! [`Failure`]: why a template could not be executed, and where.

use std::fmt;

/// Why a template could not be parsed or executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    kind: Kind,
    message: String,
    /// Boxed, as results with a failure in them are everywhere.
    place: Option<Box<Place>>,
    /// The place in the outermost template, if that is another one.
    from: Option<Box<Place>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Something is wrong with the template or with its data.
    Fault,
    /// The template itself says that it cannot go on: `fail`, `required`.
    Refusal,
    /// A limit was reached.
    Limit,
}

/// A place in a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The name of the template's file.
    pub template: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in bytes, from 1.
    pub column: usize,
    /// What stands there, shortened.
    pub node: String,
}

impl Failure {
    /// Something is wrong with the template or with its data.
    pub fn fault(message: impl Into<String>) -> Self {
        Self { kind: Kind::Fault, message: message.into(), place: None, from: None }
    }

    /// The template says that it cannot go on.
    pub fn refusal(message: impl Into<String>) -> Self {
        Self { kind: Kind::Refusal, ..Self::fault(message) }
    }

    /// A limit was reached.
    pub fn limit(message: impl Into<String>) -> Self {
        Self { kind: Kind::Limit, ..Self::fault(message) }
    }

    pub(crate) fn too_deep() -> Self {
        Self::limit("values are nested too deeply, or contain themselves")
    }

    /// Answers whether a limit was reached.
    pub fn is_limit(&self) -> bool {
        self.kind == Kind::Limit
    }

    /// Returns the message without the place.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Says where it happened, unless that is known. What contains that place is remembered too.
    pub(crate) fn at(mut self, place: impl FnOnce() -> Place) -> Self {
        match &self.place {
            None => self.place = Some(Box::new(place())),
            Some(inner) => {
                let outer = place();
                if outer.template != inner.template {
                    self.from = Some(Box::new(outer));
                }
            }
        }
        self
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.template, self.line, self.column)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
            if self.kind == Kind::Fault && !place.node.is_empty() {
                write!(f, "at <{}>: ", place.node)?;
            }
        }
        f.write_str(&self.message)?;
        match &self.from {
            Some(from) => write!(f, " (used by {from})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}
