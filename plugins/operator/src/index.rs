//! Indexes of catalogs in the cache: [`Index`] is one, made when it is first needed, and known by the catalog's digest.

use oc_mirror_catalog::{Catalog, Contents, Package, Span};
use oc_mirror_plugin_sdk::host::cache::{self, Draft};
use oc_mirror_plugin_sdk::host::streams::Reader;
use oc_mirror_plugin_sdk::{Error, other};

use crate::read::CatalogImage;

/// How many bytes go to the host in one call, and come from it.
const PIECE: usize = 512 << 10;

/// What is known of a catalog.
pub(crate) struct Index {
    /// What it has.
    pub(crate) contents: Contents,
    reader: LineReader,
}

/// Makes the index of the catalog that a reference names, unless it is there.
pub(crate) fn prepare(catalog: &str) -> Result<(), Error> {
    make(&CatalogImage::open(catalog)?)
}

/// Makes the index of a catalog, unless it is there.
pub(crate) fn make(image: &CatalogImage) -> Result<(), Error> {
    match Index::open(&image.digest)? {
        Some(_) => Ok(()),
        None => keep(&image.digest, &image.read()?),
    }
}

/// Returns all that is known of a catalog, from the cache or the image.
pub(crate) fn load(image: &CatalogImage) -> Result<Catalog, Error> {
    if let Some(catalog) = Index::open(&image.digest)?.and_then(Index::whole) {
        return Ok(catalog);
    }
    let catalog = image.read()?;
    keep(&image.digest, &catalog)?;
    Ok(catalog)
}

fn key(digest: &str) -> String {
    format!("catalog/{digest}")
}

/// Puts an index into the cache.
fn keep(digest: &str, catalog: &Catalog) -> Result<(), Error> {
    let draft = Draft::new(&key(digest));
    let mut buffer: Vec<u8> = Vec::with_capacity(PIECE);
    let mut outcome = Ok(());
    catalog.write(&mut |bytes| {
        buffer.extend_from_slice(bytes);
        if buffer.len() >= PIECE && outcome.is_ok() {
            outcome = buffer.chunks(PIECE).try_for_each(|piece| draft.write(piece));
            buffer.clear();
        }
    });
    outcome?;
    buffer.chunks(PIECE).try_for_each(|piece| draft.write(piece))?;
    draft.commit()
}

impl Index {
    /// Opens the index of a catalog with that digest, if there is one that this version can read.
    pub(crate) fn open(digest: &str) -> Result<Option<Self>, Error> {
        let Some(reader) = cache::open(&key(digest))? else { return Ok(None) };
        let mut reader = LineReader { reader, buffer: Vec::new(), start: 0, ended: false };
        let Ok(first) = reader.line() else { return Ok(None) };
        let contents = std::str::from_utf8(&first).ok().and_then(|line| Contents::parse(line).ok());
        Ok(contents.map(|contents| Self { contents, reader }))
    }

    /// Reads what is known of one package. Packages have to be asked for in their order.
    pub(crate) fn package(&mut self, span: Span) -> Result<Package, Error> {
        let line = self.reader.at(span)?;
        let text = std::str::from_utf8(&line).map_err(|_| damaged("it is not UTF-8"))?;
        Package::parse(text).map_err(|error| damaged(&error.to_string()))
    }

    /// Reads everything; nothing if it is damaged, so that it is made again.
    pub(crate) fn whole(mut self) -> Option<Catalog> {
        let mut packages = Vec::with_capacity(self.contents.packages.len());
        for facts in std::mem::take(&mut self.contents.packages) {
            packages.push(self.package(facts.span).ok()?);
        }
        let rest = self.reader.at(self.contents.rest).ok()?;
        Catalog::assemble(packages, std::str::from_utf8(&rest).ok()?).ok()
    }
}

fn damaged(reason: &str) -> Error {
    other("operator.cache", format!("the index of a catalog in the cache is damaged: {reason}"))
}

/// Reads lines, and ranges that lie one behind the other.
struct LineReader {
    reader: Reader,
    buffer: Vec<u8>,
    /// Where the buffer begins, counted from the end of the first line.
    start: u64,
    ended: bool,
}

impl LineReader {
    fn fill(&mut self) -> Result<(), Error> {
        let piece = self.reader.read(u32::try_from(PIECE).unwrap_or(u32::MAX))?;
        self.ended = piece.is_empty();
        self.buffer.extend(piece);
        Ok(())
    }

    /// Reads the first line, without its end. Positions count from there.
    fn line(&mut self) -> Result<Vec<u8>, Error> {
        let mut searched = 0;
        loop {
            if let Some(end) = self.buffer[searched..].iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.buffer.drain(..=searched + end).collect();
                line.pop();
                return Ok(line);
            }
            if self.ended {
                return Err(damaged("it is cut off"));
            }
            searched = self.buffer.len();
            self.fill()?;
        }
    }

    /// Reads a range that lies behind all that were read before.
    fn at(&mut self, span: Span) -> Result<Vec<u8>, Error> {
        let length = usize::try_from(span.length).map_err(|_| damaged("a line is too long"))?;
        let ahead =
            span.offset.checked_sub(self.start).ok_or_else(|| damaged("its lines are not in order"))?;
        let buffered = (self.buffer.len() as u64).min(ahead);
        self.buffer.drain(..usize::try_from(buffered).unwrap_or(0));
        if ahead > buffered {
            self.reader.skip(ahead - buffered)?;
        }
        self.start = span.offset;
        while self.buffer.len() < length {
            if self.ended {
                return Err(damaged("it is cut off"));
            }
            self.fill()?;
        }
        self.start += span.length;
        Ok(self.buffer.drain(..length).collect())
    }
}
