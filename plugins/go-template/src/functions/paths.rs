//! Paths, and patterns of paths.

use super::{Function, exactly};

pub(super) fn find(name: &str) -> Option<Function> {
    Some(match name {
        "base" | "osBase" => exactly(1, |_, a| Ok(base(a.text(0)?).into())),
        "dir" | "osDir" => exactly(1, |_, a| {
            let path = a.text(0)?;
            Ok(clean(path.rfind('/').map_or("", |at| &path[..=at])).into())
        }),
        "clean" | "osClean" => exactly(1, |_, a| Ok(clean(a.text(0)?).into())),
        "ext" | "osExt" => exactly(1, |_, a| {
            let path = a.text(0)?;
            let name = &path[path.rfind('/').map_or(0, |at| at + 1)..];
            Ok(name.rfind('.').map_or("", |at| &name[at..]).into())
        }),
        "isAbs" | "osIsAbs" => exactly(1, |_, a| Ok(a.text(0)?.starts_with('/').into())),
        _ => return None,
    })
}

fn base(path: &str) -> &str {
    if path.is_empty() {
        return ".";
    }
    let path = path.trim_end_matches('/');
    if path.is_empty() { "/" } else { &path[path.rfind('/').map_or(0, |at| at + 1)..] }
}

fn clean(path: &str) -> String {
    let is_absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if is_absolute => {}
            part => parts.push(part),
        }
    }
    match (is_absolute, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

/// Matches a path; see [`crate::glob`].
pub(crate) fn glob(pattern: &str, path: &str) -> bool {
    let patterns = alternatives(pattern, 64);
    let path: Vec<char> = path.chars().collect();
    patterns.iter().any(|pattern| {
        let pattern: Vec<char> = pattern.chars().collect();
        matches(&pattern, &path)
    })
}

/// Writes out `{a,b}`, up to so many patterns.
fn alternatives(pattern: &str, most: usize) -> Vec<String> {
    let mut left = vec![pattern.to_owned()];
    let mut done = Vec::new();
    while let Some(pattern) = left.pop() {
        let end = pattern.find('}');
        let start = end.and_then(|end| pattern[..end].rfind('{'));
        match (start, end) {
            (Some(start), Some(end)) if left.len() + done.len() < most => {
                for part in pattern[start + 1..end].split(',') {
                    left.push(format!("{}{part}{}", &pattern[..start], &pattern[end + 1..]));
                }
            }
            _ => done.push(pattern),
        }
    }
    done
}

/// Row by row: which beginnings of the path are matched by the pattern so far.
fn matches(pattern: &[char], path: &[char]) -> bool {
    let mut reached = vec![false; path.len() + 1];
    reached[0] = true;
    let mut at = 0;
    while at < pattern.len() {
        let one: Box<dyn Fn(char) -> bool>;
        match pattern[at] {
            '*' => {
                let deep = pattern.get(at + 1) == Some(&'*');
                at += if deep { 2 } else { 1 };
                for place in 0..path.len() {
                    if reached[place] && (deep || path[place] != '/') {
                        reached[place + 1] = true;
                    }
                }
                continue;
            }
            '?' => {
                one = Box::new(|c| c != '/');
                at += 1;
            }
            '[' => {
                let Some(end) = pattern[at..].iter().position(|c| *c == ']') else { return false };
                let class = pattern[at + 1..at + end].to_vec();
                let (negated, class) = match class.split_first() {
                    Some(('!' | '^', rest)) => (true, rest.to_vec()),
                    _ => (false, class),
                };
                one = Box::new(move |c| in_class(&class, c) != negated);
                at += end + 1;
            }
            '\\' if at + 1 < pattern.len() => {
                let literal = pattern[at + 1];
                one = Box::new(move |c| c == literal);
                at += 2;
            }
            literal => {
                one = Box::new(move |c| c == literal);
                at += 1;
            }
        }
        for place in (0..path.len()).rev() {
            reached[place + 1] = reached[place] && one(path[place]);
        }
        reached[0] = false;
    }
    reached[path.len()]
}

fn in_class(class: &[char], c: char) -> bool {
    let mut rest = class;
    loop {
        match rest {
            [] => return false,
            [from, '-', to, ..] => {
                if (*from..=*to).contains(&c) {
                    return true;
                }
                rest = &rest[3..];
            }
            [one, ..] => {
                if *one == c {
                    return true;
                }
                rest = &rest[1..];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("config/*", "config/a.yaml", true)]
    #[case("config/*", "config/b/a.yaml", false)]
    #[case("config/**", "config/b/a.yaml", true)]
    #[case("**.yaml", "config/b/a.yaml", true)]
    #[case("*.{json,yaml}", "a.yaml", true)]
    #[case("*.{json,yaml}", "a.txt", false)]
    #[case("[a-c]?.txt", "bx.txt", true)]
    #[case("[!a-c]?.txt", "bx.txt", false)]
    #[case("a\\*b", "a*b", true)]
    #[case("", "", true)]
    #[case("a", "", false)]
    fn patterns(#[case] pattern: &str, #[case] path: &str, #[case] expected: bool) {
        assert_eq!(glob(pattern, path), expected);
    }

    #[rstest]
    #[case("/a/b/../c/./d", "/a/c/d")]
    #[case("a/../../b", "../b")]
    #[case("", ".")]
    #[case("/..", "/")]
    fn paths(#[case] path: &str, #[case] expected: &str) {
        assert_eq!(clean(path), expected);
    }
}
