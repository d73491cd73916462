//! Regular expressions in the dialect that oc-mirror v2 takes (RE2 as in Go), on a small engine.
//!
//! `\d`, `\w`, `\s`, `\b` and `(?i)` know ASCII only, exactly as in RE2. `\Q…\E` is translated. Not supported, and
//! refused when the settings are checked: Unicode classes (`\pL`, `\p{Greek}`) and `\C`. References are ASCII.

use regex_lite::{Regex, RegexBuilder};

/// Keeps a hostile `a{1000}{1000}` from eating the plugin's memory.
const SIZE_LIMIT: usize = 1 << 20;

/// Compiles an expression.
pub(crate) fn compile(text: &str) -> Result<Regex, String> {
    if text.is_empty() {
        return Err("an empty expression would refuse every image".to_owned());
    }
    RegexBuilder::new(&without_quotes(text))
        .size_limit(SIZE_LIMIT)
        .build()
        .map_err(|e| format!("`{text}` is not a regular expression: {e}"))
}

/// Replaces `\Q…\E` by the escaped text; an open `\Q` reaches to the end.
fn without_quotes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(slash) = rest.find('\\') {
        let (before, escape) = rest.split_at(slash);
        out.push_str(before);
        match escape.strip_prefix("\\Q") {
            Some(quoted) => {
                let (literal, after) = quoted.split_once("\\E").unwrap_or((quoted, ""));
                out.push_str(&regex_lite::escape(literal));
                rest = after;
            }
            None => {
                let width = 1 + escape[1..].chars().next().map_or(0, char::len_utf8);
                out.push_str(&escape[..width]);
                rest = &escape[width..];
            }
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(".*alpine.*", "docker.io/library/alpine:3", true)]
    #[case("alpine", "quay.io/x/alpine-tools", true)]
    #[case("^alpine", "quay.io/x/alpine-tools", false)]
    #[case("^quay\\.io/[[:alpha:]]+/", "quay.io/x/alpine", true)]
    #[case("(?i)ALPINE", "alpine", true)]
    #[case("\\Qa.b\\E$", "x/a.b", true)]
    #[case("\\Qa.b\\E$", "x/acb", false)]
    #[case("\\\\Q", "x\\Qy", true)]
    #[case("\\Qa+", "a+", true)]
    #[case("a|b{2,3}$", "xbb", true)]
    #[case("\\d+\\.\\d+", "v1.2", true)]
    fn expressions(#[case] text: &str, #[case] reference: &str, #[case] hits: bool) {
        assert_eq!(compile(text).expect("valid").is_match(reference), hits);
    }

    #[rstest]
    #[case("", "every image")]
    #[case("(", "not a regular expression")]
    #[case("*", "not a regular expression")]
    #[case("\\pL", "not a regular expression")]
    #[case("(?=x)", "not a regular expression")]
    #[case("((a{999}){999}){999}", "not a regular expression")]
    fn refused(#[case] text: &str, #[case] reason: &str) {
        let error = compile(text).expect_err("invalid");
        assert!(error.contains(reason), "{error}");
    }
}
