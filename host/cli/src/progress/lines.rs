//! How far a run has come, in words: [`block`] for a terminal, [`line`] for everything else.

use oc_mirror_model::progress::Standing;

use crate::output::terminal::{Size, cut, cut_front};
use crate::output::{clean, size};

/// From so many columns on, all numbers are in one line.
const WIDE: usize = 100;
/// With fewer, each line has two or three of them.
const NARROW: usize = 60;
/// So many digits of a digest tell it from others.
const SHORT_DIGEST: usize = 12;

/// Returns the lines for a terminal of this size, none of them longer than it is wide.
pub(super) fn block(standing: &Standing, on: Size) -> Vec<String> {
    // The last column stays free: some terminals begin a new line as soon as it is written to.
    let width = on.columns.saturating_sub(1).max(1);
    let name = clean(&standing.phase).replace('\n', " ");
    let what = [Some(name), percent(standing), items(standing), failed(standing)];
    let bytes = [bytes(standing)];
    let pace = [rate(standing), left(standing), elapsed(standing)];
    let all = || what.iter().chain(&bytes).chain(&pace);
    let heads: Vec<Vec<&Option<String>>> = match on.columns {
        WIDE.. => vec![all().collect()],
        NARROW.. => vec![what.iter().collect(), bytes.iter().chain(&pace).collect()],
        _ => vec![what.iter().collect(), bytes.iter().collect(), pace.iter().collect()],
    };
    let joined =
        heads.into_iter().map(|parts| parts.into_iter().flatten().cloned().collect::<Vec<_>>().join("  "));
    let heads: Vec<String> = joined.filter(|line| !line.is_empty()).map(|line| cut(&line, width)).collect();
    // There has to be room for what is said above, and for the line that the cursor is in.
    let room = on.rows.saturating_sub(heads.len() + 3);
    let current = standing.current.iter().take(room);
    let current =
        current.map(|name| cut(&format!("  {}", cut_front(&shown(name), width.saturating_sub(2))), width));
    heads.into_iter().chain(current).collect()
}

