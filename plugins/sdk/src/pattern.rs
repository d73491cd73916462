//! [`Pattern`]: a registry, a repository with all that is below it, or a name with stars in it.

use crate::reference::Source;
use crate::{ImageRequest, Problem, problem};

/// What names are held against: `quay.io`, `quay.io/team`, `*.example.com/base/*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Reads a pattern. The text says what is wrong with it.
    pub fn new(text: &str) -> Result<Self, String> {
        let text = text.strip_prefix("docker://").unwrap_or(text);
        let text = text.trim_end_matches('/');
        if text.is_empty() || text.bytes().all(|b| matches!(b, b'*' | b'/')) {
            return Err(format!("`{text}` would let every image pass, or none"));
        }
        if text.contains("://") {
            return Err(format!(
                "`{text}`: name a registry or repository, such as `quay.io/team`, without a scheme"
            ));
        }
        let is_odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '@' | '?' | '#' | '\\');
        if let Some(sign) = text.chars().find(|c| is_odd(*c)) {
            return Err(format!("`{text}`: `{}` is in no name of a repository", sign.escape_default()));
        }
        Ok(Self(text.to_owned()))
    }

    /// Reads the patterns of a setting, and adds a problem with this code for each that is none.
    pub fn all(texts: &[String], path: &str, code: &str, problems: &mut Vec<Problem>) -> Vec<Self> {
        let mut patterns = Vec::new();
        for (number, text) in texts.iter().enumerate() {
            match Self::new(text) {
                Ok(pattern) => patterns.push(pattern),
                Err(why) => problems.push(problem(format!("{path}[{number}]"), code, why)),
            }
        }
        patterns
    }

    /// Answers whether an image is meant, by the name that it is read by. One that this run has built is read from a
    /// directory, and meant by its own name.
    pub fn is_of(&self, request: &ImageRequest) -> bool {
        let name = |text: &str| match text.parse() {
            Ok(Source::Registry(reference)) => Some(reference.name()),
            _ => None,
        };
        name(&request.source).or_else(|| name(&request.origin)).is_some_and(|name| self.matches(&name))
    }

    /// Answers whether a repository, with its registry, is meant.
    pub fn matches(&self, name: &str) -> bool {
        match self.0.contains('*') {
            true => glob(self.0.as_bytes(), name.as_bytes()),
            false => name.strip_prefix(&self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        }
    }
}

/// Matches without going back further than to the last star, so that no pattern takes long.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match (pattern.get(p), star) {
            (Some(b'*'), _) => {
                star = Some((p, t));
                p += 1;
            }
            (Some(byte), _) if *byte == text[t] => {
                p += 1;
                t += 1;
            }
            (_, Some((at, from))) => {
                star = Some((at, from + 1));
                p = at + 1;
                t = from + 1;
            }
            (_, None) => return false,
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("quay.io", "quay.io/a/b", true)]
    #[case("quay.io/a", "quay.io/a", true)]
    #[case("quay.io/a/", "quay.io/a/b", true)]
    #[case("quay.io/a", "quay.io/ab", false)]
    #[case("docker://quay.io/a", "quay.io/a/b", true)]
    #[case("quay.io/*/base", "quay.io/x/y/base", true)]
    #[case("quay.io/*/base", "quay.io/base", false)]
    #[case("*.example.com/*", "a.example.com/b", true)]
    #[case("*.example.com/*", "example.com/b", false)]
    fn names(#[case] pattern: &str, #[case] name: &str, #[case] matches: bool) {
        assert_eq!(Pattern::new(pattern).expect("valid").matches(name), matches);
    }
}
