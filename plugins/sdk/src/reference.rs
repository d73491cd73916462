//! [`Source`]: the names that images have, as every part of the program reads them.
//!
//! Only grammar: nothing here asks a registry. Names without a host are those of Docker Hub.

use std::fmt;
use std::str::FromStr;

/// The registry that names without a host belong to.
pub const DOCKER_HUB: &str = "docker.io";
/// The path that names without a path belong to, there.
const LIBRARY: &str = "library/";

/// Why a text is not a reference; a fragment that reads after the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid(pub String);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Invalid {}

fn invalid<T>(reason: impl Into<String>) -> Result<T, Invalid> {
    Err(Invalid(reason.into()))
}

/// An image in a registry: `host[:port]/path[:tag][@digest]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// `host` or `host:port`.
    pub registry: String,
    /// The path.
    pub repository: String,
    /// The tag, if one was written.
    pub tag: Option<String>,
    /// The digest, if one was written. It decides what is pulled.
    pub digest: Option<String>,
}

impl Reference {
    /// Returns `host/path`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// Returns the last component of the path: `alpine` of `docker.io/library/alpine`.
    pub fn last_component(&self) -> &str {
        self.repository.rsplit('/').next().unwrap_or(&self.repository)
    }

    /// Returns the name as people write it: without `docker.io/` and `library/`.
    pub fn familiar(&self) -> String {
        let text = self.to_string();
        match text.strip_prefix(DOCKER_HUB).and_then(|rest| rest.strip_prefix('/')) {
            Some(rest) => rest.strip_prefix(LIBRARY).unwrap_or(rest).to_owned(),
            None => text,
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        write_suffix(f, ':', self.tag.as_deref())?;
        write_suffix(f, '@', self.digest.as_deref())
    }
}

fn write_suffix(f: &mut fmt::Formatter<'_>, separator: char, part: Option<&str>) -> fmt::Result {
    part.map_or(Ok(()), |part| write!(f, "{separator}{part}"))
}

impl FromStr for Reference {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(check_digest(digest)?)),
            None => (text, None),
        };
        // A colon is the tag's only after the last slash; before it, it is the port's.
        let after_slash = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match rest[after_slash..].find(':') {
            Some(colon) => (&rest[..after_slash + colon], Some(check_tag(&rest[after_slash + colon + 1..])?)),
            None => (rest, None),
        };
        if name.is_empty() {
            return invalid("there is no name");
        }
        let (registry, repository) = match name.split_once('/') {
            Some((first, path)) if first.contains(['.', ':', '[']) || first == "localhost" => {
                (first, path.to_owned())
            }
            Some(_) => (DOCKER_HUB, name.to_owned()),
            None => (DOCKER_HUB, format!("{LIBRARY}{name}")),
        };
        Ok(Self {
            registry: check_registry(registry)?,
            repository: check_repository(&repository)?,
            tag,
            digest,
        })
    }
}

/// An image in an OCI image layout on disk: `oci:DIRECTORY[:NAME][@DIGEST]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The directory.
    pub path: String,
    /// Which image, by its `org.opencontainers.image.ref.name`.
    pub name: Option<String>,
    /// Which image, by digest.
    pub digest: Option<String>,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "oci:{}", self.path)?;
        write_suffix(f, ':', self.name.as_deref())?;
        write_suffix(f, '@', self.digest.as_deref())
    }
}

/// Anything an image can be read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A registry: `docker://host/path:tag`, or without the transport.
    Registry(Reference),
    /// A directory: `oci:DIRECTORY` or `oci://DIRECTORY`.
    Layout(Layout),
}

impl Source {
    /// Returns the digest that was written, if one was.
    pub fn digest(&self) -> Option<&str> {
        match self {
            Self::Registry(reference) => reference.digest.as_deref(),
            Self::Layout(layout) => layout.digest.as_deref(),
        }
    }

