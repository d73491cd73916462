//! [`report_deprecations`]: what a catalog itself calls deprecated.

use crate::problem::Note;
use crate::select::Selection;

/// Notes which of the packages, channels and versions that are kept the catalog calls deprecated. Of a catalog that is wanted whole nothing
/// is said: it was no choice.
pub fn report_deprecations(selection: &mut Selection) {
    if selection.whole {
        return;
    }
    let notes: Vec<Note> = selection
        .packages
        .iter()
        .flat_map(|package| {
            let of = |schema: &'static str| {
                package.deprecations.iter().filter(move |d| d.schema == schema).map(|d| d.name.as_str())
            };
            let whole = of("olm.package").map(|_| "the catalog calls it deprecated".to_owned());
            let channels =
                of("olm.channel").map(|channel| format!("the catalog calls channel `{channel}` deprecated"));
            let bundles: Vec<&str> = of("olm.bundle").collect();
            let bundles = match bundles.as_slice() {
                [] => None,
                [one] => Some(format!("the catalog calls `{one}` deprecated")),
                [first, .., last] => Some(format!(
                    "the catalog calls {} versions deprecated, `{first}` to `{last}`",
                    bundles.len()
                )),
            };
            let all: Vec<String> = whole.chain(channels).chain(bundles).collect();
            all.into_iter().map(|message| Note::new("deprecated", &package.name, message))
        })
        .collect();
    selection.notes.extend(notes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Deprecation;
    use crate::testing::{catalog, v2};
    use serde_json::{Value, json};

    fn notes(wanted: Value) -> Vec<String> {
        let mut catalog = catalog("p stable: p.v1.1.0>p.v1.0.0 p.v1.0.0\n    p fast: p.v1.1.0");
        let deprecated =
            |schema: &str, name: &str| Deprecation { schema: schema.into(), name: name.into(), file: 0 };
        catalog.packages[0].deprecations = vec![
            deprecated("olm.package", ""),
            deprecated("olm.channel", "stable"),
            deprecated("olm.channel", "gone"),
            deprecated("olm.bundle", "p.v1.0.0"),
            deprecated("olm.bundle", "p.v1.1.0"),
        ];
        let mut selection = v2(&catalog, wanted).expect("a selection");
        selection.notes.clear();
        report_deprecations(&mut selection);
        selection.notes.into_iter().map(|note| note.message).collect()
    }

    #[test]
    fn what_was_chosen_is_told_of() {
        assert_eq!(
            notes(
                json!({ "packages": [{ "name": "p", "channels": [{ "name": "stable", "minVersion": "1.0.0" }] }] })
            ),
            [
                "the catalog calls it deprecated",
                "the catalog calls channel `stable` deprecated",
                "the catalog calls 2 versions deprecated, `p.v1.0.0` to `p.v1.1.0`",
            ]
        );
        assert_eq!(
            notes(
                json!({ "packages": [{ "name": "p", "defaultChannel": "fast", "channels": [{ "name": "fast" }] }] })
            ),
            ["the catalog calls it deprecated", "the catalog calls `p.v1.1.0` deprecated"]
        );
    }

    #[test]
    fn what_was_not_chosen_is_not() {
        assert_eq!(notes(json!({})), Vec::<String>::new());
    }
}
