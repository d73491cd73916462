//! What registries answer besides content: no text of theirs reaches a terminal as it is, and no address of theirs takes credentials away.

use std::time::Duration;

use http::header::{CONTENT_RANGE, LINK, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use oc_mirror_engine::net::redirect::{location, next_hop, same_origin};
use oc_mirror_engine::registry::RegistryAnswer;
use oc_mirror_engine::registry::fuzzing::{Challenge, Headers, MAX_URL, challenges, next_page};
use url::Url;

use crate::target::{Input, Target};

/// Challenges, links, redirects, ranges, limits of rates, and errors.
pub const ANSWERS: Target = Target { name: "answers", longest: 32 << 10, memory: 16 << 20, check };

fn check(data: &[u8]) {
    let mut input = Input(data);
    let kind = input.byte() % 6;
    let status = StatusCode::from_u16(100 + (input.number() % 500) as u16).expect("a status");
    match kind {
        0 => of_challenges(&headers(&mut input, &[WWW_AUTHENTICATE])),
        1 => of_links(&headers(&mut input, &[LINK])),
        2 => of_redirects(&headers(&mut input, &[LOCATION])),
        3 => of_ranges(&mut input),
        4 => of_delays(&headers(
            &mut input,
            &[
                RETRY_AFTER,
                HeaderName::from_static("ratelimit"),
                HeaderName::from_static("ratelimit-remaining"),
                HeaderName::from_static("ratelimit-reset"),
            ],
        )),
        _ => of_errors(status, input.0),
    }
}

/// Makes headers of lines, each named in turn. What cannot be in one never arrives.
fn headers(input: &mut Input<'_>, names: &[HeaderName]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in names.iter().cycle().take(8) {
        if input.is_empty() {
            break;
        }
        if let Ok(value) = HeaderValue::from_bytes(input.part()) {
            headers.append(name, value);
        }
    }
    headers
}

fn of_challenges(headers: &HeaderMap) {
    let longest: usize = headers.values().map(HeaderValue::len).sum();
    let found = challenges(headers);
    let mut taken = 0;
    for Challenge { scheme, params } in &found {
        assert!(!scheme.is_empty() && *scheme == scheme.to_ascii_lowercase());
        taken += scheme.len();
        for (name, value) in params {
            assert!(!name.is_empty() && *name == name.to_ascii_lowercase());
            taken += name.len() + value.len();
        }
    }
    assert!(taken <= longest, "{found:?} is more than {headers:?}");
}

fn of_links(headers: &HeaderMap) {
    let from: Url = "https://r.example:5000/v2/a/tags/list?n=5".parse().expect("a URL");
    if let Some(next) = next_page(&from, headers) {
        assert!(same_origin(&next, &from) && next != from && next.fragment().is_none(), "{next}");
        assert!(next.as_str().len() <= MAX_URL, "{next}");
    }
}

fn of_redirects(headers: &HeaderMap) {
    for from in ["https://r.example/v2/a/blobs/x", "http://127.0.0.1:5000/v2/"] {
        let from: Url = from.parse().expect("a URL");
        for url in [location(&from, headers), next_hop(&from, headers, false)].into_iter().flatten() {
            assert!(matches!(url.scheme(), "http" | "https") && url.host().is_some(), "{url}");
            assert!(
                url.username().is_empty() && url.password().is_none() && url.fragment().is_none(),
                "{url}"
            );
            assert!(url.as_str().len() <= MAX_URL, "{} bytes", url.as_str().len());
        }
        if let Ok(url) = next_hop(&from, headers, false) {
            assert!(from.scheme() == "http" || url.scheme() == "https", "{url}");
            let literal = match url.host() {
                Some(url::Host::Ipv4(address)) => address.is_link_local(),
                Some(url::Host::Ipv6(address)) => (address.segments()[0] & 0xffc0) == 0xfe80,
                _ => false,
            };
            assert!(!literal, "{url}");
        }
    }
}

fn of_ranges(input: &mut Input<'_>) {
    let (offset, more) = (input.number() as u64 + 1, input.number() as u64 + 1);
    let Ok(value) = HeaderValue::from_bytes(input.part()) else { return };
    let text = value.to_str().unwrap_or_default().to_owned();
    let answer = Headers(HeaderMap::from_iter([(CONTENT_RANGE, value)]));
    if answer.is_rest_of_blob(offset, offset + more) {
        let (first, last) = (offset.to_string(), (offset + more - 1).to_string());
        assert!(text.contains(&first) && text.contains(&last), "`{text}` for {offset} and {more} more");
    }
}

fn of_delays(headers: &HeaderMap) {
    let headers = Headers(headers.clone());
    for delay in [headers.retry_after(), headers.rate_limited()].into_iter().flatten() {
        // Whoever waits bounds it; here it only must be a time.
        assert!(delay <= Duration::MAX);
    }
}

fn of_errors(status: StatusCode, body: &[u8]) {
    let answer = RegistryAnswer::read(status, body);
    let text = answer.to_string();
    assert!(text.chars().count() <= 700, "{text}");
    let turns =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    assert!(!text.contains(|c: char| c.is_control() || turns(c)), "{text:?}");
}
