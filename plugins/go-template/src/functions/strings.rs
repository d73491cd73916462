//! Sprig's functions for strings.

use super::{Answer, Args, Function, at_least, exactly, floor_char, string_of};
use crate::failure::Failure;
use crate::interpreter::Interpreter;
use crate::print;
use crate::value::Value;

pub(super) fn find(name: &str) -> Option<Function> {
    Some(match name {
        "trim" => exactly(1, |_, a| Ok(a.text(0)?.trim().into())),
        "upper" => exactly(1, |_, a| Ok(a.text(0)?.to_uppercase().into())),
        "lower" => exactly(1, |_, a| Ok(a.text(0)?.to_lowercase().into())),
        "title" => exactly(1, |_, a| Ok(words(a.text(0)?, |c| c.is_whitespace(), first_upper).into())),
        "untitle" => exactly(1, |_, a| Ok(words(a.text(0)?, |c| c == ' ', first_lower).into())),
        "repeat" => exactly(2, repeat),
        "substr" => exactly(3, substring),
        "trunc" => exactly(2, |_, a| Ok(truncate(a.int(0)?, a.text(1)?).into())),
        "trimAll" | "trimall" => exactly(2, |_, a| {
            let cut = a.text(0)?;
            Ok(a.text(1)?.trim_matches(|c| cut.contains(c)).into())
        }),
        "trimSuffix" => exactly(2, |_, a| {
            let text = a.text(1)?;
            Ok(text.strip_suffix(a.text(0)?).unwrap_or(text).into())
        }),
        "trimPrefix" => exactly(2, |_, a| {
            let text = a.text(1)?;
            Ok(text.strip_prefix(a.text(0)?).unwrap_or(text).into())
        }),
        "nospace" => exactly(1, |_, a| {
            Ok(a.text(0)?.chars().filter(|c| !c.is_whitespace()).collect::<String>().into())
        }),
        "initials" => exactly(1, |_, a| {
            let words = a.text(0)?.split_whitespace();
            Ok(words.filter_map(|word| word.chars().next()).collect::<String>().into())
        }),
        "swapcase" => exactly(1, |_, a| Ok(swap_case(a.text(0)?).into())),
        "snakecase" => exactly(1, |_, a| Ok(joined_words(a.text(0)?, '_').into())),
        "kebabcase" => exactly(1, |_, a| Ok(joined_words(a.text(0)?, '-').into())),
        "camelcase" => exactly(1, |_, a| Ok(pascal_case(a.text(0)?).into())),
        "wrap" => exactly(2, |_, a| Ok(wrapped(a.text(1)?, a.int(0)?, "\n", false).into())),
        "wrapWith" => exactly(3, |_, a| Ok(wrapped(a.text(2)?, a.int(0)?, a.text(1)?, true).into())),
        "contains" => exactly(2, |_, a| Ok(a.text(1)?.contains(a.text(0)?).into())),
        "hasPrefix" => exactly(2, |_, a| Ok(a.text(1)?.starts_with(a.text(0)?).into())),
        "hasSuffix" => exactly(2, |_, a| Ok(a.text(1)?.ends_with(a.text(0)?).into())),
        "quote" => at_least(0, quote),
        "squote" => at_least(0, |i, a| {
            let parts = a.values.iter().filter(|value| !value.is_nil());
            let parts = parts.map(|value| Ok(format!("'{}'", string_of(value, i.budget())?)));
            Ok(parts.collect::<Result<Vec<_>, Failure>>()?.join(" ").into())
        }),
        "cat" => at_least(0, |i, a| {
            let parts = a.values.iter().filter(|value| !value.is_nil());
            let parts = parts.map(|value| string_of(value, i.budget()));
            Ok(parts.collect::<Result<Vec<_>, _>>()?.join(" ").into())
        }),
        "indent" => exactly(2, |i, a| indent(i, a, "")),
        "nindent" => exactly(2, |i, a| indent(i, a, "\n")),
        "replace" => exactly(3, replace),
        "plural" => exactly(3, |_, a| Ok(a.text(usize::from(a.int(2)? != 1))?.into())),
        "toString" => exactly(1, |i, a| string_of(a.any(0), i.budget()).map(Value::from)),
        "split" => exactly(2, |_, a| Ok(numbered(split(a.text(1)?, a.text(0)?)))),
        "splitList" => {
            exactly(2, |_, a| Ok(Value::list(split(a.text(1)?, a.text(0)?).into_iter().map(Value::from))))
        }
        "splitn" => exactly(3, |_, a| {
            let (separator, text) = (a.text(0)?, a.text(2)?);
            Ok(numbered(match usize::try_from(a.int(1)?) {
                Ok(0) => Vec::new(),
                Ok(count) if !separator.is_empty() => text.splitn(count, separator).collect(),
                _ => split(text, separator),
            }))
        }),
        "abbrev" => exactly(2, |_, a| Ok(abbreviate(a.text(1)?, 0, a.int(0)?).into())),
        "abbrevboth" => exactly(3, |_, a| Ok(abbreviate(a.text(2)?, a.int(0)?, a.int(1)?).into())),
        "hello" => exactly(0, |_, _| Ok("Hello!".into())),
        _ => return None,
    })
}

