//! [`Budget`]: what the execution of templates may use up. A hostile chart ends as an error that says which limit it hit.

use std::cell::Cell;

use crate::failure::Failure;

/// What the execution of templates may use up, counted over everything that shares the budget.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Nodes of templates, items of lists and values that are walked.
    pub steps: u64,
    /// Bytes of text that are made, whether or not they come out in the end.
    pub bytes: u64,
    /// Templates, blocks and pipelines inside each other. Each level takes stack.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { steps: 20_000_000, bytes: 128 << 20, depth: 400 }
    }
}

/// What is left of [`Limits`].
#[derive(Debug)]
pub struct Budget {
    limits: Limits,
    steps: Cell<u64>,
    bytes: Cell<u64>,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Budget {
    /// Starts a budget.
    pub fn new(limits: Limits) -> Self {
        Self { limits, steps: Cell::new(0), bytes: Cell::new(0) }
    }

    /// Returns how many levels may be inside each other.
    pub fn depth(&self) -> usize {
        self.limits.depth
    }

    /// Takes one step.
    pub fn step(&self) -> Result<(), Failure> {
        self.steps(1)
    }

    /// Takes several steps.
    pub fn steps(&self, count: u64) -> Result<(), Failure> {
        let steps = self.steps.get().saturating_add(count);
        self.steps.set(steps);
        match steps > self.limits.steps {
            true => Err(Failure::limit(format!("it takes more than {} steps", self.limits.steps))),
            false => Ok(()),
        }
    }

    /// Takes bytes of text, before they are made where that is possible.
    pub fn bytes(&self, count: usize) -> Result<(), Failure> {
        let bytes = self.bytes.get().saturating_add(count as u64);
        self.bytes.set(bytes);
        match bytes > self.limits.bytes {
            true => {
                Err(Failure::limit(format!("it makes more than {} MiB of text", self.limits.bytes >> 20)))
            }
            false => Ok(()),
        }
    }
}
