//! [`RegistriesConf`]: where images are really read from, as `registries.conf` of containers/image says: mirrors of
//! registries, registries that are not to be asked, registries without TLS, and what short names stand for.
//!
//! The files come in as texts; this module opens nothing. Rules: containers-registries.conf(5), version 2. What a run makes
//! of the answers is `workflow`'s.

mod document;
mod names;
mod prefix;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oc_mirror_model::reference::{Reference, Registry};

pub use names::{AmbiguousName, ShortNameMode};

use document::Document;
use prefix::match_length;

/// A place in a file. Line and column count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The file.
    pub file: Arc<Path>,
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`, line {}, column {}", self.file.display(), self.line, self.column)
    }
}

/// A file does not follow containers-registries.conf(5).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {reason}")]
pub struct InvalidRegistriesConf {
    /// Where.
    pub at: Located,
    /// What is wrong.
    pub reason: String,
    /// What to do about it, where that is known.
    pub hint: Option<&'static str>,
}

/// Nothing may be read from a registry, or written to it, because a file says so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("blocked by {0}")]
pub struct Blocked(pub Located);

/// Something in a file that has no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {message}")]
pub struct Remark {
    /// Where.
    pub at: Located,
    /// What.
    pub message: String,
}

/// A `[[registry]]`.
#[derive(Clone, Debug)]
struct Entry {
    at: Located,
    prefix: String,
    /// Nothing: names stay as they are, which only a prefix with a wildcard allows.
    location: Option<String>,
    insecure: bool,
    blocked: bool,
    digests_only: bool,
    mirrors: Vec<Mirror>,
}

/// A `[[registry.mirror]]`.
#[derive(Clone, Debug)]
struct Mirror {
    at: Located,
    location: String,
    insecure: bool,
    uses: Uses,
}

/// What a mirror is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Uses {
    All,
    Digests,
    Tags,
}

/// One place where an image may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The image there.
    pub reference: Reference,
    /// Whether plain HTTP and certificates that nobody vouches for are good enough there.
    pub insecure: bool,
    /// Where it is said that nothing may be read from there.
    pub blocked: Option<Located>,
    /// Whether this is another place than the one that the name stands for.
    pub is_mirror: bool,
}

/// How a registry that is written to is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether plain HTTP and certificates that nobody vouches for are good enough.
    pub insecure: bool,
    /// Where it is said that it must not be used.
    pub blocked: Option<Located>,
}

/// Everything that the files say.
#[derive(Clone, Debug, Default)]
pub struct RegistriesConf {
    /// By prefix.
    entries: BTreeMap<String, Entry>,
    search: Vec<String>,
    search_at: Option<Located>,
    mode: ShortNameMode,
    aliases: BTreeMap<String, Reference>,
    credential_helpers: Option<Vec<String>>,
}

impl RegistriesConf {
    /// Reads files that the caller has found and opened: the main one, then those that add to it and override it.
    ///
    /// Of a later file, a `[[registry]]` replaces the one with the same prefix as a whole, `[aliases]` are added one by one,
    /// and any other value replaces the earlier one.
    pub fn from_files(files: Vec<(PathBuf, String)>) -> Result<(Self, Vec<Remark>), InvalidRegistriesConf> {
        let mut whole = Self::default();
        let mut remarks = Vec::new();
        for (path, text) in files {
            let Document { entries, search, mode, aliases, credential_helpers, remarks: more } =
                Document::read(path.into(), &text)?;
            whole.entries.extend(entries.into_iter().map(|entry| (entry.prefix.clone(), entry)));
            if let Some((at, search)) = search {
                (whole.search, whole.search_at) = (search, Some(at));
            }
            whole.mode = mode.unwrap_or(whole.mode);
            for (name, stands_for) in aliases {
                match stands_for {
                    Some(reference) => whole.aliases.insert(name, reference),
                    None => whole.aliases.remove(&name),
                };
            }
            whole.credential_helpers = credential_helpers.or(whole.credential_helpers);
            remarks.extend(more);
        }
        Ok((whole, remarks))
    }

    /// Answers whether anything is said about images of a registry.
    pub fn concerns(&self, registry: &Registry) -> bool {
        let host = |entry: &Entry| entry.prefix.split('/').next().unwrap_or_default().to_owned();
        self.entries.values().any(|entry| match_length(registry.as_str(), &host(entry)).is_some())
    }

    /// Returns the mirrors of all registries, once each, as places for everything below them.
    pub fn mirrors(&self) -> Vec<Place> {
        let mut mirrors: Vec<Place> = Vec::new();
        for mirror in self.entries.values().flat_map(|entry| &entry.mirrors) {
            // A mirror of a whole registry is no place for an image.
            let Ok(reference) = moved(&mirror.at, &mirror.location, "") else { continue };
            let blocked = self.blocked(&reference);
            let place = Place { reference, insecure: mirror.insecure, blocked, is_mirror: true };
            if !mirrors.contains(&place) {
                mirrors.push(place);
            }
        }
        mirrors
    }

    /// Answers whether an image comes from mirrors only: there are some, and the place that it is named after is blocked.
    pub fn is_mirrored_only(&self, image: &Reference) -> bool {
        let places = self.places(image).unwrap_or_default();
        let (mirrors, own): (Vec<_>, Vec<_>) = places.iter().partition(|place| place.is_mirror);
        mirrors.iter().any(|place| place.blocked.is_none()) && own.iter().all(|place| place.blocked.is_some())
    }

    /// Returns where credentials are looked for: `containers-auth.json` stands for the credential files, any other name for
    /// a helper that is asked about every registry. Nothing: in the files alone.
    pub fn credential_helpers(&self) -> Option<&[String]> {
        self.credential_helpers.as_deref()
    }

    /// Returns where an image may be, in the order in which to ask; never empty. The last place is the one that its name
    /// stands for.
    pub fn places(&self, image: &Reference) -> Result<Vec<Place>, InvalidRegistriesConf> {
        let name = image.to_string();
        let Some((entry, matched)) = self.find(&name) else {
            let (reference, is_mirror) = (image.clone(), false);
            return Ok(vec![Place { reference, insecure: false, blocked: None, is_mirror }]);
        };
        let rest = &name[matched..];
        let by_digest = image.digest.is_some();
        let mut places = Vec::new();
        for mirror in entry.mirrors_for(by_digest) {
            let reference = moved(&mirror.at, &mirror.location, rest)?;
            // Whether a mirror is blocked is said where it is itself the registry.
            let blocked = self.blocked(&reference);
            places.push(Place { reference, insecure: mirror.insecure, blocked, is_mirror: true });
        }
        let reference = match &entry.location {
            Some(location) => moved(&entry.at, location, rest)?,
            None => image.clone(),
        };
        let blocked = match entry.blocked {
            true => Some(entry.at.clone()),
            false => self.blocked(&reference),
        };
        places.push(Place { reference, insecure: entry.insecure, blocked, is_mirror: false });
        Ok(places)
    }

    /// Returns how a registry, or a path in it, is reached that is written to. Nothing is written to a mirror or to another
    /// location instead.
    pub fn endpoint(&self, name: &str) -> Endpoint {
        self.find(name).map_or_else(Endpoint::default, |(entry, _)| Endpoint {
            insecure: entry.insecure,
            blocked: entry.blocked.then(|| entry.at.clone()),
        })
    }

    fn blocked(&self, image: &Reference) -> Option<Located> {
        let (entry, _) = self.find(&image.to_string())?;
        entry.blocked.then(|| entry.at.clone())
    }

    /// Returns the entry with the longest prefix, and how much of the name its location replaces.
    fn find(&self, name: &str) -> Option<(&Entry, usize)> {
        self.entries
            .values()
            .filter_map(|entry| Some((entry, match_length(name, &entry.prefix)?)))
            .max_by_key(|(entry, _)| entry.prefix.len())
    }
}

impl Entry {
    fn mirrors_for(&self, by_digest: bool) -> impl Iterator<Item = &Mirror> {
        let fits = move |uses: Uses| match uses {
            Uses::All => by_digest || !self.digests_only,
            Uses::Digests => by_digest,
            Uses::Tags => !by_digest,
        };
        self.mirrors.iter().filter(move |mirror| fits(mirror.uses))
    }
}

/// Puts a location in place of the prefix of a name.
fn moved(at: &Located, location: &str, rest: &str) -> Result<Reference, InvalidRegistriesConf> {
    join(location, rest).ok_or_else(|| InvalidRegistriesConf {
        at: at.clone(),
        reason: format!(
            "with this location the image becomes `{location}{rest}`, which is not the name of one"
        ),
        hint: None,
    })
}

fn join(location: &str, rest: &str) -> Option<Reference> {
    let name = format!("{location}{rest}");
    let (host, path) = name.split_once('/')?;
    let registry: Registry = host.parse().ok()?;
    // A host without a dot is none in a reference, but here it is known to be one.
    let reference: Reference = format!("localhost/{path}").parse().ok()?;
    Some(Reference { registry, ..reference })
}
