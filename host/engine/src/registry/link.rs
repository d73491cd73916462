//! `Link` headers (RFC 8288): where the next page is.

use reqwest::header::{HeaderMap, LINK};
use url::Url;

use crate::net::redirect::{MAX_URL_BYTES, same_origin};

/// Returns the next page, if the answer names one at the same place as `from`.
pub(super) fn next_page(from: &Url, headers: &HeaderMap) -> Option<Url> {
    let target = headers.get_all(LINK).iter().filter_map(|v| v.to_str().ok()).find_map(next)?;
    let mut url = from.join(target).ok()?;
    url.set_fragment(None);
    // A list is never continued elsewhere, nor by the very same page.
    (same_origin(&url, from) && url != *from && url.as_str().len() <= MAX_URL_BYTES).then_some(url)
}

fn next(line: &str) -> Option<&str> {
    let mut rest = line;
    while let Some(start) = rest.find('<') {
        let (target, after) = rest[start + 1..].split_once('>')?;
        // The parameters go up to the next link; a quoted one may hold anything but that.
        let end = after.find(",<").or_else(|| after.find(", <")).unwrap_or(after.len());
        let (params, following) = after.split_at(end);
        if params.split(';').any(is_next) {
            return Some(target.trim());
        }
        rest = following;
    }
    None
}

fn is_next(param: &str) -> bool {
    let Some((name, value)) = param.split_once('=') else { return false };
    name.trim().eq_ignore_ascii_case("rel")
        && value.trim().trim_matches('"').split_ascii_whitespace().any(|r| r.eq_ignore_ascii_case("next"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(r#"</v2/a/tags/list?last=x&n=5>; rel="next""#, Some("https://r/v2/a/tags/list?last=x&n=5"))]
    #[case(r#"<?last=x>; rel=next"#, Some("https://r/v2/a/tags/list?last=x"))]
    #[case(r#"<https://r/p1>; rel="prev", <https://r/p3>; title="a"; rel="next""#, Some("https://r/p3"))]
    #[case(r#"<https://r/p1>;rel=prev,<https://r/p3>;rel="last next""#, Some("https://r/p3"))]
    #[case(r#"<https://elsewhere/p>; rel="next""#, None)]
    #[case(r#"<https://r/v2/a/tags/list>; rel="next""#, None)]
    #[case(r#"<x>; rel="prev""#, None)]
    #[case("<unterminated", None)]
    #[case("", None)]
    fn pages(#[case] line: &str, #[case] expected: Option<&str>) {
        let headers = HeaderMap::from_iter([(LINK, line.parse().unwrap())]);
        let from = Url::parse("https://r/v2/a/tags/list").unwrap();
        assert_eq!(next_page(&from, &headers).as_ref().map(Url::as_str), expected);
    }

    #[test]
    fn a_page_whose_address_is_too_long_is_none() {
        let from = Url::parse("https://r/v2/a/tags/list").unwrap();
        let page = |len: usize| {
            let line = format!("<https://r/{}>; rel=next", "x".repeat(len - "https://r/".len()));
            next_page(&from, &HeaderMap::from_iter([(LINK, line.parse().unwrap())]))
        };
        assert!(page(MAX_URL_BYTES).is_some() && page(MAX_URL_BYTES + 1).is_none());
    }
}
