//! Places in a configuration, as problems and edits write them.

/// A step on the way to a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Into a mapping.
    Key(String),
    /// Into a list.
    Index(usize),
}

/// Reads `mirror.operators[0].packages`; nothing if it is no such thing.
pub(super) fn steps(at: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    for part in at.split('.') {
        let (key, indexes) = part.split_at(part.find('[').unwrap_or(part.len()));
        if key.is_empty() {
            return None;
        }
        steps.push(Step::Key(key.to_owned()));
        for index in indexes.split_terminator(']') {
            steps.push(Step::Index(index.strip_prefix('[')?.parse().ok()?));
        }
    }
    Some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("mirror", Some("mirror"))]
    #[case("mirror.operators[0].packages[12].name", Some("mirror operators 0 packages 12 name"))]
    #[case("", None)]
    #[case("a..b", None)]
    #[case("a[x]", None)]
    #[case("a[0]b", None)]
    #[case("[0]", None)]
    fn places(#[case] at: &str, #[case] expected: Option<&str>) {
        let words = |steps: Vec<Step>| {
            let word = |step: &Step| match step {
                Step::Key(key) => key.clone(),
                Step::Index(place) => place.to_string(),
            };
            steps.iter().map(word).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(steps(at).map(words).as_deref(), expected);
    }
}
