//! What to do about a mistake: known ones by name, others by likeness.

use serde_json::{Map, Value};

use super::schema::{DocumentKind, fields_at, homes_of, takes};
use super::tree::{self, Content, Node, ScalarKind};

/// Mistakes that occur in real files: where (empty: anywhere), the key, what to do.
///
/// They are keys of `v1alpha1`, of later or earlier releases of oc-mirror, of other tools, and of Kubernetes.
const KNOWN: &[(&str, &str, &str)] = &[
    ("root", "spec", "a configuration has no `spec`: move what is below it to the top level"),
    ("root", "metadata", "a configuration has no `metadata`: remove it"),
    ("root", "status", "a configuration has no `status`: remove it"),
    (
        "mirror",
        "ocp",
        "`ocp` was renamed in v1alpha2: write `platform`, and `minVersion` and `maxVersion` in place of `versions`",
    ),
    ("mirror", "release", "releases are listed as `platform.channels`, or one as `platform.release`"),
    ("mirror", "releases", "releases are listed as `platform.channels`, or one as `platform.release`"),
    (
        "mirror.platform",
        "releases",
        "releases are listed as `platform.channels`, or one as `platform.release`",
    ),
    ("mirror.platform", "versions", "versions are chosen per channel: `minVersion` and `maxVersion`"),
    (
        "mirror.platform.channels[]",
        "versions",
        "a range of versions is given as `minVersion` and `maxVersion`; list the channel once for each range",
    ),
    ("mirror.helm", "repos", "`repos` was renamed in v1alpha2: write `repositories`"),
    (
        "",
        "headsOnly",
        "only heads are mirrored unless told otherwise: remove it; in place of `headsOnly: false` write `full: true`",
    ),
    ("", "startingVersion", "`startingVersion` was renamed in v1alpha2: write `minVersion`"),
    ("", "startingBundle", "`startingBundle` was renamed in v1alpha2: choose by `minVersion`"),
    ("", "skipDeps", "`skipDeps` was renamed in v1alpha2: write `skipDependencies`"),
    (
        "",
        "bundles",
        "in v1alpha2 bundles are chosen by `minVersion` and `maxVersion`; v2alpha1 takes their names",
    ),
    ("", "selectedBundles", "write `bundles`, a list of `name: BUNDLE`, in a configuration of v2alpha1"),
    ("", "pullSecret", "credentials are not part of a configuration: put them into a file for `--authfile`"),
    ("", "baseDigest", "write `baseImage: HOST/PATH@sha256:…`"),
    ("", "regex", "write the expression as `name`"),
    ("", "image", "write the image as `name`"),
];

/// Answers whether a top-level key is one under which people put all sections by mistake.
pub(super) fn holds_sections(key: &str) -> bool {
    ["spec", "mirror", "delete"].iter().any(|known| key.eq_ignore_ascii_case(known))
}

/// Says what to do about an unknown field.
pub(super) fn unknown_field(
    kind: DocumentKind,
    root: &Value,
    path: &str,
    key: &str,
    known: &Map<String, Value>,
) -> String {
    let place = pattern(path);
    known_mistake(kind, &place, key)
        .or_else(|| other_version(kind, &place, key))
        .or_else(|| closest(key, known.keys().map(String::as_str)))
        .or_else(|| elsewhere(root, &place, key))
        .unwrap_or_else(|| {
            let fields: Vec<String> = known.keys().map(|name| format!("`{name}`")).collect();
            format!("known here: {}", fields.join(", "))
        })
}

/// Returns a path with its indices left out.
fn pattern(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    let mut within = false;
    for c in path.chars() {
        match c {
            '[' => {
                within = true;
                text.push(c);
            }
            ']' => {
                within = false;
                text.push(c);
            }
            c if !within => text.push(c),
            _ => {}
        }
    }
    text
}

fn known_mistake(kind: DocumentKind, place: &str, key: &str) -> Option<String> {
    // The sections are the same below either key.
    let place = match place.strip_prefix("delete") {
        Some(rest) => format!("mirror{rest}"),
        None if place.is_empty() => "root".to_owned(),
        None => place.to_owned(),
    };
    if place == "root" && key.eq_ignore_ascii_case("delete") {
        return Some(
            "what to delete goes into a file of its own, of `kind: DeleteImageSetConfiguration`".to_owned(),
        );
    }
    if place == "root" && key.eq_ignore_ascii_case("mirror") {
        return Some("this file says what to delete: write `delete` in place of `mirror`".to_owned());
    }
    if kind == DocumentKind::Delete
        && ["archiveSize", "blockedImages", "policies"].iter().any(|known| key.eq_ignore_ascii_case(known))
    {
        return Some(format!("a configuration of what to delete has no `{key}`: remove it"));
    }
    if place == "root" && key.eq_ignore_ascii_case("storageConfig") {
        return Some("a configuration of what to delete has no storage: remove it".to_owned());
    }
    let hit =
        KNOWN.iter().find(|(at, name, _)| (at.is_empty() || *at == place) && name.eq_ignore_ascii_case(key));
    hit.map(|(_, _, hint)| (*hint).to_owned())
}

