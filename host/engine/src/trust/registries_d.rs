//! [`RegistriesD`]: the directory `registries.d` of containers/image, which says where signatures lie that are not in
//! the registry itself.

use std::collections::BTreeMap;
use std::path::Path;

use oc_mirror_model::reference::{Reference, Source};
use serde::Deserialize;
use url::Url;

use super::files::read;
use super::scope::scopes;

/// Where signatures are, by scope.
#[derive(Clone, Debug, Default)]
pub struct RegistriesD {
    fallback: Option<Section>,
    sections: BTreeMap<String, Section>,
}

#[derive(Clone, Debug, Default)]
struct Section {
    lookaside: Option<Url>,
    attachments: Option<bool>,
}

/// A file of the directory is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{file}` does not tell where signatures are: {reason}")]
pub struct InvalidRegistriesD {
    /// Which file.
    pub file: String,
    /// What is wrong with it.
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Document {
    default_docker: Option<Written>,
    docker: Option<BTreeMap<String, Written>>,
}

/// What is for writing signatures is passed over.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Written {
    lookaside: Option<String>,
    /// What `lookaside` was called until 2022.
    sigstore: Option<String>,
    use_sigstore_attachments: Option<bool>,
}

impl RegistriesD {
    /// Reads the `.yaml` files of a directory; one that is not there says nothing.
    pub fn read(dir: &Path) -> Result<Self, InvalidRegistriesD> {
        let invalid =
            |file: &Path, reason: String| InvalidRegistriesD { file: file.display().to_string(), reason };
        let entries = match std::fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(invalid(dir, e.to_string())),
        };
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry.map_err(|e| invalid(dir, e.to_string()))?.path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                paths.push(path);
            }
        }
        paths.sort();
        let mut whole = Self::default();
        for path in paths {
            let bytes = read(&path).map_err(|e| invalid(&path, e))?;
            whole.add(&path.display().to_string(), &bytes)?;
        }
        Ok(whole)
    }

    /// Adds what one file says. Nothing may be said twice.
    pub fn add(&mut self, file: &str, yaml: &[u8]) -> Result<(), InvalidRegistriesD> {
        let invalid = |reason: String| InvalidRegistriesD { file: file.to_owned(), reason };
        let text = std::str::from_utf8(yaml).map_err(|e| invalid(e.to_string()))?;
        // Files with comments only are what distributions ship.
        let document: Option<Document> = serde_saphyr::from_str(text).map_err(|e| invalid(e.to_string()))?;
        let Some(document) = document else { return Ok(()) };
        if let Some(written) = document.default_docker {
            let section = section(written).map_err(|e| invalid(format!("in `default-docker`: {e}")))?;
            if self.fallback.replace(section).is_some() {
                return Err(invalid("another file has a `default-docker` too".to_owned()));
            }
        }
        for (scope, written) in document.docker.unwrap_or_default() {
            let section = section(written).map_err(|e| invalid(format!("in `{scope}`: {e}")))?;
            if self.sections.insert(scope.clone(), section).is_some() {
                return Err(invalid(format!("another file has the scope `{scope}` too")));
            }
        }
        Ok(())
    }

    /// Returns where signatures of images of this repository lie: a directory of `http`, `https` or `file`.
    pub fn lookaside(&self, reference: &Reference) -> Option<&Url> {
        self.section(reference)?.lookaside.as_ref()
    }

    /// Answers whether signatures are looked for beside the image in its repository, as cosign puts them.
    ///
    /// Other than containers/image, this does so unless it is told not to: a signature that a policy accepts is as good
    /// wherever it was found.
    pub fn uses_attachments(&self, reference: &Reference) -> bool {
        self.section(reference).and_then(|section| section.attachments).unwrap_or(true)
    }

    /// Returns the one section that counts, which is the most specific; nothing is inherited from wider ones.
    fn section(&self, reference: &Reference) -> Option<&Section> {
        let names = scopes(&Source::Registry(reference.clone()));
        names.iter().find_map(|name| self.sections.get(name)).or(self.fallback.as_ref())
    }
}

fn section(written: Written) -> Result<Section, String> {
    let lookaside = written.lookaside.or(written.sigstore).filter(|text| !text.is_empty());
    let parsed = lookaside.map(|text| match Url::parse(text.trim_end_matches('/')) {
        Ok(url) if matches!(url.scheme(), "http" | "https" | "file") && url.query().is_none() => Ok(url),
        _ => Err("the address of signatures is not one of `https`, `http` or `file`".to_owned()),
    });
    Ok(Section { lookaside: parsed.transpose()?, attachments: written.use_sigstore_attachments })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const FILE: &str = "
default-docker:
  sigstore: file:///var/lib/containers/sigstore
  lookaside-staging: file:///tmp
docker:
  registry.example.com:
    lookaside: https://registry.example.com/signatures/
    sigstore: https://old.example.com
  registry.example.com/quiet:
    use-sigstore-attachments: false
  '*.example.org': {lookaside: http://s.example.org}
";

    #[rstest]
    #[case("registry.example.com/a", Some("https://registry.example.com/signatures"), true)]
    #[case("registry.example.com/quiet/b:1", None, false)]
    #[case("x.example.org:5000/a", Some("http://s.example.org/"), true)]
    #[case("quay.io/a", Some("file:///var/lib/containers/sigstore"), true)]
    fn sections(#[case] reference: &str, #[case] lookaside: Option<&str>, #[case] attachments: bool) {
        let mut all = RegistriesD::default();
        all.add("a.yaml", FILE.as_bytes()).unwrap();
        all.add("empty.yaml", b"# nothing\n").unwrap();
        let reference = reference.parse().unwrap();
        assert_eq!(all.lookaside(&reference).map(Url::as_str), lookaside);
        assert_eq!(all.uses_attachments(&reference), attachments);
    }

    #[rstest]
    #[case("default-docker: {}", "another file")]
    #[case("docker: {registry.example.com: {}}", "another file")]
    #[case("docker: {a.example.com: {lookaside: 'ftp://a'}}", "in `a.example.com`")]
    #[case("docker: [", "")]
    #[case("docker: {a: {}, a: {}}", "")]
    fn mistakes(#[case] text: &str, #[case] expected: &str) {
        let mut all = RegistriesD::default();
        all.add("a.yaml", FILE.as_bytes()).unwrap();
        let error = all.add("b.yaml", text.as_bytes()).unwrap_err();
        assert!(error.reason.contains(expected) && error.file == "b.yaml", "{error}");
    }

    #[test]
    fn directories_are_read() {
        let dir = tempfile::tempdir().unwrap();
        assert!(RegistriesD::read(&dir.path().join("none")).is_ok());
        std::fs::write(dir.path().join("a.yaml"), FILE).unwrap();
        std::fs::write(dir.path().join("b.conf"), "[").unwrap();
        let all = RegistriesD::read(dir.path()).unwrap();
        assert_eq!(all.sections.len(), 3);
        std::fs::write(dir.path().join("c.yaml"), FILE).unwrap();
        assert!(RegistriesD::read(dir.path()).unwrap_err().file.ends_with("c.yaml"));
    }
}
