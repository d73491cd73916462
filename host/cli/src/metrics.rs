//! Numbers about a run in a file, for a monitoring system: [`Metrics`] behind `--metrics-file`.
//!
//! The file is one for the textfile collector of Prometheus' node_exporter and valid OpenMetrics as well: all numbers are
//! gauges, since they begin anew with each run, and there are no times of samples. It is replaced as a whole.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use oc_mirror_engine::fsx;
use oc_mirror_engine::workflow::network::Network;
use oc_mirror_model::progress::Standing;
use oc_mirror_model::report::{RunReport, exit};

use crate::error::CliError;
use crate::progress::Look;

/// How often the file is written during a run.
const PACE: Duration = Duration::from_secs(10);
/// What a run without a success of its own takes over from the file.
const LAST_SUCCESS: &str = "oc_mirror_last_success_time_seconds";
/// What a run that did not get to an imageset takes over from the file.
const SEQUENCE: &str = "oc_mirror_sequence";

/// Writes a file as long as it lives.
pub(crate) struct Metrics {
    file: Arc<MetricsFile>,
    /// Ends the thread when it is dropped.
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct MetricsFile {
    path: PathBuf,
    look: Look,
    begun: (SystemTime, Instant),
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    workflow: &'static str,
    network: Option<Arc<Network>>,
    images: Option<Images>,
    last_success: Option<u64>,
    sequence: Option<u64>,
    exit_code: Option<u8>,
}

/// What became of images.
#[derive(Clone, Copy, Debug, Default)]
struct Images {
    all: usize,
    failed: usize,
    quarantined: usize,
    refused: usize,
}

impl Metrics {
    /// Begins to write a file. What it says of the last success is kept until there is another one.
    ///
    /// # Errors
    ///
    /// Where it cannot be written: better now than at the end of a long run.
    pub(crate) fn start(path: &Path, look: Look) -> Result<Self, CliError> {
        let before = std::fs::read_to_string(path).unwrap_or_default();
        let state = State {
            last_success: kept(&before, LAST_SUCCESS),
            sequence: kept(&before, SEQUENCE),
            ..State::default()
        };
        let file = MetricsFile {
            path: path.to_owned(),
            look,
            begun: (SystemTime::now(), Instant::now()),
            state: Mutex::new(state),
        };
        file.write().map_err(|error| {
            CliError::caused(format!("the metrics `{}` cannot be written", path.display()), &error)
                .hint("name a file in a directory that is there and can be written to")
        })?;
        let file = Arc::new(file);
        let (end, ended) = channel();
        let shared = file.clone();
        let writing = move || {
            while ended.recv_timeout(PACE) == Err(RecvTimeoutError::Timeout) {
                // The next time may be better; the end of the run says so if not.
                let _ = shared.write();
            }
        };
        // Without it, there is nothing new in between; the run itself goes on.
        let thread = std::thread::Builder::new().name("metrics".to_owned()).spawn(writing).ok();
        Ok(Self { file, end: Some(end), thread })
    }

    /// Says which way the run goes, and whose requests count.
    pub(crate) fn of(&self, workflow: &'static str, network: &Arc<Network>) {
        let mut state = self.file.state();
        state.workflow = workflow;
        state.network = Some(network.clone());
    }

    /// Takes what became of the images.
    pub(crate) fn note(&self, report: &RunReport) {
        let mut state = self.file.state();
        state.images = Some(Images {
            all: report.images.len(),
            failed: report.failures.len(),
            quarantined: report.quarantined.len(),
            refused: report.refused.len(),
        });
        if let Some(last) = report.imagesets.last().filter(|_| !report.dry_run) {
            state.sequence = Some(last.sequence);
        }
    }

    /// Writes how the run ended.
    pub(crate) fn finish(mut self, exit_code: u8) -> std::io::Result<()> {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let mut state = self.file.state();
        state.exit_code = Some(exit_code);
        if exit_code == exit::OK {
            state.last_success = seconds(SystemTime::now());
        }
        drop(state);
        self.file.write()
    }
}

impl MetricsFile {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::io::Result<()> {
        fsx::write_atomic(&self.path, self.text().as_bytes())
    }

