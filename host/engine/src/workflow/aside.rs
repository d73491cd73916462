//! [`Aside`]: long lists that nobody needs for a while, on disk in the meantime.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{WorkflowError, WorkflowErrorKind};

/// Lists of up to so many items stay where they are: they take no room to speak of.
const FEW: usize = 2_000;

/// A list that was put aside; nothing is there if it was short. It comes back by [`Aside::take_back`], once.
#[must_use]
pub(super) struct Aside {
    path: PathBuf,
    is_there: bool,
}

impl Aside {
    /// Puts a list into a file of its own in a directory, and leaves an empty one.
    pub(super) fn put<T: Serialize>(
        dir: &Path,
        name: &str,
        list: &mut Vec<T>,
    ) -> Result<Self, WorkflowError> {
        let path = dir.join(name);
        let is_there = list.len() > FEW;
        if is_there {
            write(&path, list).map_err(|source| failed(&path, source))?;
            *list = Vec::new();
        }
        Ok(Self { path, is_there })
    }

    /// Brings it back.
    pub(super) fn take_back<T: DeserializeOwned>(self, list: &mut Vec<T>) -> Result<(), WorkflowError> {
        match self.is_there {
            true => read(&self.path).map(|read| *list = read).map_err(|source| failed(&self.path, source)),
            false => Ok(()),
        }
    }
}

fn write<T: Serialize>(path: &Path, list: &[T]) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for item in list {
        serde_json::to_writer(&mut file, item)?;
        file.write_all(b"\n")?;
    }
    file.flush()
}

fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Vec<T>> {
    let lines = BufReader::new(File::open(path)?).lines();
    lines.map(|line| Ok(serde_json::from_str(&line?)?)).collect()
}

fn failed(path: &Path, source: io::Error) -> WorkflowError {
    WorkflowErrorKind::Workspace { path: path.display().to_string(), source }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_is_on_disk_and_a_short_one_stays() {
        let dir = tempfile::tempdir().expect("a directory");
        for (count, left) in [(FEW, FEW), (FEW + 1, 0)] {
            let whole: Vec<String> = (0..count).map(|number| format!("line\n{number}")).collect();
            let mut list = whole.clone();
            let aside = Aside::put(dir.path(), "list", &mut list).expect("a disk with room");
            assert_eq!(list.len(), left);
            aside.take_back(&mut list).expect("it is there");
            assert_eq!(list, whole);
        }
    }
}
