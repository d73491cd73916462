//! Trying again: [`retrying`] asks the error whether it helps, never its text.
//!
//! Single requests are tried again where they are made. This is for what consists of several of them, above all
//! moving a blob: its source has to be opened again.

use std::future::Future;
use std::time::Duration;

use crate::content::ContentError;
use crate::report::{Event, Events};

/// How often to try again, and how long to wait before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Attempts after the first.
    pub times: u32,
    /// A constant delay; nothing: 1 s, doubling.
    pub delay: Option<Duration>,
}

/// However long the other side asks to wait, this is the most: a run should fail rather than sleep for an hour.
const MAX_DELAY: Duration = Duration::from_secs(60);

impl Default for Retry {
    fn default() -> Self {
        Self { times: 5, delay: None }
    }
}

impl Retry {
    /// Returns how long to wait before attempt `attempt` (from 2).
    pub(super) fn delay_before(&self, attempt: u32, error: &ContentError) -> Duration {
        let backoff =
            self.delay.unwrap_or_else(|| Duration::from_secs(1 << (attempt.saturating_sub(2)).min(6)));
        error.retry_after().unwrap_or(backoff).min(MAX_DELAY)
    }
}

/// Runs `attempt` until it succeeds, fails for good, or has been tried often enough.
pub async fn retrying<T, F, Fut>(retry: Retry, events: &dyn Events, mut attempt: F) -> Result<T, ContentError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, ContentError>>,
{
    let mut number = 1;
    loop {
        match attempt().await {
            Err(error) if error.is_temporary() && !error.is_exhausted() && number <= retry.times => {
                number += 1;
                let reason = error.kind().to_string();
                events.event(Event::Retry { subject: error.subject(), reason: &reason, attempt: number });
                tokio::time::sleep(retry.delay_before(number, &error)).await;
            }
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::ContentErrorKind;
    use crate::report::Silence;
    use std::cell::Cell;

    async fn attempts(kind: ContentErrorKind, succeed_at: u32) -> (u32, bool) {
        let count = Cell::new(0);
        let retry = Retry { times: 3, delay: Some(Duration::ZERO) };
        let outcome = retrying(retry, &Silence, || {
            count.set(count.get() + 1);
            let outcome =
                if count.get() == succeed_at { Ok(()) } else { Err(ContentError::new("x", kind.clone())) };
            async { outcome }
        })
        .await;
        (count.get(), outcome.is_ok())
    }

    #[tokio::test]
    async fn the_error_decides() {
        assert_eq!(attempts(ContentErrorKind::Unavailable("reset".to_owned()), 3).await, (3, true));
        assert_eq!(attempts(ContentErrorKind::Unavailable("reset".to_owned()), 9).await, (4, false));
        assert_eq!(attempts(ContentErrorKind::NotFound, 2).await, (1, false));
    }

    #[tokio::test]
    async fn what_was_tried_to_the_end_is_not_tried_again() {
        let count = Cell::new(0);
        let outcome: Result<(), ContentError> = retrying(Retry::default(), &Silence, || {
            count.set(count.get() + 1);
            async {
                Err(ContentError::new("x", ContentErrorKind::Unavailable("reset".to_owned())).exhausted())
            }
        })
        .await;
        assert!(outcome.is_err_and(|e| e.is_exhausted()) && count.get() == 1);
    }
}
