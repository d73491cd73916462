//! A disk that fails, and that forgets what was not made durable.
//!
//! The files are real, in a directory that should be in memory. Before each change the disk notes what it would take to
//! undo it; a sync drops the notes of what is durable from then on. When power is lost, a choice of the other changes is undone:
//! any of the writes, as a whole or in part, since they reach a disk in any order; of the names only the last ones of a
//! directory, or of the whole disk, as file systems with one journal keep the order of all of them.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oc_mirror_engine::fsx::simulation::{Disk, Fate, Step};
use tokio::sync::Notify;

use crate::random::Random;

/// How a run ends before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process is killed. What it told the system is not lost.
    Kill,
    /// The machine loses power. What was not durable may be lost.
    Power,
}

/// The faults of one attempt.
#[derive(Clone, Debug, Default)]
pub struct DiskFaults {
    /// What makes this attempt differ from others.
    pub seed: u64,
    /// How many of a thousand calls fail.
    pub failing: u64,
    /// Before which call the run ends, counted from 1.
    pub crash_at: Option<u64>,
    /// From which call on the disk is full.
    pub full_from: Option<u64>,
    /// Whether the names of each directory become durable by themselves, which is all that POSIX promises.
    pub names_apart: bool,
}

/// The disk.
pub struct SimDisk {
    root: PathBuf,
    state: Mutex<State>,
    /// Told when the run has ended.
    pub dead: Notify,
}

#[derive(Default)]
struct State {
    faults: DiskFaults,
    calls: u64,
    dead: bool,
    numbers: HashMap<String, u64>,
    pending: Vec<Change>,
    graves: u64,
    /// Handles of the disk's own, by inode; an inode is not used again as long as it is open.
    open: HashMap<u64, Arc<File>>,
    trace: Option<Vec<String>>,
}

/// What undoes a change.
enum Change {
    /// Puts bytes back where they were, and the length.
    ///
    /// A sync of them that failed has `doomed` them: a system may take them for written, and no further sync helps, until they
    /// are written again.
    Bytes { inode: u64, file: Arc<File>, offset: u64, before: Vec<u8>, len: u64, doomed: bool },
    /// Removes what was made.
    Made { dir: PathBuf, path: PathBuf },
    /// Gives back the old name, and what had the new one.
    Renamed { dirs: Vec<PathBuf>, from: PathBuf, to: PathBuf, replaced: Option<PathBuf> },
    /// Puts back what was removed.
    Removed { dir: PathBuf, path: PathBuf, grave: PathBuf },
}

impl SimDisk {
    /// Makes a disk of a directory. What is removed goes into `graves` beside it, until it is durable that it is gone.
    pub fn new(root: &Path) -> io::Result<Self> {
        let root = root.canonicalize()?;
        fs::create_dir_all(root.join("graves"))?;
        fs::create_dir_all(root.join("disk"))?;
        Ok(Self { root, state: Mutex::default(), dead: Notify::new() })
    }

