//! [`PluginSource`]: where the component of a plugin is.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::digest::Digest;
use crate::redact::without_credentials;
use crate::reference::{Source, Tag};

/// The transport of plugins in registries.
const DOCKER: &str = "docker://";

/// Where the component of a plugin is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PluginSource {
    /// A file: `file:PATH`.
    File(PathBuf),
    /// A part of the program: `builtin:NAME`.
    Builtin(String),
    /// An artifact in a registry or an image layout: `docker://HOST/REPOSITORY:TAG`, `oci:DIR:NAME`, or with `@DIGEST`.
    Image(Source),
}

/// A text does not say where a plugin is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` {reason}")]
pub struct InvalidPluginSource {
    /// As it was written.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
    hint: &'static str,
}

impl InvalidPluginSource {
    fn new(text: &str, reason: impl Into<String>, hint: &'static str) -> Self {
        Self { text: without_credentials(text).into_owned(), reason: reason.into(), hint }
    }

    /// Returns what to do about it.
    pub fn hint(&self) -> &'static str {
        self.hint
    }
}

/// The forms to write.
const FORMS: &str = "write `file:PATH`, `oci:DIR:NAME`, `docker://HOST/REPOSITORY@sha256:…`, or `builtin:NAME` of one that \
                     is part of the program";

impl PluginSource {
    /// Answers whether a text names an image of a registry or a layout, rightly or not.
    pub fn is_image(text: &str) -> bool {
        text.starts_with("oci:") || text.starts_with(DOCKER)
    }

    /// Returns the artifact named by its digest, so that it cannot become another one. What is no artifact stays as it is.
    #[must_use]
    pub fn pinned(&self, digest: &Digest) -> Self {
        match self {
            Self::Image(source) => Self::Image(pinned(source, digest)),
            other => other.clone(),
        }
    }
}

/// Returns an image named by its digest.
pub fn pinned(source: &Source, digest: &Digest) -> Source {
    match source {
        Source::Registry(reference) => Source::Registry(reference.pinned(digest)),
        Source::Layout(layout) => {
            let mut layout = layout.clone();
            layout.digest = Some(digest.clone());
            Source::Layout(layout)
        }
    }
}

/// Returns the tag that says a version: what tags do not take, the `+` of a build, becomes `_`. Nothing if that is not
/// enough to make it a tag.
pub fn tag_of_version(version: &str) -> Option<Tag> {
    version.replace('+', "_").parse().ok()
}

impl fmt::Display for PluginSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => {
                // Two slashes belong to the scheme where they stand behind it.
                let slashes = if path.as_os_str().as_encoded_bytes().starts_with(b"//") { "//" } else { "" };
                write!(f, "file:{slashes}{}", path.display())
            }
            Self::Builtin(name) => write!(f, "builtin:{name}"),
            Self::Image(Source::Registry(reference)) => write!(f, "{DOCKER}{reference}"),
            Self::Image(layout) => fmt::Display::fmt(layout, f),
        }
    }
}

impl FromStr for PluginSource {
    type Err = InvalidPluginSource;

    fn from_str(text: &str) -> Result<Self, InvalidPluginSource> {
        if let Some(path) = text.strip_prefix("file:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if !path.is_empty() {
                return Ok(Self::File(path.into()));
            }
        }
        if let Some(name) = text.strip_prefix("builtin:").filter(|name| !name.is_empty()) {
            return Ok(Self::Builtin(name.to_owned()));
        }
        if !Self::is_image(text) {
            return Err(InvalidPluginSource::new(text, "does not say where the component is", FORMS));
        }
        match text.parse() {
            Ok(Source::Registry(reference)) if reference.tag.is_none() && reference.digest.is_none() => {
                Err(InvalidPluginSource::new(
                    text,
                    "has neither tag nor digest",
                    "add the version as `:TAG`, or better `@sha256:…`, which `oc-mirror plugin push` and `plugin inspect` print",
                ))
            }
            Ok(source) => Ok(Self::Image(source)),
            Err(error) => {
                let reason = format!("does not name an artifact: {}", error.reason);
                Err(InvalidPluginSource::new(text, reason, FORMS))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const DIGEST: &str = "sha256:6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b";

    #[rstest]
    #[case("file:./a.wasm", "file:./a.wasm")]
    #[case("file:///srv/a.wasm", "file:/srv/a.wasm")]
    #[case::two_slashes_that_stay("file:////srv/a.wasm", "file:////srv/a.wasm")]
    #[case("builtin:block", "builtin:block")]
    #[case("docker://r.example:5000/team/a:1.0", "docker://r.example:5000/team/a:1.0")]
    #[case("oci:plugins:a:1.0", "oci:plugins:a:1.0")]
    #[case("oci:plugins", "oci:plugins")]
    fn places(#[case] text: &str, #[case] shown: &str) {
        assert_eq!(text.parse::<PluginSource>().expect("a place").to_string(), shown);
    }

    #[rstest]
    #[case("a.wasm", "does not say where the component is")]
    #[case("file:", "does not say")]
    #[case("builtin:", "does not say")]
    #[case("https://r.example/a.wasm", "does not say")]
    #[case("docker://r.example/a", "has neither tag nor digest")]
    #[case("docker://r.example/A:1", "does not name an artifact")]
    #[case("docker://r.example/a@sha256:12", "does not name an artifact")]
    #[case("oci:", "does not name an artifact")]
    fn no_places(#[case] text: &str, #[case] reason: &str) {
        let error = text.parse::<PluginSource>().expect_err("no place");
        assert!(error.to_string().contains(reason) && !error.hint().is_empty(), "{error}");
    }

    #[rstest]
    #[case("docker://r.example/a:1", "docker://r.example/a@DIGEST")]
    #[case("oci:dir:a:1", "oci:dir:a:1@DIGEST")]
    #[case("file:a.wasm", "file:a.wasm")]
    fn pins(#[case] text: &str, #[case] expected: &str) {
        let pinned =
            text.parse::<PluginSource>().expect("a place").pinned(&DIGEST.parse().expect("a digest"));
        assert_eq!(pinned.to_string(), expected.replace("DIGEST", DIGEST));
        assert_eq!(pinned.to_string().parse::<PluginSource>().as_ref(), Ok(&pinned));
    }

    #[test]
    fn versions_as_tags() {
        let tag = |version| tag_of_version(version).map(String::from);
        assert_eq!(tag("1.2.0-rc.1+build.5").as_deref(), Some("1.2.0-rc.1_build.5"));
        assert_eq!(tag("one or two"), None);
    }
}
