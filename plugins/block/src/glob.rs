//! [`Glob`]: patterns of names, as shells and `.gitignore` have them.

/// A pattern that must match a whole text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glob(Vec<Token>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    /// This character.
    Is(char),
    /// `?`: any character but `/`.
    One,
    /// `*`: any characters but `/`.
    Many,
    /// `**`: any characters.
    All,
}

impl Glob {
    /// Reads a pattern.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.chars().all(|c| matches!(c, '*' | '/')) {
            return Err(format!("`{text}` would refuse every image, or none"));
        }
        if let Some(sign) = text.chars().find(|c| matches!(c, '[' | ']' | '{' | '}' | '\\')) {
            return Err(format!(
                "`{text}`: `{sign}` has no meaning in a glob; `*`, `**` and `?` have; use `expression`"
            ));
        }
        let mut tokens = Vec::new();
        for sign in text.chars() {
            match (sign, tokens.last()) {
                ('*', Some(Token::Many | Token::All)) => {
                    tokens.pop();
                    tokens.push(Token::All);
                }
                ('*', _) => tokens.push(Token::Many),
                ('?', _) => tokens.push(Token::One),
                (sign, _) => tokens.push(Token::Is(sign)),
            }
        }
        Ok(Self(tokens))
    }

    /// Answers whether the pattern matches all of `text`.
    pub(crate) fn matches(&self, text: &str) -> bool {
        // Row by row: after each token, the set of places that can be reached. No backtracking, so no slow patterns.
        let text: Vec<char> = text.chars().collect();
        let mut reached = vec![false; text.len() + 1];
        reached[0] = true;
        for token in &self.0 {
            let mut next = vec![false; text.len() + 1];
            for place in 0..=text.len() {
                let before = place.checked_sub(1);
                let here = before.map(|b| text[b]);
                next[place] = match token {
                    Token::Is(sign) => before.is_some_and(|b| reached[b]) && here == Some(*sign),
                    Token::One => before.is_some_and(|b| reached[b]) && here != Some('/'),
                    Token::Many => reached[place] || (before.is_some_and(|b| next[b]) && here != Some('/')),
                    Token::All => reached[place] || before.is_some_and(|b| next[b]),
                };
            }
            reached = next;
        }
        reached[text.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("alpine", "alpine", true)]
    #[case("alpine", "alpine-tools", false)]
    #[case("alpine*", "alpine-tools", true)]
    #[case("quay.io/*", "quay.io/a", true)]
    #[case("quay.io/*", "quay.io/a/b", false)]
    #[case("quay.io/**", "quay.io/a/b", true)]
    #[case("**/alpine", "quay.io/a/alpine", true)]
    #[case("**/alpine:3.?", "quay.io/a/alpine:3.9", true)]
    #[case("**/alpine:3.?", "quay.io/a/alpine:3.10", false)]
    #[case("quay.io/?/b", "quay.io///b", false)]
    #[case("a*b*c", "aXbYbZc", true)]
    fn patterns(#[case] pattern: &str, #[case] text: &str, #[case] hits: bool) {
        assert_eq!(Glob::new(pattern).expect("valid").matches(text), hits);
    }

    #[test]
    fn no_pattern_is_slow() {
        let glob = Glob::new(&"a*".repeat(40)).expect("valid");
        assert!(!glob.matches(&("a".repeat(200) + "/")));
    }

    #[rstest]
    #[case("")]
    #[case("**")]
    #[case("*/*")]
    #[case("a[bc]")]
    #[case("a{b,c}")]
    fn refused(#[case] pattern: &str) {
        assert!(Glob::new(pattern).is_err());
    }
}
