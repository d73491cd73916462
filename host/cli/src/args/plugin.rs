//! `oc-mirror plugin`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{Format, GuardArgs, NetworkArgs};

#[derive(Debug, Args)]
pub(crate) struct PluginArgs {
    #[command(subcommand)]
    pub command: PluginCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Make a project that builds and tests as it is
    #[command(after_help = NEW)]
    New {
        /// Its name: lower-case letters, digits and `-`
        #[arg(value_name = "NAME")]
        name: String,

        /// What it is going to be
        #[arg(long, value_enum, value_name = "KIND", default_value_t = PluginKind::Policy)]
        kind: PluginKind,

        /// What it is going to be written in
        #[arg(long, value_enum, value_name = "LANGUAGE", default_value_t = PluginLanguage::Rust)]
        language: PluginLanguage,

        /// Where to make it [default: NAME]
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Make a component of a project, or of each plugin of a workspace in Rust
    ///
    /// Beside plugin.toml there is Cargo.toml, plugin.py or plugin.js. Rust takes rustup's target wasm32-unknown-unknown, or
    /// Debian's packages rustc-web, cargo-web, rust-web-src and lld-19; Python takes componentize-py of PyPI; JavaScript takes
    /// jco of npm. The latter two are looked for in .venv and node_modules of the project, then on the search path.
    Build {
        /// The directory of the project
        #[arg(value_name = "DIR", default_value = ".")]
        directory: PathBuf,

        /// Build there; components go to components/ below it [default: target/ of the project]
        #[arg(long, value_name = "DIR")]
        target_dir: Option<PathBuf>,
    },
    /// Print what a plugin says about itself, what it imports and who signed it, without running it
    Inspect {
        /// The component: a file, docker://HOST/REPOSITORY:TAG, oci:DIR:NAME, or builtin:NAME
        #[arg(value_name = "PLUGIN")]
        plugin: String,

        /// Say whether it is signed by this public key; can be given several times
        #[arg(long = "key", value_name = "FILE")]
        keys: Vec<PathBuf>,

        /// How to print it
        #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
        output: Format,

        #[command(flatten)]
        network: Box<NetworkArgs>,
    },
    /// List the plugins that are built in, and those of a configuration
    List {
        /// Also list what this ImageSetConfiguration brings, with what each asks for and is granted, and whose it is
        #[arg(short, long, value_name = "FILE")]
        config: Option<PathBuf>,

        /// How to print them
        #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
        output: Format,

        #[command(flatten)]
        network: Box<NetworkArgs>,
    },
    /// Put a plugin into a registry or an image layout, as wkg and oras read it, and print where it is by digest
    #[command(after_help = PUSH)]
    Push {
        /// The component
        #[arg(value_name = "FILE")]
        plugin: PathBuf,

        /// Where to: docker://HOST/REPOSITORY[:TAG] or oci:DIR[:NAME]; without a tag its version is the tag
        #[arg(value_name = "PLACE")]
        place: String,

        /// Sign it as cosign does with this private key of P-256 or Ed25519, PKCS#8 in PEM, or with the one in the variable
        /// of env://NAME; can be given several times
        #[arg(long, value_name = "FILE|env://NAME")]
        sign_key: Vec<String>,

        /// Let the tag leave another artifact that has it
        #[arg(long)]
        overwrite: bool,

        #[command(flatten)]
        network: Box<NetworkArgs>,
    },
    /// Get a plugin out of a registry or an image layout
    Pull {
        /// The plugin: docker://HOST/REPOSITORY:TAG, oci:DIR:NAME, or either with @DIGEST
        #[arg(value_name = "PLUGIN")]
        plugin: String,

        /// The file to write [default: its id, with .wasm]
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,

        /// Refuse it unless it is signed by this public key; of several, one is enough
        #[arg(long = "key", value_name = "FILE")]
        keys: Vec<PathBuf>,

        /// Replace a file of other content
        #[arg(long)]
        overwrite: bool,

        #[command(flatten)]
        network: Box<NetworkArgs>,
    },
    /// Sign a plugin as cosign does: one in a registry or layout beside it there, a file in FILE.sig
    #[command(after_help = SIGN)]
    Sign {
        /// The plugin: a file, docker://HOST/REPOSITORY:TAG, or oci:DIR:NAME
        #[arg(value_name = "PLUGIN")]
        plugin: String,

        /// The private key, of P-256 or Ed25519, PKCS#8 in PEM, or env://NAME; can be given several times for an artifact
        #[arg(long, value_name = "FILE|env://NAME", required = true)]
        sign_key: Vec<String>,

        #[command(flatten)]
        network: Box<NetworkArgs>,
    },
    /// Check that a plugin is signed by one of the keys, as a run does that trusts them
    Verify {
        /// The plugin: a file with FILE.sig beside it, docker://HOST/REPOSITORY:TAG, or oci:DIR:NAME
        #[arg(value_name = "PLUGIN")]
        plugin: String,

        /// A file of public keys in PEM; can be given several times
        #[arg(long = "key", value_name = "FILE", required = true)]
        keys: Vec<PathBuf>,

        #[command(flatten)]
        network: Box<NetworkArgs>,
    },
    /// Ask a plugin what a table of cases asks, and compare the answers; no registry is needed
    #[command(after_help = CASES)]
    Test {
        /// The table, in YAML
        #[arg(value_name = "FILE")]
        table: PathBuf,

        /// Test this component, instead of the one that the table names: a file, docker://HOST/REPOSITORY:TAG, oci:DIR:NAME,
        /// or builtin:NAME
        #[arg(long, value_name = "PLUGIN")]
        plugin: Option<String>,

        /// Only cases whose name contains this
        #[arg(long, value_name = "TEXT")]
        case: Option<String>,

        /// How to print the outcome
        #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
        output: Format,

        #[command(flatten)]
        network: Box<NetworkArgs>,
    },
    /// Ask one plugin by itself: a source what it wants, a policy what it says about images; nothing is mirrored
    #[command(after_help = RUN)]
    Run(Box<PluginRunArgs>),
}

/// One plugin, and what it is asked.
#[derive(Debug, Args)]
pub(crate) struct PluginRunArgs {
    /// The component: a file, docker://HOST/REPOSITORY:TAG, oci:DIR:NAME, or builtin:NAME; with --entry it stands in for the
    /// one that the entry names
    #[arg(value_name = "PLUGIN", required_unless_present = "entry")]
    pub plugin: Option<String>,

