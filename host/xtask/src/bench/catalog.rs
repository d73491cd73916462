//! `cargo xtask bench catalog`: what it takes to read a catalog of operators, of the size of the largest there are and,
//! where they are at hand, of real ones.
//!
//! The plugin is measured beside the same code without WebAssembly, and beside `opm render` where there is an `opm`: on
//! the search path, or where `OPM_BINARY` says. All fetch from the same registry, `oc-mirror serve`. When that is gone,
//! what was found out has to be enough.

use std::fs;
use std::path::{Path, PathBuf};

use oc_mirror_testkit::CatalogBuilder;
use serde_json::{Value, json};

use super::process::Usage;
use super::synthetic;
use crate::Outcome;
use crate::quickstart::server::Server;
use crate::run::{Tool, on_path, root, step, target};

/// How often each measurement is repeated. The shortest time counts, as others may use the machine, and the most memory.
const RUNS: usize = 3;
/// How many times longer than native code the plugin may take.
const TIMES_NATIVE: f64 = 2.0;
/// The most MB of the process, whatever the catalog.
const MEMORY_LIMIT: f64 = 400.0;
/// The most MiB of the plugin's own memory; the program holds it to that.
const GUEST_LIMIT: f64 = 256.0;
/// How many milliseconds a catalog that has been read before may take, so that listing it feels like nothing.
const AGAIN_LIMIT: f64 = 100.0;

/// Catalogs that may be at hand: their names, and their directories beside this repository.
const REAL: [(&str, &str); 2] = [
    ("community-v4.19", "../shared/fixtures/fbc/redhat-openshift-ecosystem__community-operators-prod/v4.19"),
    ("certified-v4.19", "../shared/fixtures/fbc/redhat-openshift-ecosystem__certified-operators/v4.19"),
];

/// Builds the programs for release, measures, and fails when a limit is passed.
pub(crate) fn catalog() -> Outcome {
    super::release(&[])?;
    step("build what reads natively", build)?;
    let bench = Bench::start()?;
    let mut catalogs = Vec::new();
    let registry = Server::start(&bench.program, &bench.path("registry"))?;
    step("catalogs", || {
        catalogs = push_all(&registry.host);
        Ok(())
    })?;
    let mut table = Table::default();
    step("read them", || catalogs.iter().try_for_each(|catalog| bench.read(catalog, &mut table)))?;
    drop(registry);
    step("read them again, without a registry", || {
        catalogs.iter().try_for_each(|catalog| bench.read_again(catalog, &mut table))
    })?;
    print!("\n{}", table.text());
    match table.passed.is_empty() {
        true => Ok(()),
        false => Err(format!("limits are passed:\n{}", table.passed.join("\n"))),
    }
}

fn build() -> Outcome {
    let example = ["--package", "oc-mirror-engine", "--example", "native_catalog"];
    Tool::cargo().args(["build", "--release", "--locked"]).args(example).run()
}

/// An image of a catalog in the registry.
struct Catalog {
    name: String,
    reference: String,
}

/// Puts the catalogs that there are into the registry.
fn push_all(host: &str) -> Vec<Catalog> {
    let push = |name: &str, image: CatalogBuilder, bytes: usize| {
        let image = image.build();
        let repository = format!("catalogs/{name}");
        image.push(host, &repository, "v1");
        let compressed: usize = image.blobs().iter().map(|blob| blob.bytes.len()).sum();
        println!("    {name}: {:.1} MB, compressed {:.1} MB", mb(bytes), mb(compressed));
        Catalog { name: name.to_owned(), reference: format!("{host}/{repository}:v1") }
    };
    let (image, bytes) = synthetic::add(CatalogBuilder::new());
    let mut catalogs = vec![push("synthetic", image, bytes)];
    for (name, directory) in REAL {
        let directory = root().join(directory);
        match directory.is_dir() {
            true => catalogs.push(push(name, CatalogBuilder::new().directory(&directory), size(&directory))),
            false => println!("    {name}: skipped, it is not at hand"),
        }
    }
    catalogs
}

/// Returns the bytes of all files below a directory.
fn size(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let bytes = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size(&entry.path()),
        Ok(metadata) => usize::try_from(metadata.len()).unwrap_or(0),
        Err(_) => 0,
    });
    bytes.sum()
}

