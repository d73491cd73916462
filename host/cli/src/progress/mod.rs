//! How far a run has come, for whoever waits for it: [`Progress`].
//!
//! On a terminal that is a block of a few lines below all others, elsewhere a line every ten seconds, or a stream of JSON
//! objects for programs. Events are taken in passing; a thread of its own looks now and then what has become of them.

mod lines;
mod stream;
mod tally;

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use oc_mirror_engine::report::{Event, Events, Level, SharedEvents};
use oc_mirror_model::progress::{ProgressEvent, Standing};

use crate::args::ProgressMode;
use crate::output::{self, size, terminal};
use crate::{environment, memory};
use tally::Tally;

pub(crate) use stream::{is_on as is_json, tell};

/// How often a terminal is written to.
const FRAME: Duration = Duration::from_millis(200);
/// How often it is looked whether there is something to say.
const LOOK: Duration = Duration::from_secs(1);
/// How often it is said how far a step has come, where that cannot be seen all the time.
const PACE: Duration = Duration::from_secs(10);

/// How it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// A block of lines on a terminal.
    Live,
    /// A line now and then.
    Plain,
    /// JSON objects.
    Json,
    /// Only what is wrong, if anything.
    Silent,
}

/// Tells how far a run has come, as long as it lives.
pub(crate) struct Progress {
    watch: Arc<Watch>,
    /// Ends the thread when it is dropped.
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Begins to tell. Where that is in JSON, all that is said on the standard error is from now on.
    pub(crate) fn start(mode: ProgressMode, quiet: bool) -> Self {
        let way = match mode {
            ProgressMode::Json => Way::Json,
            _ if quiet => Way::Silent,
            ProgressMode::None => Way::Silent,
            ProgressMode::Plain => Way::Plain,
            ProgressMode::Auto if environment::is_interactive() => Way::Live,
            ProgressMode::Auto => Way::Plain,
        };
        if way == Way::Json {
            stream::begin(quiet);
        }
        let console = Console { quiet, tells_phases: way == Way::Plain };
        let state = State { tally: Tally::default(), told: Duration::ZERO, said: None };
        let watch = Arc::new(Watch { way, console, begun: Instant::now(), state: Mutex::new(state) });
        let every = match way {
            Way::Live => FRAME,
            Way::Plain | Way::Json => LOOK,
            Way::Silent => return Self { watch, end: None, thread: None },
        };
        let (end, ended) = channel();
        let shared = watch.clone();
        let looking = move || look(&shared, &ended, every);
        // Without it, nothing is shown in between; the run itself goes on.
        let thread = std::thread::Builder::new().name("progress".to_owned()).spawn(looking).ok();
        Self { watch, end: Some(end), thread }
    }

    /// Returns the receiver of what happens.
    pub(crate) fn events(&self) -> SharedEvents {
        self.watch.clone()
    }

    /// Returns what others can look at it with.
    pub(crate) fn look(&self) -> Look {
        Look(self.watch.clone())
    }

    /// Says what became of the last step, and nothing more.
    pub(crate) fn finish(mut self) {
        self.stop();
    }

    /// Returns where the run is: `fetching: 41%, 12.3 of 30.0 GiB, 120 of 400`. Nothing before the first step.
    pub(crate) fn place(&self) -> Option<String> {
        let mut state = self.watch.state();
        state.tally.has_begun().then(|| lines::place(&state.tally.standing(self.watch.begun.elapsed())))
    }

    fn stop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
            self.watch.close_phase();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Looks how far a run has come, for those who do not tell people.
pub(crate) struct Look(Arc<Watch>);

impl Look {
    /// Returns the bytes that have moved in the whole run, and how far the step has come, if there is one.
    pub(crate) fn now(&self) -> (u64, Option<Standing>) {
        let mut state = self.0.state();
        let standing = state.tally.has_begun().then(|| state.tally.standing(self.0.begun.elapsed()));
        (state.tally.moved_in_all(), standing)
    }
}

/// Takes what happens.
struct Watch {
    way: Way,
    console: Console,
    begun: Instant,
    state: Mutex<State>,
}

struct State {
    tally: Tally,
    /// When it was last said how far the step has come, or when that began.
    told: Duration,
    /// What was said then.
    said: Option<Standing>,
}

impl Watch {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows how far the step has come, if it is time to.
    fn look(&self) {
        let now = self.begun.elapsed();
        let mut state = self.state();
        if !state.tally.has_begun() {
            return;
        }
        let standing = state.tally.standing(now);
        let is_due = now.saturating_sub(state.told) >= PACE;
        match self.way {
            Way::Live => {
                drop(state);
                terminal::show(lines::block(&standing, terminal::size()));
            }
            Way::Plain if is_due => {
                state.told = now;
                drop(state);
                output::status(&lines::line(&standing));
            }
            Way::Json if is_due || has_moved(state.said.as_ref(), &standing) => {
                state.told = now;
                state.said = Some(standing.clone());
                drop(state);
                tell(ProgressEvent::Progress(standing));
            }
            Way::Plain | Way::Json | Way::Silent => {}
        }
    }

