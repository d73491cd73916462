//! [`StoreState`]: all that the host keeps for one instance of a guest. The imports in [`crate::imports`] act on it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use oc_mirror_engine::report::{Event, Level};
use oc_mirror_engine::source::{Lent, PluginIdentity, Services};
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtxView, WasiView};

use crate::fault::{Answer, Fault};
use crate::grants::{Access, Permissions};
use crate::imports::filesystem::OpenCount;
use crate::imports::plan::Collecting;
use crate::limits::{Limits, MemoryLimit, Meter};
use crate::text::{MESSAGE, clean};
use crate::wasi::Wasi;

/// What all instances of a plugin share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) identity: PluginIdentity,
    pub(crate) permissions: Arc<Permissions>,
    pub(crate) limits: Limits,
    /// The settings as JSON text.
    pub(crate) settings: String,
    /// Whether it judges images once all of their content can be read.
    pub(crate) judges_content: bool,
}

/// Everything about one instance.
pub(crate) struct StoreState {
    pub(crate) shared: Arc<Shared>,
    pub(crate) table: ResourceTable,
    pub(crate) memory: MemoryLimit,
    pub(crate) meter: Meter,
    /// The run that it works for. Nothing while settings are checked: then there is none.
    pub(crate) run: Option<Arc<Lent>>,
    /// What the current call of a source has handed over so far.
    pub(crate) collecting: Option<Collecting>,
    /// The last thing that was logged as an error in this call: after a trap, most likely its reason.
    pub(crate) last_words: Option<String>,
    /// What the user could grant so that the first refusal in this call were none.
    pub(crate) remedy: OnceLock<String>,
    /// Counts the file systems that are open.
    pub(crate) open_files: OpenCount,
    wasi: Option<Wasi>,
}

impl StoreState {
    pub(crate) fn new(shared: Arc<Shared>, wasi: bool) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(shared.limits.handles);
        let wasi = wasi.then(|| Wasi::new(&shared.identity.digest));
        let memory = MemoryLimit::new(shared.limits.memory);
        Self {
            shared,
            table,
            memory,
            meter: Meter::default(),
            run: None,
            collecting: None,
            last_words: None,
            remedy: OnceLock::new(),
            open_files: OpenCount::default(),
            wasi,
        }
    }

    /// Starts the accounts of a call.
    pub(crate) fn begin_call(&mut self) {
        self.meter = Meter::default();
        self.last_words = None;
        self.remedy = OnceLock::new();
    }

    /// Ends them: tells what was left out.
    pub(crate) fn end_call(&mut self) {
        self.flush_wasi_output();
        let dropped = self.meter.dropped_logs;
        if dropped > 0 {
            let message = format!("{dropped} more messages were dropped: the plugin logs too much");
            self.emit_log(Level::Warn, &message, &[]);
        }
    }

    /// Returns the state with one more host call on its account. Every import gets here through this, so that none
    /// can be forgotten; [`Meter::tick`] acts on the sum.
    pub(crate) fn enter(&mut self) -> &mut Self {
        self.meter.host_calls += 1;
        self
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.services.cancelled.load(Ordering::Relaxed))
    }

    /// Returns what the engine lends to the plugin.
    pub(crate) fn services(&self) -> Answer<&Services> {
        let run = self.run.as_ref().map(|run| &run.services);
        run.ok_or_else(|| Fault::denied("nothing can be reached while settings are checked"))
    }

    /// Refuses what was not both asked for and granted.
    pub(crate) fn check(&self, access: Access<'_>) -> Answer<()> {
        let permissions = &self.shared.permissions;
        permissions.check(&access).map_err(|why| {
            if let Some(remedy) = permissions.remedy(&access) {
                self.remedy.get_or_init(|| remedy);
            }
            Fault::denied(why)
        })
    }

    /// Takes requests to other machines from the budget of the call.
    pub(crate) fn charge_requests(&mut self, count: u64) -> Answer<()> {
        self.meter.requests = self.meter.requests.saturating_add(count);
        match self.meter.requests > self.shared.limits.requests {
            true => Err(Fault::limit(format!("used up its {} requests", self.shared.limits.requests))),
            false => Ok(()),
        }
    }

    /// Takes a message of the guest, if there is room for it.
    pub(crate) fn log(&mut self, level: Level, message: &str, fields: &[(String, String)]) {
        let length = fields.iter().fold(message.len(), |sum, (k, v)| sum + k.len() + v.len());
        self.meter.log_bytes = self.meter.log_bytes.saturating_add(length as u64);
        if level == Level::Error {
            self.last_words = Some(clean(message, 512));
        }
        if self.meter.log_bytes > self.shared.limits.log_bytes {
            self.meter.dropped_logs += 1;
            return;
        }
        const FIELDS: usize = 32;
        let fields: Vec<_> =
            fields.iter().take(FIELDS).map(|(k, v)| (clean(k, 128), clean(v, 1024))).collect();
        self.emit_log(level, &clean(message, MESSAGE), &fields);
    }

    fn emit_log(&self, level: Level, message: &str, fields: &[(String, String)]) {
        let plugin = &self.shared.identity.name;
        self.event(Event::PluginLog { plugin, level, message, fields });
    }

    /// Tells what happens, if anybody can hear it.
    pub(crate) fn event(&self, event: Event<'_>) {
        if let Some(run) = &self.run {
            run.services.events.event(event);
        }
    }

    /// What a guest prints is logged: its standard output as information, its standard error as a warning.
    fn flush_wasi_output(&mut self) {
        let Some(wasi) = &self.wasi else { return };
        let (output, errors) = wasi.take_output();
        for (level, text) in [(Level::Info, output), (Level::Warn, errors)] {
            for line in text.lines().filter(|line| !line.trim().is_empty()) {
                self.log(level, line, &[]);
            }
            if level == Level::Warn && self.last_words.is_none() {
                let last = text.lines().rfind(|line| line.contains("panicked") || !line.trim().is_empty());
                self.last_words = last.map(|line| clean(line, 512));
            }
        }
    }
}

impl WasiView for StoreState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.meter.host_calls += 1;
        let wasi = self.wasi.as_mut().expect("WASI is linked only for guests that import it");
        WasiCtxView { ctx: wasi.context(), table: &mut self.table }
    }
}
