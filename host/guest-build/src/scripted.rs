//! [`ScriptBuild`]: components of plugins in Python and JavaScript, by the tools of these languages.

use std::env;
use std::ffi::OsStr;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest as _, Sha256};

use crate::component::{checked, write_if_changed};
use crate::error::GuestBuildError;
use crate::meta::PluginMeta;
use crate::{BuiltGuest, CONTRACT};

/// The world that is made of those that a plugin implements, in the copy of the contract it is built against.
const WORLD: &str = "project";

/// More than sources and the data beside them have: what is larger was not meant to be part of a plugin.
const MAX_INPUT_BYTES: u64 = 64 << 20;

/// Directories of a project that hold what can be had again.
const NOT_SOURCES: [&str; 4] = ["target", "node_modules", "__pycache__", "venv"];

/// What a plugin is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// A package with a `Cargo.toml`.
    Rust,
    /// A `plugin.py` beside the `plugin.toml`.
    Python,
    /// A `plugin.js` beside the `plugin.toml`.
    JavaScript,
}

impl Language {
    /// Says in which language the project in `dir` is written; nothing if there is none.
    pub fn of(dir: &Path) -> Option<Self> {
        let has = |name: &str| dir.join(name).is_file();
        match has("plugin.toml") {
            _ if has("Cargo.toml") => Some(Self::Rust),
            true if has("plugin.py") => Some(Self::Python),
            true if has("plugin.js") => Some(Self::JavaScript),
            _ => None,
        }
    }

    /// The program that makes components of it.
    fn tool(self) -> &'static str {
        match self {
            Self::Rust => "cargo",
            Self::Python => "componentize-py",
            Self::JavaScript => "jco",
        }
    }

    /// Where its package manager puts programs for one project, relative to the project.
    fn local(self) -> Option<&'static str> {
        match self {
            Self::Rust => None,
            Self::Python => Some(".venv/bin"),
            Self::JavaScript => Some("node_modules/.bin"),
        }
    }

    /// A command that installs the program, in the directory of a project.
    pub fn install(self) -> &'static str {
        match self {
            Self::Rust => "see https://rustup.rs",
            Self::Python => "python3 -m venv .venv && .venv/bin/pip install componentize-py==0.25.1",
            Self::JavaScript => "npm install --save-dev @bytecodealliance/jco@1.35.0",
        }
    }
}

/// Which project in Python or JavaScript to make a component of, and where to.
#[derive(Clone, Debug)]
pub struct ScriptBuild {
    /// The directory with its `plugin.toml`.
    pub dir: PathBuf,
    /// The component goes to `components/` below it, the contract to `wit/`.
    pub target_dir: PathBuf,
    /// What it is written in.
    pub language: Language,
}

impl ScriptBuild {
    /// Makes the component, unless neither the project, the contract nor the tool has changed since it was made: their
    /// components are not the same from one time to the next, and what was compiled of one would be compiled again.
    pub fn build(&self) -> Result<BuiltGuest, GuestBuildError> {
        let manifest = self.dir.join("plugin.toml");
        let (meta, schema) = PluginMeta::read(&manifest, None)?;
        let tool = self.find_tool()?;
        let path = self.target_dir.join("components").join(format!("{}.wasm", meta.id));
        let stamp = path.with_extension("inputs");
        let mut inputs = self.inputs()?;
        inputs.extend(schema.filter(|file| !inputs.contains(file)));
        let wanted = self.fingerprint(&inputs, &tool)?;
        let is_current = || {
            let component = std::fs::read(&path).ok()?;
            let noted = std::fs::read_to_string(&stamp).ok()?;
            (noted == note(&wanted, &component)).then_some(())
        };
        if is_current().is_none() {
            let component = checked(&self.make(&meta, &tool)?, &meta)?;
            write_if_changed(&path, &component)?;
            write_if_changed(&stamp, note(&wanted, &component).as_bytes())?;
        }
        Ok(BuiltGuest { name: meta.id.clone(), path, meta, inputs })
    }

    /// Looks in the project and the directories above it, as the package managers do, then on the search path.
    fn find_tool(&self) -> Result<PathBuf, GuestBuildError> {
        let tool = self.language.tool();
        let local = self.language.local().into_iter();
        let beside = local.flat_map(|bin| self.dir.ancestors().map(move |dir| dir.join(bin).join(tool)));
        let path = env::var_os("PATH").unwrap_or_default();
        let on_path: Vec<PathBuf> = env::split_paths(&path).map(|dir| dir.join(tool)).collect();
        beside.chain(on_path).find(|file| file.is_file()).ok_or_else(|| GuestBuildError::NoTool {
            tool: tool.to_owned(),
            install: self.language.install().to_owned(),
        })
    }

