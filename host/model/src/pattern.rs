//! [`matches`]: texts with stars in them.

/// Answers whether a text is meant by a pattern in which `*` stands for anything, `/` and nothing at all included.
///
/// It never goes back further than to the last star, so no pattern takes long.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
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
    #[case("", "", true)]
    #[case("", "a", false)]
    #[case("*", "", true)]
    #[case("a*c", "abbc", true)]
    #[case("a*c", "abcd", false)]
    #[case("*.example.com/*", "a.example.com/b/c", true)]
    #[case("*.example.com/*", "example.com/b", false)]
    #[case("*ab*ab", "abxabab", true)]
    #[case("*ab*ab", "xab", false)]
    fn stars(#[case] pattern: &str, #[case] text: &str, #[case] expected: bool) {
        assert_eq!(matches(pattern, text), expected);
    }

    #[test]
    fn none_takes_long() {
        let (pattern, text) = ("*a".repeat(2000), "a".repeat(1999));
        assert!(!matches(&pattern, &text));
    }
}
