//! Sprig's dates. A guest has no clock: now is the first second of 1970.

use std::rc::Rc;

use super::convert::to_int;
use super::{Args, Function, exactly};
use crate::failure::Failure;
use crate::value::{Object, Value};

pub(super) fn find(name: &str) -> Option<Function> {
    Some(match name {
        "now" => exactly(0, |_, _| Ok(Time(0).into())),
        "date" => exactly(2, |_, a| Ok(Time::of(a.any(1)).format(a.text(0)?).into())),
        "dateInZone" | "date_in_zone" => exactly(3, |_, a| {
            a.text(2)?;
            Ok(Time::of(a.any(1)).format(a.text(0)?).into())
        }),
        "htmlDate" => exactly(1, |_, a| Ok(Time::of(a.any(0)).format("2006-01-02").into())),
        "htmlDateInZone" => exactly(2, |_, a| Ok(Time::of(a.any(0)).format("2006-01-02").into())),
        "dateModify" | "date_modify" | "mustDateModify" | "must_date_modify" => exactly(2, |_, a| {
            let time = Time::of(a.any(1));
            match duration(a.text(0)?) {
                Some(seconds) => Ok(Time(time.0.saturating_add(seconds)).into()),
                None if a.name.starts_with("must") => Err(Failure::fault("time: invalid duration")),
                None => Ok(time.into()),
            }
        }),
        "toDate" => exactly(2, |_, a| Ok(parsed(a)?.unwrap_or(Time(ZERO)).into())),
        "mustToDate" => exactly(2, |_, a| {
            let text = a.text(1)?;
            let time = parsed(a)?.ok_or_else(|| Failure::fault(format!("parsing time \"{text}\"")))?;
            Ok(time.into())
        }),
        "unixEpoch" => exactly(1, |_, a| Ok(Time::of(a.any(0)).0.to_string().into())),
        "ago" => exactly(1, |_, a| Ok(in_words(0_i64.saturating_sub(Time::of(a.any(0)).0)).into())),
        "duration" => exactly(1, |_, a| Ok(in_words(to_int(a.any(0))).into())),
        "durationRound" => exactly(1, |_, a| {
            let seconds = match a.any(0) {
                Value::Text(text) => duration(text).unwrap_or(0),
                Value::Int64(nanoseconds) => nanoseconds / 1_000_000_000,
                _ => 0,
            };
            Ok(rounded(seconds).into())
        }),
        _ => return None,
    })
}

/// Go's zero time: the first second of the year 1.
const ZERO: i64 = -62_135_596_800;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Seconds since 1970, in UTC.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time(pub(super) i64);

impl From<Time> for Value {
    fn from(time: Time) -> Self {
        Self::Object(Rc::new(time))
    }
}

/// Year, month from 1, day from 1, hour, minute, second, day of the week, day of the year from 1.
struct Parts {
    year: i64,
    month: usize,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    week_day: usize,
    year_day: i64,
}

impl Time {
    fn of(value: &Value) -> Self {
        match value {
            Value::Int(seconds) | Value::Int64(seconds) => Self(*seconds),
            Value::Object(object) => match object.member("Unix", &[]) {
                Some(Ok(Value::Int64(seconds))) => Self(seconds),
                _ => Self(0),
            },
            _ => Self(0),
        }
    }

    fn parts(self) -> Parts {
        let (days, clock) = (self.0.div_euclid(86_400), self.0.rem_euclid(86_400));
        // Howard Hinnant's algorithm: years that begin in March, in eras of 400.
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Parts {
            year,
            month: usize::try_from(month).unwrap_or(1),
            day,
            hour: clock / 3600,
            minute: clock / 60 % 60,
            second: clock % 60,
            week_day: usize::try_from((days + 4).rem_euclid(7)).unwrap_or(0),
            year_day: days - days_of(year, 1, 1) + 1,
        }
    }

    /// Writes it by an example, as Go does: `2006-01-02T15:04:05Z07:00`.
    pub(super) fn format(self, layout: &str) -> String {
        let p = self.parts();
        let (month, day) = (MONTHS[p.month - 1], DAYS[p.week_day]);
        let hour12 = if p.hour % 12 == 0 { 12 } else { p.hour % 12 };
        let half = if p.hour < 12 { ["AM", "am"] } else { ["PM", "pm"] };
        // Longer examples stand before those that they begin with.
        let table: [(&str, String); 31] = [
            ("January", month.to_owned()),
            ("Jan", month[..3].to_owned()),
            ("Monday", day.to_owned()),
            ("Mon", day[..3].to_owned()),
            ("MST", "UTC".to_owned()),
            ("2006", format!("{:04}", p.year)),
            ("-07:00:00", "+00:00:00".to_owned()),
            ("-07:00", "+00:00".to_owned()),
            ("-0700", "+0000".to_owned()),
            ("-07", "+00".to_owned()),
            ("Z07:00", "Z".to_owned()),
            ("Z0700", "Z".to_owned()),
            ("Z07", "Z".to_owned()),
            ("002", format!("{:03}", p.year_day)),
            ("01", format!("{:02}", p.month)),
            ("02", format!("{:02}", p.day)),
            ("03", format!("{hour12:02}")),
            ("04", format!("{:02}", p.minute)),
            ("05", format!("{:02}", p.second)),
            ("06", format!("{:02}", p.year.rem_euclid(100))),
            ("15", format!("{:02}", p.hour)),
            ("PM", half[0].to_owned()),
            ("pm", half[1].to_owned()),
            ("_2", format!("{:2}", p.day)),
            (".000000000", ".000000000".to_owned()),
            (".000000", ".000000".to_owned()),
            (".000", ".000".to_owned()),
            (".999999999", String::new()),
            ("1", p.month.to_string()),
            ("2", p.day.to_string()),
            ("3", hour12.to_string()),
        ];
        let mut out = String::new();
        let mut rest = layout;
        while let Some(c) = rest.chars().next() {
            match table.iter().find(|(example, _)| rest.starts_with(example)) {
                Some((example, text)) => {
                    out.push_str(text);
                    rest = &rest[example.len()..];
                }
                None => {
                    match c {
                        '4' => out.push_str(&p.minute.to_string()),
                        '5' => out.push_str(&p.second.to_string()),
                        c => out.push(c),
                    }
                    rest = &rest[c.len_utf8()..];
                }
            }
        }
        out
    }
}

