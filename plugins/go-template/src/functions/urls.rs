//! Sprig's functions for URLs and the network.

use super::{Answer, Args, Function, exactly};
use crate::failure::Failure;
use crate::interpreter::Interpreter;
use crate::value::{Map, Value};

pub(super) fn find(name: &str) -> Option<Function> {
    Some(match name {
        "urlParse" => exactly(1, parse),
        "urlJoin" => exactly(1, join),
        // Helm asks for no name unless it is told to.
        "getHostByName" => exactly(1, |_, _| Ok("".into())),
        _ => return None,
    })
}

fn parse(_: &mut Interpreter, a: &Args<'_>) -> Answer {
    let text = a.text(0)?;
    if text.chars().any(char::is_control) {
        return Err(Failure::fault("unable to parse url: it has control characters"));
    }
    let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
    };
    let (scheme, rest) = match rest.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_lowercase(), rest),
        _ => (String::new(), rest),
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let is_opaque = !scheme.is_empty() && !rest.starts_with('/');
    let (authority, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", rest),
    };
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let entries = [
        ("scheme", scheme.as_str()),
        ("host", host),
        ("hostname", name),
        ("path", if is_opaque { "" } else { path }),
        ("query", query),
        ("opaque", if is_opaque { rest } else { "" }),
        ("fragment", fragment),
        ("userinfo", user),
    ];
    Ok(Value::map(entries.map(|(key, value)| (key, Value::from(value)))))
}

fn join(_: &mut Interpreter, a: &Args<'_>) -> Answer {
    let map = a.map(0)?;
    let part = |name: &str| part_of(map, name);
    let (scheme, host, path) = (part("scheme")?, part("host")?, part("path")?);
    let (query, opaque, fragment) = (part("query")?, part("opaque")?, part("fragment")?);
    let user = part("userinfo")?;
    let mut url = String::new();
    if !scheme.is_empty() {
        url.push_str(&format!("{scheme}:"));
    }
    match opaque.is_empty() {
        false => url.push_str(&opaque),
        true => {
            if !scheme.is_empty() || !host.is_empty() || !user.is_empty() {
                url.push_str("//");
            }
            if !user.is_empty() {
                url.push_str(&format!("{user}@"));
            }
            url.push_str(&host);
            if !path.is_empty() && !path.starts_with('/') && !host.is_empty() {
                url.push('/');
            }
            url.push_str(&path);
        }
    }
    if !query.is_empty() {
        url.push_str(&format!("?{query}"));
    }
    if !fragment.is_empty() {
        url.push_str(&format!("#{fragment}"));
    }
    Ok(url.into())
}

fn part_of(map: &Map, name: &str) -> Result<String, Failure> {
    match map.get(name) {
        None => Ok(String::new()),
        Some(Value::Text(text)) => Ok(text.to_string()),
        Some(other) => Err(Failure::fault(format!(
            "unable to parse {name} key, must be of type string, but {} found",
            other.kind()
        ))),
    }
}
