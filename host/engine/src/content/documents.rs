//! Streams of documents: [`Documents`] cuts concatenated JSON, or a YAML stream, into JSON documents.
//!
//! A stream that begins with `{` or `[` is JSON documents one after the other, up to a `---`; anything else is YAML,
//! whose documents are converted. One document at a time is held, and none above [`MAX_DOCUMENT`].

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};

/// The largest document. Those of catalogs have a few hundred KiB.
pub const MAX_DOCUMENT: usize = 16 << 20;

/// A stream is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// A document is larger than any that makes sense.
    #[error("a document has more than {} MiB", MAX_DOCUMENT >> 20)]
    TooLarge,
    /// The text is not UTF-8.
    #[error("a document is not UTF-8")]
    Encoding,
    /// Neither white space nor a document.
    #[error("between two documents there is something else")]
    Stray,
    /// The stream ends in the middle of a document.
    #[error("the last document is cut off")]
    CutOff,
    /// The text is not YAML.
    #[error("a document is not YAML: {0}")]
    Yaml(String),
    /// The text is YAML that was made to hurt.
    #[error("a document of YAML is too deep, or its aliases make it too large")]
    Bomb,
    /// The text is not JSON.
    #[error("a document is not JSON: {0}")]
    Json(String),
}

/// Cuts a stream that is pushed in piece by piece.
#[derive(Default)]
pub struct Documents {
    buffer: Vec<u8>,
    /// What of the buffer has been handed over.
    start: usize,
    format: Option<Format>,
    json: JsonScanner,
    yaml: YamlScanner,
    ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Json,
    Yaml,
}

impl Documents {
    /// Starts with an empty stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what comes next; nothing is the end of the stream.
    pub fn push(&mut self, piece: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.ended |= piece.is_empty();
        self.buffer.extend_from_slice(piece);
    }

    /// Answers whether the end of the stream has been pushed.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Returns the next document as JSON. Nothing means that more has to be pushed, or that the stream has ended.
    pub fn next_document(&mut self) -> Result<Option<String>, DocumentError> {
        while let Some(text) = self.cut()? {
            match self.format {
                Some(Format::Yaml) => match yaml_to_json(&text)? {
                    Some(json) => return Ok(Some(json)),
                    None => continue,
                },
                _ => return Ok(Some(text)),
            }
        }
        Ok(None)
    }

    /// Cuts off the next document as it stands.
    fn cut(&mut self) -> Result<Option<String>, DocumentError> {
        let format = self.detect();
        let rest = &self.buffer[self.start..];
        let nothing_yet = if rest.len() > MAX_DOCUMENT { Err(DocumentError::TooLarge) } else { Ok(None) };
        let Some(format) = format else {
            // White space can be without end; what of it is before the last line says nothing.
            self.start += rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            return nothing_yet;
        };
        let end = match format {
            Format::Json => self.json.scan(rest, self.ended)?,
            Format::Yaml => self.yaml.scan(rest, self.ended),
        };
        let Some((begin, end)) = end else { return nothing_yet };
        let document = std::str::from_utf8(&rest[begin..end]).map_err(|_| DocumentError::Encoding)?;
        let document = document.to_owned();
        self.start += end;
        (self.json, self.yaml) = Default::default();
        Ok(Some(document))
    }

    /// Looks at what begins: the stream, or the next document of JSON, behind which YAML may follow.
    fn detect(&mut self) -> Option<Format> {
        let begins =
            self.format.is_none() || (self.format == Some(Format::Json) && self.json.begin.is_none());
        if begins {
            let first = self.buffer[self.start..].iter().find(|b| !b.is_ascii_whitespace());
            match (first?, self.format) {
                (b'{' | b'[', _) => self.format = Some(Format::Json),
                (b'-', _) | (_, None) => self.format = Some(Format::Yaml),
                (_, Some(_)) => {}
            }
        }
        self.format
    }
}

