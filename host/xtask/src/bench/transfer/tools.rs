//! Who is measured ([`Who`]) and the command lines with which each does the same work. None sees the user's own
//! configuration, credentials or caches.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::sets::Set;
use crate::quickstart::server::free_address;
use crate::run::{Tool, on_path};

/// The variable that names the oc-mirror that is written in Go: that program's name is ours.
const OC_MIRROR_GO: &str = "OC_MIRROR_GO";

/// Who does the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// The least that has to be done: curl, or [`super::bound::push`].
    Bound,
    Ours,
    /// The same, with a policy that judges every image.
    Blocking,
    Skopeo,
    Crane,
    Regctl,
    OcMirrorGo,
}

/// The work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// From a registry to disk: an imageset, or a layout.
    Pull,
    /// From there to a registry.
    Push,
    /// From a registry to a registry.
    Copy,
}

/// All who can be asked for by name.
pub(super) const ALL: [Who; 7] =
    [Who::Bound, Who::Ours, Who::Blocking, Who::Skopeo, Who::Crane, Who::Regctl, Who::OcMirrorGo];

impl Who {
    /// Returns the name in arguments and tables.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bound => "bound",
            Self::Ours => "oc-mirror",
            Self::Blocking => "with-block",
            Self::Skopeo => "skopeo",
            Self::Crane => "crane",
            Self::Regctl => "regctl",
            Self::OcMirrorGo => "oc-mirror-go",
        }
    }

    /// Whether it is on this machine.
    pub(super) fn is_here(self) -> bool {
        match self {
            Self::Bound => on_path("curl"),
            Self::Ours | Self::Blocking => true,
            Self::OcMirrorGo => oc_mirror_go().is_some(),
            Self::Skopeo | Self::Crane | Self::Regctl => on_path(self.name()),
        }
    }

    /// Whether it is somebody else's tool.
    pub(super) fn is_peer(self) -> bool {
        !matches!(self, Self::Bound | Self::Ours | Self::Blocking)
    }
}

fn oc_mirror_go() -> Option<PathBuf> {
    std::env::var_os(OC_MIRROR_GO).map(PathBuf::from).filter(|path| path.is_file())
}

impl Work {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Copy => "copy",
        }
    }

    /// Whether it can be compared: nobody knows the least that copying takes, crane cannot push one image out of many in a
    /// layout, and publishing asks no policies.
    pub(super) fn is_done_by(self, who: Who) -> bool {
        match who {
            Who::Bound => self != Self::Copy,
            Who::Crane => self != Self::Push,
            Who::Blocking => self == Self::Pull,
            Who::Ours | Who::Skopeo | Who::Regctl | Who::OcMirrorGo => true,
        }
    }

    pub(super) fn reads_registry(self) -> bool {
        self != Self::Push
    }

    pub(super) fn writes_registry(self) -> bool {
        self != Self::Pull
    }
}

/// The places that the programs work in.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// Our program.
    pub(super) program: PathBuf,
    /// A directory of this run only.
    pub(super) dir: PathBuf,
    /// The registry that has the images.
    pub(super) source: String,
}

impl Places {
    /// Keeps a program away from the user's own things.
    pub(super) fn alone(&self, tool: Tool) -> Tool {
        let home = self.dir.join("home");
        let path = |name: &str| home.join(name).display().to_string();
        tool.without_proxy()
            .env("HOME", &path(""))
            .env("XDG_CACHE_HOME", &path("cache"))
            .env("XDG_CONFIG_HOME", &path("config"))
            .env("XDG_DATA_HOME", &path("data"))
            .env("XDG_RUNTIME_DIR", &path("run"))
            .env("REGISTRY_AUTH_FILE", &path("auth.json"))
            .env("CONTAINERS_REGISTRIES_CONF", "/dev/null")
            // For root, skopeo notes below /var/lib which blobs it has seen, unless it takes itself for another.
            .env("_CONTAINERS_ROOTLESS_UID", "1")
    }

