//! Which files of `registries.conf` count, as the arguments and the environment say.

use std::path::{Path, PathBuf};

use oc_mirror_engine::registry::conf::{InvalidRegistriesConf, RegistriesConf};
use oc_mirror_engine::report::{Event, Events};

use crate::environment::{self, variable};
use crate::error::CliError;

/// A file that is read in place of those in the usual places.
const ONLY: &str = "CONTAINERS_REGISTRIES_CONF";
/// A file that is read after all others, whichever these are.
const OVERRIDE: &str = "CONTAINERS_REGISTRIES_CONF_OVERRIDE";
/// What Podman keeps of the answers that people gave.
const ALIASES: &str = "the file of recorded short names";

/// Reads the files. One that is named must be there; the usual places need not.
pub(crate) fn read(explicit: Option<&Path>, events: &dyn Events) -> Result<RegistriesConf, CliError> {
    let named = match explicit {
        Some(path) => Some((path.to_owned(), "the file of --registries-conf".to_owned())),
        None => variable(ONLY).map(|path| (path.into(), format!("the file of {ONLY}"))),
    };
    let mut files = match named {
        Some((path, what)) => vec![(path.clone(), text(&path, &what)?)],
        None => {
            let user = environment::user_config().map(|dir| dir.join("containers"));
            let mut files = usual(user.as_deref(), Path::new("/etc/containers"))?;
            files.extend(recorded().map(|path| text(&path, ALIASES).map(|text| (path, text))).transpose()?);
            files
        }
    };
    if let Some(path) = variable(OVERRIDE).map(PathBuf::from) {
        files.push((path.clone(), text(&path, &format!("the file of {OVERRIDE}"))?));
    }
    let (conf, remarks) = RegistriesConf::from_files(files).map_err(refused)?;
    for remark in remarks {
        let (subject, message) = (remark.at.to_string(), remark.message);
        events.event(Event::Warning { subject: &subject, message: &message });
    }
    Ok(conf)
}

/// Returns the file with the aliases that Podman has recorded: the user's, else that of the machine.
fn recorded() -> Option<PathBuf> {
    const NAME: &str = "containers/short-name-aliases.conf";
    let user = environment::cache().map(|dir| dir.join(NAME));
    user.into_iter().chain([Path::new("/var/cache").join(NAME)]).find(|path| path.exists())
}

fn refused(error: InvalidRegistriesConf) -> CliError {
    let hint = error.hint.unwrap_or("its form is described in containers-registries.conf(5)");
    CliError::caused("the configuration of registries cannot be used", &error).hint(hint)
}

/// Returns the files in the usual places, each after those that it overrides. The user's main file stands for that of the
/// machine and for what adds to that; without it, what adds is of both, the machine's first.
fn usual(user: Option<&Path>, machine: &Path) -> Result<Vec<(PathBuf, String)>, CliError> {
    const MAIN: &str = "registries.conf";
    let mut files = Vec::new();
    let mut dirs = Vec::new();
    let main = user.map(|dir| dir.join(MAIN)).filter(|path| path.exists());
    if main.is_none() {
        dirs.push(machine.join("registries.conf.d"));
    }
    dirs.extend(user.map(|dir| dir.join("registries.conf.d")));
    let main = main.unwrap_or_else(|| machine.join(MAIN));
    if main.exists() {
        files.push((main.clone(), text(&main, "the configuration of registries")?));
    }
    for dir in dirs {
        for path in added(&dir)? {
            files.push((path.clone(), text(&path, "the configuration of registries")?));
        }
    }
    Ok(files)
}

/// Lists the files `*.conf` of a directory by name.
fn added(dir: &Path) -> Result<Vec<PathBuf>, CliError> {
    let unreadable = |error: std::io::Error| {
        CliError::caused(format!("the directory `{}` cannot be read", dir.display()), &error)
            .hint("check its permissions")
    };
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "conf") && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn text(path: &Path, what: &str) -> Result<String, CliError> {
    String::from_utf8(environment::read(path, what)?).map_err(|error| {
        CliError::caused(format!("{what} `{}` is not text", path.display()), &error).hint("save it as UTF-8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_overrides_whom() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        };
        let names = |user: bool| {
            let (user, machine) = (user.then(|| root.path().join("user")), root.path().join("etc"));
            let files = usual(user.as_deref(), &machine).unwrap();
            let name = |path: &Path| path.strip_prefix(root.path()).unwrap().display().to_string();
            files.iter().map(|(path, _)| name(path)).collect::<Vec<_>>()
        };
        assert_eq!(names(true), [""; 0]);
        for name in ["b.conf", "a.conf", "c.txt"] {
            write(&format!("etc/registries.conf.d/{name}"));
        }
        write("etc/registries.conf");
        write("user/registries.conf.d/a.conf");
        let machine = ["etc/registries.conf", "etc/registries.conf.d/a.conf", "etc/registries.conf.d/b.conf"];
        assert_eq!(names(false), machine);
        assert_eq!(names(true), [&machine[..], &["user/registries.conf.d/a.conf"]].concat());
        write("user/registries.conf");
        assert_eq!(names(true), ["user/registries.conf", "user/registries.conf.d/a.conf"]);
    }
}
