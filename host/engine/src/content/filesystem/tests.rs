//! Merged layers as a container would see them, and layers that were made to hurt.

use std::io::Write;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use oc_mirror_testkit::{Image, ImageBuilder, fixtures};
use rstest::rstest;
use tar::{EntryType, Header};

use super::*;
use crate::content::testing::{self, View};
use crate::content::{ContentRead, ImageView};
use crate::layout::Layout;

const OCI_TAR: &str = "application/vnd.oci.image.layer.v1.tar";

/// A tar that is written entry by entry, also with nonsense in it.
struct Archive(Vec<u8>);

impl Archive {
    fn new() -> Self {
        Self(Vec::new())
    }

    fn raw(mut self, kind: EntryType, name: &str, link: &str, size: u64, content: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(0o640);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, name: &str, content: &str) -> Self {
        self.raw(EntryType::Regular, name, "", content.len() as u64, content.as_bytes())
    }

    fn directory(self, name: &str) -> Self {
        self.raw(EntryType::Directory, name, "", 0, b"")
    }

    fn symlink(self, name: &str, target: &str) -> Self {
        self.raw(EntryType::Symlink, name, target, 0, b"")
    }

    fn hardlink(self, name: &str, target: &str) -> Self {
        self.raw(EntryType::Link, name, target, 0, b"")
    }

    fn attributes(self, kind: EntryType, pairs: &[(&str, &str)]) -> Self {
        let line = |(key, value): &(&str, &str)| {
            let rest = format!(" {key}={value}\n");
            let length = (1..).map(|d| rest.len() + d).find(|n| n.to_string().len() + rest.len() == *n);
            format!("{}{rest}", length.expect("some number fits"))
        };
        let record: String = pairs.iter().map(line).collect();
        self.raw(kind, "pax", "", record.len() as u64, record.as_bytes())
    }

    fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("compressed");
    encoder.finish().expect("compressed")
}

fn image(layers: &[Vec<u8>]) -> Image {
    layers.iter().fold(ImageBuilder::new(), |image, layer| image.blob(OCI_TAR, layer, &[])).build()
}

/// An image on the disk.
struct Opened {
    _dir: tempfile::TempDir,
    view: View,
}

async fn open(layers: &[Vec<u8>]) -> Opened {
    let dir = tempfile::tempdir().expect("a directory");
    let image = image(layers);
    image.write_layout(dir.path(), "x");
    let content: Arc<dyn ContentRead> = Arc::new(Layout::open(dir.path()).expect("opened"));
    let view = View::open(content, "x", &image.digest).await.expect("opened");
    Opened { _dir: dir, view }
}

async fn index(layers: &[Vec<u8>]) -> Result<(Opened, Filesystem), FilesystemError> {
    let opened = open(layers).await;
    let files = Filesystem::index(&opened.view).await?;
    Ok((opened, files))
}

async fn read(opened: &Opened, files: &Filesystem, path: &str) -> Result<String, ContentError> {
    let stream = files.open(&opened.view, path).await.map_err(ContentError::from)?;
    Ok(String::from_utf8(testing::read(stream).await?).expect("text"))
}

fn paths(files: &Filesystem, prefix: &str) -> Vec<String> {
    files.list(prefix).map(|e| e.path).collect()
}

#[rstest]
#[case::plain(|bytes: &[u8]| bytes.to_vec())]
#[case::gzip(gzip)]
#[case::two_gzip_members(|bytes: &[u8]| [gzip(&bytes[..700]), gzip(&bytes[700..])].concat())]
#[case::zstd(|bytes: &[u8]| zstd::encode_all(bytes, 3).expect("compressed"))]
#[case::zstd_after_a_skippable_frame(|bytes: &[u8]| {
    let frame = [0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4];
    [frame.to_vec(), zstd::encode_all(bytes, 3).expect("compressed")].concat()
})]
#[tokio::test]
async fn layers_are_read_whatever_their_compression(#[case] compress: fn(&[u8]) -> Vec<u8>) {
    let layer = Archive::new().directory("./configs/").file("./configs/a.yaml", "a: 1").file("b", "").end();
    let (opened, files) = index(&[compress(&layer)]).await.expect("indexed");
    assert_eq!(paths(&files, ""), ["b", "configs", "configs/a.yaml"]);
    assert_eq!(read(&opened, &files, "/configs/a.yaml").await.expect("read"), "a: 1");
    assert_eq!(read(&opened, &files, "b").await.expect("read"), "");
    let entry = files.stat("configs/a.yaml").expect("there");
    assert_eq!((entry.kind, entry.size, entry.mode, entry.layer), (Kind::File, 4, 0o640, 0));
    assert!(matches!(files.stat("none"), Err(FilesystemError::NotFound { .. })));
    let error = files.open(&opened.view, "configs").await.err().expect("a directory");
    assert!(matches!(error, FilesystemError::NotAFile { .. }));
}

