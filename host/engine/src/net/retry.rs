//! How often and after what pause a request is tried again: [`Retry`] is the policy, [`Backoff`] applies it once.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::report::{Event, Events};

/// The pause between two attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delay {
    /// This long, then twice as long, and so on.
    Exponential(Duration),
    /// Always this long.
    Constant(Duration),
}

/// How often a request is made and how long the pauses are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How often it is made in all; 1 is once, without a second attempt.
    pub attempts: u32,
    /// The pause between two attempts.
    pub delay: Delay,
    /// Whether the pause is shortened at random, by up to half, so that many clients do not return at once.
    pub jitter: bool,
    /// The longest pause, whatever the other side asks for.
    pub cap: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 4,
            delay: Delay::Exponential(Duration::from_secs(1)),
            jitter: true,
            cap: Duration::from_secs(60),
        }
    }
}

impl Retry {
    /// Returns the pause after attempt `failed` (from 1). `asked` is what the other side asked for, `roll` is from 0 to 1.
    pub fn pause(&self, failed: u32, asked: Option<Duration>, roll: f64) -> Duration {
        let own = match self.delay {
            Delay::Constant(delay) => delay,
            Delay::Exponential(first) => {
                first.saturating_mul(2_u32.saturating_pow(failed.saturating_sub(1).min(30)))
            }
        }
        .min(self.cap);
        let own = if self.jitter { own.mul_f64(1.0 - roll.clamp(0.0, 1.0) / 2.0) } else { own };
        asked.map_or(own, |asked| asked.max(own).min(self.cap))
    }
}

/// The attempts of one request.
pub struct Backoff<'a> {
    retry: &'a Retry,
    events: &'a dyn Events,
    subject: &'a str,
    failed: u32,
}

impl<'a> Backoff<'a> {
    /// Starts before the first attempt.
    pub fn new(retry: &'a Retry, events: &'a dyn Events, subject: &'a str) -> Self {
        Self { retry, events, subject, failed: 0 }
    }

    /// Counts a failed attempt, reports it and returns how long to pause; nothing if it was the last one.
    pub fn next(&mut self, reason: &str, asked: Option<Duration>) -> Option<Duration> {
        self.failed += 1;
        if self.failed >= self.retry.attempts {
            return None;
        }
        self.events.event(Event::Retry { subject: self.subject, reason, attempt: self.failed + 1 });
        Some(self.retry.pause(self.failed, asked, roll()))
    }
}

/// Returns a random number from 0 to 1: every `RandomState` has other keys.
fn roll() -> f64 {
    (RandomState::new().hash_one(0_u8) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Reads `Retry-After`: seconds, or a date, of which the distance from `now` is taken.
pub fn parse_retry_after(value: &str, now: OffsetDateTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = OffsetDateTime::parse(value, &Rfc2822).ok()?;
    Some(Duration::try_from(date - now).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use time::macros::datetime;

    #[rstest]
    #[case("120", Some(120))]
    #[case(" 0 ", Some(0))]
    #[case("Sun, 06 Nov 1994 08:49:37 GMT", Some(37))]
    #[case("Sun, 06 Nov 1994 08:00:00 GMT", Some(0))]
    #[case("soon", None)]
    #[case("-5", None)]
    #[case("1.5", None)]
    fn retry_after(#[case] value: &str, #[case] seconds: Option<u64>) {
        let now = datetime!(1994-11-06 08:49:00 UTC);
        assert_eq!(parse_retry_after(value, now), seconds.map(Duration::from_secs));
    }

    #[test]
    fn pauses_grow_to_the_cap() {
        let retry = Retry { jitter: false, ..Retry::default() };
        let seconds: Vec<u64> = (1..=8).map(|n| retry.pause(n, None, 0.0).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(retry.pause(u32::MAX, None, 0.0).as_secs(), 60);
        assert_eq!(retry.pause(1, Some(Duration::from_secs(30)), 0.0).as_secs(), 30);
        assert_eq!(retry.pause(1, Some(Duration::from_secs(3600)), 0.0).as_secs(), 60);
        assert_eq!(Retry::default().pause(2, None, 1.0), Duration::from_secs(1));
        let constant = Retry { delay: Delay::Constant(Duration::from_secs(3)), ..retry };
        assert_eq!(constant.pause(9, None, 0.0).as_secs(), 3);
    }

    #[test]
    fn attempts_are_counted_and_told() {
        struct Log(std::sync::Mutex<Vec<u32>>);
        impl Events for Log {
            fn event(&self, event: Event<'_>) {
                if let Event::Retry { attempt, .. } = event {
                    self.0.lock().unwrap().push(attempt);
                }
            }
        }
        let log = Log(Default::default());
        let retry = Retry { attempts: 3, ..Retry::default() };
        let mut backoff = Backoff::new(&retry, &log, "x");
        assert!(backoff.next("a", None).is_some());
        assert!(backoff.next("b", None).is_some());
        assert!(backoff.next("c", None).is_none());
        assert_eq!(*log.0.lock().unwrap(), [2, 3]);
        assert!((0.0..=1.0).contains(&roll()));
    }
}
