//! What a plugin may do: [`Grants`] is a set of capabilities, and [`Permissions`] is wanted ∩ granted.
//!
//! An empty set means nothing. Nothing outside this room decides whether a guest may reach something.

use std::fmt;
use std::path::{Path, PathBuf};

use oc_mirror_model::pattern;
use oc_mirror_model::reference::Reference;
use url::Url;

/// The capabilities there are, as they are written.
pub const CAPABILITIES: [&str; 11] = [
    "registry",
    "registry:<host/path pattern>",
    "http:<host, *.domain, scheme://host:port or scheme://*>",
    "credential:<name>",
    "layout:<directory>",
    "build",
    "artifact",
    "resources",
    "state",
    "cache",
    "signatures",
];

/// One thing that a plugin may do.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Capability {
    /// Ask registries; of all names or of those that match.
    Registry(Option<String>),
    /// Fetch URLs; any (wishes only) or those that match.
    Http(Option<HttpPattern>),
    /// Have a named credential attached; any (wishes only) or this one.
    Credential(Option<String>),
    /// Read image layouts; anywhere (wishes only) or below a directory.
    Layout(Option<PathBuf>),
    /// Generate images.
    Build,
    /// Add opaque files to the imageset.
    Artifact,
    /// Add cluster resources.
    Resources,
    /// Keep state from sequence to sequence.
    State,
    /// Keep things from run to run.
    Cache,
    /// Have signatures of releases verified.
    Signatures,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct HttpPattern {
    scheme: String,
    host: String,
    port: Option<u16>,
}

/// A set of capabilities: what a user grants, or what a plugin asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    capabilities: Vec<Capability>,
    /// Where the user has written them.
    place: Option<String>,
}

/// A capability is not one, or grants more than can be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a capability: {reason}")]
pub struct InvalidGrant {
    /// As it was written.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Grants {
    /// Reads what a user grants. The argument of `http`, `credential` and `layout` must be there.
    pub fn parse<S: AsRef<str>>(grants: &[S]) -> Result<Self, InvalidGrant> {
        Self::read(grants, false)
    }

    /// Reads what a plugin asks for. A name without an argument asks for all that can be granted under it.
    pub fn wishes<S: AsRef<str>>(wants: &[S]) -> Result<Self, InvalidGrant> {
        Self::read(wants, true)
    }

    fn read<S: AsRef<str>>(texts: &[S], wish: bool) -> Result<Self, InvalidGrant> {
        let parsed = texts.iter().map(|text| Capability::parse(text.as_ref(), wish));
        Ok(Self { capabilities: parsed.collect::<Result<_, _>>()?, place: None })
    }

    /// Says where the user has written them, `FILE:LINE`, for whoever has to add one.
    #[must_use]
    pub fn written_at(mut self, place: String) -> Self {
        self.place = Some(place);
        self
    }

    /// Returns the set with another one added.
    pub fn and(mut self, other: Grants) -> Self {
        self.capabilities.extend(other.capabilities);
        self
    }

    fn allows(&self, access: &Access<'_>) -> bool {
        self.capabilities.iter().any(|capability| capability.allows(access))
    }
}