/// Returns it all in one line.
pub(super) fn line(standing: &Standing) -> String {
    let parts = [
        percent(standing),
        bytes(standing),
        rate(standing),
        left(standing),
        items(standing),
        failed(standing),
        Some(duration(standing.seconds)),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let current = standing.current.first().map(|name| format!(": {}", shown(name))).unwrap_or_default();
    format!("{}: {}{current}", standing.phase, parts.join(", "))
}

/// Returns what became of a step, for the line that stays of it.
pub(super) fn closing(standing: &Standing) -> String {
    let moved = (standing.bytes_done > 0).then(|| size(standing.bytes_done));
    let rate = standing.bytes_done.checked_div(standing.seconds).filter(|rate| *rate > 0);
    let parts = [
        items(standing),
        failed(standing),
        moved,
        Some(duration(standing.seconds)).filter(|_| standing.seconds > 0),
        rate.map(|rate| format!("{}/s", size(rate))),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    match parts.is_empty() {
        true => standing.phase.clone(),
        false => format!("{}: {}", standing.phase, parts.join(", ")),
    }
}

/// Returns where a run was when it was stopped.
pub(super) fn place(standing: &Standing) -> String {
    let parts: Vec<String> =
        [percent(standing), bytes(standing), items(standing)].into_iter().flatten().collect();
    match parts.is_empty() {
        true => standing.phase.clone(),
        false => format!("{}: {}", standing.phase, parts.join(", ")),
    }
}

fn percent(standing: &Standing) -> Option<String> {
    standing.percent.map(|percent| format!("{percent}%"))
}

fn items(standing: &Standing) -> Option<String> {
    let finished = standing.items_done + standing.items_failed;
    match standing.items {
        Some(0) => None,
        Some(items) => Some(format!("{finished} of {items}")),
        None => (finished > 0).then(|| finished.to_string()),
    }
}

fn failed(standing: &Standing) -> Option<String> {
    (standing.items_failed > 0).then(|| format!("{} failed", standing.items_failed))
}

fn bytes(standing: &Standing) -> Option<String> {
    match standing.bytes {
        Some(0) => None,
        Some(bytes) => Some(part(standing.bytes_done, bytes)),
        None => (standing.bytes_done > 0).then(|| size(standing.bytes_done)),
    }
}

/// Writes a part and the whole, in the unit of the whole where both have the same.
fn part(done: u64, all: u64) -> String {
    let (done, all) = (size(done), size(all));
    match (done.split_once(' '), all.split_once(' ')) {
        (Some((number, unit)), Some((_, same))) if unit == same => format!("{number} of {all}"),
        _ => format!("{done} of {all}"),
    }
}

fn rate(standing: &Standing) -> Option<String> {
    standing.bytes_per_second.map(|rate| format!("{}/s", size(rate)))
}

/// What is left, as exactly as anybody can know it.
fn left(standing: &Standing) -> Option<String> {
    let text = match standing.seconds_left? {
        seconds @ 0..=55 => format!("{} s", seconds.max(1).next_multiple_of(5)),
        seconds @ 56..=3540 => format!("{} min", seconds.div_ceil(60)),
        seconds @ 3541..=172_800 => {
            let minutes = seconds.div_ceil(60).next_multiple_of(5);
            format!("{} h {:02} min", minutes / 60, minutes % 60)
        }
        seconds => format!("{} days", seconds.div_ceil(86_400)),
    };
    Some(format!("{text} left"))
}

/// How long it takes, where there is nothing else to see.
fn elapsed(standing: &Standing) -> Option<String> {
    (standing.bytes_per_second.is_none() && standing.seconds > 0).then(|| duration(standing.seconds))
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Returns a name with the first digits of its digest.
fn shown(name: &str) -> String {
    let name = clean(name).replace('\n', " ");
    match name.split_once("@sha256:") {
        Some((of, digits)) if digits.is_char_boundary(SHORT_DIGEST.min(digits.len())) => {
            format!("{of}@sha256:{}", &digits[..SHORT_DIGEST.min(digits.len())])
        }
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use unicode_width::UnicodeWidthStr;

    use super::*;

    fn standing() -> Standing {
        Standing {
            phase: "publishing".to_owned(),
            seconds: 75,
            percent: Some(41),
            items_done: 119,
            items_failed: 1,
            items: Some(2000),
            bytes_done: 13_207_024_435,
            bytes: Some(32_212_254_720),
            bytes_per_second: Some(107_374_182),
            seconds_left: Some(177),
            current: vec![
                format!(
                    "quay.io/openshift-release-dev/ocp-v4.0-art-dev@sha256:{}",
                    "0123456789abcdef".repeat(4)
                ),
                "registry.redhat.io/ubi9/ubi:latest".to_owned(),
            ],
        }
    }

    #[test]
    fn on_a_wide_terminal() {
        let expected = [
            "publishing  41%  120 of 2000  1 failed  12.3 of 30.0 GiB  102.4 MiB/s  3 min left",
            "  quay.io/openshift-release-dev/ocp-v4.0-art-dev@sha256:0123456789ab",
            "  registry.redhat.io/ubi9/ubi:latest",
        ];
        assert_eq!(block(&standing(), Size { columns: 120, rows: 40 }), expected);
    }

    #[test]
    fn on_a_usual_terminal() {
        let expected = [
            "publishing  41%  120 of 2000  1 failed",
            "12.3 of 30.0 GiB  102.4 MiB/s  3 min left",
            "  quay.io/openshift-release-dev/ocp-v4.0-art-dev@sha256:0123456789ab",
            "  registry.redhat.io/ubi9/ubi:latest",
        ];
        assert_eq!(block(&standing(), Size { columns: 80, rows: 24 }), expected);
    }

    #[test]
    fn on_a_terminal_of_40_columns() {
        let expected = [
            "publishing  41%  120 of 2000  1 failed",
            "12.3 of 30.0 GiB",
            "102.4 MiB/s  3 min left",
            "  ..cp-v4.0-art-dev@sha256:0123456789ab",
            "  registry.redhat.io/ubi9/ubi:latest",
        ];
        assert_eq!(block(&standing(), Size { columns: 40, rows: 24 }), expected);
    }

    #[test]
    fn in_one_line() {
        let expected = "publishing: 41%, 12.3 of 30.0 GiB, 102.4 MiB/s, 3 min left, 120 of 2000, 1 failed, 1 min 15 s: \
                        quay.io/openshift-release-dev/ocp-v4.0-art-dev@sha256:0123456789ab";
        assert_eq!(line(&standing()), expected);
        let silent = Standing { phase: "collecting".to_owned(), seconds: 20, ..Standing::default() };
        assert_eq!(line(&silent), "collecting: 20 s");
        assert_eq!(block(&silent, Size { columns: 120, rows: 24 }), ["collecting  20 s"]);
    }

    #[test]
    fn what_stays_of_a_step() {
        assert_eq!(
            closing(&standing()),
            "publishing: 120 of 2000, 1 failed, 12.3 GiB, 1 min 15 s, 167.9 MiB/s"
        );
        assert_eq!(place(&standing()), "publishing: 41%, 12.3 of 30.0 GiB, 120 of 2000");
        let short = Standing { phase: "collecting".to_owned(), ..Standing::default() };
        assert_eq!((closing(&short), place(&short)), ("collecting".to_owned(), "collecting".to_owned()));
    }

    #[rstest]
    #[case(0, "5 s left")]
    #[case(41, "45 s left")]
    #[case(56, "1 min left")]
    #[case(3541, "1 h 00 min left")]
    #[case(7000, "2 h 00 min left")]
    #[case(200_000, "3 days left")]
    fn what_is_left(#[case] seconds: u64, #[case] expected: &str) {
        let standing = Standing { seconds_left: Some(seconds), ..Standing::default() };
        assert_eq!(left(&standing).unwrap(), expected);
    }

    proptest! {
        #[test]
        fn nothing_is_wider_than_the_terminal(
            columns in 1_usize..200,
            rows in 1_usize..60,
            phase in ".{0,60}",
            current in prop::collection::vec(".{0,150}", 0..4),
            numbers in prop::array::uniform4(prop::option::of(any::<u64>())),
        ) {
            let [items, bytes, bytes_per_second, seconds_left] = numbers;
            let standing = Standing { phase, current, items, bytes, bytes_per_second, seconds_left, ..standing() };
            let lines = block(&standing, Size { columns, rows });
            prop_assert!(lines.len() <= rows.max(3));
            for line in lines {
                prop_assert!(line.width() < columns.max(2), "{line:?}");
                prop_assert!(!line.contains(|c: char| c.is_control()));
            }
        }
    }
}
