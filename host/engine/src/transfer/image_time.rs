//! [`ImageTime`]: how long one image may be under way, whatever of it moves and however often it is tried again.
//!
//! Blobs are what moves, and several images may need one. So an image's time runs while any of its blobs moves, and not
//! while all of them wait for their turn; a blob is given up once no image that needs it has any time left.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use oc_mirror_model::digest::Digest;
use oc_mirror_model::imageset::ImageEntry;
use tokio::time::Instant;

use crate::content::{ContentError, ContentErrorKind};

/// The time that images have.
#[derive(Debug)]
pub struct ImageTime {
    limit: Duration,
    /// The images that need a blob.
    needed_by: HashMap<Digest, Vec<usize>>,
    clocks: Mutex<Vec<Clock>>,
}

/// The time that one image has used.
#[derive(Clone, Copy, Debug)]
struct Clock {
    used: Duration,
    /// How many of its blobs move.
    moving: usize,
    /// Since when any of them does.
    since: Instant,
}

impl Clock {
    fn used_by(&self, now: Instant) -> Duration {
        if self.moving == 0 { self.used } else { self.used + now.duration_since(self.since) }
    }
}

impl ImageTime {
    /// Gives each image so much time; nothing if there is no limit.
    pub fn of(limit: Option<Duration>, images: &[ImageEntry]) -> Option<Arc<Self>> {
        let limit = limit?;
        let mut needed_by: HashMap<Digest, Vec<usize>> = HashMap::new();
        for (number, image) in images.iter().enumerate() {
            for blob in &image.blobs {
                needed_by.entry(blob.digest.clone()).or_default().push(number);
            }
        }
        let clock = Clock { used: Duration::ZERO, moving: 0, since: Instant::now() };
        Some(Arc::new(Self { limit, needed_by, clocks: Mutex::new(vec![clock; images.len()]) }))
    }

    /// Does what moves a blob, as long as an image that needs it has time.
    pub async fn within<T>(
        &self,
        blob: &Digest,
        moving: impl Future<Output = Result<T, ContentError>>,
    ) -> Result<T, ContentError> {
        let Some(images) = self.needed_by.get(blob) else { return moving.await };
        self.start(images, Instant::now());
        let _running = Running { time: self, images };
        let mut moving = std::pin::pin!(moving);
        loop {
            let left = self.left(images, Instant::now());
            if left.is_zero() {
                let kind = ContentErrorKind::OutOfTime(self.limit);
                return Err(ContentError::new(blob.to_string(), kind));
            }
            tokio::select! {
                outcome = &mut moving => return outcome,
                // An image that has not begun yet, or waits, may have more time by then than it had.
                () = tokio::time::sleep(left) => {}
            }
        }
    }

    /// Something that these images need moves from now on.
    fn start(&self, images: &[usize], now: Instant) {
        let mut clocks = self.clocks();
        for number in images {
            let clock = &mut clocks[*number];
            if clock.moving == 0 {
                clock.since = now;
            }
            clock.moving += 1;
        }
    }

    /// It does not any more.
    fn stop(&self, images: &[usize], now: Instant) {
        let mut clocks = self.clocks();
        for number in images {
            let clock = &mut clocks[*number];
            clock.used = clock.used_by(now);
            clock.since = now;
            clock.moving -= 1;
        }
    }

    /// Returns the most time that any of the images has left.
    fn left(&self, images: &[usize], now: Instant) -> Duration {
        let clocks = self.clocks();
        let left = images.iter().map(|number| self.limit.saturating_sub(clocks[*number].used_by(now)));
        left.max().unwrap_or_default()
    }

    fn clocks(&self) -> MutexGuard<'_, Vec<Clock>> {
        self.clocks.lock().expect("no holder of this lock panics")
    }
}

/// Stops the clocks of images in the end, however it comes.
struct Running<'a> {
    time: &'a ImageTime,
    images: &'a [usize],
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.time.stop(self.images, Instant::now());
    }
}

/// Does what moves a blob, within the time of the images that need it, if there is a limit.
pub(super) async fn within<T>(
    time: Option<&Arc<ImageTime>>,
    blob: &Digest,
    moving: impl Future<Output = Result<T, ContentError>>,
) -> Result<T, ContentError> {
    match time {
        Some(time) => time.within(blob, moving).await,
        None => moving.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(name: &str, blobs: &[&str]) -> ImageEntry {
        let blob = |text: &&str| {
            serde_json::json!({
                "mediaType": "application/vnd.oci.image.layer.v1.tar", "size": text.len(), "digest": Digest::of(text.as_bytes()),
            })
        };
        serde_json::from_value(serde_json::json!({
            "plugin": "additional", "source": name, "origin": name, "kind": "additional",
            "destination": { "repository": "a", "tag": name }, "root": blob(&name), "manifests": [],
            "blobs": blobs.iter().map(blob).collect::<Vec<_>>(),
        }))
        .expect("an image")
    }

    #[test]
    fn time_runs_while_something_moves() {
        let images = [image("one", &["base", "a"]), image("two", &["base", "b"])];
        let time = ImageTime::of(Some(Duration::from_secs(10)), &images).expect("a limit");
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let left = |images: &[usize], seconds| time.left(images, at(seconds)).as_secs();
        time.start(&[0, 1], at(0));
        assert_eq!(left(&[0, 1], 6), 4);
        time.stop(&[0, 1], at(6));
        assert_eq!(left(&[0], 100), 4, "waiting costs nothing");
        // What moves at the same time is counted once.
        time.start(&[0], at(100));
        time.start(&[0], at(101));
        time.stop(&[0], at(102));
        assert_eq!((left(&[0], 103), left(&[0], 200)), (1, 0));
        assert_eq!(left(&[0, 1], 200), 4, "what both need goes on as long as one of them has time");
        time.stop(&[0], at(200));
        assert!(ImageTime::of(None, &images).is_none());
    }

    #[tokio::test]
    async fn what_takes_too_long_is_given_up() {
        let time = ImageTime::of(Some(Duration::from_millis(30)), &[image("one", &["a"])]).expect("a limit");
        let [mine, nobodys] = ["a", "b"].map(|text| Digest::of(text.as_bytes()));
        assert!(time.within(&mine, async { Ok(()) }).await.is_ok());
        let error = time.within(&mine, std::future::pending::<Result<(), _>>()).await.expect_err("given up");
        assert!(!error.is_temporary() && error.to_string().contains("within the 30ms"), "{error}");
        let slow = async {
            tokio::time::sleep(Duration::from_millis(60)).await;
            Ok(())
        };
        assert!(time.within(&nobodys, slow).await.is_ok());
    }
}
