//! Errors in words: what the rules of update graphs found wrong becomes one error of the contract.

use oc_mirror_plugin_sdk::{Error, in_one, other};
use oc_mirror_update_graph::{Problem, SelectError};

/// Makes an error of what is wrong with a selection.
pub(crate) fn of_selection(error: SelectError<Error>) -> Error {
    match error {
        SelectError::Graphs(error) => error,
        SelectError::Problems(problems) => of_problems(&problems),
    }
}

fn of_problems(problems: &[Problem]) -> Error {
    let code = problems.first().map_or("release.selection", |problem| problem.code);
    other(code, in_one(problems.iter().map(|p| (p.message.clone(), p.hint.as_deref()))))
}
