//! [`Template`]: JSONPath as `kubectl` has it, to find images in manifests: `{.spec.containers[*].image}`.
//!
//! Fields, `..`, `*`, indices, slices, unions, filters and `{range …}…{end}`. What is not there is nothing, not an error.

use std::iter::Peekable;
use std::str::Chars;

use oc_mirror_go_template::Value;

/// The most values that one path finds in one document.
const MOST: usize = 100_000;
/// How deep `..` looks.
const DEEP: usize = 100;

/// A template.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq)]
enum Part {
    /// Text between the braces of two paths: it separates what they find.
    Text(String),
    Path(Vec<Step>),
    Range(Vec<Step>, Vec<Part>),
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Root,
    Field(String),
    /// All values of a list or dictionary.
    All,
    /// A value itself and all values below it.
    Deep,
    Slice(Option<i64>, Option<i64>, i64),
    Index(i64),
    Union(Vec<Vec<Step>>),
    Filter(Operand, Operator, Operand),
}

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    Path(Vec<Step>),
    Text(String),
    Number(f64),
    Bool(bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Exists,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl Template {
    /// Reads a template. A path without braces is taken for one with.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let braced;
        let text = if text.contains('{') {
            text
        } else {
            let path = text.trim();
            let path = if path.starts_with(['.', '$', '[']) { path.to_owned() } else { format!(".{path}") };
            braced = format!("{{{path}}}");
            &braced
        };
        let mut reader = Reader { characters: text.chars().peekable() };
        let (parts, ended) = reader.parts(false, 8)?;
        match ended {
            true => Err("there is an `{end}` without `{range}`".to_owned()),
            false => Ok(Self(parts)),
        }
    }

    /// Finds strings; what is found is split at spaces, as a template may join several.
    pub(crate) fn find(&self, document: &Value) -> Vec<String> {
        let mut out = String::new();
        run(&self.0, document, document, &mut out);
        out.split_whitespace().map(str::to_owned).collect()
    }
}

fn run(parts: &[Part], root: &Value, at: &Value, out: &mut String) {
    for part in parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Path(steps) => {
                let found: Vec<String> = walk(steps, root, at).iter().filter_map(text_of).collect();
                out.push_str(&found.join(" "));
            }
            Part::Range(steps, body) => {
                for item in walk(steps, root, at) {
                    run(body, root, &item, out);
                    out.push(' ');
                }
            }
        }
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

fn walk(steps: &[Step], root: &Value, at: &Value) -> Vec<Value> {
    let mut found = vec![at.clone()];
    for step in steps {
        let mut next = Vec::new();
        for value in &found {
            take(step, root, value, &mut next);
        }
        next.truncate(MOST);
        found = next;
    }
    found
}

fn take(step: &Step, root: &Value, value: &Value, next: &mut Vec<Value>) {
    match step {
        Step::Root => next.push(root.clone()),
        Step::Field(name) => next.extend(value.as_map().and_then(|map| map.get(name))),
        Step::All => next.extend(children(value)),
        Step::Deep => deep(value, next, DEEP),
        Step::Index(index) => {
            let items = value.as_list().unwrap_or_default();
            next.extend(position(*index, items.len()).and_then(|at| items.get(at)).cloned());
        }
        Step::Slice(from, to, step) => {
            let items = value.as_list().unwrap_or_default();
            let bound = |bound: Option<i64>, otherwise: usize| match bound {
                None => otherwise,
                Some(bound) if bound < 0 => position(bound, items.len()).unwrap_or(0),
                Some(bound) => usize::try_from(bound).unwrap_or(usize::MAX).min(items.len()),
            };
            let (from, to) = (bound(*from, 0), bound(*to, items.len()));
            let step = usize::try_from(*step).unwrap_or(1).max(1);
            next.extend(items.get(from..to.max(from)).unwrap_or_default().iter().step_by(step).cloned());
        }
        Step::Union(paths) => paths.iter().for_each(|path| next.extend(walk(path, root, value))),
        Step::Filter(left, operator, right) => {
            let items = children(value).into_iter();
            next.extend(items.filter(|item| holds(left, *operator, right, root, item)));
        }
    }
}

