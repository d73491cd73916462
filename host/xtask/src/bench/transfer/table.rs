//! What was measured ([`Trial`]), as tables and against what is promised ([`Verdict`]). Times are compared within one
//! round only, as the machine may be busier in the next.

use std::fmt::Write as _;

use super::registry::Requests;
use super::tools::{Who, Work};

/// One measurement.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample {
    /// Seconds until all of it is on disk.
    pub(super) wall: f64,
    /// Seconds of processor time of the client; nothing where it is part of this program.
    pub(super) cpu: Option<f64>,
    /// The most bytes of memory of the client.
    pub(super) memory: Option<u64>,
    /// Bytes written to disk by the client.
    pub(super) written: Option<u64>,
}

/// The measurements of one contender, one for each round.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) who: Who,
    pub(super) samples: Vec<Sample>,
    pub(super) requests: Option<Requests>,
}

/// All contenders at one piece of work.
#[derive(Clone, Debug)]
pub(super) struct Trial {
    pub(super) set: String,
    pub(super) work: Work,
    pub(super) images: usize,
    /// The bytes of everything distinct.
    pub(super) bytes: u64,
    pub(super) rows: Vec<Row>,
}

/// Whether a promise is kept.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Verdict {
    what: String,
    value: f64,
    limit: f64,
    unit: &'static str,
}

impl Verdict {
    pub(super) fn new(what: impl Into<String>, value: f64, limit: f64, unit: &'static str) -> Self {
        Self { what: what.into(), value, limit, unit }
    }

    pub(super) fn is_met(&self) -> bool {
        self.value <= self.limit
    }

    /// Returns one line.
    pub(super) fn line(&self) -> String {
        let verdict = if self.is_met() { "met    " } else { "NOT MET" };
        let digits = if self.limit.max(self.value) < 1e3 { 3 } else { 0 };
        format!("  {verdict}  {}: {:.digits$}{}, at most {}", self.what, self.value, self.unit, self.limit)
    }
}

/// Returns the middle of some numbers, or of the two in the middle.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        count if count % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

impl Row {
    fn middle(&self, value: impl Fn(&Sample) -> Option<f64>) -> Option<f64> {
        median(self.samples.iter().filter_map(value).collect())
    }

    /// Returns the median of the ratios to another row, each of one round.
    fn against(&self, other: &Self, value: impl Fn(&Sample) -> Option<f64>) -> Option<f64> {
        let rounds = self.samples.iter().zip(&other.samples);
        median(rounds.filter_map(|(own, other)| Some(value(own)? / value(other)?)).collect())
    }

    fn wall_against(&self, other: &Self) -> Option<f64> {
        self.against(other, |sample| Some(sample.wall))
    }

    fn most_memory(&self) -> Option<f64> {
        self.samples.iter().filter_map(|sample| sample.memory).max().map(|bytes| bytes as f64 / 1e6)
    }
}

impl Trial {
    pub(super) fn row(&self, who: Who) -> Option<&Row> {
        self.rows.iter().find(|row| row.who == who)
    }

    fn written_per_byte(&self, row: &Row) -> Option<f64> {
        row.middle(|sample| Some(sample.written? as f64 / self.bytes as f64))
    }

    /// Returns the median of the ratios of our time to that of the fastest peer in the same round.
    fn against_peers(&self) -> Option<f64> {
        let ours = self.row(Who::Ours)?;
        let peers: Vec<&Row> = self.rows.iter().filter(|row| row.who.is_peer()).collect();
        let ratio = |(round, sample): (usize, &Sample)| {
            let walls = peers.iter().filter_map(|peer| peer.samples.get(round)).map(|peer| peer.wall);
            walls.min_by(f64::total_cmp).map(|best| sample.wall / best)
        };
        median(ours.samples.iter().enumerate().filter_map(ratio).collect())
    }

    /// Returns the table.
    pub(super) fn text(&self) -> String {
        let rounds = self.rows.iter().map(|row| row.samples.len()).max().unwrap_or(0);
        let mut text = format!(
            "\n{} {}: {} images, {:.1} MB of distinct content, median of {rounds}\n",
            self.set,
            self.work.name(),
            self.images,
            self.bytes as f64 / 1e6
        );
        let head = ["wall s", "min", "× bound", "CPU s", "× bound", "peak MB", "disk B/B", "req/image"];
        let head: String = head.iter().map(|name| format!(" {name:>9}")).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {:<13}{head}", "");
        let bound = self.row(Who::Bound);
        for row in &self.rows {
            let requests = row.requests.as_ref().map(|found| found.count as f64 / self.images as f64);
            let cells = [
                (row.middle(|sample| Some(sample.wall)), 2),
                (row.samples.iter().map(|sample| sample.wall).min_by(f64::total_cmp), 2),
                (bound.and_then(|bound| row.wall_against(bound)), 2),
                (row.middle(|sample| sample.cpu), 2),
                (bound.and_then(|bound| row.against(bound, |sample| sample.cpu)), 2),
                (row.most_memory(), 1),
                (self.written_per_byte(row), 4),
                (requests, 2),
            ];
            let cells: String = cells
                .into_iter()
                .map(|(value, digits)| match value {
                    Some(value) => format!(" {value:>9.digits$}"),
                    None => format!(" {:>9}", "-"),
                })
                .collect();
            let _ = writeln!(text, "  {:<13}{cells}", row.who.name());
        }
        text
    }

