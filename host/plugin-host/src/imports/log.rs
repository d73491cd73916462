//! `log`: what a guest says goes to the receiver of the run's events.

use crate::bindings::oc_mirror::plugin::log::{Host, Level};
use crate::convert;
use crate::state::StoreState;

impl Host for StoreState {
    async fn log(
        &mut self,
        level: Level,
        message: String,
        fields: Vec<(String, String)>,
    ) -> wasmtime::Result<()> {
        StoreState::log(self, convert::level(level), &message, &fields);
        Ok(())
    }

    /// Only the receiver knows what is shown; a guest may save itself messages once they are dropped anyway.
    async fn enabled(&mut self, _level: Level) -> wasmtime::Result<bool> {
        Ok(self.run.is_some() && self.meter.log_bytes <= self.shared.limits.log_bytes)
    }
}
