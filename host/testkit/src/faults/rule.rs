//! [`Rule`]: which requests, and what becomes of them ([`Action`]). Matching only; acting is the connection's business.

use std::time::Duration;

use regex::Regex;

use crate::http::{self, Headers};

/// What is done to a request or its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Answers with this status, these header fields and this body, asking nobody.
    Answer(u16, Vec<(String, String)>, Vec<u8>),
    /// Waits before the request is passed on.
    Delay(Duration),
    /// Closes the connection without an answer and without passing the request on.
    Hangup,
    /// Passes the request on and closes the connection instead of answering: the work is done, the client cannot know.
    LoseAnswer,
    /// Closes the connection after this many bytes of the answer's body.
    DropAfter(usize),
    /// Inverts the byte at this position of the answer's body, if it has one there.
    Corrupt(usize),
    /// Falls silent for a while after this many bytes of the answer's body, then goes on.
    Stall(usize, Duration),
    /// Claims another length of the answer's body than it has.
    ClaimLength(usize),
    /// Sends the answer's body in chunks and without a length.
    Chunked,
    /// Replaces the answer's body, its length told truly.
    ReplaceBody(Vec<u8>),
    /// Takes the wish to mount out of an upload request, so that the registry opens a plain upload (202).
    RefuseMount,
    /// Sends the answer's body over and over until this many bytes have gone (`u64::MAX`: until the client hangs up), in
    /// chunks unless a length is claimed as well. It takes no memory, however much it is; of an empty body, it is spaces.
    Flood(u64),
    /// Removes a header field of the request before it is passed on, for instance `Range`.
    StripRequestHeader(String),
    /// Removes a header field of the answer.
    StripHeader(String),
    /// Adds a header field to the answer, in place of any of that name.
    SetHeader(String, String),
    /// Answers 307 to the same path at another base address, such as `http://127.0.0.1:1234`.
    Redirect(String),
    /// Closes the connection after a whole and proper answer, without having announced it.
    CloseAfterAnswer,
    /// Answers with a page of so many tags that no page before had, and a link to the page behind it, for ever.
    EndlessTags(usize),
    /// Sends the answer's body in chunks, and claims this length besides: two readers may see two bodies.
    TwoLengths(usize),
}

impl Action {
    /// Answers with a status and no body.
    pub fn status(status: u16) -> Self {
        Self::Answer(status, Vec::new(), Vec::new())
    }

    /// Answers 429 with a `Retry-After` in seconds.
    pub fn too_many_requests(seconds: u32) -> Self {
        Self::Answer(429, vec![("Retry-After".to_string(), seconds.to_string())], Vec::new())
    }

    /// Answers 200 with a body of a media type.
    pub fn body(media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::Answer(200, vec![("Content-Type".to_string(), media_type.to_string())], body.into())
    }
}

/// Requests that match, counted, and what happens to some of them.
#[derive(Clone, Debug)]
pub struct Rule {
    method: String,
    path: Regex,
    header: Option<(String, Regex)>,
    from: usize,
    until: usize,
    every: usize,
    actions: Vec<Action>,
}

impl Rule {
    /// Matches a method (`*` for any) and a regular expression on path and query.
    pub fn on(method: &str, path: &str) -> Self {
        Self {
            method: method.to_string(),
            path: pattern(path),
            header: None,
            from: 1,
            until: usize::MAX,
            every: 1,
            actions: Vec::new(),
        }
    }

    /// Matches only requests that have a header field with a value like this.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.header = Some((name.to_string(), pattern(value)));
        self
    }

    /// Acts on the first `count` matching requests.
    pub fn first(mut self, count: usize) -> Self {
        (self.from, self.until) = (1, count);
        self
    }

    /// Acts on the `nth` matching request only, counted from 1.
    pub fn nth(mut self, nth: usize) -> Self {
        (self.from, self.until) = (nth, nth);
        self
    }

    /// Acts on all matching requests after the first `count`.
    pub fn after(mut self, count: usize) -> Self {
        (self.from, self.until) = (count + 1, usize::MAX);
        self
    }

    /// Acts on every `nth` of them only.
    pub fn every(mut self, nth: usize) -> Self {
        self.every = nth;
        self
    }

    /// Says what happens; several actions of a rule all happen.
    pub fn then(mut self, action: Action) -> Self {
        self.actions.push(action);
        self
    }

    fn matches(&self, method: &str, path: &str, headers: &Headers) -> bool {
        (self.method == "*" || self.method == method)
            && self.path.is_match(path)
            && self
                .header
                .as_ref()
                .is_none_or(|(name, value)| http::header(headers, name).is_some_and(|v| value.is_match(v)))
    }
}

/// The rules, each with the number of requests it has matched.
#[derive(Debug, Default)]
pub(super) struct Table {
    rules: Vec<(Rule, usize)>,
}

impl Table {
    pub(super) fn add(&mut self, rule: Rule) {
        self.rules.push((rule, 0));
    }

    /// Counts the request and returns what is to be done about it.
    pub(super) fn actions(&mut self, method: &str, path: &str, headers: &Headers) -> Vec<Action> {
        let mut actions = Vec::new();
        for (rule, seen) in &mut self.rules {
            if rule.matches(method, path, headers) {
                *seen += 1;
                if (rule.from..=rule.until).contains(seen) && *seen % rule.every == 0 {
                    actions.extend(rule.actions.iter().cloned());
                }
            }
        }
        actions
    }
}

/// Compiles a regular expression written in a test.
pub(super) fn pattern(text: &str) -> Regex {
    Regex::new(text).unwrap_or_else(|e| panic!("regular expression `{text}`: {e}"))
}
