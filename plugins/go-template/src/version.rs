//! Versions and what is wanted of them, as `Masterminds/semver` has them: [`Version`] and [`Constraint`].

use std::cmp::Ordering;
use std::fmt;

/// A version. Parts that are missing are 0, and a `v` may stand before it.
#[derive(Clone, Debug)]
pub struct Version {
    /// Without what was missing or superfluous.
    pub parsed: semver::Version,
    /// As it was written.
    pub original: String,
}

impl Version {
    /// Reads a version.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix('v').unwrap_or(text);
        let end = rest.find(['-', '+']).unwrap_or(rest.len());
        let (core, tail) = rest.split_at(end);
        let parts: Vec<&str> = core.split('.').collect();
        let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if parts.len() > 3 || !parts.iter().all(is_number) {
            return None;
        }
        let number = |at: usize| match parts.get(at) {
            Some(part) => part.parse::<u64>().ok(),
            None => Some(0),
        };
        let text_of = format!("{}.{}.{}{tail}", number(0)?, number(1)?, number(2)?);
        Some(Self { parsed: semver::Version::parse(&text_of).ok()?, original: text.to_owned() })
    }

    /// Compares as versions are compared: what stands behind a `+` does not count.
    pub fn compare(&self, other: &Self) -> Ordering {
        self.parsed.cmp_precedence(&other.parsed)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parsed.fmt(f)
    }
}

/// What is wanted of a version: `>=1.19-0 <2`, `^1.2 || ~3`, `1.x`, `1.2 - 1.4`.
#[derive(Clone, Debug)]
pub struct Constraint(Vec<Group>);

/// Rules that all have to hold.
#[derive(Clone, Debug)]
struct Group {
    rules: Vec<Rule>,
    /// Whether one of them names a version before a release: nobody else wants such.
    names_early: bool,
}

#[derive(Clone, Debug)]
struct Rule {
    operator: Operator,
    version: semver::Version,
    /// Which of the parts are wildcards or were not written.
    any_minor: bool,
    any_patch: bool,
    any: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterEqual,
    LessEqual,
    Tilde,
    Caret,
}

impl Constraint {
    /// Reads a constraint. An empty one wants any version.
    pub fn parse(text: &str) -> Option<Self> {
        let alternatives = text.split("||").map(alternative);
        alternatives.collect::<Option<_>>().map(Self)
    }

    /// Answers whether a version satisfies it.
    pub fn admits(&self, version: &Version) -> bool {
        self.0.iter().any(|group| {
            (version.parsed.pre.is_empty() || group.names_early)
                && group.rules.iter().all(|rule| rule.admits(&version.parsed))
        })
    }
}

fn alternative(text: &str) -> Option<Group> {
    let mut rules = Vec::new();
    let text = text.replace(',', " ");
    let mut words = text.split_whitespace().peekable();
    while let Some(word) = words.next() {
        // An operator may stand apart from its version.
        let mut word = word.to_owned();
        if word.trim_start_matches(['=', '!', '<', '>', '~', '^']).is_empty() {
            word.push_str(words.next()?);
        }
        if words.peek() == Some(&"-") {
            words.next();
            rules.push(Rule::parse(&format!(">={word}"))?);
            rules.push(Rule::parse(&format!("<={}", words.next()?))?);
            continue;
        }
        rules.push(Rule::parse(&word)?);
    }
    if rules.is_empty() {
        rules.push(Rule::parse("*")?);
    }
    let names_early = rules.iter().any(|rule| !rule.version.pre.is_empty());
    Some(Group { rules, names_early })
}

impl Rule {
    fn parse(text: &str) -> Option<Self> {
        let end = text.find(|c: char| !"=!<>~^".contains(c)).unwrap_or(text.len());
        let (operator, rest) = text.split_at(end);
        let operator = match operator {
            "" | "=" | "==" => Operator::Equal,
            "!=" => Operator::NotEqual,
            ">" => Operator::Greater,
            "<" => Operator::Less,
            ">=" | "=>" => Operator::GreaterEqual,
            "<=" | "=<" => Operator::LessEqual,
            "~" | "~>" => Operator::Tilde,
            "^" => Operator::Caret,
            _ => return None,
        };
        let rest = rest.strip_prefix('v').unwrap_or(rest);
        let end = rest.find(['-', '+']).unwrap_or(rest.len());
        let (core, tail) = rest.split_at(end);
        let parts: Vec<&str> = core.split('.').collect();
        if core.is_empty() || parts.len() > 3 {
            return None;
        }
        let wild = |at: usize| parts.get(at).is_none_or(|part| matches!(*part, "x" | "X" | "*"));
        let number = |at: usize| if wild(at) { Some(0) } else { parts[at].parse::<u64>().ok() };
        let any = wild(0);
        let (any_minor, any_patch) = (any || wild(1), any || wild(1) || wild(2));
        let version = format!("{}.{}.{}{tail}", number(0)?, number(1)?, number(2)?);
        let version = semver::Version::parse(&version).ok()?;
        Some(Self { operator, version, any_minor, any_patch, any })
    }

