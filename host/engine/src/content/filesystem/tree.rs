//! The merged tree of an image's paths: [`Tree`]. Whiteouts and links are resolved here.

use std::collections::btree_map::Range;
use std::collections::{BTreeMap, BTreeSet};

use super::tarball::{Refusal, TarEntry, What};
use super::{Kind, Limits, components, shown};

/// What begins the name of a whiteout.
pub(super) const WHITEOUT: &str = ".wh.";

/// The name of a whiteout of everything that the layers below have in a directory.
pub(super) const OPAQUE: &str = ".wh..wh..opq";

/// How many links are followed for one path, as Linux has it.
const MAX_LINKS: usize = 40;

/// All paths of an image.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: BTreeMap<String, Node>,
    limits: Limits,
    entries: usize,
    name_bytes: usize,
    /// Paths below which nothing of a lower layer is left, of the layer that is being added. Without it, an
    /// archive of whiteouts alone would take the square of its length.
    cleared: BTreeSet<String>,
    current: usize,
}

/// What is at one path.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) size: u64,
    pub(super) mode: u32,
    pub(super) link: Option<Box<str>>,
    /// The layer that it belongs to.
    pub(super) layer: usize,
    /// Where its bytes are; a hard link has them in the layer of the first name.
    place: Option<Place>,
}

/// Where the bytes of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) layer: usize,
    /// From the beginning of the uncompressed layer.
    pub(super) offset: u64,
}

impl Node {
    fn directory(mode: u32, layer: usize) -> Self {
        Self { kind: Kind::Directory, size: 0, mode, link: None, layer, place: None }
    }

    /// Returns where the bytes of a file are that can be read.
    pub(super) fn place(&self) -> Option<Place> {
        self.place
    }
}

