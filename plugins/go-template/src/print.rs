//! Values as text: what Go's `fmt` makes of them, [`print`] for `%v` and [`printf`] for all verbs.

use std::fmt::Write as _;

use crate::budget::Budget;
use crate::failure::Failure;
use crate::number;
use crate::value::{MAX_DEPTH, Value};

/// The widest field that is padded; Go takes more, no chart does.
const MAX_WIDTH: usize = 10_000;

/// Writes a value as `%v` does.
pub(crate) fn print(value: &Value, budget: &Budget) -> Result<String, Failure> {
    if let Value::Text(text) = value {
        budget.bytes(text.len())?;
        return Ok(text.to_string());
    }
    let mut out = String::new();
    write_value(&mut out, value, &Spec::default(), 'v', budget, MAX_DEPTH)?;
    Ok(out)
}

/// Writes several values as `fmt.Sprint` does: with a space between two that are no strings.
pub(crate) fn print_all(values: &[Value], budget: &Budget) -> Result<String, Failure> {
    let mut out = String::new();
    for (place, value) in values.iter().enumerate() {
        let is_text = |value: &Value| matches!(value, Value::Text(_));
        if place > 0 && !is_text(value) && !is_text(&values[place - 1]) {
            out.push(' ');
        }
        out.push_str(&print(value, budget)?);
    }
    Ok(out)
}

/// Writes a value as `%q` does for strings.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        escape(&mut out, c, '"');
    }
    out.push('"');
    out
}

fn escape(out: &mut String, c: char, quote: char) {
    match c {
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        '\\' => out.push_str("\\\\"),
        c if c == quote => out.extend(['\\', c]),
        c if (c as u32) < 0x20 || c == '\x7f' => put(out, format_args!("\\x{:02x}", c as u32)),
        c if is_printable(c) => out.push(c),
        c if (c as u32) > 0xffff => put(out, format_args!("\\U{:08x}", c as u32)),
        c => put(out, format_args!("\\u{:04x}", c as u32)),
    }
}

fn is_printable(c: char) -> bool {
    c == ' ' || !(c.is_control() || c.is_whitespace() || ('\u{e000}'..='\u{f8ff}').contains(&c))
}

fn put(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments).expect("a string takes it");
}

/// How one verb is to be written.
#[derive(Clone, Debug, Default)]
struct Spec {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// Writes values by a format as `fmt.Sprintf` does, mistakes in it included.
pub(crate) fn printf(format: &str, values: &[Value], budget: &Budget) -> Result<String, Failure> {
    let mut out = String::new();
    let mut reader = Format { rest: format, values, next: 0, reordered: false };
    while let Some(at) = reader.rest.find('%') {
        budget.bytes(at)?;
        out.push_str(&reader.rest[..at]);
        reader.rest = &reader.rest[at + 1..];
        reader.verb(&mut out, budget)?;
    }
    budget.bytes(reader.rest.len())?;
    out.push_str(reader.rest);
    if !reader.reordered && reader.next < values.len() {
        out.push_str("%!(EXTRA ");
        for (place, value) in values[reader.next..].iter().enumerate() {
            if place > 0 {
                out.push_str(", ");
            }
            out.push_str(value.type_name());
            if !value.is_nil() {
                put(&mut out, format_args!("={}", print(value, budget)?));
            }
        }
        out.push(')');
    }
    Ok(out)
}

struct Format<'a> {
    rest: &'a str,
    values: &'a [Value],
    next: usize,
    reordered: bool,
}