    /// Returns `repository` and `tag` at the target, as the host derives them where nothing else is asked for.
    ///
    /// The registry's host is dropped; an image that is named by digest alone is tagged `sha256-<hex>`.
    pub fn destination(&self) -> (String, String) {
        let by_digest = |digest: &Option<String>| digest.as_ref().map(|d| d.replacen(':', "-", 1));
        let latest = || "latest".to_owned();
        match self {
            Self::Registry(Reference { repository, tag, digest, .. }) => {
                let tag = tag.clone().or_else(|| by_digest(digest)).unwrap_or_else(latest);
                (repository.clone(), tag)
            }
            Self::Layout(Layout { path, name, digest }) => {
                let tag = name.clone().filter(|n| check_tag(n).is_ok());
                let tag = tag.or_else(|| by_digest(digest)).unwrap_or_else(latest);
                (path.trim_matches('/').to_lowercase(), tag)
            }
        }
    }

    /// Returns the same source with the digest in place of tag and name.
    pub fn at_digest(&self, digest: &str) -> Source {
        let digest = Some(digest.to_owned());
        match self {
            Self::Registry(reference) => Self::Registry(Reference { tag: None, digest, ..reference.clone() }),
            Self::Layout(layout) => Self::Layout(Layout { name: None, digest, ..layout.clone() }),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(reference) => reference.fmt(f),
            Self::Layout(layout) => layout.fmt(f),
        }
    }
}

impl FromStr for Source {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if let Some(rest) = text.strip_prefix("oci:") {
            return layout(rest.strip_prefix("//").unwrap_or(rest)).map(Self::Layout);
        }
        match text.split_once("://") {
            Some(("docker", rest)) => rest.parse().map(Self::Registry),
            Some((transport, _)) => {
                invalid(format!("`{transport}` is not a transport; use `docker://` or `oci:`"))
            }
            None => text.parse().map(Self::Registry),
        }
    }
}

fn layout(text: &str) -> Result<Layout, Invalid> {
    let (rest, digest) = match text.rsplit_once("@sha256:") {
        Some((path, hex)) => (path, Some(check_digest(&format!("sha256:{hex}"))?)),
        None => (text, None),
    };
    // As skopeo has it: the directory ends at the first colon.
    let (path, name) = match rest.split_once(':') {
        Some((path, name)) => (path, Some(name.to_owned())),
        None => (rest, None),
    };
    if path.is_empty() || name.as_deref() == Some("") {
        return invalid("expected `oci:DIRECTORY`, `oci:DIRECTORY:NAME` or `oci:DIRECTORY@DIGEST`");
    }
    Ok(Layout { path: path.to_owned(), name, digest })
}

fn check_registry(text: &str) -> Result<String, Invalid> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((v6, rest)) if v6.parse::<std::net::Ipv6Addr>().is_ok() => ("ipv6", rest.strip_prefix(':')),
        Some(_) => return invalid("the address in brackets is not IPv6"),
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let label = |l: &str| {
        !l.is_empty()
            && l.len() <= 63
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    if host.len() > 253 || !host.split('.').all(label) {
        return invalid("the registry's host name is not valid");
    }
    if port.is_some_and(|p| p.parse::<u16>().ok().filter(|p| *p != 0).is_none()) {
        return invalid("the registry's port is not a number between 1 and 65535");
    }
    Ok(text.to_owned())
}

/// Checks the path of a repository, as in `targetRepo`.
pub fn check_repository(text: &str) -> Result<String, Invalid> {
    if text.is_empty() || text.len() > 255 {
        return invalid("a repository has between 1 and 255 characters");
    }
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        return invalid("repository names are lower-case");
    }
    if !text.split('/').all(is_path_component) {
        return invalid("a component of the path is not letters and digits joined by `.`, `_`, `__` or `-`");
    }
    Ok(text.to_owned())
}

fn is_path_component(component: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    component.starts_with(alphanumeric)
        && component.ends_with(alphanumeric)
        && component
            .split(alphanumeric)
            .all(|s| matches!(s, "" | "." | "_" | "__") || s.bytes().all(|b| b == b'-'))
}

/// Checks a tag, as in `targetTag`.
pub fn check_tag(text: &str) -> Result<String, Invalid> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let first = text.bytes().next().is_some_and(word);
    if !first || text.len() > 128 || !text.bytes().all(|b| word(b) || b == b'.' || b == b'-') {
        return invalid(
            "a tag is 1 to 128 letters, digits, `_`, `.` and `-`, and starts with neither `.` nor `-`",
        );
    }
    Ok(text.to_owned())
}

