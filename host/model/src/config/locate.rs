//! [`locate`] and [`locate_key`]: where in a text something stands that only a plugin knows the meaning of.

use super::problem::Position;
use super::tree::{self, Content, Node};

/// Returns where a value stands in a text, by its path such as `mirror.policies[0].config.rules[2].name`. What is not there is
/// looked for in what it would be a part of; a list or mapping is where its key stands.
pub fn locate(text: &str, path: &str) -> Position {
    found(text, path).1
}

/// Returns where the key of a value stands.
pub fn locate_key(text: &str, path: &str) -> Position {
    found(text, path).0
}

fn found(text: &str, path: &str) -> (Position, Position) {
    let start = Position { line: 1, column: 1 };
    let mut at = (start, start);
    let Ok(document) = tree::read(text) else { return at };
    let (mut node, mut rest) = (&document, path);
    while let Some((child, stands, left)) = step(node, rest) {
        (node, at, rest) = (child, stands, left);
    }
    at
}

/// Goes one step along a path: to a value, where its key and it stand, and with what is left of the path.
fn step<'n, 'p>(node: &'n Node, path: &'p str) -> Option<(&'n Node, (Position, Position), &'p str)> {
    match &node.content {
        Content::List(items) => {
            let (number, left) = path.strip_prefix('[')?.split_once(']')?;
            let item = items.get(number.parse::<usize>().ok()?)?;
            Some((item, (item.at, item.at), left))
        }
        Content::Mapping(entries) => {
            let path = path.strip_prefix('.').unwrap_or(path);
            // Keys may have dots in them, so the longest that fits is meant.
            let fits = |key: &str| {
                let left = path.get(..key.len()).filter(|start| start.eq_ignore_ascii_case(key));
                left.map(|_| &path[key.len()..])
                    .filter(|left| left.is_empty() || left.starts_with(['.', '[']))
            };
            let found = entries.iter().filter_map(|entry| Some((entry, fits(&entry.key)?)));
            let (entry, left) = found.max_by_key(|(entry, _)| entry.key.len())?;
            let is_one_value = matches!(entry.value.content, Content::Scalar(_)) && !entry.value.is_null();
            let stands = if is_one_value { entry.value.at } else { entry.key_at };
            Some((&entry.value, (entry.key_at, stands), left))
        }
        Content::Scalar(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const TEXT: &str = "\
mirror:
  policies:
    - name: mine
      config: {rules: [{a.b: 1}, two], Empty: }
      source: file:x
";

    #[rstest]
    #[case("mirror", 1, 1)]
    #[case("mirror.policies[0]", 3, 7)]
    #[case("mirror.policies[0].name", 3, 13)]
    #[case("mirror.policies[0].config", 4, 7)]
    #[case("mirror.policies[0].config.rules[0].a.b", 4, 30)]
    #[case("mirror.policies[0].config.rules[1]", 4, 34)]
    #[case("mirror.policies[0].config.rules[7].x", 4, 16)]
    #[case("mirror.policies[0].config.missing", 4, 7)]
    #[case("mirror.policies[0].config.empty", 4, 40)]
    #[case("elsewhere", 1, 1)]
    #[case("", 1, 1)]
    fn places(#[case] path: &str, #[case] line: u32, #[case] column: u32) {
        assert_eq!(locate(TEXT, path), Position { line, column }, "{path}");
    }

    #[test]
    fn keys_have_places_too() {
        let key = locate_key(TEXT, "mirror.policies[0].config.rules[0].a.b");
        assert_eq!(key, Position { line: 4, column: 25 });
    }

    #[test]
    fn what_is_no_yaml_has_no_places() {
        assert_eq!(locate("{", "a"), Position { line: 1, column: 1 });
    }
}
