//! [`Size`]: a number of bytes as a person wrote it, so that what is said about it has the unit that they think in.

use std::fmt;
use std::str::FromStr;

/// The unit of a number that has none, and of `archiveSize`.
const GIB: Unit = Unit { name: "GiB", bytes: 1 << 30 };

/// The units as they are shown, and what else stands for them.
const UNITS: [(Unit, &[&str]); 9] = [
    (GIB, &["", "g", "gib"]),
    (Unit { name: "B", bytes: 1 }, &["b"]),
    (Unit { name: "kB", bytes: 1_000 }, &["kb"]),
    (Unit { name: "MB", bytes: 1_000_000 }, &["mb"]),
    (Unit { name: "GB", bytes: 1_000_000_000 }, &["gb"]),
    (Unit { name: "TB", bytes: 1_000_000_000_000 }, &["tb"]),
    (Unit { name: "KiB", bytes: 1 << 10 }, &["k", "kib"]),
    (Unit { name: "MiB", bytes: 1 << 20 }, &["m", "mib"]),
    (Unit { name: "TiB", bytes: 1 << 40 }, &["t", "tib"]),
];

/// A size such as `4.4GB`, `650MiB`, or `500`, which is in GiB. It is shown in the unit in which it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    bytes: u64,
    unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Unit {
    name: &'static str,
    bytes: u64,
}

/// A text is not a size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a size")]
pub struct InvalidSize(String);

impl InvalidSize {
    /// Returns what to do about it.
    pub fn hint(&self) -> &'static str {
        "write 4.4GB, 650MiB, or 500 for 500 GiB"
    }
}

impl Size {
    /// Makes a size that is shown in GiB.
    pub fn in_gib(bytes: u64) -> Self {
        Self { bytes, unit: GIB }
    }

    /// Returns the number of bytes.
    pub fn bytes(self) -> u64 {
        self.bytes
    }

    /// Returns the least size that reads well in the same unit and is not below `bytes`.
    pub fn at_least(self, bytes: u64) -> Self {
        let hundredths = (u128::from(bytes) * 100).div_ceil(u128::from(self.unit.bytes));
        let rounded = (hundredths * u128::from(self.unit.bytes)).div_ceil(100);
        Self { bytes: u64::try_from(rounded).unwrap_or(u64::MAX), ..self }
    }

    /// Returns how many whole GiB are not below it, as `archiveSize` counts.
    pub fn whole_gib(self) -> u64 {
        self.bytes.div_ceil(GIB.bytes)
    }
}

impl FromStr for Size {
    type Err = InvalidSize;

    fn from_str(text: &str) -> Result<Self, InvalidSize> {
        let invalid = || InvalidSize(text.to_owned());
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, written) = (&text[..end], text[end..].trim().to_ascii_lowercase());
        let known = UNITS.iter().find(|(_, names)| names.contains(&written.as_str()));
        let unit = known.map(|(unit, _)| *unit).ok_or_else(invalid)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() || (number.contains('.') && fraction.is_empty()) || fraction.len() > 9 {
            return Err(invalid());
        }
        // Exact, where 4.4 times a power of ten would not be.
        let digits: u128 = format!("{whole}{fraction}").parse().map_err(|_| invalid())?;
        let scale = 10_u128.pow(u32::try_from(fraction.len()).map_err(|_| invalid())?);
        let bytes = digits.checked_mul(u128::from(unit.bytes)).ok_or_else(invalid)? / scale;
        match i64::try_from(bytes) {
            Ok(1..) => Ok(Self { bytes: u64::try_from(bytes).map_err(|_| invalid())?, unit }),
            _ => Err(invalid()),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The nearest, since what was written is less than a byte more than what was kept of it.
        let unit = u128::from(self.unit.bytes);
        let hundredths = (u128::from(self.bytes) * 100 + unit / 2) / unit;
        let (whole, rest) = (hundredths / 100, hundredths % 100);
        match rest {
            0 => write!(f, "{whole}{}", self.unit.name),
            rest if rest % 10 == 0 => write!(f, "{whole}.{}{}", rest / 10, self.unit.name),
            rest => write!(f, "{whole}.{rest:02}{}", self.unit.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("4.4GB", Some((4_400_000_000, "4.4GB")))]
    #[case("4GiB", Some((4 << 30, "4GiB")))]
    #[case("700MB", Some((700_000_000, "700MB")))]
    #[case("650MiB", Some((681_574_400, "650MiB")))]
    #[case("2", Some((2 << 30, "2GiB")))]
    #[case("10 MB", Some((10_000_000, "10MB")))]
    #[case("4g", Some((4 << 30, "4GiB")))]
    #[case("1.25kb", Some((1250, "1.25kB")))]
    #[case::not_one_less_than_was_written("4.39GiB", Some((4_713_726_607, "4.39GiB")))]
    #[case("0", None)]
    #[case("0.1B", None)]
    #[case("-1GB", None)]
    #[case("1.2.3GB", None)]
    #[case(".5GB", None)]
    #[case("5.GB", None)]
    #[case("5 stones", None)]
    #[case("99999999999999999999", None)]
    #[case("9999999999TB", None)]
    #[case("", None)]
    fn sizes(#[case] text: &str, #[case] expected: Option<(u64, &str)>) {
        let parsed = text.parse::<Size>().ok().map(|size| (size.bytes(), size.to_string()));
        assert_eq!(parsed, expected.map(|(bytes, shown)| (bytes, shown.to_owned())));
    }

    #[rstest]
    #[case("10MB", 26_226_688, "26.23MB")]
    #[case("1GiB", 26_226_688, "0.03GiB")]
    #[case("100KiB", 26_226_688, "25612KiB")]
    #[case("5B", 26_226_688, "26226688B")]
    fn what_is_needed_is_said_in_the_same_unit(
        #[case] written: &str,
        #[case] bytes: u64,
        #[case] said: &str,
    ) {
        let enough = written.parse::<Size>().expect("a size").at_least(bytes);
        assert_eq!(enough.to_string(), said);
        let read = said.parse::<Size>().expect("what is said can be written");
        assert!(read.bytes() >= bytes && read.bytes() <= enough.bytes(), "{read:?} {enough:?}");
        assert_eq!(Size::in_gib(bytes).whole_gib(), 1);
    }
}