    /// Says what became of a step that is over.
    fn close_phase(&self) {
        let mut state = self.state();
        if !state.tally.has_begun() {
            return;
        }
        let standing = state.tally.standing(self.begun.elapsed());
        let is_said = state.said.replace(standing.clone()).as_ref() == Some(&standing);
        drop(state);
        match self.way {
            Way::Live => {
                terminal::show(Vec::new());
                output::status(&lines::closing(&standing));
            }
            Way::Json if !is_said => tell(ProgressEvent::Progress(standing)),
            Way::Plain | Way::Json | Way::Silent => {}
        }
    }
}

/// Answers whether there is more to tell than that time has passed.
fn has_moved(before: Option<&Standing>, now: &Standing) -> bool {
    let counts = |s: &Standing| (s.bytes_done, s.items_done, s.items_failed, s.bytes, s.items);
    before.is_none_or(|before| before.phase != now.phase || counts(before) != counts(now))
}

fn look(watch: &Watch, ended: &Receiver<()>, every: Duration) {
    while ended.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
        watch.look();
    }
}

impl Events for Watch {
    fn event(&self, event: Event<'_>) {
        if let Event::Phase { .. } = event {
            self.close_phase();
        }
        {
            let mut state = self.state();
            let now = self.begun.elapsed();
            state.tally.event(&event, now);
            if let Event::Phase { .. } = event {
                state.told = now;
                state.said = None;
            }
        }
        if self.way == Way::Json {
            stream::event(&event);
        }
        self.console.event(event);
    }
}

/// Shows events of a run as lines on the standard error, and writes them into the log.
pub(crate) struct Console {
    /// Show nothing.
    pub quiet: bool,
    /// Show when a step begins.
    pub tells_phases: bool,
}

impl Console {
    /// Shows a step that begins, and whatever is wrong.
    pub(crate) fn new(quiet: bool) -> Self {
        Self { quiet, tells_phases: true }
    }
}

impl Events for Console {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Phase { name, items, bytes } => {
                let size = bytes.map(|b| format!(", {}", size(b))).unwrap_or_default();
                let items = items.map(|n| format!(" ({n}{size})")).unwrap_or_default();
                tracing::info!(name, ?bytes, "phase");
                memory::give_back();
                if self.tells_phases && !self.quiet {
                    output::status(&format!("{name}{items}"));
                }
            }
            Event::ItemDone { name } => tracing::debug!(name, "done"),
            Event::ItemFailed { name } => tracing::debug!(name, "failed"),
            Event::Bytes { .. }
            | Event::Expected { .. }
            | Event::ItemBegun { .. }
            | Event::ItemPaused { .. } => {}
            Event::Warning { subject, message } => {
                tracing::warn!(subject, "{message}");
                if !self.quiet {
                    output::warning(&format!("{subject}: {message}"));
                }
            }
            Event::Retry { subject, reason, attempt } => {
                tracing::warn!(subject, attempt, "trying again: {reason}");
                if !self.quiet && !stream::is_on() {
                    output::status(&format!("trying again ({attempt}): {subject}: {reason}"));
                }
            }
            Event::FoundAt { subject, place } => tracing::info!(subject, place, "found at a mirror"),
            Event::PluginLog { plugin, level, message, fields } => {
                tracing::info!(plugin, ?level, ?fields, "{message}");
                if level >= Level::Warn && !self.quiet && !stream::is_on() {
                    output::warning(&format!("{plugin}: {message}"));
                }
            }
        }
    }
}
