//! [`Gate`]: who is let in. A [`Token`] is exchanged once for a cookie, and without one of them nothing is answered.
//!
//! The names in `Host` are checked, so that a page whose name was made to lead to this machine (DNS rebinding) gets nothing;
//! `Origin` is, so that no other page can send anything here.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use axum::http::{HeaderMap, Method, Uri, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

/// 128 random bits, as text that needs no escaping in an address.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Zeroizing<String>);

impl Token {
    /// Makes one; nothing where the system has no randomness.
    pub fn new() -> Option<Self> {
        let mut bytes = Zeroizing::new([0; 16]);
        SystemRandom::new().fill(bytes.as_mut()).ok()?;
        Some(Self(Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes))))
    }

    /// Returns the text, which is a secret.
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// Compares in a time that does not depend on where the two differ.
    fn is(&self, other: &str) -> bool {
        let differing = self.0.bytes().zip(other.bytes()).fold(0, |found, (a, b)| found | (a ^ b));
        self.0.len() == other.len() && std::hint::black_box(differing) == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Decides about requests.
#[derive(Debug)]
pub(crate) struct Gate {
    port: u16,
    /// Nothing once it was used.
    token: Mutex<Option<Token>>,
    session: Token,
}

/// Somebody is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admitted {
    /// By the cookie.
    Known,
    /// By the token, which is used up now.
    New,
}

/// Why somebody is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The request is for another name than those of the loopback interface.
    Host,
    /// It comes from another page.
    Origin,
    /// It has neither token nor cookie.
    Stranger,
}

impl Refused {
    /// Returns what to say.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Host => "This address is not served.\n",
            Self::Origin => "Another page sent this request.\n",
            Self::Stranger => {
                "Open the address that oc-mirror browse printed. It can be used once, and by one browser: \
                 start the command again for a new one.\n"
            }
        }
    }
}

impl Gate {
    /// Lets in whoever comes to this port with the token.
    pub(crate) fn new(port: u16, token: Token, session: Token) -> Self {
        Self { port, token: Mutex::new(Some(token)), session }
    }

    /// Decides about a request.
    pub(crate) fn admit(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Admitted, Refused> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let names = ["127.0.0.1", "localhost"].map(|name| format!("{name}:{}", self.port));
        let host = text(header::HOST).filter(|host| names.iter().any(|name| name == host));
        let host = host.ok_or(Refused::Host)?;
        match text(header::ORIGIN) {
            Some(origin) if origin == format!("http://{host}") => {}
            // Browsers send it with everything that changes something.
            None if method == Method::GET && !headers.contains_key(header::ORIGIN) => {}
            _ => return Err(Refused::Origin),
        }
        if self.has_cookie(headers) {
            return Ok(Admitted::Known);
        }
        if method == Method::GET && uri.path() == "/" && self.takes(uri.query().unwrap_or_default()) {
            return Ok(Admitted::New);
        }
        Err(Refused::Stranger)
    }

    /// Returns the cookie for who is let in. Browsers keep cookies of all ports of a host together, so the port is in its name.
    pub(crate) fn cookie(&self) -> String {
        format!("{}={}; Path=/; HttpOnly; SameSite=Strict", self.name(), self.session.secret())
    }

    fn name(&self) -> String {
        format!("oc-mirror-{}", self.port)
    }

    fn has_cookie(&self, headers: &HeaderMap) -> bool {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let name = self.name();
        cookies.flat_map(|line| line.split(';')).any(|cookie| {
            let found = cookie.trim().split_once('=');
            found.is_some_and(|(found, value)| found == name && self.session.is(value))
        })
    }

