//! [`GuestBuildError`]: why a guest could not be built.

use std::io;
use std::path::PathBuf;

/// Why a guest could not be built.
#[derive(Debug, thiserror::Error)]
pub enum GuestBuildError {
    /// Neither a rustup toolchain with the target nor Debian's is installed.
    #[error(
        "no compiler for wasm32-unknown-unknown; install one with `rustup target add wasm32-unknown-unknown`, or the \
         Debian packages `rustc-web cargo-web rust-web-src lld-19`"
    )]
    NoToolchain,
    /// The tool that makes components of a language is not installed.
    #[error("there is no `{tool}`, neither in the project nor on the search path")]
    NoTool {
        /// The program.
        tool: String,
        /// A command that installs it.
        install: String,
    },
    /// The tool of a language ended with an error.
    #[error("`{command}` failed in `{dir}`:\n{output}")]
    Script {
        /// What was run.
        command: String,
        /// Where.
        dir: PathBuf,
        /// What it wrote.
        output: String,
    },
    /// A project has more than sources in it.
    #[error("the files in `{dir}` have more than {most} bytes")]
    TooLarge {
        /// The project.
        dir: PathBuf,
        /// How many are looked at.
        most: u64,
    },
    /// A program could not be started.
    #[error("cannot start `{program}`")]
    Start {
        /// The program.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Cargo ended with an error.
    #[error("`{command}` failed in `{dir}`:\n{output}")]
    Cargo {
        /// What was run, without its environment.
        command: String,
        /// Where.
        dir: PathBuf,
        /// What it wrote last.
        output: String,
    },
    /// Cargo described the workspace in a way that is not understood.
    #[error("cannot read the description of the workspace `{dir}`")]
    Metadata {
        /// The workspace.
        dir: PathBuf,
        /// Why not.
        source: serde_json::Error,
    },
    /// The workspace has no such member.
    #[error("there is no package `{name}` in `{dir}`")]
    UnknownPackage {
        /// What was asked for.
        name: String,
        /// The workspace.
        dir: PathBuf,
    },
    /// The package makes no core module.
    #[error("package `{package}` is no guest: its library lacks `crate-type = [\"cdylib\"]`")]
    NotAGuest {
        /// The package.
        package: String,
    },
    /// A `plugin.toml`, or the schema it names, is not right.
    #[error("`{path}` is not valid: {reason}")]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A module cannot be made a component.
    #[error("cannot make a component of plugin `{plugin}`")]
    Component {
        /// The plugin.
        plugin: String,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A component does not export what its manifest promises, or exports more.
    #[error("plugin `{plugin}` declares the worlds [{declared}] but exports those of [{exported}]")]
    Worlds {
        /// The plugin.
        plugin: String,
        /// The worlds of the manifest.
        declared: String,
        /// The worlds of the component.
        exported: String,
    },
    /// A file cannot be read or written.
    #[error("cannot access `{path}`")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}
