//! What a plain scalar means.

use crate::number;

/// What a plain scalar means.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Plain {
    Null,
    Bool(bool),
    Number(f64),
    /// `<<`, as a key.
    Merge,
    /// A string, though it looks like a point in time, which has to be quoted when it is written.
    Time,
    Text,
}

/// Says what a plain scalar means in YAML 1.1, as Go's `yaml.v2` has it.
pub(super) fn resolve(text: &str) -> Plain {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Plain::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Plain::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Plain::Bool(false);
        }
        ".nan" | ".NaN" | ".NAN" => return Plain::Number(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Plain::Number(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Plain::Number(f64::NEG_INFINITY),
        "<<" => return Plain::Merge,
        _ => {}
    }
    match text.as_bytes()[0] {
        b'.' => match is_float(text) {
            true => text.parse().map_or(Plain::Text, Plain::Number),
            false => Plain::Text,
        },
        b'0'..=b'9' | b'+' | b'-' => resolve_number(text),
        _ => Plain::Text,
    }
}

fn resolve_number(text: &str) -> Plain {
    if is_time(text) {
        return Plain::Time;
    }
    let plain = text.replace('_', "");
    let fits = |number: &i128| *number >= i128::from(i64::MIN) && *number <= i128::from(u64::MAX);
    if let Some(number) = number::integer(&plain).filter(fits) {
        return Plain::Number(number as f64);
    }
    match is_float(&plain) {
        true => plain.parse().map_or(Plain::Text, Plain::Number),
        false => Plain::Text,
    }
}

/// `^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`
fn is_float(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let whole = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && digits(fraction),
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => !mantissa.is_empty() && digits(mantissa),
    };
    whole
        && exponent.is_none_or(|exponent| {
            let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
            !exponent.is_empty() && digits(exponent)
        })
}

/// `2001-12-14`, `2001-12-14t21:59:43.10-05:00`, `2001-12-14 21:59:43`.
fn is_time(text: &str) -> bool {
    let Some((year, rest)) = text.split_once('-') else { return false };
    if year.len() != 4 || !year.bytes().all(|b| b.is_ascii_digit()) {
        return false;
    }
    let (date, time) = match rest.find(['T', 't', ' ']) {
        Some(at) => (&rest[..at], Some(&rest[at..])),
        None => (rest, None),
    };
    let number =
        |text: &str, most: u32| (1..=2).contains(&text.len()) && text.parse::<u32>().is_ok_and(|n| n <= most);
    let Some((month, day)) = date.split_once('-') else { return false };
    if !(number(month, 12) && number(day, 31)) {
        return false;
    }
    let Some(time) = time else { return true };
    let zoned = !time.starts_with(' ');
    let time = &time[1..];
    let end = time.find(['Z', '+', '-']).unwrap_or(time.len());
    let (clock, zone) = time.split_at(end);
    let zone_is_good = match (zoned, zone) {
        (false, zone) => zone.is_empty(),
        (true, "Z") => true,
        (true, zone) => zone
            .get(1..)
            .and_then(|zone| zone.split_once(':'))
            .is_some_and(|(h, m)| h.len() == 2 && m.len() == 2 && number(h, 24) && number(m, 60)),
    };
    let mut parts = clock.split(':');
    let (Some(hour), Some(minute), Some(second), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let (second, fraction) = second.split_once('.').unwrap_or((second, "0"));
    zone_is_good
        && number(hour, 23)
        && number(minute, 59)
        && number(second, 59)
        && !fraction.is_empty()
        && fraction.bytes().all(|b| b.is_ascii_digit())
}

/// A number to the base 60 in YAML 1.1. It is read as a string, and quoted for others.
fn is_base60(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mut parts = text.split(':');
    let first = parts.next().unwrap_or_default();
    let first_is_good = first.starts_with(|c: char| c.is_ascii_digit())
        && first.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let mut rest: Vec<&str> = parts.collect();
    let Some(last) = rest.pop() else { return false };
    let (last, fraction) = last.split_once('.').unwrap_or((last, ""));
    rest.push(last);
    let sixty = |part: &&str| match part.as_bytes() {
        [digit] => digit.is_ascii_digit(),
        [ten, digit] => (b'0'..=b'5').contains(ten) && digit.is_ascii_digit(),
        _ => false,
    };
    first_is_good && rest.iter().all(sixty) && fraction.bytes().all(|b| b.is_ascii_digit() || b == b'_')
}

/// Answers whether a string would be read as itself if it were written plainly.
pub(super) fn is_text(text: &str) -> bool {
    matches!(resolve(text), Plain::Text | Plain::Merge) && !is_base60(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("~", Plain::Null)]
    #[case("yes", Plain::Bool(true))]
    #[case("Off", Plain::Bool(false))]
    #[case("1_000", Plain::Number(1000.0))]
    #[case("0777", Plain::Number(511.0))]
    #[case("0o17", Plain::Number(15.0))]
    #[case("0x1F", Plain::Number(31.0))]
    #[case("-1.5e3", Plain::Number(-1500.0))]
    #[case(".5", Plain::Number(0.5))]
    #[case("1.", Plain::Number(1.0))]
    #[case("18446744073709551616", Plain::Number(18446744073709551616.0))]
    #[case("08", Plain::Number(8.0))]
    #[case("1.2.3", Plain::Text)]
    #[case("1e", Plain::Text)]
    #[case("v1", Plain::Text)]
    #[case("2001-01-02", Plain::Time)]
    #[case("2001-01-02T03:04:05Z", Plain::Time)]
    #[case("2001-13-02", Plain::Text)]
    #[case("<<", Plain::Merge)]
    #[case(".", Plain::Text)]
    #[case("-", Plain::Text)]
    #[case("10Gi", Plain::Text)]
    fn scalars(#[case] text: &str, #[case] meaning: Plain) {
        assert_eq!(resolve(text), meaning);
    }

    #[rstest]
    #[case("12:30:45", false)]
    #[case("1:5", false)]
    #[case("1:75", true)]
    #[case("host:8080", true)]
    #[case("true", false)]
    #[case("", false)]
    fn texts_that_need_no_quotes(#[case] text: &str, #[case] plain: bool) {
        assert_eq!(is_text(text), plain);
    }
}
