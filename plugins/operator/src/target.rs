//! [`Target`]: under which name a catalog is mirrored.

use oc_mirror_catalog::Entry;
use oc_mirror_plugin_sdk::reference::{Source, check_repository, check_tag};

/// The tag of a catalog on disk that nobody gave another one.
const LATEST: &str = "latest";

/// Where a catalog goes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The name that users know it by.
    pub(crate) origin: String,
    /// The repository.
    pub(crate) repository: String,
    /// The tag; nothing where it is made of the digest of what is mirrored.
    pub(crate) tag: Option<String>,
}

impl Target {
    /// Finds the names of a catalog, or says what is wrong with them.
    ///
    /// The rules are those of oc-mirror v2: the path is kept, that of a directory is its last component; the tag is
    /// kept, and a directory has `latest`; `targetCatalog` and `targetTag` win.
    pub(crate) fn of(entry: &Entry) -> Result<Self, String> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let source: Source = entry.catalog.parse().map_err(|e| format!("`{}`: {e}", entry.catalog))?;
        let (path, tag) = match &source {
            Source::Registry(reference) if reference.tag.is_none() && reference.digest.is_none() => {
                return Err(format!("`{}` has neither tag nor digest", entry.catalog));
            }
            Source::Registry(reference) => (reference.repository.clone(), reference.tag.clone()),
            Source::Layout(layout) => {
                let path = layout.path.trim_end_matches('/');
                let name = path.rsplit('/').next().unwrap_or(path).to_lowercase();
                (name, Some(LATEST.to_owned()))
            }
        };
        let repository = given(&entry.target_catalog).unwrap_or(path);
        check_repository(&repository).map_err(|e| {
            format!("`{repository}` cannot be the name of a repository ({e}); set `targetCatalog`")
        })?;
        let tag = given(&entry.target_tag).or(tag);
        if let Some(Err(reason)) = tag.as_deref().map(check_tag) {
            return Err(format!("`{}` cannot be a tag: {reason}", tag.unwrap_or_default()));
        }
        Ok(Self { origin: source.to_string(), repository, tag })
    }
}

/// Names the same image by its digest.
pub(crate) fn pinned(catalog: &str, digest: &str) -> String {
    let source = catalog.parse::<Source>();
    source.map_or_else(|_| catalog.to_owned(), |source| source.at_digest(digest).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn entry(catalog: &str) -> Entry {
        Entry { catalog: catalog.to_owned(), ..Entry::default() }
    }

    #[rstest]
    #[case("docker://quay.io/a/index:v1", "a/index", Some("v1"))]
    #[case("quay.io/a/index:v1", "a/index", Some("v1"))]
    #[case(&format!("quay.io/a/index@{DIGEST}"), "a/index", None)]
    #[case("oci:///srv/Catalogs/My-Index", "my-index", Some("latest"))]
    #[case(&format!("oci:///srv/my-index@{DIGEST}"), "my-index", Some("latest"))]
    fn names(#[case] catalog: &str, #[case] repository: &str, #[case] tag: Option<&str>) {
        let target = Target::of(&entry(catalog)).expect("valid");
        assert_eq!((target.repository.as_str(), target.tag.as_deref()), (repository, tag));
    }

    #[test]
    fn what_is_given_wins() {
        let entry = Entry {
            target_catalog: Some("x/y".into()),
            target_tag: Some("v2".into()),
            ..entry(&format!("quay.io/a/index@{DIGEST}"))
        };
        let target = Target::of(&entry).expect("valid");
        assert_eq!((target.repository.as_str(), target.tag.as_deref()), ("x/y", Some("v2")));
        assert!(Target::of(&Entry { target_tag: Some("a/b".into()), ..entry }).is_err());
    }

    #[test]
    fn a_catalog_without_tag_is_refused() {
        assert!(
            Target::of(&entry("quay.io/a/index")).expect_err("no tag").contains("neither tag nor digest")
        );
    }

    #[test]
    fn a_pinned_name_has_no_tag() {
        assert_eq!(pinned("docker://quay.io/a/index:v1", DIGEST), format!("quay.io/a/index@{DIGEST}"));
    }
}