    /// Makes the home, and writes what programs read about a set: the configuration, and the names.
    pub(super) fn prepare(&self, set: &Set) -> Result<(), String> {
        let io = |e: std::io::Error| format!("cannot write in `{}`: {e}", self.dir.display());
        for name in ["run", "config"] {
            fs::create_dir_all(self.dir.join("home").join(name)).map_err(io)?;
        }
        fs::write(self.dir.join("home/auth.json"), r#"{"auths":{}}"#).map_err(io)?;
        let image = |repository: &str| json!({ "name": format!("{}/{repository}:v1", self.source) });
        let images: Vec<_> = set.images.iter().map(|found| image(&found.repository)).collect();
        // By name, and by what images are made from: each of them is looked into.
        let last = set.images.last().map_or("none", |found| &found.repository);
        let blocked = [json!({ "name": "registry.example/.*" }), json!({ "baseImage": image(last)["name"] })];
        for (path, blocked) in [(self.config(set), &blocked[..0]), (self.blocking_config(set), &blocked)] {
            let config = json!({
                "kind": "ImageSetConfiguration",
                "apiVersion": "mirror.openshift.io/v2alpha1",
                "mirror": { "additionalImages": images, "blockedImages": blocked },
            });
            // JSON is YAML.
            fs::write(path, config.to_string()).map_err(io)?;
        }
        let line = |name: &str| format!("{name} {}\n", name.replace('/', "-"));
        let names: String = set.images.iter().map(|image| line(&image.repository)).collect();
        fs::write(self.names(set), names).map_err(io)
    }

    fn config(&self, set: &Set) -> PathBuf {
        self.dir.join(format!("{}.yaml", set.name))
    }

    fn blocking_config(&self, set: &Set) -> PathBuf {
        self.dir.join(format!("{}-blocking.yaml", set.name))
    }

    fn names(&self, set: &Set) -> PathBuf {
        self.dir.join(format!("{}.names", set.name))
    }

    /// Returns what does the work. A pull goes into `out`; a push comes from what a pull has left in `input`, and `out`
    /// is for what else is written.
    pub(super) fn command(
        &self,
        who: Who,
        work: Work,
        set: &Set,
        paths: (&Path, &Path),
        target: &str,
    ) -> Result<Tool, String> {
        let (input, out) = paths;
        let tool = match who {
            Who::Bound => super::bound::curl(set, &self.source, out)?,
            Who::Ours => self.ours(work, &self.config(set), input, out, target),
            Who::Blocking => self.ours(work, &self.blocking_config(set), input, out, target),
            Who::OcMirrorGo => self.oc_mirror_go(work, set, input, out, target)?,
            Who::Crane if work == Work::Pull => {
                let names = set.images.iter().map(|image| format!("{}/{}:v1", self.source, image.repository));
                Tool::new("crane").args(["pull", "--insecure", "--format=oci"]).args(names).path(out)
            }
            Who::Skopeo | Who::Crane | Who::Regctl => {
                let layout = if work == Work::Push { input } else { out };
                let script = script(who, work);
                let words = [self.source.as_str(), target];
                Tool::new("sh").args(["-c", &script, "sh"]).args(words).path(layout).path(&self.names(set))
            }
        };
        Ok(self.alone(tool))
    }

    /// Returns our command that makes the next imageset of a set.
    pub(super) fn to_disk(&self, set: &Set, stick: &Path) -> Tool {
        self.ours(Work::Pull, &self.config(set), stick, stick, "")
    }

    /// Returns our command that publishes what is on a stick.
    pub(super) fn publish(&self, stick: &Path, workspace: &Path, target: &str) -> Tool {
        self.ours(Work::Push, stick, stick, workspace, target)
    }

    /// Returns our command that checks whether all of a target is there.
    pub(super) fn check(&self, target: &str) -> Tool {
        let tool = Tool::new(&self.program).args(["check", "--dest-tls-verify=false"]);
        tool.args([format!("docker://{target}")])
    }

    fn ours(&self, work: Work, config: &Path, input: &Path, out: &Path, target: &str) -> Tool {
        let tool = Tool::new(&self.program).args(["--src-tls-verify=false", "--dest-tls-verify=false"]);
        let (input, out) = (format!("file://{}", input.display()), format!("file://{}", out.display()));
        let target = format!("docker://{target}");
        match work {
            Work::Pull => tool.args(["-c"]).path(config).args([out]),
            Work::Push => tool.args(["--from", &input, "--workspace", &out, &target]),
            Work::Copy => tool.args(["-c"]).path(config).args(["--workspace", &out, &target]),
        }
    }

    fn oc_mirror_go(
        &self,
        work: Work,
        set: &Set,
        input: &Path,
        out: &Path,
        target: &str,
    ) -> Result<Tool, String> {
        let program = oc_mirror_go().ok_or_else(|| format!("{OC_MIRROR_GO} names no file"))?;
        let port = free_address()?.rsplit(':').next().unwrap_or_default().to_owned();
        let cache = out.join("cache").display().to_string();
        let tool = Tool::new(program).env("OC_MIRROR_CACHE", &cache).args(["--v2", "--port", &port, "-c"]);
        let tool = tool.path(&self.config(set));
        let (input, out) = (format!("file://{}", input.display()), format!("file://{}", out.display()));
        let target = format!("docker://{target}");
        Ok(match work {
            Work::Pull => tool.args(["--src-tls-verify=false", &out]),
            Work::Push => tool.args(["--dest-tls-verify=false", "--from", &input, &target]),
            Work::Copy => {
                let tool = tool.args(["--src-tls-verify=false", "--dest-tls-verify=false"]);
                tool.args(["--workspace", &out, &target])
            }
        })
    }
}

/// Returns a script that copies one image after the other: source, target, layout and list of names are its arguments.
fn script(who: Who, work: Work) -> String {
    let (source, target) = ("$1/$name:v1", "$2/$name:v1");
    let copy = match (who, work) {
        (Who::Skopeo, Work::Pull) => format!(r#""docker://{source}" "oci:$3:$tag""#),
        (Who::Skopeo, Work::Push) => format!(r#""oci:$3:$tag" "docker://{target}""#),
        (Who::Skopeo, Work::Copy) => format!(r#""docker://{source}" "docker://{target}""#),
        (_, Work::Pull) => format!(r#""{source}" "ocidir://$3:$tag""#),
        (_, Work::Push) => format!(r#""ocidir://$3:$tag" "{target}""#),
        (_, Work::Copy) => format!(r#""{source}" "{target}""#),
    };
    let program = match who {
        Who::Skopeo => {
            "skopeo --insecure-policy copy -q --all --src-tls-verify=false --dest-tls-verify=false".to_owned()
        }
        Who::Crane => "crane copy --insecure".to_owned(),
        _ => r#"regctl --host "reg=$1,tls=disabled" --host "reg=$2,tls=disabled" image copy"#.to_owned(),
    };
    format!("while read -r name tag; do {program} {copy} || exit 1; done <\"$4\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_goes_through_all_names_and_stops_at_a_failure() {
        assert_eq!(
            script(Who::Crane, Work::Copy),
            "while read -r name tag; do crane copy --insecure \"$1/$name:v1\" \"$2/$name:v1\" || exit 1; done <\"$4\""
        );
        assert!(
            script(Who::Regctl, Work::Push).contains(r#"image copy "ocidir://$3:$tag" "$2/$name:v1" ||"#)
        );
    }

    #[test]
    fn names_are_unique() {
        let mut names = ALL.map(Who::name);
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }
}
