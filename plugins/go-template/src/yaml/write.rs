//! Writes values as YAML, to the byte as Go's `yaml.v2` does: which strings are quoted, where long ones are folded, and in
//! which order keys stand.

use std::cmp::Ordering;
use std::fmt::Write as _;
use std::rc::Rc;

use super::plain::is_text;
use crate::budget::Budget;
use crate::failure::Failure;
use crate::number;
use crate::value::{MAX_DEPTH, Value};

/// Behind this column long strings are folded.
const WIDTH: usize = 80;
/// A longer key is written behind a `?`.
const SIMPLE_KEY: usize = 128;

/// How lists below a key are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// At the column of the key, as `toYaml` has them.
    Flush,
    /// Two columns to the right, as `toYamlPretty` has them.
    Indented,
}

/// Writes a document, without the line break at its end.
pub fn write(value: &Value, layout: Layout, budget: &Budget) -> Result<String, Failure> {
    let mut writer = Writer { out: String::new(), column: 0, layout, budget };
    writer.node(value, Place::Root, 0, 0)?;
    Ok(writer.out)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Root,
    /// Behind `key:`.
    Value,
    /// Behind `- `, or behind `? `.
    Item,
}

struct Writer<'a> {
    out: String,
    column: usize,
    layout: Layout,
    budget: &'a Budget,
}

