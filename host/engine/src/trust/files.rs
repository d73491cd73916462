//! [`read`]: the one place of this room that reads files, all of them named by the user or by a file of theirs.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The largest file that can be a key, a policy or a signature.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Reads a whole file. The text of the error names it.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let fail = |what: &dyn std::fmt::Display| format!("`{}` cannot be read: {what}", path.display());
    let file = File::open(path).map_err(|e| fail(&e))?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|e| fail(&e))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(fail(&format!("it is larger than {MAX_FILE_BYTES} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_longest() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("key.pub");
        std::fs::write(&path, vec![b'x'; MAX_FILE_BYTES as usize]).expect("written");
        assert_eq!(read(&path).expect("as long as allowed").len() as u64, MAX_FILE_BYTES);
        std::fs::write(&path, vec![b'x'; MAX_FILE_BYTES as usize + 1]).expect("written");
        let error = read(&path).expect_err("too long");
        assert!(error.ends_with("cannot be read: it is larger than 1048576 bytes"), "{error}");
        // What never ends is not waited for.
        read(Path::new("/dev/zero")).expect_err("too long");
    }
}
