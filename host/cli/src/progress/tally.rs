//! [`Tally`] adds up what the engine tells, into numbers that never go back while a step goes on.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use oc_mirror_engine::report::Event;
use oc_mirror_model::progress::Standing;

/// The rate is that of so much time.
const LATELY: Duration = Duration::from_secs(15);
/// There is no rate before as much time has passed, and the rate is measured so often.
const SAMPLE: Duration = Duration::from_secs(1);
/// So many items that move are told of.
pub(super) const CURRENT: usize = 3;

/// How far the step that goes on has come. Times are those since the run began.
#[derive(Debug, Default)]
pub(super) struct Tally {
    phase: Option<String>,
    begun: Duration,
    items: Option<i64>,
    done: u64,
    failed: u64,
    bytes: Option<i64>,
    moved: i64,
    /// What was told last.
    told: Standing,
    /// The items that move, how many parts of them, and when they began to.
    moving: BTreeMap<String, (u64, u32)>,
    begins: u64,
    samples: VecDeque<(Duration, u64)>,
    /// Bytes that earlier steps have moved.
    moved_before: u64,
}

impl Tally {
    /// Takes what happened at a time.
    pub(super) fn event(&mut self, event: &Event<'_>, now: Duration) {
        match event {
            Event::Phase { name, items, bytes } => {
                *self = Self {
                    phase: Some((*name).to_owned()),
                    begun: now,
                    items: items.map(signed),
                    bytes: bytes.map(signed),
                    samples: VecDeque::from([(now, 0)]),
                    moved_before: self.moved_in_all(),
                    ..Self::default()
                };
            }
            Event::Expected { items, bytes } => {
                add(&mut self.items, *items);
                add(&mut self.bytes, *bytes);
            }
            Event::ItemBegun { name } => {
                let begins = self.begins;
                self.begins += 1;
                self.moving.entry((*name).to_owned()).or_insert((begins, 0)).1 += 1;
            }
            Event::ItemPaused { name } => {
                if let Some((_, parts)) = self.moving.get_mut(*name) {
                    *parts -= 1;
                    if *parts == 0 {
                        self.moving.remove(*name);
                    }
                }
            }
            Event::ItemDone { .. } => self.done += 1,
            Event::ItemFailed { .. } => self.failed += 1,
            Event::Bytes { count } => self.moved = self.moved.saturating_add(*count),
            Event::Warning { .. } | Event::Retry { .. } | Event::FoundAt { .. } | Event::PluginLog { .. } => {
            }
        }
    }

    /// Answers whether any step has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.phase.is_some()
    }

    /// Returns the bytes that have moved in the whole run.
    pub(super) fn moved_in_all(&self) -> u64 {
        self.moved_before.saturating_add(u64::try_from(self.moved).unwrap_or(0))
    }

    /// Returns how far the step has come. To be asked every second at least, for the sake of the rate.
    pub(super) fn standing(&mut self, now: Duration) -> Standing {
        let unsigned = |count: i64| u64::try_from(count).unwrap_or(0);
        let (items, bytes) = (self.items.map(unsigned), self.bytes.map(unsigned));
        let moved = unsigned(self.moved);
        // A failed attempt takes back what it had moved, and what is to move may become less.
        let bytes_done = moved.min(bytes.unwrap_or(u64::MAX)).max(self.told.bytes_done);
        let bytes = bytes.map(|bytes| bytes.max(bytes_done));
        let items = items.map(|items| items.max(self.done + self.failed));
        let percent = match (bytes, items) {
            (Some(bytes), _) if bytes > 0 => Some(percent(bytes_done, bytes)),
            (_, Some(items)) if items > 0 => Some(percent(self.done + self.failed, items)),
            _ => None,
        };
        let rate = self.rate(bytes_done, now);
        let left = bytes.map(|bytes| bytes - bytes_done).filter(|left| *left > 0);
        let mut current: Vec<(&u64, &String)> =
            self.moving.iter().map(|(name, (begun, _))| (begun, name)).collect();
        current.sort_unstable();
        self.told = Standing {
            phase: self.phase.clone().unwrap_or_default(),
            seconds: now.saturating_sub(self.begun).as_secs(),
            percent: percent.max(self.told.percent),
            items_done: self.done,
            items_failed: self.failed,
            items,
            bytes_done,
            bytes,
            bytes_per_second: rate,
            seconds_left: left.zip(rate.filter(|rate| *rate > 0)).map(|(left, rate)| left.div_ceil(rate)),
            current: current.into_iter().take(CURRENT).map(|(_, name)| name.clone()).collect(),
        };
        self.told.clone()
    }

    fn rate(&mut self, done: u64, now: Duration) -> Option<u64> {
        let since = |sample: &(Duration, u64)| now.saturating_sub(sample.0);
        if self.samples.back().is_none_or(|last| since(last) >= SAMPLE) {
            self.samples.push_back((now, done));
        }
        while self.samples.len() > 2 && self.samples.get(1).is_some_and(|second| since(second) >= LATELY) {
            self.samples.pop_front();
        }
        let first = self.samples.front()?;
        let time = Some(since(first)).filter(|time| *time >= SAMPLE)?;
        (done > 0).then(|| (done.saturating_sub(first.1) as f64 / time.as_secs_f64()) as u64)
    }
}

