//! [`Crowd`]: which connections wait for a request, and may be closed where there is no room for another one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// Whoever has just come is about to say something.
const SETTLED: Duration = Duration::from_secs(1);

/// The connections that nobody would miss: each waits for a request, and a client whose idle connection was closed makes a new one.
#[derive(Default)]
pub(super) struct Crowd(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    /// In the order in which they began to wait.
    idle: BTreeMap<u64, (Instant, Arc<Notify>)>,
    next: u64,
}

impl Crowd {
    /// Lets a connection in. It waits.
    pub(super) fn seat(self: &Arc<Self>) -> Arc<Seat> {
        let leave = Arc::new(Notify::new());
        let number = self.wait(&leave);
        Arc::new(Seat { crowd: self.clone(), leave, held: Mutex::new(Held { requests: 0, number }) })
    }

    /// Sends away the connection that has waited for longest. `false`: none has waited for long.
    pub(super) fn make_room(&self) -> bool {
        let mut waiting = self.lock();
        let Some(entry) = waiting.idle.first_entry().filter(|entry| entry.get().0.elapsed() >= SETTLED)
        else {
            return false;
        };
        // It is told even if it does not listen yet.
        entry.remove().1.notify_one();
        true
    }

    fn wait(&self, leave: &Arc<Notify>) -> u64 {
        let mut waiting = self.lock();
        let number = waiting.next;
        waiting.next += 1;
        waiting.idle.insert(number, (Instant::now(), leave.clone()));
        number
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().expect("no holder of this lock panics")
    }
}

/// A connection's place in it.
pub(super) struct Seat {
    crowd: Arc<Crowd>,
    leave: Arc<Notify>,
    held: Mutex<Held>,
}

struct Held {
    /// How many requests are being answered.
    requests: usize,
    number: u64,
}

impl Seat {
    /// Ends when the connection is to be closed.
    pub(super) async fn sent_away(&self) {
        self.leave.notified().await;
    }

    /// Notes that a request is being answered, until the returned value is dropped.
    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        let mut held = self.held();
        held.requests += 1;
        self.crowd.lock().idle.remove(&held.number);
        drop(held);
        Busy(self.clone())
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().expect("no holder of this lock panics")
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let number = self.held().number;
        self.crowd.lock().idle.remove(&number);
    }
}

/// A request that is being answered.
pub(super) struct Busy(Arc<Seat>);

impl Drop for Busy {
    fn drop(&mut self) {
        let mut held = self.0.held();
        held.requests -= 1;
        if held.requests == 0 {
            held.number = self.0.crowd.wait(&self.0.leave);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(crowd: &Crowd) -> usize {
        crowd.lock().idle.len()
    }

    /// Pretends that all have waited for longer than they have.
    fn later(crowd: &Crowd) {
        for (since, _) in crowd.lock().idle.values_mut() {
            *since = since.checked_sub(SETTLED).expect("the machine has run for a second");
        }
    }

    #[tokio::test]
    async fn the_one_that_has_waited_longest_is_sent_away() {
        let crowd = Arc::new(Crowd::default());
        let (first, second) = (crowd.seat(), crowd.seat());
        assert!(!crowd.make_room(), "both have just come");
        let busy = first.busy();
        later(&crowd);
        assert!(crowd.make_room());
        second.sent_away().await;
        assert!(!crowd.make_room(), "the other one is being answered");
        drop(busy);
        later(&crowd);
        assert!(crowd.make_room());
        first.sent_away().await;
    }

    #[test]
    fn nothing_is_left_of_who_has_gone() {
        let crowd = Arc::new(Crowd::default());
        let seat = crowd.seat();
        let (one, other) = (seat.busy(), seat.busy());
        drop(one);
        assert_eq!(waiting(&crowd), 0, "another request is being answered");
        drop(other);
        assert_eq!(waiting(&crowd), 1);
        drop(seat);
        assert_eq!(waiting(&crowd), 0);
    }
}
