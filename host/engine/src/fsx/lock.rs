//! [`Lock`]: one process at a time, by a file that says who it is.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

/// A lock that ends with its holder: dropped, or killed.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    // Held open, since closing it is what releases the lock.
    _file: File,
}

/// The lock cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("`{path}` is held by {holder}")]
    Held {
        /// The file.
        path: PathBuf,
        /// What the other process wrote about itself.
        holder: String,
    },
    /// The file cannot be made or locked.
    #[error("`{path}` cannot be locked")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl LockError {
    /// Answers whether waiting may help.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Held { .. })
    }
}

impl Lock {
    /// Takes the lock, or says at once who has it.
    pub fn acquire(path: &Path) -> Result<Self, LockError> {
        let io = |source| LockError::Io { path: path.to_owned(), source };
        loop {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
                .open(path)
                .map_err(io)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => {
                    return Err(LockError::Held { path: path.to_owned(), holder: read_holder(&file) });
                }
                Err(Errno::INTR) => continue,
                Err(error) => return Err(io(error.into())),
            }
            // The last holder may have removed the file between our opening and our locking it.
            if !is_same_file(&file, path) {
                continue;
            }
            file.set_len(0).and_then(|()| file.write_all(describe_self().as_bytes())).map_err(io)?;
            return Ok(Self { path: path.to_owned(), _file: file });
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While the lock is held, the file at this path is ours; a file that cannot be removed does no harm.
        let _ = super::remove_if_there(&self.path);
    }
}

fn is_same_file(file: &File, path: &Path) -> bool {
    let (Ok(held), Ok(named)) = (file.metadata(), std::fs::symlink_metadata(path)) else { return false };
    (held.dev(), held.ino()) == (named.dev(), named.ino())
}

fn describe_self() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("process {} on host {host}\n", std::process::id())
}

fn read_holder(file: &File) -> String {
    let mut text = String::new();
    let read = file.take(300).read_to_string(&mut text);
    let text: String = text.trim().chars().filter(|c| !c.is_control()).collect();
    if read.is_err() || text.is_empty() { "another process".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_has_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(".lock");
        let first = Lock::acquire(&path).expect("free");
        let error = Lock::acquire(&path).expect_err("held");
        assert!(error.is_temporary());
        assert!(error.to_string().contains(&format!("process {} on host ", std::process::id())), "{error}");
        drop(first);
        assert!(!path.exists());
        Lock::acquire(&path).expect("free again");
    }

    #[test]
    fn what_a_dead_process_left_does_not_lock() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(".lock");
        std::fs::write(&path, "process 1 on host elsewhere\n").expect("written");
        Lock::acquire(&path).expect("nobody holds it");
    }

    #[test]
    fn only_one_of_many_gets_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(".lock");
        let counter = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        if let Ok(_lock) = Lock::acquire(&path) {
                            let before = counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                            assert_eq!(before, 0);
                            counter.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        }
                    }
                });
            }
        });
    }
}
