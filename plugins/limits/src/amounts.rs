//! Sizes and days, as people write them.

/// What units stand for. Those of storage makers count in thousands, those of memory in 1024s.
const UNITS: [(&str, u64); 10] = [
    ("", 1),
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// Reads a size: `2GiB`, `500 MB`, `1000`.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = (&text[..digits], text[digits..].trim_start());
    let unit = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    let size = number.parse::<u64>().ok().zip(unit).and_then(|(number, factor)| number.checked_mul(factor));
    match size {
        Some(0) => Err(format!("`{text}` lets no image pass")),
        Some(size) => Ok(size),
        None => Err(format!("`{text}` is not a size such as `2GiB`")),
    }
}

/// Writes a size for people.
pub(crate) fn show_size(bytes: u64) -> String {
    let (unit, factor) = match bytes {
        0..=999 => return format!("{bytes} B"),
        1000..=999_999 => ("kB", 1e3),
        1_000_000..=999_999_999 => ("MB", 1e6),
        _ => ("GB", 1e9),
    };
    format!("{:.1} {unit}", bytes as f64 / factor)
}

/// Returns the number of the day that a time of RFC 3339 is on; days are counted from the first of 1970.
pub(crate) fn day(time: &str) -> Option<i64> {
    let date = time.get(..10)?;
    let mut parts = date.split('-').map(str::parse::<i64>);
    let (year, month, date) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&date) || time.as_bytes().get(10) != Some(&b'T') {
        return None;
    }
    // Years begin with March here, so that the odd day is the last.
    let year = if month > 2 { year } else { year - 1 };
    let (era, month) = (year.div_euclid(400), (month + 9) % 12);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * month + 2) / 5 + date - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("1", Some(1))]
    #[case("2GiB", Some(2 << 30))]
    #[case("500 MB", Some(500_000_000))]
    #[case("10kB", Some(10_000))]
    #[case("0", None)]
    #[case("2gib", None)]
    #[case("-1", None)]
    #[case("GiB", None)]
    #[case("99999999999TiB", None)]
    #[case("1.5GB", None)]
    fn sizes(#[case] text: &str, #[case] expected: Option<u64>) {
        assert_eq!(parse_size(text).ok(), expected);
    }

    #[rstest]
    #[case("1970-01-01T00:00:00Z", Some(0))]
    #[case("1969-12-31T23:59:59Z", Some(-1))]
    #[case("2000-02-29T12:00:00.123456789+02:00", Some(11_016))]
    #[case("2026-01-01T00:00:00Z", Some(20_454))]
    #[case("0001-01-01T00:00:00Z", Some(-719_162))]
    #[case("2026-13-01T00:00:00Z", None)]
    #[case("2026-01-01", None)]
    #[case("yesterday", None)]
    #[case("", None)]
    fn days(#[case] text: &str, #[case] expected: Option<i64>) {
        assert_eq!(day(text), expected);
    }

    #[test]
    fn sizes_are_shown() {
        assert_eq!([show_size(1), show_size(2_500_000), show_size(2 << 30)], ["1 B", "2.5 MB", "2.1 GB"]);
    }
}