impl Format<'_> {
    fn verb(&mut self, out: &mut String, budget: &Budget) -> Result<(), Failure> {
        let mut spec = Spec::default();
        self.flags(&mut spec);
        let mut good = self.index();
        spec.width = match self.star() {
            Some(Some(width)) => {
                spec.minus |= width < 0;
                usize::try_from(width.unsigned_abs()).ok()
            }
            Some(None) => {
                out.push_str("%!(BADWIDTH)");
                None
            }
            None => self.digits(),
        };
        if let Some(rest) = self.rest.strip_prefix('.') {
            self.rest = rest;
            good &= self.index();
            spec.precision = match self.star() {
                Some(Some(precision)) => usize::try_from(precision).ok(),
                Some(None) => {
                    out.push_str("%!(BADPREC)");
                    None
                }
                None => Some(self.digits().unwrap_or(0)),
            };
        }
        good &= self.index();
        if [spec.width, spec.precision].into_iter().flatten().any(|n| n > MAX_WIDTH) {
            return Err(Failure::limit(format!("a field of `printf` is wider than {MAX_WIDTH} characters")));
        }
        let Some(verb) = self.rest.chars().next() else {
            out.push_str("%!(NOVERB)");
            return Ok(());
        };
        self.rest = &self.rest[verb.len_utf8()..];
        if verb == '%' {
            out.push('%');
            return Ok(());
        }
        if !good {
            put(out, format_args!("%!{verb}(BADINDEX)"));
            return Ok(());
        }
        let Some(value) = self.values.get(self.next) else {
            put(out, format_args!("%!{verb}(MISSING)"));
            return Ok(());
        };
        self.next += 1;
        write_value(out, value, &spec, verb, budget, MAX_DEPTH)
    }

    fn flags(&mut self, spec: &mut Spec) {
        while let Some(flag) = self.rest.chars().next() {
            match flag {
                '-' => spec.minus = true,
                '+' => spec.plus = true,
                '#' => spec.sharp = true,
                ' ' => spec.space = true,
                '0' => spec.zero = true,
                _ => return,
            }
            self.rest = &self.rest[1..];
        }
    }

    fn digits(&mut self) -> Option<usize> {
        let length = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.rest.split_at(length);
        self.rest = rest;
        if digits.is_empty() { None } else { Some(digits.parse().unwrap_or(usize::MAX)) }
    }

    /// Takes `*` and the number that it stands for, if it is there; nothing inside if it is no number.
    fn star(&mut self) -> Option<Option<i64>> {
        self.rest = self.rest.strip_prefix('*')?;
        let value = self.values.get(self.next);
        self.next += 1;
        Some(match value {
            Some(Value::Int(number) | Value::Int64(number)) => Some(*number),
            _ => None,
        })
    }

    /// Takes `[n]`, and answers whether it is good if it is there.
    fn index(&mut self) -> bool {
        let Some(rest) = self.rest.strip_prefix('[') else { return true };
        self.reordered = true;
        let Some((number, rest)) = rest.split_once(']') else { return false };
        self.rest = rest;
        match number.parse::<usize>() {
            Ok(number) if (1..=self.values.len()).contains(&number) => {
                self.next = number - 1;
                true
            }
            _ => false,
        }
    }
}

fn write_value(
    out: &mut String,
    value: &Value,
    spec: &Spec,
    verb: char,
    budget: &Budget,
    depth: usize,
) -> Result<(), Failure> {
    budget.step()?;
    let depth = depth.checked_sub(1).ok_or_else(Failure::too_deep)?;
    if verb == 'T' {
        pad(out, value.type_name(), spec);
        return Ok(());
    }
    let before = out.len();
    match value {
        Value::Nil if verb == 'v' => pad(out, "<nil>", spec),
        Value::Nil => put(out, format_args!("%!{verb}(<nil>)")),
        Value::Bool(value) if matches!(verb, 'v' | 't') => pad(out, &value.to_string(), spec),
        Value::Int(number) | Value::Int64(number) => write_integer(out, *number, value, spec, verb, budget)?,
        Value::Float(number) => write_float(out, *number, value, spec, verb, budget)?,
        Value::Text(text) => {
            budget.bytes(text.len())?;
            write_text(out, text, value, spec, verb);
        }
        Value::List(list) => {
            out.push('[');
            for (place, item) in list.items().iter().enumerate() {
                if place > 0 {
                    out.push(' ');
                }
                write_value(out, item, spec, verb, budget, depth)?;
            }
            out.push(']');
        }
        Value::Map(map) => {
            out.push_str("map[");
            for (place, (key, item)) in map.entries().into_iter().enumerate() {
                if place > 0 {
                    out.push(' ');
                }
                budget.bytes(key.len())?;
                write_value(out, &Value::Text(key), spec, verb, budget, depth)?;
                out.push(':');
                write_value(out, &item, spec, verb, budget, depth)?;
            }
            out.push(']');
        }
        Value::Object(object) => {
            let text = object.formatted();
            write_text(out, &text, value, spec, verb);
        }
        Value::Bool(_) => bad(out, value, verb, budget)?,
    }
    budget.bytes(out.len() - before)
}

