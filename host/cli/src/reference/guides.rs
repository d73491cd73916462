//! Tests of what is written for users: each command line can be parsed, each link leads somewhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use oc_mirror_model::config::{DocumentKind, schema};
use serde_json::Value;

use crate::args;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the sources are there")
}

/// Returns all that is written for users.
fn guides() -> Vec<PathBuf> {
    let files = |dir: &str| {
        let entries = fs::read_dir(root().join(dir)).expect("a directory of guides");
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
        files.sort();
        files
    };
    let others = ["README.md", "SECURITY.md", "host/README.md", "wit/README.md", "examples/README.md"];
    let others = others.iter().map(|path| root().join(path));
    others.chain(["docs", "docs/topics", "docs/reference"].into_iter().flat_map(files)).collect()
}

/// Returns the lines of blocks for a shell, those that go on in the next one joined.
fn shell_lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut is_shell = false;
    let mut goes_on = false;
    for line in text.lines() {
        if let Some(language) = line.trim().strip_prefix("```") {
            is_shell = !is_shell && ["sh", "console", "bash"].contains(&language);
            continue;
        }
        if !is_shell {
            continue;
        }
        let line = line.trim().trim_start_matches("$ ");
        let (part, more) = line.strip_suffix('\\').map_or((line, false), |part| (part.trim(), true));
        match lines.last_mut().filter(|_| goes_on) {
            Some(last) => last.push_str(&format!(" {part}")),
            None => lines.push(part.to_owned()),
        }
        goes_on = more;
    }
    lines
}

/// Splits a line into the commands in it, and these into words, as a shell does as far as guides need it.
fn commands(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, '&' | '|' | ';' | '(' | ')' | '<' | '>') | (None, ' ') => {
                commands.last_mut().expect("there is one").extend(word.take());
                if c != ' ' {
                    commands.push(Vec::new());
                }
            }
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    commands.last_mut().expect("there is one").extend(word);
    commands
}

/// Returns the arguments if a command is one of ours.
fn ours(words: &[String]) -> Option<&[String]> {
    let is_assignment = |word: &String| {
        word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        })
    };
    let start = words.iter().position(|word| !is_assignment(word) && word != "sudo")?;
    match &words[start..] {
        [program, rest @ ..] if program == "oc-mirror" => Some(rest),
        [program, plugin, rest @ ..]
            if ["oc", "kubectl"].contains(&program.as_str()) && plugin == "mirror" =>
        {
            Some(rest)
        }
        _ => None,
    }
}

#[test]
fn every_command_line_can_be_parsed() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for path in guides() {
        let text = fs::read_to_string(&path).expect("a guide");
        for line in shell_lines(&text) {
            for words in commands(&line) {
                let Some(words) = ours(&words) else { continue };
                count += 1;
                let words = std::iter::once("oc-mirror").chain(words.iter().map(String::as_str));
                match args::command().try_get_matches_from(words) {
                    Ok(_) => {}
                    Err(e) if [ErrorKind::DisplayHelp, ErrorKind::DisplayVersion].contains(&e.kind()) => {}
                    Err(e) => wrong.push(format!("{}: {line}\n{e}", path.display())),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 40, "{count} command lines were found");
}

/// Returns what headings are linked by.
fn anchors(text: &str) -> Vec<String> {
    let mut is_code = false;
    let mut anchors: Vec<String> = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        let Some(heading) = line.strip_prefix('#').filter(|_| !is_code) else { continue };
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let again = anchors.iter().filter(|known| **known == anchor).count();
        anchors.push(anchor.clone());
        // The second of the same name has a number.
        if again > 0 {
            anchors.push(format!("{anchor}-{again}"));
        }
    }
    anchors
}

/// Returns where the links of a text lead.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    let lines = text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    });
    lines.flat_map(|line| line.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(to, _)| to)))
}