fn check_digest(text: &str) -> Result<String, Invalid> {
    let length = match text.split_once(':') {
        Some(("sha256", hex)) => Some((hex, 64)),
        Some(("sha512", hex)) => Some((hex, 128)),
        _ => None,
    };
    match length {
        Some((hex, length))
            if hex.len() == length && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) =>
        {
            Ok(text.to_owned())
        }
        _ => invalid("a digest is `sha256:` and 64 lower-case hexadecimal digits"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[rstest]
    #[case("nginx", "docker.io/library/nginx", "nginx")]
    #[case(
        "prom/mysqld-exporter:v0.15.1",
        "docker.io/prom/mysqld-exporter:v0.15.1",
        "prom/mysqld-exporter:v0.15.1"
    )]
    #[case("docker://quay.io/a/b:v1", "quay.io/a/b:v1", "quay.io/a/b:v1")]
    #[case("localhost/a", "localhost/a", "localhost/a")]
    #[case("[::1]:5000/a", "[::1]:5000/a", "[::1]:5000/a")]
    #[case(
        "127.0.0.1:5000/a/b_c/d__e:v1.2-x",
        "127.0.0.1:5000/a/b_c/d__e:v1.2-x",
        "127.0.0.1:5000/a/b_c/d__e:v1.2-x"
    )]
    fn registries(#[case] text: &str, #[case] canonical: &str, #[case] familiar: &str) {
        let Source::Registry(reference) = text.parse().expect("valid") else { panic!("a registry") };
        assert_eq!((reference.to_string().as_str(), reference.familiar().as_str()), (canonical, familiar));
    }

    #[rstest]
    #[case("oci:/a/b", "oci:/a/b")]
    #[case("oci:///a/b:v1", "oci:/a/b:v1")]
    #[case("oci://a", "oci:a")]
    fn layouts(#[case] text: &str, #[case] canonical: &str) {
        assert_eq!(text.parse::<Source>().expect("valid").to_string(), canonical);
    }

    #[rstest]
    #[case("", "no name")]
    #[case("quay.io/", "between 1 and 255")]
    #[case("quay.io/A", "lower-case")]
    #[case("quay.io/a//b", "component")]
    #[case("quay.io/../etc", "component")]
    #[case("quay.io/a:..", "a tag is")]
    #[case("quay.io/a@sha256:00", "a digest is")]
    #[case("quay.io/a@md5:00", "a digest is")]
    #[case("quay.io:99999/a", "port")]
    #[case("ftp://x/y", "not a transport")]
    #[case("oci:", "expected `oci:")]
    #[case("oci:/a:", "expected `oci:")]
    #[case("a b", "component")]
    fn not_references(#[case] text: &str, #[case] reason: &str) {
        let error = text.parse::<Source>().expect_err("invalid").to_string();
        assert!(error.contains(reason), "{error}");
    }

    #[rstest]
    #[case("nginx", "library/nginx", "latest")]
    #[case("quay.io/a/b:v1", "a/b", "v1")]
    #[case("oci:/Tmp/x", "tmp/x", "latest")]
    #[case("oci:/tmp/x:v1", "tmp/x", "v1")]
    fn destinations(#[case] text: &str, #[case] repository: &str, #[case] tag: &str) {
        let (r, t) = text.parse::<Source>().expect("valid").destination();
        assert_eq!((r.as_str(), t.as_str()), (repository, tag));
    }

    #[test]
    fn digests() {
        let source: Source = format!("quay.io/a/b:v1@{DIGEST}").parse().expect("valid");
        assert_eq!(source.digest(), Some(DIGEST));
        assert_eq!(source.destination().1, "v1");
        let source: Source = format!("quay.io/a/b@{DIGEST}").parse().expect("valid");
        assert_eq!(source.destination().1, DIGEST.replace(':', "-"));
        let source: Source = "oci:/x:name".parse().expect("valid");
        assert_eq!(source.at_digest(DIGEST).to_string(), format!("oci:/x@{DIGEST}"));
    }
}