/// Finds the end of an object or array without understanding it. Keeps its place from piece to piece.
#[derive(Default)]
struct JsonScanner {
    at: usize,
    begin: Option<usize>,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl JsonScanner {
    fn scan(&mut self, bytes: &[u8], ended: bool) -> Result<Option<(usize, usize)>, DocumentError> {
        while let Some(&byte) = bytes.get(self.at) {
            self.at += 1;
            if self.escaped {
                self.escaped = false;
                continue;
            }
            if self.in_string {
                match byte {
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    // Most of a catalog is within strings.
                    _ => {
                        self.at +=
                            memchr::memchr2(b'"', b'\\', &bytes[self.at..]).unwrap_or(bytes.len() - self.at)
                    }
                }
                continue;
            }
            match byte {
                b'{' | b'[' => {
                    self.begin.get_or_insert(self.at - 1);
                    self.depth += 1;
                }
                b'}' | b']' if self.depth > 0 => {
                    self.depth -= 1;
                    if let (0, Some(begin)) = (self.depth, self.begin) {
                        return Ok(Some((begin, self.at)));
                    }
                }
                b'"' if self.depth > 0 => self.in_string = true,
                _ if self.depth > 0 || byte.is_ascii_whitespace() => {}
                _ => return Err(DocumentError::Stray),
            }
        }
        match self.depth > 0 && ended {
            true => Err(DocumentError::CutOff),
            false => Ok(None),
        }
    }
}

/// Finds the end of a YAML document: a line that starts with `---` or `...`, which no document can contain.
#[derive(Default)]
struct YamlScanner {
    line: usize,
}

impl YamlScanner {
    /// The marker stays with the document it starts, as more may follow on its line.
    fn scan(&mut self, bytes: &[u8], ended: bool) -> Option<(usize, usize)> {
        loop {
            let line = &bytes[self.line..];
            let length = line.iter().position(|b| *b == b'\n').map(|at| at + 1);
            let whole = length.is_some() || ended;
            if whole && self.line > 0 && is_marker(line) {
                return Some((0, self.line));
            }
            match length {
                Some(length) => self.line += length,
                None if ended && !bytes.is_empty() => return Some((0, bytes.len())),
                None => return None,
            }
        }
    }
}

fn is_marker(line: &[u8]) -> bool {
    (line.starts_with(b"---") || line.starts_with(b"...")) && line.get(3).is_none_or(u8::is_ascii_whitespace)
}

/// Converts one document; nothing if it is empty.
fn yaml_to_json(text: &str) -> Result<Option<String>, DocumentError> {
    let text = text.strip_prefix("...").unwrap_or(text);
    let is_content = |line: &str| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with('#') && line != "---" && !line.starts_with("%")
    };
    if !text.lines().any(is_content) {
        return Ok(None);
    }
    // In catalogs `y` is a letter; YAML 1.1 would make it a boolean. Of two values for one key `opm` takes the last.
    let options = serde_saphyr::options! {
        strict_booleans: true,
        with_snippet: false,
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::LastWins,
    };
    let value: serde_json::Value =
        serde_saphyr::from_str_with_options(text, options).map_err(|e| yaml_error(&e))?;
    match value.is_null() {
        true => Ok(None),
        false => Ok(Some(value.to_string())),
    }
}

fn yaml_error(error: &serde_saphyr::Error) -> DocumentError {
    match error.without_snippet() {
        serde_saphyr::Error::AliasError { error, .. } => yaml_error(error),
        serde_saphyr::Error::Budget { .. } => DocumentError::Bomb,
        error => DocumentError::Yaml(error.to_string()),
    }
}

/// Answers whether all of the wanted top-level members are there as strings. Other members are skipped unread.
pub fn passes(json: &str, filter: &BTreeMap<String, String>) -> Result<bool, DocumentError> {
    if filter.is_empty() {
        return Ok(true);
    }
    let mut reader = serde_json::Deserializer::from_str(json);
    match reader.deserialize_any(Members(filter)) {
        Ok(found) => Ok(found == filter.len()),
        // Anything but an object has no members.
        Err(error) if error.is_data() => Ok(false),
        Err(error) => Err(DocumentError::Json(error.to_string())),
    }
}

struct Members<'a>(&'a BTreeMap<String, String>);

