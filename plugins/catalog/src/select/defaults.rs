//! The default channel of a package, by the rules of v1alpha2.

use super::SelectedPackage;
use crate::model::Package;
use crate::nearest::quoted;
use crate::problem::Problem;
use crate::settings::{PackageEntry, given};

/// Chooses the default channel of what is kept.
///
/// The original one if it is still there; else the one that is configured, the only channel that is configured, or
/// the one of the highest priority.
pub(super) fn choose(
    package: &Package,
    listed: Option<&PackageEntry>,
    kept: &mut SelectedPackage,
) -> Result<(), Problem> {
    let there = |name: &&str| kept.channel(name).is_some();
    let configured = listed.and_then(|listed| given(&listed.default_channel));
    let only = listed.and_then(|listed| match listed.channels.as_slice() {
        [channel] => Some(channel.name.as_str()),
        _ => None,
    });
    let chosen = Some(package.default_channel.as_str())
        .filter(there)
        .or(configured.filter(there))
        .or(only.filter(there))
        .or_else(|| highest_priority(package, kept));
    match chosen.map(str::to_owned) {
        Some(name) => {
            kept.default_channel = name;
            Ok(())
        }
        None => Err(undetermined(package, kept)),
    }
}

fn highest_priority<'a>(package: &'a Package, kept: &SelectedPackage) -> Option<&'a str> {
    let there = package.channels.iter().filter(|channel| kept.channel(&channel.name).is_some());
    let ranked = there.filter_map(|channel| Some((channel.priority?, channel.name.as_str())));
    ranked.max().map(|(_, name)| name)
}

fn undetermined(package: &Package, kept: &SelectedPackage) -> Problem {
    let message = format!("the default channel `{}` is not among what is kept", package.default_channel);
    let names: Vec<_> = kept.channels.iter().map(|channel| channel.name.as_str()).collect();
    let hint = format!(
        "set `defaultChannel` of the package to one of {}, or let the versions include the default channel",
        quoted(&names)
    );
    Problem::new("operators.default-channel", message).package(&package.name).hint(hint)
}
