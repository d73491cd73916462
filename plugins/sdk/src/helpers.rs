//! Short forms for what plugins build often: findings, problems, errors, log lines.

use crate::host::log;
use crate::{Coded, Error, Finding, Problem, Sink};

/// Makes a finding. The code is for machines and stays the same over versions; the message is for people.
pub fn finding<'a>(
    code: &str,
    message: impl Into<String>,
    details: impl IntoIterator<Item = (&'a str, String)>,
) -> Finding {
    let details = details.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    Finding { code: code.to_owned(), message: message.into(), details }
}

/// Makes a problem with the settings at `path`, such as `images[3].name`.
pub fn problem(path: impl Into<String>, code: &str, message: impl Into<String>) -> Problem {
    Problem { path: path.into(), code: code.to_owned(), message: message.into() }
}

/// Makes an error that the contract has no case for.
pub fn other(code: &str, message: impl Into<String>) -> Error {
    Error::Other(Coded { code: code.to_owned(), message: message.into() })
}

/// Says an error in words.
pub fn explain(error: &Error) -> String {
    match error {
        Error::Denied(what) => format!("denied: {what}"),
        Error::NotFound(what) => format!("not found: {what}"),
        Error::Invalid(what) => format!("invalid: {what}"),
        Error::Limit(what) => format!("limit reached: {what}"),
        Error::Unavailable(what) => format!("unavailable: {what}"),
        Error::Cancelled => "cancelled".to_owned(),
        Error::Other(Coded { code, message }) => format!("{code}: {message}"),
    }
}

/// Says what an error was about; its kind stays.
pub fn about(error: Error, what: &str) -> Error {
    let with = |text: String| format!("{what}: {text}");
    match error {
        Error::Denied(text) => Error::Denied(with(text)),
        Error::NotFound(text) => Error::NotFound(with(text)),
        Error::Invalid(text) => Error::Invalid(with(text)),
        Error::Limit(text) => Error::Limit(with(text)),
        Error::Unavailable(text) => Error::Unavailable(with(text)),
        Error::Cancelled => Error::Cancelled,
        Error::Other(Coded { code, message }) => Error::Other(Coded { code, message: with(message) }),
    }
}

/// Writes a line to the run's log.
pub fn info(message: &str) {
    log::log(log::Level::Info, message, &[]);
}

/// Writes a warning to the run's report.
pub fn warning(out: &Sink, code: &str, message: &str) {
    out.warn(code, message);
}

/// Writes something that needs nothing done into the run's report.
pub fn note(out: &Sink, code: &str, message: &str) {
    out.note(code, message);
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(Error::Denied("http".into()), "denied: http")]
    #[case(Error::Cancelled, "cancelled")]
    #[case(other("x.y", "why"), "x.y: why")]
    fn errors_in_words(#[case] error: Error, #[case] expected: &str) {
        assert_eq!(explain(&error), expected);
    }
}