impl Writer<'_> {
    fn push(&mut self, c: char) {
        self.out.push(c);
        self.column = if c == '\n' { 0 } else { self.column + 1 };
    }

    fn put(&mut self, text: &str) -> Result<(), Failure> {
        self.budget.bytes(text.len())?;
        text.chars().for_each(|c| self.push(c));
        Ok(())
    }

    fn new_line(&mut self, indent: usize) -> Result<(), Failure> {
        self.budget.bytes(indent + 1)?;
        self.push('\n');
        (0..indent).for_each(|_| self.push(' '));
        Ok(())
    }

    /// Writes a node. `indent` is the column of the collection it is in, or of itself at the root.
    fn node(&mut self, value: &Value, place: Place, indent: usize, depth: usize) -> Result<(), Failure> {
        self.budget.step()?;
        if depth > MAX_DEPTH {
            return Err(Failure::too_deep());
        }
        match value {
            Value::List(list) if !list.items().is_empty() => {
                let own = match place {
                    Place::Root => indent,
                    Place::Value if self.layout == Layout::Flush => indent,
                    Place::Value | Place::Item => indent + 2,
                };
                for (number, item) in list.items().iter().enumerate() {
                    self.begin(place, number, own)?;
                    self.put("-")?;
                    self.node(item, Place::Item, own, depth + 1)?;
                }
                Ok(())
            }
            Value::Map(map) if !map.is_empty() => {
                let own = if place == Place::Root { indent } else { indent + 2 };
                let mut entries = map.entries();
                entries.sort_by(|(a, _), (b, _)| compare_keys(a, b));
                for (number, (key, item)) in entries.into_iter().enumerate() {
                    self.begin(place, number, own)?;
                    self.entry(&key, &item, own, depth)?;
                }
                Ok(())
            }
            Value::Object(object) => self.node(&object.plain(), place, indent, depth + 1),
            scalar => {
                if place != Place::Root {
                    self.put(" ")?;
                }
                self.scalar(scalar, indent + 2)
            }
        }
    }

    /// Goes to where an entry of a block begins.
    fn begin(&mut self, place: Place, number: usize, own: usize) -> Result<(), Failure> {
        match (place, number) {
            (Place::Root, 0) => Ok(()),
            (Place::Item, 0) => self.put(" "),
            _ => self.new_line(own),
        }
    }

    fn entry(&mut self, key: &Rc<str>, item: &Value, own: usize, depth: usize) -> Result<(), Failure> {
        let is_simple = key.len() <= SIMPLE_KEY && !key.contains('\n');
        if is_simple {
            self.text(key, own, true)?;
            self.put(":")?;
        } else {
            self.put("? ")?;
            self.text(key, own + 2, false)?;
            self.new_line(own)?;
            self.put(":")?;
            return self.node(item, Place::Item, own, depth + 1);
        }
        self.node(item, Place::Value, own, depth + 1)
    }

    fn scalar(&mut self, value: &Value, indent: usize) -> Result<(), Failure> {
        match value {
            Value::Bool(value) => self.put(&value.to_string()),
            Value::Int(number) | Value::Int64(number) => self.put(&number.to_string()),
            Value::Float(number) if !number.is_finite() => {
                Err(Failure::fault(format!("json: unsupported value: {}", number::shortest(*number))))
            }
            Value::Float(number) => self.put(&float(*number)),
            Value::Text(text) => self.text(text, indent, false),
            Value::List(_) => self.put("[]"),
            Value::Map(_) => self.put("{}"),
            Value::Nil | Value::Object(_) => self.put("null"),
        }
    }

    fn text(&mut self, text: &str, indent: usize, is_key: bool) -> Result<(), Failure> {
        self.budget.bytes(text.len())?;
        let allowed = Allowed::of(text);
        let mut style = match (text.contains('\n'), is_text(text)) {
            (true, _) => Style::Literal,
            (false, true) => Style::Plain,
            (false, false) => Style::Double,
        };
        if style == Style::Literal && is_key {
            style = Style::Double;
        }
        if style == Style::Plain && (!allowed.plain || (text.is_empty() && is_key)) {
            style = Style::Single;
        }
        if style == Style::Single && !allowed.single {
            style = Style::Double;
        }
        if style == Style::Literal && !allowed.block {
            style = Style::Double;
        }
        match style {
            Style::Plain => self.folded(text, indent, is_key, false),
            Style::Single => {
                self.push('\'');
                self.folded(text, indent, is_key, true)?;
                self.push('\'');
                Ok(())
            }
            Style::Double => self.double(text, indent, is_key),
            Style::Literal => self.literal(text, indent),
        }
    }

    fn folded(&mut self, text: &str, indent: usize, is_key: bool, quoted: bool) -> Result<(), Failure> {
        let characters: Vec<char> = text.chars().collect();
        let mut after_space = false;
        for (place, &c) in characters.iter().enumerate() {
            let next_is_space = characters.get(place + 1) == Some(&' ');
            let inside = !quoted || (place > 0 && place + 1 < characters.len());
            if c == ' ' && !is_key && !after_space && self.column > WIDTH && inside && !next_is_space {
                self.new_line(indent)?;
            } else {
                self.push(c);
                if c == '\'' && quoted {
                    self.push(c);
                }
                if is_break(c) {
                    self.column = 0;
                    (0..indent).for_each(|_| self.push(' '));
                }
            }
            after_space = c == ' ';
        }
        Ok(())
    }

    fn double(&mut self, text: &str, indent: usize, is_key: bool) -> Result<(), Failure> {
        let characters: Vec<char> = text.chars().collect();
        self.push('"');
        let mut after_space = false;
        for (place, &c) in characters.iter().enumerate() {
            let inside = place > 0 && place + 1 < characters.len();
            if c == ' ' && !is_key && !after_space && self.column > WIDTH && inside {
                self.new_line(indent)?;
                if characters.get(place + 1) == Some(&' ') {
                    self.push('\\');
                }
            } else if c == '"' || c == '\\' || !is_printable(c) || is_break(c) {
                self.put(&escape(c))?;
            } else {
                self.push(c);
            }
            after_space = c == ' ';
        }
        self.push('"');
        Ok(())
    }

    fn literal(&mut self, text: &str, indent: usize) -> Result<(), Failure> {
        self.push('|');
        if text.starts_with([' ', '\n']) {
            self.push('2');
        }
        match text.strip_suffix('\n') {
            None => self.push('-'),
            Some(rest) if rest.is_empty() || rest.ends_with('\n') => self.push('+'),
            Some(_) => {}
        }
        let body = text.strip_suffix('\n').unwrap_or(text);
        for line in body.split('\n') {
            match line.is_empty() {
                true => self.push('\n'),
                false => {
                    self.new_line(indent)?;
                    line.chars().for_each(|c| self.push(c));
                }
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

/// Which styles a string can be written in.
struct Allowed {
    plain: bool,
    single: bool,
    block: bool,
}

impl Allowed {
    fn of(text: &str) -> Self {
        if text.is_empty() {
            return Self { plain: true, single: true, block: false };
        }
        let characters: Vec<char> = text.chars().collect();
        let mut indicators = text.starts_with("---") || text.starts_with("...");
        let (mut special, mut breaks, mut break_space, mut space_break) = (false, false, false, false);
        let (mut previous_space, mut previous_break, mut after_blank) = (false, false, true);
        for (place, &c) in characters.iter().enumerate() {
            let before_blank = characters.get(place + 1).is_none_or(|c| is_blank(*c));
            indicators |= match c {
                '#' if place == 0 || after_blank => true,
                ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => {
                    place == 0
                }
                '?' | '-' => place == 0 && before_blank,
                ':' => before_blank,
                _ => false,
            };
            special |= !is_printable(c);
            break_space |= c == ' ' && previous_break;
            space_break |= is_break(c) && previous_space;
            breaks |= is_break(c);
            (previous_space, previous_break) = (c == ' ', is_break(c));
            after_blank = is_blank(c);
        }
        let at_end = |c: Option<&char>| c.is_some_and(|c| *c == ' ' || is_break(*c));
        let edges = at_end(characters.first()) || at_end(characters.last());
        let impossible = space_break || special;
        Self {
            plain: !(edges || break_space || impossible || breaks || indicators),
            single: !(break_space || impossible),
            block: !(impossible || characters.last() == Some(&' ')),
        }
    }
}

fn is_blank(c: char) -> bool {
    c == ' ' || c == '\t' || is_break(c)
}

fn is_break(c: char) -> bool {
    matches!(c, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}') && c != '\u{feff}'
}

fn escape(c: char) -> String {
    let short = match c {
        '\0' => '0',
        '\x07' => 'a',
        '\x08' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\x0b' => 'v',
        '\x0c' => 'f',
        '\r' => 'r',
        '\x1b' => 'e',
        '"' | '\\' => c,
        '\u{85}' => 'N',
        '\u{a0}' => '_',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        c => {
            let mut out = String::new();
            match c as u32 {
                code @ ..=0xff => write!(out, "\\x{code:02X}"),
                code @ ..=0xffff => write!(out, "\\u{code:04X}"),
                code => write!(out, "\\U{code:08X}"),
            }
            .expect("a string takes it");
            return out;
        }
    };
    format!("\\{short}")
}

/// The number goes through JSON first, which has integers as such.
fn float(number: f64) -> String {
    let text = number::json(number);
    let integer =
        text.parse::<i64>().map(|n| n.to_string()).or_else(|_| text.parse::<u64>().map(|n| n.to_string()));
    integer.unwrap_or_else(|_| number::shortest(number))
}

/// Sorts keys as `yaml.v2` does: digits by what they count, letters behind everything else.
fn compare_keys(a: &str, b: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let Some(at) = a.iter().zip(&b).position(|(a, b)| a != b) else { return a.len().cmp(&b.len()) };
    match (a[at].is_alphabetic(), b[at].is_alphabetic()) {
        (true, true) => return a[at].cmp(&b[at]),
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let mut start = 0_i64;
    if a[at] == '0' || b[at] == '0' {
        let before = a[..at].iter().rev().take_while(|c| c.is_ascii_digit());
        start = i64::from(before.into_iter().any(|c| *c != '0'));
    }
    let count = |text: &[char]| {
        let digits = text[at..].iter().map_while(|c| c.to_digit(10));
        digits.fold((start, 0), |(number, length), digit| {
            (number.wrapping_mul(10).wrapping_add(i64::from(digit)), length + 1)
        })
    };
    let ((a_number, a_length), (b_number, b_length)) = (count(&a), count(&b));
    a_number.cmp(&b_number).then(a_length.cmp(&b_length)).then(a[at].cmp(&b[at]))
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;
    use rstest::rstest;

    fn written(value: &Value) -> String {
        write(value, Layout::Flush, &Budget::default()).expect("no limit")
    }

    // What `sigs.k8s.io/yaml` writes.
    #[rstest]
    #[case("plain", "plain")]
    #[case("", "\"\"")]
    #[case("yes", "\"yes\"")]
    #[case("1.0", "\"1.0\"")]
    #[case("a: b", "'a: b'")]
    #[case("a #b", "'a #b'")]
    #[case("a#b", "a#b")]
    #[case("- a", "'- a'")]
    #[case("-a", "-a")]
    #[case("*a", "'*a'")]
    #[case("'a'", "'''a'''")]
    #[case(" a", "' a'")]
    #[case("a\tb", "\"a\\tb\"")]
    #[case("a\nb", "|-\n  a\n  b")]
    #[case("a\nb\n", "|\n  a\n  b")]
    #[case("a\n\n", "|+\n  a\n")]
    #[case("\na", "|2-\n\n  a")]
    #[case("a \nb", "\"a \\nb\"")]
    #[case("2020-01-01", "\"2020-01-01\"")]
    #[case("12:30:45", "\"12:30:45\"")]
    #[case("host:8080", "host:8080")]
    #[case("{{ x }}", "'{{ x }}'")]
    #[case("ü", "ü")]
    #[case("😀", "\"\\U0001F600\"")]
    fn strings(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(written(&Value::text(text)), expected);
        let again = read(&format!("{expected}\n")).expect("YAML");
        assert_eq!(again.as_str(), Some(text));
    }

    #[test]
    fn collections() {
        let value =
            read("b: [1, {x: [], 'y': {}}, [2, 3]]\na10: 1\na2: {z: ~, w: {v: 1e6}}\nc: [{d: 1, e: [f]}]\n");
        assert_eq!(
            written(&value.expect("YAML")),
            "a2:\n  w:\n    v: 1000000\n  z: null\na10: 1\nb:\n- 1\n- x: []\n  \"y\": {}\n- - 2\n  - 3\nc:\n- d: 1\n  e:\n  - f"
        );
    }

    #[test]
    fn lists_may_be_indented() {
        let value = read("a: [{b: 1, c: [2]}]\n").expect("YAML");
        let text = write(&value, Layout::Indented, &Budget::default()).expect("no limit");
        assert_eq!(text, "a:\n  - b: 1\n    c:\n      - 2");
    }

    #[test]
    fn long_strings_are_folded() {
        let word = |c: &str, n| c.repeat(n);
        let long = [word("a", 40), word("b", 40), word("c", 10), word("d", 10)].join(" ");
        let value =
            Value::map([("k", Value::text(long.as_str())), ("q", Value::text(format!("{long}: {long}")))]);
        let (a, b, c, d) = (word("a", 40), word("b", 40), word("c", 10), word("d", 10));
        assert_eq!(
            written(&value),
            format!("k: {a} {b}\n  {c} {d}\nq: '{a} {b}\n  {c} {d}: {a} {b}\n  {c} {d}'")
        );
    }
}
