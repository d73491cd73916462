//! [`apply`]: one edit in the text of a configuration.
//!
//! Knows block and flow style as people write them. It may return a text that says something else than was meant: whoever
//! calls it compares.

use serde_json::Value;

use super::place::{Step, steps};
use super::{Edit, EditAction};
use crate::config::problem::Position;
use crate::config::tree::{self, Content, Entry, Node, ScalarKind};

/// How far lists are indented below their keys where the text has no example.
const LIST_INDENT: usize = 2;
/// What entries of lists are known by.
const NAMES: [&str; 2] = ["name", "catalog"];

/// Changes a text; nothing if it is not known how.
pub(super) fn apply(text: &str, edit: &Edit) -> Option<String> {
    let document = tree::read(text).ok()?;
    let editor = Editor { text, list_indent: list_indent(text, &document).unwrap_or(LIST_INDENT) };
    let steps = steps(&edit.at)?;
    match edit.action {
        EditAction::Set => editor.set(&document, &steps, &edit.value),
        EditAction::Append => editor.append(&document, &steps, &edit.value),
    }
}

/// Takes a key with its scalar away, where they have a line of their own; nothing if they have not.
pub(super) fn remove(text: &str, at: &str) -> Option<String> {
    let document = tree::read(text).ok()?;
    let steps = steps(at)?;
    let (Step::Key(key), way) = steps.split_last()? else { return None };
    let Reached::Value(Node { content: Content::Mapping(entries), .. }) = reach(&document, way)? else {
        return None;
    };
    let entry = entries.iter().find(|entry| entry.key.eq_ignore_ascii_case(key))?;
    if entries.len() == 1 || !matches!(entry.value.content, Content::Scalar(_)) {
        return None;
    }
    let key = offset(text, entry.key_at)?;
    let start = text[..key].rfind('\n').map_or(0, |end| end + 1);
    let end = text[key..].find('\n').map_or(text.len(), |end| key + end + 1);
    text[start..key].trim().is_empty().then(|| format!("{}{}", &text[..start], &text[end..]))
}

struct Editor<'a> {
    text: &'a str,
    /// How far lists are indented below their keys.
    list_indent: usize,
}

/// How far a way leads into a document.
enum Reached<'a, 's> {
    /// To its end.
    Value(&'a Node),
    /// To a key without a value, with the steps behind it.
    Empty(&'a Entry, &'s [Step]),
    /// To a mapping that lacks the next key.
    Mapping(&'a Node, &'s [Step]),
}

fn reach<'a, 's>(node: &'a Node, steps: &'s [Step]) -> Option<Reached<'a, 's>> {
    match (steps, &node.content) {
        ([], _) => Some(Reached::Value(node)),
        ([Step::Index(place), rest @ ..], Content::List(items)) => reach(items.get(*place)?, rest),
        ([Step::Key(key), rest @ ..], Content::Mapping(entries)) => {
            match entries.iter().find(|entry| entry.key.eq_ignore_ascii_case(key)) {
                None => Some(Reached::Mapping(node, steps)),
                Some(entry) if entry.value.is_null() => Some(Reached::Empty(entry, rest)),
                Some(entry) => reach(&entry.value, rest),
            }
        }
        _ => None,
    }
}

/// Puts a value below the keys that are missing on the way to it.
fn nested(steps: &[Step], value: &Value) -> Option<Value> {
    match steps {
        [] => Some(value.clone()),
        [Step::Key(key), rest @ ..] => {
            Some(Value::Object([(key.clone(), nested(rest, value)?)].into_iter().collect()))
        }
        [Step::Index(_), ..] => None,
    }
}

impl Editor<'_> {
    fn set(&self, document: &Node, steps: &[Step], value: &Value) -> Option<String> {
        match reach(document, steps)? {
            Reached::Value(node) => self.replace(node, value),
            Reached::Empty(entry, rest) => self.fill(entry, &nested(rest, value)?),
            // What is not there need not be taken away.
            Reached::Mapping(_, [Step::Key(_)]) if value == "" => Some(self.text.to_owned()),
            Reached::Mapping(node, [Step::Key(key), rest @ ..]) => {
                self.insert(node, key, &nested(rest, value)?)
            }
            Reached::Mapping(..) => None,
        }
    }

    fn append(&self, document: &Node, steps: &[Step], value: &Value) -> Option<String> {
        let Reached::Value(node) = reach(document, steps)? else {
            return self.set(document, steps, &Value::Array(vec![value.clone()]));
        };
        let Content::List(items) = &node.content else { return None };
        let start = self.offset(node.at)?;
        if self.text[start..].starts_with('[') {
            let end = self.closing(start)?;
            let comma = if items.is_empty() { "" } else { ", " };
            return Some(self.spliced(end, end, &format!("{comma}{value}")));
        }
        let dash = column_of_dash(self.text, items.last()?)?;
        let after = self.end_of_line(self.last_line(node, dash)?);
        Some(self.spliced(after, after, &self.item(value, dash)))
    }

