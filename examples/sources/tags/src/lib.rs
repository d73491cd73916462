//! A custom content source: mirrors the tags of a repository that start with a prefix.
//!
//! [`Tags`] asks the host for the tags, page by page, and hands over a request for each that [`is_wanted`]. It never
//! sees a password: the host asks the registry.

use oc_mirror_plugin_sdk::host::{progress, registry};
use oc_mirror_plugin_sdk::reference::Reference;
use oc_mirror_plugin_sdk::{
    ContentSource, Error, ImageRequest, Plugin, Problem, Sink, Summary, export_plugin, problem,
};
use serde::Deserialize;

/// How many tags one page holds.
const PAGE: u32 = 1000;

/// What the user writes under `config`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The repository, as `host/path`.
    repository: String,
    /// What a tag must start with.
    #[serde(default)]
    prefix: String,
}

/// The content source.
#[derive(Debug)]
struct Tags {
    repository: String,
    prefix: String,
}

impl Plugin for Tags {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, Vec<Problem>> {
        let wrong = |reason: String| vec![problem("repository", "tags.repository", reason)];
        let named: Reference =
            settings.repository.parse().map_err(|e| wrong(format!("not a repository: {e}")))?;
        if named.tag.is_some() || named.digest.is_some() {
            return Err(wrong("a repository is named without tag and digest".to_owned()));
        }
        Ok(Self { repository: named.name(), prefix: settings.prefix })
    }
}

impl ContentSource for Tags {
    fn collect(&self, out: &Sink) -> Result<Summary, Error> {
        let (mut images, mut skipped, mut after) = (0, 0, None);
        loop {
            let page = registry::tags(&self.repository, after.as_deref(), PAGE)?;
            let Some(last) = page.last() else { return Ok(Summary { images, generated: 0, skipped }) };
            after = Some(last.clone());
            if progress::cancelled() {
                return Err(Error::Cancelled);
            }
            let wanted: Vec<_> =
                page.iter().filter(|tag| is_wanted(tag, &self.prefix)).map(|tag| self.request(tag)).collect();
            skipped += (page.len() - wanted.len()) as u64;
            images += u64::from(out.images(&wanted)?);
        }
    }
}

impl Tags {
    fn request(&self, tag: &str) -> ImageRequest {
        let name = format!("{}:{tag}", self.repository);
        ImageRequest {
            source: name.clone(),
            origin: name,
            kind: "additional".to_owned(),
            target_repository: None,
            target_tag: None,
            platforms: vec![],
            with_referrers: false,
            provenance: vec![("plugin".to_owned(), "tags".to_owned())],
        }
    }
}

/// Signatures of cosign are tags as well; they travel with the image they belong to.
fn is_wanted(tag: &str, prefix: &str) -> bool {
    tag.starts_with(prefix) && !(tag.starts_with("sha256-") && tag.contains('.'))
}

export_plugin!(Tags: source);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_chosen_by_prefix() {
        assert!(is_wanted("v1.2", "v1."));
        assert!(is_wanted("v1.2", ""));
        assert!(!is_wanted("v2.0", "v1."));
        assert!(!is_wanted("sha256-00aa.sig", ""));
    }

    #[test]
    fn a_repository_has_no_tag() {
        let settings =
            |text| serde_json::from_value(serde_json::json!({"repository": text})).expect("the shape");
        assert_eq!(Tags::new(settings("nginx")).expect("valid").repository, "docker.io/library/nginx");
        assert_eq!(Tags::new(settings("quay.io/a/b:1")).expect_err("invalid")[0].path, "repository");
        assert_eq!(Tags::new(settings("quay.io/A")).expect_err("invalid")[0].path, "repository");
    }
}
