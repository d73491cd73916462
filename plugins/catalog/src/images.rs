//! The images that a selection needs.

use std::collections::BTreeMap;

use crate::model::{Bundle, Catalog, Package};
use crate::nearest::quoted;
use crate::problem::{Note, Problem, Problems, SelectError};
use crate::select::Selection;
use crate::settings::{Parts, without_transport};

/// An image of a selection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image<'a> {
    /// The reference, as the catalog has it.
    pub reference: &'a str,
    /// What it is.
    pub kind: ImageKind,
    /// The package of the first bundle that needs it.
    pub package: &'a str,
    /// The bundles that need it.
    pub bundles: Vec<&'a str>,
    /// The package of each of these bundles.
    pub packages: Vec<&'a str>,
}

/// What an image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageKind {
    /// A bundle's own image.
    Bundle,
    /// An image that a bundle names.
    Related,
}

/// The images of a selection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Images<'a> {
    images: Vec<Image<'a>>,
    /// What was skipped.
    pub notes: Vec<Note>,
}

impl<'a> IntoIterator for Images<'a> {
    type Item = Image<'a>;
    type IntoIter = std::vec::IntoIter<Image<'a>>;

    fn into_iter(self) -> Self::IntoIter {
        self.images.into_iter()
    }
}

impl<'a> Images<'a> {
    /// Returns the images, each once, in the order of packages, bundles and their images.
    pub fn iter(&self) -> std::slice::Iter<'_, Image<'a>> {
        self.images.iter()
    }
}

impl Selection {
    /// Returns the images of all kept bundles, or names all of those that cannot be pulled.
    ///
    /// A related image without a reference is skipped with a note: real catalogs have such.
    pub fn images<'a>(&self, catalog: &'a Catalog) -> Result<Images<'a>, SelectError> {
        let mut found = Collector::default();
        for kept in &self.packages {
            let Some(package) = catalog.package(&kept.name) else { continue };
            for bundle in kept.bundles.iter().filter_map(|name| package.bundle(name)) {
                found.add_bundle(package, bundle);
            }
        }
        Problems::check(found.problems)?;
        Ok(found.images)
    }
}

#[derive(Default)]
struct Collector<'a> {
    images: Images<'a>,
    places: BTreeMap<&'a str, usize>,
    problems: Vec<Problem>,
}

impl<'a> Collector<'a> {
    fn add_bundle(&mut self, package: &'a Package, bundle: &'a Bundle) {
        if !bundle.image.is_empty() {
            self.add(package, bundle, &bundle.image, ImageKind::Bundle);
        }
        let empty = bundle.related.iter().filter(|image| image.is_empty()).count();
        if empty > 0 {
            let what = if empty == 1 { "a related image" } else { "some related images" };
            let message = format!("{what} of `{}` without a reference, skipped", bundle.name);
            self.images.notes.push(Note::new("empty-image", &package.name, message));
        }
        for image in bundle.related.iter().filter(|image| !image.is_empty()) {
            self.add(package, bundle, image, ImageKind::Related);
        }
    }

    fn add(&mut self, package: &'a Package, bundle: &'a Bundle, reference: &'a str, kind: ImageKind) {
        if let Some(place) = self.places.get(reference) {
            let image = &mut self.images.images[*place];
            let last = (image.packages.last().copied(), image.bundles.last().copied());
            if last != (Some(&package.name), Some(&bundle.name)) {
                image.bundles.push(&bundle.name);
                image.packages.push(&package.name);
            }
            if kind == ImageKind::Bundle {
                image.kind = kind;
            }
            return;
        }
        if let Err(reason) = check(reference) {
            let message = format!("the bundle `{}` has the image `{reference}`, which {reason}", bundle.name);
            let problem = Problem::new("operators.image", message).package(&package.name);
            let hint = "ask whoever publishes the catalog, or leave the bundle out";
            self.problems.push(problem.file(package.file_name(bundle.file)).hint(hint));
        }
        self.places.insert(reference, self.images.images.len());
        let (bundles, packages) = (vec![bundle.name.as_str()], vec![package.name.as_str()]);
        self.images.images.push(Image { reference, kind, package: &package.name, bundles, packages });
    }
}

/// Checks that a reference can be pulled; the error completes "the image …, which …".
fn check(reference: &str) -> Result<(), String> {
    if reference.starts_with("oci:") {
        return Err("is a directory".to_owned());
    }
    if reference.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("is not a reference".to_owned());
    }
    let parts = Parts::of(without_transport(reference));
    let is_digest = |digest: &str| {
        let (algorithm, hex) = digest.split_once(':').unwrap_or_default();
        !algorithm.is_empty() && hex.len() >= 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    match (parts.path.is_empty(), parts.tag, parts.digest) {
        (true, _, _) => Err("has no name".to_owned()),
        (_, _, Some(digest)) if !is_digest(digest) => {
            Err(format!("has no valid digest: {}", quoted(&[digest])))
        }
        (_, Some(""), _) | (_, None, None) => Err("has neither a tag nor a digest".to_owned()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{catalog, v2};
    use rstest::rstest;
    use serde_json::json;

    const DIGEST: &str = "sha256:1ce8c0187c8fe6b4be327dc848b8baf062ce1baa5096b4f5d955893d126d5b58";

    #[rstest]
    #[case("quay.io/a/b:v1", true)]
    #[case("docker://quay.io/a/b:v1", true)]
    #[case("a/b:v1@D", true)]
    #[case("quay.io:5000/a/b@D", true)]
    #[case("quay.io:5000/a/b", false)]
    #[case("quay.io/a/b", false)]
    #[case("quay.io/a/b@sha256:12", false)]
    #[case("oci:///a/b", false)]
    #[case("a b:v1", false)]
    #[case(":v1", false)]
    #[case("a:", false)]
    fn references(#[case] reference: &str, #[case] good: bool) {
        assert_eq!(check(&reference.replace('D', DIGEST)).is_ok(), good);
    }

    #[test]
    fn each_image_comes_once() {
        let mut catalog = catalog("p stable: p.v1.0.0 p.v2.0.0>p.v1.0.0");
        let related =
            ["quay.io/p/shared:1", "quay.io/p/bundle:v1.0.0", "", "quay.io/p/shared:1"].map(str::to_owned);
        catalog.packages[0].bundles[1].related = related.to_vec();
        let selection = v2(&catalog, json!({"full": true})).expect("a selection");
        let images = selection.images(&catalog).expect("images");
        let found: Vec<_> = images.iter().map(|i| (i.reference, i.kind, i.bundles.len())).collect();
        assert_eq!(
            found,
            [
                ("quay.io/p/bundle:v1.0.0", ImageKind::Bundle, 2),
                ("quay.io/p/operator:v1.0.0", ImageKind::Related, 1),
                // Not among the related images, and yet needed.
                ("quay.io/p/bundle:v2.0.0", ImageKind::Bundle, 1),
                ("quay.io/p/shared:1", ImageKind::Related, 1),
            ]
        );
        assert_eq!(images.notes.len(), 1);
    }

    #[test]
    fn all_bad_images_are_named() {
        let mut catalog = catalog("p stable: p.v1.0.0");
        catalog.packages[0].bundles[0].related = vec!["oci:///x".into(), "quay.io/x".into()];
        let selection = v2(&catalog, json!({})).expect("a selection");
        let error = selection.images(&catalog).expect_err("two bad images");
        assert_eq!(error.problems.len(), 2);
        assert!(error.to_string().contains("`p.v1.0.0` has the image `quay.io/x`"), "{error}");
    }
}
