//! [`Lab`]: a source registry, a target registry and a place to run the program in, and [`Run`], what a run left behind.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use oc_mirror_model::report::RunReport;
use oc_mirror_testkit::{CommandOutput, Image, LogLine, Registry, Skopeo, TestContext};
use serde_json::{Value, json};

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_oc-mirror");

/// A chain's identity for tests that compare bytes.
pub(crate) const UID: &str = "11111111-2222-4333-8444-555555555555";

/// Returns a place to run the program in. Compiled plugins are shared by all tests, as they are by all runs of a user.
pub(crate) fn context() -> TestContext {
    TestContext::new(PROGRAM).env("XDG_CACHE_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/cache"))
}

/// The connected side and the far side of one test.
pub(crate) struct Lab {
    pub(crate) context: TestContext,
    pub(crate) source: Registry,
    pub(crate) target: Registry,
}

/// What a run left behind.
pub(crate) struct Run {
    pub(crate) output: CommandOutput,
    report: Option<RunReport>,
}

impl Lab {
    /// Starts two empty registries.
    pub(crate) fn new() -> Self {
        Self::with(Registry::start(), Registry::start())
    }

    /// Uses two registries of the test's own.
    pub(crate) fn with(source: Registry, target: Registry) -> Self {
        Self { context: context(), source, target }
    }

    /// Pushes an image to the source and returns its reference by tag.
    pub(crate) fn push(&self, image: &Image, repository: &str, tag: &str) -> String {
        self.source.push(image, repository, tag);
        self.source.reference(repository, tag)
    }

    /// Writes `isc.yaml` with these additional images.
    pub(crate) fn configure<S: AsRef<str>>(&self, images: &[S]) {
        let images: Vec<Value> = images.iter().map(|name| json!({ "name": name.as_ref() })).collect();
        self.configure_mirror(json!({ "additionalImages": images }));
    }

    /// Writes `isc.yaml` with this `mirror` section.
    pub(crate) fn configure_mirror(&self, mirror: Value) {
        self.configure_all(json!({ "mirror": mirror }));
    }

    /// Writes `isc.yaml` with these fields besides the two that say what it is.
    pub(crate) fn configure_all(&self, mut fields: Value) {
        fields["kind"] = json!("ImageSetConfiguration");
        fields["apiVersion"] = json!("mirror.openshift.io/v2alpha1");
        // JSON is YAML.
        self.context.write("isc.yaml", serde_json::to_string_pretty(&fields).expect("a value serialises"));
    }

    /// Runs the program with a report on its standard output and no verification of certificates.
    pub(crate) fn run<S: AsRef<str>>(&self, args: &[S]) -> Run {
        run(&self.context, args)
    }

    /// Mirrors to disk in the directory `disk`.
    pub(crate) fn make(&self, more: &[&str]) -> Run {
        self.make_in("disk", more)
    }

    /// Mirrors to disk in a directory below the working directory.
    pub(crate) fn make_in(&self, directory: &str, more: &[&str]) -> Run {
        self.run(&join(&["-c", "isc.yaml", &self.file(directory)], more))
    }

    /// Publishes from a directory or a chunk below the working directory to the root of the target.
    pub(crate) fn publish(&self, from: &str, more: &[&str]) -> Run {
        let to = format!("docker://{}", self.target.host());
        self.run(&join(&["--from", &self.file(from), &to], more))
    }

    /// Returns the `file://` address of a path below the working directory.
    pub(crate) fn file(&self, path: &str) -> String {
        format!("file://{}", self.path(path).display())
    }

    /// Returns a path below the working directory.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.context.work().join(path)
    }

    /// Fails the test unless the target has exactly this image under the name, and all of it can be pulled.
    #[track_caller]
    pub(crate) fn assert_published(&self, image: &Image, repository: &str, tag: &str) {
        let found = self.target.digest_of(repository, tag);
        assert_eq!(found.as_deref(), Some(image.digest.as_str()), "{repository}:{tag} at the target");
        let reference = format!("docker://{}", self.target.reference(repository, tag));
        let skopeo = Skopeo::new();
        assert_eq!(skopeo.inspect_raw(&reference), image.manifest, "{repository}:{tag} at the target");
        if image.children.iter().all(|child| child.children.is_empty()) {
            return skopeo.pull(&reference);
        }
        // skopeo does not pull indexes of indexes, so this asks for each part.
        for manifest in image.tree() {
            assert_eq!(self.target.digest_of(repository, &manifest.digest).as_ref(), Some(&manifest.digest));
        }
        for blob in image.blobs() {
            assert!(self.target.has_blob(repository, &blob.digest), "{} in {repository}", blob.digest);
        }
    }

    /// Returns the chains that have a record in a repository of the target: its tags, but for those under which committers
    /// meet.
    pub(crate) fn chains(&self, repository: &str) -> Vec<String> {
        self.target.tags(repository).into_iter().filter(|tag| !tag.ends_with(".lock")).collect()
    }

    /// Returns the requests that would have changed what the target holds, since its log was last cleared.
    pub(crate) fn writes_to_target(&self) -> Vec<LogLine> {
        self.target.log().into_iter().filter(LogLine::is_write).collect()
    }
}