    /// Every file of the project, in order of their names.
    fn inputs(&self) -> Result<Vec<PathBuf>, GuestBuildError> {
        let (mut open, mut found) = (vec![self.dir.clone()], Vec::new());
        while let Some(dir) = open.pop() {
            let io = |source| GuestBuildError::Io { path: dir.clone(), source };
            for entry in std::fs::read_dir(&dir).map_err(io)? {
                let entry = entry.map_err(io)?;
                let (path, kind) = (entry.path(), entry.file_type().map_err(io)?);
                match kind.is_dir() {
                    _ if !is_source(&entry.file_name()) || path == self.target_dir => {}
                    true => open.push(path),
                    false if path.is_file() => found.push(path),
                    false => {}
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// One line for all that a component is made of.
    fn fingerprint(&self, inputs: &[PathBuf], tool: &Path) -> Result<String, GuestBuildError> {
        let version = run(Command::new(tool).arg("--version"), &self.dir)?;
        let mut hash = Sha256::new();
        let mut add = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        for part in [env!("CARGO_PKG_VERSION"), CONTRACT, version.trim(), &tool.to_string_lossy()] {
            add(part.as_bytes());
        }
        let mut left = MAX_INPUT_BYTES;
        for input in inputs {
            let io = |source| GuestBuildError::Io { path: input.clone(), source };
            let mut bytes = Vec::new();
            let file = std::fs::File::open(input).map_err(io)?;
            file.take(left + 1).read_to_end(&mut bytes).map_err(io)?;
            left = left
                .checked_sub(bytes.len() as u64)
                .ok_or_else(|| GuestBuildError::TooLarge { dir: self.dir.clone(), most: MAX_INPUT_BYTES })?;
            add(input.strip_prefix(&self.dir).unwrap_or(input).as_os_str().as_encoded_bytes());
            add(&bytes);
        }
        Ok(hex(&hash.finalize()))
    }

    /// Runs the tool, and returns the component without metadata.
    fn make(&self, meta: &PluginMeta, tool: &Path) -> Result<Vec<u8>, GuestBuildError> {
        let wit = self.target_dir.join("wit");
        let includes: String = meta.worlds.iter().map(|world| format!("    include {world};\n")).collect();
        let text = format!("{CONTRACT}\n/// What this project implements.\nworld {WORLD} {{\n{includes}}}\n");
        write_if_changed(&wit.join("plugin.wit"), text.as_bytes())?;
        // A name of our own, as builds may run side by side.
        let out = self.target_dir.join(format!("{}.{}.partial.wasm", meta.id, std::process::id()));
        let mut command = Command::new(tool);
        match self.language {
            Language::Python => {
                command.args(["--quiet", "--wit-path"]).arg(&wit).args(["--world", WORLD, "componentize"]);
                command.args(["--stub-wasi", "--python-path"]).arg(&self.dir).arg("--output").arg(&out);
                command.arg("plugin").env("PYTHONDONTWRITEBYTECODE", "1");
                // Where the tool is the project's own, so are the modules beside it.
                if let Some(own) =
                    tool.parent().filter(|bin| bin.ends_with(".venv/bin")).and_then(Path::parent)
                {
                    command.env("VIRTUAL_ENV", own);
                }
            }
            Language::JavaScript | Language::Rust => {
                command.args(["componentize", "plugin.js", "--wit"]).arg(&wit).args(["--world-name", WORLD]);
                command.args(["--backend", "qjs", "--backend-qjs-stub-wasi", "--backend-qjs-disable-async"]);
                command.arg("--out").arg(&out);
            }
        }
        let made = run(&mut command, &self.dir).and_then(|_| {
            std::fs::read(&out).map_err(|source| GuestBuildError::Io { path: out.clone(), source })
        });
        // Whatever became of it, nobody else looks for it.
        let _ = std::fs::remove_file(&out);
        made
    }
}

fn is_source(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let is_said_elsewhere = name.ends_with(".md") || name == "cases.yaml";
    !name.starts_with('.') && !is_said_elsewhere && !NOT_SOURCES.contains(&&*name)
}

/// What is written beside a component: what it was made of, and which bytes were made.
fn note(inputs: &str, component: &[u8]) -> String {
    format!("{inputs} {}\n", hex(&Sha256::digest(component)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Runs a program in `dir` and returns what it printed.
fn run(command: &mut Command, dir: &Path) -> Result<String, GuestBuildError> {
    let program = PathBuf::from(command.get_program());
    let output = command
        .current_dir(dir)
        .stdin(Stdio::null())
        // Where the tool itself is written in Rust, its own stack says nothing about a plugin.
        .env("RUST_BACKTRACE", "0")
        .output()
        .map_err(|source| GuestBuildError::Start { program: program.clone(), source })?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    if output.status.success() {
        return Ok(stdout.into_owned());
    }
    let args: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let said = format!("{stdout}{}", String::from_utf8_lossy(&output.stderr));
    Err(GuestBuildError::Script {
        command: format!("{name} {}", args.join(" ")),
        dir: dir.into(),
        output: said.trim().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a directory")).expect("made");
            std::fs::write(path, text).expect("written");
        }
        dir
    }

    #[test]
    fn languages_are_told_apart_by_files() {
        let of = |files: &[(&str, &str)]| Language::of(project(files).path());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("plugin.py", "")]), None);
        assert_eq!(of(&[("Cargo.toml", "")]), Some(Language::Rust));
        assert_eq!(of(&[("plugin.toml", ""), ("plugin.py", "")]), Some(Language::Python));
        assert_eq!(of(&[("plugin.toml", ""), ("plugin.js", "")]), Some(Language::JavaScript));
    }

    /// A tool that makes an empty component, and notes that it was called.
    #[cfg(unix)]
    fn with_tool(manifest: &str) -> tempfile::TempDir {
        use std::os::unix::fs::PermissionsExt as _;
        let script = r#"#!/bin/sh
[ "$1" = --version ] && { echo 1.2.3; exit; }
echo called >> ../calls
[ -f fail ] && { echo "no luck" >&2; exit 3; }
while [ "$1" != --out ]; do shift; done
printf '\0asm\r\0\1\0' > "$2"
"#;
        let tool = "mine/node_modules/.bin/jco";
        let dir = project(&[("mine/plugin.toml", manifest), ("mine/plugin.js", "1"), (tool, script)]);
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(dir.path().join(tool), mode).expect("set");
        dir
    }

    fn build(dir: &Path) -> Result<BuiltGuest, GuestBuildError> {
        let dir = dir.join("mine");
        ScriptBuild { target_dir: dir.join("target"), dir, language: Language::JavaScript }.build()
    }

    #[test]
    fn what_fails_is_not_kept() {
        // An empty component exports no world, so it is not kept, and the tool is called each time.
        let dir =
            with_tool("id = \"a\"\nversion = \"0.1.0\"\nworlds = [\"static-policy\"]\nwit = \"0.1.0\"\n");
        for calls in 1..=2 {
            let error = build(dir.path()).expect_err("it exports nothing");
            assert!(matches!(error, GuestBuildError::Worlds { .. }), "{error}");
            let called = std::fs::read_to_string(dir.path().join("calls")).expect("noted");
            assert_eq!(called.lines().count(), calls);
        }
        let left = std::fs::read_dir(dir.path().join("mine/target")).expect("there");
        let names: Vec<_> = left.map(|entry| entry.expect("readable").file_name()).collect();
        assert_eq!(names, ["wit"], "nothing half made is left");
    }

    #[test]
    fn the_fingerprint_is_of_sources() {
        let dir = with_tool("");
        let dir = dir.path().join("mine");
        let target_dir = dir.join("elsewhere");
        let build = ScriptBuild { dir: dir.clone(), target_dir, language: Language::JavaScript };
        let tool = build.find_tool().expect("it is beside the project");
        let now = || build.fingerprint(&build.inputs().expect("read"), &tool).expect("hashed");
        let first = now();
        for (name, is_part) in [
            ("README.md", false),
            ("cases.yaml", false),
            (".git/HEAD", false),
            ("node_modules/a/index.js", false),
            ("elsewhere/components/a.wasm", false),
            ("lib/more.js", true),
        ] {
            let path = dir.join(name);
            std::fs::create_dir_all(path.parent().expect("a directory")).expect("made");
            std::fs::write(&path, "text").expect("written");
            assert_eq!(now() != first, is_part, "{name}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        let dir = with_tool("id = \"a\"\nworlds = [\"static-policy\"]\nwit = \"0.1.0\"\n");
        let error = build(dir.path()).expect_err("no version").to_string();
        assert!(error.contains("`version` is missing"), "{error}");
        let dir =
            with_tool("id = \"a\"\nversion = \"0.1.0\"\nworlds = [\"static-policy\"]\nwit = \"0.1.0\"\n");
        std::fs::write(dir.path().join("mine/fail"), "").expect("written");
        let error = build(dir.path()).expect_err("the tool fails").to_string();
        assert!(error.contains("`jco componentize plugin.js") && error.contains("no luck"), "{error}");
    }
}
