//! What stands between [`super::disk`] and the disk in a simulation: [`Disk`].

use std::io;
use std::sync::{Arc, PoisonError, RwLock};

pub use super::disk::Step;

/// Decides what becomes of each call, and keeps in mind what it would take to undo it.
pub trait Disk: Send + Sync {
    /// Is told of a call before it is made, and answers what becomes of it.
    fn meet(&self, step: &Step<'_>) -> Fate;
}

/// What becomes of a call.
#[derive(Debug)]
pub enum Fate {
    /// It is made.
    Made,
    /// It fails and changes nothing.
    Fails(io::Error),
    /// So many bytes of a write are written, and then it fails.
    Torn(usize, io::Error),
}

/// One for the whole process, as a disk is: calls come from threads that know nothing of who began them.
static DISK: RwLock<Option<Arc<dyn Disk>>> = RwLock::new(None);

/// Puts a simulated disk in place, or takes it away. A process simulates one world at a time.
pub fn put(disk: Option<Arc<dyn Disk>>) {
    *DISK.write().unwrap_or_else(PoisonError::into_inner) = disk;
}

pub(super) fn ask(step: &Step<'_>) -> io::Result<Option<(usize, io::Error)>> {
    let disk = DISK.read().unwrap_or_else(PoisonError::into_inner).clone();
    match disk.map_or(Fate::Made, |disk| disk.meet(step)) {
        Fate::Made => Ok(None),
        Fate::Fails(error) => Err(error),
        Fate::Torn(len, error) => match step {
            Step::Write { .. } => Ok(Some((len, error))),
            _ => Err(error),
        },
    }
}
