//! The YAML text as a tree of [`Node`]s that know where they stand.
//!
//! Knows YAML and nothing of configurations. Size, depth and what aliases expand to are bounded.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{
    self as granit, ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag,
};

use super::problem::{Position, Problem};

/// The largest text that is read; the largest real configurations are a hundredth of it.
const MAX_TEXT: usize = 4 << 20;
/// The deepest nesting; the schema needs 9.
const MAX_DEPTH: usize = 64;
/// What all aliases of a text may expand to: one per node, one per byte of text.
const MAX_EXPANSION: usize = 2 << 20;

/// A value and where it starts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) content: Content,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Content {
    Scalar(Scalar),
    List(Vec<Node>),
    Mapping(Vec<Entry>),
}

/// A key of a mapping and its value, in the order of the text; a key may occur twice.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_at: Position,
    pub(super) value: Node,
    plain_key: bool,
}

/// A scalar as it was written, and what YAML's core schema takes it for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scalar {
    pub(super) text: String,
    pub(super) kind: ScalarKind,
    /// Whether it stood without quotes.
    pub(super) plain: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScalarKind {
    Null,
    Bool,
    Integer,
    Float,
    Text,
}

impl Node {
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar(Scalar { kind: ScalarKind::Null, .. }))
    }

    /// Returns the text of a scalar that is text.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(Scalar { kind: ScalarKind::Text, text, .. }) => Some(text),
            _ => None,
        }
    }

    /// Returns the entries of a mapping; of anything else, none.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.content {
            Content::Mapping(entries) => entries,
            _ => &[],
        }
    }

    fn weight(&self) -> usize {
        match &self.content {
            Content::Scalar(scalar) => 1 + scalar.text.len(),
            Content::List(items) => 1 + items.iter().map(Node::weight).sum::<usize>(),
            Content::Mapping(entries) => {
                1 + entries.iter().map(|e| 1 + e.key.len() + e.value.weight()).sum::<usize>()
            }
        }
    }

    fn depth(&self) -> usize {
        1 + match &self.content {
            Content::Scalar(_) => 0,
            Content::List(items) => items.iter().map(Node::depth).max().unwrap_or(0),
            Content::Mapping(entries) => entries.iter().map(|e| e.value.depth()).max().unwrap_or(0),
        }
    }
}

/// Reads the one document of a text.
pub(super) fn read(text: &str) -> Result<Node, Problem> {
    let start = Position { line: 1, column: 1 };
    if text.len() > MAX_TEXT {
        return Err(Problem::new(start, "", format!("the text is larger than {} MiB", MAX_TEXT >> 20))
            .with_hint("check that this is the right file"));
    }
    let options = granit::options! {
        emit_comments: false,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let parser = Parser::new_from_str_with_options(text, options);
    let mut reader = Reader { text, parser, anchors: HashMap::new(), expansion: MAX_EXPANSION };
    reader.stream()
}

/// What an anchor stands for: its node, its weight and its depth.
type Anchored = (Node, usize, usize);

struct Reader<'a> {
    text: &'a str,
    parser: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Anchored>,
    expansion: usize,
}

impl<'a> Reader<'a> {
    fn stream(&mut self) -> Result<Node, Problem> {
        let mut document: Option<Node> = None;
        while let Some((event, span)) = self.next()? {
            match event {
                Event::StreamEnd => break,
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                event => {
                    let at = position(&span);
                    let node = self.node(event, at, 0)?;
                    match &document {
                        Some(first) if !first.is_null() && !node.is_null() => return Err(second(at)),
                        Some(first) if !first.is_null() => {}
                        _ => document = Some(node),
                    }
                }
            }
        }
        match document {
            Some(node) if !node.is_null() => Ok(node),
            _ => Err(Problem::new(Position { line: 1, column: 1 }, "", "the file is empty").with_hint(
                "a configuration starts with `kind: ImageSetConfiguration` and `apiVersion: mirror.openshift.io/v2alpha1`",
            )),
        }
    }

    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Problem> {
        self.parser.next_event().transpose().map_err(|error| self.syntax(&error))
    }