#[tokio::test]
async fn upper_layers_hide_what_is_below() {
    let base = Archive::new()
        .file("etc/a", "old")
        .file("etc/b", "old")
        .file("cache/x/1", "old")
        .file("cache/y", "old")
        .file("gone/deep/file", "old")
        .file("turned", "old")
        .file("tree/leaf", "old");
    let upper = Archive::new()
        .file("etc/a", "new")
        .file("etc/.wh.b", "")
        .file("cache/z", "new")
        .file("cache/.wh..wh..opq", "")
        .file("gone/deep/new", "new")
        .file(".wh.gone", "")
        .file("turned/into/tree", "new")
        .file("tree", "new");
    let (opened, files) = index(&[base.end(), gzip(&upper.end())]).await.expect("indexed");
    let kept = ["cache", "cache/z", "etc", "etc/a", "gone", "gone/deep", "gone/deep/new", "tree", "turned"];
    assert_eq!(paths(&files, "")[..9], kept);
    assert_eq!(paths(&files, "turned"), ["turned/into", "turned/into/tree"]);
    assert_eq!(read(&opened, &files, "etc/a").await.expect("read"), "new");
    assert_eq!(files.stat("etc/a").expect("there").layer, 1);
}

#[tokio::test]
async fn links_are_followed_inside_of_the_image() {
    let base = Archive::new()
        .file("usr/lib/a", "content")
        .symlink("lib", "usr/lib")
        .symlink("usr/lib/same", "a")
        .symlink("usr/out", "../../../../usr/lib/a")
        .symlink("absolute", "/lib/a")
        .symlink("round", "about")
        .symlink("about", "round")
        .symlink("nowhere", "/etc/passwd");
    let upper = Archive::new().file("lib/b", "new").hardlink("hard", "lib/a").end();
    let (opened, files) = index(&[base.end(), upper]).await.expect("indexed");
    for path in ["lib/a", "usr/lib/same", "usr/out", "absolute", "lib/same", "hard", "lib/../lib/a"] {
        assert_eq!(read(&opened, &files, path).await.expect(path), "content", "{path}");
    }
    assert_eq!(paths(&files, "lib"), ["usr/lib/a", "usr/lib/b", "usr/lib/same"]);
    assert_eq!(files.entry("lib").expect("there").kind, Kind::Symlink);
    assert_eq!(files.entry("lib").expect("there").link_target.as_deref(), Some("usr/lib"));
    assert_eq!(files.stat("lib").expect("there").kind, Kind::Directory);
    for path in ["round", "nowhere", "round/x"] {
        assert!(matches!(files.stat(path), Err(FilesystemError::NotFound { .. })), "{path}");
    }
}

#[tokio::test]
async fn a_hard_link_outlives_its_first_name() {
    let base = Archive::new().file("a", "content").end();
    let upper = Archive::new().hardlink("b", "a").file(".wh.a", "").end();
    let (opened, files) = index(&[base, upper]).await.expect("indexed");
    assert_eq!(paths(&files, ""), ["b"]);
    assert_eq!(read(&opened, &files, "b").await.expect("read"), "content");
}