fn children(value: &Value) -> Vec<Value> {
    match value {
        Value::List(list) => list.items().to_vec(),
        Value::Map(map) => map.entries().into_iter().map(|(_, value)| value).collect(),
        _ => Vec::new(),
    }
}

fn deep(value: &Value, next: &mut Vec<Value>, depth: usize) {
    if next.len() >= MOST || depth == 0 {
        return;
    }
    next.push(value.clone());
    children(value).iter().for_each(|child| deep(child, next, depth - 1));
}

fn position(index: i64, length: usize) -> Option<usize> {
    let length = i64::try_from(length).ok()?;
    usize::try_from(if index < 0 { index + length } else { index }).ok()
}

fn holds(left: &Operand, operator: Operator, right: &Operand, root: &Value, item: &Value) -> bool {
    let values = |operand: &Operand| match operand {
        Operand::Path(steps) => walk(steps, root, item),
        Operand::Text(text) => vec![text.as_str().into()],
        Operand::Number(number) => vec![Value::Float(*number)],
        Operand::Bool(value) => vec![Value::Bool(*value)],
    };
    let left = values(left);
    if operator == Operator::Exists {
        return !left.is_empty();
    }
    let right = values(right);
    let (Some(left), Some(right)) = (left.first(), right.first()) else { return false };
    let order = match (left, right) {
        (Value::Text(a), Value::Text(b)) => a.partial_cmp(b),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.partial_cmp(b),
        _ => None,
    };
    let Some(order) = order else { return operator == Operator::NotEqual };
    match operator {
        Operator::Exists => true,
        Operator::Equal => order.is_eq(),
        Operator::NotEqual => order.is_ne(),
        Operator::Less => order.is_lt(),
        Operator::LessEqual => order.is_le(),
        Operator::Greater => order.is_gt(),
        Operator::GreaterEqual => order.is_ge(),
    }
}

struct Reader<'a> {
    characters: Peekable<Chars<'a>>,
}

impl Reader<'_> {
    fn parts(&mut self, inside: bool, depth: usize) -> Result<(Vec<Part>, bool), String> {
        let mut parts = Vec::new();
        let mut text = String::new();
        while let Some(c) = self.characters.next() {
            if c != '{' {
                text.push(c);
                continue;
            }
            if !text.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut text)));
            }
            let body = self.braces()?;
            let trimmed = body.trim();
            if trimmed == "end" {
                return Ok((parts, true));
            }
            if let Some(quoted) = quoted(trimmed) {
                parts.push(Part::Text(quoted));
            } else if let Some(path) = trimmed.strip_prefix("range ") {
                let depth = depth.checked_sub(1).ok_or("`{range}` is nested too deeply")?;
                let steps = steps(path.trim())?;
                let (inner, ended) = self.parts(true, depth)?;
                if !ended {
                    return Err("a `{range}` has no `{end}`".to_owned());
                }
                parts.push(Part::Range(steps, inner));
            } else {
                parts.push(Part::Path(steps(trimmed)?));
            }
        }
        if inside {
            return Ok((parts, false));
        }
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Ok((parts, false))
    }

    /// Returns what stands between braces, quotes in it passed over.
    fn braces(&mut self) -> Result<String, String> {
        let mut body = String::new();
        let mut quote = None;
        for c in self.characters.by_ref() {
            match (quote, c) {
                (None, '}') => return Ok(body),
                (None, '"' | '\'') => quote = Some(c),
                (Some(open), c) if open == c => quote = None,
                _ => {}
            }
            body.push(c);
        }
        Err("a brace is not closed".to_owned())
    }
}