    /// Takes the token, if it is there and was not used.
    fn takes(&self, query: &str) -> bool {
        let Some(shown) = query.split('&').find_map(|pair| pair.strip_prefix("token=")) else { return false };
        let mut token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        let is_right = token.as_ref().is_some_and(|token| token.is(shown));
        if is_right {
            *token = None;
        }
        is_right
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn gate() -> Gate {
        let token = |text: &str| Token(Zeroizing::new(text.to_owned()));
        Gate::new(7000, token("right"), token("session"))
    }

    fn ask(gate: &Gate, method: &str, uri: &str, headers: &[(&str, &str)]) -> Result<Admitted, Refused> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: header::HeaderName = name.parse().expect("a name");
            map.append(name, value.parse().expect("a value"));
        }
        gate.admit(&method.parse().expect("a method"), &uri.parse().expect("an address"), &map)
    }

    const HOST: (&str, &str) = ("host", "127.0.0.1:7000");
    const COOKIE: (&str, &str) = ("cookie", "a=b; oc-mirror-7000=session");
    const ORIGIN: (&str, &str) = ("origin", "http://127.0.0.1:7000");

    #[rstest]
    #[case("GET", "/api/state", &[HOST, COOKIE], Ok(Admitted::Known))]
    #[case("GET", "/x", &[("host", "localhost:7000"), COOKIE], Ok(Admitted::Known))]
    #[case("POST", "/api/lint", &[HOST, COOKIE, ORIGIN], Ok(Admitted::Known))]
    #[case("GET", "/?token=right", &[HOST], Ok(Admitted::New))]
    #[case("GET", "/?token=wrong", &[HOST], Err(Refused::Stranger))]
    #[case("GET", "/?token=righ", &[HOST], Err(Refused::Stranger))]
    #[case("GET", "/?token=", &[HOST], Err(Refused::Stranger))]
    #[case("HEAD", "/?token=right", &[HOST, ORIGIN], Err(Refused::Stranger))]
    #[case("GET", "/app.js?token=right", &[HOST], Err(Refused::Stranger))]
    #[case("GET", "/app.js", &[HOST], Err(Refused::Stranger))]
    #[case("GET", "/", &[HOST, ("cookie", "oc-mirror-7001=session")], Err(Refused::Stranger))]
    #[case("GET", "/", &[HOST, ("cookie", "oc-mirror-7000=")], Err(Refused::Stranger))]
    #[case("GET", "/", &[("host", "evil.example:7000"), COOKIE], Err(Refused::Host))]
    #[case("GET", "/", &[("host", "127.0.0.1"), COOKIE], Err(Refused::Host))]
    #[case("GET", "/", &[COOKIE], Err(Refused::Host))]
    #[case("POST", "/api/lint", &[HOST, COOKIE], Err(Refused::Origin))]
    #[case("POST", "/api/lint", &[HOST, COOKIE, ("origin", "http://evil.example")], Err(Refused::Origin))]
    #[case("POST", "/api/lint", &[HOST, COOKIE, ("origin", "http://localhost:7000")], Err(Refused::Origin))]
    #[case("POST", "/api/lint", &[HOST, COOKIE, ("origin", "null")], Err(Refused::Origin))]
    #[case("GET", "/api/state", &[HOST, COOKIE, ("origin", "http://evil.example")], Err(Refused::Origin))]
    fn requests(
        #[case] method: &str,
        #[case] uri: &str,
        #[case] headers: &[(&str, &str)],
        #[case] expected: Result<Admitted, Refused>,
    ) {
        assert_eq!(ask(&gate(), method, uri, headers), expected);
    }

    #[test]
    fn a_token_is_used_once() {
        let gate = gate();
        assert_eq!(ask(&gate, "GET", "/?token=right", &[HOST]), Ok(Admitted::New));
        assert_eq!(ask(&gate, "GET", "/?token=right", &[HOST]), Err(Refused::Stranger));
        assert_eq!(ask(&gate, "GET", "/?token=right", &[HOST, COOKIE]), Ok(Admitted::Known));
    }

    #[test]
    fn tokens_have_128_bits_and_are_not_shown() {
        let (one, other) = (Token::new().expect("randomness"), Token::new().expect("randomness"));
        assert_eq!(URL_SAFE_NO_PAD.decode(one.secret()).map(|bytes| bytes.len()), Ok(16));
        assert!(one != other && !format!("{one:?}").contains(one.secret()));
    }
}