fn bad(out: &mut String, value: &Value, verb: char, budget: &Budget) -> Result<(), Failure> {
    put(out, format_args!("%!{verb}({}={})", value.type_name(), print(value, budget)?));
    Ok(())
}

fn write_text(out: &mut String, text: &str, value: &Value, spec: &Spec, verb: char) {
    let cut = |text: &str| match spec.precision {
        Some(count) => text.chars().take(count).collect::<String>(),
        None => text.to_owned(),
    };
    match verb {
        'v' if spec.sharp => pad(out, &quote(text), spec),
        'v' | 's' => pad(out, &cut(text), spec),
        'q' if spec.sharp && !text.contains('`') => pad(out, &format!("`{}`", cut(text)), spec),
        'q' => pad(out, &quote(&cut(text)), spec),
        'x' => pad(out, &text.bytes().map(|b| format!("{b:02x}")).collect::<String>(), spec),
        'X' => pad(out, &text.bytes().map(|b| format!("{b:02X}")).collect::<String>(), spec),
        _ => put(out, format_args!("%!{verb}({}={text})", value.type_name())),
    }
}

fn write_integer(
    out: &mut String,
    number: i64,
    value: &Value,
    spec: &Spec,
    verb: char,
    budget: &Budget,
) -> Result<(), Failure> {
    let size = number.unsigned_abs();
    let (digits, prefix) = match verb {
        'v' | 'd' => (size.to_string(), ""),
        'b' => (format!("{size:b}"), "0b"),
        'o' => (format!("{size:o}"), "0"),
        'O' => (format!("{size:o}"), "0o"),
        'x' => (format!("{size:x}"), "0x"),
        'X' => (format!("{size:X}"), "0X"),
        'c' | 'q' | 'U' => {
            let c = u32::try_from(number).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
            match verb {
                'c' => pad(out, &c.to_string(), spec),
                'U' => pad(out, &format!("U+{number:04X}"), spec),
                _ => {
                    let mut text = "'".to_owned();
                    escape(&mut text, c, '\'');
                    text.push('\'');
                    pad(out, &text, spec);
                }
            }
            return Ok(());
        }
        _ => return bad(out, value, verb, budget),
    };
    let prefix = if spec.sharp || verb == 'O' { prefix } else { "" };
    let least = spec.precision.unwrap_or(0);
    let digits = format!("{prefix}{}{digits}", "0".repeat(least.saturating_sub(digits.len())));
    pad_number(out, number < 0, &digits, spec, spec.precision.is_none());
    Ok(())
}

fn write_float(
    out: &mut String,
    float: f64,
    value: &Value,
    spec: &Spec,
    verb: char,
    budget: &Budget,
) -> Result<(), Failure> {
    let size = float.abs();
    let text = match (verb, spec.precision) {
        ('v' | 'g' | 'G', None) => number::shortest(size),
        ('v' | 'g' | 'G', Some(precision)) => number::general(size, precision),
        ('f' | 'F', precision) => number::fixed(size, precision.unwrap_or(6)),
        ('e' | 'E', precision) => number::exponential(size, precision.unwrap_or(6)),
        _ => return bad(out, value, verb, budget),
    };
    let text = if verb.is_ascii_uppercase() { text.to_uppercase() } else { text };
    pad_number(out, float.is_sign_negative() && !float.is_nan(), &text, spec, float.is_finite());
    Ok(())
}

