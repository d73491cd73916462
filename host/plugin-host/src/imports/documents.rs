//! `streams.documents`: cuts a stream into JSON documents in native code, and hands over one at a time.
//!
//! A stream that begins with `{` or `[` is JSON documents one after the other; anything else is YAML, whose documents
//! are converted. Neither the stream nor a document of it is ever held by a guest that did not ask for it.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use wasmtime::component::Resource;

use crate::bindings::oc_mirror::plugin::streams::HostDocuments;
use crate::fault::{Answer, Fault};
use crate::imports::streams::Reader;
use crate::state::StoreState;
use crate::text::clean;

/// The largest document. Those of catalogs have a few hundred KiB.
const MAX_DOCUMENT: usize = 16 << 20;
/// How much is read at once.
const PIECE: usize = 256 << 10;

/// A stream of documents.
pub struct Documents {
    reader: Reader,
    buffer: Vec<u8>,
    /// What of the buffer has been handed over.
    start: usize,
    format: Option<Format>,
    filter: BTreeMap<String, String>,
    ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Json,
    Yaml,
}

impl Documents {
    fn new(reader: Reader, filter: Vec<(String, String)>) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
            start: 0,
            format: None,
            filter: filter.into_iter().collect(),
            ended: false,
        }
    }

    /// Returns the next document that passes the filter.
    async fn next(&mut self) -> Answer<Option<String>> {
        while let Some(text) = self.cut().await? {
            let json = match self.format {
                Some(Format::Yaml) => match yaml_to_json(&text)? {
                    Some(json) => json,
                    None => continue,
                },
                _ => text,
            };
            if passes(&json, &self.filter)? {
                return Ok(Some(json));
            }
        }
        Ok(None)
    }

    /// Cuts off the next document as it stands.
    async fn cut(&mut self) -> Answer<Option<String>> {
        let format = match self.format {
            Some(format) => format,
            None => match self.detect().await? {
                Some(format) => *self.format.insert(format),
                None => return Ok(None),
            },
        };
        let mut json = JsonScanner::default();
        let mut yaml = YamlScanner::default();
        loop {
            let rest = &self.buffer[self.start..];
            let end = match format {
                Format::Json => json.scan(rest, self.ended)?,
                Format::Yaml => yaml.scan(rest, self.ended),
            };
            if let Some((begin, end)) = end {
                let document = std::str::from_utf8(&rest[begin..end])
                    .map_err(|_| Fault::invalid("a document is not UTF-8"))?
                    .to_owned();
                self.start += end;
                return Ok(Some(document));
            }
            if self.ended {
                return Ok(None);
            }
            if rest.len() > MAX_DOCUMENT {
                return Err(Fault::limit(format!("a document has more than {} MiB", MAX_DOCUMENT >> 20)));
            }
            self.fill().await?;
        }
    }

    async fn detect(&mut self) -> Answer<Option<Format>> {
        loop {
            match self.buffer.iter().find(|b| !b.is_ascii_whitespace()) {
                Some(b'{' | b'[') => return Ok(Some(Format::Json)),
                Some(_) => return Ok(Some(Format::Yaml)),
                None if self.ended => return Ok(None),
                None => self.buffer.clear(),
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Answer<()> {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        let piece = self.reader.next(PIECE).await?;
        self.ended = piece.is_empty();
        self.buffer.extend_from_slice(&piece);
        Ok(())
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
    fn scan(&mut self, bytes: &[u8], ended: bool) -> Answer<Option<(usize, usize)>> {
        while let Some(&byte) = bytes.get(self.at) {
            self.at += 1;
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
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
                _ => return Err(Fault::invalid("between two documents there is something else")),
            }
        }
        match self.depth > 0 && ended {
            true => Err(Fault::invalid("the last document is cut off")),
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
fn yaml_to_json(text: &str) -> Answer<Option<String>> {
    let text = text.strip_prefix("...").unwrap_or(text);
    let is_content = |line: &str| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with('#') && line != "---" && !line.starts_with("%")
    };
    if !text.lines().any(is_content) {
        return Ok(None);
    }
    // In catalogs `y` is a letter; YAML 1.1 would make it a boolean.
    let options = serde_saphyr::options! { strict_booleans: true };
    let value: serde_json::Value = serde_saphyr::from_str_with_options(text, options)
        .map_err(|e| Fault::invalid(format!("a document is not YAML: {}", clean(&e.to_string(), 1024))))?;
    match value.is_null() {
        true => Ok(None),
        false => Ok(Some(value.to_string())),
    }
}

/// Answers whether all of the wanted top-level members are there as strings. Other members are skipped unread.
fn passes(json: &str, filter: &BTreeMap<String, String>) -> Answer<bool> {
    if filter.is_empty() {
        return Ok(true);
    }
    let mut reader = serde_json::Deserializer::from_str(json);
    match reader.deserialize_any(Members(filter)) {
        Ok(found) => Ok(found == filter.len()),
        // Anything but an object has no members.
        Err(error) if error.is_data() => Ok(false),
        Err(error) => Err(Fault::invalid(format!("a document is not JSON: {error}"))),
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

impl HostDocuments for StoreState {
    async fn new(
        &mut self,
        reader: Resource<Reader>,
        filter: Vec<(String, String)>,
    ) -> wasmtime::Result<Resource<Documents>> {
        let reader = self.table.delete(reader)?;
        Ok(self.table.push(Documents::new(reader, filter))?)
    }

    async fn next(&mut self, documents: Resource<Documents>) -> Answer<Option<String>> {
        self.table.get_mut(&documents)?.next().await
    }

    async fn drop(&mut self, documents: Resource<Documents>) -> wasmtime::Result<()> {
        self.table.delete(documents)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use rstest::rstest;

    fn documents(text: &'static str, piece: usize, filter: &[(&str, &str)]) -> Documents {
        let pieces: Vec<_> = text.as_bytes().chunks(piece).map(|c| Ok(Bytes::from_static(c))).collect();
        let reader = Reader::new(Box::pin(futures_util::stream::iter(pieces)), None);
        Documents::new(reader, filter.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    async fn all(mut documents: Documents) -> Result<Vec<String>, String> {
        let mut found = Vec::new();
        loop {
            match documents.next().await {
                Ok(Some(document)) => found.push(document),
                Ok(None) => return Ok(found),
                Err(Fault::Answer(error)) => return Err(crate::fault::describe(&error)),
                Err(Fault::Trap(trap)) => return Err(trap.to_string()),
            }
        }
    }

    #[rstest]
    #[case("", &[])]
    #[case(" \n\t ", &[])]
    #[case("{}", &["{}"])]
    #[case("{\"a\":1}{\"b\":[{}]}\n\n[1,2] ", &["{\"a\":1}", "{\"b\":[{}]}", "[1,2]"])]
    #[case("{\"a\":\"}\\\"{\"} {\"b\":\"\\\\\"}", &["{\"a\":\"}\\\"{\"}", "{\"b\":\"\\\\\"}"])]
    #[case("a: 1\n", &["{\"a\":1}"])]
    #[case("# hi\n---\na: 1\n---\n# none\n---\nb:\n- x\n- y", &["{\"a\":1}", "{\"b\":[\"x\",\"y\"]}"])]
    #[case("--- {a: 1}\n--- \nb: |\n  ---\n  x\n...\n---\n", &["{\"a\":1}", "{\"b\":\"---\\nx\\n\"}"])]
    #[tokio::test]
    async fn streams_are_cut(
        #[case] text: &'static str,
        #[case] expected: &[&str],
        #[values(1, 3, 1000)] piece: usize,
    ) {
        assert_eq!(all(documents(text, piece, &[])).await.expect("valid"), expected);
    }

    #[rstest]
    #[case("{\"a\":1", "cut off")]
    #[case("{} x {}", "something else")]
    #[case("{}]", "something else")]
    #[case("a: [1", "not YAML")]
    #[tokio::test]
    async fn broken_streams_are_errors(#[case] text: &'static str, #[case] reason: &str) {
        let error = all(documents(text, 2, &[])).await.expect_err("broken");
        assert!(error.contains(reason), "{error}");
    }

    #[tokio::test]
    async fn the_filter_looks_at_top_level_strings() {
        const TEXT: &str = r#"
            {"schema":"olm.package","name":"a"}
            {"schema":"olm.bundle","package":"a","x":{"package":"b"}}
            {"package":"b","schema":"olm.bundle"}
            {"schema":"olm.bundle","package":["a"]}
            ["package"]
        "#;
        let found = all(documents(TEXT, 7, &[("schema", "olm.bundle"), ("package", "a")])).await;
        assert_eq!(found.expect("valid"), [r#"{"schema":"olm.bundle","package":"a","x":{"package":"b"}}"#]);
    }

    #[tokio::test]
    async fn a_document_without_end_is_given_up() {
        let pieces = (0..).map(|_| Ok(Bytes::from_static(&[b'['; 1 << 16])));
        let reader = Reader::new(Box::pin(futures_util::stream::iter(pieces)), None);
        let error = all(Documents::new(reader, Vec::new())).await.expect_err("too large");
        assert!(error.contains("more than 16 MiB"), "{error}");
    }
}