    /// Replaces a value that is written in one piece.
    fn replace(&self, node: &Node, value: &Value) -> Option<String> {
        let start = self.offset(node.at)?;
        let written = match value {
            Value::Array(_) | Value::Object(_) => value.to_string(),
            scalar => plain(scalar),
        };
        let end = match (&node.content, self.text[start..].chars().next()?) {
            (Content::Scalar(_), quote @ ('"' | '\'')) => self.end_of_quoted(start, quote)?,
            (Content::Scalar(scalar), _) => start + scalar.text.len(),
            (_, '[' | '{') => self.closing(start)? + 1,
            _ => return None,
        };
        Some(self.spliced(start, end, &written))
    }

    /// Gives a key a value that has none.
    fn fill(&self, entry: &Entry, value: &Value) -> Option<String> {
        let key = self.offset(entry.key_at)?;
        let colon = key + self.text[key..].find(':')?;
        let end = self.end_of_line(self.line_of(key));
        let rest = &self.text[colon + 1..end];
        let bare = rest.split('#').next().unwrap_or_default().trim();
        if !matches!(bare, "" | "~" | "null") {
            return None;
        }
        let comment = rest.find('#').map_or("", |at| rest[at..].trim_end());
        let comment = if comment.is_empty() { String::new() } else { format!(" {comment}") };
        let indent = column(entry.key_at);
        let written = match value {
            Value::Array(_) | Value::Object(_) => format!("{comment}{}", self.below(value, indent)),
            scalar => format!(" {}{comment}", plain(scalar)),
        };
        Some(self.spliced(colon + 1, end, &written))
    }

    /// Adds a key to a mapping: behind its name, or at its end.
    fn insert(&self, node: &Node, key: &str, value: &Value) -> Option<String> {
        let Content::Mapping(entries) = &node.content else { return None };
        let start = self.offset(node.at)?;
        if self.text[start..].starts_with('{') {
            let comma = if entries.is_empty() { "" } else { ", " };
            return Some(self.spliced(start + 1, start + 1, &format!("{key}: {value}{comma}")));
        }
        let indent = column(entries.first()?.key_at);
        let name = entries.iter().find(|entry| NAMES.contains(&entry.key.as_str()));
        let line = match name.filter(|entry| entry.key_at.line == entry.value.at.line) {
            Some(entry) => self.line_of(self.offset(entry.key_at)?),
            None => self.last_line(node, indent)?,
        };
        let after = self.end_of_line(line);
        let written = match value {
            Value::Array(_) | Value::Object(_) => self.below(value, indent),
            scalar => format!(" {}", plain(scalar)),
        };
        Some(self.spliced(after, after, &format!("\n{}{key}:{written}", " ".repeat(indent))))
    }

    /// Writes a list or mapping on the lines below a key.
    fn below(&self, value: &Value, indent: usize) -> String {
        match value {
            Value::Array(items) if items.is_empty() => " []".to_owned(),
            Value::Array(items) => {
                items.iter().map(|item| self.item(item, indent + self.list_indent)).collect()
            }
            Value::Object(fields) if fields.is_empty() => " {}".to_owned(),
            Value::Object(_) => self.fields(value, indent + 2, &format!("\n{}", " ".repeat(indent + 2))),
            scalar => format!(" {}", plain(scalar)),
        }
    }

    /// Writes an entry of a list, with the line break before it.
    fn item(&self, value: &Value, dash: usize) -> String {
        let start = format!("\n{}- ", " ".repeat(dash));
        match value {
            Value::Object(fields) if !fields.is_empty() => self.fields(value, dash + 2, &start),
            Value::Array(_) | Value::Object(_) => format!("{start}{value}"),
            scalar => format!("{start}{}", plain(scalar)),
        }
    }

    /// Writes the fields of a mapping; the first stands behind `start`.
    fn fields(&self, value: &Value, indent: usize, start: &str) -> String {
        let mut text = String::new();
        let next = format!("\n{}", " ".repeat(indent));
        // As people write them: what it is called, what is said of it, what it has.
        let mut fields: Vec<(&String, &Value)> = value.as_object().into_iter().flatten().collect();
        fields.sort_by_key(|(key, value)| match value {
            _ if NAMES.contains(&key.as_str()) => 0,
            Value::Array(_) | Value::Object(_) => 2,
            _ => 1,
        });
        for (place, (key, value)) in fields.into_iter().enumerate() {
            text.push_str(if place == 0 { start } else { &next });
            text.push_str(&format!("{key}:{}", self.below(value, indent)));
        }
        text
    }

    fn spliced(&self, start: usize, end: usize, middle: &str) -> String {
        format!("{}{middle}{}", &self.text[..start], &self.text[end..])
    }

