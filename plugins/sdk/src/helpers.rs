//! Short forms for what plugins build often: findings, problems, errors, log lines.

use crate::host::log;
use crate::host::streams::{Reader, Writer};
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

/// What stands before the hint in a message; the host shows what follows apart.
const HINT: &str = "; hint: ";

/// Adds a hint for the user to an error that has none.
pub fn with_hint(error: Error, hint: &str) -> Error {
    let with = |text: String| if text.contains(HINT) { text } else { format!("{text}{HINT}{hint}") };
    match error {
        Error::Denied(text) => Error::Denied(with(text)),
        Error::NotFound(text) => Error::NotFound(with(text)),
        Error::Invalid(text) => Error::Invalid(with(text)),
        Error::Unavailable(text) => Error::Unavailable(with(text)),
        Error::Limit(text) => Error::Limit(with(text)),
        Error::Other(mut coded) => {
            coded.message = with(coded.message);
            Error::Other(coded)
        }
        Error::Cancelled => Error::Cancelled,
    }
}

/// Makes one message of several, each with the hint that it may have; a hint is said once, at the end.
pub fn in_one<'a>(messages: impl IntoIterator<Item = (String, Option<&'a str>)>) -> String {
    let mut texts = Vec::new();
    let mut hints: Vec<&str> = Vec::new();
    for (text, hint) in messages {
        texts.push(text);
        hints.extend(hint.filter(|hint| !hints.contains(hint)));
    }
    let text = texts.join("; ");
    if hints.is_empty() { text } else { format!("{text}{HINT}{}", hints.join("; ")) }
}

/// Makes one error of several, which has the code if there is more than one.
pub fn together(code: &str, errors: Vec<Error>) -> Error {
    match <[Error; 1]>::try_from(errors) {
        Ok([error]) => error,
        Err(errors) => {
            let texts: Vec<String> = errors.iter().map(explain).collect();
            let parts = texts.iter().map(|text| match text.split_once(HINT) {
                Some((text, hint)) => (text.to_owned(), Some(hint)),
                None => (text.clone(), None),
            });
            other(code, in_one(parts))
        }
    }
}

/// Reads a stream to its end; one that is longer than `most` bytes is an error, whose message begins with `what`.
pub fn read_all(reader: &Reader, most: usize, what: &str) -> Result<Vec<u8>, Error> {
    const PIECE: u32 = 512 << 10;
    let mut bytes = Vec::new();
    loop {
        let piece = reader.read(PIECE)?;
        if piece.is_empty() {
            return Ok(bytes);
        }
        bytes.extend(piece);
        if bytes.len() > most {
            return Err(Error::Limit(format!("{what} has more than {most} bytes")));
        }
    }
}

/// Writes bytes in pieces that the host takes.
pub fn write_all(writer: &Writer, bytes: &[u8]) -> Result<(), Error> {
    const PIECE: usize = 512 << 10;
    bytes.chunks(PIECE).try_for_each(|piece| writer.write(piece))
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

    #[test]
    fn several_errors_make_one() {
        let first = with_hint(other("a", "one"), "do this");
        assert_eq!(together("x.all", vec![first.clone()]), first);
        let error = together("x.all", vec![first.clone(), Error::NotFound("two".into()), first]);
        assert_eq!(explain(&error), "x.all: a: one; not found: two; a: one; hint: do this");
    }

    #[rstest]
    #[case(Error::Denied("http".into()), "denied: http")]
    #[case(Error::Cancelled, "cancelled")]
    #[case(other("x.y", "why"), "x.y: why")]
    fn errors_in_words(#[case] error: Error, #[case] expected: &str) {
        assert_eq!(explain(&error), expected);
    }
}