/// Says that a field belongs to the other version of the API.
fn other_version(kind: DocumentKind, place: &str, key: &str) -> Option<String> {
    let other = match kind {
        DocumentKind::ImageSetV1Alpha2 => DocumentKind::ImageSetV2Alpha1,
        DocumentKind::ImageSetV2Alpha1 => DocumentKind::ImageSetV1Alpha2,
        DocumentKind::Delete => return None,
    };
    let fields = fields_at(other.schema(), place)?;
    let name = fields.keys().find(|name| name.eq_ignore_ascii_case(key))?;
    let version = other.version();
    Some(format!(
        "`{name}` belongs to {version}: write `apiVersion: mirror.openshift.io/{version}`, or remove it"
    ))
}

/// Says where a field belongs that stands in the wrong place.
fn elsewhere(root: &Value, place: &str, key: &str) -> Option<String> {
    let homes = homes_of(root, key);
    // The nearest home is the one that shares the longest beginning with where the field stands.
    let shared = |home: &&String| home.bytes().zip(place.bytes()).take_while(|(a, b)| a == b).count();
    let home = homes.iter().filter(|home| home.as_str() != place).max_by_key(shared)?;
    match homes.len() {
        1..=3 => Some(format!("`{key}` belongs to `{home}`")),
        _ => None,
    }
}

/// Proposes the word that a misspelt one is most like: `did you mean …?`
pub fn closest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let word = word.to_ascii_lowercase();
    // Words of a few letters are all alike.
    let tolerance = (word.chars().count() / 3).clamp(1, 3);
    let near = known
        .map(|name| (distance(&word, &name.to_ascii_lowercase()), name))
        .filter(|(distance, _)| *distance <= tolerance)
        .min_by_key(|(distance, _)| *distance)?;
    Some(format!("did you mean `{}`?", near.1))
}

/// Returns how many letters must be changed, added, removed or swapped to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = changed.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

/// Says what to do about a value of the wrong kind.
pub(super) fn wrong_kind(node: &Node, options: &[&Value], path: &str) -> Option<String> {
    let wanted = |kind: &str| options.iter().any(|option| takes(option, kind));
    match &node.content {
        Content::Scalar(scalar) if tree::looks_templated(&scalar.text) => {
            Some(tree::TEMPLATE_HINT.to_owned())
        }
        Content::Scalar(scalar) if wanted("string") && scalar.kind != ScalarKind::Null => {
            Some(format!("put it in quotes: `\"{}\"`", scalar.text))
        }
        Content::Scalar(scalar) if wanted("boolean") || wanted("integer") => {
            let text = scalar.text.trim();
            let fits = match wanted("integer") {
                true => text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty(),
                false => matches!(text.to_ascii_lowercase().as_str(), "true" | "false"),
            };
            match (fits, path) {
                (true, _) => Some(format!("write `{text}` without quotes")),
                (false, "archiveSize") => Some("write the number of GiB, without a unit".to_owned()),
                (false, _) => None,
            }
        }
        Content::Scalar(scalar) => {
            let key = entry_key(options)?;
            Some(format!("write `{key}: {}`", scalar.text))
        }
        Content::Mapping(_) if wanted("array") => Some("start each entry of the list with `- `".to_owned()),
        Content::List(_) if wanted("object") => Some("remove the `-` in front of its keys".to_owned()),
        Content::List(_) if wanted("string") => Some("write one value, without `-` and brackets".to_owned()),
        _ => None,
    }
}

/// Returns the key that an entry must have, where there is one such.
fn entry_key<'a>(options: &[&'a Value]) -> Option<&'a str> {
    let required = options.iter().find_map(|option| option.get("required")).and_then(Value::as_array)?;
    match required.as_slice() {
        [only] => only.as_str(),
        _ => None,
    }
}

/// Says what to do about a repository or a tag at the target.
pub(super) fn target(format: &str, text: &str) -> String {
    let hint = match format {
        _ if tree::looks_templated(text) => tree::TEMPLATE_HINT,
        "oci-tag" => "give a tag such as `v1.0`",
        "oci-repository" if text.contains([':', '@']) => {
            "give the path only, such as `my/path`; the tag has a key of its own, `targetTag`"
        }
        _ => "give a path such as `my/path`: lower-case letters and digits, joined by `.`, `_` or `-`",
    };
    hint.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("packages", "packages", 0)]
    #[case("pakcages", "packages", 1)]
    #[case("chanels", "channels", 1)]
    #[case("", "abc", 3)]
    fn distances(#[case] a: &str, #[case] b: &str, #[case] expected: usize) {
        assert_eq!(distance(a, b), expected);
    }

    #[rstest]
    #[case("mirror", "opertors", "did you mean `operators`?")]
    #[case("mirror.platform", "releases", "platform.channels")]
    #[case("mirror.operators[3].packages[0]", "shortestPath", "belongs to `mirror.platform.channels[]`")]
    #[case("mirror.operators[3].packages[0]", "minBundle", "belongs to v1alpha2")]
    #[case("", "operators", "belongs to `mirror`")]
    #[case("mirror", "zzzzzzzzzz", "known here: `platform`")]
    fn unknown(#[case] path: &str, #[case] key: &str, #[case] expected: &str) {
        let kind = DocumentKind::ImageSetV2Alpha1;
        let known = fields_at(kind.schema(), &pattern(path)).expect("there");
        let hint = unknown_field(kind, kind.schema(), path, key, known);
        assert!(hint.contains(expected), "{hint}");
    }
}
