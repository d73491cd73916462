//! `WWW-Authenticate`: [`Challenge`]s, as RFC 9110 §11.6.1 writes them and servers get them nearly right.

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// One way to authenticate that a server offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    /// The scheme in lower case: `bearer`, `basic`.
    pub(super) scheme: String,
    pub(super) params: Vec<(String, String)>,
}

impl Challenge {
    /// Returns a parameter by its name in lower case.
    pub(super) fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Reads all challenges of an answer: several lines, and several on one line.
pub(super) fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|v| v.to_str().ok()).flat_map(parse).collect()
}

fn parse(line: &str) -> Vec<Challenge> {
    let mut found: Vec<Challenge> = Vec::new();
    let mut rest = Scanner(line);
    loop {
        rest.skip(|c| c == ',' || c.is_ascii_whitespace());
        let word = rest.take(is_token);
        if word.is_empty() {
            // Something that is no token: passed over up to the next comma, or the end.
            rest.skip(|c| c != ',');
            if rest.0.is_empty() {
                return found;
            }
            continue;
        }
        let before = rest.clone();
        rest.skip(|c| c.is_ascii_whitespace());
        if rest.eat('=') {
            rest.skip(|c| c.is_ascii_whitespace());
            let value = rest.value();
            if let Some(challenge) = found.last_mut() {
                challenge.params.push((word.to_ascii_lowercase(), value));
            }
            continue;
        }
        rest = before;
        rest.skip(|c| c.is_ascii_whitespace());
        rest.token68();
        found.push(Challenge { scheme: word.to_ascii_lowercase(), params: Vec::new() });
    }
}

#[derive(Clone)]
struct Scanner<'a>(&'a str);

impl<'a> Scanner<'a> {
    fn skip(&mut self, what: impl Fn(char) -> bool) {
        self.0 = self.0.trim_start_matches(what);
    }

    fn take(&mut self, what: impl Fn(char) -> bool) -> &'a str {
        let end = self.0.find(|c| !what(c)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }

    fn eat(&mut self, c: char) -> bool {
        let stripped = self.0.strip_prefix(c);
        self.0 = stripped.unwrap_or(self.0);
        stripped.is_some()
    }

    /// Reads a quoted string with its escapes, or a bare word.
    fn value(&mut self) -> String {
        if !self.eat('"') {
            return self.take(|c| c != ',' && !c.is_ascii_whitespace()).to_owned();
        }
        let mut value = String::new();
        let mut chars = self.0.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.0 = &self.0[at + 1..];
                    return value;
                }
                '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
                other => value.push(other),
            }
        }
        self.0 = "";
        value
    }

    /// Passes over credentials of the form `Negotiate YII...==`, which no parameter looks like.
    fn token68(&mut self) {
        let mut ahead = self.clone();
        let body = ahead.take(|c| c.is_ascii_alphanumeric() || "-._~+/".contains(c));
        ahead.take(|c| c == '=');
        ahead.skip(|c| c.is_ascii_whitespace());
        if !body.is_empty() && (ahead.0.is_empty() || ahead.0.starts_with(',')) {
            *self = ahead;
        }
    }
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn flat(line: &str) -> Vec<String> {
        parse(line)
            .into_iter()
            .map(|c| {
                let params: Vec<_> = c.params.iter().map(|(k, v)| format!("{k}={v}")).collect();
                format!("{} {}", c.scheme, params.join(" ")).trim().to_owned()
            })
            .collect()
    }

    #[rstest]
    #[case(
        r#"Bearer realm="https://a/token",service="reg",scope="repository:x:pull,push""#,
        &["bearer realm=https://a/token service=reg scope=repository:x:pull,push"]
    )]
    #[case(r#"BASIC realm="Sonatype Nexus""#, &["basic realm=Sonatype Nexus"])]
    #[case(r#"Basic realm="a, b", Bearer realm="c""#, &["basic realm=a, b", "bearer realm=c"])]
    #[case(r#"Negotiate, Basic realm="x""#, &["negotiate", "basic realm=x"])]
    #[case(r#"Negotiate YIIabc+/==, Basic realm="x""#, &["negotiate", "basic realm=x"])]
    #[case(r#"Bearer realm = "a" , Service=b"#, &["bearer realm=a service=b"])]
    #[case(r#"Bearer realm="a\"b\\c",error="invalid_token""#, &[r#"bearer realm=a"b\c error=invalid_token"#])]
    #[case(r#"Bearer realm=https://a/t,service=b"#, &["bearer realm=https://a/t service=b"])]
    #[case(r#", ,Basic"#, &["basic"])]
    #[case(r#"Bearer realm="unterminated"#, &["bearer realm=unterminated"])]
    #[case(r#""" = , Basic realm=x"#, &["basic realm=x"])]
    #[case("", &[])]
    fn lines(#[case] line: &str, #[case] expected: &[&str]) {
        assert_eq!(flat(line), expected);
    }

    #[test]
    fn repeated_headers_are_all_read() {
        let mut headers = HeaderMap::new();
        headers.append(WWW_AUTHENTICATE, "Negotiate".parse().unwrap());
        headers.append(WWW_AUTHENTICATE, r#"Bearer realm="r""#.parse().unwrap());
        let found = challenges(&headers);
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].param("realm"), Some("r"));
        assert_eq!(found[1].param("service"), None);
    }
}
