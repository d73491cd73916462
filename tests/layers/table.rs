//! The table. A row that is not here does not exist, and an edge that is not here is an error.

/// The rooms of the engine, and what of ours each may use besides `model` and itself.
pub(crate) const ROOMS: [(&str, &[&str]); 19] = [
    // 1: files, network settings, events.
    ("fsx", &[]),
    ("net", &["report"]),
    ("report", &[]),
    // 2: the traits.
    ("content", &[]),
    // 3: places content is in. Siblings do not know each other.
    ("registry", &["fsx", "net", "content", "report"]),
    ("layout", &["fsx", "net", "content"]),
    ("archive", &["fsx", "net", "content"]),
    ("bucket", &["net", "content", "report"]),
    ("predecessors", &["fsx", "content"]),
    // 4: the record of a chain.
    ("metadata", &["fsx", "net", "content", "bucket"]),
    // 5: pure functions, and what sees traits only.
    ("plan", &[]),
    ("resources", &[]),
    ("transfer", &["fsx", "content", "report"]),
    ("source", &["content", "report"]),
    // Sources and policies are both plugins: what the host lends to either is described once, beside sources.
    ("policy", &["content", "report", "source"]),
    // HTTP for plugins.
    ("fetch", &["net", "content", "report", "source"]),
    // Who signed what: keys and rules, over the traits of content and of HTTP.
    ("trust", &["content", "report", "source"]),
    // The embedded registry shows a layout or an imageset to others.
    ("serve", &["fsx", "content", "layout", "archive"]),
    // 6: everything.
    ("workflow", ALL),
];

/// Every room of the engine.
const ALL: &[&str] = &[
    "fsx",
    "net",
    "report",
    "content",
    "registry",
    "layout",
    "archive",
    "bucket",
    "predecessors",
    "metadata",
    "plan",
    "resources",
    "transfer",
    "source",
    "policy",
    "fetch",
    "trust",
    "serve",
];

/// The packages below `host/`, by directory: their name in code, and which of ours they may depend on. Those they need
/// for tests only are not in it.
pub(crate) const PACKAGES: [(&str, &str, &[&str]); 9] = [
    ("model", "oc_mirror_model", &[]),
    ("engine", "oc_mirror_engine", &["model"]),
    ("clusters", "oc_mirror_clusters", &["model"]),
    ("browse", "oc_mirror_browse", &["model", "engine"]),
    ("guest-build", "oc_mirror_guest_build", &[]),
    ("plugin-host", "oc_mirror_plugin_host", &["model", "engine", "guest-build"]),
    ("cli", "oc_mirror", &["model", "engine", "clusters", "browse", "guest-build", "plugin-host"]),
    ("testkit", "oc_mirror_testkit", &[]),
    ("xtask", "xtask", &["testkit"]),
];

/// What of the engine plugins' host may use.
pub(crate) const ENGINE_FOR_PLUGIN_HOST: [&str; 4] = ["source", "policy", "content", "report"];

/// Packages that are silent: they print nothing and read neither environment nor home.
pub(crate) const SILENT: [&str; 5] = ["model", "engine", "clusters", "browse", "plugin-host"];

/// Packages that only one of ours may depend on.
pub(crate) const CONFINED: [(&str, &str); 4] = [
    ("wasmtime", "plugin-host"),
    ("wasmtime-wasi", "plugin-host"),
    ("kube", "clusters"),
    ("object_store", "engine"),
];

/// The most lines a file may have.
pub(crate) const MOST_LINES: usize = 900;

/// Returns what a room may use, or nothing when there is no such room.
pub(crate) fn room(name: &str) -> Option<&'static [&'static str]> {
    ROOMS.iter().find(|(room, _)| *room == name).map(|(_, may)| *may)
}

/// Returns what a package may depend on, or nothing when there is no such package.
pub(crate) fn package(dir: &str) -> Option<&'static [&'static str]> {
    PACKAGES.iter().find(|(name, _, _)| *name == dir).map(|(_, _, may)| *may)
}
