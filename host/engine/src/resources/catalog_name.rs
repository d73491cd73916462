//! Names of catalogs: `<repository>-<suffix>`, valid in a cluster and each once.

use std::collections::BTreeSet;

use oc_mirror_model::digest::Digest;
use oc_mirror_model::metadata::ImageRecord;
use oc_mirror_model::request::{Destination, kind};

use super::names::HASH;
use super::{Mirrored, of_kind};

/// Characters of a tag or of a digest in a name, as oc-mirror v2 has it.
const SUFFIX: usize = 12;
/// What a name may have: the 63 of a label, without `cs-`.
const LONGEST: usize = 60;

/// Names all catalogs. The one that was there first keeps its name, since subscriptions go by it.
pub(super) fn of_all<'a>(images: &[Mirrored<'a>], notes: &mut Vec<String>) -> Vec<(String, &'a ImageRecord)> {
    let mut catalogs: Vec<Mirrored<'a>> = of_kind(images, kind::CATALOG).collect();
    catalogs.sort_by_key(|m| (m.first, &m.image.destination));
    // One that two registries have is one all the same.
    catalogs.dedup_by_key(|m| &m.image.destination);
    let mut taken = BTreeSet::new();
    let mut named = Vec::new();
    for Mirrored { image, .. } in catalogs {
        let plain = plain(&image.destination);
        let mut name = shortened(&plain, &image.destination);
        if taken.contains(&name) {
            let other = unique(&plain, &image.destination);
            notes.push(format!(
                "`{}` is called `{other}` in cluster resources, since another catalog is called `{name}`",
                text(&image.destination)
            ));
            name = other;
        }
        taken.insert(name.clone());
        named.push((name, image));
    }
    named
}

fn text(destination: &Destination) -> String {
    format!("{}:{}", destination.repository, destination.tag)
}

fn plain(destination: &Destination) -> String {
    let repository = destination.repository.as_str().rsplit('/').next().unwrap_or_default();
    let tag = destination.tag.as_str();
    let suffix: String = tag.strip_prefix("sha256-").unwrap_or(tag).chars().take(SUFFIX).collect();
    let suffix = label(&suffix);
    let suffix = if suffix.is_empty() { "0" } else { &suffix };
    format!("{}-{suffix}", label(repository))
}

/// Replaces what a label cannot have, and what it cannot end with.
fn label(text: &str) -> String {
    let valid = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' };
    text.to_lowercase().chars().map(valid).collect::<String>().trim_end_matches('-').to_owned()
}

fn shortened(plain: &str, destination: &Destination) -> String {
    if plain.len() <= LONGEST { plain.to_owned() } else { unique(plain, destination) }
}

fn unique(plain: &str, destination: &Destination) -> String {
    let hash = Digest::of(text(destination).as_bytes());
    let start: String = plain.chars().take(LONGEST - HASH - 1).collect();
    format!("{}-{}", start.trim_end_matches('-'), &hash.hex()[..HASH])
}
