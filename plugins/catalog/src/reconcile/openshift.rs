//! [`judge`]: which updates of OpenShift an operator stands in the way of.

use serde::Serialize;

use super::{Installed, Offer, OperatorWay};

/// What has to happen to an operator before its cluster is updated to a minor version of OpenShift.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Block {
    /// The minor version.
    pub openshift: String,
    /// The bundle that may run there, to update to before; none if nothing on the way may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs: Option<String>,
    /// Where there is one that may, if it is not on the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

type Minor = (u64, u64);

/// Reads `4.18`, or the beginning of `4.18.3`.
fn minor(text: &str) -> Option<Minor> {
    let mut numbers = text.trim_start_matches('v').split('.').map(|number| number.parse::<u64>().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// Tells whether something may run on a minor version.
fn may(max: Option<&str>, version: Minor) -> bool {
    max.and_then(minor).is_none_or(|max| version <= max)
}

/// Finds what has to be updated before which minor version of OpenShift.
pub(super) fn judge(offers: &[Offer<'_>], operator: &Installed, way: &mut OperatorWay) {
    let bundles = || {
        let offers = operator.offers.iter().filter_map(|offer| offers.get(*offer));
        let packages = offers.filter_map(|offer| offer.catalog.package(&operator.package));
        packages.flat_map(|package| package.channels.iter().map(move |channel| (package, channel)))
    };
    let installed = operator.bundle.as_deref().unwrap_or_default();
    let in_catalog = || bundles().find_map(|(package, _)| package.bundle(installed)?.max_openshift.clone());
    let own = operator.max_openshift.clone().or_else(in_catalog);
    let hops: Vec<_> = way.stages.iter().flat_map(|stage| &stage.hops).collect();
    let mut blocks: Vec<Block> = Vec::new();
    // How far along its way the operator has to be already.
    let mut done = 0;
    for passed in &operator.passes {
        let Some(version) = minor(passed) else { continue };
        let current = match done {
            0 => own.as_deref(),
            count => hops[count - 1].max_openshift.as_deref(),
        };
        if operator.bundle.is_none() || may(current, version) {
            continue;
        }
        let next = hops.iter().skip(done).position(|hop| may(hop.max_openshift.as_deref(), version));
        let mut block = Block { openshift: passed.clone(), ..Block::default() };
        match next {
            Some(next) => {
                done += next + 1;
                block.needs = Some(hops[done - 1].bundle.clone());
            }
            None => {
                let heads = bundles().filter_map(|(package, channel)| {
                    let may_run = |name: &str| {
                        let bundle = package.bundle(name);
                        bundle.is_some_and(|bundle| may(bundle.max_openshift.as_deref(), version))
                    };
                    channel.entries.iter().any(|entry| may_run(&entry.name)).then_some(channel.name.as_str())
                });
                let channels: std::collections::BTreeSet<&str> = heads.collect();
                block.hint = Some(match channels.is_empty() {
                    true => {
                        format!("no bundle of the package may run on {passed}; look into a newer catalog")
                    }
                    false => {
                        let names: Vec<&str> = channels.into_iter().collect();
                        format!("channels with bundles that may run on {passed}: {}", names.join(", "))
                    }
                });
            }
        }
        blocks.push(block);
    }
    way.blocks = blocks;
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(None, "4.19", true)]
    #[case(Some("4.18"), "4.18", true)]
    #[case(Some("4.18"), "4.19", false)]
    #[case(Some("4.9"), "4.10", false)]
    #[case(Some("4.18.0"), "4.18", true)]
    #[case(Some("what"), "4.18", true)]
    fn who_may_run(#[case] max: Option<&str>, #[case] version: &str, #[case] expected: bool) {
        assert_eq!(may(max, minor(version).expect("a minor version")), expected);
    }
}