#[test]
fn every_link_leads_somewhere() {
    let mut wrong = Vec::new();
    for path in guides() {
        let text = fs::read_to_string(&path).expect("a guide");
        for link in links(&text).filter(|link| !link.contains("://")) {
            let (file, anchor) =
                link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
            let to =
                if file.is_empty() { path.clone() } else { path.parent().expect("a directory").join(file) };
            if !to.exists() {
                wrong.push(format!("{}: {link}: there is no such file", path.display()));
                continue;
            }
            let is_there = |anchor: &str| {
                fs::read_to_string(&to).is_ok_and(|text| anchors(&text).iter().any(|known| known == anchor))
            };
            if anchor.is_some_and(|anchor| !is_there(anchor)) {
                wrong.push(format!("{}: {link}: there is no such heading", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn shells_are_understood() {
    let text = "```sh\nA=1 oc-mirror a \\\n   'b c' && source <(oc-mirror d)   # oc-mirror e\noc mirror f; other\n```\n```yaml\noc-mirror g\n```\n";
    let lines = shell_lines(text);
    let found: Vec<Vec<String>> = lines
        .iter()
        .flat_map(|line| commands(line))
        .filter_map(|words| ours(&words).map(<[String]>::to_vec))
        .collect();
    assert_eq!(found, [vec!["a", "b c"], vec!["d"], vec!["f"]]);
}

/// Returns the rows of all tables, without their heads.
fn rows(text: &str) -> Vec<Vec<String>> {
    let tables = crate::help::parse(text).into_iter().filter_map(|block| match block {
        crate::help::Block::Table(rows) => Some(rows),
        _ => None,
    });
    tables.flat_map(|rows| rows.into_iter().skip(1)).collect()
}

/// Returns the texts between backticks, which may be doubled around one that has some itself.
fn code(cell: &str) -> Vec<&str> {
    let mark = if cell.contains("`` ") { "``" } else { "`" };
    if mark == "``" { cell.split(mark).skip(1).step_by(2).collect() } else { vec![cell.trim_matches('`')] }
}

/// Returns all sources, without line ends in texts, marks and escapes.
fn sources() -> String {
    fn read(dir: &Path, text: &mut String) {
        for entry in fs::read_dir(dir).expect("a directory of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                read(&path, text);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&fs::read_to_string(&path).expect("a source"));
            }
        }
    }
    let mut text = String::new();
    ["host/cli/src", "host/engine/src", "host/model/src", "host/clusters/src"]
        .iter()
        .for_each(|dir| read(&root().join(dir), &mut text));
    let mut joined = String::new();
    for part in text.split("\\\n") {
        joined.push_str(part.trim_start());
    }
    joined
}

#[test]
fn messages_are_those_of_the_program() {
    let text = fs::read_to_string(root().join("docs/troubleshooting.md")).expect("a guide");
    let sources = sources();
    let mut unknown = Vec::new();
    let mut count = 0;
    for row in rows(&text).into_iter().filter(|row| row.len() == 3) {
        for message in code(&row[0]) {
            count += 1;
            let parts = message.split('…').map(|part| part.trim_matches('`'));
            let missing = parts.filter(|part| part.trim().len() > 3 && !sources.contains(part.trim()));
            unknown.extend(missing.map(|part| format!("{message}: {part}")));
        }
    }
    assert!(unknown.is_empty(), "nothing says this: {unknown:#?}");
    assert!(count > 30, "{count} messages were found");
}

#[test]
fn flags_of_predecessors_are_as_told() {
    let root_command = args::command();
    let delete = root_command.find_subcommand("delete").expect("there is one");
    let mut wrong = Vec::new();
    let mut count = 0;
    for name in ["from-oc-mirror-v1.md", "from-oc-mirror-v2.md"] {
        let text = fs::read_to_string(root().join("docs").join(name)).expect("a guide");
        for row in rows(&text)
            .iter()
            .filter(|row| row[0].contains("--") && ["same", "accepted", "gone"].contains(&row[1].as_str()))
        {
            for flag in row[0].split(['`', ',', ' ']).filter_map(|word| word.strip_prefix("--")) {
                count += 1;
                let command = if row[0].starts_with("`delete ") { delete } else { &root_command };
                let is_there = command.get_arguments().any(|arg| arg.get_long() == Some(flag));
                if is_there == (row[1] == "gone") {
                    wrong.push(format!("{name}: --{flag} is {}", row[1]));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(count > 70, "{count} flags were found");
}

/// Returns the fields that a row names: the first in full, those after it beside it.
fn fields(cell: &str) -> Vec<String> {
    let names: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
    let beside = names.first().and_then(|first| first.rsplit_once('.')).map_or("", |(front, _)| front);
    let in_full = |(place, name): (usize, &&str)| match place {
        0 => (*name).to_owned(),
        _ => format!("{beside}.{name}"),
    };
    names.iter().enumerate().map(in_full).collect()
}

/// Returns all fields of a kind of configuration that hold a value, such as `mirror.operators[].catalog`.
fn leaves(kind: DocumentKind) -> BTreeSet<String> {
    fn of(root: &Value, schema: &Value, path: &str, found: &mut BTreeSet<String>) {
        let target = schema["$ref"].as_str().and_then(|name| root.pointer(name.strip_prefix('#')?));
        if let Some(target) = target {
            return of(root, target, path, found);
        }
        let parts = ["anyOf", "oneOf"].into_iter().filter_map(|key| schema[key].as_array()).flatten();
        let mut is_leaf = true;
        for part in parts.filter(|part| part["type"] != "null") {
            of(root, part, path, found);
            is_leaf = false;
        }
        if let Some(items) = schema.get("items") {
            of(root, items, &format!("{path}[]"), found);
            is_leaf = false;
        }
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            of(root, field, format!("{path}.{name}").trim_start_matches('.'), found);
            is_leaf = false;
        }
        if is_leaf {
            found.insert(path.trim_end_matches("[]").to_owned());
        }
    }
    let root = schema(kind);
    let mut found = BTreeSet::new();
    of(&root, &root, "", &mut found);
    found
}

#[test]
fn fields_of_predecessors_are_all_told_of() {
    let mut told = Vec::new();
    for (name, kind) in [
        ("from-oc-mirror-v1.md", DocumentKind::ImageSetV1Alpha2),
        ("from-oc-mirror-v2.md", DocumentKind::ImageSetV2Alpha1),
    ] {
        let text = fs::read_to_string(root().join("docs").join(name)).expect("a guide");
        let known = leaves(kind);
        let named: BTreeSet<String> = rows(&text)
            .iter()
            .filter(|row| {
                ["`mirror.", "`archiveSize", "`storageConfig"].iter().any(|front| row[0].starts_with(front))
            })
            .flat_map(|row| fields(&row[0]))
            .collect();
        let strange: Vec<&String> = named
            .iter()
            .filter(|name| {
                !known.iter().any(|known| known == *name || known.starts_with(&format!("{name}[]")))
            })
            .collect();
        assert!(strange.is_empty(), "{name}: no such fields: {strange:#?} of {known:#?}");
        told.push((known, named));
    }
    let (known, named) = &told[0];
    // What v1 does not have: other places for the record, plugins, and more ways to block, one of them without a key.
    let ours = [
        "kind",
        "apiVersion",
        "storageConfig.s3",
        "mirror.plugins",
        "mirror.policies",
        "mirror.blockedImages[].",
    ];
    let is_ours =
        |field: &str| field == "mirror.blockedImages" || ours.iter().any(|ours| field.starts_with(ours));
    let missing: Vec<&String> =
        known.iter().filter(|field| !named.contains(*field) && !is_ours(field)).collect();
    assert!(missing.is_empty(), "from-oc-mirror-v1.md does not tell of {missing:#?}");
}
