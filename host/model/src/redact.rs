//! Passwords in texts that people write: [`without_credentials`] takes them out, before a message repeats what was written.
//!
//! Nothing here takes credentials in addresses, but somebody may have written some, and logs and reports go far.

use std::borrow::Cow;
use std::ops::Range;

/// What stands in place of a password.
pub const REDACTED: &str = "[redacted]";

/// Returns a text without the passwords of the addresses in it: `user:[redacted]@host`.
///
/// What stands before the `@` of a digest is a name, and stays: `host/path:tag@sha256:…`, `host:5000/path@sha256:…`.
pub fn without_credentials(text: &str) -> Cow<'_, str> {
    let passwords: Vec<Range<usize>> = passwords(text).collect();
    if passwords.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut from = 0;
    for password in passwords {
        shown.push_str(&text[from..password.start]);
        shown.push_str(REDACTED);
        from = password.end;
    }
    shown.push_str(&text[from..]);
    Cow::Owned(shown)
}

/// Answers whether an address in a text has a password.
pub fn has_credentials(text: &str) -> bool {
    passwords(text).next().is_some()
}

/// Finds passwords: what is between the first `:` of an address and an `@` that no digest follows.
fn passwords(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut from = 0;
    text.match_indices('@').filter_map(move |(at, _)| {
        if at < from {
            return None;
        }
        let rest = &text[at + 1..];
        let is_digest = ["sha256:", "sha512:"].iter().any(|name| rest.starts_with(name));
        if is_digest || !rest.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '[' | '%' | '.' | '@'))
        {
            return None;
        }
        let is_outside = |c: char| c.is_whitespace() || matches!(c, '`' | '"' | '\'' | '<' | '>' | '(' | '=');
        let start = text[from..at].rfind(is_outside).map_or(from, |found| {
            from + found + text[from + found..].chars().next().map_or(0, char::len_utf8)
        });
        let address = text[start..at].find("://").map_or(start, |found| start + found + 3);
        let (user, password) = text[address..at].split_once(':')?;
        let port = password.split('/').next().unwrap_or_default();
        let is_port = password.contains('/') && !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        // An address in brackets has colons of its own.
        if user.contains('/') || user.starts_with('[') || is_port || password.is_empty() {
            return None;
        }
        // Another `@` belongs to the password, too, and is found again with all before it.
        let range = address + user.len() + 1..last_of(text, at);
        from = range.end;
        Some(range)
    })
}

/// Returns where the last `@` of an address is: passwords may have some in them.
fn last_of(text: &str, at: usize) -> usize {
    let end = text[at..]
        .find(|c: char| c.is_whitespace() || matches!(c, '/' | '`' | '"' | '\''))
        .map_or(text.len(), |e| at + e);
    text[at..end].rfind('@').map_or(at, |last| at + last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("user:hunter2@r.example/app:1", "user:[redacted]@r.example/app:1")]
    #[case("https://user:hunter2@r.example:5000/app", "https://user:[redacted]@r.example:5000/app")]
    #[case("docker://u:hunter2@[::1]:5000/x", "docker://u:[redacted]@[::1]:5000/x")]
    #[case("http://:hunter2@r.example", "http://:[redacted]@r.example")]
    #[case("`u:hunter2@r.example/a` is none: `hunt` is", "`u:[redacted]@r.example/a` is none: `hunt` is")]
    #[case("a u:hunter2@x.y and v:hunter2@z", "a u:[redacted]@x.y and v:[redacted]@z")]
    #[case("u:hunter2@hunter2@x.y/a", "u:[redacted]@x.y/a")]
    #[case("u:a@b@c@x.y/a", "u:[redacted]@x.y/a")]
    #[case("u:hunter/2@x.y/a", "u:[redacted]@x.y/a")]
    #[case("key=u:hunter2@x.y", "key=u:[redacted]@x.y")]
    fn passwords_are_taken_out(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(without_credentials(text), expected);
        assert!(has_credentials(text));
    }

    #[rstest]
    #[case("")]
    #[case("r.example:5000/app:v1")]
    #[case("r.example:5000/app@sha256:00")]
    #[case("r.example/app:v1@sha256:00")]
    #[case("app:v1@sha512:00")]
    #[case("r.example:5000/app@sha1:00")]
    #[case("cluster `admin@host:6443`")]
    #[case("https://user@r.example/app")]
    #[case("mail me@x.example: now")]
    #[case("[::1]@elsewhere.example")]
    #[case("ends with u:x@")]
    #[case("a: b @ c")]
    fn other_texts_stay(#[case] text: &str) {
        assert_eq!(without_credentials(text), text);
    }

    #[test]
    fn any_text_can_be_looked_at() {
        for text in ["ä:ö@ü", "@@@@", ":@a", "`ä:b@c@", "://@a:b@c", "a:b@\u{1f980}"] {
            let shown = without_credentials(text);
            assert_eq!(without_credentials(&shown), shown, "{text}");
        }
    }
}
