//! What can be wrong with a configuration: [`Problem`], and [`ConfigError`] for all of them at once.

use std::fmt;

use serde::Serialize;

use crate::redact::without_credentials;

/// How many problems are kept; the rest of a hopeless file is noise.
const MOST: usize = 100;

/// A place in the text, both counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The column, in characters.
    pub column: u32,
}

/// One thing in a configuration that is wrong, or at least remarkable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Which value: `mirror.operators[0].catalog`. Empty for the file as a whole.
    pub path: String,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    /// Makes a problem without a hint.
    ///
    /// Messages repeat what was written, but for passwords in it.
    pub fn new(at: Position, path: impl Into<String>, message: impl Into<String>) -> Self {
        let message = without_credentials(&message.into()).into_owned();
        Self { path: path.into(), line: at.line, column: at.column, message, hint: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// A configuration that cannot be used, with everything that is wrong with it, in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", render(.problems))]
pub struct ConfigError {
    /// What is wrong; never empty.
    pub problems: Vec<Problem>,
}

impl ConfigError {
    /// Returns what to do: the hint if there is one, else each with its line.
    pub fn hint(&self) -> Option<String> {
        let mut hints: Vec<(u32, &str)> = Vec::new();
        for problem in &self.problems {
            if let Some(hint) = &problem.hint
                && !hints.iter().any(|(_, known)| known == hint)
            {
                hints.push((problem.line, hint));
            }
        }
        match hints.as_slice() {
            [] => None,
            [(_, only)] => Some((*only).to_owned()),
            several => {
                let lines: Vec<String> =
                    several.iter().map(|(line, hint)| format!("line {line}: {hint}")).collect();
                Some(lines.join("\n"))
            }
        }
    }
}

fn render(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

/// Collects errors and warnings while a configuration is read.
#[derive(Debug, Default)]
pub(super) struct Problems {
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
    surplus: usize,
}

impl Problems {
    pub(super) fn error(&mut self, problem: Problem) {
        if self.errors.len() < MOST {
            self.errors.push(problem);
        } else {
            self.surplus += 1;
        }
    }

    pub(super) fn warn(&mut self, problem: Problem) {
        if self.warnings.len() < MOST {
            self.warnings.push(problem);
        }
    }

    /// Returns the warnings, or the errors if there are any.
    pub(super) fn finish(mut self) -> Result<Vec<Problem>, ConfigError> {
        let in_text_order = |p: &Problem| (p.line, p.column);
        self.errors.sort_by_key(in_text_order);
        self.warnings.sort_by_key(in_text_order);
        if let Some(last) = self.errors.last()
            && self.surplus > 0
        {
            let at = Position { line: last.line, column: last.column };
            self.errors.push(Problem::new(at, "", format!("and {} problems more", self.surplus)));
        }
        if self.errors.is_empty() {
            return Ok(self.warnings);
        }
        Err(ConfigError { problems: self.errors })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(line: u32, hint: &str) -> Problem {
        Problem::new(Position { line, column: 3 }, "mirror.a", "is wrong").with_hint(hint)
    }

    #[test]
    fn rendering() {
        let error = ConfigError { problems: vec![problem(1, "x"), problem(2, "x")] };
        assert_eq!(error.to_string(), "1:3: mirror.a: is wrong\n2:3: mirror.a: is wrong");
        assert_eq!(error.hint().as_deref(), Some("x"));
        let error = ConfigError { problems: vec![problem(1, "x"), problem(2, "y")] };
        assert_eq!(error.hint().as_deref(), Some("line 1: x\nline 2: y"));
    }

    #[test]
    fn sorted_and_bounded() {
        let mut problems = Problems::default();
        for line in (1..=200).rev() {
            problems.error(problem(line, "x"));
        }
        let error = problems.finish().expect_err("errors");
        assert_eq!(error.problems.len(), MOST + 1);
        assert!(error.problems[0].line < error.problems[1].line);
        assert_eq!(error.problems[MOST].message, "and 100 problems more");
    }
}