fn quoted(text: &str) -> Option<String> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    Some(inner.replace("\\n", "\n").replace("\\t", "\t"))
}

fn steps(text: &str) -> Result<Vec<Step>, String> {
    let mut found = Vec::new();
    let mut rest = text;
    if let Some(after) = rest.strip_prefix('$') {
        found.push(Step::Root);
        rest = after;
    } else if let Some(after) = rest.strip_prefix('@') {
        rest = after;
    }
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("..") {
            found.push(Step::Deep);
            rest = after;
            if !rest.starts_with(['[', '*']) {
                let (name, after) = field(rest)?;
                found.push(Step::Field(name));
                rest = after;
            } else if let Some(after) = rest.strip_prefix('*') {
                found.push(Step::All);
                rest = after;
            }
        } else if let Some(after) = rest.strip_prefix('.') {
            if let Some(after) = after.strip_prefix('*') {
                found.push(Step::All);
                rest = after;
            } else if after.is_empty() || after.starts_with('[') {
                rest = after;
            } else {
                let (name, after) = field(after)?;
                found.push(Step::Field(name));
                rest = after;
            }
        } else if let Some(after) = rest.strip_prefix('[') {
            let end = closing(after)?;
            found.push(bracket(after[..end].trim())?);
            rest = &after[end + 1..];
        } else {
            return Err(format!("`{}` is not a step of a path", rest.chars().take(30).collect::<String>()));
        }
    }
    Ok(found)
}

/// Reads a name up to the next step. A backslash takes what is special from the character behind it.
fn field(text: &str) -> Result<(String, &str), String> {
    let mut name = String::new();
    let mut characters = text.char_indices();
    let mut end = text.len();
    while let Some((at, c)) = characters.next() {
        match c {
            '.' | '[' => {
                end = at;
                break;
            }
            '\\' => name.extend(characters.next().map(|(_, c)| c)),
            c if c.is_whitespace() => return Err("there is a space in a name".to_owned()),
            c => name.push(c),
        }
    }
    match name.is_empty() {
        true => Err("a name is missing".to_owned()),
        false => Ok((name, &text[end..])),
    }
}

/// Finds the bracket that closes.
fn closing(text: &str) -> Result<usize, String> {
    let mut open = 0;
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(mark), c) if mark == c => quote = None,
            (None, '[') => open += 1,
            (None, ']') if open == 0 => return Ok(at),
            (None, ']') => open -= 1,
            _ => {}
        }
    }
    Err("a bracket is not closed".to_owned())
}

fn bracket(text: &str) -> Result<Step, String> {
    let wrong = || format!("`[{}]` is not a step of a path", text.chars().take(30).collect::<String>());
    if text == "*" {
        return Ok(Step::All);
    }
    if let Some(filter) = text.strip_prefix("?(").and_then(|rest| rest.strip_suffix(')')) {
        return filter_of(filter.trim());
    }
    if let Some(name) = name_of(text) {
        return Ok(Step::Field(name));
    }
    if text.contains(',') {
        let parts = text.split(',').map(str::trim).map(|part| Ok(vec![bracket(part)?]));
        return parts.collect::<Result<_, String>>().map(Step::Union);
    }
    let number = |text: &str| text.trim().parse::<i64>().map_err(|_| wrong());
    let bounds: Vec<&str> = text.split(':').collect();
    let bound = |text: &str| if text.trim().is_empty() { Ok(None) } else { number(text).map(Some) };
    match bounds.as_slice() {
        [index] => number(index).map(Step::Index),
        [from, to] => Ok(Step::Slice(bound(from)?, bound(to)?, 1)),
        [from, to, step] => Ok(Step::Slice(bound(from)?, bound(to)?, bound(step)?.unwrap_or(1))),
        _ => Err(wrong()),
    }
}

fn name_of(text: &str) -> Option<String> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    if inner.contains(quote) { None } else { Some(inner.to_owned()) }
}

