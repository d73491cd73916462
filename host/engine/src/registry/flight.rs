//! [`Flight`]: a value that many need and one fetches.

use std::error::Error;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::content::ContentError;

/// A cached value. Whoever finds it missing fetches it while the others wait, and they share a failure as well.
pub(super) struct Flight<T> {
    state: Mutex<State<T>>,
}

struct State<T> {
    value: Option<T>,
    failed: Option<(Instant, ContentError)>,
}

impl<T> Default for Flight<T> {
    fn default() -> Self {
        Self { state: Mutex::new(State { value: None, failed: None }) }
    }
}

impl<T: Clone> Flight<T> {
    /// Returns the value if it is good, else what `make` makes. `make` runs at most once at a time.
    pub(super) async fn get(
        &self,
        good: impl FnOnce(&T) -> bool,
        make: impl Future<Output = Result<T, ContentError>>,
    ) -> Result<T, ContentError> {
        let asked = Instant::now();
        let mut state = self.state.lock().await;
        if let Some(value) = state.value.as_ref().filter(|v| good(v)) {
            return Ok(value.clone());
        }
        // A fetch that failed while this caller was waiting for it is its answer too: a crowd must not
        // knock one by one at a door that does not open.
        if let Some((when, error)) = &state.failed
            && *when >= asked
        {
            return Err(copy(error));
        }
        match make.await {
            Ok(value) => {
                state.value = Some(value.clone());
                state.failed = None;
                Ok(value)
            }
            Err(error) => {
                state.failed = Some((Instant::now(), copy(&error)));
                Err(error)
            }
        }
    }
}

/// Copies an error for another waiter; its cause is kept as text.
fn copy(error: &ContentError) -> ContentError {
    match error.source() {
        Some(source) => ContentError::with_source(error.subject(), error.kind().clone(), source.to_string()),
        None => ContentError::new(error.subject(), error.kind().clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::ContentErrorKind;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test]
    async fn one_fetches_for_all() {
        let (flight, calls) = (Flight::default(), AtomicU32::new(0));
        let one = || {
            flight.get(|_| true, async {
                tokio::task::yield_now().await;
                Ok(calls.fetch_add(1, Ordering::Relaxed))
            })
        };
        let all = futures_util::future::join_all((0..20).map(|_| one())).await;
        assert!(all.into_iter().all(|r| r.is_ok_and(|v| v == 0)));
        assert_eq!(calls.into_inner(), 1);
    }

    #[tokio::test]
    async fn a_failure_is_shared_by_those_who_waited_and_not_kept() {
        let (flight, calls) = (Flight::<u32>::default(), AtomicU32::new(0));
        let one = || {
            flight.get(|_| true, async {
                tokio::task::yield_now().await;
                calls.fetch_add(1, Ordering::Relaxed);
                Err(ContentError::new("x", ContentErrorKind::Denied))
            })
        };
        let all = futures_util::future::join_all((0..20).map(|_| one())).await;
        assert!(all.into_iter().all(|r| r.is_err()));
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        assert!(one().await.is_err());
        assert_eq!(calls.load(Ordering::Relaxed), 2);
    }
}
