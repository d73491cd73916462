//! Archives of charts: [`unpack`] returns the files in one, as Helm does, and refuses what Helm refuses.

use std::io::Read;

use flate2::read::MultiGzDecoder;

use crate::error::ChartError;

/// The most bytes of all files together.
pub const MAX_BYTES: u64 = 100 << 20;
/// The most bytes of one file.
pub const MAX_FILE: u64 = 5 << 20;
/// The most files.
pub const MAX_FILES: usize = 20_000;

/// A file of a chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its path in the chart, with slashes.
    pub path: String,
    /// Its content.
    pub data: Vec<u8>,
}

impl File {
    /// Makes one, without the mark that some editors put before a text.
    pub fn new(path: impl Into<String>, data: Vec<u8>) -> Self {
        let data = match data.strip_prefix(b"\xef\xbb\xbf") {
            Some(rest) => rest.to_vec(),
            None => data,
        };
        Self { path: path.into(), data }
    }

    /// Returns the content as text; bytes that are none are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.data).into_owned()
    }
}

/// Unpacks an archive. The first component of each path is the chart's own directory and left out.
pub fn unpack(archive: &[u8]) -> Result<Vec<File>, ChartError> {
    let wrong = |why: String| ChartError::Archive(why);
    if !archive.starts_with(&[0x1f, 0x8b]) {
        return Err(wrong("it is not compressed by gzip".to_owned()));
    }
    // One more than allowed, so that what is too much is seen and not cut off. Headers take room too.
    let all = MultiGzDecoder::new(archive).take(2 * MAX_BYTES);
    let mut tar = tar::Archive::new(all);
    let mut files: Vec<File> = Vec::new();
    let mut bytes = 0;
    let entries = tar.entries().map_err(|e| wrong(e.to_string()))?;
    for entry in entries {
        let mut entry = entry.map_err(|e| wrong(e.to_string()))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        match entry.header().entry_type() {
            tar::EntryType::Directory | tar::EntryType::XGlobalHeader | tar::EntryType::XHeader => continue,
            kind if kind.is_file() && !name.ends_with('/') => {}
            kind if kind.is_file() => continue,
            kind => {
                let what = match kind {
                    tar::EntryType::Symlink | tar::EntryType::Link => "a link",
                    _ => "neither a file nor a directory",
                };
                return Err(wrong(format!("`{}` is {what}", shown(&name))));
            }
        }
        let path = inner_path(&name).map_err(|why| wrong(format!("`{}` {why}", shown(&name))))?;
        let size = entry.size();
        // What is announced may be any number, so it is looked at before it is added.
        if size > MAX_FILE {
            return Err(wrong(format!("`{}` has more than {} MiB", shown(&name), MAX_FILE >> 20)));
        }
        bytes += size;
        if bytes > MAX_BYTES || files.len() >= MAX_FILES {
            return Err(wrong(format!("it has more than {} MiB or {MAX_FILES} files", MAX_BYTES >> 20)));
        }
        let mut data = Vec::new();
        (&mut entry).take(MAX_FILE).read_to_end(&mut data).map_err(|e| wrong(e.to_string()))?;
        if data.len() as u64 != size {
            return Err(wrong(format!("it ends in the middle of `{}`", shown(&name))));
        }
        files.push(File::new(path, data));
    }
    match files.is_empty() {
        true => Err(wrong("there is no file in it".to_owned())),
        false => Ok(files),
    }
}

fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// Returns the path below the chart's own directory.
fn inner_path(name: &str) -> Result<String, &'static str> {
    let name = name.replace('\\', "/");
    let name = name.strip_prefix("./").unwrap_or(&name);
    if name.starts_with('/') {
        return Err("is an absolute path");
    }
    let Some((_, inner)) = name.split_once('/') else { return Err("is not in the chart's directory") };
    let mut parts = Vec::new();
    for part in inner.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err("leaves the chart's directory"),
            part => parts.push(part),
        }
    }
    let is_drive = |part: &&str| part.len() == 2 && part.ends_with(':');
    match (parts.first(), name.starts_with("../")) {
        (_, true) => Err("leaves the chart's directory"),
        (None, _) => Err("is not in the chart's directory"),
        (Some(first), _) if is_drive(first) => Err("is an absolute path"),
        _ => Ok(parts.join("/")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use std::io::Write as _;

    fn packed(add: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        add(&mut builder);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&builder.into_inner().expect("a tar")).expect("written");
        gzip.finish().expect("finished")
    }

    fn file(builder: &mut tar::Builder<Vec<u8>>, name: &str, data: &[u8]) {
        let mut header = tar::Header::new_gnu();
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        // `set_path` would refuse what these tests are about.
        header.as_gnu_mut().expect("gnu").name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        builder.append(&header, data).expect("appended");
    }

    #[test]
    fn files_are_below_the_charts_directory() {
        let archive = packed(|tar| {
            file(tar, "app/Chart.yaml", b"\xef\xbb\xbfname: app\n");
            file(tar, "app/templates/./a.yaml", b"a");
            file(tar, "app\\charts\\b.yaml", b"b");
        });
        let files = unpack(&archive).expect("an archive");
        let paths: Vec<_> = files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["Chart.yaml", "templates/a.yaml", "charts/b.yaml"]);
        assert_eq!(files[0].text(), "name: app\n");
    }

    #[rstest]
    #[case("app/../../etc/passwd", "leaves")]
    #[case("../app/Chart.yaml", "leaves")]
    #[case("/app/Chart.yaml", "absolute")]
    #[case("app/c:/x", "absolute")]
    #[case("Chart.yaml", "not in the chart's directory")]
    fn paths_that_lead_elsewhere(#[case] name: &str, #[case] why: &str) {
        let error = unpack(&packed(|tar| file(tar, name, b"x"))).expect_err("refused").to_string();
        assert!(error.contains(why), "{error}");
    }

    #[test]
    fn links_are_refused() {
        let archive = packed(|tar| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            tar.append_link(&mut header, "app/values.yaml", "/etc/passwd").expect("appended");
        });
        assert!(unpack(&archive).expect_err("refused").to_string().contains("is a link"));
    }

    #[test]
    fn large_files_are_refused() {
        let archive = packed(|tar| file(tar, "app/big", &vec![0; 6 << 20]));
        assert!(unpack(&archive).expect_err("refused").to_string().contains("more than 5 MiB"));
        let archive = packed(|tar| {
            for number in 0..26 {
                file(tar, &format!("app/{number}"), &vec![0; 4 << 20]);
            }
        });
        assert!(unpack(&archive).expect_err("refused").to_string().contains("more than 100 MiB"));
    }

    #[test]
    fn what_is_no_archive() {
        assert!(unpack(b"name: app\n").is_err());
        let archive = packed(|tar| file(tar, "app/Chart.yaml", &[b'x'; 2000]));
        assert!(unpack(&archive[..archive.len() / 2]).is_err());
        assert!(unpack(&packed(|_| {})).expect_err("empty").to_string().contains("no file"));
    }
}
