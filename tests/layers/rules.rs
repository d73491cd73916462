//! The rules. Each takes text and returns what is wrong with it, so that it can be shown that it finds something.

use std::collections::BTreeSet;
use std::path::{Component, Path};

use crate::lexer::{Token, tokens, without_tests};
use crate::table::{self, CONFINED, ENGINE_FOR_PLUGIN_HOST, MOST_LINES, PACKAGES, SILENT};

/// One file of Rust.
#[derive(Debug)]
pub(crate) struct Source {
    path: String,
    /// The directory below `host/`, or whatever comes first elsewhere.
    package: String,
    /// The module the file is, as names below the crate; none for `lib.rs`, `main.rs` and what is not below `src/`.
    module: Vec<String>,
    text: String,
}

impl Source {
    /// Places a file, or returns nothing when it is not in a package.
    pub(crate) fn new(path: &Path, text: String) -> Option<Self> {
        let mut parts = path.components().filter_map(|part| match part {
            Component::Normal(name) => name.to_str(),
            _ => None,
        });
        let package = parts.by_ref().nth(1)?.trim_end_matches(".rs").to_string();
        let mut module: Vec<String> = parts.map(|part| part.trim_end_matches(".rs").to_string()).collect();
        if !module.is_empty() && module.remove(0) != "src" {
            module.clear();
        }
        if module.last().is_some_and(|name| matches!(name.as_str(), "mod" | "lib" | "main")) {
            module.pop();
        }
        Some(Self { path: path.display().to_string(), package, module, text })
    }

    /// Returns where it is, from the root of the repository.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Returns what is in it.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    fn room(&self) -> Option<&str> {
        self.module.first().map(String::as_str)
    }

    /// Whether it is part of the package's product, as build scripts and tests are not.
    fn is_product(&self) -> bool {
        self.path.contains("/src/")
    }
}

/// A path as code names it, from the crate it begins in.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Reference {
    /// A package of ours, or `std`.
    package: String,
    segments: Vec<String>,
    line: usize,
}

/// Reports uses of what the table does not list. Test code may use anything.
pub(crate) fn edges(sources: &[Source]) -> Vec<String> {
    let problems: BTreeSet<String> = product(sources).flat_map(edges_of).collect();
    problems.into_iter().collect()
}

/// Returns the files that are neither tests nor modules declared for tests only.
fn product(sources: &[Source]) -> impl Iterator<Item = &Source> {
    let tests: BTreeSet<(String, Vec<String>)> = sources.iter().flat_map(test_modules).collect();
    sources.iter().filter(move |source| {
        source.is_product()
            && !(1..=source.module.len())
                .any(|length| tests.contains(&(source.package.clone(), source.module[..length].to_vec())))
    })
}

fn test_modules(source: &Source) -> Vec<(String, Vec<String>)> {
    let declared = without_tests(tokens(&source.text)).1;
    let child = |name: String| source.module.iter().cloned().chain([name]).collect();
    declared.into_iter().map(|name| (source.package.clone(), child(name))).collect()
}

fn edges_of(source: &Source) -> Vec<String> {
    let found = references(source);
    let problems = found.iter().filter_map(|reference| {
        let problem = if reference.package == "std" {
            None
        } else if reference.package != source.package {
            foreign_edge(source, reference)
        } else if source.package == "engine" {
            engine_edge(source, reference)
        } else {
            None
        };
        problem.map(|problem| format!("{}:{}: {problem}", source.path, reference.line))
    });
    problems.collect()
}

/// An edge between packages.
fn foreign_edge(source: &Source, reference: &Reference) -> Option<String> {
    let (from, to) = (source.package.as_str(), reference.package.as_str());
    let may = table::package(from)?;
    if !may.contains(&to) {
        return Some(format!("package `{from}` may not use `{to}`; it may use {}", names(may)));
    }
    let room = reference.segments.first().map_or("*", String::as_str);
    if (from, to) == ("plugin-host", "engine") && !ENGINE_FOR_PLUGIN_HOST.contains(&room) {
        let may = names(&ENGINE_FOR_PLUGIN_HOST);
        return Some(format!("package `{from}` may not use room `{room}` of the engine; it may use {may}"));
    }
    None
}