impl<'de> Visitor<'de> for Members<'_> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut members: M) -> Result<usize, M::Error> {
        let mut found = 0;
        while let Some(key) = members.next_key::<std::borrow::Cow<'de, str>>()? {
            match self.0.get(key.as_ref()) {
                Some(wanted) => {
                    let value: serde_json::Value = members.next_value()?;
                    found += usize::from(value.as_str() == Some(wanted));
                }
                None => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn all(text: &str, piece: usize, filter: &[(&str, &str)]) -> Result<Vec<String>, DocumentError> {
        let filter = filter.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let mut documents = Documents::new();
        let mut found = Vec::new();
        for piece in text.as_bytes().chunks(piece).chain([&b""[..]]) {
            documents.push(piece);
            while let Some(document) = documents.next_document()? {
                if passes(&document, &filter)? {
                    found.push(document);
                }
            }
        }
        assert!(documents.has_ended());
        Ok(found)
    }

    #[rstest]
    #[case("", &[])]
    #[case(" \n\t ", &[])]
    #[case("{}", &["{}"])]
    #[case("{\"a\":1}{\"b\":[{}]}\n\n[1,2] ", &["{\"a\":1}", "{\"b\":[{}]}", "[1,2]"])]
    #[case("{\"a\":\"}\\\"{\"} {\"b\":\"\\\\\"}", &["{\"a\":\"}\\\"{\"}", "{\"b\":\"\\\\\"}"])]
    #[case("{\"a\":1}\n---\n{\"b\":2}\n---\nc: 3\n", &["{\"a\":1}", "{\"b\":2}", "{\"c\":3}"])]
    #[case("a: 1\n", &["{\"a\":1}"])]
    #[case("a: 1\na: 2\n", &["{\"a\":2}"])]
    #[case("# hi\n---\na: 1\n---\n# none\n---\nb:\n- x\n- y", &["{\"a\":1}", "{\"b\":[\"x\",\"y\"]}"])]
    #[case("--- {a: 1}\n--- \nb: |\n  ---\n  x\n...\n---\n", &["{\"a\":1}", "{\"b\":\"---\\nx\\n\"}"])]
    fn streams_are_cut(#[case] text: &str, #[case] expected: &[&str], #[values(1, 3, 1000)] piece: usize) {
        assert_eq!(all(text, piece, &[]).expect("valid"), expected);
    }

    #[rstest]
    #[case("{\"a\":1", "cut off")]
    #[case("{} x {}", "something else")]
    #[case("{}]", "something else")]
    #[case("a: [1", "not YAML")]
    fn broken_streams_are_errors(#[case] text: &str, #[case] reason: &str) {
        let error = all(text, 2, &[]).expect_err("broken").to_string();
        assert!(error.contains(reason), "{error}");
    }

    #[test]
    fn the_filter_looks_at_top_level_strings() {
        const TEXT: &str = r#"
            {"schema":"olm.package","name":"a"}
            {"schema":"olm.bundle","package":"a","x":{"package":"b"}}
            {"package":"b","schema":"olm.bundle"}
            {"schema":"olm.bundle","package":["a"]}
            ["package"]
        "#;
        let found = all(TEXT, 7, &[("schema", "olm.bundle"), ("package", "a")]);
        assert_eq!(found.expect("valid"), [r#"{"schema":"olm.bundle","package":"a","x":{"package":"b"}}"#]);
    }

    #[test]
    fn a_document_without_end_is_given_up() {
        let mut documents = Documents::new();
        let error = loop {
            documents.push(&[b'['; 1 << 16]);
            match documents.next_document() {
                Ok(document) => assert_eq!(document, None),
                Err(error) => break error,
            }
        };
        assert_eq!(error.to_string(), "a document has more than 16 MiB");
    }

    #[rstest]
    #[case("")]
    #[case("{}")]
    fn white_space_takes_no_memory(#[case] start: &str) {
        let mut documents = Documents::new();
        documents.push(start.as_bytes());
        for _ in 0..40 {
            documents.next_document().expect("valid");
            documents.push(&b"        \n".repeat(1 << 17));
        }
        assert!(documents.buffer.len() < 4 << 20);
        documents.next_document().expect("valid");
        documents.push(b"   {}");
        assert_eq!(documents.next_document(), Ok(Some("{}".to_owned())));
    }

    #[test]
    fn a_yaml_bomb_is_refused() {
        let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for level in 1..12 {
            let before = vec![format!("*a{}", level - 1); 10].join(",");
            text.push_str(&format!("a{level}: &a{level} [{before}]\n"));
        }
        assert_eq!(all(&text, 100, &[]), Err(DocumentError::Bomb));
    }
}
