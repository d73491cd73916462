//! `config`: what a guest may know of the run and of itself.

use crate::bindings::oc_mirror::plugin::config::{Host, RunInfo};
use crate::convert;
use crate::grants::Access;
use crate::state::StoreState;

impl Host for StoreState {
    async fn run(&mut self) -> wasmtime::Result<RunInfo> {
        let Some(run) = &self.run else {
            return Err(wasmtime::Error::msg("there is no run while settings are checked"));
        };
        let info = &run.run;
        let images = info.images.map(|images| ("images".to_owned(), images.to_string()));
        let extra = [("time".to_owned(), info.time.clone())].into_iter().chain(images).collect();
        Ok(RunInfo {
            host_version: info.host_version.clone(),
            workflow: info.workflow.as_str().to_owned(),
            offline: info.offline,
            dry_run: info.dry_run,
            sequence: info.sequence,
            platforms: info.platforms.iter().map(convert::platform).collect(),
            extra,
        })
    }

    async fn settings(&mut self) -> wasmtime::Result<String> {
        Ok(self.shared.settings.clone())
    }

    async fn has_credential(&mut self, name: String) -> wasmtime::Result<bool> {
        let granted = self.shared.permissions.allow(&Access::Credential(&name));
        Ok(granted && self.run.as_ref().is_some_and(|run| run.services.http.has_credential(&name)))
    }
}