fn filter_of(text: &str) -> Result<Step, String> {
    const OPERATORS: [(&str, Operator); 6] = [
        ("==", Operator::Equal),
        ("!=", Operator::NotEqual),
        ("<=", Operator::LessEqual),
        (">=", Operator::GreaterEqual),
        ("<", Operator::Less),
        (">", Operator::Greater),
    ];
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(mark), c) if mark == c => quote = None,
            (None, _) => {
                if let Some((sign, operator)) =
                    OPERATORS.iter().find(|(sign, _)| text[at..].starts_with(sign))
                {
                    let (left, right) = (text[..at].trim(), text[at + sign.len()..].trim());
                    return Ok(Step::Filter(operand(left)?, *operator, operand(right)?));
                }
            }
            _ => {}
        }
    }
    Ok(Step::Filter(operand(text)?, Operator::Exists, Operand::Bool(true)))
}

fn operand(text: &str) -> Result<Operand, String> {
    if text.starts_with(['@', '$', '.']) {
        return steps(text).map(Operand::Path);
    }
    if let Some(text) = name_of(text) {
        return Ok(Operand::Text(text));
    }
    match (text, text.parse()) {
        ("true", _) => Ok(Operand::Bool(true)),
        ("false", _) => Ok(Operand::Bool(false)),
        (_, Ok(number)) => Ok(Operand::Number(number)),
        _ => Err(format!("`{}` can be compared with nothing", text.chars().take(30).collect::<String>())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oc_mirror_go_template::yaml;
    use rstest::rstest;

    const DOCUMENT: &str = "
spec:
  image: a:1
  containers:
  - {name: one, image: 'b:1', env: [{name: SIDE, value: 'c:1'}, {name: NUM, value: 3}]}
  - {name: two, image: 'd:1'}
  - {name: three}
  odd.key: e:1
";

    #[rstest]
    #[case("{.spec.containers[*].image}", "b:1 d:1")]
    #[case("{$.spec.image}", "a:1")]
    #[case(".spec.image", "a:1")]
    #[case("spec.image", "a:1")]
    #[case("{.spec.containers[0].image}", "b:1")]
    #[case("{.spec.containers[-2].image}", "d:1")]
    #[case("{.spec.containers[0:2].name}", "one two")]
    #[case("{.spec.containers[::2].name}", "one three")]
    #[case("{.spec.containers[0,1].image}", "b:1 d:1")]
    #[case("{.spec['image','odd.key']}", "a:1 e:1")]
    #[case("{.spec.odd\\.key}", "e:1")]
    #[case("{..image}", "a:1 b:1 d:1")]
    #[case("{.spec.containers[?(@.name==\"two\")].image}", "d:1")]
    #[case("{.spec.containers[?(@.image)].name}", "one two")]
    #[case("{.spec.containers[*].env[?(@.value>2)].name}", "NUM")]
    #[case("{.spec.containers[*].env[?(@.name!='NUM')].value}", "c:1")]
    #[case("{range .spec.containers[*]}{.image}{\"\\n\"}{end}", "b:1 d:1")]
    #[case("{.spec.image} {.spec.odd\\.key}", "a:1 e:1")]
    #[case("{.nothing.here[*].at}", "")]
    #[case("{.spec.*}", "a:1 e:1")]
    fn paths(#[case] path: &str, #[case] expected: &str) {
        let document = yaml::read(DOCUMENT).expect("YAML");
        assert_eq!(Template::parse(path).expect("a path").find(&document).join(" "), expected);
    }

    #[rstest]
    #[case("{.a")]
    #[case("{.a[}")]
    #[case("{.a[x]}")]
    #[case("{a}")]
    #[case("{.a b}")]
    #[case("{range .a}")]
    #[case("{end}")]
    #[case("{.a[?(@.b==c)]}")]
    fn no_paths(#[case] path: &str) {
        assert!(Template::parse(path).is_err());
    }
}
