//! What the program was called, which says how it calls itself, and whether it is asked to complete a command line.
//!
//! kubectl and oc find plugins by name: `kubectl mirror` runs `kubectl-mirror`, `oc mirror` runs `oc-mirror`. To complete what
//! is typed they run `kubectl_complete-mirror` or `oc_complete-mirror`.

use std::ffi::OsString;
use std::path::Path;

/// Under which name the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Invocation {
    /// As itself, which is `oc mirror` too: nothing tells one from the other.
    Program,
    /// As a plugin of kubectl.
    Kubectl,
    /// To complete a command line for kubectl or oc.
    Completion,
}

impl Invocation {
    /// Tells how this process was called.
    pub(crate) fn current() -> Self {
        Self::of(std::env::args_os().next().as_ref())
    }

    /// Tells by the name of the program that was called.
    fn of(program: Option<&OsString>) -> Self {
        let name = program.and_then(|program| Path::new(program).file_name()).and_then(|name| name.to_str());
        match name {
            Some("kubectl-mirror") => Self::Kubectl,
            Some("kubectl_complete-mirror" | "oc_complete-mirror") => Self::Completion,
            _ => Self::Program,
        }
    }

    /// Returns what users type.
    pub(crate) fn typed(self) -> &'static str {
        match self {
            Self::Kubectl => "kubectl mirror",
            Self::Program | Self::Completion => "oc-mirror",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("oc-mirror", Invocation::Program)]
    #[case("/usr/bin/oc-mirror", Invocation::Program)]
    #[case("renamed", Invocation::Program)]
    #[case("/usr/local/bin/kubectl-mirror", Invocation::Kubectl)]
    #[case("oc_complete-mirror", Invocation::Completion)]
    #[case("./kubectl_complete-mirror", Invocation::Completion)]
    fn names(#[case] program: &str, #[case] expected: Invocation) {
        assert_eq!(Invocation::of(Some(&program.into())), expected);
    }
}