    /// Holds the measurements to what is promised of this work on this set.
    pub(super) fn verdicts(&self) -> Vec<Verdict> {
        let Some(ours) = self.row(Who::Ours) else { return Vec::new() };
        let family = self.set.chars().next().unwrap_or_default();
        let large = matches!(family, 'S' | 'B');
        let name = format!("{} {}", self.set, self.work.name());
        let mut verdicts = Vec::new();
        let mut hold = |what: &str, value: Option<f64>, limit: f64, unit| {
            verdicts.extend(value.map(|value| Verdict::new(format!("{name}: {what}"), value, limit, unit)));
        };
        let bound = self.row(Who::Bound);
        let skopeo = self.row(Who::Skopeo);
        let times_bound = bound.and_then(|bound| ours.wall_against(bound));
        let times_skopeo = skopeo.and_then(|skopeo| ours.wall_against(skopeo));
        match self.work {
            Work::Pull if large => {
                hold("time", times_bound, 1.10, " × the bound");
                hold("time", self.against_peers(), 0.6, " × the fastest peer's");
                let cpu = bound.and_then(|bound| ours.against(bound, |sample| sample.cpu));
                hold("processor time", cpu, 1.6, " × curl's");
                hold("bytes written", self.written_per_byte(ours), 1.02, " per byte of content");
                hold("peak memory", ours.most_memory(), 64.0, " MB");
            }
            Work::Push if large => {
                hold("time", times_bound, 1.15, " × the bound");
                hold("time", times_skopeo, 0.4, " × skopeo's");
                hold("bytes written", self.written_per_byte(ours), 0.01, " per byte of content");
            }
            Work::Pull | Work::Push => {
                hold("time", times_bound, 1.15, " × the bound");
                let blocking = self.row(Who::Blocking).and_then(|row| row.wall_against(ours));
                hold("time with the policy `block`", blocking, 1.02, " × that without");
            }
            Work::Copy if family == 'S' => {
                hold("time", times_skopeo, 0.4, " × skopeo's");
                let again = ours.requests.as_ref().map(|requests| requests.sent_again as f64);
                hold("blobs sent more than once", again, 0.0, "");
            }
            Work::Copy => {}
        }
        verdicts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(who: Who, walls: [f64; 3]) -> Row {
        let sample =
            |wall| Sample { wall, cpu: Some(wall / 2.0), memory: Some(50_000_000), written: Some(101) };
        Row { who, samples: walls.map(sample).to_vec(), requests: None }
    }

    fn trial(work: Work) -> Trial {
        let rows = vec![
            row(Who::Bound, [1.0, 10.0, 2.0]),
            row(Who::Ours, [1.0, 11.0, 4.0]),
            row(Who::Skopeo, [10.0, 110.0, 4.0]),
            row(Who::Crane, [2.0, 220.0, 8.0]),
        ];
        Trial { set: "S".to_owned(), work, images: 10, bytes: 100, rows }
    }

    #[test]
    fn the_middle_of_an_even_number_is_between_two() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn ratios_are_those_of_a_round() {
        let trial = trial(Work::Pull);
        let ours = trial.row(Who::Ours).unwrap();
        // 1, 1.1 and 2; the ratio of the medians would be 2.
        assert_eq!(ours.wall_against(trial.row(Who::Bound).unwrap()), Some(1.1));
        // 0.5, 0.1 and 1.
        assert_eq!(trial.against_peers(), Some(0.5));
    }

    #[test]
    fn promises_are_held_to_the_set_and_the_work() {
        let met = |work| trial(work).verdicts().iter().map(Verdict::is_met).collect::<Vec<_>>();
        assert_eq!(met(Work::Pull), [true, true, true, true, true]);
        // Times 1.1 and 0.1, but a byte written for each byte of content.
        assert_eq!(met(Work::Push), [true, true, false]);
        let mut slow = trial(Work::Pull);
        slow.rows[1].samples[1].wall = 20.0;
        let line = slow.verdicts()[0].line();
        assert_eq!(line, "  NOT MET  S pull: time: 2.000 × the bound, at most 1.1");
        slow.set = "L".to_owned();
        assert_eq!(slow.verdicts().len(), 1);
    }

    #[test]
    fn the_table_has_a_row_for_each_and_dashes_where_nothing_is_known() {
        let text = trial(Work::Pull).text();
        assert!(text.contains("S pull: 10 images, 0.0 MB of distinct content, median of 3"), "{text}");
        let ours = text.lines().find(|line| line.contains("oc-mirror")).unwrap();
        let cells: Vec<&str> = ours.split_ascii_whitespace().collect();
        assert_eq!(cells, ["oc-mirror", "4.00", "1.00", "1.10", "2.00", "1.10", "50.0", "1.0100", "-"]);
    }
}
