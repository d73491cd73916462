//! Every change that the engine makes to a disk and has to rely on later: writing, naming, making durable.
//!
//! These are the calls of `std` and of the system, one to one. They stand in one place so that a simulation can stand
//! between them and the disk (feature `simulation`): it fails them, cuts them short, ends the process at any of them, and takes
//! back what was not durable yet. Without the feature there is nothing between.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FallocateFlags, OFlags};
use rustix::io::Errno;

/// Above this many files, one `syncfs` is cheaper than an `fdatasync` of each.
const SYNC_EACH: usize = 8;

/// A call as a simulation sees it, before it is made.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "simulation"),
    expect(dead_code, unreachable_pub, reason = "only a simulation looks at it")
)]
pub enum Step<'a> {
    /// A file is made, which is not there.
    Create(&'a Path),
    /// Bytes are written into a file.
    Write {
        /// The file.
        file: &'a File,
        /// From where on; nothing: at its end.
        offset: Option<u64>,
        /// How many bytes.
        len: usize,
    },
    /// A file gets another length, or room.
    Resize(&'a File, u64),
    /// A part of a file becomes zeros.
    Punch(&'a File, u64, u64),
    /// A file is made durable.
    SyncFile(&'a File),
    /// All files of the disk are made durable.
    SyncAll,
    /// The names in a directory are made durable.
    SyncDir(&'a Path),
    /// A file gets another name.
    Rename(&'a Path, &'a Path),
    /// A file is removed.
    Remove(&'a Path),
    /// A directory is made, and those above it.
    MakeDir(&'a Path),
    /// A directory is removed with all that is in it.
    RemoveTree(&'a Path),
    /// A file is opened to be read as a whole.
    ReadAll(&'a Path),
    /// A part of a file is read.
    Read(&'a File, u64, usize),
}

/// Asks the simulation, if there is one, whether a call is made.
///
/// `Ok` has how many bytes of a write are written before it fails; nothing: all of them, and it does not.
#[cfg(feature = "simulation")]
fn ask(step: &Step<'_>) -> io::Result<Option<(usize, io::Error)>> {
    super::simulation::ask(step)
}

#[cfg(not(feature = "simulation"))]
#[expect(clippy::unnecessary_wraps, reason = "a simulation may refuse")]
fn ask(_: &Step<'_>) -> io::Result<Option<(usize, io::Error)>> {
    Ok(None)
}

/// Makes a file, which must not be there, to be read and written.
pub fn create_new(path: &Path) -> io::Result<File> {
    create_with(OpenOptions::new().read(true).write(true), path)
}

/// Makes a file, which must not be there, to be written at its end.
pub fn create_log(path: &Path) -> io::Result<File> {
    create_with(OpenOptions::new().append(true), path)
}

fn create_with(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    ask(&Step::Create(path))?;
    options.create_new(true).mode(0o644).open(path)
}

/// Opens a file that is there to be written anywhere; a symbolic link is not followed.
pub fn open_again(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).custom_flags(OFlags::NOFOLLOW.bits().cast_signed()).open(path)
}

/// Gives a file its length and reserves the space, so that a full disk is found now and not at the end.
///
/// Where the file system cannot reserve, the file just gets its length.
pub fn preallocate(file: &File, len: u64) -> io::Result<()> {
    ask(&Step::Resize(file, len))?;
    if len == 0 {
        return file.set_len(0);
    }
    loop {
        match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, len) {
            Ok(()) => return file.set_len(len),
            Err(Errno::INTR) => {}
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => return file.set_len(len),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Gives a file its length.
pub fn set_len(file: &File, len: u64) -> io::Result<()> {
    ask(&Step::Resize(file, len))?;
    file.set_len(len)
}

/// Writes all of `bytes` at `offset`.
pub fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    let torn = ask(&Step::Write { file, offset: Some(offset), len: bytes.len() })?;
    let Some((len, error)) = torn else { return FileExt::write_all_at(file, bytes, offset) };
    FileExt::write_all_at(file, &bytes[..len], offset)?;
    Err(error)
}

/// Writes all of `bytes` at the end of a file that was opened for that.
pub fn append(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    let torn = ask(&Step::Write { file, offset: None, len: bytes.len() })?;
    let Some((len, error)) = torn else { return file.write_all(bytes) };
    file.write_all(&bytes[..len])?;
    Err(error)
}

/// Fills all of `bytes` from `offset`.
pub fn read_exact_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    ask(&Step::Read(file, offset, bytes.len()))?;
    FileExt::read_exact_at(file, bytes, offset)
}

/// Reads all of a file.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    ask(&Step::ReadAll(path))?;
    std::fs::read(path)
}

/// Gives the space of a part of a file back; the part reads as zeros from then on. `Unsupported` where the file system
/// cannot do that. Of a part without bytes there is nothing to give back.
pub fn punch(file: &File, offset: u64, len: u64) -> io::Result<()> {
    if len == 0 {
        return Ok(());
    }
    ask(&Step::Punch(file, offset, len))?;
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    loop {
        match rustix::fs::fallocate(file, flags, offset, len) {
            Ok(()) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Err(io::ErrorKind::Unsupported.into()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Makes a file durable with its length.
pub fn sync_all(file: &File) -> io::Result<()> {
    ask(&Step::SyncFile(file))?;
    file.sync_all()
}

/// Makes what was written to a file durable.
pub fn sync_data(file: &File) -> io::Result<()> {
    ask(&Step::SyncFile(file))?;
    file.sync_data()
}

/// Makes what was written to the files durable.
///
/// An error means that data is lost: a second attempt may succeed without having written anything.
pub fn sync_batch(files: &[Arc<File>]) -> io::Result<()> {
    if files.len() > SYNC_EACH
        && let Some(first) = files.first()
    {
        ask(&Step::SyncAll)?;
        rustix::fs::syncfs(first)?;
    }
    // After a `syncfs` this costs next to nothing, and reports errors that older kernels hide there.
    files.iter().try_for_each(|file| sync_data(file))
}

/// Makes names that were created, changed or removed in a directory durable.
pub fn fsync_dir(dir: &Path) -> io::Result<()> {
    ask(&Step::SyncDir(dir))?;
    File::open(dir)?.sync_all()
}

/// Gives a file another name, replacing what has it.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    ask(&Step::Rename(from, to))?;
    std::fs::rename(from, to)
}

/// Removes a file; one that is not there is fine.
pub fn remove_if_there(path: &Path) -> io::Result<()> {
    ask(&Step::Remove(path))?;
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes a directory, which must not be there.
pub fn create_dir(path: &Path) -> io::Result<()> {
    ask(&Step::MakeDir(path))?;
    std::fs::create_dir(path)
}

/// Makes a directory, and those above it, where they are not there: each is durable before there is anything in it.
pub fn create_dir_all(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = super::parent(path);
    create_dir_all(&parent)?;
    match create_dir(path) {
        // Somebody else was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => fsync_dir(&parent),
    }
}

/// The same for a directory in which something is to be kept. A run that made it may have been killed before it was durable, so
/// that is seen to in any case.
pub fn durable_dir(path: &Path) -> io::Result<()> {
    create_dir_all(path)?;
    match fsync_dir(&super::parent(path)) {
        // Whoever may not look into the directory above did not make it either.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        synced => synced,
    }
}

/// Removes a directory with all that is in it.
pub fn remove_dir_all(path: &Path) -> io::Result<()> {
    ask(&Step::RemoveTree(path))?;
    std::fs::remove_dir_all(path)
}
