//! Things that are listed twice: the same image or chart, and images that would be one at the target.

use std::collections::BTreeMap;

use super::super::types::{AdditionalImage, Mirror};
use super::Linter;
use crate::reference::Source;

/// Where an image goes at a target, whatever registry it is from.
fn target(image: &AdditionalImage) -> Option<(String, String)> {
    let Ok(Source::Registry(reference)) = image.source() else { return None };
    let repository = image.target_repo.as_ref().unwrap_or(&reference.repository).to_string();
    let tag = image.target_tag.as_ref().or(reference.tag.as_ref())?;
    Some((repository, tag.to_string()))
}

impl Linter<'_> {
    pub(super) fn images(&mut self, mirror: &Mirror) {
        let mut first: BTreeMap<(String, Option<(String, String)>), usize> = BTreeMap::new();
        let mut taken: BTreeMap<(String, String), usize> = BTreeMap::new();
        let path = |index: usize| format!("mirror.additionalImages[{index}].name");
        for (index, image) in mirror.additional_images.iter().enumerate() {
            self.pinned(&path(index), &image.name);
            let Ok(source) = image.source() else { continue };
            let target = target(image);
            if let Some(before) = first.get(&(source.to_string(), target.clone())) {
                let line = self.line(&path(*before));
                let message = format!("`{source}` is listed twice, first in line {line}");
                self.warn("duplicate", &path(index), message, "remove one of them");
                continue;
            }
            first.insert((source.to_string(), target.clone()), index);
            let Some(target) = target else { continue };
            match taken.get(&target) {
                Some(before) => {
                    let line = self.line(&path(*before));
                    let (repository, tag) = target;
                    self.error(
                        "same-place",
                        &path(index),
                        format!(
                            "it goes to `{repository}:{tag}` at a target, as the image in line {line} does"
                        ),
                        "give one of them a `targetRepo` or `targetTag`",
                    );
                }
                None => drop(taken.insert(target, index)),
            }
        }
    }

    pub(super) fn charts(&mut self, mirror: &Mirror) {
        let Some(helm) = &mirror.helm else { return };
        let mut first: BTreeMap<(String, &str, Option<&str>), String> = BTreeMap::new();
        for (index, repository) in helm.repositories.iter().enumerate() {
            let path = format!("mirror.helm.repositories[{index}]");
            if repository.charts.is_empty() {
                self.warn(
                    "whole-repository",
                    &path,
                    format!(
                        "every version of every chart in `{}` is mirrored, with all images",
                        repository.name
                    ),
                    "list the wanted ones under `charts`",
                );
            }
            for (index, chart) in repository.charts.iter().enumerate() {
                let path = format!("{path}.charts[{index}].name");
                if chart.version.is_none() {
                    let message =
                        format!("the newest version of the chart `{}` is taken in each run", chart.name);
                    self.note("unpinned", &path, message, "write its `version`");
                }
                let url = repository.url.trim_end_matches('/').to_owned();
                let key = (url, chart.name.as_str(), chart.version.as_deref());
                if let Some(before) = first.get(&key) {
                    let line = self.line(before);
                    let message = format!("the chart `{}` is listed twice, first in line {line}", chart.name);
                    self.warn("duplicate", &path, message, "remove one of them");
                } else {
                    first.insert(key, path);
                }
            }
        }
    }
}
