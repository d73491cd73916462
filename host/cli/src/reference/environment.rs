//! The variables that are looked at. Whoever reads another one adds it here; a test looks.

use super::{MADE, table};

/// Variables of one kind, each with what it means.
struct Group {
    title: &'static str,
    variables: &'static [(&'static str, &'static str)],
}

const GROUPS: [Group; 9] = [
    Group {
        title: "The program",
        variables: &[
            (
                "SOURCE_DATE_EPOCH",
                "The time of a run, in seconds since 1970, for imagesets and plugins that can be made again byte for byte.",
            ),
            (
                "CI",
                "Set to anything but `0` or `false`: `--progress auto` writes plain lines, as on a build machine.",
            ),
            ("TERM", "`dumb`, or nothing: `--progress auto` writes plain lines."),
            (
                "XDG_CACHE_HOME",
                "Where compiled plugins and what `list` found out are kept, in `oc-mirror/`; otherwise `~/.cache`.",
            ),
            ("XDG_CONFIG_HOME", "Where the user's `containers/` and `helm/` are; otherwise `~/.config`."),
            ("HOME", "The user's directory, where no other variable says more."),
            ("TMPDIR", "Where temporary files are; otherwise `/tmp`."),
            (
                "OC_MIRROR_DEBUGGABLE",
                "`1`: the process can be looked into by debuggers, and leaves a core file where it crashes; it holds credentials.",
            ),
        ],
    },
    Group {
        title: "Registries",
        variables: &[
            ("REGISTRY_AUTH_FILE", "The file with credentials, as `--authfile`."),
            ("XDG_RUNTIME_DIR", "Where `podman login` keeps credentials, in `containers/auth.json`."),
            ("DOCKER_CONFIG", "The directory of docker's `config.json`; otherwise `~/.docker`."),
            (
                "CONTAINERS_REGISTRIES_CONF",
                "The `registries.conf` that is read alone, as `--registries-conf`.",
            ),
            ("CONTAINERS_REGISTRIES_CONF_OVERRIDE", "A `registries.conf` that is read after all others."),
        ],
    },
    Group {
        title: "Proxies",
        variables: &[
            ("HTTPS_PROXY", "The proxy for `https`; `https_proxy` comes first."),
            (
                "http_proxy",
                "The proxy for `http`. In capitals it is not heeded, as a web server could set it.",
            ),
            ("ALL_PROXY", "The proxy for what the two above do not name; `all_proxy` comes first."),
            ("NO_PROXY", "Hosts that are reached without a proxy; `no_proxy` comes first."),
        ],
    },
    Group {
        title: "Releases",
        variables: &[
            ("UPDATE_URL_OVERRIDE", "Another server of update graphs than that of OpenShift."),
            ("OKD_UPDATE_URL_OVERRIDE", "The same for OKD."),
            (
                "OCP_SIGNATURE_URL",
                "Another store of signatures than the public ones: a URL, `file://DIR` or `docker://HOST/REPOSITORY`.",
            ),
            (
                "OCP_SIGNATURE_VERIFICATION_PK",
                "A file with the public keys that count, instead of those of Red Hat and of OKD.",
            ),
        ],
    },
    Group {
        title: "Charts",
        variables: &[
            (
                "HELM_REPOSITORY_CONFIG",
                "Helm's file with repositories and their passwords; otherwise `repositories.yaml` in the directory below.",
            ),
            ("HELM_CONFIG_HOME", "Helm's directory; otherwise `~/.config/helm`."),
        ],
    },
    Group {
        title: "Clusters",
        variables: &[
            ("KUBECONFIG", "Files that are merged as `oc` does it; otherwise `~/.kube/config`."),
            ("KUBERNETES_SERVICE_HOST", "Set in a pod: the cluster that the program runs in."),
            ("KUBERNETES_SERVICE_PORT", "Its port."),
        ],
    },
    Group {
        title: "Buckets",
        variables: &[
            ("AWS_ENDPOINT_URL_S3", "Where buckets are, as `--s3-endpoint`."),
            ("AWS_ENDPOINT_URL", "The same, for all services."),
            ("AWS_REGION", "The region of buckets, as `--s3-region`."),
            ("AWS_DEFAULT_REGION", "The same, where the former is not set."),
            ("AWS_ACCESS_KEY_ID", "The name of the key."),
            ("AWS_SECRET_ACCESS_KEY", "The key."),
            ("AWS_SESSION_TOKEN", "What goes with a key that expires."),
            ("AWS_PROFILE", "Which profile of the two files below; otherwise `default`."),
            ("AWS_CONFIG_FILE", "The file with profiles; otherwise `~/.aws/config`."),
            ("AWS_SHARED_CREDENTIALS_FILE", "The file with keys; otherwise `~/.aws/credentials`."),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "A token that a role is had for."),
            ("AWS_ROLE_ARN", "That role."),
            ("AWS_ROLE_SESSION_NAME", "What the session is called."),
            ("AWS_ENDPOINT_URL_STS", "Where the role is asked for."),
            (
                "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                "Where a container asks for a key, at the usual address.",
            ),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "Where it asks, in full."),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "What it shows there."),
            ("AWS_EC2_METADATA_DISABLED", "`true`: the machine is not asked for a key."),
        ],
    },
    Group {
        title: "Keys",
        variables: &[(
            "NAME",
            "Any that `--sign-key env://NAME` names: a private key in PEM. Programs that are started do not inherit it.",
        )],
    },
    Group {
        title: "Building plugins",
        variables: &[
            (
                "PATH",
                "Where `plugin build` finds the programs of a language, and credential helpers are found.",
            ),
            ("CARGO_HOME", "Cargo's directory; otherwise `~/.cargo`."),
        ],
    },
];

