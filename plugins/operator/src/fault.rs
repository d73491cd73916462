//! Errors in words: what the catalog's rules found wrong becomes one error of the contract, with a hint for the user.

use oc_mirror_catalog::Problems;
use oc_mirror_plugin_sdk::{Error, other};

/// What stands before the hint in a message; the host shows what follows apart.
const HINT: &str = "; hint: ";

/// Makes an error of everything that is wrong with a catalog, or with what is asked of it.
pub(crate) fn of_problems(code: &str, catalog: &str, problems: &Problems) -> Error {
    other(code, format!("{catalog}: {}", in_words(problems)))
}

fn in_words(problems: &Problems) -> String {
    let mut hints: Vec<&str> = Vec::new();
    let mut texts = Vec::new();
    for problem in &problems.problems {
        let plain = oc_mirror_catalog::Problem { hint: None, ..problem.clone() };
        texts.push(plain.to_string());
        match problem.hint.as_deref() {
            Some(hint) if !hints.contains(&hint) => hints.push(hint),
            _ => {}
        }
    }
    if problems.more > 0 {
        texts.push(format!("and {} more", problems.more));
    }
    let text = texts.join("; ");
    if hints.is_empty() { text } else { format!("{text}{HINT}{}", hints.join("; ")) }
}

/// Adds a hint to an error that has none.
pub(crate) fn with_hint(error: Error, hint: &str) -> Error {
    let with = |text: String| if text.contains(HINT) { text } else { format!("{text}{HINT}{hint}") };
    match error {
        Error::Denied(text) => Error::Denied(with(text)),
        Error::NotFound(text) => Error::NotFound(with(text)),
        Error::Invalid(text) => Error::Invalid(with(text)),
        Error::Unavailable(text) => Error::Unavailable(with(text)),
        Error::Limit(text) => Error::Limit(with(text)),
        Error::Other(mut coded) => {
            coded.message = with(coded.message);
            Error::Other(coded)
        }
        Error::Cancelled => Error::Cancelled,
    }
}

/// Makes one error of those of several catalogs.
pub(crate) fn together(errors: Vec<Error>) -> Error {
    let mut texts = Vec::new();
    let mut hints: Vec<String> = Vec::new();
    for error in &errors {
        let text = oc_mirror_plugin_sdk::explain(error);
        match text.split_once(HINT) {
            Some((text, hint)) => {
                texts.push(text.to_owned());
                hints.push(hint.to_owned());
            }
            None => texts.push(text),
        }
    }
    match <[Error; 1]>::try_from(errors) {
        Ok([error]) => error,
        Err(_) => {
            hints.dedup();
            let hint = if hints.is_empty() { String::new() } else { format!("{HINT}{}", hints.join("; ")) };
            other("operator.catalogs", format!("{}{hint}", texts.join("; ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oc_mirror_catalog::Problem;

    #[test]
    fn hints_come_last_and_once() {
        let problem =
            |name: &str| Problem::new("x", "it is not there").package(name).hint("did you mean `b`?");
        let problems = Problems { problems: vec![problem("a"), problem("c")], more: 2 };
        let error = of_problems("operator.selection", "r.example/i:1", &problems);
        let text = oc_mirror_plugin_sdk::explain(&error);
        assert_eq!(
            text,
            "operator.selection: r.example/i:1: package `a`: it is not there; package `c`: it is not there; and 2 more; hint: did you mean `b`?"
        );
    }

    #[test]
    fn several_catalogs_make_one_error() {
        let first = with_hint(other("a", "one"), "do this");
        assert_eq!(together(vec![first.clone()]), first);
        let error = together(vec![first, Error::NotFound("two".into())]);
        let text = oc_mirror_plugin_sdk::explain(&error);
        assert_eq!(text, "operator.catalogs: a: one; not found: two; hint: do this");
    }
}