    /// Returns the next event within a document, which the grammar says there is.
    fn inside(&mut self, at: Position) -> Result<(Event<'a>, Span), Problem> {
        self.next()?.ok_or_else(|| Problem::new(at, "", "not valid YAML: the text ends too early"))
    }

    fn node(&mut self, event: Event<'a>, at: Position, depth: usize) -> Result<Node, Problem> {
        if depth >= MAX_DEPTH {
            return Err(too_deep(at));
        }
        let (content, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                (Content::Scalar(scalar(text.into_owned(), style, tag.as_deref(), at)?), anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                known_tag(tag.as_deref(), &["seq"], at)?;
                (Content::List(self.list(at, depth)?), anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                known_tag(tag.as_deref(), &["map"], at)?;
                (Content::Mapping(self.mapping(at, depth)?), anchor)
            }
            Event::Alias(id) => return self.alias(id, at, depth),
            _ => return Err(Problem::new(at, "", "not valid YAML: a value was expected here")),
        };
        let node = Node { at, content };
        if anchor != 0 {
            let (weight, levels) = (node.weight(), node.depth());
            // The copy that is kept counts as well, so that nested anchors cannot multiply it.
            self.spend(weight, at)?;
            self.anchors.insert(anchor, (node.clone(), weight, levels));
        }
        Ok(node)
    }

    fn list(&mut self, at: Position, depth: usize) -> Result<Vec<Node>, Problem> {
        let mut items = Vec::new();
        loop {
            match self.inside(at)? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, position(&span), depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, at: Position, depth: usize) -> Result<Vec<Entry>, Problem> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (event, span) = self.inside(at)?;
            if event == Event::MappingEnd {
                return merged(entries);
            }
            let key_at = position(&span);
            let key = self.node(event, key_at, depth + 1)?;
            let Content::Scalar(key) = key.content else { return Err(self.odd_key(key_at)) };
            let (event, span) = self.inside(at)?;
            let value = self.node(event, position(&span), depth + 1)?;
            entries.push(Entry { key: key.text, key_at, value, plain_key: key.plain });
        }
    }

    fn alias(&mut self, id: usize, at: Position, depth: usize) -> Result<Node, Problem> {
        let Some((node, weight, levels)) = self.anchors.get(&id) else {
            return Err(Problem::new(at, "", "the alias stands inside of what it refers to"));
        };
        let (node, weight, levels) = (node.clone(), *weight, *levels);
        if depth + levels > MAX_DEPTH {
            return Err(too_deep(at));
        }
        self.spend(weight, at)?;
        Ok(node)
    }

    fn spend(&mut self, weight: usize, at: Position) -> Result<(), Problem> {
        match self.expansion.checked_sub(weight) {
            Some(left) => {
                self.expansion = left;
                Ok(())
            }
            None => Err(Problem::new(at, "", "the anchors and aliases expand to too much")
                .with_hint("write the values out instead of using `&` and `*`")),
        }
    }

    fn odd_key(&self, at: Position) -> Problem {
        let problem = Problem::new(at, "", "a key of a mapping is text, not a list or a mapping");
        problem.with_hint(match self.looks_templated(at.line) {
            true => TEMPLATE_HINT,
            false => "put text that starts with `{` or `[` in quotes",
        })
    }

    fn syntax(&self, error: &ScanError) -> Problem {
        let marker = error.marker();
        let at = place(marker.line(), marker.col());
        let reason = match error.kind() {
            ErrorKind::SimpleKeyExpected => "the line above is neither `key: value` nor `- entry`".to_owned(),
            _ => error.info(),
        };
        let problem = Problem::new(at, "", format!("not valid YAML: {reason}"));
        // The scanner often notices a bad line only at the start of the next one.
        let near = [at.line.saturating_sub(1), at.line];
        if near.into_iter().any(|line| self.looks_templated(line)) {
            problem.with_hint(TEMPLATE_HINT)
        } else if near.into_iter().any(|line| self.indented_with_tab(line)) {
            problem.with_hint("indent with spaces: YAML allows no tabs there")
        } else {
            problem.with_hint(
                "check the indentation here and in the line above: the keys of a mapping start in one column, a list holds only lines that start with `-`",
            )
        }
    }

