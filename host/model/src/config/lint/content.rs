//! Releases, and images that are refused.

use regex::Regex;

use super::super::types::Mirror;
use super::super::version::Version;
use super::super::{ReleaseChannel, ReleaseType};
use super::{Linter, lifecycle};

/// The lowest and highest version of a range that has both.
pub(super) fn bounds(min: Option<&str>, max: Option<&str>) -> Option<(Version, Version)> {
    Some((Version::parse(min?)?, Version::parse(max?)?))
}

/// Answers whether two ranges have anything in common but an end.
pub(super) fn overlap(a: (Version, Version), b: (Version, Version)) -> bool {
    b.1.is_above(a.0) && a.1.is_above(b.0)
}

impl Linter<'_> {
    pub(super) fn platform(&mut self, mirror: &Mirror) {
        let Some(platform) = &mirror.platform else { return };
        let path = "mirror.platform";
        for (key, image) in [("release", &platform.release), ("graphImage", &platform.graph_image)] {
            if let Some(image) = image {
                self.pinned(&format!("{path}.{key}"), image);
            }
        }
        for (index, channel) in platform.channels.iter().enumerate() {
            let path = format!("{path}.channels[{index}]");
            let has_range = channel.min_version.is_some() || channel.max_version.is_some();
            if channel.full && !has_range {
                self.warn(
                    "whole-channel",
                    &path,
                    format!("every release of `{}` is mirrored, each of many gigabytes", channel.name),
                    "give `minVersion`, and `shortestPath: true` for just what an update needs",
                );
            }
            self.support(&path, channel, &platform.channels);
            let range = bounds(channel.min_version.as_deref(), channel.max_version.as_deref());
            let before = platform.channels[..index].iter().enumerate().find(|(_, other)| {
                let other_range = bounds(other.min_version.as_deref(), other.max_version.as_deref());
                other.kind == channel.kind && range.zip(other_range).is_some_and(|(a, b)| overlap(a, b))
            });
            if let Some((before, other)) = before {
                let place = format!("mirror.platform.channels[{before}]");
                self.overlapping(&path, &channel.name, &other.name, &place);
            }
        }
    }

    /// Tells of a channel whose newest version is no longer supported. Where a later one is wanted too, it is on the way there.
    fn support(&mut self, path: &str, channel: &ReleaseChannel, all: &[ReleaseChannel]) {
        let Some(today) = self.today.filter(|_| channel.kind == ReleaseType::Ocp) else { return };
        let newest = |channel: &ReleaseChannel| {
            lifecycle::minor(channel.max_version.as_deref().unwrap_or(&channel.name))
        };
        let Some((minor, end)) = newest(channel).and_then(|m| Some((m, lifecycle::ended(m, today)?))) else {
            return;
        };
        let is_on_the_way = all.iter().any(|other| {
            other.kind == channel.kind
                && newest(other)
                    .is_some_and(|later| later > minor && lifecycle::ended(later, today).is_none())
        });
        let on = if end.starts_with('2') { "on " } else { "" };
        let message = format!("the support of OpenShift 4.{minor} ended {on}{end}");
        let hint = format!(
            "mirror a later channel as well, so that clusters can leave it; {} has the dates",
            lifecycle::POLICY
        );
        match is_on_the_way {
            true => self.note("end-of-life", path, message, hint),
            false => self.warn("end-of-life", path, message, hint),
        }
    }

    pub(super) fn blocked(&mut self, mirror: &Mirror) {
        for (index, image) in mirror.blocked_images.iter().enumerate() {
            let path = format!("mirror.blockedImages[{index}]");
            // An expression is searched for, so one that finds itself in nothing is found in everything.
            let expression = image.name.as_deref().and_then(|name| Regex::new(name).ok());
            let blocks_all = expression.is_some_and(|e| e.is_match("")) || image.glob.as_deref() == Some("*");
            if blocks_all {
                self.warn("blocks-all", &path, "it blocks every image", "name what is to be refused");
            }
            if let Some(before) = mirror.blocked_images[..index].iter().position(|other| other == image) {
                let line = self.line(&format!("mirror.blockedImages[{before}]"));
                let message = format!("the same is blocked in line {line}");
                self.note("duplicate", &path, message, "remove one of them");
            }
        }
    }
}