    /// Its settings, in YAML: what is below `config` in a configuration
    #[arg(long, value_name = "FILE", conflicts_with = "entry")]
    pub settings: Option<PathBuf>,

    /// Take component, settings and grants from this ImageSetConfiguration
    #[arg(short, long, value_name = "FILE", requires = "entry")]
    pub config: Option<PathBuf>,

    /// The entry of `plugins` or `policies` of the configuration, by its name
    #[arg(long, value_name = "NAME", requires = "config")]
    pub entry: Option<String>,

    /// Let it do this, as under `grants` in a configuration: registry:quay.io; can be given several times
    #[arg(long = "grant", value_name = "CAPABILITY")]
    pub grants: Vec<String>,

    /// Have a policy judge this image; can be given several times
    #[arg(long = "image", value_name = "IMAGE")]
    pub images: Vec<String>,

    /// What the images are for, as policies are told
    #[arg(long, value_name = "KIND", default_value = oc_mirror_model::request::kind::ADDITIONAL, requires = "images")]
    pub kind: String,

    /// Write down what registries, web servers and stores of signatures answer
    #[arg(long, value_name = "FILE", conflicts_with = "replay")]
    pub record: Option<PathBuf>,

    /// Ask nobody, and answer from this recording
    #[arg(long, value_name = "FILE")]
    pub replay: Option<PathBuf>,

