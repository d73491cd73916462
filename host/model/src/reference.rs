//! References to images: [`Reference`] in a registry, [`Source`] for anything an image can be read from.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use crate::digest::Digest;
use crate::redact;

/// The registry that names without a host belong to.
pub const DOCKER_HUB: &str = "docker.io";

/// A text does not follow the grammar of references.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a reference to an image: {reason}")]
pub struct InvalidReference {
    /// The text as it came, cut to a sane length.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

fn invalid(text: &str, reason: impl Into<String>) -> InvalidReference {
    if redact::has_credentials(text) {
        let text = redact::without_credentials(text).chars().take(300).collect();
        return InvalidReference { text, reason: CREDENTIALS.to_owned() };
    }
    InvalidReference { text: text.chars().take(300).collect(), reason: reason.into() }
}

/// What is wrong with a name that has a password in it, which no name can have.
const CREDENTIALS: &str = "a name holds no credentials; put them into a file for `--authfile`";

/// What all names have in common. They are shared rather than copied: a run has each many times.
macro_rules! text_newtype {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl $name {
            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.as_str().to_owned()
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidReference;

            fn try_from(text: String) -> Result<Self, InvalidReference> {
                text.parse()
            }
        }
    };
}

/// `host` or `host:port` of a registry.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Registry(Arc<str>);
text_newtype!(Registry);

impl Registry {
    /// Returns the host without the port.
    pub fn host(&self) -> &str {
        match self.0.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => &self.0,
        }
    }
}

impl FromStr for Registry {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((v6, rest)) => {
                if v6.parse::<std::net::Ipv6Addr>().is_err() {
                    return Err(invalid(text, "the address in brackets is not IPv6"));
                }
                // Whatever else follows would be read as something else by who makes a URL of it: `[::1]@elsewhere`.
                if !rest.is_empty() && !rest.starts_with(':') {
                    return Err(invalid(text, "only a port may follow an address in brackets"));
                }
                ("ipv6", rest.strip_prefix(':'))
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let label = |l: &str| {
            !l.is_empty()
                && l.len() <= 63
                && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                && !l.starts_with('-')
                && !l.ends_with('-')
        };
        if host.len() > 253 || !host.split('.').all(label) {
            return Err(invalid(text, "the registry's host name is not valid"));
        }
        if let Some(port) = port
            && port.parse::<u16>().ok().filter(|p| *p != 0).is_none()
        {
            return Err(invalid(text, "the registry's port is not a number between 1 and 65535"));
        }
        Ok(Self(text.into()))
    }
}

/// The path of a repository within a registry, such as `openshift/release`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Repository(Arc<str>);
text_newtype!(Repository);

impl Repository {
    /// Returns this path below another one; an empty prefix changes nothing.
    pub fn under(&self, prefix: Option<&Repository>) -> Repository {
        match prefix {
            Some(prefix) => Repository(format!("{prefix}/{self}").into()),
            None => self.clone(),
        }
    }

    /// Returns the path cut to at most `max` components, the surplus joined with `-` into the last one.
    ///
    /// This is `--max-nested-paths`; `None` or a path that is short enough changes nothing.
    pub fn with_max_components(&self, max: Option<usize>) -> Repository {
        let components: Vec<&str> = self.0.split('/').collect();
        match max {
            Some(max) if max > 0 && components.len() > max => {
                let last = components[max - 1..].join("-");
                let mut kept = components[..max - 1].to_vec();
                kept.push(&last);
                Repository(kept.join("/").into())
            }
            _ => self.clone(),
        }
    }

    /// Returns the number of components.
    pub fn depth(&self) -> usize {
        self.0.split('/').count()
    }
}

impl FromStr for Repository {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        if text.is_empty() || text.len() > 255 {
            return Err(invalid(text, "a repository has between 1 and 255 characters"));
        }
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(invalid(text, "repository names are lower-case"));
        }
        if !text.split('/').all(is_path_component) {
            return Err(invalid(
                text,
                "a component of the path is not letters and digits joined by `.`, `_`, `__` or `-`",
            ));
        }
        Ok(Self(text.into()))
    }
}

