//! What a registry says when it does not do what was asked: [`RegistryAnswer`], and how it becomes a [`ContentError`].

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;

use crate::content::{ContentError, ContentErrorKind};
use crate::net::{NetError, NetErrorKind, parse_retry_after};

/// The longest body of an error that is read.
pub(super) const MAX_ERROR_BYTES: u64 = 64 << 10;
/// The longest part of it that is repeated.
const MAX_TEXT: usize = 300;

/// What a registry answered, in its own words but without control characters and cut to a sane length.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the registry answered {status}{}", self.words())]
pub struct RegistryAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The error code of the protocol, `MANIFEST_INVALID` for one.
    pub code: Option<String>,
    /// What it says.
    pub message: Option<String>,
}

#[derive(Deserialize)]
struct Wire {
    errors: Vec<WireError>,
}

#[derive(Deserialize)]
struct WireError {
    #[serde(default)]
    code: Value,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    detail: Value,
}

impl RegistryAnswer {
    /// Reads the body of an error.
    pub fn read(status: StatusCode, body: &[u8]) -> Self {
        let first = serde_json::from_slice::<Wire>(body).ok().and_then(|w| w.errors.into_iter().next());
        let Some(error) = first else {
            // Proxies answer in HTML, which nobody wants in a terminal.
            let text = std::str::from_utf8(body).ok().map(str::trim).filter(|t| !t.starts_with(['<', '{']));
            let message = text.map(clean).filter(|t| !t.is_empty());
            return Self { status: status.as_u16(), code: None, message };
        };
        let code = error.code.as_str().map(clean).filter(|c| !c.is_empty());
        let mut message = error.message.as_deref().map(clean).unwrap_or_default();
        let detail = match &error.detail {
            Value::Null => String::new(),
            Value::String(text) => clean(text),
            other => clean(&other.to_string()),
        };
        if !detail.is_empty() && detail != "{}" && detail != "[]" && !message.contains(&detail) {
            message = clean(&if message.is_empty() { detail } else { format!("{message} ({detail})") });
        }
        Self { status: status.as_u16(), code, message: Some(message).filter(|m| !m.is_empty()) }
    }

    fn words(&self) -> String {
        match (&self.code, &self.message) {
            (Some(code), Some(message)) => format!(": `{code}`, {message}"),
            (Some(code), None) => format!(": `{code}`"),
            (None, Some(message)) => format!(": {message}"),
            (None, None) => String::new(),
        }
    }

    /// Answers whether it has one of these codes.
    pub(super) fn has_code(&self, codes: &[&str]) -> bool {
        self.code.as_deref().is_some_and(|c| codes.contains(&c))
    }

    fn kind(&self, retry_after: Option<Duration>) -> ContentErrorKind {
        match (self.status, self.code.as_deref()) {
            (401, _) => ContentErrorKind::Unauthorized,
            (429, _) | (_, Some("TOOMANYREQUESTS")) => ContentErrorKind::Throttled { retry_after },
            (status, _) if is_passing(status) => ContentErrorKind::Unavailable(self.to_string()),
            (403, _) => ContentErrorKind::Denied,
            // The manifest that is being put names something that is not there: no `not found` of what was asked for.
            (_, Some("MANIFEST_BLOB_UNKNOWN")) => ContentErrorKind::Incomplete(self.to_string()),
            (_, Some("BLOB_UPLOAD_UNKNOWN")) => ContentErrorKind::Refused(self.to_string()),
            (404, _) => ContentErrorKind::NotFound,
            (400.., Some("MANIFEST_UNKNOWN" | "NAME_UNKNOWN" | "BLOB_UNKNOWN")) => ContentErrorKind::NotFound,
            (400.., Some("DENIED")) => ContentErrorKind::Denied,
            _ => ContentErrorKind::Refused(self.to_string()),
        }
    }
}

/// An attempt that failed, and how long the other side wants to be left alone.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: ContentError,
    pub(super) retry_after: Option<Duration>,
    /// Whether all attempts that there are have been made already.
    pub(super) settled: bool,
}

impl From<ContentError> for Failure {
    fn from(error: ContentError) -> Self {
        Self { retry_after: error.retry_after(), error, settled: false }
    }
}

impl Failure {
    /// Makes a failure of something that has had its own attempts and gets no more.
    pub(super) fn settled(error: ContentError) -> Self {
        Self { retry_after: None, error, settled: true }
    }

    /// Makes a failure out of an answer.
    pub(super) fn of_answer(subject: &str, answer: RegistryAnswer, headers: &HeaderMap) -> Self {
        let retry_after = retry_after(headers);
        let kind = answer.kind(retry_after);
        // What the kind already repeats needs no source.
        let error = match kind {
            ContentErrorKind::Refused(_)
            | ContentErrorKind::Incomplete(_)
            | ContentErrorKind::Unavailable(_) => ContentError::new(subject, kind),
            ContentErrorKind::NotFound if answer.code.is_none() => ContentError::new(subject, kind),
            _ => ContentError::with_source(subject, kind, answer),
        };
        Self { error, retry_after, settled: false }
    }
}

/// Makes an error out of one of the network.
pub(super) fn of_net(subject: &str, error: &NetError) -> ContentError {
    let text = error.to_string();
    let kind = match error.kind() {
        _ if error.is_temporary() => ContentErrorKind::Unavailable(text),
        NetErrorKind::Tls(_) => ContentErrorKind::Untrusted(text),
        NetErrorKind::PlainHttp => ContentErrorKind::PlainHttp(text),
        _ => ContentErrorKind::Invalid(text),
    };
    ContentError::new(subject, kind)
}

/// Answers whether a status says that the same request may succeed later.
pub(super) fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 429 | 499 | 500 | 502 | 503 | 504 | 522)
}

pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    parse_retry_after(headers.get(RETRY_AFTER)?.to_str().ok()?, OffsetDateTime::now_utc())
}

/// Reads how long nothing more is allowed, where an answer says that it was the last one: `RateLimit-Remaining: 0` with
/// `RateLimit-Reset`, or one `RateLimit` with both, in the notations of all drafts. Who says no time gives none here, and
/// answers 429 in due course.
pub(super) fn rate_limited(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let number = |text: &str| -> Option<u64> { text.split(';').next()?.trim().parse().ok() };
    let (remaining, reset) = match text("ratelimit") {
        Some(line) => {
            let mut parts = line.split([',', ';']).filter_map(|part| part.split_once('='));
            let mut remaining = None;
            let mut reset = None;
            for (name, value) in parts.by_ref() {
                match name.trim() {
                    "r" | "remaining" => remaining = number(value),
                    "t" | "reset" => reset = number(value),
                    _ => {}
                }
            }
            (remaining, reset)
        }
        None => (text("ratelimit-remaining").and_then(number), text("ratelimit-reset").and_then(number)),
    };
    (remaining? == 0).then_some(Duration::from_secs(reset?))
}

/// Makes a text of the other side safe to repeat.
fn clean(text: &str) -> String {
    let mut clean: String = text
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !c.is_control() && !is_direction(*c))
        .take(MAX_TEXT + 1)
        .collect();
    if clean.chars().count() > MAX_TEXT {
        clean = clean.chars().take(MAX_TEXT).chain(['…']).collect();
    }
    clean.trim().to_owned()
}

/// Answers whether a character turns text around, with which a message can pose as another.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn error(status: u16, body: &str) -> ContentError {
        let answer = RegistryAnswer::read(StatusCode::from_u16(status).unwrap(), body.as_bytes());
        Failure::of_answer("r/x", answer, &HeaderMap::new()).error
    }

    #[rstest]
    #[case(&[("ratelimit-remaining", "0"), ("ratelimit-reset", "30")], Some(30))]
    #[case(&[("ratelimit-remaining", "1"), ("ratelimit-reset", "30")], None)]
    #[case(&[("ratelimit-limit", "100;w=21600"), ("ratelimit-remaining", "0;w=21600")], None)]
    #[case(&[("ratelimit", "limit=100, remaining=0, reset=50")], Some(50))]
    #[case(&[("ratelimit", "\"default\";r=0;t=7")], Some(7))]
    #[case(&[("ratelimit", "\"default\";r=50;t=7")], None)]
    #[case(&[("ratelimit", "nonsense")], None)]
    #[case(&[], None)]
    fn the_last_of_a_quota(#[case] lines: &[(&'static str, &'static str)], #[case] seconds: Option<u64>) {
        let headers = lines.iter().map(|(name, value)| {
            (reqwest::header::HeaderName::from_static(name), reqwest::header::HeaderValue::from_static(value))
        });
        assert_eq!(rate_limited(&headers.collect()), seconds.map(Duration::from_secs));
    }

    fn coded(code: &str) -> String {
        serde_json::json!({"errors": [{"code": code, "message": "m", "detail": {"n": 1}}]}).to_string()
    }

    #[rstest]
    #[case(401, "UNAUTHORIZED", "Unauthorized")]
    #[case(403, "DENIED", "Denied")]
    #[case(400, "DENIED", "Denied")]
    #[case(404, "MANIFEST_UNKNOWN", "NotFound")]
    #[case(404, "", "NotFound")]
    #[case(400, "NAME_UNKNOWN", "NotFound")]
    #[case(404, "MANIFEST_BLOB_UNKNOWN", "Incomplete")]
    #[case(400, "MANIFEST_INVALID", "Refused")]
    #[case(405, "UNSUPPORTED", "Refused")]
    #[case(429, "TOOMANYREQUESTS", "Throttled")]
    #[case(503, "", "Unavailable")]
    #[case(500, "UNKNOWN", "Unavailable")]
    #[case(501, "", "Refused")]
    fn kinds(#[case] status: u16, #[case] code: &str, #[case] kind: &str) {
        let text = format!("{:?}", error(status, &coded(code)).kind());
        assert!(text.starts_with(kind), "{text}");
    }

    #[test]
    fn json_has_a_depth() {
        let body = |depth: usize| {
            let detail = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            format!(r#"{{"errors":[{{"code":"DENIED","message":"m","detail":{detail}}}]}}"#)
        };
        let code = |depth| RegistryAnswer::read(StatusCode::FORBIDDEN, body(depth).as_bytes()).code;
        // Three levels are around it.
        assert_eq!(code(124).as_deref(), Some("DENIED"));
        assert_eq!(code(125), None, "it counts as not understood");
        assert_eq!(code(30_000), None);
    }

    #[test]
    fn the_registry_is_quoted_without_control_characters() {
        let body = "{\"errors\":[{\"code\":\"MANIFEST_INVALID\",\"message\":\"bad\\u001b[31m\\nthing\\u202e\\u061c\"}]}";
        let text = error(400, body).to_string();
        assert_eq!(text, "`r/x`: the registry answered 400: `MANIFEST_INVALID`, bad[31m thing");
        let text = error(400, &"x".repeat(10_000)).to_string();
        assert!(text.len() < 400, "{text}");
        assert_eq!(error(400, "<html>boo</html>").to_string(), "`r/x`: the registry answered 400");
        assert_eq!(error(400, r#"{"errors":[]}"#).to_string(), "`r/x`: the registry answered 400");
        assert!(
            error(400, &coded("DIGEST_INVALID")).to_string().ends_with(r#"`DIGEST_INVALID`, m ({"n":1})"#)
        );
    }
}
