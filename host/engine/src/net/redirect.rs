//! The rules of redirects: [`next_hop`] says where one leads, [`same_origin`] whether credentials may go along.

use reqwest::header::{HeaderMap, LOCATION};
use url::Url;

use super::address::check_literal;
use super::{NetError, NetErrorKind};

/// How many redirects are followed for one request.
pub const MAX_HOPS: usize = 10;

/// The longest URL that is taken from an answer, in bytes. Those that stores of objects sign have about two thousand.
pub const MAX_URL_BYTES: usize = 16 << 10;

/// Answers whether two URLs have the same scheme, host and port. Credentials for one are sent to no other.
pub fn same_origin(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme() && a.host() == b.host() && a.port_or_known_default() == b.port_or_known_default()
}

/// Reads a `Location`, absolute or relative to the URL that was asked for. User information in it is dropped.
pub fn location(from: &Url, headers: &HeaderMap) -> Result<Url, NetError> {
    let refuse = |reason: &str| NetError::new(from, NetErrorKind::Redirect(reason.to_owned()));
    let value = headers.get(LOCATION).ok_or_else(|| refuse("the answer has no `Location`"))?;
    let text = value.to_str().map_err(|_| refuse("the `Location` of the answer is not text"))?;
    if text.len() > MAX_URL_BYTES {
        return Err(refuse("the `Location` of the answer is longer than any URL has to be"));
    }
    let mut url = from.join(text).map_err(|_| refuse("the `Location` of the answer is not a URL"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(refuse("the `Location` of the answer is not an HTTP URL"));
    }
    url.set_fragment(None);
    // What is escaped in it takes three times as much.
    if url.as_str().len() > MAX_URL_BYTES {
        return Err(refuse("the `Location` of the answer is longer than any URL has to be"));
    }
    // Neither can fail for an HTTP URL with a host.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Ok(url)
}

/// Returns where a redirect leads, or why it is not followed: to a forbidden address, or from HTTPS to HTTP.
pub fn next_hop(from: &Url, headers: &HeaderMap, allow_plain: bool) -> Result<Url, NetError> {
    let url = location(from, headers)?;
    if from.scheme() == "https" && url.scheme() == "http" && !allow_plain {
        return Err(NetError::new(
            from,
            NetErrorKind::Redirect(format!("redirects from HTTPS to plain HTTP at `{}`", super::shown(&url))),
        ));
    }
    if url.host() != from.host() {
        check_literal(&url).map_err(|e| NetError::new(from, NetErrorKind::Forbidden(e.to_string())))?;
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn hop(from: &str, to: &str) -> Result<String, NetError> {
        let headers = HeaderMap::from_iter([(LOCATION, to.parse().unwrap())]);
        next_hop(&Url::parse(from).unwrap(), &headers, false).map(String::from)
    }

    #[rstest]
    #[case(
        "https://a/v2/x/blobs/uploads/",
        "/v2/x/blobs/uploads/1?_s=a",
        "https://a/v2/x/blobs/uploads/1?_s=a"
    )]
    #[case("https://a/v2/x/blobs/uploads/", "1?_s=a%3D", "https://a/v2/x/blobs/uploads/1?_s=a%3D")]
    #[case("https://a/v2/x/blobs/uploads/1?q=1", "?q=2", "https://a/v2/x/blobs/uploads/1?q=2")]
    #[case("https://a/b", "//c/d", "https://c/d")]
    #[case("https://a/b", "https://u:p@c/d#x", "https://c/d")]
    #[case("http://a/b", "https://a/b", "https://a/b")]
    fn followed(#[case] from: &str, #[case] to: &str, #[case] expected: &str) {
        assert_eq!(hop(from, to).unwrap(), expected);
    }

    #[rstest]
    #[case("https://a/b", "http://a/b")]
    #[case("https://a/b", "http://169.254.169.254/latest/meta-data")]
    #[case("http://a/b", "http://[fe80::1]/")]
    #[case("http://a/b", "file:///etc/passwd")]
    #[case("http://a/b", "http://")]
    fn refused(#[case] from: &str, #[case] to: &str) {
        assert!(hop(from, to).is_err());
    }

    #[test]
    fn a_url_has_a_longest() {
        let of =
            |len: usize| hop("https://a/b", &format!("https://a/{}", "x".repeat(len - "https://a/".len())));
        of(MAX_URL_BYTES).expect("as long as allowed");
        let error = of(MAX_URL_BYTES + 1).expect_err("too long").to_string();
        assert!(error.contains("longer than any URL has to be"), "{error}");
        assert!(hop("https://a/b", &"\u{22}".repeat(MAX_URL_BYTES / 2)).is_err(), "escaped it is too long");
    }

    #[rstest]
    #[case("https://a/x", "https://a:443/y", true)]
    #[case("https://a/x", "http://a/x", false)]
    #[case("https://a/x", "https://a:8443/x", false)]
    #[case("http://127.0.0.1:5000/", "http://localhost:5000/", false)]
    fn origins(#[case] a: &str, #[case] b: &str, #[case] same: bool) {
        assert_eq!(same_origin(&Url::parse(a).unwrap(), &Url::parse(b).unwrap()), same);
    }
}