impl Object for Time {
    fn type_name(&self) -> &'static str {
        "time.Time"
    }

    fn member(&self, name: &str, arguments: &[Value]) -> Option<Result<Value, Failure>> {
        let p = self.parts();
        Some(Ok(match name {
            "Unix" => Value::Int64(self.0),
            "UnixNano" => Value::Int64(self.0.saturating_mul(1_000_000_000)),
            "Year" => Value::Int(p.year),
            "Month" => MONTHS[p.month - 1].into(),
            "Day" => Value::Int(p.day),
            "Hour" => Value::Int(p.hour),
            "Minute" => Value::Int(p.minute),
            "Second" => Value::Int(p.second),
            "Weekday" => DAYS[p.week_day].into(),
            "YearDay" => Value::Int(p.year_day),
            "UTC" | "Local" => Value::from(*self),
            "Format" => self.format(arguments.first().and_then(Value::as_str).unwrap_or_default()).into(),
            "String" => self.text().into(),
            _ => return None,
        }))
    }

    fn text(&self) -> String {
        self.format("2006-01-02 15:04:05 -0700 MST")
    }

    fn plain(&self) -> Value {
        self.format("2006-01-02T15:04:05Z07:00").into()
    }

    fn toml(&self) -> Option<String> {
        Some(self.format("2006-01-02T15:04:05Z07:00"))
    }
}

/// Days from 1970 to a date.
pub(super) fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Reads a time by an example.
fn parsed(a: &Args<'_>) -> Result<Option<Time>, Failure> {
    let (mut layout, mut text) = (a.text(0)?, a.text(1)?);
    let (mut year, mut month, mut day, mut clock) = (1, 1, 1, [0_i64; 3]);
    while let Some(c) = layout.chars().next() {
        let numbers: [(&str, usize); 6] =
            [("2006", 0), ("01", 1), ("02", 2), ("15", 3), ("04", 4), ("05", 5)];
        if let Some((example, which)) = numbers.iter().find(|(example, _)| layout.starts_with(example)) {
            let Some(number) = text.get(..example.len()).and_then(|digits| digits.parse().ok()) else {
                return Ok(None);
            };
            match which {
                0 => year = number,
                1 => month = number,
                2 => day = number,
                which => clock[which - 3] = number,
            }
            (layout, text) = (&layout[example.len()..], &text[example.len()..]);
        } else if let Some(rest) = layout.strip_prefix("Z07:00") {
            let Some(after) = text.strip_prefix('Z') else { return Ok(None) };
            (layout, text) = (rest, after);
        } else {
            let Some(after) = text.strip_prefix(c) else { return Ok(None) };
            (layout, text) = (&layout[c.len_utf8()..], after);
        }
    }
    let fits = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && clock[0] < 24
        && clock[1] < 60
        && clock[2] < 60
        && text.is_empty();
    let seconds = days_of(year, month, day) * 86_400 + clock[0] * 3600 + clock[1] * 60 + clock[2];
    Ok(fits.then_some(Time(seconds)))
}

/// Reads `1h30m`, in whole seconds.
fn duration(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        seconds += number
            * match &rest[..end] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" | "μs" => 1e-6,
                "ns" => 1e-9,
                _ => return None,
            };
        rest = &rest[end..];
    }
    if text.is_empty() { None } else { Some((sign * seconds) as i64) }
}

/// Writes seconds as Go writes a duration: `1h30m0s`.
fn in_words(seconds: i64) -> String {
    let sign = if seconds < 0 { "-" } else { "" };
    let size = seconds.unsigned_abs();
    let (hours, minutes, rest) = (size / 3600, size / 60 % 60, size % 60);
    match (hours, minutes) {
        (0, 0) => format!("{sign}{rest}s"),
        (0, _) => format!("{sign}{minutes}m{rest}s"),
        _ => format!("{sign}{hours}h{minutes}m{rest}s"),
    }
}

fn rounded(seconds: i64) -> String {
    let size = seconds.unsigned_abs();
    let units = [(31_536_000, "y"), (2_592_000, "mo"), (86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let unit = units.iter().find(|(length, _)| size > *length);
    unit.map_or_else(|| "0s".to_owned(), |(length, name)| format!("{}{name}", size / length))
}