/// Lower-case letters and digits, in runs separated by `.`, `_`, `__` or any number of `-`.
fn is_path_component(component: &str) -> bool {
    let bytes = component.as_bytes();
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    if bytes.is_empty() || !alphanumeric(bytes[0]) || !alphanumeric(bytes[bytes.len() - 1]) {
        return false;
    }
    component
        .split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        .all(|separator| matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-'))
}

/// A tag.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Tag(Arc<str>);
text_newtype!(Tag);

impl Tag {
    /// Returns the tag which an image that was asked for by digest alone gets at the target.
    pub fn for_digest(digest: &Digest) -> Tag {
        let mut text = format!("{}-{}", digest.algorithm().as_str(), digest.hex());
        text.truncate(128);
        Tag(text.into())
    }

    /// Returns the tag that stands in for a registry's list of referrers: the algorithm and 64 characters of the hash.
    pub fn of_referrers(subject: &Digest) -> Tag {
        let hex: String = subject.hex().chars().take(64).collect();
        Tag(format!("{}-{hex}", subject.algorithm().as_str()).into())
    }

    /// Returns the tag under which cosign keeps what is about a manifest, `sha256-<hex>.sig` for one. Nothing where that is
    /// too long for a tag, so that no registry can have it.
    pub fn of_attachment(subject: &Digest, suffix: &str) -> Option<Tag> {
        format!("{}-{}.{suffix}", subject.algorithm().as_str(), subject.hex()).parse().ok()
    }
}

impl FromStr for Tag {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let first = text.bytes().next().is_some_and(word);
        if !first || text.len() > 128 || !text.bytes().all(|b| word(b) || b == b'.' || b == b'-') {
            return Err(invalid(
                text,
                "a tag is 1 to 128 letters, digits, `_`, `.` and `-`, and starts with neither `.` nor `-`",
            ));
        }
        Ok(Self(text.into()))
    }
}

/// An image in a registry: `host[:port]/path[:tag][@digest]`.
///
/// Names without a host are those of Docker Hub, as every container tool reads them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    /// The registry.
    pub registry: Registry,
    /// The path.
    pub repository: Repository,
    /// The tag, if one was written.
    pub tag: Option<Tag>,
    /// The digest, if one was written. It decides what is pulled.
    pub digest: Option<Digest>,
}

impl Reference {
    /// Returns the same image named by digest alone.
    pub fn pinned(&self, digest: &Digest) -> Reference {
        Reference { tag: None, digest: Some(digest.clone()), ..self.clone() }
    }

    /// Returns what to ask the registry for: the digest, else the tag, else `latest`.
    pub fn selector(&self) -> Selector {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => Selector::Digest(digest.clone()),
            (None, Some(tag)) => Selector::Tag(tag.clone()),
            (None, None) => Selector::Tag(Tag("latest".into())),
        }
    }

    /// Returns `host/path`, without tag and digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> String {
        reference.to_string()
    }
}

impl TryFrom<String> for Reference {
    type Error = InvalidReference;

    fn try_from(text: String) -> Result<Self, InvalidReference> {
        text.parse()
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                (rest, Some(digest.parse::<Digest>().map_err(|e| invalid(text, e.to_string()))?))
            }
            None => (text, None),
        };
        // A colon is the tag's only after the last slash; before it, it is the port's.
        let after_slash = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match rest[after_slash..].find(':') {
            Some(colon) => (
                &rest[..after_slash + colon],
                Some(rest[after_slash + colon + 1..].parse::<Tag>().map_err(|e| invalid(text, e.reason))?),
            ),
            None => (rest, None),
        };
        if name.is_empty() {
            return Err(invalid(text, "there is no name"));
        }
        let (registry, path) = match name.split_once('/') {
            Some((first, path)) if first.contains(['.', ':', '[']) || first == "localhost" => {
                (first, path.to_owned())
            }
            Some(_) => (DOCKER_HUB, name.to_owned()),
            None => (DOCKER_HUB, format!("library/{name}")),
        };
        Ok(Self {
            registry: registry.parse().map_err(|e: InvalidReference| invalid(text, e.reason))?,
            repository: path.parse().map_err(|e: InvalidReference| invalid(text, e.reason))?,
            tag,
            digest,
        })
    }
}

/// What a manifest is asked for by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Selector {
    /// A name that may move.
    Tag(Tag),
    /// A name that cannot.
    Digest(Digest),
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => fmt::Display::fmt(tag, f),
            Self::Digest(digest) => fmt::Display::fmt(digest, f),
        }
    }
}