#[tokio::test]
async fn long_names_and_attributes() {
    let long = format!("{}name", "directory/".repeat(30));
    let named = Archive::new()
        .raw(
            EntryType::GNULongName,
            "././@LongLink",
            "",
            long.len() as u64 + 1,
            format!("{long}\0").as_bytes(),
        )
        .file("cut", "1")
        .attributes(EntryType::XHeader, &[("path", "über/x"), ("mtime", "1.5")])
        .file("ascii", "22")
        .attributes(EntryType::XGlobalHeader, &[("comment", "a commit")])
        .file("last", "333");
    let (opened, files) = index(&[named.end()]).await.expect("indexed");
    for (path, content) in [(long.as_str(), "1"), ("über/x", "22"), ("last", "333")] {
        assert_eq!(read(&opened, &files, path).await.expect(path), content, "{path}");
    }
}

#[tokio::test]
async fn large_files_come_in_pieces_and_the_layer_is_checked() {
    let content: String = (0..200_000).map(|n| format!("{n}\n")).collect();
    let layer = gzip(&Archive::new().file("a", "1").file("large", &content).file("z", "2").end());
    let (opened, files) = index(std::slice::from_ref(&layer)).await.expect("indexed");
    assert_eq!(read(&opened, &files, "large").await.expect("read"), content);
    // The same index over a layer whose end has been changed on the disk.
    let blob = image(std::slice::from_ref(&layer)).layers[0].blob.digest.clone();
    let path = opened._dir.path().join("blobs/sha256").join(&blob["sha256:".len()..]);
    let mut damaged = layer;
    *damaged.last_mut().expect("not empty") ^= 1;
    std::fs::write(path, damaged).expect("written");
    let error = read(&opened, &files, "a").await.expect_err("damaged");
    assert!(matches!(error.kind(), ContentErrorKind::WrongDigest { .. }), "{error}");
    let error = Filesystem::index(&opened.view).await.expect_err("damaged");
    assert!(matches!(error, FilesystemError::Content(_)), "{error}");
}

#[tokio::test]
async fn nobody_need_listen_to_the_end() {
    let content = "x".repeat(4 << 20);
    let layer = Archive::new().file("large", &content).end();
    let (opened, files) = index(&[layer]).await.expect("indexed");
    let mut stream = files.open(&opened.view, "large").await.expect("opened");
    assert!(stream.next().await.is_some());
    drop(stream);
}

#[rstest]
#[case::parent(Archive::new().file("a/../../etc/passwd", "x"), "not a path")]
#[case::hard_link_out(Archive::new().hardlink("a", "../../etc/passwd"), "not a path")]
#[case::hard_link_to_nothing(Archive::new().hardlink("a", "b"), "is no file")]
#[case::through_a_circle(
    Archive::new().symlink("a", "b").symlink("b", "a").file("a/x", "x"), "in circles"
)]
#[case::two_sizes(
    Archive::new().attributes(EntryType::XHeader, &[("size", "5")]).file("a", "123"), "two sizes"
)]
#[case::size_for_all(
    Archive::new().attributes(EntryType::XGlobalHeader, &[("size", "5")]).file("a", "123"), "for all entries"
)]
#[case::directory_with_content(Archive::new().file("a/", "content"), "has content")]
#[case::damaged_attributes(
    Archive::new().raw(EntryType::XHeader, "x", "", 9, b"99 path=a"), "attribute record is damaged"
)]
#[case::no_tar(Archive(vec![b'x'; 2048]), "not a tar archive")]
#[case::cut(Archive::new().raw(EntryType::Regular, "a", "", 5000, b"x"), "ends in the middle")]
#[case::negative(Archive::new().raw(EntryType::Regular, "a", "", u64::MAX, b""), "larger than anything")]
#[tokio::test]
async fn damaged_and_hostile_layers(#[case] archive: Archive, #[case] reason: &str) {
    let error = index(&[gzip(&archive.end())]).await.err().expect("refused");
    assert!(matches!(error, FilesystemError::Invalid { .. }), "{error}");
    assert!(error.to_string().contains(reason), "{error}");
}

