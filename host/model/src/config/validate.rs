//! What a configuration means: the rules that its form does not show. [`Validator`] reports; it changes only what the
//! rules say is read as something else.

use std::collections::BTreeMap;

use super::check::Places;
use super::operators::{Operator, Package};
use super::problem::{Problem, Problems};
use super::releases::ReleasePlatform;
use super::schema::DocumentKind;
use super::types::{AdditionalImage, Mirror};
use super::validate_extensions;
use super::validate_helm;
use super::version::Version;
use crate::redact::has_credentials;
use crate::reference::{InvalidReference, Reference, Source};

/// The architectures for which there are release payloads.
const ARCHITECTURES: [&str; 5] = ["amd64", "arm64", "ppc64le", "s390x", "multi"];

pub(super) struct Validator<'a> {
    pub(super) kind: DocumentKind,
    pub(super) places: &'a Places,
    pub(super) problems: &'a mut Problems,
}

impl Validator<'_> {
    /// Checks all sections.
    pub(super) fn mirror(&mut self, mirror: &mut Mirror) {
        let root = self.kind.root_section();
        if let Some(platform) = &mirror.platform {
            self.platform(platform, &format!("{root}.platform"));
        }
        self.operators(&mirror.operators, &format!("{root}.operators"));
        for (index, image) in mirror.additional_images.iter_mut().enumerate() {
            self.additional_image(image, &format!("{root}.additionalImages[{index}]"));
        }
        if let Some(helm) = &mirror.helm {
            validate_helm::helm(self, helm, &format!("{root}.helm"));
        }
        validate_extensions::blocked_images(self, &mut mirror.blocked_images, root);
        validate_extensions::plugins(self, &mut mirror.plugins, root);
        validate_extensions::policies(self, &mut mirror.policies, root);
    }

    pub(super) fn error(&mut self, path: &str, message: impl Into<String>, hint: &str) {
        if let Some(problem) = self.problem(path, message.into(), hint) {
            self.problems.error(problem);
        }
    }

    pub(super) fn warn(&mut self, path: &str, message: impl Into<String>, hint: &str) {
        if let Some(problem) = self.problem(path, message.into(), hint) {
            self.problems.warn(problem);
        }
    }

    /// Makes a problem, but not about a value that says nothing because it was reported before.
    fn problem(&self, path: &str, message: String, hint: &str) -> Option<Problem> {
        let new = !self.places.is_broken(path);
        new.then(|| Problem::new(self.places.nearest(path), path, message).with_hint(hint))
    }

    fn is_v1(&self) -> bool {
        self.kind == DocumentKind::ImageSetV1Alpha2
    }

    /// Reports what oc-mirror v2 refuses: an error, but in the older version, which takes it, a warning.
    fn refuse_since_v2(&mut self, path: &str, message: String, hint: &str) {
        match self.is_v1() {
            true => self.warn(path, message, hint),
            false => self.error(path, message, hint),
        }
    }

    /// Returns the paths of the entries of a list whose key occurred before, each with a message.
    fn duplicates<'k>(
        &self,
        list: &str,
        key: &str,
        names: impl Iterator<Item = &'k str>,
    ) -> Vec<(String, String)> {
        let mut first: BTreeMap<&str, usize> = BTreeMap::new();
        let mut found = Vec::new();
        for (index, name) in names.enumerate() {
            if let Some(before) = first.get(name) {
                let line = self.places.nearest(&format!("{list}[{before}].{key}")).line;
                found.push((
                    format!("{list}[{index}].{key}"),
                    format!("`{name}` is listed twice, first in line {line}"),
                ));
            } else {
                first.insert(name, index);
            }
        }
        found
    }

    pub(super) fn unique_names<'k>(&mut self, list: &str, names: impl Iterator<Item = &'k str>, hint: &str) {
        for (path, message) in self.duplicates(list, "name", names) {
            self.error(&path, message, hint);
        }
    }

    fn platform(&mut self, platform: &ReleasePlatform, path: &str) {
        let channels = format!("{path}.channels");
        let names = platform.channels.iter().map(|channel| channel.name.as_str());
        self.unique_names(&channels, names, "keep one entry, with the range that covers both");
        for (index, channel) in platform.channels.iter().enumerate() {
            let path = format!("{channels}[{index}]");
            for (key, version) in [("minVersion", &channel.min_version), ("maxVersion", &channel.max_version)]
            {
                self.release_version(&format!("{path}.{key}"), version.as_deref());
            }
            self.range(&path, channel.min_version.as_deref(), channel.max_version.as_deref());
        }
        if !platform.platforms.is_empty() && !platform.architectures.is_empty() {
            self.error(
                &format!("{path}.platforms"),
                "`platforms` and `architectures` cannot be used together",
                "keep `architectures` to choose payloads, or `platforms` to choose images within them",
            );
        }
        for (index, architecture) in platform.architectures.iter().enumerate() {
            self.architecture(&format!("{path}.architectures[{index}]"), architecture);
        }
        self.graph(platform, path);
        if let Some(release) = &platform.release {
            let path = format!("{path}.release");
            self.reference(&path, release);
            if !platform.channels.is_empty() {
                self.warn(
                    &path,
                    "`channels` are not looked at where a `release` is given",
                    "remove one of them",
                );
            }
        }
    }

    fn graph(&mut self, platform: &ReleasePlatform, path: &str) {
        for (key, image) in [("graphImage", &platform.graph_image), ("graphBase", &platform.graph_base)] {
            if let Some(image) = image {
                self.reference(&format!("{path}.{key}"), image);
            }
        }
        if let Some(url) = &platform.graph_data_url
            && !url.starts_with("https://")
            && !url.starts_with("http://")
        {
            let message = format!("`{url}` is not a URL");
            self.error(&format!("{path}.graphDataURL"), message, "write `https://HOST/PATH`");
        }
        let how = [
            ("graphImage", &platform.graph_image),
            ("graphBase", &platform.graph_base),
            ("graphDataURL", &platform.graph_data_url),
        ];
        if let Some(url) = &platform.graph_data_url
            && has_credentials(url)
        {
            // The configuration goes along in the imageset, and so would what is written in it.
            let hint = "name a place that asks for none";
            self.error(&format!("{path}.graphDataURL"), "the URL of graph data carries a credential", hint);
        }
        if let Some((key, _)) = how.iter().find(|(_, value)| value.is_some() && !platform.graph) {
            let message = format!("`{key}` is not looked at where no `graph` is wanted");
            self.warn(&format!("{path}.{key}"), message, "write `graph: true`");
        }
    }

    fn architecture(&mut self, path: &str, architecture: &str) {
        if ARCHITECTURES.contains(&architecture) {
            return;
        }
        let hint = match architecture {
            "x86_64" => "write `amd64`".to_owned(),
            "aarch64" => "write `arm64`".to_owned(),
            _ => format!("known: {}", ARCHITECTURES.map(|name| format!("`{name}`")).join(", ")),
        };
        self.warn(path, format!("there are no releases for the architecture `{architecture}`"), &hint);
    }

    fn release_version(&mut self, path: &str, version: Option<&str>) {
        let Some(version) = version else { return };
        if !Version::parse(version).is_some_and(Version::is_complete) {
            let message = format!("`{version}` is not the version of a release");
            self.error(path, message, "give all three numbers, such as `4.18.5`");
        }
    }

    fn range(&mut self, path: &str, min: Option<&str>, max: Option<&str>) {
        let (Some(min), Some(max)) = (min, max) else { return };
        if let (Some(low), Some(high)) = (Version::parse(min), Version::parse(max))
            && low.is_above(high)
        {
            let message =
                format!("`minVersion` {min} is above `maxVersion` {max}, nothing lies between them");
            self.warn(&format!("{path}.minVersion"), message, "swap the two");
        }
    }

    /// Reports a text that is no reference; returns it parsed if it is one.
    pub(super) fn reference(&mut self, path: &str, text: &str) -> Option<Source> {
        match text.parse::<Source>() {
            Ok(source) => Some(source),
            Err(InvalidReference { text, reason }) => {
                let hint = match super::tree::looks_templated(&text) {
                    true => super::tree::TEMPLATE_HINT,
                    false => "write an image such as `quay.io/org/name:tag` or `quay.io/org/name@sha256:…`",
                };
                self.error(path, format!("`{text}` is not a reference to an image: {reason}"), hint);
                None
            }
        }
    }

    fn additional_image(&mut self, image: &mut AdditionalImage, path: &str) {
        let path = format!("{path}.name");
        let Some(Source::Registry(Reference { tag: None, digest: None, .. })) =
            self.reference(&path, &image.name)
        else {
            return;
        };
        let message = format!("`{}` has neither tag nor digest", image.name);
        if self.is_v1() {
            image.name.push_str(":latest");
            self.warn(&path, message, &format!("it is read as `{}`; write the tag", image.name));
        } else {
            self.error(&path, message, &format!("write `{}:latest` if that is meant", image.name));
        }
    }

    fn operators(&mut self, operators: &[Operator], path: &str) {
        let mut first: BTreeMap<String, usize> = BTreeMap::new();
        for (index, operator) in operators.iter().enumerate() {
            let path = format!("{path}[{index}]");
            if self.reference(&format!("{path}.catalog"), &operator.catalog).is_some()
                && let Ok(name) = operator.unique_name()
                && let Some(before) = first.insert(name.clone(), index)
            {
                let line =
                    self.places.nearest(&path.replace(&format!("[{index}]"), &format!("[{before}]"))).line;
                let message = format!("the catalog `{name}` is listed twice, first in line {line}");
                let hint = "put all packages under one entry, or tell the two apart with `targetCatalog` or `targetTag`";
                self.error(&format!("{path}.catalog"), message, hint);
            }
            self.packages(&operator.packages, &format!("{path}.packages"));
        }
    }

    fn packages(&mut self, packages: &[Package], path: &str) {
        for (at, message) in self.duplicates(path, "name", packages.iter().map(|p| p.name.as_str())) {
            self.refuse_since_v2(&at, message, "keep one entry, with all channels of both");
        }
        for (index, package) in packages.iter().enumerate() {
            self.package(package, &format!("{path}[{index}]"));
        }
    }

    fn package(&mut self, package: &Package, path: &str) {
        self.versions(path, package.min_version.as_deref(), package.max_version.as_deref());
        let channels = format!("{path}.channels");
        for (at, message) in
            self.duplicates(&channels, "name", package.channels.iter().map(|c| c.name.as_str()))
        {
            self.refuse_since_v2(&at, message, "keep one entry, with the range that covers both");
        }
        let bundles = format!("{path}.bundles");
        for (at, message) in
            self.duplicates(&bundles, "name", package.bundles.iter().map(|b| b.name.as_str()))
        {
            self.error(&at, message, "keep one of them");
        }
        let package_has_range = package.min_version.is_some() || package.max_version.is_some();
        let has_range = |c: &super::PackageChannel| c.min_version.is_some() || c.max_version.is_some();
        if !package.bundles.is_empty() && (package_has_range || package.channels.iter().any(has_range)) {
            let message =
                format!("the package `{}` has both `bundles` and a range of versions", package.name);
            self.error(&bundles, message, "choose bundles by name or by version");
        }
        for (index, channel) in package.channels.iter().enumerate() {
            let path = format!("{channels}[{index}]");
            self.versions(&path, channel.min_version.as_deref(), channel.max_version.as_deref());
            if package_has_range && (channel.min_version.is_some() || channel.max_version.is_some()) {
                let message = format!(
                    "both the package `{}` and its channel `{}` have a range of versions",
                    package.name, channel.name
                );
                self.error(
                    &path,
                    message,
                    "keep `minVersion` and `maxVersion` at the package, or at its channels",
                );
            }
        }
    }

    fn versions(&mut self, path: &str, min: Option<&str>, max: Option<&str>) {
        const HINT: &str = "give a semantic version, such as `1.2.3`";
        let bad = |version: Option<&str>| version.filter(|v| Version::parse(v).is_none()).map(str::to_owned);
        if let Some(version) = bad(min) {
            self.error(&format!("{path}.minVersion"), format!("`{version}` is not a version"), HINT);
        }
        if let Some(version) = bad(max) {
            self.refuse_since_v2(
                &format!("{path}.maxVersion"),
                format!("`{version}` is not a version"),
                HINT,
            );
        }
        self.range(path, min, max);
    }
}
