//! Which charts use an image, for the record of what was mirrored: whoever deletes a chart's images later has nothing else
//! to tell by which ones those are.

use std::collections::BTreeSet;

use serde_json::json;

/// The key of the provenance; what does not fit into one value is in `charts.2` and so on.
const KEY: &str = "charts";
/// The longest value, in bytes. The host cuts those off that are longer than 8 KiB.
const MOST: usize = 8000;

/// A chart that uses an image: its place, as the configuration has it, its name and its version.
pub(crate) type Use = [String; 3];

/// Returns the facts about an image: lists of `[place, name, version]`.
pub(crate) fn facts(uses: &BTreeSet<Use>) -> Vec<(String, String)> {
    let mut values: Vec<String> = Vec::new();
    for one in uses {
        let one = json!(one).to_string();
        match values.last_mut().filter(|value| value.len() + one.len() + 2 <= MOST) {
            Some(value) => {
                value.push(',');
                value.push_str(&one);
            }
            None => values.push(format!("[{one}")),
        }
    }
    let key = |place: usize| if place == 0 { KEY.to_owned() } else { format!("{KEY}.{}", place + 1) };
    values.into_iter().enumerate().map(|(place, value)| (key(place), format!("{value}]"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(version: usize) -> Use {
        ["https://r.example/charts", "app", &format!("1.0.{version}")].map(str::to_owned)
    }

    #[test]
    fn lists_are_json() {
        let facts = facts(&BTreeSet::from([used(0), used(1)]));
        let expected =
            r#"[["https://r.example/charts","app","1.0.0"],["https://r.example/charts","app","1.0.1"]]"#;
        assert_eq!(facts, [("charts".to_owned(), expected.to_owned())]);
    }

    #[test]
    fn no_value_is_longer_than_the_host_takes() {
        let all: BTreeSet<Use> = (0..1000).map(used).collect();
        let facts = facts(&all);
        assert!(facts.len() > 5 && facts.iter().all(|(_, value)| value.len() <= MOST));
        assert_eq!(facts[1].0, "charts.2");
        let read =
            facts.iter().flat_map(|(_, value)| serde_json::from_str::<Vec<Use>>(value).expect("a list"));
        assert_eq!(read.collect::<BTreeSet<_>>(), all);
    }
}