#[rstest]
#[case::long_name(
    Archive::new().raw(EntryType::GNULongName, "x", "", 1 << 30, &[b'a'; 1 << 20]), "record has"
)]
#[case::attributes(Archive::new().raw(EntryType::XHeader, "x", "", 1 << 40, b""), "record has")]
#[case::long_path(
    Archive::new().raw(EntryType::GNULongName, "x", "", 5000, &[b'a'; 5000]).file("a", ""), "5000 bytes"
)]
#[case::depth(
    Archive::new().raw(EntryType::GNULongName, "x", "", 2000, "a/".repeat(1000).as_bytes()).file("a", ""),
    "1000 components"
)]
#[tokio::test]
async fn names_have_limits(#[case] archive: Archive, #[case] what: &str) {
    let error = index(&[gzip(&archive.end())]).await.err().expect("refused");
    assert!(matches!(error, FilesystemError::Limit { .. }), "{error}");
    assert!(error.to_string().contains(what), "{error}");
}

#[tokio::test]
async fn bombs_are_refused() {
    let zeros = vec![0; 40 << 20];
    let bomb = Archive::new().raw(EntryType::Regular, "zeros", "", zeros.len() as u64, &zeros).end();
    for compressed in [gzip(&bomb), zstd::encode_all(bomb.as_slice(), 3).expect("compressed")] {
        let error = index(&[compressed]).await.err().expect("refused");
        assert!(error.to_string().contains("1/200"), "{error}");
    }
    let opened = open(&[bomb]).await;
    let limits = Limits { output_bytes: 10 << 20, ..Limits::default() };
    let error = Filesystem::index_within(&opened.view, limits).await.expect_err("refused");
    assert!(matches!(error, FilesystemError::Limit { .. }), "{error}");
}

/// A frame says how large a window is needed to read it, and a reader that believed it would allocate that.
#[tokio::test]
async fn a_window_of_zstd_has_a_largest() {
    // Magic number, a descriptor that announces a window, its size as a power of two, and one last, empty block.
    let frame = |power: u8| vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, (power - 10) << 3, 0x01, 0x00, 0x00];
    index(&[frame(27)]).await.expect("as large as allowed, with no entries in it");
    let error = index(&[frame(28)]).await.err().expect("refused");
    assert!(matches!(error, FilesystemError::Invalid { .. }), "{error}");
    assert!(error.to_string().contains("too much memory"), "{error}");
}

#[tokio::test]
async fn entries_are_counted_over_all_layers() {
    let layer = |n: usize| (0..60).fold(Archive::new(), |a, f| a.file(&format!("{n}-{f}"), "")).end();
    let opened = open(&[layer(1), layer(2)]).await;
    let limits = Limits { entries: 100, ..Limits::default() };
    let error = Filesystem::index_within(&opened.view, limits).await.expect_err("refused");
    assert!(error.to_string().contains("more than 100 entries"), "{error}");
    let deep = Archive::new().file(&"a/".repeat(40), "").file(&"b/".repeat(40), "").end();
    let opened = open(&[deep]).await;
    let limits = Limits { entries: 50, ..Limits::default() };
    assert!(Filesystem::index_within(&opened.view, limits).await.is_err(), "parents count too");
}

#[tokio::test]
async fn links_cannot_make_paths_that_grow() {
    // What is at the end of the chain is 60 links away, and its path longer than any that Linux opens.
    let links = (0..60).fold(Archive::new(), |archive, n| {
        archive.symlink(&format!("l{}", n + 1), &format!("l{n}/{}", "y".repeat(90)))
    });
    let (_opened, files) = index(&[links.end()]).await.expect("indexed");
    assert!(files.stat("l60").is_err());
    let links = (0..60).fold(Archive::new(), |archive, n| {
        archive.symlink(&format!("l{}", n + 1), &format!("l{n}/{}", "y".repeat(90)))
    });
    assert!(index(&[links.file("l60/x", "").end()]).await.is_err(), "nothing is put at such a place");
}

#[tokio::test]
async fn a_link_in_the_way_is_replaced() {
    let base = Archive::new().file("real/a", "1").symlink("dir", "real").file("plain", "1").end();
    let upper = Archive::new().directory("dir").file("dir/b", "2").file("plain/c", "3").end();
    let (opened, files) = index(&[base, upper]).await.expect("indexed");
    assert_eq!(paths(&files, ""), ["dir", "dir/b", "plain", "plain/c", "real", "real/a"]);
    assert_eq!(read(&opened, &files, "plain/c").await.expect("read"), "3");
}

