//! Short names: images without a registry.

use oc_mirror_model::reference::{DOCKER_HUB, Reference};

use super::{Located, RegistriesConf};

/// What is done about a short name that several registries may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ShortNameMode {
    /// Nothing: somebody has to say which.
    Enforcing,
    /// They are asked in order.
    #[default]
    Permissive,
    /// They are asked in order. The difference, whether a person at a terminal is asked first, is none here.
    Disabled,
}

/// A name that several registries may have, and nobody has said which.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the short name `{name}` may be any of {}, which {at} lists", choices(.candidates))]
pub struct AmbiguousName {
    /// The name.
    pub name: String,
    /// What it may stand for.
    pub candidates: Vec<Reference>,
    /// Where the registries are listed.
    pub at: Located,
}

fn choices(candidates: &[Reference]) -> String {
    candidates.iter().map(|c| format!("`{c}`")).collect::<Vec<_>>().join(", ")
}

impl RegistriesConf {
    /// Returns what a name without a registry may stand for, in the order in which to look: an alias, else the name in
    /// each of the registries that are searched. Nothing if it has a registry, or if the files do not say; then the name is
    /// one of Docker Hub.
    pub fn candidates(&self, name: &str) -> Result<Option<Vec<Reference>>, AmbiguousName> {
        let Some(parsed) = name.parse::<Reference>().ok().filter(|_| is_short(name)) else { return Ok(None) };
        let bare = name.split('@').next().unwrap_or(name);
        let bare = parsed.tag.as_ref().map_or(bare, |tag| &bare[..bare.len() - tag.as_str().len() - 1]);
        if let Some(alias) = self.aliases.get(bare) {
            return Ok(Some(vec![Reference { tag: parsed.tag, digest: parsed.digest, ..alias.clone() }]));
        }
        let candidates: Vec<Reference> = self.search.iter().filter_map(|place| within(place, name)).collect();
        match (&self.search_at, candidates.len()) {
            (_, 0) | (None, _) => Ok(None),
            (Some(at), 2..) if self.mode == ShortNameMode::Enforcing => {
                Err(AmbiguousName { name: name.to_owned(), candidates, at: at.clone() })
            }
            _ => Ok(Some(candidates)),
        }
    }
}

/// Returns a short name in a registry, or in a path of one.
fn within(place: &str, name: &str) -> Option<Reference> {
    let is_single = !name.contains('/');
    let name = if place == DOCKER_HUB && is_single { format!("library/{name}") } else { name.to_owned() };
    super::join(place, &format!("/{name}"))
}

pub(super) fn mode(text: &str) -> Option<ShortNameMode> {
    match text {
        "enforcing" => Some(ShortNameMode::Enforcing),
        "permissive" => Some(ShortNameMode::Permissive),
        "disabled" => Some(ShortNameMode::Disabled),
        _ => None,
    }
}

/// Reads what an alias stands for; nothing if it is taken away.
pub(super) fn alias(name: &str, stands_for: &str) -> Result<Option<Reference>, String> {
    let is_bare = |r: &Reference| r.tag.is_none() && r.digest.is_none();
    if !is_short(name) || !name.parse::<Reference>().is_ok_and(|r| is_bare(&r)) {
        return Err(format!("`{name}` is not a short name, such as `ubi8/ubi`"));
    }
    if stands_for.is_empty() {
        return Ok(None);
    }
    let reference = stands_for.parse::<Reference>().ok().filter(|r| is_bare(r) && !is_short(stands_for));
    let reason = || format!("`{stands_for}` is not a registry and a repository, without tag and digest");
    reference.map(Some).ok_or_else(reason)
}

/// Answers whether a name has no registry, so that it means Docker Hub's unless something else is said.
fn is_short(name: &str) -> bool {
    match name.split_once('/') {
        Some((first, _)) => !first.contains(['.', ':', '[']) && first != "localhost",
        None => true,
    }
}
