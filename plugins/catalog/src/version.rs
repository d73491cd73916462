//! [`Range`]: versions between a minimum and a maximum, as Masterminds/semver v3 understands them.

use std::fmt;

use semver::Version;

/// Versions from a minimum to a maximum, both included.
///
/// A pre-release is only in the range if the minimum or the maximum is one. A partial maximum covers all that
/// begins with it: `4.14` covers 4.14.9.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    min: Option<Bound>,
    max: Option<Bound>,
    prerelease: bool,
}

/// One end of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bound {
    text: String,
    version: Version,
    /// How many of major, minor and patch were given.
    parts: usize,
}

/// A text that is not a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionError {
    /// The text.
    pub text: String,
}

impl fmt::Display for VersionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a semantic version", self.text)
    }
}

impl std::error::Error for VersionError {}

/// Reads a complete version, `X.Y.Z[-pre][+build]`.
pub fn parse(text: &str) -> Option<Version> {
    Version::parse(text).ok()
}

impl Range {
    /// Makes a range; none without a minimum and a maximum.
    pub fn new(min: Option<&str>, max: Option<&str>) -> Result<Option<Self>, VersionError> {
        let read = |end: Option<&str>| end.filter(|text| !text.is_empty()).map(Bound::parse).transpose();
        let (min, max) = (read(min)?, read(max)?);
        if min.is_none() && max.is_none() {
            return Ok(None);
        }
        let prerelease = [&min, &max].into_iter().flatten().any(|bound| !bound.version.pre.is_empty());
        Ok(Some(Self { min, max, prerelease }))
    }

    /// Tells whether a version is in the range.
    pub fn matches(&self, version: &Version) -> bool {
        if !version.pre.is_empty() && !self.prerelease {
            return false;
        }
        let above = self.min.as_ref().is_none_or(|min| !self.below(min, version));
        above && self.max.as_ref().is_none_or(|max| max.covers(version))
    }

    /// Returns the range in which pre-releases count.
    pub(crate) fn with_prereleases(&self) -> Self {
        Self { prerelease: true, ..self.clone() }
    }

    fn below(&self, min: &Bound, version: &Version) -> bool {
        version.cmp_precedence(&min.version).is_lt()
    }

    /// Returns the versions next to the range, for somebody who missed all of them: up to two below, then two above.
    pub fn neighbours<'a>(&self, versions: impl IntoIterator<Item = &'a Version>) -> Vec<&'a Version> {
        let mut versions: Vec<_> = versions.into_iter().collect();
        versions.sort_by(|a, b| a.cmp_precedence(b));
        versions.dedup_by(|a, b| a.cmp_precedence(b).is_eq());
        let end = self.min.as_ref().or(self.max.as_ref());
        let split = versions.partition_point(|v| end.is_some_and(|end| self.below(end, v)));
        versions[split.saturating_sub(2)..(split + 2).min(versions.len())].to_vec()
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.min, &self.max) {
            (Some(min), Some(max)) => write!(f, ">={} <={}", min.text, max.text),
            (Some(min), None) => write!(f, ">={}", min.text),
            (None, Some(max)) => write!(f, "<={}", max.text),
            (None, None) => f.write_str("any"),
        }
    }
}

impl Bound {
    fn parse(text: &str) -> Result<Self, VersionError> {
        let error = || VersionError { text: text.to_owned() };
        let bare = text.trim();
        let bare = bare.strip_prefix('v').unwrap_or(bare);
        let (numbers, tail) = bare.split_at(bare.find(['-', '+']).unwrap_or(bare.len()));
        let mut given = Vec::new();
        let mut open = false;
        for part in numbers.split('.') {
            // `4.x` is another way to write `4`.
            open |= matches!(part, "x" | "X" | "*");
            match (open, part.bytes().all(|b| b.is_ascii_digit())) {
                (true, _) => {}
                (false, true) => given.push(part.parse::<u64>().map_err(|_| error())?),
                (false, false) => return Err(error()),
            }
        }
        if numbers.split('.').count() > 3 || given.is_empty() {
            return Err(error());
        }
        let number = |place: usize| given.get(place).copied().unwrap_or(0);
        let whole = format!("{}.{}.{}{tail}", number(0), number(1), number(2));
        let version = Version::parse(&whole).map_err(|_| error())?;
        Ok(Self { text: text.to_owned(), version, parts: given.len() })
    }

    /// Tells whether a version is not above this end.
    fn covers(&self, version: &Version) -> bool {
        let ours = [self.version.major, self.version.minor];
        let theirs = [version.major, version.minor];
        match self.parts {
            3.. => version.cmp_precedence(&self.version).is_le(),
            parts => theirs[..parts] <= ours[..parts],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn range(min: &str, max: &str) -> Range {
        Range::new(Some(min), Some(max)).expect("versions").expect("a range")
    }

    #[rstest]
    #[case("1.0.0", "2.0.0", "1.0.0", true)]
    #[case("1.0.0", "2.0.0", "2.0.0", true)]
    #[case("1.0.0", "2.0.0", "2.0.0+7", true)]
    #[case("1.0.0", "2.0.0", "2.0.1", false)]
    #[case("1.0.0", "", "9.0.0", true)]
    #[case("", "1.0.0", "0.9.9", true)]
    #[case("4.14.0", "", "4.14.0-202311021650", false)]
    #[case("4.14.0-0", "", "4.14.0-202311021650", true)]
    #[case("4.14.0-0", "4.15.0", "4.15.0-1", true)]
    #[case("1.0.0", "2.0.0-rc1", "1.5.0-alpha", true)]
    #[case("4.14", "4.14", "4.14.9", true)]
    #[case("4.14", "4.14", "4.15.0", false)]
    #[case("4.14", "4.14", "4.13.9", false)]
    #[case("v4", "v4", "4.99.1", true)]
    #[case("v4", "v4", "5.0.0", false)]
    #[case("", "4.14.x", "4.14.9", true)]
    #[case("3.0.0", "1.0.0", "2.0.0", false)]
    #[case("", "4", "3.99.0", true)]
    #[case("", "4.14", "3.99.0", true)]
    fn ranges(#[case] min: &str, #[case] max: &str, #[case] version: &str, #[case] expected: bool) {
        assert_eq!(range(min, max).matches(&parse(version).expect("a version")), expected);
    }

    #[rstest]
    #[case("")]
    #[case("4.14")]
    #[case("v4.14.0")]
    #[case("4.14.0.1")]
    #[case("04.1.0")]
    fn incomplete_versions(#[case] text: &str) {
        assert_eq!(parse(text), None);
    }

    #[rstest]
    #[case("a.b")]
    #[case("1.2.3.4")]
    #[case("1..2")]
    #[case(">=1.0.0")]
    #[case("x")]
    fn no_versions(#[case] text: &str) {
        assert_eq!(Range::new(Some(text), None), Err(VersionError { text: text.to_owned() }));
    }

    #[test]
    fn no_range() {
        assert_eq!(Range::new(Some(""), None), Ok(None));
        assert_eq!(range("1.0.0", "2.0.0").to_string(), ">=1.0.0 <=2.0.0");
    }

    #[test]
    fn neighbours_are_on_both_sides() {
        let versions = ["1.0.0", "5.0.0", "2.0.0", "4.0.0", "3.0.0"].map(|v| parse(v).expect("a version"));
        let near: Vec<_> =
            range("3.1.0", "3.2.0").neighbours(&versions).iter().map(|v| v.to_string()).collect();
        assert_eq!(near, ["2.0.0", "3.0.0", "4.0.0", "5.0.0"]);
    }
}
