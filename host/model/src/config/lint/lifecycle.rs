//! Until when releases of OpenShift are supported.

/// When the support of the minor versions of OpenShift 4 ends, with the update support that even ones have had since 4.12 (first term,
/// x86_64), as Red Hat's life cycle policy had it at the beginning of 2026. A later version may have no date yet.
const ENDS: [(u32, &str); 16] = [
    (6, "2022-10-27"),
    (7, "2022-08-24"),
    (8, "2023-01-27"),
    (9, "2023-04-18"),
    (10, "2023-09-10"),
    (11, "2024-02-10"),
    (12, "2025-01-17"),
    (13, "2024-11-17"),
    (14, "2025-10-31"),
    (15, "2025-08-27"),
    (16, "2026-06-27"),
    (17, "2026-04-01"),
    (18, "2027-02-25"),
    (19, "2026-12-17"),
    (20, "2027-10-21"),
    (21, "2027-08-03"),
];

/// Where the dates are kept up to date.
pub(super) const POLICY: &str = "https://access.redhat.com/support/policy/updates/openshift";

/// Returns the minor version of OpenShift 4 that a channel or version is about: 20 of `stable-4.20`, and of `4.20.3`.
pub(super) fn minor(text: &str) -> Option<u32> {
    let version = text.rsplit_once('-').filter(|(_, end)| end.starts_with("4.")).map_or(text, |(_, end)| end);
    version.strip_prefix("4.")?.split(['.', '-', '+']).next()?.parse().ok()
}

/// Returns when the support ended, if that was before `today`, `YYYY-MM-DD`.
pub(super) fn ended(minor: u32, today: &str) -> Option<&'static str> {
    let oldest = ENDS[0];
    if minor < oldest.0 {
        return Some("before 2022");
    }
    ENDS.iter().find(|(known, end)| *known == minor && *end < today).map(|(_, end)| *end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("stable-4.20", Some(20))]
    #[case("eus-4.8", Some(8))]
    #[case("4.20.3", Some(20))]
    #[case("4.21.0-rc.4", Some(21))]
    #[case("stable-4.20-x", None)]
    #[case("4-scos-stable", None)]
    #[case("stable-5.1", None)]
    fn minors(#[case] text: &str, #[case] expected: Option<u32>) {
        assert_eq!(minor(text), expected);
    }

    #[rstest]
    #[case(5, "2026-11-26", Some("before 2022"))]
    #[case(17, "2026-11-26", Some("2026-04-01"))]
    #[case(18, "2026-11-26", None)]
    #[case(18, "2027-02-26", Some("2027-02-25"))]
    #[case(99, "2030-01-01", None)]
    fn ends(#[case] minor: u32, #[case] today: &str, #[case] expected: Option<&str>) {
        assert_eq!(ended(minor, today), expected);
    }
}
