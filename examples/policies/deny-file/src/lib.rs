//! A custom policy: refuses images in which there is a file, say of a shell or of a licence that nobody wants.
//!
//! It reads layers, so its stage is `content`: mirroring to disk, it is asked once they are fetched, and reads them where
//! they are. What an upper layer has removed is not there.

use oc_mirror_plugin_sdk::{
    Error, Finding, Image, ImageRequest, Plugin, Policy, Problem, Verdict, each_image, export_plugin,
    finding, problem,
};
use serde::Deserialize;

/// What the user writes under `config`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What must not be there.
    paths: Vec<String>,
}

/// The policy.
struct DenyFile(Settings);

impl Plugin for DenyFile {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, Vec<Problem>> {
        let bad = settings.paths.iter().enumerate().filter(|(_, path)| !is_plain(path));
        let problem = |(number, path): (usize, &String)| {
            let message = format!("`{path}` is not an absolute, plain path");
            problem(format!("paths[{number}]"), "deny-file.path", message)
        };
        let problems: Vec<Problem> = bad.map(problem).collect();
        if problems.is_empty() { Ok(Self(settings)) } else { Err(problems) }
    }
}

fn is_plain(path: &str) -> bool {
    path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(|part| !matches!(part, "" | "." | "..")))
}

impl Policy for DenyFile {
    fn evaluate(&self, request: &ImageRequest, image: &Image) -> Result<Verdict, Error> {
        let mut findings = Vec::new();
        each_image(image, &request.platforms, &mut |image| self.look(request, image, &mut findings))?;
        Ok(if findings.is_empty() { Verdict::Allow } else { Verdict::Deny(findings) })
    }
}

impl DenyFile {
    fn look(&self, request: &ImageRequest, image: &Image, findings: &mut Vec<Finding>) -> Result<(), Error> {
        let files = image.filesystem()?;
        for path in &self.0.paths {
            if files.stat(path)?.is_some() {
                let message = format!("`{}` has `{path}`", request.origin);
                findings.push(finding("deny-file", message, [("path", path.clone())]));
            }
        }
        Ok(())
    }
}

export_plugin!(DenyFile: policy);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_absolute_and_plain() {
        let paths = ["/bin/sh", "bin/sh", "/", "/a/../b", "/a//b", "/a"].map(str::to_owned).to_vec();
        let problems = DenyFile::new(Settings { paths }).err().expect("refused");
        let paths: Vec<&str> = problems.iter().map(|p| p.path.as_str()).collect();
        assert_eq!(paths, ["paths[1]", "paths[2]", "paths[3]", "paths[4]"]);
    }
}
