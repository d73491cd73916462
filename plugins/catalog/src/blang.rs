//! [`VersionRange`]: the ranges that OLM uses in `skipRange` and in requirements (blang/semver).

use semver::Version;

use crate::version::VersionError;

/// A range: alternatives, each of comparisons that all have to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionRange {
    alternatives: Vec<Vec<Comparison>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Comparison {
    operator: Operator,
    version: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Less,
    LessOrEqual,
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
}

impl VersionRange {
    /// Reads a range such as `>=1.0.0 <2.0.0 || 3.x`.
    pub fn parse(text: &str) -> Result<Self, VersionError> {
        let alternatives: Option<Vec<_>> = text.split("||").map(alternative).collect();
        match alternatives {
            Some(alternatives) => Ok(Self { alternatives }),
            None => Err(VersionError { text: text.to_owned() }),
        }
    }

    /// Reads the range of a requirement; an empty one is none, and leaves every version.
    pub fn optional(text: &str) -> Result<Option<Self>, VersionError> {
        if text.is_empty() { Ok(None) } else { Self::parse(text).map(Some) }
    }

    /// Tells whether a version is in the range.
    pub fn contains(&self, version: &Version) -> bool {
        self.alternatives.iter().any(|all| all.iter().all(|comparison| comparison.holds(version)))
    }
}

fn alternative(text: &str) -> Option<Vec<Comparison>> {
    let mut comparisons = Vec::new();
    let mut operator = String::new();
    for word in text.split_whitespace() {
        // Spaces may stand between an operator and its version.
        let start = word.find(|c: char| !"<>=!".contains(c)).unwrap_or(word.len());
        operator.push_str(&word[..start]);
        if start < word.len() {
            compare(&operator, &word[start..], &mut comparisons)?;
            operator.clear();
        }
    }
    (operator.is_empty() && !comparisons.is_empty()).then_some(comparisons)
}

fn compare(operator: &str, version: &str, comparisons: &mut Vec<Comparison>) -> Option<()> {
    use Operator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    let operator = match operator {
        "" | "=" | "==" => Equal,
        "!" | "!=" => NotEqual,
        "<" => Less,
        "<=" => LessOrEqual,
        ">" => Greater,
        ">=" => GreaterOrEqual,
        _ => return None,
    };
    let mut push = |operator, version| comparisons.push(Comparison { operator, version });
    let Some((low, high)) = wildcard(version) else {
        push(operator, Version::parse(version).ok()?);
        return Some(());
    };
    match operator {
        Less => push(Less, low),
        GreaterOrEqual => push(GreaterOrEqual, low),
        LessOrEqual => push(Less, high),
        Greater => push(GreaterOrEqual, high),
        Equal => {
            push(GreaterOrEqual, low);
            push(Less, high);
        }
        NotEqual => return None,
    }
    Some(())
}

/// Reads `1.x` or `1.2.x`: the first version in it, and the first above it.
fn wildcard(text: &str) -> Option<(Version, Version)> {
    let parts: Vec<&str> = text.split('.').collect();
    let number = |place: usize| parts.get(place)?.parse::<u64>().ok();
    let x = |place: usize| parts.get(place) == Some(&"x");
    match parts.len() {
        2 | 3 if x(1) => {
            Some((Version::new(number(0)?, 0, 0), Version::new(number(0)?.checked_add(1)?, 0, 0)))
        }
        3 if x(2) => {
            let (major, minor) = (number(0)?, number(1)?);
            Some((Version::new(major, minor, 0), Version::new(major, minor.checked_add(1)?, 0)))
        }
        _ => None,
    }
}

impl Comparison {
    fn holds(&self, version: &Version) -> bool {
        let order = version.cmp_precedence(&self.version);
        match self.operator {
            Operator::Less => order.is_lt(),
            Operator::LessOrEqual => order.is_le(),
            Operator::Equal => order.is_eq(),
            Operator::NotEqual => order.is_ne(),
            Operator::Greater => order.is_gt(),
            Operator::GreaterOrEqual => order.is_ge(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("<0.3.1", "0.3.0", true)]
    #[case("<0.3.1", "0.3.1", false)]
    #[case(">=1.0.0 <2.0.0", "1.9.9", true)]
    #[case(">=1.0.0 <2.0.0", "2.0.0", false)]
    #[case(">= 1.0.0   < 2.0.0", "1.0.0", true)]
    #[case("<1.0.0 || >=2.0.0", "1.5.0", false)]
    #[case("<1.0.0||>=2.0.0", "2.5.0", true)]
    #[case("1.2.3", "1.2.3+5", true)]
    #[case("!=1.2.3", "1.2.3", false)]
    #[case("!1.2.3", "1.2.4", true)]
    #[case(">=4.14.0-0 <4.15.0", "4.14.0-202311", true)]
    #[case("<4.15.0", "4.15.0-1", true)]
    #[case("1.x", "1.9.0", true)]
    #[case("1.2.x", "1.3.0", false)]
    #[case("<=1.2.x", "1.2.9", true)]
    fn ranges(#[case] range: &str, #[case] version: &str, #[case] expected: bool) {
        let range = VersionRange::parse(range).expect("a range");
        assert_eq!(range.contains(&Version::parse(version).expect("a version")), expected);
    }

    #[rstest]
    #[case("")]
    #[case("<")]
    #[case("1.0")]
    #[case("<>1.0.0")]
    #[case(">=1.0.0 ||")]
    #[case("~1.0.0")]
    fn no_ranges(#[case] text: &str) {
        assert!(VersionRange::parse(text).is_err());
    }
}
