//! The inventory of `unsafe`: what is not here does not pass, in any workspace of this repository.

use std::collections::BTreeMap;

use crate::lexer::tokens;
use crate::rules::Source;

/// One file with `unsafe` in it, or that allows it to code that a macro makes.
pub(crate) struct Entry {
    /// From the root of the repository.
    pub(crate) path: &'static str,
    /// How often it says `unsafe`.
    pub(crate) uses: usize,
    /// How often it allows `unsafe_code`.
    pub(crate) allowed: usize,
    /// What for.
    #[allow(dead_code)]
    pub(crate) why: &'static str,
}

/// All there are.
pub(crate) const INVENTORY: [Entry; 8] = [
    Entry {
        path: "host/cli/src/memory.rs",
        uses: 2,
        allowed: 2,
        why: "settings of the C library's allocator, which takes numbers alone",
    },
    Entry {
        path: "host/cli/src/secrecy.rs",
        uses: 1,
        allowed: 1,
        why: "private keys are taken out of the environment before there are other threads",
    },
    Entry {
        path: "host/plugin-host/src/cache.rs",
        uses: 1,
        allowed: 1,
        why: "compiled plugins are loaded from a file that nobody else can write to, and that was hashed",
    },
    Entry {
        path: "plugins/sdk/src/bindings.rs",
        uses: 0,
        allowed: 1,
        why: "bindings that wit-bindgen makes",
    },
    Entry { path: "plugins/sdk/src/export.rs", uses: 0, allowed: 1, why: "bindings that wit-bindgen makes" },
    Entry {
        path: "tests/guests/wasi/src/bindings.rs",
        uses: 0,
        allowed: 1,
        why: "bindings that wit-bindgen makes",
    },
    Entry {
        path: "tests/released/0.1.0/src/lib.rs",
        uses: 0,
        allowed: 1,
        why: "bindings that wit-bindgen makes",
    },
    Entry {
        path: "tests/fuzz/src/memory.rs",
        uses: 9,
        allowed: 1,
        why: "an allocator that counts, for fuzz targets alone",
    },
];

/// Reports what is not in the inventory, what is in it and not there, and what stands without a proof.
pub(crate) fn unsafety(sources: &[Source], inventory: &[Entry]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut found: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for source in sources {
        let lines: Vec<&str> = source.text().lines().collect();
        for token in tokens(source.text()) {
            match token.text.as_str() {
                "unsafe" => {
                    found.entry(source.path()).or_default().0 += 1;
                    if !is_proven(&lines[..token.line - 1]) {
                        let at = format!("{}:{}", source.path(), token.line);
                        problems.push(format!("{at}: `unsafe` without a comment `SAFETY:` right before it"));
                    }
                }
                "unsafe_code" => found.entry(source.path()).or_default().1 += 1,
                _ => {}
            }
        }
    }
    for (path, (uses, allowed)) in &found {
        let known =
            inventory.iter().find(|entry| entry.path == *path).map_or((0, 0), |e| (e.uses, e.allowed));
        if known != (*uses, *allowed) {
            problems.push(format!(
                "{path} says `unsafe` {uses} times and allows it {allowed} times; the inventory has {} and {}",
                known.0, known.1
            ));
        }
    }
    let gone = inventory.iter().filter(|entry| !found.contains_key(entry.path));
    problems.extend(gone.map(|entry| format!("{} is in the inventory and has no `unsafe`", entry.path)));
    problems
}

/// Whether the comment and attributes that end these lines have a proof in them.
fn is_proven(before: &[&str]) -> bool {
    let above = before.iter().rev().map(|line| line.trim());
    above
        .take_while(|line| line.starts_with("//") || line.starts_with("#["))
        .any(|line| line.contains("SAFETY:"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn problems(text: &str, uses: usize, allowed: usize) -> Vec<String> {
        let source = Source::new(Path::new("host/a/src/b.rs"), text.to_owned()).expect("a source");
        let entry = Entry { path: "host/a/src/b.rs", uses, allowed, why: "" };
        unsafety(&[source], if uses + allowed > 0 { std::slice::from_ref(&entry) } else { &[] })
    }

    #[test]
    fn what_is_known_and_proven_passes() {
        let text = "#[allow(unsafe_code)]\nfn f() {\n    // SAFETY: it is\n    // nothing.\n    #[inline]\n    unsafe { g() }\n}\n";
        assert_eq!(problems(text, 1, 1), [""; 0]);
        assert_eq!(
            problems("// unsafe\nconst A: &str = \"unsafe { }\";\nfn unsafe_name() {}\n", 0, 0),
            [""; 0]
        );
    }

    #[test]
    fn what_is_new_or_gone_or_not_proven_does_not() {
        let text = "fn f() {\n    // SAFETY: it is nothing.\n    unsafe { g() }\n}\n";
        assert!(problems(text, 0, 0)[0].contains("1 times and allows it 0 times; the inventory has 0 and 0"));
        assert!(problems(text, 2, 0)[0].contains("the inventory has 2 and 0"));
        assert!(problems("fn f() {}\n", 1, 0)[0].contains("has no `unsafe`"));
        let text = "// SAFETY: far away.\n\nfn f() {\n    unsafe { g() }\n}\n";
        assert!(problems(text, 1, 0)[0].starts_with("host/a/src/b.rs:4: `unsafe` without"));
        assert!(problems("unsafe impl Send for A {}\n", 1, 0)[0].contains("without a comment"));
        assert!(problems("#![allow(unsafe_code)]\n", 0, 0)[0].contains("allows it 1 times"));
    }
}