impl Capability {
    fn parse(text: &str, wish: bool) -> Result<Self, InvalidGrant> {
        let invalid = |reason: String| InvalidGrant { text: text.to_owned(), reason };
        let (name, argument) = match text.split_once(':') {
            Some((name, argument)) => (name, Some(argument)),
            None => (text, None),
        };
        if argument.is_some_and(|a| a.trim().is_empty()) {
            return Err(invalid("there is nothing after the colon".to_owned()));
        }
        let argument = argument.filter(|a| *a != "*");
        let needed = |what: &str| match (argument, wish) {
            (None, false) => Err(invalid(format!("say which {what}: `{name}:<{what}>`"))),
            (argument, _) => Ok(argument),
        };
        let plain = |capability| match argument {
            None => Ok(capability),
            Some(_) => Err(invalid(format!("`{name}` takes no argument"))),
        };
        match name {
            "registry" => {
                let pattern = argument.map(|a| a.strip_prefix("docker://").unwrap_or(a));
                Ok(Self::Registry(pattern.map(|p| p.trim_end_matches('/').to_owned())))
            }
            "http" => {
                let pattern = needed("host")?.map(HttpPattern::parse).transpose();
                Ok(Self::Http(pattern.map_err(invalid)?))
            }
            "credential" => Ok(Self::Credential(needed("name")?.map(str::to_owned))),
            "layout" => Ok(Self::Layout(needed("directory")?.map(PathBuf::from))),
            "build" => plain(Self::Build),
            "artifact" => plain(Self::Artifact),
            "resources" => plain(Self::Resources),
            "state" => plain(Self::State),
            "cache" => plain(Self::Cache),
            "signatures" => plain(Self::Signatures),
            _ => Err(invalid(format!("valid are {}", CAPABILITIES.map(|c| format!("`{c}`")).join(", ")))),
        }
    }

    fn allows(&self, access: &Access<'_>) -> bool {
        match (self, access) {
            (Self::Registry(pattern), Access::Registry(reference)) => {
                pattern.as_deref().is_none_or(|p| name_matches(p, &reference.name()))
            }
            (Self::Http(pattern), Access::Http(url)) => pattern.as_ref().is_none_or(|p| p.matches(url)),
            (Self::Credential(granted), Access::Credential(name)) => {
                granted.as_deref().is_none_or(|g| g == *name)
            }
            (Self::Layout(dir), Access::Layout(path)) => {
                dir.as_deref().is_none_or(|dir| real_path(path).starts_with(real_path(dir)))
            }
            (Self::Build, Access::Build)
            | (Self::Artifact, Access::Artifact)
            | (Self::Resources, Access::Resources)
            | (Self::State, Access::State)
            | (Self::Cache, Access::Cache)
            | (Self::Signatures, Access::Signatures) => true,
            _ => false,
        }
    }
}

/// `*` stands for any characters, slashes too. A pattern without one also stands for everything below it.
fn name_matches(pattern: &str, name: &str) -> bool {
    match pattern.contains('*') {
        true => pattern::matches(pattern, name),
        false => name.strip_prefix(pattern).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
    }
}

impl HttpPattern {
    fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("https", text));
        if !matches!(scheme, "http" | "https") {
            return Err(format!("`{scheme}` is no scheme; valid are `https` and `http`"));
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        // Only with a scheme: any host at all is said with two words, not with one.
        if rest == "*" && text != "*" {
            return Ok(Self { scheme: scheme.to_owned(), host: "*".to_owned(), port: None });
        }
        let domain = rest.strip_prefix("*.").unwrap_or(rest);
        // The parser of URLs knows what a host is; what it would not take as one is refused.
        let url = Url::parse(&format!("{scheme}://{domain}")).map_err(|e| e.to_string())?;
        let host = url.host_str().filter(|_| !domain.contains(['/', '?', '#', '@', '*']));
        let host = host.ok_or_else(|| "expected a host, `*.domain` or `scheme://host:port`".to_owned())?;
        let host = if rest.starts_with("*.") { format!("*.{host}") } else { host.to_owned() };
        Ok(Self { scheme: scheme.to_owned(), host, port: url.port_or_known_default() })
    }

    fn matches(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        if self.host == "*" {
            return !host.is_empty() && url.scheme() == self.scheme;
        }
        let same_host = match self.host.strip_prefix('*') {
            Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
            None => host == self.host,
        };
        same_host && url.scheme() == self.scheme && url.port_or_known_default() == self.port
    }
}