fn first_upper(c: char) -> char {
    c.to_uppercase().next().unwrap_or(c)
}

fn first_lower(c: char) -> char {
    c.to_lowercase().next().unwrap_or(c)
}

/// Changes the first character of each word.
fn words(text: &str, separates: fn(char) -> bool, change: fn(char) -> char) -> String {
    let mut begins = true;
    let changed = text.chars().map(|c| {
        let changed = if begins { change(c) } else { c };
        begins = separates(c);
        changed
    });
    changed.collect()
}

fn repeat(interpreter: &mut Interpreter, a: &Args<'_>) -> Answer {
    let text = a.text(1)?;
    let count = usize::try_from(a.int(0)?).map_err(|_| Failure::fault("negative Repeat count"))?;
    interpreter.budget().bytes(text.len().saturating_mul(count))?;
    Ok(text.repeat(count).into())
}

fn substring(_: &mut Interpreter, a: &Args<'_>) -> Answer {
    let (start, end, text) = (a.int(0)?, a.int(1)?, a.text(2)?);
    let length = i64::try_from(text.len()).unwrap_or(i64::MAX);
    let (start, end) = match (start, end) {
        (..0, end) => (0, end),
        (start, end) if end < 0 || end > length => (start, length),
        both => both,
    };
    if end < start || end > length || start < 0 {
        return Err(Failure::fault(format!(
            "slice bounds out of range [{start}:{end}] with length {length}"
        )));
    }
    let at = |at: i64| floor_char(text, usize::try_from(at).unwrap_or(0));
    Ok(text[at(start)..at(end)].into())
}

pub(super) fn truncate(count: i64, text: &str) -> &str {
    let size = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    match count < 0 {
        true if size < text.len() => {
            let mut from = text.len() - size;
            while !text.is_char_boundary(from) {
                from += 1;
            }
            &text[from..]
        }
        true => text,
        false => &text[..floor_char(text, size)],
    }
}

fn swap_case(text: &str) -> String {
    let swapped = text.chars().map(|c| match c.is_uppercase() {
        true => first_lower(c),
        false => first_upper(c),
    });
    swapped.collect()
}

/// Splits `HTTPServer2 name` into `http`, `server2`, `name`, and joins them.
fn joined_words(text: &str, connector: char) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut out = String::new();
    for (place, &c) in characters.iter().enumerate() {
        if matches!(c, ' ' | '_' | '-') {
            if !out.is_empty() && !out.ends_with(connector) {
                out.push(connector);
            }
            continue;
        }
        let before = place.checked_sub(1).map(|at| characters[at]);
        let next_is_lower = characters.get(place + 1).is_some_and(|c| c.is_lowercase());
        let begins = c.is_uppercase()
            && before.is_some_and(|b| {
                b.is_lowercase() || b.is_ascii_digit() || (b.is_uppercase() && next_is_lower)
            });
        if begins && !out.ends_with(connector) {
            out.push(connector);
        }
        out.extend(c.to_lowercase());
    }
    out
}

