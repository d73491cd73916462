//! Names of channels, `PREFIX-X.Y`.

/// A major and a minor version.
pub(crate) type Line = (u64, u64);

/// The prefixes of OpenShift's channels, most cautious first.
pub(crate) const PREFIXES: [&str; 4] = ["stable", "fast", "candidate", "eus"];

/// Splits a channel's name.
pub(crate) fn parse(name: &str) -> Option<(&str, Line)> {
    let (prefix, line) = name.rsplit_once('-')?;
    Some((prefix, parse_line(line)?))
}

/// Reads `X.Y`.
pub(crate) fn parse_line(text: &str) -> Option<Line> {
    let (major, minor) = text.split_once('.')?;
    let number = |text: &str| text.parse::<u64>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
    Some((number(major)?, number(minor)?))
}

/// Makes a channel's name.
pub(crate) fn name(prefix: &str, line: Line) -> String {
    format!("{prefix}-{}.{}", line.0, line.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("stable-4.14", Some(("stable", (4, 14))))]
    #[case("my-own-4.2", Some(("my-own", (4, 2))))]
    #[case("stable4.14", None)]
    #[case("stable-4", None)]
    #[case("stable-4.14.1", None)]
    #[case("stable-4.+1", None)]
    #[case("stable-", None)]
    fn names(#[case] text: &str, #[case] expected: Option<(&str, Line)>) {
        assert_eq!(parse(text), expected);
    }
}
