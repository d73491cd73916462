//! [`GraphData`]: the archive of channels and blocked updates that an update service of one's own needs, small and the
//! same bytes on every run, and what somebody might put into it who means harm ([`Hostile`]).
//!
//! Headers are written by hand, since the library refuses to write most of what is wanted here.

use serde_json::json;
use tar::{EntryType, Header};

use crate::image::gzip;

/// An entry that nobody should unpack as it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hostile {
    /// A file with an absolute path.
    AbsolutePath,
    /// A file whose path climbs out.
    ParentPath,
    /// A symbolic link that leads out, and a file through it.
    Symlink,
    /// A second name for a file outside.
    HardLink,
    /// A character device.
    Device,
    /// A named pipe, which blocks whoever opens it.
    Fifo,
}

impl Hostile {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::AbsolutePath, Self::ParentPath, Self::Symlink, Self::HardLink, Self::Device, Self::Fifo];

    /// Returns the path of the entry, as it is in the archive.
    pub fn path(self) -> &'static str {
        match self {
            Self::AbsolutePath => "/tmp/oc-mirror-hostile",
            Self::ParentPath => "channels/../../oc-mirror-hostile",
            Self::Symlink => "channels/out",
            Self::HardLink => "channels/passwd",
            Self::Device => "channels/null",
            Self::Fifo => "channels/fifo",
        }
    }

    fn entries(self) -> Vec<Entry> {
        let special = |kind, target: &str| vec![Entry::new(self.path(), kind, target, b"")];
        match self {
            Self::AbsolutePath | Self::ParentPath => vec![Entry::file(self.path(), b"hostile\n")],
            Self::Symlink => {
                let mut entries = special(EntryType::Symlink, "/tmp");
                entries.push(Entry::file("channels/out/oc-mirror-hostile", b"hostile\n"));
                entries
            }
            Self::HardLink => special(EntryType::Link, "/etc/passwd"),
            Self::Device => special(EntryType::Char, ""),
            Self::Fifo => special(EntryType::Fifo, ""),
        }
    }
}

/// Builds graph data.
#[derive(Clone, Debug)]
pub struct GraphData {
    files: Vec<(String, Vec<u8>)>,
    hostile: Vec<Hostile>,
    pax: bool,
    dotted: bool,
}

impl Default for GraphData {
    fn default() -> Self {
        Self::new()
    }
}

impl GraphData {
    /// Starts with the files that are always there: the version of the schema, metadata, licence and explanation.
    pub fn new() -> Self {
        let bare = Self { files: Vec::new(), hostile: Vec::new(), pax: false, dotted: false };
        bare.file("LICENSE", "A licence.\n")
            .file("README.md", "# Graph data\n")
            .file("raw/metadata.json", "{}\n")
            .file("version", "1.1.0\n")
    }

    /// Adds a few channels and a blocked update of 4.12.
    pub fn sample() -> Self {
        Self::new()
            .channel("candidate-4.12", &["4.12.0", "4.12.1", "4.12.2"])
            .channel("stable-4.12", &["4.12.0", "4.12.1"])
            .blocked_edge("4.12.1", r"4[.]11[.].*", "DiskLoss")
    }

    /// Adds a channel.
    pub fn channel(self, name: &str, versions: &[&str]) -> Self {
        let lines: String = versions.iter().map(|version| format!("- {version}\n")).collect();
        self.file(&format!("channels/{name}.yaml"), format!("name: {name}\nversions:\n{lines}"))
    }

    /// Adds a risk of updates to a version from those that match a regular expression.
    pub fn blocked_edge(self, to: &str, from: &str, risk: &str) -> Self {
        // A quoted string of JSON is one of YAML.
        let from = json!(from);
        let text = format!(
            "to: {to}\nfrom: {from}\nurl: https://issues.example/{risk}\nname: {risk}\n\
             message: Clusters may be harmed by {risk}.\nmatchingRules:\n- type: Always\n"
        );
        self.file(&format!("blocked-edges/{to}-{risk}.yaml"), text)
    }

    /// Adds or replaces a file.
    pub fn file(mut self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.files.retain(|(known, _)| known != path);
        self.files.push((path.to_owned(), content.as_ref().to_vec()));
        self
    }

    /// Adds an entry that means harm, behind all others.
    pub fn hostile(mut self, what: Hostile) -> Self {
        self.hostile.push(what);
        self
    }

    /// Puts a global pax header first, as `git archive` does, and one with time and path before each file.
    pub fn pax(mut self) -> Self {
        self.pax = true;
        self
    }

    /// Starts all paths with `./`, as `tar -C directory .` does.
    pub fn dotted(mut self) -> Self {
        self.dotted = true;
        self
    }