/// An edge between rooms of the engine. The crate's own file only declares them.
fn engine_edge(source: &Source, reference: &Reference) -> Option<String> {
    let from = source.room()?;
    let to = reference.segments.first().map_or("*", String::as_str);
    if from == to {
        return None;
    }
    let Some(may) = table::room(from) else {
        return Some(format!("room `{from}` is not in the table"));
    };
    match table::room(to) {
        None => Some(format!("`crate::{to}` is not a room of the table")),
        Some(_) if !may.contains(&to) => {
            Some(format!("room `{from}` may not use `{to}`; it may use {}", names(may)))
        }
        Some(_) => None,
    }
}

fn names(list: &[&str]) -> String {
    if list.is_empty() { "`model` or nothing of ours".to_string() } else { list.join(", ") }
}

/// Reports files and directories of the engine that are no room of the table.
pub(crate) fn unknown_rooms(sources: &[Source]) -> Vec<String> {
    let rooms: BTreeSet<&str> =
        sources.iter().filter(|source| source.package == "engine").filter_map(Source::room).collect();
    let unknown = rooms.iter().filter(|room| table::room(room).is_none());
    unknown.map(|room| format!("room `{room}` of the engine is not in the table")).collect()
}

/// Reports output and environment in packages that have to be silent.
pub(crate) fn noises(sources: &[Source]) -> Vec<String> {
    let mut problems = Vec::new();
    for source in product(sources).filter(|source| SILENT.contains(&source.package.as_str())) {
        let (found, _) = without_tests(tokens(&source.text));
        for pair in found.windows(2) {
            let name = pair[0].text.as_str();
            if pair[1].text == "!" && matches!(name, "print" | "println" | "eprint" | "eprintln" | "dbg") {
                problems.push(format!("{}:{}: `{name}!` in a silent package", source.path, pair[0].line));
            }
        }
        for reference in references(source) {
            if reference.package == "std" && reference.segments.first().is_some_and(|name| name == "env") {
                let line = reference.line;
                problems.push(format!("{}:{line}: `std::env` in a silent package", source.path));
            }
        }
    }
    problems
}

/// Reports unfinished code and files that have grown too long.
pub(crate) fn leftovers(sources: &[Source]) -> Vec<String> {
    let mut problems = Vec::new();
    for source in sources {
        let lines = source.text.lines().count();
        if lines > MOST_LINES {
            problems.push(format!("{} has {lines} lines, more than {MOST_LINES}", source.path));
        }
        for pair in tokens(&source.text).windows(2) {
            if pair[1].text == "!" && matches!(pair[0].text.as_str(), "todo" | "unimplemented") {
                problems.push(format!("{}:{}: `{}!`", source.path, pair[0].line, pair[0].text));
            }
        }
    }
    problems
}

/// Reports dependencies of a manifest below `host/` that the table does not list.
pub(crate) fn dependencies(path: &Path, text: &str) -> Vec<String> {
    let dir = path.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default();
    let path = path.display();
    let Some(may) = table::package(dir) else {
        return vec![format!("{path}: package `{dir}` is not in the table")];
    };
    let mut problems = Vec::new();
    let mut section = "";
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
            // The long form: `[dependencies.name]`.
            let name = section.rsplit_once("dependencies.").map_or("", |(_, name)| name);
            check_dependency(name, dir, may, section, &mut problems);
        } else if section.ends_with("dependencies")
            && let Some((name, _)) = line.split_once(['.', '=', ' '])
        {
            check_dependency(name.trim_matches('"'), dir, may, section, &mut problems);
        }
    }
    problems.into_iter().map(|problem| format!("{path}: {problem}")).collect()
}

fn check_dependency(name: &str, dir: &str, may: &[&str], section: &str, problems: &mut Vec<String>) {
    if CONFINED.iter().any(|(confined, home)| *confined == name && *home != dir) {
        problems.push(format!("only one package may depend on `{name}`"));
    }
    let ours = PACKAGES.iter().find(|(_, in_code, _)| *in_code == name.replace('-', "_"));
    if let Some((other, _, _)) = ours
        && !section.contains("dev-dependencies")
        && !may.contains(other)
    {
        problems.push(format!("package `{dir}` may not depend on `{other}`; it may use {}", names(may)));
    }
}

