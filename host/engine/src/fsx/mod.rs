//! The few things that an imageset needs from a file system and `std` does not offer in one call.
//!
//! Durable replacement ([`write_atomic`]), space reserved ahead ([`preallocate`]), batches made durable together
//! ([`sync_batch`]), one process at a time ([`Lock`]). Knows nothing of tar, images or formats.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

mod disk;
mod lock;
mod pool;
#[cfg(feature = "simulation")]
pub mod simulation;

pub use disk::{
    append, create_dir, create_dir_all, create_log, create_new, durable_dir, fsync_dir, open_again,
    preallocate, punch, read, read_exact_at, remove_dir_all, remove_if_there, rename, set_len, sync_all,
    sync_batch, sync_data, write_all_at,
};
pub use lock::{Lock, LockError};
pub use pool::FilePool;

/// How the names of files begin that get another name once they are whole.
const TEMPORARY: &str = ".tmp-";

/// Replaces a file as a whole: after a crash there is either the old content or the new.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_atomic_with(path, |file| file.write_all(bytes))
}

/// The same, with what `write` writes, which need not be in memory as a whole.
pub fn write_atomic_with(path: &Path, write: impl FnOnce(&mut Sink<'_>) -> io::Result<()>) -> io::Result<()> {
    let dir = parent(path);
    let made = tempfile::Builder::new().prefix(TEMPORARY).make_in(&dir, create_new)?;
    let (file, temporary) = made.into_parts();
    let made =
        write(&mut Sink::new(&file)).and_then(|()| sync_all(&file)).and_then(|()| rename(&temporary, path));
    // It has its name, or is removed here: by a call that can fail, too.
    let temporary = temporary.keep()?;
    if made.is_err() {
        let _ = remove_if_there(&temporary);
    }
    made?;
    fsync_dir(&dir)
}

/// Removes what writers left in a directory that did not come to their end. Whoever asks holds a lock that says that there is
/// none at work.
pub fn remove_temporaries(dir: &Path) -> io::Result<()> {
    let names = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        names => names?,
    };
    for entry in names {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(TEMPORARY.as_bytes())
            && entry.file_type()?.is_file()
        {
            remove_if_there(&entry.path())?;
        }
    }
    Ok(())
}

/// A file that is written from its beginning to its end.
#[derive(Debug)]
pub struct Sink<'a> {
    file: &'a File,
    len: u64,
}

impl<'a> Sink<'a> {
    /// Writes a file from its beginning on, whatever it holds.
    pub fn new(file: &'a File) -> Self {
        Self { file, len: 0 }
    }

    /// Sets who may do what with the file.
    pub fn set_permissions(&self, permissions: Permissions) -> io::Result<()> {
        self.file.set_permissions(permissions)
    }
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write_all_at(self.file, bytes, self.len)?;
        self.len += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the directory that a path is in; a bare name is in the current one.
pub fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir.to_owned(),
        _ => PathBuf::from("."),
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_over() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("metadata.json");
        write_atomic(&path, b"old").expect("written");
        write_atomic(&path, b"new").expect("replaced");
        assert_eq!(std::fs::read(&path).expect("there"), b"new");
        assert_eq!(std::fs::read_dir(dir.path()).expect("readable").count(), 1);
        assert!(write_atomic(&dir.path().join("no/such/x"), b"").is_err());
        let fails = |file: &mut Sink<'_>| file.write_all(b"half").and(Err(io::ErrorKind::Other.into()));
        assert!(write_atomic_with(&path, fails).is_err());
        assert_eq!(std::fs::read(&path).expect("there"), b"new");
        assert_eq!(std::fs::read_dir(dir.path()).expect("readable").count(), 1);
    }

    #[test]
    fn what_dead_writers_left_is_removed_and_nothing_else() {
        let dir = tempfile::tempdir().expect("a directory");
        for name in [".tmp-a1", "tmp-b", ".tmp"] {
            std::fs::write(dir.path().join(name), b"").expect("written");
        }
        std::fs::create_dir(dir.path().join(".tmp-dir")).expect("made");
        remove_temporaries(dir.path()).expect("removed");
        assert_eq!(std::fs::read_dir(dir.path()).expect("readable").count(), 3);
        remove_temporaries(&dir.path().join("none")).expect("nothing to do");
    }

    #[test]
    fn of_nothing_there_is_nothing_to_give_back() {
        let file = tempfile::tempfile().expect("a file");
        std::os::unix::fs::FileExt::write_all_at(&file, b"kept", 0).expect("written");
        punch(&file, 2, 0).expect("nothing to do");
        let mut bytes = [0; 4];
        read_exact_at(&file, &mut bytes, 0).expect("there");
        assert_eq!(&bytes, b"kept");
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