/// Rounds down, so that only what is complete is a hundred.
fn percent(done: u64, of: u64) -> u8 {
    u8::try_from(u128::from(done) * 100 / u128::from(of.max(1))).unwrap_or(100).min(100)
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn add(sum: &mut Option<i64>, count: i64) {
    if count != 0 {
        *sum = Some(sum.unwrap_or(0).saturating_add(count));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn begun(items: Option<u64>, bytes: Option<u64>) -> Tally {
        let mut tally = Tally::default();
        tally.event(&Event::Phase { name: "fetching", items, bytes }, Duration::ZERO);
        tally
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_a_failed_attempt_had_moved_is_not_taken_from_what_is_shown() {
        let mut tally = begun(Some(1), Some(1000));
        tally.event(&Event::Bytes { count: 600 }, at(1));
        let before = tally.standing(at(1));
        tally.event(&Event::Bytes { count: -600 }, at(2));
        tally.event(&Event::Bytes { count: 100 }, at(2));
        let after = tally.standing(at(2));
        assert_eq!((before.bytes_done, after.bytes_done, after.percent), (600, 600, Some(60)));
        tally.event(&Event::Bytes { count: 900 }, at(3));
        assert_eq!(tally.standing(at(3)).percent, Some(100));
    }

    #[test]
    fn what_is_in_place_need_not_move() {
        let mut tally = begun(Some(2), Some(1000));
        tally.event(&Event::Expected { items: 0, bytes: -600 }, at(1));
        tally.event(&Event::Bytes { count: 200 }, at(1));
        let standing = tally.standing(at(1));
        assert_eq!((standing.bytes, standing.percent), (Some(400), Some(50)));
        // Where nothing is left to move, the items count.
        let mut tally = begun(Some(2), Some(1000));
        tally.event(&Event::Expected { items: 0, bytes: -1000 }, at(1));
        tally.event(&Event::ItemDone { name: "a" }, at(1));
        assert_eq!(tally.standing(at(1)).percent, Some(50));
    }

    #[test]
    fn the_rate_is_that_of_late_and_says_what_is_left() {
        let mut tally = begun(None, Some(100_000));
        for second in 1..=20 {
            tally.event(&Event::Bytes { count: 100 }, at(second));
            tally.standing(at(second));
        }
        let slow = tally.standing(at(20));
        assert_eq!((slow.bytes_per_second, slow.seconds_left), (Some(100), Some(980)));
        for second in 21..=40 {
            tally.event(&Event::Bytes { count: 1000 }, at(second));
            tally.standing(at(second));
        }
        assert_eq!(tally.standing(at(40)).bytes_per_second, Some(1000));
        for second in 41..=60 {
            tally.standing(at(second));
        }
        let still = tally.standing(at(60));
        assert_eq!((still.bytes_per_second, still.seconds_left), (Some(0), None));
    }

    #[test]
    fn those_that_move_for_the_longest_time_come_first() {
        let mut tally = begun(Some(9), None);
        for name in ["d", "a", "c", "b", "d"] {
            tally.event(&Event::ItemBegun { name }, at(0));
        }
        assert_eq!(tally.standing(at(0)).current, ["d", "a", "c"]);
        for name in ["d", "a"] {
            tally.event(&Event::ItemPaused { name }, at(0));
        }
        assert_eq!(tally.standing(at(0)).current, ["d", "c", "b"]);
    }

    #[test]
    fn a_step_begins_anew_and_the_run_does_not() {
        let mut tally = begun(None, Some(10));
        tally.event(&Event::Bytes { count: 10 }, at(1));
        tally.event(&Event::Phase { name: "uploading", items: None, bytes: Some(20) }, at(2));
        tally.event(&Event::Bytes { count: 5 }, at(3));
        assert_eq!((tally.standing(at(3)).bytes_done, tally.moved_in_all()), (5, 15));
    }

    fn events() -> impl Strategy<Value = Vec<(u64, Event<'static>)>> {
        let one = prop_oneof![
            (-2000_i64..4000).prop_map(|count| Event::Bytes { count }),
            (-3_i64..5, -3000_i64..3000).prop_map(|(items, bytes)| Event::Expected { items, bytes }),
            Just(Event::ItemDone { name: "a" }),
            Just(Event::ItemFailed { name: "a" }),
            Just(Event::ItemBegun { name: "a" }),
            Just(Event::ItemPaused { name: "a" }),
        ];
        prop::collection::vec((0_u64..3000, one), 0..200)
    }

    proptest! {
        #[test]
        fn what_is_shown_never_goes_back_and_is_never_more_than_all(
            items in prop::option::of(0_u64..50),
            bytes in prop::option::of(0_u64..20_000),
            events in events(),
        ) {
            let mut tally = begun(items, bytes);
            let mut now = Duration::ZERO;
            let mut last = tally.standing(now);
            for (pause, event) in events {
                now += Duration::from_millis(pause);
                tally.event(&event, now);
                let shown = tally.standing(now);
                prop_assert!(shown.bytes_done >= last.bytes_done && shown.percent >= last.percent);
                prop_assert!(shown.items_done >= last.items_done && shown.seconds >= last.seconds);
                prop_assert!(shown.bytes.is_none_or(|all| shown.bytes_done <= all));
                prop_assert!(shown.items.is_none_or(|all| shown.items_done + shown.items_failed <= all));
                prop_assert!(shown.percent.is_none_or(|percent| percent <= 100));
                last = shown;
            }
        }
    }
}
