//! Content on its way into a layout: [`Spool`], a file without a name that counts and hashes what it takes.

use std::fs::{File, Permissions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

use oc_mirror_model::digest::{Algorithm, Digest, Hasher};
use tempfile::TempPath;

/// Bytes that are not yet content of a layout. Dropped, they are gone.
#[derive(Debug)]
pub struct Spool {
    file: File,
    path: TempPath,
    hasher: Hasher,
    algorithm: Algorithm,
    length: u64,
}

/// A state that a [`Spool`] can go back to.
#[derive(Debug)]
pub struct Mark {
    hasher: Hasher,
    length: u64,
}

impl Spool {
    /// Starts an empty one in a directory of the same file system as the layout.
    pub(super) fn new(directory: &Path, algorithm: Algorithm) -> io::Result<Self> {
        let named = tempfile::Builder::new()
            .prefix("upload-")
            // Others may read what becomes a blob, as far as the user's mask allows.
            .permissions(Permissions::from_mode(0o644))
            .tempfile_in(directory)?;
        let (file, path) = named.into_parts();
        Ok(Self { file, path, hasher: algorithm.hasher(), algorithm, length: 0 })
    }

    /// Adds bytes. After an error it is as it was before.
    ///
    /// This writes in the calling task: the kernel takes a piece into its cache faster than a thread is woken.
    pub fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        self.file.write_all_at(piece, self.length)?;
        self.hasher.update(piece);
        self.length += piece.len() as u64;
        Ok(())
    }

    /// Returns the number of bytes so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Remembers the present state.
    pub fn mark(&self) -> Mark {
        Mark { hasher: self.hasher.clone(), length: self.length }
    }

    /// Goes back to an earlier state.
    pub fn rewind(&mut self, mark: Mark) {
        self.hasher = mark.hasher;
        self.length = mark.length;
    }

    /// Ends it: the bytes are on the disk, and their digest is returned with the path of the file.
    pub(super) fn finish(mut self, algorithm: Algorithm) -> io::Result<(TempPath, Digest, u64)> {
        // What was written before a rewind may reach further.
        self.file.set_len(self.length)?;
        let digest =
            if algorithm == self.algorithm { self.hasher.finish() } else { hash(&mut self.file, algorithm)? };
        self.file.sync_all()?;
        Ok((self.path, digest, self.length))
    }
}

fn hash(file: &mut File, algorithm: Algorithm) -> io::Result<Digest> {
    file.seek(SeekFrom::Start(0))?;
    let mut hasher = algorithm.hasher();
    let mut buffer = vec![0; 1 << 17];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            count => hasher.update(&buffer[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_back_and_changes_the_algorithm() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut spool = Spool::new(dir.path(), Algorithm::Sha256).expect("made");
        spool.write(b"hello").expect("written");
        let mark = spool.mark();
        spool.write(b" and much more").expect("written");
        spool.rewind(mark);
        spool.write(b"!").expect("written");
        let (path, digest, length) = spool.finish(Algorithm::Sha512).expect("finished");
        assert_eq!((digest, length), (Digest::of_with(Algorithm::Sha512, b"hello!"), 6));
        assert_eq!(std::fs::read(&path).expect("read"), b"hello!");
        drop(path);
        assert_eq!(std::fs::read_dir(dir.path()).expect("read").count(), 0);
    }
}
