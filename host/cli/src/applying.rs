//! [`Applying`]: tells clusters what to apply, and asks first. What `oc-mirror apply` and `--apply` share.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use oc_mirror_clusters::apply::{self, Mark, Options, Preview, Timing, Wanted};
use oc_mirror_clusters::{ClusterError, Endpoint};
use oc_mirror_engine::workflow::{WorkflowError, Workspace};
use oc_mirror_model::cluster_report::{ClusterFailure, ClusterOutcome, ClusterReport};
use oc_mirror_model::reference::Target;
use oc_mirror_model::report::RunReport;
use tokio::task::JoinSet;

use crate::args::ApplyOptions;
use crate::error::CliError;
use crate::{cluster_access, cluster_output, environment, output};

/// Clusters that will be told, and how.
pub(crate) struct Applying {
    endpoints: Vec<Arc<Endpoint>>,
    options: Options,
    mode: Mode,
    wait: Option<Duration>,
    quiet: bool,
}

/// Who decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Nothing is changed.
    DryRun,
    /// Nobody is asked.
    Yes,
    /// Somebody at the terminal.
    Ask,
}

impl Applying {
    /// Finds out all that can be wrong before any cluster is asked.
    pub(crate) fn prepare(args: &ApplyOptions, dry_run: bool, quiet: bool) -> Result<Self, CliError> {
        let wait = args.wait.as_deref().map(environment::duration).transpose()?;
        let mode = match (dry_run, args.yes) {
            (true, _) => Mode::DryRun,
            (false, true) => Mode::Yes,
            (false, false) if std::io::stdin().is_terminal() => Mode::Ask,
            (false, false) => {
                return Err(CliError::new("nobody is there who could agree to the changes of clusters")
                    .hint("agree with --yes; `oc-mirror apply --dry-run` shows what would change"));
            }
        };
        let endpoints = cluster_access::locate(&args.clusters)?.into_iter().map(Arc::new).collect();
        let options = Options { force_conflicts: args.force_conflicts, prune: args.prune_resources };
        Ok(Self { endpoints, options, mode, wait, quiet })
    }

    /// Tells all clusters, and returns what became of each, in the order in which they were named.
    pub(crate) async fn run(&self, wanted: Wanted) -> Vec<ClusterReport> {
        let wanted = Arc::new(wanted);
        let looked = self.look(&wanted).await;
        let asks = self.mode == Mode::Ask && looked.iter().any(|l| l.report().has_changes());
        match self.mode {
            Mode::DryRun => {}
            // Nobody agrees to what was not shown.
            _ if self.quiet && !asks => {}
            _ => looked.iter().for_each(|l| cluster_output::preview(l.report())),
        }
        if self.mode == Mode::DryRun {
            return looked.into_iter().map(Looked::into_report).collect();
        }
        if asks && !agreed(&looked).await {
            let declined = |looked: Looked| {
                let mut report = looked.into_report();
                if report.error.is_none() {
                    report.outcome = ClusterOutcome::Declined;
                }
                report
            };
            return looked.into_iter().map(declined).collect();
        }
        let mut reports = Vec::new();
        let mut waits = JoinSet::new();
        for (place, looked) in looked.into_iter().enumerate() {
            let preview = match looked {
                Looked::Failed(report) => {
                    reports.push(*report);
                    continue;
                }
                Looked::At(preview) => *preview,
            };
            let cluster = preview.cluster().clone();
            let (report, told) = apply::execute(preview).await;
            if let Some(limit) = self.wait.filter(|_| report.outcome != ClusterOutcome::Failed) {
                let quiet = self.quiet;
                waits.spawn(async move {
                    let name = cluster.name().to_owned();
                    let progress = move |text: &str| {
                        if !quiet {
                            output::status(&format!("{name}: {text}"));
                        }
                    };
                    (place, apply::wait(&cluster, &told, Timing::within(limit), &progress).await)
                });
            }
            reports.push(report);
        }
        while let Some(waited) = waits.join_next().await {
            let (place, not_ready) = waited.expect("waiting does not panic");
            if let Some(report) = reports.get_mut(place) {
                report.not_ready = not_ready;
            }
        }
        reports
    }

    /// Asks all clusters at once what would change.
    async fn look(&self, wanted: &Arc<Wanted>) -> Vec<Looked> {
        let mut tasks = JoinSet::new();
        for (place, endpoint) in self.endpoints.iter().enumerate() {
            let (endpoint, wanted, options) = (endpoint.clone(), wanted.clone(), self.options);
            tasks.spawn(async move {
                let looked = match endpoint.connect().await {
                    Ok(cluster) => {
                        let preview = apply::preview(&cluster, &wanted, options).await;
                        Looked::At(Box::new(preview))
                    }
                    Err(error) => Looked::Failed(Box::new(unreachable(&endpoint, &error))),
                };
                (place, looked)
            });
        }
        let mut looked = tasks.join_all().await;
        looked.sort_by_key(|(place, _)| *place);
        looked.into_iter().map(|(_, looked)| looked).collect()
    }

