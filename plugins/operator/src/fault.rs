//! Errors in words: what the catalog's rules found wrong becomes one error of the contract, with a hint for the user.

use oc_mirror_catalog::Problems;
use oc_mirror_plugin_sdk::{Error, in_one, other};

/// Makes an error of everything that is wrong with a catalog, or with what is asked of it.
pub(crate) fn of_problems(code: &str, catalog: &str, problems: &Problems) -> Error {
    other(code, format!("{catalog}: {}", in_words(problems)))
}

fn in_words(problems: &Problems) -> String {
    let parts = problems.problems.iter().map(|problem| {
        let plain = oc_mirror_catalog::Problem { hint: None, ..problem.clone() };
        (plain.to_string(), problem.hint.as_deref())
    });
    let more = (problems.more > 0).then(|| (format!("and {} more", problems.more), None));
    in_one(parts.chain(more))
}

/// Makes one error of those of several catalogs.
pub(crate) fn together(errors: Vec<Error>) -> Error {
    oc_mirror_plugin_sdk::together("operator.catalogs", errors)
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
}