fn pad_number(out: &mut String, negative: bool, digits: &str, spec: &Spec, zeros: bool) {
    let sign = match (negative, spec.plus, spec.space) {
        (true, ..) => "-",
        (false, true, _) => "+",
        (false, false, true) => " ",
        // The one number that Go never prints without its sign.
        (false, false, false) if digits.eq_ignore_ascii_case("+inf") => "+",
        _ => "",
    };
    let digits = digits.strip_prefix('+').unwrap_or(digits);
    match spec.width {
        Some(width) if spec.zero && !spec.minus && zeros => {
            let zeros = "0".repeat(width.saturating_sub(sign.len() + digits.len()));
            put(out, format_args!("{sign}{zeros}{digits}"));
        }
        _ => pad(out, &format!("{sign}{digits}"), spec),
    }
}

fn pad(out: &mut String, text: &str, spec: &Spec) {
    let missing = spec.width.unwrap_or(0).saturating_sub(text.chars().count());
    match spec.minus {
        true => put(out, format_args!("{text}{}", " ".repeat(missing))),
        false => {
            let filler = if spec.zero { "0" } else { " " };
            put(out, format_args!("{}{text}", filler.repeat(missing)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    // What Go's `fmt.Sprintf` returns.
    #[rstest]
    #[case("%s-%d", &["a".into(), Value::Int(3)], "a-3")]
    #[case("%v %v %v", &[Value::Nil, Value::Float(1.5), true.into()], "<nil> 1.5 true")]
    #[case("%d", &["a".into()], "%!d(string=a)")]
    #[case("%s", &[Value::Nil], "%!s(<nil>)")]
    #[case("%s", &[Value::Int(3)], "%!s(int=3)")]
    #[case("%s", &[Value::Float(3.0)], "%!s(float64=3)")]
    #[case("%s", &[], "%!s(MISSING)")]
    #[case("a", &["b".into(), Value::Int(1)], "a%!(EXTRA string=b, int=1)")]
    #[case("%5d|%-5d|%05d|%+d", &[Value::Int(7), Value::Int(7), Value::Int(-7), Value::Int(7)], "    7|7    |-0007|+7")]
    #[case("%.2f %5.1f %e", &[Value::Float(1.005), Value::Float(2.25), Value::Float(1234.5)], "1.00   2.2 1.234500e+03")]
    #[case("%x %X %o %b %#x", &[Value::Int(255), Value::Int(255), Value::Int(8), Value::Int(5), Value::Int(255)], "ff FF 10 101 0xff")]
    #[case("%x", &["hi".into()], "6869")]
    #[case("%q %q", &["a\"b\n".into(), Value::Int(97)], "\"a\\\"b\\n\" 'a'")]
    #[case("%-5s|%5s|%.2s", &["ab".into(), "ab".into(), "abc".into()], "ab   |   ab|ab")]
    #[case("%[2]s %[1]s", &["a".into(), "b".into()], "b a")]
    #[case("%*d", &[Value::Int(4), Value::Int(7)], "   7")]
    #[case("%t %v%%", &[true.into(), false.into()], "true false%")]
    #[case("%s", &[Value::list(["a".into(), "b".into()])], "[a b]")]
    #[case("%v", &[Value::map([("b", Value::Int(1)), ("a", "x".into())])], "map[a:x b:1]")]
    #[case("%", &[], "%!(NOVERB)")]
    #[case("%T", &[Value::Float(1.0)], "float64")]
    #[case("%g", &[Value::Float(1_000_000.0)], "1e+06")]
    fn verbs(#[case] format: &str, #[case] values: &[Value], #[case] expected: &str) {
        assert_eq!(printf(format, values, &Budget::default()).expect("no limit"), expected);
    }

    #[test]
    fn spaces_stand_between_what_is_no_string() {
        let values = [Value::Int(1), Value::Int(2), "a".into(), "b".into(), Value::Int(3), Value::Nil];
        assert_eq!(print_all(&values, &Budget::default()).expect("no limit"), "1 2ab3 <nil>");
    }

    #[test]
    fn fields_have_a_limit() {
        let failure = printf("%99999999d", &[Value::Int(1)], &Budget::default()).expect_err("too wide");
        assert!(failure.is_limit());
    }
}
