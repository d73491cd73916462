//! [`Version`]: the version of a release, compared as blang/semver does.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A version, `X.Y.Z[-pre][+build]`.
///
/// Build metadata is kept for display and takes no part in comparisons: `4.1.0+amd64` equals `4.1.0`.
#[derive(Clone)]
pub struct Version(semver::Version);

impl Version {
    /// Reads a complete version; the error says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        match semver::Version::parse(text) {
            Ok(version) => Ok(Self(version)),
            Err(error) => Err(format!("`{text}` is not a version like 4.14.1: {error}")),
        }
    }

    /// The first number.
    pub fn major(&self) -> u64 {
        self.0.major
    }

    /// The second number.
    pub fn minor(&self) -> u64 {
        self.0.minor
    }

    /// Tells whether the version is one of OKD's, which says so itself: `4.19.0-okd-scos.16`.
    pub fn is_okd(&self) -> bool {
        self.0.pre.as_str().split(['-', '.']).any(|part| part == "okd")
    }

    /// Tells whether this is the lower of two, and of equal ones the one with less build metadata.
    pub(crate) fn is_before(&self, other: &Self) -> bool {
        self.0 < other.0
    }

    /// The first two numbers, which name the version's channels.
    pub(crate) fn line(&self) -> (u64, u64) {
        (self.0.major, self.0.minor)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp_precedence(&other.0)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Version {}

impl Hash for Version {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.0.major, self.0.minor, self.0.patch, &self.0.pre).hash(state);
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn version(text: &str) -> Version {
        Version::parse(text).expect("a version")
    }

    #[rstest]
    #[case("4.1.0", "4.1.0", Ordering::Equal)]
    #[case("4.1.0+amd64", "4.1.0+s390x", Ordering::Equal)]
    #[case("4.1.0-rc.1", "4.1.0", Ordering::Less)]
    #[case("4.1.0-rc.10", "4.1.0-rc.9", Ordering::Greater)]
    #[case("4.1.0-9", "4.1.0-rc.0", Ordering::Less)]
    #[case("4.1.0-rc", "4.1.0-rc.0", Ordering::Less)]
    #[case("4.2.11-s390x", "4.2.11", Ordering::Less)]
    #[case("4.10.0", "4.9.99", Ordering::Greater)]
    fn order(#[case] left: &str, #[case] right: &str, #[case] expected: Ordering) {
        assert_eq!(version(left).cmp(&version(right)), expected);
        assert_eq!(version(left) == version(right), expected.is_eq());
    }

    #[rstest]
    #[case("")]
    #[case("4.14")]
    #[case("v4.14.1")]
    #[case("4.14.01")]
    #[case("4.14.1-")]
    #[case("4.14.1-01")]
    #[case("4.14.1+")]
    #[case(" 4.14.1")]
    #[case("4.14.99999999999999999999")]
    fn no_versions(#[case] text: &str) {
        assert!(Version::parse(text).expect_err("no version").starts_with(&format!("`{text}` is not")));
    }

    #[test]
    fn text_is_kept() {
        let json = serde_json::to_string(&version("4.0.0-5+amd64")).expect("JSON");
        assert_eq!(json, "\"4.0.0-5+amd64\"");
        assert_eq!(serde_json::from_str::<Version>(&json).expect("a version"), version("4.0.0-5"));
        assert!(serde_json::from_str::<Version>("\"4\"").is_err());
    }
}
