//! [`Kept`]: blobs that are read more than once, kept in a directory from run to run.
//!
//! It is a cache: whatever is wrong with it, the blob is fetched from where it is. A blob gets its name only once all
//! of its bytes have been checked.

use std::fs::{File, FileTimes};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::Descriptor;
use tempfile::TempPath;
use tokio::io::AsyncWriteExt;

use crate::content::verify::verified;
use crate::content::{BlobStream, ContentError, file};

/// How long something is kept that nobody asks for. Catalogs change every few days; an old one is not asked for again.
const KEEP: Duration = Duration::from_secs(30 * 24 * 3600);

/// A directory of blobs.
#[derive(Clone, Debug)]
pub struct Kept {
    dir: PathBuf,
}

impl Kept {
    /// Opens a directory, making it if need be, and removes what nobody has asked for lately. Nothing if there can be
    /// no such directory.
    pub fn open(dir: &Path) -> Option<Self> {
        std::fs::create_dir_all(dir).ok()?;
        prune(dir);
        Some(Self { dir: dir.to_owned() })
    }

    /// Opens a blob, if it is there. The stream is verified; a blob that is not read to a good end is not kept any
    /// longer, since whoever decodes it may give up on a wrong one before the stream itself does.
    pub fn read(&self, blob: &Descriptor) -> Option<BlobStream> {
        let path = self.path(&blob.digest);
        let opened = File::options().read(true).write(true).open(&path).ok()?;
        if opened.metadata().ok()?.len() != blob.size {
            return None;
        }
        // Read again, it is kept for another while; a file system that does not note that loses nothing.
        let _ = opened.set_times(FileTimes::new().set_modified(SystemTime::now()));
        let subject = format!("kept blob {}", blob.digest);
        let stream = verified(file::stream(opened, 0, blob.size, subject.clone()), blob, subject);
        let reading = Reading { stream, unproven: Some(path), failed: false };
        Some(Box::pin(futures_util::stream::unfold(reading, |mut reading| async move {
            let piece = reading.stream.next().await;
            match &piece {
                Some(Ok(_)) => {}
                Some(Err(_)) => reading.failed = true,
                None if reading.failed => {}
                None => reading.unproven = None,
            }
            piece.map(|piece| (piece, reading))
        })))
    }

    /// Passes a verified stream on, and keeps what went through once it has ended well.
    pub fn keep(&self, blob: &Descriptor, stream: BlobStream) -> BlobStream {
        let copy = tempfile::Builder::new().prefix(".partial-").tempfile_in(&self.dir).ok().map(|made| {
            let (file, path) = made.into_parts();
            (tokio::fs::File::from_std(file), path)
        });
        let passing = Passing { stream, copy, path: self.path(&blob.digest) };
        Box::pin(futures_util::stream::unfold(passing, |mut passing| async move {
            let piece = passing.stream.next().await;
            passing.note(piece.as_ref()).await;
            piece.map(|piece| (piece, passing))
        }))
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.dir.join(digest.to_string().replace(':', "-"))
    }
}

/// A kept blob that is being read.
struct Reading {
    stream: BlobStream,
    /// The file, until it has proved right.
    unproven: Option<PathBuf>,
    failed: bool,
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some(path) = &self.unproven {
            // Still there, it is found wrong again.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A stream whose pieces are written down.
struct Passing {
    stream: BlobStream,
    copy: Option<(tokio::fs::File, TempPath)>,
    path: PathBuf,
}

impl Passing {
    async fn note(&mut self, piece: Option<&Result<bytes::Bytes, ContentError>>) {
        let Some((file, _)) = &mut self.copy else { return };
        match piece {
            Some(Ok(bytes)) if file.write_all(bytes).await.is_ok() => {}
            None => {
                let written = file.flush().await.is_ok() && file.sync_data().await.is_ok();
                if let Some((_, path)) = self.copy.take().filter(|_| written) {
                    // Not kept, it is fetched again.
                    let _ = path.persist(&self.path);
                }
            }
            _ => self.copy = None,
        }
    }
}

/// Removes files of a directory that have not been asked for lately.
pub(super) fn prune(dir: &Path) {
    let (Ok(entries), Some(limit)) = (std::fs::read_dir(dir), SystemTime::now().checked_sub(KEEP)) else {
        return;
    };
    for entry in entries.flatten() {
        let is_old = entry.metadata().and_then(|m| m.modified()).is_ok_and(|time| time < limit);
        if is_old {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::verify::collect;
    use oc_mirror_model::media_type;

    fn stream(pieces: &[&'static [u8]]) -> BlobStream {
        let pieces: Vec<_> = pieces.iter().map(|p| Ok(bytes::Bytes::from_static(p))).collect();
        Box::pin(futures_util::stream::iter(pieces))
    }

    #[tokio::test]
    async fn what_ended_well_is_kept() {
        let dir = tempfile::tempdir().expect("a directory");
        let kept = Kept::open(dir.path()).expect("opened");
        let blob = Descriptor::of(media_type::OCI_LAYER_GZIP, b"hello world");
        assert!(kept.read(&blob).is_none());
        let passed = kept.keep(&blob, verified(stream(&[b"hello", b" w0rld"]), &blob, "x"));
        assert!(collect(passed, &blob).await.is_err());
        assert!(kept.read(&blob).is_none(), "it was wrong");
        let mut passed = kept.keep(&blob, verified(stream(&[b"hello", b" world"]), &blob, "x"));
        assert!(passed.next().await.is_some());
        drop(passed);
        assert!(kept.read(&blob).is_none(), "it was not read to its end");
        let passed = kept.keep(&blob, verified(stream(&[b"hello", b" world"]), &blob, "x"));
        assert_eq!(collect(passed, &blob).await.expect("right"), "hello world");
        let again = kept.read(&blob).expect("kept");
        assert_eq!(collect(again, &blob).await.expect("read"), "hello world");
        let left: Vec<_> = std::fs::read_dir(dir.path()).expect("listed").flatten().collect();
        assert_eq!(left.len(), 1, "no partial files");
        std::fs::write(left[0].path(), "hello w0rld").expect("written");
        assert!(collect(kept.read(&blob).expect("there"), &blob).await.is_err());
        assert!(kept.read(&blob).is_none(), "it was damaged, and is fetched again");

        let again = || kept.keep(&blob, verified(stream(&[b"hello", b" world"]), &blob, "x"));
        collect(again(), &blob).await.expect("right");
        drop(kept.read(&blob).expect("kept"));
        assert!(kept.read(&blob).is_none(), "whoever read it gave up, perhaps since it is damaged");
    }

    #[tokio::test]
    async fn what_nobody_asks_for_goes() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("sha256-0");
        let file = File::create(&path).expect("made");
        let long_ago = SystemTime::now() - KEEP - Duration::from_secs(60);
        file.set_times(FileTimes::new().set_modified(long_ago)).expect("set");
        Kept::open(dir.path()).expect("opened");
        assert!(!path.exists());
    }
}
