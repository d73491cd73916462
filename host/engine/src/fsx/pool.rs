//! [`FilePool`]: many files, few of them open at a time.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rustix::fs::OFlags;

/// How many files stay open; an imageset of 500 GiB may have hundreds of chunks.
const MAX_OPEN: usize = 64;

/// Files by number, opened when asked for.
#[derive(Debug)]
pub struct FilePool {
    paths: Vec<PathBuf>,
    write: bool,
    open: Mutex<HashMap<usize, Arc<File>>>,
}

impl FilePool {
    /// Makes a pool of files that are only read.
    pub fn reading(paths: Vec<PathBuf>) -> Self {
        Self { paths, write: false, open: Mutex::default() }
    }

    /// Makes a pool of existing files that are read and written; symbolic links are not followed.
    pub fn writing(paths: Vec<PathBuf>) -> Self {
        Self { paths, write: true, open: Mutex::default() }
    }

    /// Returns the path of a file.
    pub fn path(&self, number: usize) -> &Path {
        &self.paths[number]
    }

    /// Returns a file, open. It stays usable when its name changes.
    pub fn get(&self, number: usize) -> io::Result<Arc<File>> {
        let mut open = self.open.lock().expect("no holder of this lock panics");
        if let Some(file) = open.get(&number) {
            return Ok(file.clone());
        }
        let mut options = OpenOptions::new();
        options.read(true).write(self.write);
        if self.write {
            options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
        }
        let file = Arc::new(options.open(&self.paths[number])?);
        if open.len() >= MAX_OPEN
            && let Some(other) = open.keys().next().copied()
        {
            open.remove(&other);
        }
        open.insert(number, file.clone());
        Ok(file)
    }
}
