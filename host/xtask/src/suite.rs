//! `cargo xtask test`: every check and test of the repository, cheapest first, stopping at the first failure.

use std::path::Path;

use crate::run::{Tool, guest_workspaces, on_path, root, step, target};
use crate::{Outcome, audit, dependencies, setup};

/// A name and what is done under it.
type Step = (&'static str, fn() -> Outcome);

/// The steps in their order.
const STEPS: [Step; 9] = [
    ("fmt", format),
    ("layers", layers),
    ("dependencies", dependencies::check),
    ("typos", typos),
    ("deny", audit::deny),
    ("advisories", audit::advisories),
    ("clippy", clippy),
    ("tests", tests),
    ("plugins", plugins),
];

/// Installs what is missing, then runs the named steps, or all of them.
pub(crate) fn run(wanted: &[&str]) -> Outcome {
    if let Some(unknown) = wanted.iter().find(|name| !STEPS.iter().any(|(step, _)| step == *name)) {
        let names = STEPS.map(|(name, _)| name).join(", ");
        return Err(format!("unknown step `{unknown}`; there are {names}"));
    }
    setup::install(&setup::ALL)?;
    for (name, work) in STEPS {
        if wanted.is_empty() || wanted.contains(&name) {
            step(name, work)?;
        }
    }
    Ok(())
}

fn format() -> Outcome {
    Tool::cargo().args(["fmt", "--all", "--check"]).run()?;
    // What the fuzz targets do is compiled, linted and run by tests of the workspaces that it is about.
    for manifest in guest_workspaces().into_iter().chain([root().join("tests/fuzz/Cargo.toml")]) {
        Tool::cargo().args(["fmt", "--all", "--check", "--manifest-path"]).path(&manifest).run()?;
    }
    Ok(())
}

fn layers() -> Outcome {
    Tool::cargo().args(["test", "--quiet", "--locked", "--package", "xtask", "--test", "layers"]).run()
}

fn clippy() -> Outcome {
    let args = ["clippy", "--quiet", "--locked", "--workspace", "--all-targets"];
    let deny = ["--", "--deny", "warnings"];
    Tool::cargo().args(args).args(deny).run()?;
    for manifest in guest_workspaces() {
        guest(&args, &manifest).args(deny).run()?;
    }
    Ok(())
}

fn tests() -> Outcome {
    Tool::cargo().args(["test", "--quiet", "--locked", "--workspace"]).run()
}

fn plugins() -> Outcome {
    for manifest in guest_workspaces() {
        guest(&["test", "--quiet", "--locked", "--workspace"], &manifest).run()?;
    }
    Ok(())
}

/// The program's build compiles guests for WebAssembly; here they are plain Rust. They share a directory to build
/// into, since they share most dependencies.
fn guest(args: &[&str], manifest: &Path) -> Tool {
    let cargo = Tool::cargo().args(args).args(["--manifest-path"]).path(manifest);
    cargo.args(["--target-dir"]).path(&target().join("guests-native"))
}

fn typos() -> Outcome {
    if !on_path("typos") {
        println!("    skipped: typos is not installed");
        return Ok(());
    }
    Tool::new("typos").run()
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_unknown_step_is_refused_with_the_known_ones() {
        let error = super::run(&["fmt", "lint"]).unwrap_err();
        assert!(error.starts_with("unknown step `lint`; there are fmt, layers, "), "{error}");
    }
}
