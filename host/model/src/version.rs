//! Versions as releases, bundles and charts have them: [`Version`], [`Range`] between two of them, and [`Constraint`].
//!
//! Semantic versions 2.0, of which only the order matters here; what may be selected is decided by plugins.

mod constraint;

use std::cmp::Ordering;

pub use constraint::Constraint;

/// A version, for its order: `1.2.3`, `4.20.0-rc.1`, `1.2.3+build`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    numbers: [u64; 3],
    /// How many of the numbers were given.
    given: usize,
    pre: Vec<Identifier>,
}

/// A part of a pre-release. Numbers come before words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Identifier {
    Number(u64),
    Word(String),
}

impl Version {
    /// Reads a version, of which minor and patch may be missing; a leading `v` is forgiven. Nothing if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let text = text.split('+').next()?;
        let (numbers, pre) = text.split_once('-').map_or((text, None), |(numbers, pre)| (numbers, Some(pre)));
        let parsed: Vec<u64> = numbers.split('.').map(number).collect::<Option<_>>()?;
        if parsed.len() > 3 || (pre.is_some() && parsed.len() < 3) {
            return None;
        }
        let mut numbers = [0; 3];
        numbers[..parsed.len()].copy_from_slice(&parsed);
        let pre = pre.map_or(Some(Vec::new()), |pre| pre.split('.').map(identifier).collect())?;
        Some(Self { numbers, given: parsed.len(), pre })
    }
}

fn number(text: &str) -> Option<u64> {
    Some(text).filter(|t| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()
}

fn identifier(text: &str) -> Option<Identifier> {
    let good = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    good.then(|| number(text).map_or_else(|| Identifier::Word(text.to_owned()), Identifier::Number))
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        // A release comes after its pre-releases.
        let pre = match (self.pre.is_empty(), other.pre.is_empty()) {
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            _ => self.pre.cmp(&other.pre),
        };
        Some(self.numbers.cmp(&other.numbers).then(pre))
    }
}

/// Versions from a minimum to a maximum, both included; a missing end is open. `4.14` as a maximum has 4.14.9 in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Range {
    min: Option<Version>,
    max: Option<Version>,
}

impl Range {
    /// Makes a range. The error is the text that is no version.
    pub fn new<'a>(min: Option<&'a str>, max: Option<&'a str>) -> Result<Self, &'a str> {
        let read = |end: Option<&'a str>| match end.filter(|text| !text.is_empty()) {
            Some(text) => Version::parse(text).map(Some).ok_or(text),
            None => Ok(None),
        };
        Ok(Self { min: read(min)?, max: read(max)? })
    }

    /// Answers whether every version is in it.
    pub fn is_open(&self) -> bool {
        self.min.is_none() && self.max.is_none()
    }

    /// Answers whether a version is in it.
    pub fn has(&self, version: &Version) -> bool {
        let above = self.min.as_ref().is_none_or(|min| version >= min);
        above && self.max.as_ref().is_none_or(|max| version <= max || max.begins(version))
    }
}

impl Version {
    /// Answers whether another version begins with the numbers that are given of this one.
    fn begins(&self, other: &Self) -> bool {
        self.given < 3 && self.numbers[..self.given] == other.numbers[..self.given]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn order() {
        let texts =
            ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-rc.9", "1.0.0-rc.10", "1.0.0"];
        let texts = texts.into_iter().chain(["1.9.0", "1.10.0", "v2.0.0"]);
        let versions: Vec<Version> = texts.map(|t| Version::parse(t).expect("a version")).collect();
        assert!(versions.windows(2).all(|pair| pair[0] < pair[1]), "{versions:?}");
    }

    #[rstest]
    #[case("")]
    #[case("1..2")]
    #[case("1.2.3.4")]
    #[case("1.2-rc")]
    #[case("1.2.3-")]
    #[case("1.2.3-a_b")]
    #[case("stable")]
    #[case("99999999999999999999.0.0")]
    fn no_versions(#[case] text: &str) {
        assert_eq!(Version::parse(text), None);
    }

    #[rstest]
    #[case(Some("4.12.1"), Some("4.12.2"), &["4.12.1", "4.12.2"])]
    #[case(Some("4.12.2"), None, &["4.12.2", "4.12.10", "4.13.0"])]
    #[case(None, Some("4.12"), &["4.12.0", "4.12.1", "4.12.2", "4.12.10"])]
    #[case(None, None, &["4.12.0", "4.12.1", "4.12.2", "4.12.10", "4.13.0"])]
    fn ranges(#[case] min: Option<&str>, #[case] max: Option<&str>, #[case] expected: &[&str]) {
        let range = Range::new(min, max).expect("versions");
        let all = ["4.12.0", "4.12.1", "4.12.2", "4.12.10", "4.13.0"];
        let found: Vec<&str> =
            all.into_iter().filter(|v| range.has(&Version::parse(v).expect("a version"))).collect();
        assert_eq!(found, expected);
        assert_eq!(range.is_open(), min.is_none() && max.is_none());
    }

    #[test]
    fn a_range_of_no_versions() {
        assert_eq!(Range::new(Some("1.0.0"), Some("newest")), Err("newest"));
    }
}