    fn line(&self, line: u32) -> &str {
        let index = (line as usize).checked_sub(1);
        index.and_then(|index| self.text.lines().nth(index)).unwrap_or("")
    }

    fn looks_templated(&self, line: u32) -> bool {
        looks_templated(self.line(line))
    }

    fn indented_with_tab(&self, line: u32) -> bool {
        let line = self.line(line);
        line[..line.len() - line.trim_start().len()].contains('\t')
    }
}

/// What to do with a template.
pub(super) const TEMPLATE_HINT: &str =
    "this looks like a template that was not filled in; give the file that it renders to";

/// Answers whether a text has placeholders: `{{ x }}`, `{% x %}`, `${X}`, `$X`, `<X>`, `SOME_NAME`.
pub(super) fn looks_templated(text: &str) -> bool {
    let shell = text
        .split('$')
        .skip(1)
        .any(|rest| rest.starts_with(|c: char| c == '{' || c == '_' || c.is_ascii_alphabetic()));
    let angles = text.split_once('<').is_some_and(|(_, rest)| rest.contains('>'));
    let shouted = text
        .split(|c: char| !(c.is_ascii_uppercase() || c == '_'))
        .any(|word| word.len() > 5 && word.trim_matches('_').contains('_'));
    text.contains("{{") || text.contains("{%") || shell || angles || shouted
}

fn second(at: Position) -> Problem {
    Problem::new(at, "", "the file holds more than one YAML document")
        .with_hint("keep one configuration per file; a line `---` starts another document")
}

fn too_deep(at: Position) -> Problem {
    Problem::new(at, "", format!("the values are nested more than {MAX_DEPTH} deep"))
}

fn position(span: &Span) -> Position {
    place(span.start.line(), span.start.col())
}

fn place(line: usize, column_from_zero: usize) -> Position {
    let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Position { line: small(line.max(1)), column: small(column_from_zero.saturating_add(1)) }
}

/// Applies merge keys (`<<: *defaults`), which the predecessors' parser knows: what is written out wins.
fn merged(entries: Vec<Entry>) -> Result<Vec<Entry>, Problem> {
    if !entries.iter().any(|e| e.plain_key && e.key == "<<") {
        return Ok(entries);
    }
    let (merges, mut kept): (Vec<Entry>, Vec<Entry>) =
        entries.into_iter().partition(|e| e.plain_key && e.key == "<<");
    for merge in merges {
        let sources = match merge.value.content {
            Content::Mapping(entries) => vec![entries],
            Content::List(items) => items.into_iter().map(|item| item.entries().to_vec()).collect(),
            Content::Scalar(_) => {
                return Err(Problem::new(merge.value.at, "", "`<<` merges a mapping, or a list of mappings"));
            }
        };
        for entry in sources.into_iter().flatten() {
            if !kept.iter().any(|known| known.key == entry.key) {
                kept.push(entry);
            }
        }
    }
    Ok(kept)
}

fn known_tag(tag: Option<&Tag>, allowed: &[&str], at: Position) -> Result<(), Problem> {
    match tag {
        Some(tag) if !tag.core_suffix().is_some_and(|suffix| allowed.contains(&suffix)) => {
            Err(Problem::new(at, "", format!("the tag `{}` has no meaning here", tag.original()))
                .with_hint("remove the tag"))
        }
        _ => Ok(()),
    }
}

fn scalar(text: String, style: ScalarStyle, tag: Option<&Tag>, at: Position) -> Result<Scalar, Problem> {
    known_tag(tag, &["str", "int", "bool", "null", "float"], at)?;
    let plain = style == ScalarStyle::Plain;
    let kind = match tag.and_then(Tag::core_suffix) {
        Some("str") => ScalarKind::Text,
        Some(_) => resolve(&text),
        None if plain => resolve(&text),
        None => ScalarKind::Text,
    };
    Ok(Scalar { text, kind, plain })
}

