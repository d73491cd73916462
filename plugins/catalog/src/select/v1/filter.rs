//! What a configuration wants of each channel.

use super::super::{check_channels, has_range};
use crate::blang::VersionRange;
use crate::model::{Channel, Package};
use crate::problem::Problem;
use crate::settings::{ChannelFilter, PackageEntry, given};
use crate::version::{self, Range};
use semver::Version;

/// What to keep of a channel.
#[derive(Clone, Debug)]
pub(super) enum Filter {
    All,
    Head,
    /// All in a range, whatever the graph; and how to talk about it.
    Range(VersionRange, Range),
    /// A version and what leads from it to the head.
    From(Version),
}

/// What to keep of which channel.
#[derive(Clone, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) channel: &'a Channel,
    pub(super) filter: Filter,
    /// Whether the channel was given these versions, so that it has to have one of them.
    pub(super) own: bool,
}

impl Wanted<'_> {
    /// Returns the version from which the channel is kept.
    pub(super) fn floor(&self) -> Option<&Version> {
        match &self.filter {
            Filter::From(version) => Some(version),
            _ => None,
        }
    }
}

/// A filter that may be given at a package or a channel. None means that there is none.
fn versions(
    min: &Option<String>,
    max: &Option<String>,
    bundle: &Option<String>,
    package: &str,
) -> Result<Option<Filter>, Problem> {
    let text = match (given(min), given(max)) {
        // The name of the bundle is not used: the whole channel is kept.
        (None, None) => return Ok(given(bundle).map(|_| Filter::All)),
        (Some(min), None) => {
            let hint = "write versions as `1.2.3`";
            let bad = || Problem::new("operators.bad-version", format!("`{min}` is not a semantic version"));
            let version = version::parse(min).ok_or_else(|| bad().package(package).hint(hint))?;
            return Ok(Some(Filter::From(version)));
        }
        (None, Some(max)) => format!("<={max}"),
        (Some(min), Some(max)) => format!(">={min} <={max}"),
    };
    // A range that cannot be read counts as none, as it does in v1.
    let shown = Range::new(given(min), given(max)).ok().flatten();
    Ok(VersionRange::parse(&text).ok().zip(shown).map(|(range, shown)| Filter::Range(range, shown)))
}

/// Finds what is wanted of a package's channels.
pub(super) fn wanted<'a>(
    package: &'a Package,
    listed: Option<&PackageEntry>,
    full: bool,
    problems: &mut Vec<Problem>,
) -> Vec<Wanted<'a>> {
    let rest = || if full { Filter::All } else { Filter::Head };
    let Some(listed) = listed else { return every_channel(package, &rest()) };
    check_channels(package, listed, problems);
    let own = match versions(&listed.min_version, &listed.max_version, &listed.min_bundle, &package.name) {
        Ok(own) => own,
        Err(problem) => {
            problems.push(problem);
            return Vec::new();
        }
    };
    match (own, listed.channels.as_slice()) {
        (Some(Filter::Range(_, _)), channels) if !channels.is_empty() => {
            // The package's range then means nothing.
            channels.iter().filter(|c| has_range(&c.min_version, &c.max_version)).for_each(|channel| {
                problems.push(exclusive(package, channel));
            });
            of_listed(package, listed, rest, problems)
        }
        // A minimum or a bundle is looked for in every channel, whatever is listed.
        (Some(filter), _) => every_channel(package, &filter),
        (None, []) => every_channel(package, &rest()),
        (None, _) => of_listed(package, listed, rest, problems),
    }
}

fn every_channel<'a>(package: &'a Package, filter: &Filter) -> Vec<Wanted<'a>> {
    let wanted = |channel| Wanted { channel, filter: filter.clone(), own: false };
    package.channels.iter().map(wanted).collect()
}

fn of_listed<'a>(
    package: &'a Package,
    listed: &PackageEntry,
    rest: impl Fn() -> Filter,
    problems: &mut Vec<Problem>,
) -> Vec<Wanted<'a>> {
    let mut wanted = Vec::new();
    for filter in &listed.channels {
        let Some(channel) = package.channel(&filter.name) else { continue };
        match versions(&filter.min_version, &filter.max_version, &filter.min_bundle, &package.name) {
            Ok(own) => wanted.push(Wanted { channel, filter: own.unwrap_or_else(&rest), own: true }),
            Err(problem) => problems.push(problem),
        }
    }
    wanted
}

fn exclusive(package: &Package, channel: &ChannelFilter) -> Problem {
    let message = format!("versions are given for the package and for its channel `{}`", channel.name);
    Problem::new("operators.mixed", message).package(&package.name).hint("remove one of them")
}
