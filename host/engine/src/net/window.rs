//! [`Window`]: how many requests a server gets at once. Found out from its answers, below a ceiling.
//!
//! Additive increase, multiplicative decrease, as TCP does it: while all of the window is used and the server keeps up, it
//! grows by about one for each round of answers; when the server says that it is too much, it is halved, once for all
//! requests that were under way by then.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What a window begins with: enough to fill most lines, and what other clients get away with.
const FIRST: usize = 8;

/// A limit that adapts. Cheap to clone; clones share it.
#[derive(Clone, Debug)]
pub struct Window {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    permits: Arc<Semaphore>,
    ceiling: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// How many requests may be under way; between two whole numbers it is on its way to the next one.
    limit: f64,
    /// How many permits there are, those in use included.
    issued: usize,
    /// Counts how often the window was made smaller.
    epoch: u64,
}

/// The right to make a request. Given back when it is dropped.
#[derive(Debug)]
pub struct Permit {
    window: Window,
    permit: Option<OwnedSemaphorePermit>,
    epoch: u64,
}

impl Window {
    /// Makes a window that never gets wider than `ceiling`.
    pub fn new(ceiling: usize) -> Self {
        let ceiling = ceiling.clamp(1, Semaphore::MAX_PERMITS);
        let issued = ceiling.min(FIRST);
        let state = Mutex::new(State { limit: issued as f64, issued, epoch: 0 });
        Self { inner: Arc::new(Inner { permits: Arc::new(Semaphore::new(issued)), ceiling, state }) }
    }

    /// Waits for the right to make a request.
    pub async fn permit(&self) -> Permit {
        let permit = self.inner.permits.clone().acquire_owned().await.expect("nobody closes the semaphore");
        let epoch = self.state().epoch;
        Permit { window: self.clone(), permit: Some(permit), epoch }
    }

    /// Returns how many requests may be under way at once.
    pub fn limit(&self) -> usize {
        self.state().issued
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn grow(&self) {
        // A window that is not used says nothing about whether a wider one would do.
        if self.inner.permits.available_permits() > 0 {
            return;
        }
        let mut state = self.state();
        state.limit = (state.limit + 1.0 / state.limit).min(self.inner.ceiling as f64);
        while state.issued < state.limit as usize {
            state.issued += 1;
            self.inner.permits.add_permits(1);
        }
    }

    fn shrink(&self, epoch: u64) {
        let mut state = self.state();
        if epoch != state.epoch {
            return;
        }
        state.epoch += 1;
        state.limit = (state.limit / 2.0).max(1.0);
        // Permits in use are withdrawn when they come back.
        let surplus = state.issued - state.limit as usize;
        state.issued -= self.inner.permits.forget_permits(surplus);
    }
}

impl Permit {
    /// Says that the server has kept up.
    pub fn went_well(&self) {
        self.window.grow();
    }

    /// Says that the server wants fewer requests.
    pub fn was_too_much(&self) {
        self.window.shrink(self.epoch);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.window.state();
        if state.issued > state.limit as usize
            && let Some(permit) = self.permit.take()
        {
            permit.forget();
            state.issued -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn full(window: &Window) -> Vec<Permit> {
        let mut permits = Vec::new();
        for _ in 0..window.limit() {
            permits.push(window.permit().await);
        }
        permits
    }

    #[tokio::test]
    async fn it_grows_by_about_one_a_round_up_to_the_ceiling() {
        let window = Window::new(10);
        assert_eq!(window.limit(), FIRST);
        for expected in [9, 10, 10] {
            let permits = full(&window).await;
            // The first answer of a round makes the window a little wider, and what is not used does not count.
            for permit in &permits {
                permit.went_well();
            }
            permits.first().expect("one").went_well();
            assert_eq!(window.limit(), expected);
        }
    }

    #[tokio::test]
    async fn it_does_not_grow_unused() {
        let window = Window::new(20);
        let permit = window.permit().await;
        for _ in 0..100 {
            permit.went_well();
        }
        assert_eq!(window.limit(), FIRST);
    }

    #[tokio::test]
    async fn it_is_halved_once_for_all_that_were_under_way() {
        let window = Window::new(20);
        let permits = full(&window).await;
        permits.iter().for_each(Permit::was_too_much);
        drop(permits);
        assert_eq!(window.limit(), FIRST / 2);
        assert_eq!(window.inner.permits.available_permits(), FIRST / 2);
        for expected in [2, 1, 1] {
            let permits = full(&window).await;
            permits.iter().for_each(Permit::was_too_much);
            drop(permits);
            assert_eq!((window.limit(), window.inner.permits.available_permits()), (expected, expected));
        }
    }

    #[tokio::test]
    async fn a_small_ceiling_is_kept() {
        let window = Window::new(3);
        let permits = full(&window).await;
        assert_eq!(permits.len(), 3);
        permits.iter().for_each(|permit| (0..9).for_each(|_| permit.went_well()));
        assert_eq!(window.limit(), 3);
        assert_eq!(Window::new(0).limit(), 1);
    }
}
