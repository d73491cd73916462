//! `cargo xtask quickstart`: the whole product in a minute, with nothing but the program itself. Two directories are
//! served as registries; the first is filled, mirrored to disk, gets another image, is mirrored again and stopped; both
//! imagesets are then published to the second. [`account`] tells what happened from the program's own reports.

mod account;
mod images;
pub(crate) mod server;

use std::fs;
use std::path::{Path, PathBuf};

use oc_mirror_testkit::http;
use serde_json::Value;

use self::account::Run;
use self::images::Images;
use self::server::Server;
use crate::run::{Tool, step, target};
use crate::setup::{self, Need};
use crate::{Outcome, run};

/// Where everything is, below `quickstart/` in cargo's target directory; made anew by each run.
struct Place {
    dir: PathBuf,
    program: PathBuf,
}

impl Place {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn url(&self, name: &str) -> String {
        format!("file://{}", self.path(name).display())
    }

    /// Runs the program and reads the report that it keeps.
    fn mirror(&self, args: &[&str]) -> Result<Run, String> {
        let program = Tool::new(&self.program).without_proxy();
        program.args(args).args(["--quiet"]).output()?;
        let path = self.path("out/working-dir/results/result.json");
        let text = fs::read(&path).map_err(|e| format!("cannot read `{}`: {e}", path.display()))?;
        let report: Value =
            serde_json::from_slice(&text).map_err(|e| format!("report `{}`: {e}", path.display()))?;
        Ok(Run::new(args, report))
    }
}

/// Builds the program and shows what it does.
pub(crate) fn run() -> Outcome {
    setup::install(&[Need::Guests])?;
    step("build", || Tool::cargo().args(["build", "--locked", "--package", "oc-mirror"]).run())?;
    let place = Place { dir: target().join("quickstart"), program: target().join("debug/oc-mirror") };
    if place.dir.exists() {
        fs::remove_dir_all(&place.dir).map_err(|e| format!("cannot empty `{}`: {e}", place.dir.display()))?;
    }
    fs::create_dir_all(&place.dir).map_err(|e| format!("cannot make `{}`: {e}", place.dir.display()))?;
    let mut runs = Vec::new();
    let images = Images::make();
    step("connected side", || connected(&place, &images, &mut runs))?;
    step("far side", || far(&place, &images, &mut runs))?;
    print!("{}", account::tell(&runs));
    print!("{}", pull_command(&place));
    Ok(())
}

/// Mirrors to disk, adds an image, and mirrors again. The registry is gone afterwards.
fn connected(place: &Place, images: &Images, runs: &mut Vec<Run>) -> Outcome {
    let registry = Server::start(&place.program, &place.path("connected"))?;
    images.push_first(&registry.host);
    let config = place.path("isc.yaml");
    let (config_arg, out) = (config.display().to_string(), place.url("out"));
    let args = ["--config", config_arg.as_str(), out.as_str(), "--src-tls-verify=false"];

    write(&config, &configuration(&registry.host, &images::FIRST))?;
    runs.push(place.mirror(&args)?);

    images.push_second(&registry.host);
    let wanted: Vec<&str> = images::FIRST.into_iter().chain([images::SECOND]).collect();
    write(&config, &configuration(&registry.host, &wanted))?;
    runs.push(place.mirror(&args)?);
    Ok(())
}

/// Publishes what is on disk to an empty registry, and looks whether it arrived.
fn far(place: &Place, images: &Images, runs: &mut Vec<Run>) -> Outcome {
    let registry = Server::start(&place.program, &place.path("mirror"))?;
    let (from, to) = (place.url("out"), format!("docker://{}", registry.host));
    runs.push(place.mirror(&["--from", &from, &to, "--dest-tls-verify=false"])?);
    for (name, image) in images.wanted() {
        let arrived = manifest(&registry.host, name)?;
        if arrived.as_deref() != Some(image.manifest.as_slice()) {
            return Err(format!("image `{name}` did not arrive byte for byte"));
        }
    }
    match manifest(&registry.host, images::BLOCKED)? {
        None => Ok(()),
        Some(_) => Err(format!("image `{}` is blocked and arrived nevertheless", images::BLOCKED)),
    }
}

/// Reads a manifest by `repository:tag`, as any client does.
fn manifest(host: &str, name: &str) -> Result<Option<Vec<u8>>, String> {
    let (repository, tag) = name.split_once(':').ok_or("a name is repository:tag")?;
    let accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json";
    let target = format!("/v2/{repository}/manifests/{tag}");
    let answer = http::get(host, &target, &[("Accept", accept)]).map_err(|e| format!("GET {target}: {e}"))?;
    match answer.status {
        200 => Ok(Some(answer.body)),
        404 => Ok(None),
        other => Err(format!("GET {target} answered {other}: {}", answer.text())),
    }
}

fn configuration(host: &str, wanted: &[&str]) -> String {
    let images = wanted.iter().copied().chain([images::BLOCKED]);
    let images: String = images.map(|name| format!("    - name: {host}/{name}\n")).collect();
    format!(
        "kind: ImageSetConfiguration\n\
         apiVersion: mirror.openshift.io/v2alpha1\n\
         mirror:\n  additionalImages:\n{images}  blockedImages:\n    - baseImage: {host}/{base}\n",
        base = images::BLOCKED_BASE
    )
}

fn pull_command(place: &Place) -> String {
    let relative = |path: &Path| {
        let root = run::root();
        path.strip_prefix(&root).unwrap_or(path).display().to_string()
    };
    let name = images::SECOND;
    format!(
        "\nTo pull an image from the mirror, serve it and ask for it:\n  \
         {program} serve {mirror} --listen 127.0.0.1:5000 &\n  \
         skopeo copy --src-tls-verify=false docker://127.0.0.1:5000/{name} oci:pulled\n",
        program = relative(&place.program),
        mirror = relative(&place.path("mirror")),
    )
}

fn write(path: &Path, text: &str) -> Outcome {
    fs::write(path, text).map_err(|e| format!("cannot write `{}`: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_asks_for_the_blocked_image_too() {
        assert_eq!(
            configuration("h:1", &["a/b:v1"]),
            "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\nmirror:\n  additionalImages:\n    \
             - name: h:1/a/b:v1\n    - name: h:1/legacy/report:v1\n  blockedImages:\n    \
             - baseImage: h:1/legacy/os:v1\n"
        );
    }
}
