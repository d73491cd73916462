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
    write_atomic_with(path, |file| file.write_all(bytes))
}

/// The same, with what `write` writes, which need not be in memory as a whole.
pub fn write_atomic_with(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let dir = parent(path);
    let mut file = tempfile::Builder::new()
        .prefix(".tmp-")
        .permissions(Permissions::from_mode(0o644))
        .tempfile_in(&dir)?;
    write(file.as_file_mut())?;
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

/// Gives the space of a part of a file back; the part reads as zeros from then on. `Unsupported` where the file system
/// cannot do that.
pub fn punch(file: &File, offset: u64, len: u64) -> io::Result<()> {
    let flags = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
    loop {
        match rustix::fs::fallocate(file, flags, offset, len) {
            Ok(()) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Err(io::ErrorKind::Unsupported.into()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Returns how many bytes of a disk a file takes, which may be less than its length.
pub fn allocated(path: &Path) -> io::Result<u64> {
    // `st_blocks` counts in 512 bytes whatever the file system's blocks are.
    Ok(std::fs::symlink_metadata(path)?.blocks().saturating_mul(512))
}

/// Returns how many bytes an ordinary user may still write below a directory.
pub fn available_space(dir: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(dir)?;
    // File systems that know no such number say that they have no blocks at all.
    Ok(if stat.f_blocks == 0 { u64::MAX } else { stat.f_bavail.saturating_mul(stat.f_frsize) })
}

/// Returns which file system a path is on, or would be on: that of the nearest directory above it that there is.
pub fn device(path: &Path) -> io::Result<(u64, PathBuf)> {
    let mut there = path.to_owned();
    loop {
        match std::fs::metadata(&there) {
            Ok(found) => return Ok((found.dev(), there)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && there != parent(&there) => {
                there = parent(&there);
            }
            Err(error) => return Err(error),
        }
    }
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
    fn what_is_given_back_reads_as_zeros() {
        let mut made = tempfile::NamedTempFile::new().expect("a file");
        made.write_all(&[1; 1 << 16]).expect("written");
        made.as_file().sync_all().expect("durable");
        let before = allocated(made.path()).expect("there");
        match punch(made.as_file(), 1 << 12, 1 << 15) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => return,
            punched => punched.expect("given back"),
        }
        assert!(allocated(made.path()).expect("there") < before);
        let mut bytes = vec![9; 1 << 16];
        read_exact_at(made.as_file(), &mut bytes, 0).expect("the length is the same");
        assert_eq!((bytes[0], bytes[1 << 12], bytes[(1 << 16) - 1]), (1, 0, 1));
    }

    #[test]
    fn a_directory_that_is_to_be_made_is_on_the_file_system_above_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let (device_of, there) = device(&dir.path().join("a/b/c")).expect("known");
        assert_eq!((device_of, there.as_path()), (device(dir.path()).expect("known").0, dir.path()));
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
