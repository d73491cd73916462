//! Archives that are no layers: [`unpack`] writes their files under names of its own, so that no name in the archive
//! decides where bytes go.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::input::{Budget, LayerReader, with_layer};
use super::tarball::{self, TarEntry, What};
use super::{FilesystemError, Kind, Limits};
use crate::content::{BlobStream, ContentError};

/// How archives are called in errors.
const ARCHIVE: &str = "the archive";

/// One file or directory of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// Its path in the archive: relative, normalised, never empty.
    pub path: String,
    /// Where the bytes of a file are; directories have none.
    pub file: Option<PathBuf>,
    /// How many there are.
    pub size: u64,
    /// Whether it can be executed.
    pub is_executable: bool,
}

/// Reads a tar archive, compressed or not, whose bytes go into files of `directory`.
///
/// Links and devices are refused: what is unpacked is data, and nothing in it points elsewhere.
pub async fn unpack(
    archive: BlobStream,
    directory: &Path,
    limits: Limits,
) -> Result<Vec<Unpacked>, FilesystemError> {
    let directory = directory.to_owned();
    with_layer(archive, Budget::new(&limits), ARCHIVE.to_owned(), move |mut reader| {
        std::fs::create_dir_all(&directory).map_err(|e| disk(&directory, e))?;
        let mut found: Vec<Unpacked> = Vec::new();
        tarball::read(&mut reader, &limits, |entry, reader| {
            if found.len() >= limits.entries {
                return Err(reader.limit(format!("it has more than {} entries", limits.entries)));
            }
            found.extend(take(entry, reader, &directory.join(found.len().to_string()))?);
            Ok(())
        })?;
        Ok(found)
    })
    .await
}

fn take(entry: TarEntry, reader: &mut LayerReader, to: &Path) -> Result<Option<Unpacked>, FilesystemError> {
    let path = entry.path.join("/");
    if path.is_empty() {
        return Ok(None);
    }
    let size = entry.size;
    let file = match entry.what {
        What::Is(Kind::Directory) => None,
        What::Is(Kind::File) if entry.offset.is_some() => {
            copy(reader, size, to)?;
            Some(to.to_owned())
        }
        _ => {
            return Err(
                reader.invalid(&format!("`{}` is neither a plain file nor a directory", super::shown(&path)))
            );
        }
    };
    Ok(Some(Unpacked { path, file, size, is_executable: entry.mode & 0o111 != 0 }))
}

fn copy(reader: &mut LayerReader, size: u64, to: &Path) -> Result<(), FilesystemError> {
    let written = |e| disk(to, e);
    let mut file = io::BufWriter::new(File::create_new(to).map_err(written)?);
    let mut buffer = vec![0; 64 << 10];
    let mut left = size;
    while left > 0 {
        let now = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        reader.fill(&mut buffer[..now])?;
        file.write_all(&buffer[..now]).map_err(written)?;
        left -= now as u64;
    }
    file.flush().map_err(written)
}

fn disk(path: &Path, error: io::Error) -> FilesystemError {
    ContentError::disk(path.display().to_string(), "cannot be written", error).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use rstest::rstest;

    fn archive(change: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> BlobStream {
        let mut builder = tar::Builder::new(Vec::new());
        change(&mut builder);
        let bytes = builder.into_inner().expect("a vector takes it");
        Box::pin(futures_util::stream::iter([Ok(Bytes::from(bytes))]))
    }

    fn header(kind: tar::EntryType, name: &str, mode: u32, size: usize) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        // Set as bytes, since the crate refuses names that the wicked use.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size as u64);
        header.set_cksum();
        header
    }

    fn file(builder: &mut tar::Builder<Vec<u8>>, name: &str, mode: u32, content: &[u8]) {
        let header = header(tar::EntryType::Regular, name, mode, content.len());
        builder.append(&header, content).expect("a vector takes it");
    }

    #[tokio::test]
    async fn files_and_directories() {
        let dir = tempfile::tempdir().expect("a directory");
        let archive = archive(|b| {
            b.append(&header(tar::EntryType::Directory, "./", 0o700, 0), io::empty()).expect("taken");
            b.append(&header(tar::EntryType::Directory, "./a/", 0o700, 0), io::empty()).expect("taken");
            file(b, "./a/tool", 0o750, b"#!");
            file(b, "/b", 0o600, b"text");
        });
        let found = unpack(archive, dir.path(), Limits::default()).await.expect("an archive");
        let seen: Vec<_> = found
            .iter()
            .map(|u| {
                let content = u.file.as_ref().map(|f| std::fs::read(f).expect("written"));
                (u.path.as_str(), content, u.is_executable && u.file.is_some())
            })
            .collect();
        let expected = [
            ("a", None, false),
            ("a/tool", Some(b"#!".to_vec()), true),
            ("b", Some(b"text".to_vec()), false),
        ];
        assert_eq!(seen, expected);
    }

    #[rstest]
    #[case(tar::EntryType::Symlink, "a", "neither a plain file")]
    #[case(tar::EntryType::Link, "a", "neither a plain file")]
    #[case(tar::EntryType::Char, "a", "neither a plain file")]
    #[case(tar::EntryType::Regular, "../a", "is not a path")]
    #[tokio::test]
    async fn what_points_elsewhere_is_refused(
        #[case] kind: tar::EntryType,
        #[case] name: &str,
        #[case] reason: &str,
    ) {
        let dir = tempfile::tempdir().expect("a directory");
        let archive = archive(|b| b.append(&header(kind, name, 0o644, 0), io::empty()).expect("taken"));
        let error = unpack(archive, dir.path(), Limits::default()).await.expect_err("refused");
        assert!(error.to_string().contains(reason), "{error}");
    }

    #[tokio::test]
    async fn the_size_has_a_limit() {
        let dir = tempfile::tempdir().expect("a directory");
        let archive = archive(|b| file(b, "a", 0o644, &[7; 4096]));
        let limits = Limits { output_bytes: 2048, ..Limits::default() };
        let error = unpack(archive, dir.path(), limits).await.expect_err("refused");
        assert!(matches!(error, FilesystemError::Limit { .. }), "{error}");
    }
}
