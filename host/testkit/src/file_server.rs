//! [`FileServer`]: files on the web, such as a repository of charts, on the loopback interface.
//!
//! It knows no faults of its own: [`FileServer::rule`] takes those of a [`FaultRegistry`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::faults::{FaultRegistry, Origin, Recorded, Rule, lock};
use crate::http::{Headers, Response};

/// A server of files.
#[derive(Debug)]
pub struct FileServer {
    faults: FaultRegistry,
    shelf: Arc<Shelf>,
}

/// Files by their path, without what stands behind a `?`.
#[derive(Debug, Default)]
struct Shelf(Mutex<BTreeMap<String, Vec<u8>>>);

impl FileServer {
    /// Starts a server that has no file.
    pub fn start() -> Self {
        let shelf = Arc::new(Shelf::default());
        Self { faults: FaultRegistry::serving(Arc::clone(&shelf) as Arc<dyn Origin>), shelf }
    }

    /// Returns the base address without a final slash.
    pub fn url(&self) -> String {
        self.faults.url()
    }

    /// Puts a file below a path that begins with a slash, in place of the one that was there.
    pub fn put(&self, path: &str, content: &[u8]) -> &Self {
        lock(&self.shelf.0).insert(path.to_owned(), content.to_vec());
        self
    }

    /// Adds a fault.
    pub fn rule(&self, rule: Rule) -> &Self {
        self.faults.rule(rule);
        self
    }

    /// Returns all requests, in the order in which they came.
    pub fn requests(&self) -> Vec<Recorded> {
        self.faults.requests()
    }

    /// Returns how many requests there were of a method for paths that match.
    pub fn count(&self, method: &str, path: &str) -> usize {
        self.faults.count(method, path)
    }
}

impl Origin for Shelf {
    fn answer(&self, _: &str, path: &str, _: &Headers) -> Response {
        let path = path.split('?').next().unwrap_or_default();
        match lock(&self.0).get(path) {
            Some(content) => Response { status: 200, headers: Vec::new(), body: content.clone() },
            None => Response { status: 404, headers: Vec::new(), body: b"no such file".to_vec() },
        }
    }
}