/// An image in an OCI image layout on disk: `oci:DIR[:NAME][@DIGEST]`, also written `oci://DIR`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayoutReference {
    /// The directory that holds `oci-layout` and `index.json`.
    pub path: PathBuf,
    /// Which image, by its `org.opencontainers.image.ref.name`; needed where there are several.
    pub name: Option<String>,
    /// Which image, by digest.
    pub digest: Option<Digest>,
}

/// Anything an image can be read from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// A registry: `docker://host/path:tag`, or without the transport.
    Registry(Reference),
    /// A directory.
    Layout(LayoutReference),
}

impl Source {
    /// Returns the directory, if the source is one.
    pub fn layout_path(&self) -> Option<&Path> {
        match self {
            Self::Layout(layout) => Some(&layout.path),
            Self::Registry(_) => None,
        }
    }

    /// Returns the digest that was written, if one was.
    pub fn digest(&self) -> Option<&Digest> {
        match self {
            Self::Registry(reference) => reference.digest.as_ref(),
            Self::Layout(layout) => layout.digest.as_ref(),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(reference) => fmt::Display::fmt(reference, f),
            Self::Layout(layout) => {
                // Two slashes belong to the transport where they stand behind it.
                let slashes =
                    if layout.path.as_os_str().as_encoded_bytes().starts_with(b"//") { "//" } else { "" };
                write!(f, "oci:{slashes}{}", layout.path.display())?;
                if let Some(name) = &layout.name {
                    write!(f, ":{name}")?;
                }
                if let Some(digest) = &layout.digest {
                    write!(f, "@{digest}")?;
                }
                Ok(())
            }
        }
    }
}

impl FromStr for Source {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        if let Some(rest) = text.strip_prefix("oci:") {
            let rest = rest.strip_prefix("//").unwrap_or(rest);
            let (rest, digest) = match rest.rsplit_once("@sha256:") {
                Some((path, hex)) => {
                    let digest = format!("sha256:{hex}")
                        .parse::<Digest>()
                        .map_err(|e| invalid(text, e.to_string()))?;
                    (path, Some(digest))
                }
                None => (rest, None),
            };
            // As skopeo has it: the directory ends at the first colon.
            let (path, name) = match rest.split_once(':') {
                Some((path, name)) => (path, Some(name.to_owned())),
                None => (rest, None),
            };
            if path.is_empty() || name.as_deref() == Some("") {
                return Err(invalid(
                    text,
                    "expected `oci:DIRECTORY`, `oci:DIRECTORY:NAME` or `oci:DIRECTORY@DIGEST`",
                ));
            }
            return Ok(Self::Layout(LayoutReference { path: path.into(), name, digest }));
        }
        if let Some((transport, _)) = text.split_once("://")
            && transport != "docker"
        {
            return Err(invalid(
                text,
                format!("`{transport}` is not a transport; use `docker://` or `oci:`"),
            ));
        }
        text.strip_prefix("docker://").unwrap_or(text).parse().map(Self::Registry)
    }
}

