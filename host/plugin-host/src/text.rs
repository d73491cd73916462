//! Text that guests hand over, on its way to people: [`clean`] makes it safe to show.

/// The longest message that is shown, in bytes.
pub(crate) const MESSAGE: usize = 8 << 10;

/// Returns the text as one line of at most `max` bytes that cannot move a terminal's cursor.
///
/// Control characters become spaces. Marks that change the direction of writing are dropped, as they can make a
/// line read differently from what it says.
pub(crate) fn clean(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max));
    for c in text.chars().filter(|c| !is_bidi(*c)) {
        let c = if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c };
        if out.len() + c.len_utf8() > max {
            out.push('…');
            break;
        }
        out.push(c);
    }
    out
}

fn is_bidi(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("plain, ünïcödé", "plain, ünïcödé")]
    #[case("two\nlines\r\x1b[31mred\x07", "two lines  [31mred ")]
    #[case("a\u{202e}b\u{2066}c\u{200f}", "abc")]
    #[case("12345678901234567890123", "12345678901234567890…")]
    #[case("1234567890123456789é", "1234567890123456789…")]
    fn cleans(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(clean(text, 20), expected);
    }
}
