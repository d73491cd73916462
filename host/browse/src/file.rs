//! [`ConfigFile`]: the configuration that is looked at and saved.

use std::fs::Permissions;
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use oc_mirror_engine::fsx;
use oc_mirror_model::digest::Digest;
use serde::Serialize;

use crate::Fault;

/// A file that is there, or is to be made.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    path: PathBuf,
}

/// What a file has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Held {
    /// Its text.
    pub(crate) text: String,
    /// The digest of that.
    pub(crate) digest: Digest,
}

/// Why a file was not written.
#[derive(Debug)]
pub(crate) enum Unsaved {
    /// It is not what it was when it was read.
    Changed(Fault),
    /// It cannot be written.
    Failed(Fault),
}

impl ConfigFile {
    /// Names a file; whether it is there is seen when it is read.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Returns its name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Fails unless the file can be read, or is not there yet.
    pub fn check(&self) -> Result<(), Fault> {
        self.read().map(drop)
    }

    /// Reads it; nothing if it is not there.
    pub(crate) fn read(&self) -> Result<Option<Held>, Fault> {
        let shown = self.path.display();
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(Fault::new(format!("the configuration `{shown}` cannot be read: {error}"))
                    .with_hint("check the path and its permissions"));
            }
        };
        let digest = Digest::of(&bytes);
        let text = String::from_utf8(bytes).map_err(|_| {
            Fault::new(format!("the configuration `{shown}` is not text")).with_hint("save it as UTF-8")
        })?;
        Ok(Some(Held { text, digest }))
    }

    /// Replaces it as a whole, if it still is what was read. `read` is the digest of that; nothing where there was no file.
    pub(crate) fn save(&self, text: &str, read: Option<&Digest>) -> Result<Digest, Unsaved> {
        let shown = self.path.display();
        let now = self.read().map_err(Unsaved::Failed)?;
        if now.as_ref().map(|held| &held.digest) != read {
            let message = match (&now, read) {
                (None, _) => format!("`{shown}` was removed since it was read"),
                (Some(_), None) => format!("`{shown}` was made by somebody else in the meantime"),
                (Some(_), Some(_)) => format!("`{shown}` has changed since it was read"),
            };
            let hint = "keep a copy of the text, and load the file again";
            return Err(Unsaved::Changed(Fault::new(message).with_hint(hint)));
        }
        self.write(text).map_err(|error| {
            let fault = Fault::new(format!("`{shown}` cannot be written: {error}"));
            Unsaved::Failed(fault.with_hint("see whether it and its directory can be written to"))
        })?;
        Ok(Digest::of(text.as_bytes()))
    }

    fn write(&self, text: &str) -> io::Result<()> {
        // Where the name is a link, what it leads to is replaced, and everybody may do with it what they could before.
        let (path, permissions) = match self.path.canonicalize() {
            Ok(path) => {
                let permissions = std::fs::metadata(&path)?.permissions();
                (path, permissions)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                (self.path.clone(), Permissions::from_mode(0o644))
            }
            Err(error) => return Err(error),
        };
        fsx::write_atomic_with(&path, |new| {
            new.set_permissions(permissions)?;
            new.write_all(text.as_bytes())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(unsaved: Unsaved) -> String {
        match unsaved {
            Unsaved::Changed(fault) | Unsaved::Failed(fault) => fault.message,
        }
    }

    #[test]
    fn only_what_was_read_is_replaced() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = ConfigFile::new(dir.path().join("isc.yaml"));
        assert_eq!(file.read(), Ok(None));
        let first = file.save("a: 1\n", None).expect("made");
        assert!(text(file.save("b", None).expect_err("there")).ends_with("in the meantime"));
        std::fs::write(file.path(), "a: 2\n").expect("writable");
        assert!(text(file.save("b", Some(&first)).expect_err("changed")).ends_with("since it was read"));
        let held = file.read().expect("read").expect("there");
        assert_eq!(held.text, "a: 2\n");
        file.save("a: 3\n", Some(&held.digest)).expect("saved");
        assert_eq!(std::fs::read_to_string(file.path()).expect("there"), "a: 3\n");
        std::fs::remove_file(file.path()).expect("there");
        assert!(text(file.save("b", Some(&held.digest)).expect_err("gone")).contains("was removed"));
    }

    #[test]
    fn links_and_permissions_stay() {
        let dir = tempfile::tempdir().expect("a directory");
        let (real, link) = (dir.path().join("real.yaml"), dir.path().join("link.yaml"));
        std::fs::write(&real, "a").expect("writable");
        std::fs::set_permissions(&real, Permissions::from_mode(0o600)).expect("ours");
        std::os::unix::fs::symlink(&real, &link).expect("a link");
        let file = ConfigFile::new(link.clone());
        file.save("b", Some(&Digest::of(b"a"))).expect("saved");
        assert!(link.symlink_metadata().expect("there").is_symlink());
        let mode = std::fs::metadata(&real).expect("there").permissions().mode();
        assert_eq!((std::fs::read_to_string(&real).expect("there").as_str(), mode & 0o777), ("b", 0o600));
    }

    #[test]
    fn what_is_no_text_is_not_taken() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(ConfigFile::new(dir.path().to_owned()).check().is_err());
        let path = dir.path().join("x");
        std::fs::write(&path, [0xff]).expect("writable");
        assert!(ConfigFile::new(path).check().expect_err("no text").message.ends_with("is not text"));
    }
}