/// Returns every path of a file, outside of its tests, that begins in a crate of ours or in `std`.
fn references(source: &Source) -> Vec<Reference> {
    let (tokens, _) = without_tests(tokens(&source.text));
    let mut walk = Walk { source, tokens: &tokens, found: Vec::new(), inline: Vec::new(), depth: 0 };
    for at in 0..tokens.len() {
        walk.visit(at);
    }
    walk.found
}

struct Walk<'a> {
    source: &'a Source,
    tokens: &'a [Token],
    found: Vec<Reference>,
    /// The modules written out in this file around the present place, with the depth of their braces.
    inline: Vec<(String, usize)>,
    depth: usize,
}

impl Walk<'_> {
    fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| token.text.as_str())
    }

    fn visit(&mut self, at: usize) {
        match self.text(at) {
            "{" => self.depth += 1,
            "}" => {
                self.depth = self.depth.saturating_sub(1);
                self.inline.retain(|(_, depth)| *depth < self.depth + 1);
            }
            "mod" if self.text(at + 2) == "{" => {
                self.inline.push((self.text(at + 1).to_string(), self.depth + 1));
            }
            name => {
                let begins =
                    at == 0 || self.text(at - 1) != "::" || !is_name(self.text(at.saturating_sub(2)));
                if begins && let Some((package, segments, next)) = self.start(name, at) {
                    self.path(next, &package, segments);
                }
            }
        }
    }

    /// Resolves the beginning of a path: the package, the segments so far, and where it goes on.
    fn start(&self, name: &str, at: usize) -> Option<(String, Vec<String>, usize)> {
        if self.text(at + 1) != "::" {
            return None;
        }
        let own = self.source.package.clone();
        match name {
            "crate" => Some((own, Vec::new(), at + 1)),
            "super" => {
                let inline = self.inline.iter().map(|(name, _)| name.clone());
                let mut module: Vec<String> = self.source.module.iter().cloned().chain(inline).collect();
                module.pop();
                let mut next = at + 1;
                while self.text(next + 1) == "super" && self.text(next + 2) == "::" {
                    module.pop();
                    next += 2;
                }
                Some((own, module, next))
            }
            "std" => Some(("std".to_string(), Vec::new(), at + 1)),
            other => {
                let (package, _, _) = PACKAGES.iter().find(|(_, in_code, _)| *in_code == other)?;
                Some((package.to_string(), Vec::new(), at + 1))
            }
        }
    }

    /// Follows a path from its next `::` to its ends, of which a group has several.
    fn path(&mut self, mut at: usize, package: &str, mut segments: Vec<String>) {
        let line = self.tokens[at].line;
        while self.text(at) == "::" {
            match self.text(at + 1) {
                "{" => return self.group(at + 2, package, &segments),
                "self" => at += 2,
                name if is_name(name) || name == "*" => {
                    segments.push(name.to_string());
                    at += 2;
                }
                // Generic arguments end what matters.
                _ => break,
            }
        }
        self.found.push(Reference { package: package.to_string(), segments, line });
    }

    /// Follows each member of a group, nested groups included.
    fn group(&mut self, mut at: usize, package: &str, before: &[String]) {
        let mut depth = 0;
        let mut fresh = true;
        while at < self.tokens.len() {
            match self.text(at) {
                "{" => depth += 1,
                "}" if depth == 0 => return,
                "}" => depth -= 1,
                "," if depth == 0 => fresh = true,
                name if fresh && depth == 0 => {
                    fresh = false;
                    let mut segments = before.to_vec();
                    if name != "self" {
                        segments.push(name.to_string());
                    }
                    self.path(at + 1, package, segments);
                }
                _ => {}
            }
            at += 1;
        }
    }
}