    /// Give it the state, the sequence and the cache of this workspace, as its next run would; nothing is written to but the
    /// cache
    #[arg(long, value_name = "file://DIR", conflicts_with_all = ["record", "replay"])]
    pub workspace: Option<String>,

    #[command(flatten)]
    pub guard: GuardArgs,

    /// How to print what it says
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    pub output: Format,

    #[command(flatten)]
    pub network: Box<NetworkArgs>,
}

/// What a plugin can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PluginKind {
    /// Judges images
    Policy,
    /// Says which images are wanted
    Source,
}

/// What a plugin is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PluginLanguage {
    /// A library with an SDK, small and fast
    Rust,
    /// With componentize-py
    Python,
    /// With jco and QuickJS
    Javascript,
}

/// How to go on.
const NEW: &str = "\
From there on:
  oc-mirror plugin build NAME                # makes NAME/target/components/NAME.wasm
  oc-mirror plugin test NAME/cases.yaml      # asks it what the table asks
  oc-mirror plugin inspect NAME/target/components/NAME.wasm";

/// What comes after a push.
const PUSH: &str = "\
The same component gives the same digest: there is no time in it but that of SOURCE_DATE_EPOCH. A tag that another artifact
has is refused. What is printed is for `source:` of a plugin in a configuration:
  plugins:
  - name: mine
    source: docker://HOST/REPOSITORY@sha256:…
    trust: {keys: [publisher.pub]}
wkg reads it with `wkg oci pull`, oras with `oras pull`, and skopeo copies it.";

/// How keys are made.
const SIGN: &str = "\
Keys are made by `oc-mirror key generate`, or by openssl:
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out publisher.key
  openssl pkey -in publisher.key -pubout -out publisher.pub
`cosign verify --key publisher.pub --insecure-ignore-tlog` checks the same of an artifact, and `cosign verify-blob` of a file.";

/// What a plugin is asked, and what a recording is.
const RUN: &str = "\
A source is asked for all it wants, as a first run would, or with --workspace as the next one there would; a policy judges the images that --image names:
  oc-mirror plugin run list.wasm --settings list.yaml --grant http:lists.example.com
  oc-mirror plugin run deny-label.wasm --settings label.yaml --image quay.io/example/app:1.0
  oc-mirror plugin run -c isc.yaml --entry no-beta --image quay.io/example/app:1.0

A recording has what was answered, a line of JSON each, and no credentials. With --replay, a later build of the plugin is told
the same without any network; what it asks for beyond that is an error that names it:
  oc-mirror plugin run list.wasm --settings list.yaml --grant http:lists.example.com --record list.jsonl
  oc-mirror plugin run list.wasm --settings list.yaml --grant http:lists.example.com --replay list.jsonl
Content of images and web servers is in it as it is: look at it before you pass it on. One answer may have 64 MiB, all 512 MiB.

It ends with 1 if the plugin fails, if an image is denied or cannot be judged, and if something is not in the recording.";

/// What a table looks like.
const CASES: &str = "\
A table names the component, the world that it is tried in, and what it is to answer:

  plugin: target/deny-label.wasm    # relative to the table; also oci:, docker://, builtin:NAME
  config: {label: stage}            # settings; a case can bring its own
  grants: [\"registry:quay.io\"]      # as in a configuration
  images:
    quay.io/example/app:1.0:
      labels: {stage: beta}         # also annotations, platforms, created, layers, signedBy
  http:
    https://example.com/list.txt: quay.io/example/app:1.0
  cases:
  - name: a beta is refused         # with `image`, a policy judges it
    image: quay.io/example/app:1.0
    expect: {verdict: deny, code: deny-label}
  - name: everything is collected   # without, a content source collects
    expect: {images: [\"quay.io/example/app:1.0\"]}

Of a policy, `verdict` (allow, warn, deny), `code` and `message` can be expected; of a source `images`, `files`, `resources`
and `warnings`; of settings `problems`; of a plugin that fails a part of its `error`. A layer maps paths to texts.
It ends with 1 if an answer is another one.";