/// Where a path leads, links followed, whether or not all of it exists.
fn real_path(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut missing: Vec<PathBuf> = Vec::new();
    let mut at = absolute.as_path();
    loop {
        if let Ok(real) = at.canonicalize() {
            return missing.iter().rev().fold(real, |path, part| normal_join(path, part));
        }
        match (at.parent(), at.components().next_back()) {
            (Some(parent), Some(part)) => {
                missing.push(PathBuf::from(part.as_os_str()));
                at = parent;
            }
            _ => return absolute,
        }
    }
}

fn normal_join(mut path: PathBuf, part: &Path) -> PathBuf {
    match part.as_os_str() == ".." {
        true => {
            path.pop();
        }
        false => path.push(part),
    }
    path
}

/// Something a guest is about to reach.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Access<'a> {
    Registry(&'a Reference),
    Http(&'a Url),
    Credential(&'a str),
    Layout(&'a Path),
    Build,
    Artifact,
    Resources,
    State,
    Cache,
    Signatures,
}

/// The capability that covers it, as one would write it to grant just that.
impl fmt::Display for Access<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(reference) => write!(f, "registry:{}", reference.name()),
            Self::Http(url) => {
                write!(f, "http:{}://{}", url.scheme(), url.host_str().unwrap_or_default())?;
                url.port().map_or(Ok(()), |port| write!(f, ":{port}"))
            }
            Self::Credential(name) => write!(f, "credential:{name}"),
            Self::Layout(path) => write!(f, "layout:{}", path.display()),
            Self::Build => f.write_str("build"),
            Self::Artifact => f.write_str("artifact"),
            Self::Resources => f.write_str("resources"),
            Self::State => f.write_str("state"),
            Self::Cache => f.write_str("cache"),
            Self::Signatures => f.write_str("signatures"),
        }
    }
}

/// What one plugin asks for and what it was granted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Permissions {
    pub(crate) plugin: String,
    pub(crate) wanted: Grants,
    pub(crate) granted: Grants,
}

impl Permissions {
    /// Answers whether both sides agree.
    pub(crate) fn allow(&self, access: &Access<'_>) -> bool {
        self.wanted.allows(access) && self.granted.allows(access)
    }

    /// Refuses with a text that says which capability is missing, and what to write where.
    pub(crate) fn check(&self, access: &Access<'_>) -> Result<(), String> {
        let plugin = &self.plugin;
        if !self.wanted.allows(access) {
            return Err(format!(
                "this needs the capability `{access}`, which plugin `{plugin}` does not ask for in its metadata"
            ));
        }
        match self.remedy(access) {
            Some(remedy) => {
                Err(format!("this needs the capability `{access}`, which is not granted; {remedy}"))
            }
            None => Ok(()),
        }
    }