    /// Applies what a run left in its workspace for a target, and adds to its report what became of it.
    pub(crate) async fn after_run(&self, workspace: &Workspace, target: &Target, report: &mut RunReport) {
        if !report.failures.is_empty() {
            report
                .warnings
                .push("clusters were told nothing, since the sequence was not completed".to_owned());
            return;
        }
        let mark = report.uid.map(|uid| Mark::new(uid, &target.to_string()));
        let wanted = workspace.cluster_resources(target).map_err(WorkflowError::into);
        let wanted =
            wanted.and_then(|dir| read(Vec::from_iter(dir.is_dir().then_some(dir)).as_slice(), mark));
        report.clusters = match wanted {
            Ok(wanted) if wanted.resources.is_empty() => {
                report.notes.push("there is nothing that clusters need to be told".to_owned());
                Vec::new()
            }
            Ok(wanted) => self.run(wanted).await,
            // The images are there all the same, so that is told of every cluster.
            Err(error) => self.endpoints.iter().map(|endpoint| unusable(endpoint, &error)).collect(),
        };
    }
}

/// A cluster that was looked at, or could not be.
enum Looked {
    At(Box<Preview>),
    Failed(Box<ClusterReport>),
}

impl Looked {
    fn report(&self) -> &ClusterReport {
        match self {
            Self::At(preview) => &preview.report,
            Self::Failed(report) => report,
        }
    }

    fn into_report(self) -> ClusterReport {
        match self {
            Self::At(preview) => preview.report,
            Self::Failed(report) => *report,
        }
    }
}

fn unreachable(endpoint: &Endpoint, error: &ClusterError) -> ClusterReport {
    let failure = ClusterFailure { message: error.kind.to_string(), hint: error.hint() };
    ClusterReport {
        outcome: ClusterOutcome::Failed,
        error: Some(failure),
        ..ClusterReport::new(endpoint.name(), endpoint.server())
    }
}

fn unusable(endpoint: &Endpoint, error: &CliError) -> ClusterReport {
    let failure = ClusterFailure { message: error.heading.clone(), hint: error.hint.clone() };
    ClusterReport {
        outcome: ClusterOutcome::Failed,
        error: Some(failure),
        ..ClusterReport::new(endpoint.name(), endpoint.server())
    }
}

/// Asks whoever is at the terminal.
async fn agreed(looked: &[Looked]) -> bool {
    let names: Vec<&str> = looked
        .iter()
        .map(Looked::report)
        .filter(|report| report.has_changes())
        .map(|report| report.name.as_str())
        .collect();
    let noun = if names.len() == 1 { "cluster" } else { "clusters" };
    cluster_output::question(&format!("change {} {noun} ({})? [y/N] ", names.len(), names.join(", ")));
    let (sender, receiver) = tokio::sync::oneshot::channel();
    // A thread of its own, since nothing ends a read from a terminal: the program must be able to end without it.
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line);
        let answer = line.trim().to_ascii_lowercase();
        let _ = sender.send(read.is_ok() && matches!(answer.as_str(), "y" | "yes"));
    });
    receiver.await.unwrap_or(false)
}

/// Reads files, and the files of directories, that hold resources.
pub(crate) fn read(paths: &[PathBuf], mark: Option<Mark>) -> Result<Wanted, CliError> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let mut found = files_in(path).map_err(|error| {
            CliError::caused(format!("the directory `{}` cannot be read", path.display()), &error)
        })?;
        found.sort();
        files.extend(found);
    }
    let mut texts = Vec::new();
    for file in &files {
        let bytes = environment::read(file, "the file")?;
        let text = String::from_utf8(bytes).map_err(|error| {
            CliError::caused(format!("the file `{}` is not text", file.display()), &error)
        })?;
        texts.push((file.display().to_string(), text));
    }
    let resources = apply::read(&texts).map_err(|error| {
        let made = CliError::from_error(&error);
        match error.hint.clone() {
            Some(hint) => made.hint(hint),
            None => made,
        }
    })?;
    Ok(Wanted { resources, mark })
}

fn files_in(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let is_listed =
            path.extension().is_some_and(|e| ["yaml", "yml", "json"].iter().any(|known| e == *known));
        if is_listed && path.is_file() {
            files.push(path);
        }
    }
    Ok(files)
}