/// Writes the document.
pub(crate) fn environment() -> String {
    let mut text = format!(
        "{MADE}\n# Environment\n\nWhat an option says wins over a variable. A variable that is empty is taken for one that is not \
         set.\n"
    );
    for group in &GROUPS {
        let rows =
            group.variables.iter().map(|(name, meaning)| vec![format!("`{name}`"), (*meaning).to_owned()]);
        text.push_str(&format!("\n## {}\n\n{}", group.title, table(&["variable", "meaning"], rows)));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::*;

    fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).expect("a directory of sources") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => sources(&path, found),
                false => found.push(path),
            }
        }
    }

    /// Returns the texts in quotes that look like names of variables.
    fn names(source: &str) -> impl Iterator<Item = &str> {
        let is_name = |text: &&str| {
            text.contains('_')
                && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        };
        source.lines().flat_map(|line| line.split('"').skip(1).step_by(2)).filter(is_name)
    }

    #[test]
    fn every_variable_that_is_read_is_told_of_and_no_other() {
        let host = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut files = Vec::new();
        for room in ["cli/src", "engine/src"] {
            sources(&host.join(room), &mut files);
        }
        let mut read = BTreeSet::new();
        let mut everywhere = String::new();
        for file in files.iter().filter(|file| !file.ends_with("reference/environment.rs")) {
            let text = std::fs::read_to_string(file).expect("a source");
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            if ["variable(", "var_os(", "env = \""].iter().any(|call| code.contains(call)) {
                read.extend(names(code).map(str::to_owned));
            }
            everywhere.push_str(&text);
        }
        // These are put together at compile time.
        read.remove("CARGO_PKG_VERSION");
        assert!(read.contains("OCP_SIGNATURE_URL") && read.contains("AWS_PROFILE"), "{read:?}");
        let told: BTreeSet<&str> =
            GROUPS.iter().flat_map(|group| group.variables).map(|(name, _)| *name).collect();
        let untold: Vec<&String> = read.iter().filter(|name| !told.contains(name.as_str())).collect();
        assert!(untold.is_empty(), "read and not told of: {untold:?}");
        // Proxies are named in small letters in the source; cargo's are read in another crate.
        let elsewhere = ["TMPDIR", "NAME", "CARGO_HOME", "PATH", "http_proxy"];
        let named = |name: &str| {
            everywhere.contains(&format!("\"{name}\""))
                || everywhere.contains(&format!("\"{}\"", name.to_lowercase()))
        };
        let unread: Vec<&&str> =
            told.iter().filter(|name| !elsewhere.contains(name) && !named(name)).collect();
        assert!(unread.is_empty(), "told of and not read: {unread:?}");
    }
}