fn pascal_case(text: &str) -> String {
    let mut begins = true;
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '_' | '-' | ' ' => begins = true,
            c if begins => {
                out.extend(c.to_uppercase());
                begins = false;
            }
            c => out.push(c),
        }
    }
    out
}

/// Breaks lines at spaces, as `goutils.WrapCustom` does.
fn wrapped(text: &str, width: i64, separator: &str, break_words: bool) -> String {
    let width = usize::try_from(width).unwrap_or(1).max(1);
    let characters: Vec<char> = text.chars().collect();
    let mut out = String::new();
    let mut at = 0;
    while characters.len() - at > width {
        if characters[at] == ' ' {
            at += 1;
            continue;
        }
        let window = &characters[at..=at + width];
        match window.iter().rposition(|c| *c == ' ') {
            Some(space) => {
                out.extend(&characters[at..at + space]);
                out.push_str(separator);
                at += space + 1;
            }
            None if break_words => {
                out.extend(&characters[at..at + width]);
                out.push_str(separator);
                at += width;
            }
            None => match characters[at + width..].iter().position(|c| *c == ' ') {
                Some(space) => {
                    out.extend(&characters[at..at + width + space]);
                    out.push_str(separator);
                    at += width + space + 1;
                }
                None => break,
            },
        }
    }
    out.extend(&characters[at..]);
    out
}

fn quote(interpreter: &mut Interpreter, a: &Args<'_>) -> Answer {
    let parts = a.values.iter().filter(|value| !value.is_nil());
    let parts = parts.map(|value| Ok(print::quote(&string_of(value, interpreter.budget())?)));
    Ok(parts.collect::<Result<Vec<_>, Failure>>()?.join(" ").into())
}

fn indent(interpreter: &mut Interpreter, a: &Args<'_>, before: &str) -> Answer {
    let width = usize::try_from(a.int(0)?).map_err(|_| Failure::fault("negative Repeat count"))?;
    let text = a.text(1)?;
    interpreter.budget().bytes(width.saturating_mul(text.matches('\n').count() + 1))?;
    let margin = " ".repeat(width);
    Ok(format!("{before}{margin}{}", text.replace('\n', &format!("\n{margin}"))).into())
}

fn replace(interpreter: &mut Interpreter, a: &Args<'_>) -> Answer {
    let (old, new, text) = (a.text(0)?, a.text(1)?, a.text(2)?);
    let most = if old.is_empty() { text.len() + 1 } else { text.len() / old.len() };
    interpreter.budget().bytes(most.saturating_mul(new.len()))?;
    Ok(text.replace(old, new).into())
}

/// Splits as Go does: an empty separator splits into characters.
pub(super) fn split<'a>(text: &'a str, separator: &str) -> Vec<&'a str> {
    match separator.is_empty() {
        true => text.char_indices().map(|(at, c)| &text[at..at + c.len_utf8()]).collect(),
        false => text.split(separator).collect(),
    }
}

fn numbered(parts: Vec<&str>) -> Value {
    Value::map(parts.into_iter().enumerate().map(|(place, part)| (format!("_{place}"), Value::from(part))))
}

/// Shortens to a width, with dots where something is left out.
fn abbreviate(text: &str, offset: i64, width: i64) -> String {
    let characters: Vec<char> = text.chars().collect();
    let (offset, width) = (usize::try_from(offset).unwrap_or(0), usize::try_from(width).unwrap_or(0));
    if width < 4 || (offset > 0 && width < 7) || characters.len() <= width {
        return text.to_owned();
    }
    let offset = offset.min(characters.len());
    let offset = if characters.len() - offset < width - 3 { characters.len() - (width - 3) } else { offset };
    let part = |from: usize, to: usize| characters[from..to].iter().collect::<String>();
    if offset <= 4 {
        return format!("{}...", part(0, width - 3));
    }
    match offset + width - 3 < characters.len() {
        true => {
            let rest: String = characters[offset..].iter().collect();
            format!("...{}", abbreviate(&rest, 0, i64::try_from(width - 3).unwrap_or(i64::MAX)))
        }
        false => format!("...{}", part(characters.len() - (width - 3), characters.len())),
    }
}
