//! Floating-point numbers as text, as Go's `strconv` writes and reads them.

/// From which exponent on Go writes one where the digits are the fewest that mean the number.
const SHORTEST: i32 = 6;

/// Writes a number with the fewest digits that mean it, with an exponent from a million on: `%v`, `%g`.
pub(crate) fn shortest(number: f64) -> String {
    let Some((negative, digits, exponent)) = parts(number) else { return special(number) };
    if !(-4..SHORTEST).contains(&exponent) {
        return sign(negative) + &scientific(&digits, exponent, 2);
    }
    sign(negative) + &positional(&digits, exponent)
}

/// Writes a number as JSON documents of Go have it: with an exponent below 1e-6 and from 1e21.
pub(crate) fn json(number: f64) -> String {
    let Some((negative, digits, exponent)) = parts(number) else { return special(number) };
    match (-6..21).contains(&exponent) || digits == "0" {
        true => sign(negative) + &positional(&digits, exponent),
        false => sign(negative) + &scientific(&digits, exponent, 1),
    }
}

/// Sign, digits without trailing zeros and the exponent of the first digit; nothing for what is not finite.
fn parts(number: f64) -> Option<(bool, String, i32)> {
    if !number.is_finite() {
        return None;
    }
    let text = format!("{:e}", number.abs());
    let (mantissa, exponent) = text.split_once('e')?;
    Some((number.is_sign_negative(), mantissa.replace('.', ""), exponent.parse().ok()?))
}

fn special(number: f64) -> String {
    match number {
        n if n.is_nan() => "NaN",
        n if n > 0.0 => "+Inf",
        _ => "-Inf",
    }
    .to_owned()
}

fn sign(negative: bool) -> String {
    if negative { "-".to_owned() } else { String::new() }
}

fn scientific(digits: &str, exponent: i32, width: usize) -> String {
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{first}{point}{rest}e{sign}{:0width$}", exponent.abs())
}

fn positional(digits: &str, exponent: i32) -> String {
    if exponent < 0 {
        return format!("0.{}{digits}", "0".repeat(usize::try_from(-exponent - 1).unwrap_or(0)));
    }
    let whole = usize::try_from(exponent).unwrap_or(0) + 1;
    match digits.len() > whole {
        true => format!("{}.{}", &digits[..whole], &digits[whole..]),
        false => format!("{digits}{}", "0".repeat(whole - digits.len())),
    }
}

/// Writes a number with an exponent and a fixed number of digits behind the point: `%e`.
pub(crate) fn exponential(number: f64, precision: usize) -> String {
    if !number.is_finite() {
        return special(number);
    }
    let text = format!("{number:.precision$e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => {
            let exponent: i32 = exponent.parse().unwrap_or(0);
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{mantissa}e{sign}{:02}", exponent.abs())
        }
        None => text,
    }
}

/// Writes a number with a fixed number of digits behind the point: `%f`.
pub(crate) fn fixed(number: f64, precision: usize) -> String {
    if number.is_finite() { format!("{number:.precision$}") } else { special(number) }
}

/// Writes a number with at most so many digits: `%.3g`.
pub(crate) fn general(number: f64, precision: usize) -> String {
    let precision = precision.max(1);
    if !number.is_finite() {
        return special(number);
    }
    let text = format!("{:.*e}", precision - 1, number.abs());
    let Some((mantissa, exponent)) = text.split_once('e') else { return text };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits = mantissa.replace('.', "");
    let digits = digits.trim_end_matches('0');
    let digits = if digits.is_empty() { "0" } else { digits };
    let limit = i32::try_from(precision).unwrap_or(i32::MAX);
    match exponent < -4 || exponent >= limit {
        true => sign(number.is_sign_negative()) + &scientific(digits, exponent, 2),
        false => sign(number.is_sign_negative()) + &positional(digits, exponent),
    }
}

/// Reads an integer as Go does where the base is told by a prefix: `0x1f`, `0o17`, `017`, `0b1`, `1_000`.
pub(crate) fn integer(text: &str) -> Option<i128> {
    let (negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = rest.to_ascii_lowercase();
    let (radix, digits, prefixed) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..], true),
        Some("0o") => (8, &lower[2..], true),
        Some("0b") => (2, &lower[2..], true),
        _ if lower.len() > 1 && lower.starts_with('0') => (8, &lower[1..], true),
        _ => (10, lower.as_str(), false),
    };
    // An underscore stands between digits, or between prefix and digits.
    if digits.ends_with('_') || digits.contains("__") || (!prefixed && digits.starts_with('_')) {
        return None;
    }
    let digits = digits.replace('_', "");
    if digits.is_empty() || digits.starts_with(['+', '-']) {
        return None;
    }
    let number = i128::from_str_radix(&digits, radix).ok()?;
    Some(if negative { -number } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    // What `fmt.Sprint` and `json.Marshal` of Go print.
    #[rstest]
    #[case(0.0, "0", "0")]
    #[case(1.5, "1.5", "1.5")]
    #[case(3.0, "3", "3")]
    #[case(-0.25, "-0.25", "-0.25")]
    #[case(100000.0, "100000", "100000")]
    #[case(999999.0, "999999", "999999")]
    #[case(1000000.0, "1e+06", "1000000")]
    #[case(1234567.0, "1.234567e+06", "1234567")]
    #[case(123456789.0, "1.23456789e+08", "123456789")]
    #[case(20971520.0, "2.097152e+07", "20971520")]
    #[case(1e21, "1e+21", "1e+21")]
    #[case(0.0001, "0.0001", "0.0001")]
    #[case(0.00001, "1e-05", "0.00001")]
    #[case(1e-7, "1e-07", "1e-7")]
    #[case(123456.789, "123456.789", "123456.789")]
    #[case(1234567.5, "1.2345675e+06", "1234567.5")]
    fn as_go_prints_them(#[case] number: f64, #[case] plain: &str, #[case] in_json: &str) {
        assert_eq!((shortest(number).as_str(), json(number).as_str()), (plain, in_json));
    }

    #[rstest]
    #[case("017", Some(15))]
    #[case("0o17", Some(15))]
    #[case("0x1F", Some(31))]
    #[case("-0b11", Some(-3))]
    #[case("1_000", Some(1000))]
    #[case("08", None)]
    #[case("_1", None)]
    #[case("", None)]
    #[case("-", None)]
    #[case("1-", None)]
    fn integers(#[case] text: &str, #[case] number: Option<i128>) {
        assert_eq!(integer(text), number);
    }
}