/// Takes a plain scalar for what YAML's core schema takes it for.
pub(super) fn resolve(text: &str) -> ScalarKind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => ScalarKind::Null,
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => ScalarKind::Bool,
        _ if is_integer(text) => ScalarKind::Integer,
        _ if is_float(text) => ScalarKind::Float,
        _ => ScalarKind::Text,
    }
}

fn is_integer(text: &str) -> bool {
    let radix = |prefix: &str, digit: fn(&u8) -> bool| {
        text.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| digit(&b)))
    };
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
        || radix("0x", u8::is_ascii_hexdigit)
        || radix("0o", |b| (b'0'..=b'7').contains(b))
}

fn is_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && unsigned.bytes().any(|b| b.is_ascii_digit())
        && unsigned.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'))
        && unsigned.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("~", ScalarKind::Null)]
    #[case("True", ScalarKind::Bool)]
    #[case("yes", ScalarKind::Text)]
    #[case("-12", ScalarKind::Integer)]
    #[case("0x1f", ScalarKind::Integer)]
    #[case("4.10", ScalarKind::Float)]
    #[case("1e3", ScalarKind::Float)]
    #[case(".", ScalarKind::Text)]
    #[case("4.18.0-202511181540", ScalarKind::Text)]
    #[case("2022-11-01", ScalarKind::Text)]
    fn scalars(#[case] text: &str, #[case] expected: ScalarKind) {
        assert_eq!(resolve(text), expected);
    }

    #[test]
    fn positions() {
        let node = read("a:\n  - b: 1\n    c: [x]\n").expect("valid");
        let Content::List(items) = &node.entries()[0].value.content else { panic!("a list") };
        let c = &items[0].entries()[1];
        assert_eq!((c.key_at.line, c.key_at.column), (3, 5));
        assert_eq!((c.value.at.line, c.value.at.column), (3, 8));
    }

    #[test]
    fn merge_keys() {
        let node = read("x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\n").expect("valid");
        let entries = node.entries()[1].value.entries();
        let texts: Vec<&str> = entries.iter().map(|e| e.key.as_str()).collect();
        assert_eq!(texts, ["b", "a"]);
    }

    #[rstest]
    #[case("", "the file is empty")]
    #[case("---\n", "the file is empty")]
    #[case("# only a comment\n", "the file is empty")]
    #[case("a: 1\n---\nb: 2\n", "more than one YAML document")]
    #[case("a: &x [*x]\n", "inside of what it refers to")]
    #[case("a: !foo 1\n", "the tag `!foo` has no meaning here")]
    #[case("? [a]\n: 1\n", "a key of a mapping is text")]
    #[case("a: {{ b }}\n", "a key of a mapping is text")]
    #[case("a: *b\n", "not valid YAML")]
    fn refused(#[case] text: &str, #[case] expected: &str) {
        let problem = read(text).expect_err("refused");
        assert!(problem.message.contains(expected), "{problem}");
    }

    #[test]
    fn trailing_separator_is_no_second_document() {
        assert!(read("---\na: 1\n---\n").is_ok());
        assert!(read("---\n---\na: 1\n...\n").is_ok());
    }

    #[test]
    fn bombs() {
        let mut text = "a0: &a0 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n".to_owned();
        for i in 1..40 {
            let previous = format!("*a{}", i - 1);
            text.push_str(&format!("a{i}: &a{i} [{}]\n", vec![previous; 10].join(", ")));
        }
        let problem = read(&text).expect_err("a bomb");
        assert!(problem.message.contains("expand to too much"), "{problem}");
        assert!(read(&"[".repeat(100_000)).is_err());
        assert!(read(&"- ".repeat(100_000)).is_err());
        assert!(read(&"a".repeat(MAX_TEXT + 1)).is_err());
    }
}