fn mb(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

/// The programs, and a directory to use them in.
struct Bench {
    dir: PathBuf,
    program: PathBuf,
    native: PathBuf,
    opm: Option<String>,
}

impl Bench {
    /// Makes the directory anew, and has the program compile its plugins.
    fn start() -> Result<Self, String> {
        let named = std::env::var("OPM_BINARY").ok().filter(|path| !path.is_empty());
        let bench = Self {
            dir: target().join("bench/catalog"),
            program: target().join("release/oc-mirror"),
            native: target().join("release/examples/native_catalog"),
            opm: named.or_else(|| on_path("opm").then(|| "opm".to_owned())),
        };
        bench.fresh("")?;
        bench.program(&["debug", "startup"]).output()?;
        Ok(bench)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Returns an empty directory.
    fn fresh(&self, name: &str) -> Result<PathBuf, String> {
        let dir = self.path(name);
        if dir.exists() {
            fs::remove_dir_all(&dir).map_err(|e| format!("cannot empty `{}`: {e}", dir.display()))?;
        }
        fs::create_dir_all(&dir).map_err(|e| format!("cannot make `{}`: {e}", dir.display()))?;
        Ok(dir)
    }

    fn program(&self, args: &[&str]) -> Tool {
        let cache = self.path("compiled").display().to_string();
        Tool::new(&self.program).without_proxy().env("XDG_CACHE_HOME", &cache).args(args)
    }

    fn list(&self, catalog: &Catalog, workspace: &Path) -> Tool {
        let workspace = format!("file://{}", workspace.display());
        let reference = catalog.reference.as_str();
        let args = ["list", "operators", "--catalog", reference, "--workspace", &workspace, "--output=json"];
        self.program(&args).args(["--src-tls-verify=false"])
    }

    /// Reads a catalog that nobody has read before, natively and in the plugin.
    fn read(&self, catalog: &Catalog, table: &mut Table) -> Outcome {
        let read_natively = || {
            let dir = self.fresh("native")?;
            let tool = Tool::new(&self.native).without_proxy();
            Usage::of(tool.args([catalog.reference.as_str()]).path(&dir), "")
        };
        let read = || Usage::of(self.list(catalog, &self.fresh(&catalog.name)?), "");
        let [native, plugin] = best([&read_natively, &read])?;
        let expected = parsed(&native)?["packages"].as_u64();
        let found = parsed(&plugin)?["packages"].as_array().map(|packages| packages.len() as u64);
        if expected != found {
            return Err(format!("the plugin finds {found:?} packages, native code {expected:?}"));
        }
        table.row(&catalog.name, "read natively", &native);
        table.row(&catalog.name, "read by the plugin", &plugin);
        table.memory(&catalog.name, &plugin);
        table.hold(&catalog.name, "time", plugin.wall / native.wall, TIMES_NATIVE, "times native");
        table.hold(&catalog.name, "processor time", plugin.user / native.user, TIMES_NATIVE, "times native");
        match &self.opm {
            Some(opm) => table.row(&catalog.name, "opm render", &render(opm, catalog)?),
            None => println!("    {}: opm render is skipped, there is no opm", catalog.name),
        }
        Ok(())
    }

    /// Asks again about a catalog that [`Bench::read`] has read.
    fn read_again(&self, catalog: &Catalog, table: &mut Table) -> Outcome {
        let workspace = self.path(&catalog.name);
        let [again] = best([&|| Usage::of(self.list(catalog, &workspace), "")])?;
        table.row(&catalog.name, "list it again", &again);
        table.hold(&catalog.name, "listing it again", again.wall * 1000.0, AGAIN_LIMIT, "ms");
        // All heads, for which the plugin needs all that is known of the catalog.
        let question = json!({ "rules": "v2alpha1", "entry": { "catalog": catalog.reference } });
        let cache = workspace.join("working-dir/cache");
        let select = || self.program(&["debug", "select", "--cache"]).path(&cache);
        let [heads] = best([&|| Usage::of(select(), &format!("{question}\n"))])?;
        let answer = parsed(&heads)?;
        if !answer["packages"].is_object() {
            return Err(format!("nothing is selected of {}: {answer}", catalog.name));
        }
        table.row(&catalog.name, "select all heads", &heads);
        table.memory(&catalog.name, &heads);
        Ok(())
    }
}

/// Has opm read a catalog. Once, since it takes long; what it prints is not wanted.
fn render(opm: &str, catalog: &Catalog) -> Result<Usage, String> {
    let script = ["-c", "exec \"$0\" render --use-http \"$1\" >/dev/null", opm, &catalog.reference];
    Usage::of(Tool::new("sh").without_proxy().args(script), "")
}

fn parsed(usage: &Usage) -> Result<Value, String> {
    serde_json::from_str(&usage.printed).map_err(|e| format!("{e} in `{}`", usage.printed.trim_end()))
}

/// Repeats measurements by turns, so that a busy moment is not that of one of them only. The first turn also warms what
/// is cold, which is no harm where the shortest counts.
fn best<const N: usize>(measurements: [&dyn Fn() -> Result<Usage, String>; N]) -> Result<[Usage; N], String> {
    let mut best: [Option<Usage>; N] = [const { None }; N];
    for _ in 0..RUNS {
        for (best, once) in best.iter_mut().zip(measurements) {
            let next = once()?;
            *best = Some(match best.take() {
                Some(before) => before.better(next),
                None => next,
            });
        }
    }
    Ok(best.map(Option::unwrap_or_default))
}

/// What was measured, and which limits are passed.
#[derive(Default)]
struct Table {
    rows: Vec<String>,
    passed: Vec<String>,
}

impl Table {
    fn row(&mut self, catalog: &str, what: &str, usage: &Usage) {
        let guest = if usage.guest == 0 { "-".to_owned() } else { format!("{:.1}", mib(usage.guest)) };
        self.rows.push(format!(
            "{catalog:<16} {what:<20} {:>8.3} {:>8.2} {:>11.1} {guest:>10}",
            usage.wall,
            usage.user,
            usage.memory as f64 / 1e6,
        ));
    }

    fn memory(&mut self, catalog: &str, usage: &Usage) {
        self.hold(catalog, "memory", usage.memory as f64 / 1e6, MEMORY_LIMIT, "MB");
        self.hold(catalog, "memory of the plugin", mib(usage.guest), GUEST_LIMIT, "MiB");
    }

    /// Notes a limit that is passed.
    fn hold(&mut self, catalog: &str, what: &str, value: f64, limit: f64, unit: &str) {
        if value > limit {
            self.passed.push(format!("{catalog}: {what}: {value:.2} {unit}, at most {limit} allowed"));
        }
    }

    fn text(&self) -> String {
        let head = format!(
            "{:<16} {:<20} {:>8} {:>8} {:>11} {:>10}\n",
            "catalog", "", "wall s", "user s", "memory MB", "guest MiB"
        );
        self.rows.iter().fold(head, |text, row| text + row + "\n")
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn the_shortest_time_and_the_most_memory_count() {
        let turn = Cell::new(0);
        let measure = |times: [(f64, u64); RUNS]| {
            let (time, memory) = times[turn.get() / 2];
            turn.set(turn.get() + 1);
            Ok(Usage { wall: time, user: time, memory, ..Usage::default() })
        };
        let first = || measure([(3.0, 10), (1.0, 30), (2.0, 20)]);
        let second = || measure([(4.0, 7), (5.0, 8), (6.0, 9)]);
        let found = best([&first, &second]).unwrap().map(|usage| (usage.wall, usage.user, usage.memory));
        assert_eq!(found, [(1.0, 1.0, 30), (4.0, 4.0, 9)]);
    }

    #[test]
    fn a_limit_that_is_passed_is_named() {
        let mut table = Table::default();
        table.memory("c", &Usage { memory: 400_000_000, guest: 256 << 20, ..Usage::default() });
        assert!(table.passed.is_empty());
        table.memory("c", &Usage { memory: 401_000_000, guest: 0, ..Usage::default() });
        assert_eq!(table.passed, ["c: memory: 401.00 MB, at most 400 allowed"]);
    }
}