impl Tree {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            nodes: BTreeMap::new(),
            limits,
            entries: 0,
            name_bytes: 0,
            cleared: BTreeSet::new(),
            current: 0,
        }
    }

    /// Adds an entry of a layer on top of what the layers below have.
    pub(super) fn add(&mut self, entry: TarEntry, layer: usize) -> Result<(), Refusal> {
        if layer != self.current {
            self.current = layer;
            self.cleared.clear();
        }
        let Some((name, parents)) = entry.path.split_last() else { return Ok(()) };
        let parent = self.resolved(&parents.join("/")).ok_or_else(|| loops(&entry))?;
        let target = if let What::Symlink(target) = &entry.what { target.len() } else { 0 };
        self.count(parent.len() + name.len() + target)?;
        if name == OPAQUE {
            self.clear(parent);
            return Ok(());
        }
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            // Other names of this kind (`.wh..wh.plnk`) are a union file system's own.
            if !hidden.is_empty() && !hidden.starts_with(WHITEOUT) {
                let path = join(&parent, hidden);
                if self.nodes.get(&path).is_some_and(|node| node.layer < layer) {
                    self.nodes.remove(&path);
                }
                self.clear(path);
            }
            return Ok(());
        }
        let node = self.node(&entry, layer)?;
        self.make_directories(&parent)?;
        self.put(join(&parent, name), node);
        Ok(())
    }

    /// Finds a path, and where it really is. A link at its end is followed if `follow` says so.
    pub(super) fn find(&self, path: &str, follow: bool) -> Option<(String, &Node)> {
        let names: Vec<&str> = components(path).collect();
        let real = match names.split_last() {
            None => String::new(),
            Some(_) if follow => self.resolved(path)?,
            Some((name, _)) if *name == ".." => self.resolved(path)?,
            Some((name, parents)) => join(&self.resolved(&parents.join("/"))?, name),
        };
        if real.is_empty() {
            return Some((real, &ROOT));
        }
        let node = self.nodes.get(&real)?;
        Some((real, node))
    }

    /// Returns everything below a directory, or the one path that is no directory.
    pub(super) fn below(&self, path: &str) -> Box<dyn Iterator<Item = (&String, &Node)> + '_> {
        if path.is_empty() {
            return Box::new(self.nodes.iter());
        }
        match self.nodes.get_key_value(path) {
            Some((_, node)) if node.kind == Kind::Directory => Box::new(self.children(path)),
            Some(file) => Box::new(std::iter::once(file)),
            None => Box::new(std::iter::empty()),
        }
    }

    fn children(&self, path: &str) -> Range<'_, String, Node> {
        // `0` is the character after `/`, so this is all that begins with the path and a slash.
        self.nodes.range(format!("{path}/")..format!("{path}0"))
    }

    /// Counts one path of so many bytes.
    fn count(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.entries += 1;
        self.name_bytes += bytes;
        if self.entries > self.limits.entries {
            return Err(Refusal::Limit(format!("the image has more than {} entries", self.limits.entries)));
        }
        if self.name_bytes > self.limits.name_bytes {
            let most = self.limits.name_bytes;
            return Err(Refusal::Limit(format!("the names in the image have more than {most} bytes")));
        }
        Ok(())
    }

    fn node(&self, entry: &TarEntry, layer: usize) -> Result<Node, Refusal> {
        let place = entry.offset.map(|offset| Place { layer, offset });
        let (mode, size) = (entry.mode, entry.size);
        match &entry.what {
            What::Is(kind) => Ok(Node { kind: *kind, size, mode, link: None, layer, place }),
            What::Symlink(target) => {
                let link = Some(target.as_str().into());
                Ok(Node { kind: Kind::Symlink, size: 0, mode, link, layer, place: None })
            }
            What::Hardlink(target) => {
                let target = target.join("/");
                let found = self.find(&target, false).filter(|(_, node)| node.kind != Kind::Directory);
                let (_, node) = found.ok_or_else(|| {
                    Refusal::Invalid(format!("a hard link leads to `{}`, which is no file", shown(&target)))
                })?;
                Ok(Node { layer, ..node.clone() })
            }
        }
    }

    /// Makes sure that a directory is there, and that it counts as one of this layer.
    fn make_directories(&mut self, path: &str) -> Result<(), Refusal> {
        let slashes = path.match_indices('/').map(|(slash, _)| slash);
        for end in slashes.chain((!path.is_empty()).then_some(path.len())) {
            let parent = &path[..end];
            match self.nodes.get_mut(parent) {
                Some(node) if node.kind == Kind::Directory => node.layer = self.current,
                _ => {
                    self.count(parent.len())?;
                    self.nodes.insert(parent.to_owned(), Node::directory(0o755, self.current));
                }
            }
        }
        Ok(())
    }

    fn put(&mut self, path: String, node: Node) {
        if node.kind != Kind::Directory {
            let gone: Vec<String> = self.children(&path).map(|(path, _)| path.clone()).collect();
            gone.iter().for_each(|path| drop(self.nodes.remove(path)));
        }
        self.nodes.insert(path, node);
    }

    /// Removes everything that the layers below have below a path.
    fn clear(&mut self, path: String) {
        if self.cleared.contains(&path) {
            return;
        }
        let all = if path.is_empty() { self.nodes.range(String::new()..) } else { self.children(&path) };
        let gone = all.filter(|(_, node)| node.layer < self.current);
        let gone: Vec<String> = gone.map(|(path, _)| path.clone()).collect();
        gone.iter().for_each(|path| drop(self.nodes.remove(path)));
        self.cleared.insert(path);
    }

    /// Returns where a path is with all links followed; nothing if they lead in circles or too far.
    ///
    /// The root is its own parent, so no link leads out of the image. What is not there stays as it is.
    fn resolved(&self, path: &str) -> Option<String> {
        let mut real = String::new();
        let mut links = 0;
        // The names that are still to be walked, the next one last.
        let mut ahead: Vec<String> = components(path).map(str::to_owned).collect();
        ahead.reverse();
        while let Some(name) = ahead.pop() {
            // Links can make a path longer than any that was written.
            if real.len() > self.limits.path_bytes || ahead.len() > self.limits.path_bytes {
                return None;
            }
            if name == ".." {
                real.truncate(real.rfind('/').unwrap_or(0));
                continue;
            }
            let next = join(&real, &name);
            let Some(target) = self.nodes.get(&next).and_then(|node| node.link.as_deref()) else {
                real = next;
                continue;
            };
            links += 1;
            if links > MAX_LINKS || target.len() > self.limits.path_bytes {
                return None;
            }
            if target.starts_with('/') {
                real.clear();
            }
            let names: Vec<String> = components(target).map(str::to_owned).collect();
            ahead.extend(names.into_iter().rev());
        }
        Some(real)
    }
}

static ROOT: Node = Node { kind: Kind::Directory, size: 0, mode: 0o755, link: None, layer: 0, place: None };

pub(super) fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") }
}

fn loops(entry: &TarEntry) -> Refusal {
    Refusal::Invalid(format!(
        "links on the way to `{}` lead in circles or too far",
        shown(&entry.path.join("/"))
    ))
}