fn is_name(text: &str) -> bool {
    text.chars().next().is_some_and(|c| c.is_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source::new(Path::new(path), text.to_string()).unwrap()
    }

    fn edge_problems(path: &str, text: &str) -> Vec<String> {
        edges(&[source(path, text)])
    }

    #[test]
    fn files_have_modules() {
        let cases: [(&str, &str, &[&str]); 6] = [
            ("host/engine/src/lib.rs", "engine", &[]),
            ("host/engine/src/fsx/mod.rs", "engine", &["fsx"]),
            ("host/engine/src/registry/auth/basic.rs", "engine", &["registry", "auth", "basic"]),
            ("host/engine/src/policy.rs", "engine", &["policy"]),
            ("host/plugin-host/build.rs", "plugin-host", &[]),
            ("tests/layers/main.rs", "layers", &[]),
        ];
        for (path, package, module) in cases {
            let found = source(path, "");
            assert_eq!(
                (found.package.as_str(), found.module.as_slice()),
                (package, to_strings(module).as_slice())
            );
        }
    }

    fn to_strings(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| text.to_string()).collect()
    }

    #[test]
    fn groups_are_taken_apart() {
        let text = "use crate::{a, b::{self, c::D}, e as f}; fn g() { super::x::y(); ::std::env::var(1) }";
        let found = references(&source("host/engine/src/m/n.rs", text));
        let paths: Vec<String> =
            found.iter().map(|r| format!("{} {}", r.package, r.segments.join("::"))).collect();
        let expected =
            ["engine a", "engine b", "engine b::c::D", "engine e", "engine m::x::y", "std env::var"];
        assert_eq!(paths, expected);
    }

    #[test]
    fn allowed_edges_pass() {
        let cases = [
            ("host/engine/src/registry/mod.rs", "use crate::{content::ContentRead, net, fsx};"),
            (
                "host/engine/src/registry/auth.rs",
                "use super::client::Client; use oc_mirror_model::digest::Digest;",
            ),
            (
                "host/engine/src/registry/mod.rs",
                "mod inner { use super::client::X; fn f() { super::super::net::g() } }",
            ),
            (
                "host/engine/src/workflow/mod.rs",
                "use crate::registry; use crate::serve; use crate::resources;",
            ),
            ("host/engine/src/lib.rs", "pub mod registry; use crate::registry::X;"),
            ("host/engine/src/plan/mod.rs", "#[cfg(test)] mod tests { use crate::archive::X; }"),
            ("host/plugin-host/src/lib.rs", "use oc_mirror_engine::{source, policy::Policy};"),
            ("host/cli/src/main.rs", "use oc_mirror_engine::workflow; use oc_mirror_plugin_host::Host;"),
            ("host/engine/src/plan/mod.rs", "// crate::archive\nconst A: &str = \"crate::archive::X\";"),
        ];
        for (path, text) in cases {
            assert_eq!(edge_problems(path, text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn forbidden_edges_are_found() {
        let cases = [
            (
                "host/engine/src/registry/mod.rs",
                "use crate::layout::Layout;",
                "room `registry` may not use `layout`",
            ),
            (
                "host/engine/src/registry/mod.rs",
                "use super::archive;",
                "room `registry` may not use `archive`",
            ),
            ("host/engine/src/registry/auth.rs", "use super::super::archive::X;", "may not use `archive`"),
            (
                "host/engine/src/layout.rs",
                "use crate::{content, registry};",
                "room `layout` may not use `registry`",
            ),
            (
                "host/engine/src/plan/mod.rs",
                "fn f() { crate::fsx::write() }",
                "room `plan` may not use `fsx`",
            ),
            ("host/engine/src/plan/mod.rs", "use crate::*;", "`crate::*` is not a room"),
            ("host/engine/src/plan/mod.rs", "use crate::Shortcut;", "`crate::Shortcut` is not a room"),
            ("host/engine/src/extra.rs", "use crate::fsx;", "room `extra` is not in the table"),
            (
                "host/engine/src/fsx/mod.rs",
                "use oc_mirror_plugin_host::Host;",
                "`engine` may not use `plugin-host`",
            ),
            ("host/model/src/lib.rs", "use oc_mirror_engine::fsx;", "`model` may not use `engine`"),
            (
                "host/plugin-host/src/lib.rs",
                "use oc_mirror_engine::{source, registry};",
                "room `registry` of the engine",
            ),
            ("host/plugin-host/src/lib.rs", "use oc_mirror_engine::*;", "room `*` of the engine"),
            ("host/engine/src/fsx/mod.rs", "#[cfg(not(test))] use crate::net;", "may not use `net`"),
        ];
        for (path, text, expected) in cases {
            let problems = edge_problems(path, text);
            assert!(problems.len() == 1 && problems[0].contains(expected), "{text}: {problems:?}");
        }
    }

    #[test]
    fn a_test_module_in_a_file_of_its_own_is_free() {
        let room = source("host/engine/src/plan/mod.rs", "#[cfg(test)] mod tests;");
        let tests = source("host/engine/src/plan/tests.rs", "use crate::archive::X;");
        assert!(edges(&[room, tests]).is_empty());
        let free = source("host/engine/tests/all.rs", "use crate::archive::X; fn f() { println!() }");
        assert!(edges(std::slice::from_ref(&free)).is_empty() && noises(&[free]).is_empty());
        let undeclared = source("host/engine/src/plan/tests.rs", "use crate::archive::X;");
        assert_eq!(edges(&[undeclared]).len(), 1);
    }

    #[test]
    fn a_problem_has_a_place() {
        let problems = edge_problems("host/engine/src/plan/mod.rs", "\n\nuse crate::net;");
        assert_eq!(
            problems,
            [
                "host/engine/src/plan/mod.rs:3: room `plan` may not use `net`; it may use `model` or nothing of ours"
            ]
        );
    }

    #[test]
    fn unknown_rooms_are_found() {
        let sources = [source("host/engine/src/utils/mod.rs", ""), source("host/engine/src/net.rs", "")];
        assert_eq!(unknown_rooms(&sources), ["room `utils` of the engine is not in the table"]);
    }

    #[test]
    fn noises_are_found() {
        let cases = [
            ("host/engine/src/net.rs", "fn f() { println!(\"x\") }", 1),
            ("host/model/src/lib.rs", "use std::{fs, env};", 1),
            ("host/plugin-host/src/lib.rs", "fn f() { std::env::var(\"HOME\"); eprint!(\"x\") }", 2),
            ("host/cli/src/main.rs", "fn f() { println!(\"x\") }", 0),
            ("host/plugin-host/build.rs", "fn main() { println!(\"cargo::x\"); }", 0),
            ("host/engine/src/net.rs", "// println!()\n#[cfg(test)] mod t { fn f() { println!() } }", 0),
        ];
        for (path, text, count) in cases {
            let problems = noises(&[source(path, text)]);
            assert_eq!(problems.len(), count, "{text}: {problems:?}");
        }
    }

    #[test]
    fn leftovers_are_found() {
        let long = "\n".repeat(MOST_LINES + 1);
        let sources = [source("host/a/src/lib.rs", &long), source("host/a/src/b.rs", "fn f() { todo!() }")];
        assert_eq!(
            leftovers(&sources),
            ["host/a/src/lib.rs has 901 lines, more than 900", "host/a/src/b.rs:1: `todo!`"]
        );
    }

    #[test]
    fn forbidden_dependencies_are_found() {
        let cases = [
            ("host/model/Cargo.toml", "[dependencies]\nserde.workspace = true\n", 0),
            ("host/engine/Cargo.toml", "[dev-dependencies]\noc-mirror-testkit.workspace = true\n", 0),
            ("host/engine/Cargo.toml", "[dependencies]\noc-mirror-testkit.workspace = true\n", 1),
            ("host/engine/Cargo.toml", "[dependencies]\nwasmtime = \"48\"\n", 1),
            ("host/engine/Cargo.toml", "[dev-dependencies]\nwasmtime-wasi.workspace = true\n", 1),
            ("host/engine/Cargo.toml", "[dependencies.wasmtime]\nversion = \"48\"\n", 1),
            ("host/plugin-host/Cargo.toml", "[dependencies]\nwasmtime.workspace = true\n", 0),
            ("host/model/Cargo.toml", "[dependencies]\noc-mirror-engine = { path = \"../engine\" }\n", 1),
            ("host/extra/Cargo.toml", "[package]\n", 1),
        ];
        for (path, text, count) in cases {
            let problems = dependencies(Path::new(path), text);
            assert_eq!(problems.len(), count, "{text}: {problems:?}");
        }
    }
}
