//! [`matching`]: which entries of a configuration are the catalogs of a cluster. They have other hosts there, and may be
//! below a prefix.

use oc_mirror_catalog::Entry;

use super::OfCluster;
use crate::target::Target;

/// The catalogs that come with OpenShift, and where they are from.
const SHIPPED: [&str; 4] = [
    "redhat-operator-index",
    "certified-operator-index",
    "community-operator-index",
    "redhat-marketplace-index",
];
const HOME: &str = "registry.redhat.io/redhat";

/// A minor version of OpenShift.
type Minor = (u64, u64);

/// Where an entry is to be found on clusters.
pub(super) struct Known {
    target: Option<Target>,
}

impl Known {
    pub(super) fn of(entry: &Entry) -> Self {
        Self { target: Target::of(entry).ok() }
    }
}

/// Finds the entries of an operator's catalogs, those for lower versions of OpenShift first.
///
/// Catalogs are tagged with the version of OpenShift that they are for. Besides the one that a cluster has, an entry counts
/// for the versions that the cluster passes through.
pub(super) fn matching(known: &[Known], operator: &OfCluster) -> Vec<usize> {
    let current = minor(&operator.openshift);
    let last = operator.installed.passes.iter().filter_map(|passed| minor(passed)).max().or(current);
    let mut same: Vec<(Option<Minor>, usize, bool)> = Vec::new();
    for (place, known) in known.iter().enumerate() {
        let Some(target) = &known.target else { continue };
        let images = operator.catalogs.iter().map(|image| parts(image));
        let mut tags = images.filter(|(path, _)| is_below(path, &target.repository)).peekable();
        if tags.peek().is_none() {
            continue;
        }
        let is_own = tags.any(|(_, tag)| tag.is_some() && tag == target.tag.as_deref());
        same.push((target.tag.as_deref().and_then(minor), place, is_own));
    }
    let counts = |(version, _, is_own): &&(Option<Minor>, usize, bool)| {
        let passed = version
            .zip(current)
            .zip(last)
            .is_some_and(|((version, current), last)| (current..=last).contains(&version));
        *is_own || passed
    };
    let mut chosen: Vec<_> = same.iter().filter(counts).copied().collect();
    if chosen.is_empty() {
        chosen = same;
    }
    chosen.sort_unstable();
    chosen.into_iter().map(|(_, place, _)| place).collect()
}

/// Names the catalog that an image on a cluster was mirrored from, if it came with OpenShift.
pub(super) fn original(image: &str) -> Option<String> {
    let (path, tag) = parts(image);
    let name = SHIPPED.iter().find(|name| is_below(path, &format!("redhat/{name}")))?;
    Some(format!("{HOME}/{name}:{}", tag?))
}

/// Splits an image into its path, whatever the host, and its tag.
fn parts(image: &str) -> (&str, Option<&str>) {
    let image = image.split_once('@').map_or(image, |(named, _)| named);
    let colon = image.rfind(':').filter(|colon| !image[*colon..].contains('/'));
    colon.map_or((image, None), |colon| (&image[..colon], Some(&image[colon + 1..])))
}

/// Tells whether a path is a repository below some prefix. Targets without nested paths join its parts with `-`.
fn is_below(path: &str, repository: &str) -> bool {
    let ends = |repository: &str, before: &[char]| {
        path.strip_suffix(repository).is_some_and(|prefix| prefix.is_empty() || prefix.ends_with(before))
    };
    ends(repository, &['/']) || ends(&repository.replace('/', "-"), &['/', '-'])
}

/// Reads `v4.18`, `4.18` or `4.18.3`.
fn minor(text: &str) -> Option<Minor> {
    let mut numbers = text.trim_start_matches('v').split('.').map(|number| number.parse::<u64>().ok());
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case("redhat/redhat-operator-index:v4.18", "4.18", "", &[0])]
    #[case("m.example:5000/ocp/redhat/redhat-operator-index:v4.18", "4.18", "", &[0])]
    #[case("m.example/ocp-redhat-redhat-operator-index:v4.18", "4.18", "", &[0])]
    // Those of the versions on the way come after it, in their order.
    #[case("redhat/redhat-operator-index:v4.18", "4.18", "4.19 4.20", &[0, 2])]
    #[case("redhat/redhat-operator-index:v4.18", "4.18", "4.19", &[0])]
    // Without one of the right version, all of them.
    #[case("redhat/redhat-operator-index:v4.12", "4.12", "", &[1, 0, 2])]
    #[case("own/index:latest", "4.18", "4.20", &[3])]
    #[case("own/index@sha256:ab", "4.18", "4.20", &[3])]
    #[case("m.example/not-redhat/redhat-operator-index-2:v4.18", "4.18", "", &[])]
    #[case("m.example/xredhat/redhat-operator-index:v4.18", "4.18", "", &[])]
    fn entries(
        #[case] image: &str,
        #[case] openshift: &str,
        #[case] passes: &str,
        #[case] expected: &[usize],
    ) {
        let catalogs = [
            "registry.redhat.io/redhat/redhat-operator-index:v4.18",
            "registry.redhat.io/redhat/redhat-operator-index:v4.16",
            "registry.redhat.io/redhat/redhat-operator-index:v4.20",
            "quay.io/own/index:latest",
        ];
        let known =
            catalogs.map(|catalog| Known::of(&Entry { catalog: catalog.to_owned(), ..Entry::default() }));
        let passes: Vec<&str> = passes.split_whitespace().collect();
        let operator = serde_json::from_value(json!({
            "cluster": "a", "package": "p", "catalogs": [image], "openshift": openshift, "passes": passes,
        }));
        assert_eq!(matching(&known, &operator.expect("an operator")), expected);
    }

    #[rstest]
    #[case(
        "redhat/certified-operator-index:v4.18",
        Some("registry.redhat.io/redhat/certified-operator-index:v4.18")
    )]
    #[case(
        "m.example:5000/a/redhat/redhat-operator-index:v4.9",
        Some("registry.redhat.io/redhat/redhat-operator-index:v4.9")
    )]
    #[case("redhat/certified-operator-index@sha256:ab", None)]
    #[case("own/index:v4.18", None)]
    fn originals(#[case] image: &str, #[case] expected: Option<&str>) {
        assert_eq!(original(image).as_deref(), expected);
    }
}
