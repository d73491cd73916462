//! The few things that an imageset needs from a file system and `std` does not offer in one call.
//!
//! Durable replacement ([`write_atomic`]), space reserved ahead ([`preallocate`]), batches made durable together
//! ([`sync_batch`]), one process at a time ([`Lock`]). Knows nothing of tar, images or formats.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

mod lock;
mod pool;

pub use lock::{Lock, LockError};
pub use pool::FilePool;
pub use std::os::unix::fs::FileExt;

/// Above this many files, one `syncfs` is cheaper than an `fdatasync` of each.
const SYNC_EACH: usize = 8;

/// Replaces a file as a whole: after a crash there is either the old content or the new.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = parent(path);
    let mut file = tempfile::Builder::new()
        .prefix(".tmp-")
        .permissions(Permissions::from_mode(0o644))
        .tempfile_in(&dir)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    fsync_dir(&dir)
}

/// Makes names that were created, changed or removed in a directory durable.
pub fn fsync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Returns the directory that a path is in; a bare name is in the current one.
pub fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Gives a file its length and reserves the space, so that a full disk is found now and not at the end.
///
/// Where the file system cannot reserve, the file just gets its length.
pub fn preallocate(file: &File, len: u64) -> io::Result<()> {
    if len == 0 {
        return file.set_len(0);
    }
    loop {
        match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, len) {
            Ok(()) => return file.set_len(len),
            Err(Errno::INTR) => {}
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => return file.set_len(len),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Writes all of `bytes` at `offset`.
pub fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    FileExt::write_all_at(file, bytes, offset)
}

/// Fills all of `bytes` from `offset`.
pub fn read_exact_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    FileExt::read_exact_at(file, bytes, offset)
}

/// Returns how many bytes an ordinary user may still write below a directory.
pub fn available_space(dir: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(dir)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Makes what was written to the files durable.
///
/// An error means that data is lost: a second attempt may succeed without having written anything.
pub fn sync_batch(files: &[Arc<File>]) -> io::Result<()> {
    if files.len() > SYNC_EACH
        && let Some(first) = files.first()
    {
        rustix::fs::syncfs(first)?;
    }
    // After a `syncfs` this costs next to nothing, and reports errors that older kernels hide there.
    files.iter().try_for_each(|file| file.sync_data())
}

/// Makes a directory, and those above it, that only its owner can look into.
pub fn private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let metadata = std::fs::symlink_metadata(path)?;
    if !metadata.is_dir() || metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to somebody else"));
    }
    if metadata.mode() & 0o077 != 0 {
        std::fs::set_permissions(path, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Answers whether an error says that there is no space left, or none for this user.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Removes a file; one that is not there is fine.
pub fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_over() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("metadata.json");
        write_atomic(&path, b"old").expect("written");
        write_atomic(&path, b"new").expect("replaced");
        assert_eq!(std::fs::read(&path).expect("there"), b"new");
        assert_eq!(std::fs::read_dir(dir.path()).expect("readable").count(), 1);
        assert!(write_atomic(&dir.path().join("no/such/x"), b"").is_err());
    }

    #[test]
    fn space_is_reserved() {
        let file = tempfile::tempfile().expect("a file");
        preallocate(&file, 1 << 20).expect("space");
        assert_eq!(file.metadata().expect("open").len(), 1 << 20);
        preallocate(&file, 10).expect("shorter");
        assert_eq!(file.metadata().expect("open").len(), 10);
        let error = preallocate(&file, 1 << 60).expect_err("no disk is so large");
        assert!(is_full(&error) || error.kind() == io::ErrorKind::FileTooLarge, "{error:?}");
    }

    #[test]
    fn private_means_private() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a/b");
        private_dir(&path).expect("made");
        std::fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("opened");
        private_dir(&path).expect("closed again");
        assert_eq!(std::fs::metadata(&path).expect("there").mode() & 0o777, 0o700);
    }

    #[test]
    fn batches_of_any_length_are_synced() {
        let files: Vec<_> = (0..12).map(|_| Arc::new(tempfile::tempfile().expect("a file"))).collect();
        for count in [0, 1, 12] {
            sync_batch(&files[..count]).expect("synced");
        }
        assert!(available_space(Path::new("/")).expect("a file system") > 0);
    }
}
