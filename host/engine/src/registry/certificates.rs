//! Certificates for one registry, as `certs.d` of containers/image and Docker keeps them: [`HostCertificates`].
//!
//! Rules: containers-certs.d(5). In the directory of a registry, `*.crt` are authorities to trust besides the system's, and
//! `NAME.cert` with `NAME.key` is what the client shows of itself.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use oc_mirror_model::reference::Registry;
use reqwest::{Certificate, Identity};
use zeroize::Zeroizing;

use crate::net::Secret;

/// What a directory holds for one registry.
#[derive(Clone, Debug, Default)]
pub struct HostCertificates {
    /// Certificates of authorities, PEM.
    pub authorities: Vec<u8>,
    /// The client's certificate and its private key, PEM.
    pub identity: Option<Secret>,
    /// Other client certificates, which are not used: the first by name is.
    pub surplus: Vec<PathBuf>,
}

/// A directory of certificates is not as it should be. No message repeats a part of a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}`: {reason}", path.display())]
pub struct CertificateError {
    /// Which file or directory.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

impl HostCertificates {
    /// Reads what there is for a registry: of the first of these directories that has one of its name, `host:port`.
    pub fn find(dirs: &[PathBuf], registry: &Registry) -> Result<Self, CertificateError> {
        for dir in dirs {
            let dir = dir.join(registry.as_str());
            match dir.metadata() {
                Ok(metadata) if metadata.is_dir() => return Self::read(&dir),
                // Somebody else's directory says nothing to this user.
                _ => {}
            }
        }
        Ok(Self::default())
    }

    /// Reads one directory.
    pub fn read(dir: &Path) -> Result<Self, CertificateError> {
        let mut found = Self::default();
        for path in files(dir)? {
            match path.extension().and_then(|e| e.to_str()) {
                Some("crt") => found.add_authorities(&path)?,
                Some("cert") => found.add_identity(&path)?,
                Some("key") if !path.with_extension("cert").exists() => {
                    let reason = "there is no certificate `.cert` of this name beside the key";
                    return Err(error(&path, reason));
                }
                _ => {}
            }
        }
        Ok(found)
    }

    fn add_authorities(&mut self, path: &Path) -> Result<(), CertificateError> {
        let pem = read(path)?;
        let count = Certificate::from_pem_bundle(&pem).map(|found| found.len());
        if !matches!(count, Ok(1..)) {
            return Err(error(path, "it is not a list of PEM certificates"));
        }
        self.authorities.extend_from_slice(&pem);
        self.authorities.push(b'\n');
        Ok(())
    }

    fn add_identity(&mut self, path: &Path) -> Result<(), CertificateError> {
        let key = path.with_extension("key");
        if !key.exists() {
            let reason = "there is no key `.key` of this name beside the certificate; those of authorities end in `.crt`";
            return Err(error(path, reason));
        }
        let key = Zeroizing::new(read(&key)?);
        let pem = Zeroizing::new([read(path)?.as_slice(), key.as_slice()].join(&b'\n'));
        let text = std::str::from_utf8(&pem).map_err(|_| error(path, "it is not PEM"))?;
        if Identity::from_pem(&pem).is_err() {
            return Err(error(path, "with its key, it is not a PEM certificate and a PEM private key"));
        }
        match self.identity {
            None => self.identity = Some(Secret::new(text)),
            Some(_) => self.surplus.push(path.to_owned()),
        }
        Ok(())
    }
}

fn error(path: &Path, reason: impl Into<String>) -> CertificateError {
    CertificateError { path: path.to_owned(), reason: reason.into() }
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    std::fs::read(path).map_err(|e| error(path, e.to_string()))
}

/// Lists a directory by name; one that is not there is empty.
fn files(dir: &Path) -> Result<Vec<PathBuf>, CertificateError> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(error(dir, e.to_string())),
    };
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(|e| error(dir, e.to_string()))?.path());
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use oc_mirror_testkit::Certificates;
    use rstest::rstest;

    fn registry() -> Registry {
        "127.0.0.1:5000".parse().unwrap()
    }

    #[test]
    fn the_first_directory_of_a_registry_counts() {
        let root = tempfile::tempdir().unwrap();
        let made = Certificates::make(root.path());
        let dirs = ["a", "b", "c"].map(|name| root.path().join(name));
        assert!(HostCertificates::find(&dirs, &registry()).unwrap().identity.is_none());
        for dir in &dirs[1..] {
            std::fs::create_dir_all(dir.join("127.0.0.1:5000")).unwrap();
        }
        let put = |from: &Path, name: &str| std::fs::copy(from, root.path().join(name)).unwrap();
        put(&made.authority, "c/127.0.0.1:5000/ca.crt");
        assert!(HostCertificates::find(&dirs, &registry()).unwrap().authorities.is_empty());
        put(&made.authority, "b/127.0.0.1:5000/ca.crt");
        put(&made.certificate, "b/127.0.0.1:5000/client.cert");
        put(&made.key, "b/127.0.0.1:5000/client.key");
        put(&made.certificate, "b/127.0.0.1:5000/more.cert");
        put(&made.key, "b/127.0.0.1:5000/more.key");
        put(&made.key, "b/127.0.0.1:5000/README");
        let found = HostCertificates::find(&dirs, &registry()).unwrap();
        assert!(!found.authorities.is_empty() && found.identity.is_some());
        assert_eq!(found.surplus, [root.path().join("b/127.0.0.1:5000/more.cert")]);
        assert!(!format!("{found:?}").contains("PRIVATE"));
        let other = "127.0.0.1:5001".parse().unwrap();
        assert!(HostCertificates::find(&dirs, &other).unwrap().identity.is_none());
    }

    #[rstest]
    #[case(&["x.cert"], "no key `.key`")]
    #[case(&["x.key"], "no certificate `.cert`")]
    #[case(&["x.cert", "x.key"], "not a PEM certificate")]
    #[case(&["ca.crt"], "not a list of PEM")]
    fn mistakes(#[case] names: &[&str], #[case] expected: &str) {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            std::fs::write(dir.path().join(name), "nothing").unwrap();
        }
        let error = HostCertificates::read(dir.path()).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains(names[0]), "{error}");
    }
}
