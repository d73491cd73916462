//! The [`Images`] of the quickstart, made of files that this machine has. Which files differs from machine to machine.

use std::fs;
use std::path::{Path, PathBuf};

use oc_mirror_testkit::{Image, ImageBuilder, IndexBuilder};

use crate::run::root;

/// What the first imageset is to hold.
pub(super) const FIRST: [&str; 2] = ["team/web:v1", "team/tool:v1"];
/// What the second imageset adds.
pub(super) const SECOND: &str = "team/admin:v1";
/// What is asked for and refused.
pub(super) const BLOCKED: &str = "legacy/report:v1";
/// What it is refused for being built on.
pub(super) const BLOCKED_BASE: &str = "legacy/os:v1";

/// How many bytes of files a base layer gets: enough to see what a shared layer saves.
const BASE_BYTES: usize = 4 << 20;
/// How many bytes of files a layer on top gets.
const TOP_BYTES: usize = 64 << 10;

/// The images, and the bases of two of them.
pub(super) struct Images {
    base: Image,
    web: Image,
    tool: Image,
    admin: Image,
    legacy_base: Image,
    report: Image,
}

impl Images {
    /// Reads files and makes the images.
    pub(super) fn make() -> Self {
        let base = ImageBuilder::new().layer(&files(&["/usr/share", "/etc"], BASE_BYTES)).build();
        let docs = files(&["/usr/share/doc", "/usr/share/man"], TOP_BYTES);
        let web = ImageBuilder::new().from(&base).layer(&docs).label("app", "web").build();
        let tool =
            IndexBuilder::new().child(&platform("linux/amd64")).child(&platform("linux/arm64")).build();
        let admin = ImageBuilder::new()
            .from(&base)
            .layer(&[("app/admin", "a small program on a large base\n")])
            .label("app", "admin")
            .build();
        let legacy_base = ImageBuilder::new().layer(&files(&["/etc"], TOP_BYTES)).build();
        let report =
            ImageBuilder::new().from(&legacy_base).layer(&[("app/report", "the old report\n")]).build();
        Self { base, web, tool, admin, legacy_base, report }
    }

    /// Fills a registry with everything but the image that comes later.
    pub(super) fn push_first(&self, host: &str) {
        self.base.push(host, "team/os", "v1");
        self.web.push(host, "team/web", "v1");
        self.tool.push(host, "team/tool", "v1");
        self.legacy_base.push(host, "legacy/os", "v1");
        self.report.push(host, "legacy/report", "v1");
    }

    /// Adds the image that comes later.
    pub(super) fn push_second(&self, host: &str) {
        self.admin.push(host, "team/admin", "v1");
    }

    /// Returns what the mirror is to have in the end.
    pub(super) fn wanted(&self) -> [(&'static str, &Image); 3] {
        [(FIRST[0], &self.web), (FIRST[1], &self.tool), (SECOND, &self.admin)]
    }
}

fn platform(name: &str) -> Image {
    let text = format!("a program for {name}\n");
    ImageBuilder::new().platform(name).layer(&[("app/tool", text.as_bytes())]).build()
}

/// Returns up to `limit` bytes of plain files below directories, or of this repository where there are none.
fn files(dirs: &[&str], limit: usize) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut left = limit;
    for dir in dirs.iter().map(PathBuf::from).chain([root().join("host")]) {
        if left == limit {
            collect(&dir, &mut left, &mut found);
        }
    }
    found
}

/// Takes files in the order of their names while they fit. What cannot be read is left out, and so are links.
fn collect(dir: &Path, left: &mut usize, found: &mut Vec<(String, Vec<u8>)>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if metadata.is_dir() {
            collect(&path, left, found);
        } else if metadata.is_file() && (metadata.len() as usize) < *left {
            // A name that a plain tar header cannot hold is not worth an extension.
            let Some(name) = path.to_str().map(|p| p.trim_start_matches('/')).filter(|p| p.len() < 100)
            else {
                continue;
            };
            let Ok(bytes) = fs::read(&path) else { continue };
            *left = left.saturating_sub(bytes.len());
            found.push((name.to_string(), bytes));
        }
        if *left < 4096 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_no_more_than_it_may() {
        let taken = files(&["/no/such/directory"], 50_000);
        assert!(!taken.is_empty());
        assert!(taken.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() <= 50_000);
    }

    #[test]
    fn the_later_image_shares_the_base() {
        let images = Images::make();
        assert_eq!(images.admin.layers[0], images.web.layers[0]);
        assert_eq!(images.report.layers[0], images.legacy_base.layers[0]);
        assert_ne!(images.base.layers[0], images.legacy_base.layers[0]);
    }
}