    /// Returns what the user can do about a refusal: nothing if it was granted, or was not asked for.
    pub(crate) fn remedy(&self, access: &Access<'_>) -> Option<String> {
        if !self.wanted.allows(access) || self.granted.allows(access) {
            return None;
        }
        let place = match &self.granted.place {
            Some(place) => format!(" ({place})"),
            None => " in the configuration".to_owned(),
        };
        Some(format!("add `- {access}` to `grants` of plugin `{}`{place}", self.plugin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("registry", "quay.io/a/b", true)]
    #[case("registry:quay.io", "quay.io/a/b:1", true)]
    #[case("registry:quay.io/a", "quay.io/a/b", true)]
    #[case("registry:quay.io/a", "quay.io/ab", false)]
    #[case("registry:quay.io/a/*", "quay.io/a/b/c", true)]
    #[case("registry:*/b", "quay.io/a/b", true)]
    #[case("registry:*.io/*/b", "quay.io/a/c", false)]
    #[case("registry:quay.io", "quay.io.evil.example/a", false)]
    #[case("layout:/", "quay.io/a/b", false)]
    fn registries(#[case] grant: &str, #[case] name: &str, #[case] allowed: bool) {
        let reference: Reference = name.parse().expect("a reference");
        let grants = Grants::parse(&[grant]).expect("a grant");
        assert_eq!(grants.allows(&Access::Registry(&reference)), allowed);
    }

    #[rstest]
    #[case("http:example.com", "https://example.com/x?y", true)]
    #[case("http:example.com", "http://example.com/x", false)]
    #[case("http:http://example.com", "http://example.com/x", true)]
    #[case("http:http://example.com:8080", "http://example.com:8080/", true)]
    #[case("http:http://example.com:8080", "http://example.com/", false)]
    #[case("http:example.com", "https://example.com:8443/", false)]
    #[case("http:*.example.com", "https://a.b.example.com/", true)]
    #[case("http:*.example.com", "https://example.com/", false)]
    #[case("http:*.example.com", "https://evilexample.com/", false)]
    #[case("http:example.com", "https://example.com@evil.example/", false)]
    #[case("http:http://[::1]:5000", "http://[::1]:5000/v2", true)]
    #[case("http:https://*", "https://anything.example:8443/x", true)]
    #[case("http:https://*", "http://anything.example/x", false)]
    #[case("http:http://*", "http://127.0.0.1:5000/x", true)]
    fn urls(#[case] grant: &str, #[case] url: &str, #[case] allowed: bool) {
        let url: Url = url.parse().expect("a URL");
        assert_eq!(Grants::parse(&[grant]).expect("a grant").allows(&Access::Http(&url)), allowed);
    }

    #[rstest]
    #[case("network", "valid are `registry`")]
    #[case("http", "say which host")]
    #[case("http:*", "say which host")]
    #[case("http:ftp://x", "`ftp` is no scheme")]
    #[case("http:a/b", "expected a host")]
    #[case("layout", "say which directory")]
    #[case("layout:", "nothing after the colon")]
    #[case("credential", "say which name")]
    #[case("state:x", "takes no argument")]
    fn bad_grants(#[case] grant: &str, #[case] reason: &str) {
        let error = Grants::parse(&[grant]).expect_err("invalid").to_string();
        assert!(error.contains(reason), "{error}");
    }

    #[test]
    fn a_link_out_of_a_granted_directory_leads_nowhere() {
        let dir = tempfile::tempdir().expect("a directory");
        let (inside, outside) = (dir.path().join("in"), dir.path().join("out"));
        std::fs::create_dir_all(inside.join("x")).expect("made");
        std::fs::create_dir_all(&outside).expect("made");
        std::os::unix::fs::symlink(&outside, inside.join("link")).expect("made");
        let grants = Grants::parse(&[format!("layout:{}", inside.display())]).expect("a grant");
        let allowed = |path: &str| grants.allows(&Access::Layout(&inside.join(path)));
        assert!(allowed("x") && allowed("") && allowed("not/there"));
        assert!(!allowed("link") && !allowed("../out") && !allowed("not/../../out") && !allowed("link/new"));
    }

    #[test]
    fn both_sides_must_agree() {
        let url = "https://example.com/".parse().expect("a URL");
        let permissions = |wanted: &[&str], granted: &[&str]| Permissions {
            plugin: "mine".to_owned(),
            wanted: Grants::wishes(wanted).expect("wishes"),
            granted: Grants::parse(granted).expect("grants"),
        };
        let access = Access::Http(&url);
        assert!(permissions(&["http"], &["http:example.com"]).allow(&access));
        let refused = permissions(&["http"], &[]).check(&access).expect_err("not granted");
        assert!(
            refused.contains("add `- http:https://example.com` to `grants` of plugin `mine`"),
            "{refused}"
        );
        let mut elsewhere = permissions(&["http"], &[]);
        elsewhere.granted = elsewhere.granted.written_at("isc.yaml:14".to_owned());
        let remedy = elsewhere.remedy(&access).expect("there is one");
        assert!(remedy.ends_with("of plugin `mine` (isc.yaml:14)"), "{remedy}");
        let refused = permissions(&[], &["http:example.com"]).check(&access).expect_err("not wanted");
        assert!(refused.contains("does not ask for"), "{refused}");
    }
}