    /// Returns the files as they should come out, in the order of their paths.
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = self.files.clone();
        files.sort();
        files
    }

    /// Finishes the archive, a `tar.gz`.
    pub fn build(&self) -> Vec<u8> {
        gzip(&self.tar())
    }

    /// Returns the archive before it is compressed.
    fn tar(&self) -> Vec<u8> {
        let start = if self.dotted { "./" } else { "" };
        let mut tar = Vec::new();
        if self.pax {
            let comment = pax_record("comment", &"0".repeat(40));
            Entry::new("pax_global_header", EntryType::XGlobalHeader, "", &comment).write(&mut tar);
        }
        if self.dotted {
            Entry::new("./", EntryType::Directory, "", b"").write(&mut tar);
        }
        let mut seen = Vec::new();
        for (path, content) in self.files() {
            if let Some((directory, _)) = path.rsplit_once('/')
                && !seen.contains(&directory.to_owned())
            {
                seen.push(directory.to_owned());
                Entry::new(&format!("{start}{directory}/"), EntryType::Directory, "", b"").write(&mut tar);
            }
            let path = format!("{start}{path}");
            let mut name = path.as_str();
            if self.pax {
                let records =
                    [pax_record("mtime", "1700000000.123456789"), pax_record("path", &path)].concat();
                Entry::new("PaxHeaders/file", EntryType::XHeader, "", &records).write(&mut tar);
                // Whoever passes over the record above takes this for the path.
                name = "wrong/pax-header-ignored";
            }
            Entry::file(name, &content).write(&mut tar);
        }
        for entry in self.hostile.iter().flat_map(|what| what.entries()) {
            entry.write(&mut tar);
        }
        tar.extend_from_slice(&[0; 1024]);
        tar
    }
}

impl From<GraphData> for Vec<u8> {
    fn from(data: GraphData) -> Self {
        data.build()
    }
}

/// One entry of a tar.
struct Entry {
    header: Header,
    content: Vec<u8>,
}

impl Entry {
    fn file(path: &str, content: &[u8]) -> Self {
        Self::new(path, EntryType::Regular, "", content)
    }

    fn new(path: &str, kind: EntryType, target: &str, content: &[u8]) -> Self {
        let mut header = Header::new_ustar();
        let raw = header.as_old_mut();
        assert!(path.len() <= raw.name.len(), "`{path}` is too long for a header");
        raw.name[..path.len()].copy_from_slice(path.as_bytes());
        raw.linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(if kind == EntryType::Directory { 0o755 } else { 0o644 });
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(content.len() as u64);
        if kind == EntryType::Char {
            // Those of /dev/null.
            header.set_device_major(1).expect("ustar headers have it");
            header.set_device_minor(3).expect("ustar headers have it");
        }
        header.set_cksum();
        Self { header, content: content.to_vec() }
    }

    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(self.header.as_bytes());
        to.extend_from_slice(&self.content);
        to.resize(to.len().next_multiple_of(512), 0);
    }
}

/// Returns `<length> <key>=<value>\n`, where the length counts its own digits.
fn pax_record(key: &str, value: &str) -> Vec<u8> {
    let rest = format!(" {key}={value}\n");
    let length = (1..).find(|length: &usize| length.to_string().len() + rest.len() == *length);
    format!("{}{rest}", length.expect("some length fits")).into_bytes()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use rstest::rstest;

    use super::*;

    /// Returns path, kind and content of each entry, as the library reads them.
    fn listed(archive: &[u8]) -> Vec<(String, EntryType, Vec<u8>)> {
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(archive));
        let mut found = Vec::new();
        for entry in tar.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            found.push((path, entry.header().entry_type(), content));
        }
        found
    }

    #[rstest]
    #[case::plain(GraphData::sample(), "")]
    #[case::dotted(GraphData::sample().dotted(), "./")]
    #[case::pax(GraphData::sample().pax(), "")]
    fn the_files_come_out(#[case] data: GraphData, #[case] start: &str) {
        assert_eq!(data.build(), data.clone().build());
        let read: Vec<_> = listed(&data.build())
            .into_iter()
            .filter(|(_, kind, _)| kind.is_file())
            .map(|(path, _, content)| (path, content))
            .collect();
        let expected: Vec<_> =
            data.files().into_iter().map(|(path, content)| (format!("{start}{path}"), content)).collect();
        assert_eq!(read, expected);
    }

    #[test]
    fn the_sample_has_what_real_graph_data_has() {
        let names: Vec<String> = GraphData::sample().files().into_iter().map(|(name, _)| name).collect();
        let expected = [
            "LICENSE",
            "README.md",
            "blocked-edges/4.12.1-DiskLoss.yaml",
            "channels/candidate-4.12.yaml",
            "channels/stable-4.12.yaml",
            "raw/metadata.json",
            "version",
        ];
        assert_eq!(names, expected);
        let directories: Vec<String> = listed(&GraphData::sample().build())
            .into_iter()
            .filter(|(_, kind, _)| kind.is_dir())
            .map(|(path, ..)| path)
            .collect();
        assert_eq!(directories, ["blocked-edges/", "channels/", "raw/"]);
    }

    #[test]
    fn a_global_header_comes_first() {
        assert_eq!(listed(&GraphData::new().pax().build())[0].1, EntryType::XGlobalHeader);
    }

    #[rstest]
    fn harm_comes_last(
        #[values(
            Hostile::AbsolutePath,
            Hostile::ParentPath,
            Hostile::Symlink,
            Hostile::HardLink,
            Hostile::Device,
            Hostile::Fifo
        )]
        what: Hostile,
    ) {
        assert!(Hostile::ALL.contains(&what));
        let entries = listed(&GraphData::sample().hostile(what).build());
        let place = entries.iter().position(|(path, ..)| path == what.path()).unwrap();
        assert!(entries[place..].iter().all(|(path, ..)| path.starts_with(what.path())));
        let regular = matches!(what, Hostile::AbsolutePath | Hostile::ParentPath);
        assert_eq!(entries[place].1.is_file(), regular);
    }

    #[rstest]
    #[case("a", "b", "6 a=b\n")]
    #[case("path", "12", "11 path=12\n")]
    fn a_record_counts_its_own_length(#[case] key: &str, #[case] value: &str, #[case] expected: &str) {
        assert_eq!(pax_record(key, value), expected.as_bytes());
    }
}