    fn admits(&self, version: &semver::Version) -> bool {
        let wanted = &self.version;
        let order = version.cmp_precedence(wanted);
        let same_major = version.major == wanted.major;
        let same_minor = same_major && version.minor == wanted.minor;
        match self.operator {
            Operator::Equal if self.any_patch => self.tilde(version, order),
            Operator::Equal => order == Ordering::Equal,
            Operator::NotEqual => match (self.any, self.any_minor, self.any_patch) {
                (true, ..) => false,
                (_, true, _) => !same_major,
                (_, _, true) => !same_minor,
                _ => order != Ordering::Equal,
            },
            Operator::Greater => match (self.any_minor, self.any_patch) {
                (true, _) => version.major > wanted.major,
                (_, true) => (version.major, version.minor) > (wanted.major, wanted.minor),
                _ => order == Ordering::Greater,
            },
            Operator::Less => order == Ordering::Less,
            Operator::GreaterEqual => order != Ordering::Less,
            Operator::LessEqual => match (self.any, self.any_minor, self.any_patch) {
                (true, ..) => true,
                (_, true, _) => version.major <= wanted.major,
                (_, _, true) => (version.major, version.minor) <= (wanted.major, wanted.minor),
                _ => order != Ordering::Greater,
            },
            Operator::Tilde => self.tilde(version, order),
            Operator::Caret => {
                if order == Ordering::Less {
                    return false;
                }
                match (wanted.major, wanted.minor) {
                    _ if self.any => true,
                    (1.., _) => same_major,
                    _ if self.any_minor => same_major,
                    (0, 1..) => same_minor,
                    _ if self.any_patch => same_minor,
                    _ => same_minor && version.patch == wanted.patch,
                }
            }
        }
    }

    fn tilde(&self, version: &semver::Version, order: Ordering) -> bool {
        let wanted = &self.version;
        order != Ordering::Less
            && (self.any
                || (version.major == wanted.major && (self.any_minor || version.minor == wanted.minor)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    // What `Masterminds/semver` answers.
    #[rstest]
    #[case(">=1.19-0", "v1.20.0", true)]
    #[case(">=1.19-0", "1.18.9", false)]
    #[case(">=1.19.0-0", "v1.27.3-eks-a5565ad", true)]
    #[case(">=1.19.0", "v1.27.3-eks-a5565ad", false)]
    #[case("<1.19-0", "1.18.0", true)]
    #[case("^1.2.3", "1.9.0", true)]
    #[case("^1.2.3", "2.0.0", false)]
    #[case("^0.2.3", "0.2.9", true)]
    #[case("^0.2.3", "0.3.0", false)]
    #[case("^0.0.3", "0.0.4", false)]
    #[case("^0", "0.9.0", true)]
    #[case("~1.2", "1.2.9", true)]
    #[case("~1.2", "1.3.0", false)]
    #[case("~1", "1.9.0", true)]
    #[case("1.x", "1.9.0", true)]
    #[case("1.2.x", "1.3.0", false)]
    #[case("*", "9.9.9", true)]
    #[case("1.2", "1.2.7", true)]
    #[case("1.2.3", "1.2.3", true)]
    #[case("=1.2.3", "1.2.4", false)]
    #[case("!=1.2.3", "1.2.4", true)]
    #[case("!=1.x", "1.2.4", false)]
    #[case("> 1.2", "1.2.5", false)]
    #[case("> 1.2", "1.3.0", true)]
    #[case("<=1.2", "1.2.5", true)]
    #[case("1.2 - 1.4.5", "1.4.5", true)]
    #[case("1.2 - 1.4.5", "1.4.6", false)]
    #[case(">=1.2, <3.0.0 || >= 4.2.3", "4.2.3", true)]
    #[case(">=1.2 <3.0.0 || >= 4.2.3", "3.1.0", false)]
    #[case(">=1.0.0", "1.0.0+meta", true)]
    #[case(">=2.0.0-0, <11", "2.0.0-rc.1", true)]
    #[case("", "1.2.3", true)]
    fn constraints(#[case] constraint: &str, #[case] version: &str, #[case] admits: bool) {
        let constraint = Constraint::parse(constraint).expect("a constraint");
        assert_eq!(constraint.admits(&Version::parse(version).expect("a version")), admits);
    }

    #[rstest]
    #[case("1", "1.0.0")]
    #[case("v1.2", "1.2.0")]
    #[case("1.2.3-rc.1+x", "1.2.3-rc.1+x")]
    #[case("01.2.3", "1.2.3")]
    fn versions(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(Version::parse(text).expect("a version").to_string(), expected);
    }

    #[rstest]
    #[case("a")]
    #[case("1.2.3.4")]
    #[case("1..2")]
    fn no_versions(#[case] text: &str) {
        assert!(Version::parse(text).is_none());
        assert!(Constraint::parse(text).is_none());
    }
}
