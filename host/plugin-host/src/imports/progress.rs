//! `progress`: how far a guest has come, and whether it should go on.

use oc_mirror_engine::report::{Event, Level};
use wasmtime::component::Resource;

use crate::bindings::oc_mirror::plugin::progress::{Host, HostTask};
use crate::state::StoreState;
use crate::text::clean;

/// The longest title that is shown, in bytes.
const TITLE: usize = 200;
/// The most steps that one call can advance: each is an event.
const MAX_STEPS: u64 = 1_000;

/// A task of a guest.
pub struct Task {
    title: String,
    /// What is left of the announced number of items; nothing if none was announced.
    left: Option<u64>,
}

impl HostTask for StoreState {
    async fn new(&mut self, title: String, total: Option<u64>) -> wasmtime::Result<Resource<Task>> {
        let title = format!("{}: {}", self.shared.identity.name, clean(&title, TITLE));
        self.event(Event::Phase { name: &title, items: total, bytes: None });
        Ok(self.table.push(Task { title, left: total })?)
    }

    async fn advance(&mut self, task: Resource<Task>, by: u64) -> wasmtime::Result<()> {
        let task = self.table.get_mut(&task)?;
        let steps = by.min(task.left.unwrap_or(u64::MAX)).min(MAX_STEPS);
        task.left = task.left.map(|left| left - steps);
        let title = task.title.clone();
        for _ in 0..steps {
            self.event(Event::ItemDone { name: &title });
        }
        Ok(())
    }

    async fn message(&mut self, task: Resource<Task>, text: String) -> wasmtime::Result<()> {
        self.table.get(&task)?;
        self.log(Level::Debug, &text, &[]);
        Ok(())
    }

    async fn drop(&mut self, task: Resource<Task>) -> wasmtime::Result<()> {
        self.table.delete(task)?;
        Ok(())
    }
}

impl Host for StoreState {
    async fn cancelled(&mut self) -> wasmtime::Result<bool> {
        self.meter.polled();
        Ok(self.is_cancelled())
    }
}