impl Run {
    /// Fails the test unless the exit code is as expected.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.output.code, code, "\n{}", self.output.snapshot());
        self
    }

    /// Returns the report; the test fails when there is none.
    #[track_caller]
    pub(crate) fn report(&self) -> &RunReport {
        match &self.report {
            Some(report) => report,
            None => panic!("no report on the standard output\n{}", self.output.snapshot()),
        }
    }

    /// Returns `(sequence, outcome)` of every imageset.
    #[track_caller]
    pub(crate) fn outcomes(&self) -> Vec<(u64, &str)> {
        self.report().imagesets.iter().map(|i| (i.sequence, i.outcome.as_str())).collect()
    }

    /// Fails the test unless the run was refused with one line of reason that has these words, and one hint.
    #[track_caller]
    pub(crate) fn assert_refused(&self, code: i32, words: &str) {
        let shown = self.output.snapshot();
        assert_eq!(self.output.code, code, "\n{shown}");
        let lines: Vec<&str> = self.output.raw_stderr.lines().collect();
        let count = |start: &str| lines.iter().filter(|line| line.starts_with(start)).count();
        assert_eq!(count("error: "), 1, "one line of reason\n{shown}");
        assert_eq!(count("hint: "), 1, "one hint\n{shown}");
        let told = lines.iter().filter(|line| line.starts_with("error: ") || line.contains("caused by: "));
        assert!(told.into_iter().any(|line| line.contains(words)), "`{words}` among the reasons\n{shown}");
    }
}

/// Runs the program with a report on its standard output and no verification of certificates.
pub(crate) fn run<S: AsRef<str>>(context: &TestContext, args: &[S]) -> Run {
    let fixed = ["-o", "json", "--src-tls-verify=false", "--dest-tls-verify=false"];
    let args: Vec<&str> = fixed.into_iter().chain(args.iter().map(AsRef::as_ref)).collect();
    let output = context.run(&args);
    let report = serde_json::from_str(&output.raw_stdout).ok();
    Run { output, report }
}

/// Returns one list of arguments made of two.
pub(crate) fn join<'a>(first: &[&'a str], second: &[&'a str]) -> Vec<&'a str> {
    [first, second].concat()
}

/// The chunks of one imageset, read with `tar` only.
pub(crate) struct Chunks(Vec<PathBuf>);

impl Chunks {
    /// Finds the chunks of a sequence.
    #[track_caller]
    pub(crate) fn of(directory: &Path, sequence: u64) -> Self {
        let start = format!("mirror_seq{sequence}_");
        let mut found: Vec<PathBuf> = names_in(directory)
            .into_iter()
            .filter(|name| name.starts_with(&start) && name.ends_with(".tar"))
            .map(|name| directory.join(name))
            .collect();
        found.sort();
        assert!(!found.is_empty(), "no chunks of sequence {sequence} among {:?}", names_in(directory));
        Self(found)
    }

    /// Returns the files in order.
    pub(crate) fn files(&self) -> &[PathBuf] {
        &self.0
    }

    /// Returns the bytes of all files, in order.
    pub(crate) fn bytes(&self) -> Vec<Vec<u8>> {
        self.0.iter().map(|file| read(file)).collect()
    }

    /// Returns what `tar tf` lists of each chunk.
    pub(crate) fn listings(&self) -> Vec<Vec<String>> {
        let list = |file: &PathBuf| {
            let text = tar(&["tf".as_ref(), file.as_os_str()]);
            String::from_utf8(text).expect("names are text").lines().map(str::to_owned).collect()
        };
        self.0.iter().map(list).collect()
    }

    /// Returns the digests of all blobs and manifests in the chunks.
    pub(crate) fn blobs(&self) -> BTreeSet<String> {
        let digest = |name: &String| {
            let hex = name.strip_prefix("blobs/sha256/")?.get(..64)?;
            Some(format!("sha256:{hex}"))
        };
        self.listings().iter().flatten().filter_map(digest).collect()
    }

    /// Returns the parsed `imageset.json`.
    pub(crate) fn index(&self) -> Value {
        let bytes = tar(&["xOf".as_ref(), self.0[0].as_os_str(), "imageset.json".as_ref()]);
        serde_json::from_slice(&bytes).expect("imageset.json is JSON")
    }

    /// Unpacks all chunks into a fresh directory.
    pub(crate) fn unpack(&self, directory: &Path) {
        std::fs::create_dir_all(directory).expect("the test's own directory is writable");
        for file in &self.0 {
            tar(&["xf".as_ref(), file.as_os_str(), "-C".as_ref(), directory.as_os_str()]);
        }
    }
}

fn tar(args: &[&std::ffi::OsStr]) -> Vec<u8> {
    let output = Command::new("tar").args(args).output().expect("this machine has tar");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "tar {args:?}: {said}");
    output.stdout
}

/// Reads a file of the test's own.
#[track_caller]
pub(crate) fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|e| panic!("reading {}: {e}", path.display()))
}

/// Returns the names in a directory in order; none when there is no such directory.
pub(crate) fn names_in(directory: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|e| e.expect("readable").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Returns the tag of an image that was asked for by digest alone.
pub(crate) fn digest_tag(image: &Image) -> String {
    image.digest.replace(':', "-")
}

/// Returns the digests of everything an image consists of: its manifests, configurations and layers.
pub(crate) fn content_of(image: &Image) -> BTreeSet<String> {
    let blobs = image.blobs().into_iter().map(|blob| blob.digest.clone());
    blobs.chain(image.tree().into_iter().map(|manifest| manifest.digest.clone())).collect()
}
