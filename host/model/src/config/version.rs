//! Versions as configurations write them: [`Version`], only as far as telling one from another thing and from a lower one.

/// A version: up to three numbers, and what follows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    numbers: [u64; 3],
    /// How many of the numbers were written.
    written: usize,
}

impl Version {
    /// Reads a semantic version, and as oc-mirror v2 does, also `v1.2.3`, `1.2` and `1`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let (text, build) = match text.split_once('+') {
            Some((text, build)) => (text, Some(build)),
            None => (text, None),
        };
        let (core, prerelease) = match text.split_once('-') {
            Some((core, prerelease)) => (core, Some(prerelease)),
            None => (text, None),
        };
        if ![prerelease, build].into_iter().flatten().all(is_suffix) {
            return None;
        }
        let mut numbers = [0; 3];
        let mut written = 0;
        for part in core.split('.') {
            if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            *numbers.get_mut(written)? = part.parse().ok()?;
            written += 1;
        }
        Some(Self { numbers, written })
    }

    /// Answers whether all three numbers were written.
    pub(super) fn is_complete(self) -> bool {
        self.written == 3
    }

    /// Answers whether the numbers of this version are above those of another.
    ///
    /// What stands behind `-` is not looked at: it does not decide whether a range was meant.
    pub(super) fn is_above(self, other: Version) -> bool {
        self.numbers > other.numbers
    }
}

/// Letters, digits and `-`, in parts that are joined by dots.
fn is_suffix(text: &str) -> bool {
    text.split('.')
        .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("4.18.0", Some(true))]
    #[case("v1.2.3-rc.1+x", Some(true))]
    #[case("1.7.4+0.1657725339.p", Some(true))]
    #[case("4.18.0-202511181540", Some(true))]
    #[case("4.18", Some(false))]
    #[case("4", Some(false))]
    #[case("", None)]
    #[case("4.", None)]
    #[case("4.18.x", None)]
    #[case("1.2.3.4", None)]
    #[case("1.2.3-", None)]
    #[case("latest", None)]
    #[case("99999999999999999999.0.0", None)]
    fn versions(#[case] text: &str, #[case] complete: Option<bool>) {
        assert_eq!(Version::parse(text).map(Version::is_complete), complete);
    }

    #[test]
    fn order() {
        let version = |text| Version::parse(text).expect("valid");
        assert!(version("4.10.0").is_above(version("4.9.9")));
        assert!(!version("1.0.0-1").is_above(version("1.0.0-2")));
    }
}