#[tokio::test]
async fn sparse_files_are_seen_but_not_read() {
    let sparse = Archive::new()
        .attributes(EntryType::XHeader, &[("GNU.sparse.major", "1"), ("GNU.sparse.name", "disk")])
        .file("GNUSparseFile.1/disk", "map and data")
        .file("b", "2");
    let (opened, files) = index(&[sparse.end()]).await.expect("indexed");
    assert_eq!(paths(&files, ""), ["b", "disk"]);
    let error = files.open(&opened.view, "disk").await.err().expect("not stored as it is");
    assert!(matches!(error, FilesystemError::NotAFile { .. }));
    assert_eq!(read(&opened, &files, "b").await.expect("read"), "2");
}

#[tokio::test]
async fn names_from_the_root_and_devices_stay_inside() {
    let layer = Archive::new()
        .file("/etc/passwd", "of the image")
        .raw(EntryType::Char, "dev/mem", "", 0, b"")
        .raw(EntryType::Block, "dev/sda", "", 0, b"")
        .raw(EntryType::Fifo, "pipe", "", 0, b"");
    let (opened, files) = index(&[layer.end()]).await.expect("indexed");
    assert_eq!(paths(&files, ""), ["dev", "dev/mem", "dev/sda", "etc", "etc/passwd", "pipe"]);
    assert_eq!(read(&opened, &files, "etc/passwd").await.expect("read"), "of the image");
    for path in ["dev/mem", "dev/sda", "pipe"] {
        assert_eq!(files.stat(path).expect("there").kind, Kind::Special, "{path}");
        let error = files.open(&opened.view, path).await.err().expect("it is no file");
        assert!(matches!(error, FilesystemError::NotAFile { .. }), "{path}: {error}");
    }
}

#[tokio::test]
async fn an_index_has_no_files() {
    let dir = tempfile::tempdir().expect("a directory");
    let child = ImageBuilder::new().layer(&[("a", "b")]).build();
    let list = oc_mirror_testkit::IndexBuilder::new().child(&child).build();
    list.write_layout(dir.path(), "x");
    let content: Arc<dyn ContentRead> = Arc::new(Layout::open(dir.path()).expect("opened"));
    let view = View::open(content, "x", &list.digest).await.expect("opened");
    assert!(matches!(Filesystem::index(&view).await, Err(FilesystemError::NotAnImage { .. })));
    let child = view.child(&view.manifest().index().expect("an index").manifests[0]).await.expect("there");
    assert!(Filesystem::index(child.as_ref()).await.is_ok());
}

#[tokio::test]
async fn images_of_the_real_world() {
    let Some(images) = fixtures().map(|f| f.join("images")) else { return };
    let content = Arc::new(Layout::open(images.join("multi-platform-container-latest")).expect("opened"));
    let top = content.resolve(None, None).await.expect("found");
    let view = View::open(content, "x", &top.digest.to_string()).await.expect("opened");
    let children = view.manifest().index().expect("an index").manifests.clone();
    for child in children {
        let view = view.child(&child).await.expect("there");
        let files = Filesystem::index(view.as_ref()).await.expect("indexed");
        let entries: Vec<Entry> = files.list("").collect();
        assert!(!entries.is_empty());
        let file = entries.iter().find(|e| e.kind == Kind::File && e.size > 0).expect("a file");
        let stream = files.open(view.as_ref(), &file.path).await.expect("opened");
        let sizes: Vec<u64> = stream.map(|p| p.expect("read").len() as u64).collect().await;
        assert_eq!(sizes.iter().sum::<u64>(), file.size, "{}", file.path);
    }
}

