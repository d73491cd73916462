//! [`Skopeo`]: the second opinion. What it reads back was published as other tools expect it. It never sees the user's
//! own configuration or credentials.

use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// `skopeo` with a home of its own.
#[derive(Debug)]
pub struct Skopeo {
    home: TempDir,
}

impl Default for Skopeo {
    fn default() -> Self {
        Self::new()
    }
}

impl Skopeo {
    /// Prepares a home without credentials.
    pub fn new() -> Self {
        let home = tempfile::tempdir().expect("the machine has a temporary directory");
        crate::write_auth_file(&home.path().join("auth.json"), &[]);
        Self { home }
    }

    /// Gives it credentials for a host.
    pub fn login(self, host: &str, user: &str, password: &str) -> Self {
        crate::write_auth_file(&self.home.path().join("auth.json"), &[(host, user, password)]);
        self
    }

    /// Runs `skopeo` with the arguments as they are.
    pub fn run(&self, args: &[&str]) -> Output {
        let home = self.home.path();
        let path = std::env::var_os("PATH").unwrap_or_default();
        Command::new("skopeo")
            .arg("--insecure-policy")
            .args(args)
            .env_clear()
            .env("PATH", path)
            .env("HOME", home)
            .env("XDG_RUNTIME_DIR", home)
            .env("REGISTRY_AUTH_FILE", home.join("auth.json"))
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|e| panic!("cannot run `skopeo`: {e}; `cargo xtask setup` installs it"))
    }

    /// Runs `skopeo copy` with further options; the test fails when it does.
    pub fn copy(&self, options: &[&str], from: &str, to: &str) {
        let mut args = vec!["copy", "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false"];
        args.extend_from_slice(options);
        args.extend_from_slice(&[from, to]);
        self.succeed(&args);
    }

    /// Copies an image with all its platforms and nothing changed.
    pub fn copy_all(&self, from: &str, to: &str) {
        self.copy(&["--all", "--preserve-digests"], from, to);
    }

    /// Returns the bytes of a manifest.
    pub fn inspect_raw(&self, reference: &str) -> Vec<u8> {
        self.succeed(&["inspect", "--raw", "--tls-verify=false", reference])
    }

    /// Returns the digest of a manifest.
    pub fn digest(&self, reference: &str) -> String {
        crate::sha256(&self.inspect_raw(reference))
    }

    /// Copies an image into a fresh directory, which proves that all of it can be pulled, and forgets it.
    pub fn pull(&self, reference: &str) {
        let place = tempfile::tempdir_in(self.home.path()).expect("the test's own directory is writable");
        // Not a layout: skopeo refuses to put lists of Docker's kind into one as they are.
        self.copy_all(reference, &format!("dir:{}", place.path().display()));
    }

    fn succeed(&self, args: &[&str]) -> Vec<u8> {
        let output = self.run(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "skopeo {}: {}", args.join(" "), said.trim_end());
        output.stdout
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    use crate::{Image, ImageBuilder, IndexBuilder, PASSWORD, Registry, USER};
    use rstest::rstest;

    fn oci(directory: &Path, name: &str) -> String {
        format!("oci:{}:{name}", directory.display())
    }

    fn list(docker: bool) -> Image {
        let image = |platform: &str| {
            let builder = ImageBuilder::new().platform(platform).layer(&[("etc/motd", platform)]);
            if docker { builder.docker().build() } else { builder.build() }
        };
        let index = IndexBuilder::new().child(&image("linux/amd64")).child(&image("linux/arm64/v8"));
        if docker { index.docker().build() } else { index.build() }
    }

    #[rstest]
    #[case::oci(list(false))]
    #[case::docker(list(true))]
    fn pulls_what_the_kit_pushed(#[case] image: Image) {
        let registry = Registry::start();
        registry.push(&image, "team/app", "v1");
        let skopeo = Skopeo::new();
        let reference = format!("docker://{}", registry.reference("team/app", "v1"));
        assert_eq!(skopeo.inspect_raw(&reference), image.manifest);
        let place = tempfile::tempdir().unwrap();
        skopeo.copy(&["--all"], &reference, &format!("dir:{}", place.path().display()));
        skopeo.copy_all(&reference, &format!("docker://{}", registry.reference("copy", "v1")));
        assert_eq!(registry.digest_of("copy", "v1"), Some(image.digest));
    }

    #[test]
    fn reads_a_layout_the_kit_wrote() {
        let place = tempfile::tempdir().unwrap();
        list(false).write_layout(place.path(), "app");
        let skopeo = Skopeo::new();
        assert_eq!(skopeo.digest(&oci(place.path(), "app")), list(false).digest);
        skopeo.pull(&oci(place.path(), "app"));
    }

    #[test]
    fn speaks_tls_and_logs_in() {
        let registry = Registry::builder().tls().auth().start();
        registry.push(&list(false), "app", "v1");
        let reference = format!("docker://{}", registry.reference("app", "v1"));
        let certificates = registry.certificates().unwrap().authority.parent().unwrap();
        let inspect = ["inspect", "--raw", "--cert-dir", certificates.to_str().unwrap(), &reference];
        assert!(!Skopeo::new().run(&inspect).status.success());
        let output = Skopeo::new().login(&registry.host(), USER, PASSWORD).run(&inspect);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.stdout, list(false).manifest);
        let log = registry.log();
        assert!(log.iter().any(|line| line.path == "/v2/app/manifests/v1" && line.status == 200), "{log:?}");
    }
}
