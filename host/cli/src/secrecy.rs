//! Keeps what the process holds out of core files, debuggers and other programs: [`seal`], [`withdraw`], [`withdrawn`].

use std::collections::BTreeMap;
use std::sync::OnceLock;

use oc_mirror_engine::net::Secret;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

use crate::environment;

/// The variable that leaves the process open.
const OPEN: &str = "OC_MIRROR_DEBUGGABLE";
/// What names a variable with a private key.
const VARIABLE: &str = "env://";

/// The values of variables that are no longer in the environment.
static WITHDRAWN: OnceLock<BTreeMap<String, Secret>> = OnceLock::new();

/// Has the process leave no core file, and keeps other processes of the user from reading its memory.
///
/// Programs that it starts inherit the former and not the latter. With `OC_MIRROR_DEBUGGABLE=1` all stays as it was: debuggers,
/// `strace` and `perf` cannot attach otherwise, unless root runs them.
pub(crate) fn seal() {
    if environment::variable(OPEN).is_some_and(|value| value == "1") {
        return;
    }
    // Lowering a limit is never refused; where a sandbox refuses the other, there still is no core file. Either way, the run
    // is not in danger, and goes on.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// Takes the variables that `--sign-key env://NAME` names out of the environment, so that no program that is started, such as a
/// credential helper or a compiler, inherits a private key.
///
/// To be called once, before there are other threads.
#[allow(unsafe_code)]
pub(crate) fn withdraw() {
    let mut found = BTreeMap::new();
    for name in names(&environment::words()) {
        if let Some(value) = environment::variable(&name) {
            // SAFETY: Nothing reads or writes the environment at the same time, as there are no other threads yet: this is
            // called by `main` before a runtime is made.
            unsafe { std::env::remove_var(&name) };
            found.insert(name, Secret::new(value));
        }
    }
    // A second call has nothing to find.
    let _ = WITHDRAWN.set(found);
}

/// Returns a variable that was withdrawn; nothing where it was not set.
pub(crate) fn withdrawn(name: &str) -> Option<Secret> {
    WITHDRAWN.get()?.get(name).cloned()
}

/// Returns the names of variables with keys among the words of the command line.
fn names(words: &[String]) -> Vec<String> {
    let value = |word: &String| {
        let value = word.strip_prefix("--sign-key=").unwrap_or(word);
        // What else may follow `env://` is no variable, and then says so where it is looked for.
        value.strip_prefix(VARIABLE).map(str::to_owned)
    };
    let is_name = |name: &String| !name.is_empty() && !name.contains(['=', '\0']);
    words.iter().filter_map(value).filter(is_name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_with_keys_are_found_among_the_words() {
        let words =
            ["-c", "isc.yaml", "--sign-key", "env://A", "--sign-key=env://B", "env://", "env://x=y", "C"];
        let words: Vec<String> = words.map(str::to_owned).to_vec();
        assert_eq!(names(&words), ["A", "B"]);
    }
}