/// Walks through a directory of layers, lowest first, and returns what is found with its content.
async fn walk(layers: &[Vec<u8>], directory: &str) -> Result<Vec<(String, String)>, FilesystemError> {
    let Opened { _dir, view } = open(layers).await;
    let mut walk = Walk::start(Arc::new(view), directory).await?;
    let mut found = Vec::new();
    while let Some(Walked { entry, content }) = walk.next().await? {
        let bytes = match content {
            Some(content) => testing::read(content).await?,
            None => Vec::new(),
        };
        let text = entry.link_target.unwrap_or_else(|| String::from_utf8(bytes).expect("text"));
        found.push((entry.path, text));
    }
    assert!(walk.next().await?.is_none(), "the end stays the end");
    Ok(found)
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

#[tokio::test]
async fn a_walk_sees_what_a_container_would() {
    let lowest = Archive::new()
        .file("configs/a/catalog.json", "old a")
        .file("configs/b/catalog.json", "b")
        .file("configs/c/catalog.json", "c")
        .file("configs/d", "a file")
        .file("configs/e/below", "hidden by a file")
        .file("other", "elsewhere")
        .end();
    let middle = Archive::new()
        .file("configs/a/catalog.json", "new a")
        .file("configs/c/.wh.catalog.json", "")
        .file("configs/d/catalog.json", "d")
        .file("configs/e", "e")
        .symlink("configs/link", "a/catalog.json")
        .end();
    let found = walk(&[lowest.clone(), gzip(&middle)], "/configs/").await.expect("readable");
    let expected = [
        ("configs/a/catalog.json", "new a"),
        ("configs/d/catalog.json", "d"),
        ("configs/e", "e"),
        ("configs/link", "a/catalog.json"),
        ("configs/b/catalog.json", "b"),
    ];
    assert_eq!(found, pairs(&expected));

    let opaque = Archive::new().file("configs/.wh..wh..opq", "").file("configs/x", "x").end();
    let found = walk(&[lowest.clone(), opaque], "configs").await.expect("readable");
    assert_eq!(found, pairs(&[("configs/x", "x")]));
    let removed = Archive::new().file(".wh.configs", "").end();
    assert_eq!(walk(&[lowest.clone(), removed], "configs").await.expect("readable"), []);
    assert_eq!(walk(&[lowest], "nothing").await.expect("readable"), []);
}

#[tokio::test]
async fn a_walk_through_a_linked_directory_finds_what_is_behind() {
    let layers = [
        Archive::new().file("srv/catalog/a", "1").file("srv/catalog/b/c", "2").end(),
        Archive::new().symlink("configs", "srv/catalog").end(),
    ];
    let found = walk(&layers, "configs").await.expect("readable");
    assert_eq!(found, pairs(&[("configs/a", "1"), ("configs/b/c", "2")]));
}

#[tokio::test]
async fn what_is_not_read_is_passed_over() {
    let large = "x".repeat(3 * CHUNK);
    let layer = Archive::new().file("c/1", &large).file("c/2", &large).file("c/3", "last").end();
    let Opened { _dir, view } = open(&[gzip(&layer)]).await;
    let mut walk = Walk::start(Arc::new(view), "c").await.expect("started");
    let first = walk.next().await.expect("readable").expect("there").content;
    let mut second = walk.next().await.expect("readable").expect("there").content.expect("a file");
    let mut late = first.expect("a file");
    assert!(late.next().await.expect("an answer").is_err(), "it is gone");
    assert_eq!(second.next().await.expect("there").expect("read").len(), CHUNK);
    let third = walk.next().await.expect("readable").expect("there");
    assert_eq!((third.entry.path.as_str(), third.entry.size), ("c/3", 4));
    assert!(walk.next().await.expect("readable").is_none());
}

#[test]
fn a_walk_that_is_given_up_does_not_go_on() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let names: Vec<_> = (0..200).map(|n| format!("c/{n}")).collect();
        let layer = names.iter().fold(Archive::new(), |archive, name| archive.file(name, "content")).end();
        let Opened { _dir, view } = open(&[gzip(&layer)]).await;
        let mut walk = Walk::start(Arc::new(view), "c").await.expect("started");
        assert!(walk.next().await.expect("readable").is_some());
    });
    // Waits for threads that read, without a limit.
    drop(runtime);
}

#[tokio::test]
async fn a_walk_ends_with_an_error_when_a_layer_is_wrong() {
    let cut = Archive::new().file("c/1", "whole").raw(EntryType::Regular, "c/2", "", 9000, b"short").0;
    let error = walk(&[gzip(&cut)], "c").await.expect_err("it is cut off");
    assert!(error.to_string().contains("ends in the middle"), "{error}");
    let twice = Archive::new().file("c/1", "a").file("c/1", "b").end();
    let error = walk(&[twice], "c").await.expect_err("two of one name");
    assert!(error.to_string().contains("is in it twice"), "{error}");
}
