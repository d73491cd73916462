//! [`Keys`]: where a policy says that keys are, and the keys once somebody needs them.

use std::path::PathBuf;
use std::sync::OnceLock;

use crate::trust::files::read;

/// Keys of a requirement, read when they are first needed: policies name keys of scopes that a run never sees.
#[derive(Debug)]
pub(super) struct Keys<T> {
    files: Files,
    read: OnceLock<Result<T, String>>,
}

#[derive(Debug)]
enum Files {
    Paths(Vec<PathBuf>),
    Data(Vec<Vec<u8>>),
}

/// The four ways of a policy to name files.
#[derive(Default)]
pub(super) struct Named {
    pub(super) path: Option<String>,
    pub(super) paths: Option<Vec<String>>,
    pub(super) data: Option<Vec<u8>>,
    pub(super) datas: Option<Vec<Vec<u8>>>,
}

impl<T> Keys<T> {
    /// Makes keys of what was named; nothing if nothing was. `what` stands in the error for whoever reads it.
    pub(super) fn named(named: Named, what: &str) -> Result<Option<Self>, String> {
        let paths = named.path.map(|path| vec![path]);
        let given = [
            paths.map(|paths| Files::Paths(paths.into_iter().map(PathBuf::from).collect())),
            named.paths.map(|paths| Files::Paths(paths.into_iter().map(PathBuf::from).collect())),
            named.data.map(|data| Files::Data(vec![data])),
            named.datas.map(Files::Data),
        ];
        let mut given = given.into_iter().flatten();
        let Some(files) = given.next() else { return Ok(None) };
        if given.next().is_some() {
            return Err(format!("{what} is given in more than one way"));
        }
        let empty = match &files {
            Files::Paths(paths) => paths.is_empty() || paths.iter().any(|path| path.as_os_str().is_empty()),
            Files::Data(data) => data.is_empty(),
        };
        if empty {
            return Err(format!("{what} is empty"));
        }
        Ok(Some(Self { files, read: OnceLock::new() }))
    }

    /// Returns the keys, reading the files the first time.
    pub(super) fn get(
        &self,
        parse: impl Fn(&[u8]) -> Result<T, String>,
        join: fn(Vec<T>) -> T,
    ) -> Result<&T, String> {
        let load = || -> Result<T, String> {
            let each = match &self.files {
                Files::Paths(paths) => paths
                    .iter()
                    .map(|path| {
                        parse(&read(path)?).map_err(|e| format!("`{}` is not a key: {e}", path.display()))
                    })
                    .collect::<Result<Vec<T>, String>>()?,
                Files::Data(data) => data
                    .iter()
                    .map(|bytes| parse(bytes).map_err(|e| format!("the key in the policy is none: {e}")))
                    .collect::<Result<Vec<T>, String>>()?,
            };
            Ok(join(each))
        };
        self.read.get_or_init(load).as_ref().map_err(Clone::clone)
    }
}
