//! [`Plugin`]: a component that has been checked, compiled and linked, with its settings. Sources and policies are
//! made of it.

use std::sync::Arc;

use oc_mirror_engine::source::{Lent, PluginError};
use wasmtime::Engine;
use wasmtime::component::InstancePre;

use crate::bindings::exports::oc_mirror::plugin as exports;
use crate::bindings::oc_mirror::plugin::types::Problem;
use crate::error::SettingsProblem;
use crate::instance::{Failure, Instance};
use crate::state::{Shared, StoreState};
use crate::text::{MESSAGE, clean};

/// Which of the contract's interfaces the component exports, each found once.
pub(crate) struct Exports {
    pub(crate) settings: Option<exports::settings::GuestIndices>,
    pub(crate) source: Option<exports::source::GuestIndices>,
    pub(crate) preparation: Option<exports::preparation::GuestIndices>,
    pub(crate) inspection: Option<exports::inspection::GuestIndices>,
    pub(crate) image_policy: Option<exports::image_policy::GuestIndices>,
    pub(crate) reference_policy: Option<exports::reference_policy::GuestIndices>,
}

impl Exports {
    fn probe(pre: &InstancePre<StoreState>) -> Self {
        Self {
            settings: exports::settings::GuestIndices::new(pre).ok(),
            source: exports::source::GuestIndices::new(pre).ok(),
            preparation: exports::preparation::GuestIndices::new(pre).ok(),
            inspection: exports::inspection::GuestIndices::new(pre).ok(),
            image_policy: exports::image_policy::GuestIndices::new(pre).ok(),
            reference_policy: exports::reference_policy::GuestIndices::new(pre).ok(),
        }
    }
}

/// A plugin, ready to be started.
pub(crate) struct Plugin {
    pub(crate) engine: Engine,
    pub(crate) shared: Arc<Shared>,
    pub(crate) exports: Exports,
    pre: InstancePre<StoreState>,
    wasi: bool,
}

impl Plugin {
    pub(crate) fn new(engine: &Engine, pre: InstancePre<StoreState>, shared: Shared, wasi: bool) -> Self {
        let exports = Exports::probe(&pre);
        Self { engine: engine.clone(), shared: Arc::new(shared), exports, pre, wasi }
    }

    /// Brings an instance to life, not yet configured.
    pub(crate) async fn instantiate(&self, run: Option<Arc<Lent>>) -> Result<Instance, PluginError> {
        let mut state = StoreState::new(Arc::clone(&self.shared), self.wasi);
        state.run = run;
        Instance::start(&self.engine, &self.pre, state).await.map_err(|f| self.failed("instantiate", f))
    }

    /// Brings an instance to life and gives it its settings.
    pub(crate) async fn start(&self, run: Arc<Lent>) -> Result<Instance, PluginError> {
        let mut instance = self.instantiate(Some(run)).await?;
        let Some(indices) = &self.exports.settings else { return Ok(instance) };
        let guest = self.load("configure", indices.load(&mut instance.store, &instance.exports))?;
        let settings = self.shared.settings.clone();
        let configured = instance
            .call(|store| Box::pin(async move { guest.call_configure(store, &settings).await }))
            .await
            .map_err(|f| self.failed("configure", f))?;
        configured.map(|()| instance).map_err(|problems| {
            let texts: Vec<_> = self::problems(problems).into_iter().map(|p| p.message).collect();
            let cause = format!("it does not take its settings: {}", texts.join("; "));
            self.failed("configure", Failure { cause, hint: None })
        })
    }

    /// Asks the plugin what is wrong with its settings. It can reach nothing while it thinks.
    pub(crate) async fn validate(&self) -> Result<Vec<SettingsProblem>, PluginError> {
        let Some(indices) = &self.exports.settings else { return Ok(Vec::new()) };
        let mut instance = self.instantiate(None).await?;
        let guest = self.load("validate", indices.load(&mut instance.store, &instance.exports))?;
        let settings = self.shared.settings.clone();
        let found = instance
            .call(|store| Box::pin(async move { guest.call_validate(store, &settings).await }))
            .await
            .map_err(|f| self.failed("validate", f))?;
        Ok(problems(found))
    }

    /// Unwraps an exported interface: what is left to go wrong is that its types are others.
    pub(crate) fn load<T>(&self, call: &str, loaded: wasmtime::Result<T>) -> Result<T, PluginError> {
        loaded.map_err(|e| {
            let cause = format!("its export does not fit the contract: {}", e.root_cause());
            self.failed(call, Failure { cause: clean(&cause, MESSAGE), hint: None })
        })
    }

    /// Names the plugin and the call of a failure.
    pub(crate) fn failed(&self, call: &str, failure: Failure) -> PluginError {
        let identity = &self.shared.identity;
        PluginError {
            plugin: identity.name.clone(),
            version: identity.version.clone(),
            call: call.to_owned(),
            cause: failure.cause,
            hint: failure.hint,
        }
    }
}

fn problems(found: Vec<Problem>) -> Vec<SettingsProblem> {
    const MOST: usize = 50;
    let one = |problem: Problem| SettingsProblem {
        path: clean(&problem.path, 1024),
        code: clean(&problem.code, 128),
        message: clean(&problem.message, MESSAGE),
        hint: None,
    };
    found.into_iter().take(MOST).map(one).collect()
}