    fn offset(&self, at: Position) -> Option<usize> {
        offset(self.text, at)
    }

    /// Returns the line, from 0, that a byte is in.
    fn line_of(&self, offset: usize) -> usize {
        self.text[..offset].matches('\n').count()
    }

    /// Returns where a line ends, without its line break.
    fn end_of_line(&self, line: usize) -> usize {
        let mut start = 0;
        for (place, text) in self.text.split('\n').enumerate() {
            if place == line {
                return start + text.strip_suffix('\r').unwrap_or(text).len();
            }
            start += text.len() + 1;
        }
        self.text.len()
    }

    /// Returns the last line, from 0, of a value whose keys or dashes are in a column.
    fn last_line(&self, node: &Node, indent: usize) -> Option<usize> {
        let mut last = self.last_start(node)?;
        // Whatever is further in belongs to the last value, unless it is a comment.
        for line in self.text.split('\n').skip(last + 1) {
            let bare = line.trim_start();
            if bare.trim_end().is_empty() || bare.starts_with('#') || line.len() - bare.len() <= indent {
                break;
            }
            last += 1;
        }
        Some(last)
    }

    /// Returns the line, from 0, in which the last part of a value begins.
    fn last_start(&self, node: &Node) -> Option<usize> {
        let start = self.offset(node.at)?;
        if self.text[start..].starts_with(['[', '{']) {
            return Some(self.line_of(self.closing(start)?));
        }
        match &node.content {
            Content::Mapping(entries) => {
                let last = entries.last()?;
                let key = self.line_of(self.offset(last.key_at)?);
                match last.value.is_null() {
                    true => Some(key),
                    false => self.last_start(&last.value).map(|line| line.max(key)),
                }
            }
            Content::List(items) => self.last_start(items.last()?),
            Content::Scalar(_) => Some(self.line_of(start)),
        }
    }

    /// Finds where a flow collection that begins at a byte closes.
    fn closing(&self, start: usize) -> Option<usize> {
        let mut depth = 0_usize;
        let mut skip = start;
        for (at, c) in self.text[start..].char_indices().map(|(at, c)| (start + at, c)) {
            if at < skip {
                continue;
            }
            match c {
                '"' | '\'' => skip = self.end_of_quoted(at, c)?,
                '[' | '{' => depth += 1,
                ']' | '}' => {
                    depth -= 1;
                    if depth == 0 {
                        return Some(at);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// Finds the byte behind a quoted text that begins at one.
    fn end_of_quoted(&self, start: usize, quote: char) -> Option<usize> {
        let mut chars = self.text[start..].char_indices().skip(1).peekable();
        while let Some((at, c)) = chars.next() {
            if c == '\\' && quote == '"' {
                chars.next();
            } else if c == quote {
                // A doubled one stands for itself.
                match chars.peek() {
                    Some((_, next)) if *next == quote && quote == '\'' => drop(chars.next()),
                    _ => return Some(start + at + 1),
                }
            }
        }
        None
    }
}

fn offset(text: &str, at: Position) -> Option<usize> {
    let mut start = 0;
    for _ in 1..at.line {
        start += text[start..].find('\n')? + 1;
    }
    let skip = usize::try_from(at.column.checked_sub(1)?).ok()?;
    let mut chars = text[start..].char_indices().map(|(at, _)| at).chain([text.len() - start]);
    chars.nth(skip).map(|at| start + at)
}

fn column(at: Position) -> usize {
    usize::try_from(at.column.saturating_sub(1)).unwrap_or(0)
}

/// Finds the dash that an entry of a block list stands behind.
fn column_of_dash(text: &str, item: &Node) -> Option<usize> {
    let at = offset(text, item.at)?;
    let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let dash = text[start..at].rfind('-')?;
    text[start..start + dash].trim_start().is_empty().then_some(dash)
}

/// Finds out how far the first list in block style is indented below its key.
fn list_indent(text: &str, node: &Node) -> Option<usize> {
    match &node.content {
        Content::Mapping(entries) => entries.iter().find_map(|entry| {
            let dash = match &entry.value.content {
                Content::List(items) => items.first().and_then(|item| column_of_dash(text, item)),
                _ => None,
            };
            let indent = dash.and_then(|dash| dash.checked_sub(column(entry.key_at)));
            indent.or_else(|| list_indent(text, &entry.value))
        }),
        Content::List(items) => items.iter().find_map(|item| list_indent(text, item)),
        Content::Scalar(_) => None,
    }
}

/// Writes a scalar: without quotes where that is safe.
fn plain(value: &Value) -> String {
    let Value::String(text) = value else { return value.to_string() };
    let safe = |c: char| c.is_ascii_alphanumeric() || "._/@+:-".contains(c);
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(safe)
        && !text.ends_with(':')
        && tree::resolve(text) == ScalarKind::Text;
    if is_plain { text.clone() } else { value.to_string() }
}
