//! [`Constraint`]: what is wanted of a chart's version, as `Masterminds/semver` has it, which Helm uses.

use std::cmp::Ordering;

use super::Version;

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
    version: Version,
    /// How many of its parts are written and no wildcards.
    given: usize,
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
    /// Reads a constraint; an empty one wants any version. Nothing if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        text.split("||").map(alternative).collect::<Option<_>>().map(Self)
    }

    /// Answers whether a version satisfies it.
    pub fn admits(&self, version: &Version) -> bool {
        self.0.iter().any(|group| {
            (version.pre.is_empty() || group.names_early)
                && group.rules.iter().all(|rule| rule.admits(version))
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
        let (core, tail) = rest.split_at(rest.find(['-', '+']).unwrap_or(rest.len()));
        let parts: Vec<&str> = core.split('.').collect();
        if core.is_empty() || parts.len() > 3 {
            return None;
        }
        let is_wild = |part: &&str| matches!(*part, "x" | "X" | "*");
        let number = |at: usize| parts.get(at).filter(|part| !is_wild(part)).copied().unwrap_or("0");
        let version = Version::parse(&format!("{}.{}.{}{tail}", number(0), number(1), number(2)))?;
        let given = parts.iter().position(is_wild).unwrap_or(parts.len());
        Some(Self { operator, version, given })
    }

    fn admits(&self, version: &Version) -> bool {
        let Self { operator, version: wanted, given } = self;
        let order = version.partial_cmp(wanted).unwrap_or(Ordering::Equal);
        let same = |count: usize| version.numbers[..count] == wanted.numbers[..count];
        let begins = (version.numbers[..*given]).cmp(&wanted.numbers[..*given]);
        match operator {
            Operator::Equal if *given < 3 => same(*given) && order != Ordering::Less,
            Operator::Equal => order == Ordering::Equal,
            Operator::NotEqual if *given < 3 => *given > 0 && !same(*given),
            Operator::NotEqual => order != Ordering::Equal,
            Operator::Greater if *given < 3 => begins == Ordering::Greater,
            Operator::Greater => order == Ordering::Greater,
            Operator::Less => order == Ordering::Less,
            Operator::GreaterEqual => order != Ordering::Less,
            Operator::LessEqual if *given < 3 => begins != Ordering::Greater,
            Operator::LessEqual => order != Ordering::Greater,
            Operator::Tilde => same((*given).min(2)) && order != Ordering::Less,
            Operator::Caret => {
                // Up to the first number that is not 0.
                let fixed = wanted.numbers.iter().position(|number| *number > 0).map_or(3, |at| at + 1);
                same(fixed.min(*given)) && order != Ordering::Less
            }
        }
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
    #[case("^0.0", "0.0.9", true)]
    #[case("^0.0", "0.1.0", false)]
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
    #[case("a")]
    #[case("1.2.3.4")]
    #[case("1..2")]
    #[case("=>=1")]
    #[case("1.2 -")]
    fn no_constraints(#[case] text: &str) {
        assert!(Constraint::parse(text).is_none());
    }
}
