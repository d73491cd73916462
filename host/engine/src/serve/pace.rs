//! [`Pace`]: tells a slow line from somebody who only keeps a connection busy.

use std::time::Duration;

/// Next to nothing has moved for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooSlow;

/// Adds up for how long the other side was waited for, and what moved meanwhile.
///
/// The time in which nobody here wanted anything does not count.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    after: Duration,
    /// Fewer bytes than this within that time are next to nothing.
    least: u64,
    waited: Duration,
    bytes: u64,
}

impl Pace {
    /// Asks for `rate` bytes per second on the average of `after`; at least for one byte.
    pub(super) fn new(after: Duration, rate: u64) -> Self {
        let least = (after.as_millis() as u64).saturating_mul(rate) / 1000;
        Self { after, least: least.max(1), waited: Duration::ZERO, bytes: 0 }
    }

    /// Returns for how long may be waited before there is anything to decide.
    pub(super) fn patience(&self) -> Duration {
        self.after.saturating_sub(self.waited)
    }

    /// Notes that there was a wait, and what came of it.
    pub(super) fn note(&mut self, waited: Duration, bytes: u64) -> Result<(), TooSlow> {
        self.waited += waited;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.waited < self.after {
            return Ok(());
        }
        let is_enough = self.bytes >= self.least;
        self.waited = Duration::ZERO;
        self.bytes = 0;
        if is_enough { Ok(()) } else { Err(TooSlow) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace() -> Pace {
        Pace::new(Duration::from_secs(10), 1000)
    }

    #[test]
    fn a_slow_line_is_not_too_slow() {
        let mut pace = pace();
        for _ in 0..100 {
            assert_eq!(pace.note(Duration::from_secs(1), 1000), Ok(()));
        }
        // Whoever is not waited for may take any time.
        assert_eq!(pace.note(Duration::ZERO, 0), Ok(()));
    }

    #[test]
    fn a_trickle_is() {
        let mut pace = pace();
        for _ in 0..9 {
            assert_eq!(pace.note(Duration::from_secs(1), 999), Ok(()));
        }
        assert_eq!(pace.patience(), Duration::from_secs(1));
        assert_eq!(pace.note(Duration::from_secs(1), 999), Err(TooSlow));
    }

    #[test]
    fn what_came_first_does_not_count_for_ever() {
        let mut pace = pace();
        assert_eq!(pace.note(Duration::ZERO, 1 << 30), Ok(()));
        assert_eq!(pace.note(Duration::from_secs(10), 0), Ok(()));
        assert_eq!(pace.note(Duration::from_secs(10), 0), Err(TooSlow));
        assert_eq!(Pace::new(Duration::from_secs(1), 0).note(Duration::from_secs(1), 0), Err(TooSlow));
        assert_eq!(Pace::new(Duration::from_secs(1), 0).note(Duration::from_secs(1), 1), Ok(()));
    }
}