    fn text(&self) -> String {
        let state = self.state();
        let (moved, standing) = self.look.now();
        let mut text = Text::default();
        let info = [("version", env!("CARGO_PKG_VERSION")), ("workflow", state.workflow)];
        text.family(
            "oc_mirror_run_info",
            "Which way the run went, and by which version.",
            [(&info[..], 1.0)],
        );
        let running = if state.exit_code.is_none() { 1.0 } else { 0.0 };
        text.one(
            "oc_mirror_run_running",
            "Whether the run was going on when this was written.",
            Some(running),
        );
        let begun = seconds(self.begun.0).map(|s| s as f64);
        text.one("oc_mirror_run_start_time_seconds", "When the run began, in seconds since 1970.", begun);
        let lasts = Some(self.begun.1.elapsed().as_secs_f64());
        text.one("oc_mirror_run_duration_seconds", "How long the run has taken.", lasts);
        let code = state.exit_code.map(f64::from);
        text.one("oc_mirror_run_exit_code", "The exit code of the run, once it has ended.", code);
        let success = state.last_success.map(|s| s as f64);
        text.one(LAST_SUCCESS, "When a run last ended with exit code 0, in seconds since 1970.", success);
        let sequence = state.sequence.map(|s| s as f64);
        text.one(SEQUENCE, "The sequence of the last imageset that was made or published.", sequence);
        text.one("oc_mirror_moved_bytes", "Bytes of content that the run has moved.", Some(moved as f64));
        if let Some(images) = state.images {
            let outcomes = [
                ("all", images.all),
                ("failed", images.failed),
                ("quarantined", images.quarantined),
                ("refused", images.refused),
            ];
            let samples = outcomes.map(|(outcome, count)| ([("outcome", outcome)], count as f64));
            let samples = samples.iter().map(|(labels, count)| (&labels[..], *count));
            text.family("oc_mirror_images", "Images that were wanted, and what became of some.", samples);
        }
        if let Some(standing) = &standing {
            step(standing, &mut text);
        }
        if let Some(network) = &state.network {
            registries(network, &mut text);
        }
        text.0.push_str("# EOF\n");
        text.0
    }
}

/// Writes about the step that goes on, or was the last one.
fn step(standing: &Standing, text: &mut Text) {
    let labels = [("step", standing.phase.as_str())];
    let numbers = [
        ("oc_mirror_step_items", "Items of the step.", standing.items),
        ("oc_mirror_step_items_done", "Items of the step that are done.", Some(standing.items_done)),
        ("oc_mirror_step_items_failed", "Items of the step that have failed.", Some(standing.items_failed)),
        ("oc_mirror_step_bytes", "Bytes that the step is to move.", standing.bytes),
        ("oc_mirror_step_bytes_done", "Bytes that the step has moved.", Some(standing.bytes_done)),
    ];
    for (name, help, number) in numbers {
        text.family(name, help, number.map(|number| (&labels[..], number as f64)));
    }
}

/// Writes about each registry.
fn registries(network: &Network, text: &mut Text) {
    let traffic = network.traffic();
    type Number = fn(&oc_mirror_engine::registry::Stats) -> u64;
    let numbers: [(&str, &str, Number); 5] = [
        ("oc_mirror_registry_requests", "Requests to the registry, retries included.", |s| s.requests),
        ("oc_mirror_registry_token_requests", "Requests for tokens.", |s| s.token_requests),
        ("oc_mirror_registry_retries", "Attempts after the first.", |s| s.retries),
        ("oc_mirror_registry_received_bytes", "Bytes of bodies received.", |s| s.bytes_received),
        ("oc_mirror_registry_sent_bytes", "Bytes of bodies sent.", |s| s.bytes_sent),
    ];
    for (name, help, number) in numbers {
        let samples: Vec<_> = traffic
            .iter()
            .map(|(registry, stats)| ([("registry", registry.as_str())], number(stats)))
            .collect();
        text.family(name, help, samples.iter().map(|(labels, number)| (&labels[..], *number as f64)));
    }
}

/// A file in the making.
#[derive(Default)]
struct Text(String);

impl Text {
    fn one(&mut self, name: &str, help: &str, value: Option<f64>) {
        self.family(name, help, value.map(|value| (&[][..], value)));
    }

    /// Writes the samples of one metric, if there are any.
    fn family<'a>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (&'a [(&'a str, &'a str)], f64)>,
    ) {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return;
        }
        writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} gauge").expect("a string takes it");
        for (labels, value) in samples {
            let labels: Vec<String> =
                labels.iter().map(|(label, text)| format!("{label}=\"{}\"", escaped(text))).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            writeln!(self.0, "{name}{labels} {value}").expect("a string takes it");
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Returns a number of a file that was written before.
fn kept(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line?.trim().parse().ok()
}

fn seconds(time: SystemTime) -> Option<u64> {
    time.duration_since(SystemTime::UNIX_EPOCH).ok().map(|since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_escaped_and_read_again() {
        let mut text = Text::default();
        text.family("a", "Help.", [(&[("step", "a \"b\"\\\n")][..], 1.5)]);
        text.one(LAST_SUCCESS, "Help.", Some(1_700_000_000.0));
        text.one("nothing", "Help.", None);
        let expected = "# HELP a Help.\n# TYPE a gauge\na{step=\"a \\\"b\\\"\\\\\\n\"} 1.5\n\
                        # HELP oc_mirror_last_success_time_seconds Help.\n\
                        # TYPE oc_mirror_last_success_time_seconds gauge\n\
                        oc_mirror_last_success_time_seconds 1700000000\n";
        assert_eq!(text.0, expected);
        assert_eq!(kept(&text.0, LAST_SUCCESS), Some(1_700_000_000));
        assert_eq!(kept(&text.0, SEQUENCE), None);
    }
}