    /// Returns the directory that is simulated.
    pub fn dir(&self) -> PathBuf {
        self.root.join("disk")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins an attempt.
    pub fn begin(&self, faults: DiskFaults) {
        let mut state = self.state();
        state.faults = faults;
        state.calls = 0;
        state.dead = false;
        state.numbers.clear();
    }

    /// Keeps a line for each call from now on.
    pub fn record(&self) {
        self.state().trace = Some(Vec::new());
    }

    /// Returns the lines.
    pub fn take_trace(&self) -> Vec<String> {
        self.state().trace.take().unwrap_or_default()
    }

    /// Adds a line that is about something else.
    pub fn note(&self, line: String) {
        if let Some(trace) = &mut self.state().trace {
            trace.push(line);
        }
    }

    /// Answers how many calls there were since the attempt began.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Answers whether the run has ended.
    pub fn is_dead(&self) -> bool {
        self.state().dead
    }

    /// Ends the run.
    pub fn kill(&self) {
        self.state().dead = true;
        self.dead.notify_waiters();
    }

    /// Makes all durable, as when a machine is left alone for a while.
    pub fn settle(&self) {
        let mut state = self.state();
        state.pending.clear();
        state.open.clear();
        drop(state);
        let _ = fs::remove_dir_all(self.root.join("graves"));
        let _ = fs::create_dir_all(self.root.join("graves"));
    }

    /// Takes back a choice of what is not durable.
    pub fn lose_power(&self, random: &mut Random) -> io::Result<()> {
        let mut state = self.state();
        let mut pending = std::mem::take(&mut state.pending);
        // Of the names, those behind a cut are undone: one cut for all, or one for each directory.
        let apart = state.faults.names_apart;
        let mut names: BTreeMap<Option<PathBuf>, u64> = BTreeMap::new();
        let order = |change: &Change| change.dirs().next().cloned().filter(|_| apart);
        for change in pending.iter().filter(|change| !matches!(change, Change::Bytes { .. })) {
            *names.entry(order(change)).or_default() += 1;
        }
        let kept: BTreeMap<Option<PathBuf>, u64> =
            names.iter().map(|(dir, count)| (dir.clone(), random.below(count + 1))).collect();
        let all_bytes = random.chance(300);
        let mut lines = Vec::new();
        while let Some(change) = pending.pop() {
            match change {
                Change::Bytes { file, offset, before, len, .. } => {
                    if all_bytes || random.chance(500) {
                        let now = file.metadata()?.len();
                        let torn = if random.chance(300) {
                            random.below(before.len() as u64 + 1) as usize
                        } else {
                            0
                        };
                        file.write_all_at(&before[torn..], offset + torn as u64)?;
                        if now > len && random.chance(500) {
                            file.set_len(len)?;
                        }
                        lines.push(format!("lost: {} bytes at {offset}, length {len}", before.len() - torn));
                    }
                }
                other => {
                    let dir = order(&other);
                    let left = names.get_mut(&dir).expect("it was counted");
                    *left -= 1;
                    if *left >= kept[&dir] {
                        lines.push(format!("lost: {}", other.shown()));
                        other.undo()?;
                    }
                }
            }
        }
        if let Some(trace) = &mut state.trace {
            trace.extend(lines);
        }
        drop(state);
        self.settle();
        Ok(())
    }

    fn is_ours(&self, path: &Path) -> bool {
        path.starts_with(&self.root)
    }

    fn number(state: &mut State, name: String) -> (String, u64) {
        let number = state.numbers.entry(name.clone()).or_default();
        *number += 1;
        (name, *number)
    }

    /// Keeps what a path names, so that it can come back.
    fn bury(&self, state: &mut State, path: &Path) -> io::Result<Option<PathBuf>> {
        state.graves += 1;
        let grave = self.root.join("graves").join(state.graves.to_string());
        match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_dir() => {
                copy_tree(path, &grave)?;
                Ok(Some(grave))
            }
            Ok(_) => fs::hard_link(path, &grave).map(|()| Some(grave)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Notes what undoes a call. A call that will fail by itself leaves nothing to undo.
    fn remember(&self, state: &mut State, step: &Step<'_>) -> io::Result<()> {
        match step {
            Step::Create(path) if !path.exists() => {
                state.pending.push(Change::Made { dir: parent(path), path: path.to_path_buf() });
            }
            Step::MakeDir(path) => {
                let mut missing: Vec<&Path> = path.ancestors().take_while(|p| !p.exists()).collect();
                missing.reverse();
                for path in missing {
                    state.pending.push(Change::Made { dir: parent(path), path: path.to_path_buf() });
                }
            }
            Step::Rename(from, to) if from.exists() => {
                let replaced = self.bury(state, to)?;
                let dirs = vec![parent(from), parent(to)];
                state.pending.push(Change::Renamed {
                    dirs,
                    from: from.to_path_buf(),
                    to: to.to_path_buf(),
                    replaced,
                });
            }
            Step::Remove(path) | Step::RemoveTree(path) => {
                if let Some(grave) = self.bury(state, path)? {
                    state.pending.push(Change::Removed {
                        dir: parent(path),
                        path: path.to_path_buf(),
                        grave,
                    });
                }
            }
            Step::Write { file, offset, len } => {
                let metadata = file.metadata()?;
                let offset = offset.unwrap_or(metadata.len());
                remember_bytes(state, file, &metadata, offset, *len as u64)?;
            }
            Step::Punch(file, offset, len) => remember_bytes(state, file, &file.metadata()?, *offset, *len)?,
            Step::Resize(file, len) => {
                let metadata = file.metadata()?;
                let cut = (*len).min(metadata.len());
                remember_bytes(state, file, &metadata, cut, metadata.len() - cut)?;
            }
            Step::SyncFile(file) => {
                let inode = file.metadata()?.ino();
                state.pending.retain(
                    |change| !matches!(change, Change::Bytes { inode: of, doomed: false, .. } if *of == inode),
                );
            }
            Step::SyncAll => {
                state.pending.retain(|change| matches!(change, Change::Bytes { doomed: true, .. }))
            }
            Step::SyncDir(dir) => {
                let dir = dir.canonicalize()?;
                if state.faults.names_apart {
                    state.pending.retain(|change| !change.dirs().any(|of| *of == dir));
                    return Ok(());
                }
                // Names are durable in order: with the last one of this directory, all before it are.
                let last = state.pending.iter().rposition(|change| change.dirs().any(|of| *of == dir));
                if let Some(last) = last {
                    let mut place = 0;
                    state.pending.retain(|change| {
                        place += 1;
                        matches!(change, Change::Bytes { .. }) || place > last + 1
                    });
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn remember_bytes(
    state: &mut State,
    file: &File,
    metadata: &fs::Metadata,
    offset: u64,
    len: u64,
) -> io::Result<()> {
    let held = len.min(metadata.len().saturating_sub(offset));
    let path = PathBuf::from(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file)));
    let inode = metadata.ino();
    let file = match state.open.get(&inode) {
        Some(file) => file.clone(),
        // Opened anew, as the run's own handle may be for appending, or not for reading.
        None => Arc::new(OpenOptions::new().read(true).write(true).open(path)?),
    };
    state.open.insert(inode, file.clone());
    for change in &mut state.pending {
        if let Change::Bytes { inode: of, offset: begin, before, doomed, .. } = change
            && *of == inode
            && *begin < offset + len.max(1)
            && offset < *begin + (before.len() as u64).max(1)
        {
            *doomed = false;
        }
    }
    let mut before = vec![0; held as usize];
    file.read_exact_at(&mut before, offset)?;
    let len = metadata.len();
    state.pending.push(Change::Bytes { inode, file, offset, before, len, doomed: false });
    Ok(())
}

impl Change {
    fn dirs(&self) -> impl Iterator<Item = &PathBuf> {
        let dirs: &[PathBuf] = match self {
            Self::Bytes { .. } => &[],
            Self::Made { dir, .. } | Self::Removed { dir, .. } => std::slice::from_ref(dir),
            Self::Renamed { dirs, .. } => dirs,
        };
        dirs.iter()
    }

    fn undo(self) -> io::Result<()> {
        match self {
            Self::Bytes { .. } => Ok(()),
            Self::Made { path, .. } => remove_any(&path),
            Self::Renamed { from, to, replaced, .. } => {
                // The call may have failed by itself.
                if to.exists() && !from.exists() {
                    fs::rename(&to, &from)?;
                    if let Some(grave) = replaced {
                        fs::rename(grave, &to)?;
                    }
                }
                Ok(())
            }
            Self::Removed { path, grave, .. } => match path.exists() {
                true => Ok(()),
                false => fs::rename(grave, path),
            },
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Bytes { offset, before, .. } => format!("{} bytes at {offset}", before.len()),
            Self::Made { path, .. } => format!("that {} was made", path.display()),
            Self::Renamed { from, to, .. } => format!("that {} became {}", from.display(), to.display()),
            Self::Removed { path, .. } => format!("that {} was removed", path.display()),
        }
    }
}

impl Disk for SimDisk {
    fn meet(&self, step: &Step<'_>) -> Fate {
        let (kind, path) = about(step);
        let path = path.and_then(|path| std::path::absolute(path).ok());
        if !path.as_deref().is_some_and(|path| self.is_ours(path)) && !matches!(step, Step::SyncAll) {
            return Fate::Made;
        }
        let mut state = self.state();
        if state.dead {
            return Fate::Fails(io::Error::other("the simulated run has ended"));
        }
        state.calls += 1;
        let name = path.as_ref().and_then(|p| p.strip_prefix(&self.root).ok()).unwrap_or(Path::new("/"));
        let (name, number) = Self::number(&mut state, format!("{kind} {}", name.display()));
        let mut random = Random::about(state.faults.seed, &name, number);
        let calls = state.calls;
        let is_torn = matches!(step, Step::Write { .. }) && random.chance(500);
        let fate = if state.faults.crash_at == Some(calls) {
            state.dead = true;
            Some(io::Error::other("the simulated run ends here"))
        } else if takes_room(step) && state.faults.full_from.is_some_and(|from| calls >= from) {
            Some(io::ErrorKind::StorageFull.into())
        } else if random.chance(state.faults.failing) {
            Some(match takes_room(step) && random.chance(500) {
                true => io::ErrorKind::StorageFull.into(),
                // EIO has no kind of its own.
                false => io::Error::from_raw_os_error(5),
            })
        } else {
            None
        };
        if let Some(trace) = &mut state.trace {
            let fault = fate.as_ref().map(|error| format!(" -> {error}")).unwrap_or_default();
            trace.push(format!("{calls} {name} #{number}{fault}"));
        }
        let dies = state.dead;
        let answer = match fate {
            None => match self.remember(&mut state, step) {
                Ok(()) => Fate::Made,
                Err(error) => panic!("the simulated disk cannot prepare to undo {step:?}: {error}"),
            },
            Some(error) => match step {
                Step::Write { len, .. } if is_torn && *len > 0 => match self.remember(&mut state, step) {
                    Ok(()) => Fate::Torn(random.below(*len as u64) as usize, error),
                    Err(other) => panic!("the simulated disk cannot prepare to undo {step:?}: {other}"),
                },
                // A sync that fails may have lost what it was to make durable, and says so once only.
                Step::SyncFile(file) => {
                    let inode = file.metadata().map(|metadata| metadata.ino()).unwrap_or_default();
                    for change in &mut state.pending {
                        if let Change::Bytes { inode: of, doomed, .. } = change {
                            *doomed |= *of == inode;
                        }
                    }
                    Fate::Fails(error)
                }
                _ => Fate::Fails(error),
            },
        };
        drop(state);
        if dies {
            self.dead.notify_waiters();
        }
        answer
    }
}

fn takes_room(step: &Step<'_>) -> bool {
    matches!(step, Step::Create(_) | Step::Write { .. } | Step::Resize(..) | Step::MakeDir(_))
}

/// Returns what kind of call it is, and of which path.
fn about(step: &Step<'_>) -> (&'static str, Option<PathBuf>) {
    let of = |file: &File| {
        let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file));
        fs::read_link(link).ok()
    };
    match step {
        Step::Create(path) => ("create", Some(path.to_path_buf())),
        Step::Write { file, .. } => ("write", of(file)),
        Step::Resize(file, _) => ("resize", of(file)),
        Step::Punch(file, ..) => ("punch", of(file)),
        Step::SyncFile(file) => ("sync", of(file)),
        Step::SyncAll => ("sync all", None),
        Step::SyncDir(path) => ("sync names", Some(path.to_path_buf())),
        Step::Rename(_, to) => ("rename", Some(to.to_path_buf())),
        Step::Remove(path) => ("remove", Some(path.to_path_buf())),
        Step::MakeDir(path) => ("make", Some(path.to_path_buf())),
        Step::RemoveTree(path) => ("remove all", Some(path.to_path_buf())),
        Step::ReadAll(path) => ("read all", Some(path.to_path_buf())),
        Step::Read(file, ..) => ("read", of(file)),
    }
}

fn parent(path: &Path) -> PathBuf {
    let dir = path.parent().unwrap_or(Path::new("/"));
    dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf())
}

fn remove_any(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => copy_tree(&entry.path(), &to.join(entry.file_name()))?,
            false => fs::hard_link(entry.path(), to.join(entry.file_name()))?,
        }
    }
    Ok(())
}

/// Returns all files below a directory with their content.
pub fn files_below(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![dir.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => dirs.push(entry.path()),
                _ => drop(found.insert(entry.path(), fs::read(entry.path()).unwrap_or_default())),
            }
        }
    }
    found
}

/// A disk that can be handed around.
pub type SharedDisk = Arc<SimDisk>;
