//! A catalog as lines of JSON, so that a question about one package needs one line.
//!
//! Line 1 is the table of contents ([`Contents`]); then comes a line for each package, in its order; then one line
//! for what belongs to no package. Offsets count from the end of line 1.

use std::fmt;
use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use crate::graph;
use crate::model::{Catalog, Channel, Other, Package};

/// The version of the format that this program reads and writes.
pub const FORMAT: u32 = 2;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// The version of the format.
    pub format: u32,
    /// How many bundles there are.
    pub bundles: u64,
    /// The packages, sorted by name.
    pub packages: Vec<PackageFacts>,
    /// The line with what belongs to no package.
    pub rest: Span,
}

/// Where a line lies, counted from the end of line 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The first byte.
    pub offset: u64,
    /// The bytes without the newline.
    pub length: u64,
}

/// What the table of contents tells about a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PackageFacts {
    /// Its name.
    pub name: String,
    /// The display name of its highest bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The default channel; empty where the catalog has none.
    pub default_channel: String,
    /// Its channels.
    pub channels: Vec<ChannelFacts>,
    /// Its files.
    pub files: Vec<String>,
    /// Its line.
    pub span: Span,
}

/// What the table of contents tells about a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelFacts {
    /// Its name.
    pub name: String,
    /// Its head, if it has exactly one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// Why it has no head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

#[derive(Default, Serialize, Deserialize)]
struct Rest {
    others: Vec<Other>,
    ignored: Vec<String>,
}

/// Why a stored catalog cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// It has another format.
    Format {
        /// The version that it has.
        found: u32,
    },
    /// A line is not what it should be.
    Damaged {
        /// The line, counted from 1; 0 where that is not known.
        line: usize,
        /// What is wrong.
        reason: String,
    },
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format { found } => write!(
                f,
                "the index of a catalog has format {found}, and this program reads format {FORMAT}; make the index again"
            ),
            Self::Damaged { line: 0, reason } => {
                write!(f, "the index of a catalog is damaged: {reason}; make the index again")
            }
            Self::Damaged { line, reason } => {
                write!(f, "line {line} of the index of a catalog is damaged: {reason}; make the index again")
            }
        }
    }
}

impl std::error::Error for StoreError {}

impl Contents {
    /// Reads the first line.
    pub fn parse(line: &str) -> Result<Self, StoreError> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let Version { format: found } = read(line, 1)?;
        match found {
            FORMAT => read(line, 1),
            found => Err(StoreError::Format { found }),
        }
    }

    /// Finds a package.
    pub fn package(&self, name: &str) -> Option<&PackageFacts> {
        let place = self.packages.binary_search_by(|package| package.name.as_str().cmp(name)).ok()?;
        self.packages.get(place)
    }
}

impl PackageFacts {
    fn of(package: &Package, span: Span) -> Self {
        Self {
            name: package.name.clone(),
            display_name: package.display_name.clone(),
            default_channel: package.default_channel.clone(),
            channels: package.channels.iter().map(ChannelFacts::of).collect(),
            files: package.files.clone(),
            span,
        }
    }
}

impl ChannelFacts {
    fn of(channel: &Channel) -> Self {
        let entries: Vec<_> = channel.entries.iter().collect();
        let (head, note) = match graph::heads(&entries).as_slice() {
            [head] => (Some(head.name.clone()), None),
            [] => (None, Some("no head".to_owned())),
            heads => (None, Some(format!("{} heads", heads.len()))),
        };
        Self { name: channel.name.clone(), head, note }
    }
}

impl Package {
    /// Reads the line of a package.
    pub fn parse(line: &str) -> Result<Self, StoreError> {
        read(line, 0)
    }
}

impl Catalog {
    /// Writes the catalog as lines, in pieces.
    pub fn write(&self, sink: &mut dyn FnMut(&[u8])) {
        let mut contents =
            Contents { format: FORMAT, bundles: 0, packages: Vec::new(), rest: Span::default() };
        let mut offset = 0;
        for package in &self.packages {
            // Written twice rather than held: a catalog is large, and writing is cheap.
            let span = Span { offset, length: length(package) };
            offset += span.length + 1;
            contents.bundles += package.bundles.len() as u64;
            contents.packages.push(PackageFacts::of(package, span));
        }
        let rest = Rest { others: self.others.clone(), ignored: self.ignored.clone() };
        contents.rest = Span { offset, length: length(&rest) };
        let mut sink = Sink(sink);
        sink.line(&contents);
        self.packages.iter().for_each(|package| sink.line(package));
        sink.line(&rest);
    }

