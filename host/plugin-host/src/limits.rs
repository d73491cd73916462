//! What a guest may use up: [`Limits`] are the numbers, [`MemoryLimit`] and [`Meter`] hold a store to them.

use std::time::Duration;

use wasmtime::{ResourceLimiter, UpdateDeadline};

/// How often the clock of all guests ticks: the resolution of their deadlines.
pub(crate) const TICK: Duration = Duration::from_millis(10);
/// What a guest that is being cancelled may still use to end by itself.
const GRACE: Duration = Duration::from_secs(2);
/// Tables are counted with the memories, at this many bytes an element.
const TABLE_ELEMENT: usize = size_of::<usize>();

/// What one instance of a plugin may use up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all its memories and tables together.
    pub memory: usize,
    /// Time inside the guest for one call. Time in the host, such as waiting for a registry, does not count.
    pub guest_time: Duration,
    /// Time for one call, waiting included.
    pub call_time: Duration,
    /// Calls of host functions during one call.
    pub host_calls: u64,
    /// Requests to registries and web servers during one call.
    pub requests: u64,
    /// Images, documents, files and remarks that one call may hand over.
    pub items: u64,
    /// Bytes of log messages during one call; what is beyond is counted and dropped.
    pub log_bytes: u64,
    /// Handles that may be open at one time.
    pub handles: usize,
    /// Bytes that one host call may bring along.
    pub transfer: usize,
}

impl Limits {
    /// Returns the limits of content sources.
    pub fn source() -> Self {
        Self {
            memory: 256 << 20,
            guest_time: Duration::from_secs(60),
            call_time: Duration::from_secs(4 * 3600),
            host_calls: 100_000_000,
            requests: 1_000_000,
            items: 1_000_000,
            log_bytes: 4 << 20,
            handles: 65_536,
            transfer: 8 << 20,
        }
    }

    /// Returns the limits of policies, for one image or one batch of references.
    pub fn policy() -> Self {
        Self {
            memory: 64 << 20,
            guest_time: Duration::from_secs(2),
            call_time: Duration::from_secs(120),
            host_calls: 1_000_000,
            requests: 1_000,
            items: 0,
            log_bytes: 256 << 10,
            handles: 1_024,
            transfer: 1 << 20,
        }
    }
}

/// Why the host stopped a guest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stop {
    #[error("used up its {}", human_time(*.0))]
    GuestTime(Duration),
    #[error("used up its {0} host calls")]
    HostCalls(u64),
    #[error("the run was cancelled")]
    Cancelled,
}

/// Counts what one call uses up.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    ticks: u32,
    ticks_after_cancel: u32,
    pub(crate) host_calls: u64,
    pub(crate) requests: u64,
    pub(crate) items: u64,
    /// Bytes written to the cache.
    pub(crate) cached: u64,
    pub(crate) log_bytes: u64,
    pub(crate) dropped_logs: u64,
}

impl Meter {
    /// A sign of life: the guest asked whether it should go on.
    pub(crate) fn polled(&mut self) {
        self.ticks = 0;
    }

    /// Called at each tick that finds the guest running.
    ///
    /// The clock also ticks while the host works for the guest, but only one of those ticks is seen here, at the
    /// return to the guest. So the sum of the ticks is the time in the guest.
    pub(crate) fn tick(&mut self, limits: &Limits, cancelled: bool) -> wasmtime::Result<UpdateDeadline> {
        self.ticks += 1;
        self.ticks_after_cancel += u32::from(cancelled);
        if self.host_calls > limits.host_calls {
            return Err(Stop::HostCalls(limits.host_calls).into());
        }
        if TICK * self.ticks > limits.guest_time {
            return Err(Stop::GuestTime(limits.guest_time).into());
        }
        if TICK * self.ticks_after_cancel > GRACE {
            return Err(Stop::Cancelled.into());
        }
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
    }
}

/// Holds a store to its share of memory: the sum of all memories and tables, not each of them.
#[derive(Debug)]
pub(crate) struct MemoryLimit {
    limit: usize,
    used: usize,
    refused: bool,
}

impl MemoryLimit {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, used: 0, refused: false }
    }

    /// Answers whether the guest was refused memory. Most then trap, and the trap alone would not say why.
    pub(crate) fn was_refused(&self) -> bool {
        self.refused
    }

    /// Returns the bytes that are in use.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    fn grow(&mut self, current: usize, desired: usize) -> bool {
        let used = self.used.saturating_add(desired.saturating_sub(current));
        let fits = used <= self.limit;
        match fits {
            true => self.used = used,
            false => self.refused = true,
        }
        fits
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(current, desired))
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(current.saturating_mul(TABLE_ELEMENT), desired.saturating_mul(TABLE_ELEMENT)))
    }

    // Components of interpreters and of adapters have a handful; composed ones a few dozen.
    fn instances(&self) -> usize {
        200
    }

    fn tables(&self) -> usize {
        100
    }

    fn memories(&self) -> usize {
        20
    }
}

/// Writes a limit as people say it: `2 s`, `100 ms`.
pub(crate) fn human_time(time: Duration) -> String {
    match time.subsec_millis() {
        0 => format!("{} s", time.as_secs()),
        _ => format!("{} ms", time.as_millis()),
    }
}

/// Writes an amount of memory as people say it.
pub(crate) fn human_bytes(bytes: usize) -> String {
    const UNITS: [(usize, &str); 2] = [(1 << 20, "MiB"), (1 << 10, "KiB")];
    let fitting = UNITS.iter().find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit));
    fitting.map_or_else(|| format!("{bytes} bytes"), |(unit, name)| format!("{} {name}", bytes / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_and_tables_share_one_limit() {
        let mut limit = MemoryLimit::new(1 << 20);
        assert!(limit.memory_growing(0, 512 << 10, None).expect("no trap"));
        assert!(limit.table_growing(0, (512 << 10) / TABLE_ELEMENT, None).expect("no trap"));
        assert!(!limit.was_refused());
        assert!(!limit.memory_growing(512 << 10, 576 << 10, None).expect("no trap"));
        assert!(limit.was_refused());
    }

    #[test]
    fn a_meter_counts_time_calls_and_cancellation() {
        let limits = Limits { guest_time: TICK * 2, host_calls: 5, ..Limits::policy() };
        let mut meter = Meter::default();
        assert!(meter.tick(&limits, false).is_ok() && meter.tick(&limits, false).is_ok());
        meter.polled();
        assert!(meter.tick(&limits, false).is_ok() && meter.tick(&limits, false).is_ok());
        let stop = meter.tick(&limits, false).map(drop).expect_err("out of time");
        assert_eq!(stop.downcast_ref::<Stop>(), Some(&Stop::GuestTime(TICK * 2)));
        let mut meter = Meter { host_calls: 6, ..Meter::default() };
        assert_eq!(
            meter.tick(&limits, false).map(drop).expect_err("calls").to_string(),
            "used up its 5 host calls"
        );
        let (mut meter, limits) = (Meter::default(), Limits::source());
        let ticks = (0..300).take_while(|_| meter.tick(&limits, true).is_ok()).count();
        assert_eq!(ticks, 200);
    }

    #[test]
    fn amounts_for_people() {
        assert_eq!(human_time(Duration::from_secs(2)), "2 s");
        assert_eq!(human_time(Duration::from_millis(1500)), "1500 ms");
        assert_eq!(human_bytes(64 << 20), "64 MiB");
        assert_eq!(human_bytes(100), "100 bytes");
    }
}