/// Where images are published: `docker://host[:port][/prefix]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The registry.
    pub registry: Registry,
    /// What every repository is put below.
    pub prefix: Option<Repository>,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "docker://{}", self.registry)?;
        match &self.prefix {
            Some(prefix) => write!(f, "/{prefix}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Target {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let rest = text
            .strip_prefix("docker://")
            .ok_or_else(|| invalid(text, "a target starts with `docker://`"))?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (registry, prefix) = match rest.split_once('/') {
            Some((registry, prefix)) => (registry, Some(prefix)),
            None => (rest, None),
        };
        if prefix.is_some_and(|p| p.contains([':', '@'])) {
            return Err(invalid(text, "a target is a registry and a path, without tag or digest"));
        }
        Ok(Self {
            registry: registry.parse().map_err(|e: InvalidReference| invalid(text, e.reason))?,
            prefix: prefix
                .map(|p| p.parse().map_err(|e: InvalidReference| invalid(text, e.reason)))
                .transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[rstest]
    #[case("nginx", "docker.io/library/nginx")]
    #[case("prom/mysqld-exporter:v0.15.1", "docker.io/prom/mysqld-exporter:v0.15.1")]
    #[case("localhost/a", "localhost/a")]
    #[case("127.0.0.1:5000/a/b_c/d__e:v1.2-x", "127.0.0.1:5000/a/b_c/d__e:v1.2-x")]
    #[case("[::1]:5000/a", "[::1]:5000/a")]
    fn references(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(text.parse::<Reference>().expect("valid").to_string(), expected);
    }

    /// Found while the fuzz target `reference` was written: `https://[::1]@elsewhere.example/v2/` is a URL of `elsewhere.example`.
    #[rstest]
    #[case("[::1]@elsewhere.example")]
    #[case("[::1]x")]
    #[case("[::1]5000")]
    fn nothing_but_a_port_follows_an_address(#[case] text: &str) {
        let error = text.parse::<Registry>().expect_err("refused").to_string();
        assert!(error.contains("only a port may follow an address in brackets"), "{error}");
        assert!(format!("docker://{text}/mirror").parse::<Target>().is_err());
    }

    /// Found while the fuzz target `reference` was written.
    #[test]
    fn a_path_with_two_slashes_stays_what_it_is() {
        let source: Source = "oci:////srv/layout:name".parse().expect("a layout");
        assert_eq!(source.layout_path(), Some(Path::new("//srv/layout")));
        assert_eq!(source.to_string().parse::<Source>().as_ref(), Ok(&source));
    }

    #[test]
    fn tag_and_digest_and_port() {
        let text = format!("quay.io:443/ns/n:v1@sha256:{HEX}");
        let reference: Reference = text.parse().expect("valid");
        assert_eq!(reference.tag.as_ref().map(Tag::as_str), Some("v1"));
        assert!(matches!(reference.selector(), Selector::Digest(_)));
        assert_eq!(reference.to_string(), text);
    }

    #[rstest]
    #[case("")]
    #[case("quay.io/")]
    #[case("quay.io/A")]
    #[case("quay.io/a//b")]
    #[case("quay.io/../etc")]
    #[case("quay.io/a:..")]
    #[case("quay.io/a@sha256:00")]
    #[case("quay.io:99999/a")]
    #[case("quay.io/a%2fb")]
    #[case("quay.io/a\nb")]
    #[case("a b")]
    fn hostile_references(#[case] text: &str) {
        assert!(text.parse::<Reference>().is_err());
    }

    #[test]
    fn tags_of_companions() {
        use crate::digest::Algorithm;
        let digest: Digest = format!("sha256:{HEX}").parse().expect("a digest");
        assert_eq!(Tag::of_referrers(&digest).as_str(), format!("sha256-{HEX}"));
        let signature = Tag::of_attachment(&digest, "sig").expect("short enough");
        assert_eq!(signature.as_str(), format!("sha256-{HEX}.sig"));
        let long = Digest::of_with(Algorithm::Sha512, b"");
        assert_eq!(Tag::of_referrers(&long).as_str(), format!("sha512-{}", &long.hex()[..64]));
        assert_eq!(Tag::of_attachment(&long, "sig"), None);
    }

    #[test]
    fn layouts() {
        let source: Source = "oci:///tmp/x:v1".parse().expect("valid");
        let Source::Layout(layout) = &source else { panic!("a layout") };
        assert_eq!((layout.path.to_str(), layout.name.as_deref()), (Some("/tmp/x"), Some("v1")));
        assert_eq!(source.to_string(), "oci:/tmp/x:v1");
        let source: Source = format!("oci:/tmp/x@sha256:{HEX}").parse().expect("valid");
        assert!(source.digest().is_some());
        assert!("oci:".parse::<Source>().is_err());
        assert!("ftp://x/y".parse::<Source>().is_err());
    }

    #[test]
    fn targets() {
        let target: Target = "docker://localhost:5000/a/b/".parse().expect("valid");
        assert_eq!(target.to_string(), "docker://localhost:5000/a/b");
        assert!("docker://localhost:5000/a:v1".parse::<Target>().is_err());
        assert!("localhost:5000".parse::<Target>().is_err());
    }

    #[rstest]
    #[case("a/b/c", Some(2), "a/b-c")]
    #[case("a/b/c", Some(1), "a-b-c")]
    #[case("a/b/c", Some(3), "a/b/c")]
    #[case("a/b/c", None, "a/b/c")]
    fn nested_paths(#[case] text: &str, #[case] max: Option<usize>, #[case] expected: &str) {
        let repository: Repository = text.parse().expect("valid");
        assert_eq!(repository.with_max_components(max).as_str(), expected);
    }
}