    /// Puts a catalog together of packages that were read one by one, and the last line.
    pub fn assemble(packages: Vec<Package>, rest: &str) -> Result<Self, StoreError> {
        let Rest { others, ignored } = read(rest, 0)?;
        Ok(Self { packages, others, ignored })
    }

    /// Reads a whole catalog.
    pub fn read(text: &str) -> Result<Self, StoreError> {
        let mut lines = text.lines().enumerate();
        let contents = Contents::parse(lines.next().map_or("", |(_, line)| line))?;
        let mut line =
            || lines.next().ok_or(StoreError::Damaged { line: 0, reason: "it ends too early".to_owned() });
        let mut catalog = Self::default();
        for facts in &contents.packages {
            let (place, text) = line()?;
            let package: Package = read(text, place + 1)?;
            if package.name != facts.name {
                let reason = format!("it is about `{}` instead of `{}`", package.name, facts.name);
                return Err(StoreError::Damaged { line: place + 1, reason });
            }
            catalog.packages.push(package);
        }
        let (place, text) = line()?;
        let rest: Rest = read(text, place + 1)?;
        (catalog.others, catalog.ignored) = (rest.others, rest.ignored);
        Ok(catalog)
    }
}

fn read<'a, T: Deserialize<'a>>(line: &'a str, number: usize) -> Result<T, StoreError> {
    serde_json::from_str(line)
        .map_err(|error| StoreError::Damaged { line: number, reason: error.to_string() })
}

fn length<T: Serialize>(value: &T) -> u64 {
    let mut count = 0;
    Sink(&mut |bytes| count += bytes.len() as u64).json(value);
    count
}

/// Writes to a function.
struct Sink<'a>(&'a mut dyn FnMut(&[u8]));

impl Sink<'_> {
    fn json<T: Serialize>(&mut self, value: &T) {
        let mut buffer = io::BufWriter::with_capacity(16 * 1024, &mut *self);
        serde_json::to_writer(&mut buffer, value)
            .expect("these types are JSON, and the sink takes everything");
        buffer.flush().expect("the sink takes everything");
    }

    fn line<T: Serialize>(&mut self, value: &T) {
        self.json(value);
        (self.0)(b"\n");
    }
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (self.0)(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::catalog;

    fn written() -> (Catalog, String) {
        let mut catalog = catalog("p stable: p.v2.0.0+1>p.v1.0.0!p.v1.5.0 p.v1.0.0\nq a: q.v1.0.0 q.v2.0.0");
        catalog.others.push(Other { schema: "x".into(), package: String::new(), file: "f\n".into() });
        catalog.packages[0].display_name = Some("Größe".into());
        let mut bytes = Vec::new();
        catalog.write(&mut |piece| bytes.extend_from_slice(piece));
        (catalog, String::from_utf8(bytes).expect("text"))
    }

    #[test]
    fn a_round_trip() {
        let (catalog, text) = written();
        assert_eq!(Catalog::read(&text).expect("readable"), catalog);
    }

    #[test]
    fn a_package_is_where_the_contents_say() {
        let (catalog, text) = written();
        let (first, rest) = text.split_once('\n').expect("lines");
        let contents = Contents::parse(first).expect("contents");
        assert_eq!(contents.bundles, 4);
        for package in &catalog.packages {
            let Span { offset, length } = contents.package(&package.name).expect("listed").span;
            let line = &rest[offset as usize..(offset + length) as usize];
            assert_eq!(Package::parse(line).expect("a package"), *package);
            assert!(rest[(offset + length) as usize..].starts_with('\n'));
        }
        let heads: Vec<_> = contents.packages.iter().map(|package| package.channels[0].clone()).collect();
        assert_eq!((heads[0].head.as_deref(), heads[1].head.as_deref()), (Some("p.v2.0.0+1"), None));
        assert_eq!(heads[1].note.as_deref(), Some("2 heads"));
    }

    #[test]
    fn what_cannot_be_read() {
        let (_, text) = written();
        assert_eq!(Contents::parse(r#"{"format":99,"new":1}"#), Err(StoreError::Format { found: 99 }));
        assert!(matches!(Contents::parse("{}"), Err(StoreError::Damaged { line: 1, .. })));
        for end in [10, text.len() / 2] {
            Catalog::read(&text[..end]).expect_err("cut");
        }
        let mut lines: Vec<_> = text.lines().collect();
        lines.swap(1, 2);
        assert!(matches!(Catalog::read(&lines.join("\n")), Err(StoreError::Damaged { line: 2, .. })));
    }
}
