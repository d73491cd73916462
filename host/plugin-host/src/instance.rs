//! [`Instance`]: one running guest. Every call into it goes through [`Instance::call`], which bounds it and says what
//! went wrong in words.

use std::pin::Pin;
use std::time::Duration;

use wasmtime::component::InstancePre;
use wasmtime::{Engine, Store, Trap};

use crate::limits::{Stop, human_bytes, human_time};
use crate::state::StoreState;
use crate::text::{MESSAGE, clean};

/// The result of a call that is still running.
pub(crate) type Running<'a, T> = Pin<Box<dyn Future<Output = wasmtime::Result<T>> + Send + 'a>>;

/// A guest with its store. After a failed call it cannot be used again and is to be dropped.
pub(crate) struct Instance {
    pub(crate) store: Store<StoreState>,
    pub(crate) exports: wasmtime::component::Instance,
    /// How many calls it has answered.
    pub(crate) calls: u32,
}

/// A call that did not end well.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) cause: String,
    pub(crate) hint: Option<String>,
}

impl Instance {
    /// Brings a guest to life. Its code may run here already, so this is bounded as a call is.
    pub(crate) async fn start(
        engine: &Engine,
        pre: &InstancePre<StoreState>,
        state: StoreState,
    ) -> Result<Self, Failure> {
        let mut store = Store::new(engine, state);
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(store.data().shared.limits.transfer);
        store.epoch_deadline_callback(|mut store| {
            let state = store.data_mut();
            let cancelled = state.is_cancelled();
            state.meter.tick(&state.shared.limits, cancelled)
        });
        let pre = pre.clone();
        let exports =
            bounded(&mut store, |store| Box::pin(async move { pre.instantiate_async(store).await })).await?;
        Ok(Self { store, exports, calls: 0 })
    }

    /// Makes one call.
    pub(crate) async fn call<T>(
        &mut self,
        call: impl for<'a> FnOnce(&'a mut Store<StoreState>) -> Running<'a, T> + Send,
    ) -> Result<T, Failure> {
        self.calls += 1;
        bounded(&mut self.store, call).await
    }

    /// Returns what the user could grant so that the last call had not been refused something.
    pub(crate) fn remedy(&self) -> Option<String> {
        self.store.data().remedy.get().cloned()
    }
}

/// Runs something in a store under all limits.
///
/// The clock of the engine bounds the time in the guest; the time-out also bounds waiting in the host, which the clock
/// cannot interrupt.
async fn bounded<T>(
    store: &mut Store<StoreState>,
    call: impl for<'a> FnOnce(&'a mut Store<StoreState>) -> Running<'a, T> + Send,
) -> Result<T, Failure> {
    let limit = store.data().shared.limits.call_time;
    store.data_mut().begin_call();
    store.set_epoch_deadline(1);
    let ended = tokio::time::timeout(limit, call(store)).await;
    let state = store.data_mut();
    state.end_call();
    match ended {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            let failure = explain(state, &error);
            Err(Failure { hint: failure.hint.or_else(|| state.remedy.get().cloned()), ..failure })
        }
        Err(_) => Err(Failure { cause: out_of_time(limit), hint: None }),
    }
}

fn out_of_time(limit: Duration) -> String {
    format!("used up its {}, waiting included", human_time(limit))
}

/// Says in words why a guest was ended.
fn explain(state: &StoreState, error: &wasmtime::Error) -> Failure {
    let limits = &state.shared.limits;
    if let Some(stop) = error.downcast_ref::<Stop>() {
        let hint = match stop {
            Stop::GuestTime(_) => Some("it may be in an endless loop; see what it logged last".to_owned()),
            Stop::HostCalls(_) | Stop::Cancelled => None,
        };
        return Failure { cause: stop.to_string(), hint };
    }
    let trap = error.downcast_ref::<Trap>();
    // A guest that was refused memory gives up, and its trap would not say why.
    if state.memory.was_refused() && matches!(trap, Some(Trap::UnreachableCodeReached) | None) {
        let limit = human_bytes(state.memory.limit());
        let hint = "a plugin says how much memory it needs under `resources` in its metadata".to_owned();
        return Failure { cause: format!("asked for more than {limit} of memory"), hint: Some(hint) };
    }
    let mut cause = match trap {
        Some(Trap::UnreachableCodeReached) => "trapped: unreachable".to_owned(),
        Some(trap) => format!("trapped: {}", trap.to_string().trim_start_matches("wasm trap: ")),
        None if error.root_cause().to_string().contains("fuel allocated for hostcalls") => {
            format!("handed more than {} to the host in one call", human_bytes(limits.transfer))
        }
        None => format!("was stopped: {}", clean(&error.root_cause().to_string(), MESSAGE)),
    };
    if let Some(words) = &state.last_words {
        cause = format!("{cause}; it logged `{words}`");
    }
    Failure { cause, hint: None }
}
