//! Opens files below a directory, and never outside of it: [`Root`].
//!
//! Layouts come on disks that others wrote. A symlink in one must not make this program read `/etc/shadow`.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// How often an open is tried again that a rename in the same directory disturbed.
const RACES: usize = 16;

/// A directory that is held open.
#[derive(Debug)]
pub(super) struct Root {
    path: PathBuf,
    fd: OwnedFd,
}

impl Root {
    /// Opens a directory.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Self { path: path.to_owned(), fd })
    }

    /// Returns where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a regular file for reading. Symlinks are followed as long as they stay inside.
    pub(super) fn file(&self, relative: &str) -> io::Result<File> {
        let file = File::from(self.beneath(relative)?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(file)
    }

    fn beneath(&self, relative: &str) -> io::Result<OwnedFd> {
        // NONBLOCK: a named pipe would otherwise hold the open until somebody writes to it.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        for _ in 0..RACES {
            match rustix::fs::openat2(&self.fd, relative, flags, Mode::empty(), resolve) {
                Ok(fd) => return Ok(fd),
                Err(Errno::AGAIN) => {}
                Err(Errno::XDEV) => return Err(outside()),
                // Old kernels do not have the call, and some sandboxes answer so.
                Err(Errno::NOSYS | Errno::PERM) => return self.checked(relative),
                Err(error) => return Err(error.into()),
            }
        }
        self.checked(relative)
    }

    /// Resolves the path first and then opens what it led to, which must not be a link by then.
    fn checked(&self, relative: &str) -> io::Result<OwnedFd> {
        let inside = self.path.canonicalize()?;
        let target = inside.join(relative).canonicalize()?;
        if !target.starts_with(&inside) {
            return Err(outside());
        }
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOFOLLOW;
        Ok(rustix::fs::open(&target, flags, Mode::empty())?)
    }
}

fn outside() -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, "a link leads out of the directory")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn prepared() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().expect("a directory");
        let root = dir.path().join("root");
        std::fs::create_dir(&root).expect("created");
        std::fs::write(dir.path().join("secret"), "s").expect("written");
        std::fs::write(root.join("file"), "f").expect("written");
        symlink("../secret", root.join("relative")).expect("linked");
        symlink(dir.path().join("secret"), root.join("absolute")).expect("linked");
        symlink("file", root.join("inside")).expect("linked");
        let opened = Root::open(&root).expect("opened");
        (dir, opened)
    }

    #[test]
    fn links_may_not_leave() {
        let (_dir, root) = prepared();
        for name in ["relative", "absolute", "../secret"] {
            assert_eq!(root.file(name).expect_err(name).kind(), io::ErrorKind::PermissionDenied, "{name}");
            assert_eq!(root.checked(name).expect_err(name).kind(), io::ErrorKind::PermissionDenied, "{name}");
        }
        assert!(root.file("inside").is_ok());
        assert!(root.checked("inside").is_ok());
    }

    #[test]
    fn only_files_are_opened() {
        let (_dir, root) = prepared();
        let pipe = root.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .expect("made");
        assert_eq!(root.file("pipe").expect_err("refused").kind(), io::ErrorKind::InvalidInput);
        assert_eq!(root.file("none").expect_err("refused").kind(), io::ErrorKind::NotFound);
    }
}
