//! [`nearest`]: what somebody may have meant.

/// Returns the names that are most like `name`, best first, at most three.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted = name.to_lowercase();
    let most = (wanted.chars().count() / 3).max(2);
    let mut found: Vec<(usize, &str)> = candidates
        .into_iter()
        .filter_map(|candidate| Some((likeness(&wanted, &candidate.to_lowercase(), most)?, candidate)))
        .collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().take(3).map(|(_, candidate)| candidate).collect()
}

/// Returns how far apart two names are, unless they have nothing in common.
fn likeness(wanted: &str, candidate: &str, most: usize) -> Option<usize> {
    let part_of = |whole: &str, part: &str| part.len() >= 3 && whole.contains(part);
    let distance = distance(wanted, candidate);
    match distance <= most {
        true => Some(distance),
        // A part of a name is often all that is remembered; it comes after misspellings.
        false if part_of(candidate, wanted) || part_of(wanted, candidate) => Some(most + distance),
        false => None,
    }
}

/// Counts the edits between two texts (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, a) in left.chars().enumerate() {
        let mut corner = above;
        row[0] = above + 1;
        for (place, b) in right.iter().enumerate() {
            let change = corner + usize::from(a != *b);
            corner = row[place + 1];
            row[place + 1] = change.min(corner + 1).min(row[place] + 1);
        }
    }
    row[right.len()]
}

/// Writes a hint: what may have been meant, or what there is.
pub(crate) fn hint<'a>(what: &str, name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let all: Vec<&str> = candidates.into_iter().collect();
    let near = nearest(name, all.iter().copied());
    match (near.is_empty(), all.len()) {
        (false, _) => format!("did you mean {}?", quoted(&near)),
        (true, 0) => format!("there are no {what}"),
        (true, 1..=12) => format!("the {what} are {}", quoted(&all)),
        (true, count) => format!("none of the {count} {what} has a similar name"),
    }
}

/// Joins names, each in backticks.
pub(crate) fn quoted<T: AsRef<str>>(names: &[T]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{}`", name.as_ref())).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("kiali-osm", &["kiali-ossm"])]
    #[case("STABEL", &["stable", "stable-1"])]
    #[case("kiali", &["kiali-ossm"])]
    #[case("zzzzzzzz", &[])]
    fn what_was_meant(#[case] name: &str, #[case] expected: &[&str]) {
        let names = ["alpha", "stable", "kiali-ossm", "stable-1", "3scale-operator"];
        let found = nearest(name, names);
        assert!(
            found.iter().zip(expected).all(|(a, b)| a == b) && found.len().min(1) == expected.len().min(1),
            "{found:?}"
        );
    }

    #[test]
    fn distances() {
        for (a, b, expected) in [("", "", 0), ("a", "", 1), ("kitten", "sitting", 3), ("ab", "ba", 2)] {
            assert_eq!(distance(a, b), expected);
        }
    }

    #[test]
    fn at_most_three() {
        assert_eq!(nearest("a1", ["a2", "a3", "a4", "a5"]), ["a2", "a3", "a4"]);
    }

    #[test]
    fn hints() {
        assert_eq!(hint("channels", "betta", ["alpha", "beta"]), "did you mean `beta`?");
        assert_eq!(hint("channels", "nope", ["alpha"]), "the channels are `alpha`");
        assert_eq!(hint("channels", "nope", []), "there are no channels");
    }
}
