//! The one wasmtime engine of the process, and the clock that bounds how long guests run.

use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Config, Engine};

use crate::bindings::oc_mirror::plugin as wit;
use crate::limits::TICK;
use crate::state::StoreState;

/// Makes the engine and starts its clock.
///
/// The clock runs whether or not anybody asked for a deadline: a store without ticks would never be stopped.
pub(crate) fn start() -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config.epoch_interruption(true);
    config.wasm_memory64(false);
    config.wasm_backtrace_max_frames(std::num::NonZeroUsize::new(16));
    // Host functions run on the guest's stack, and those of a debug build are wide.
    config.async_stack_size(4 << 20);
    let engine = Engine::new(&config)?;
    let weak = engine.weak();
    std::thread::Builder::new().name("guest-clock".to_owned()).spawn(move || {
        while let Some(engine) = weak.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(TICK);
        }
    })?;
    Ok(engine)
}

/// Links every interface of the contract, whatever is granted: guests of interpreters import all of them, used or
/// not. Refusing happens at the call.
pub(crate) fn linker(engine: &Engine, wasi: bool) -> wasmtime::Result<Linker<StoreState>> {
    let mut linker = Linker::new(engine);
    type Own = HasSelf<StoreState>;
    wit::types::add_to_linker::<_, Own>(&mut linker, StoreState::enter)?;
    wit::streams::add_to_linker::<_, Own>(&mut linker, StoreState::enter)?;
    wit::log::add_to_linker::<_, Own>(&mut linker, StoreState::enter)?;
    wit::progress::add_to_linker::<_, Own>(&mut linker, StoreState::enter)?;
    wit::config::add_to_linker::<_, Own>(&mut linker, StoreState::enter)?;
    wit::registry::add_to_linker::<_, Own>(&mut linker, StoreState::enter)?;
    wit::http::add_to_linker::<_, Own>(&mut linker, StoreState::enter)?;
    wit::cache::add_to_linker::<_, Own>(&mut linker, StoreState::enter)?;
    wit::signatures::add_to_linker::<_, Own>(&mut linker, StoreState::enter)?;
    wit::plan::add_to_linker::<_, Own>(&mut linker, StoreState::enter)?;
    if wasi {
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    }
    Ok(linker)
}
