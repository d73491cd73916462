//! [`Target`]: what is fuzzed, within which limits; [`Input`] takes an input apart.

use crate::memory;

/// One thing that is fed with what strangers might send.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: that of the binary, and of the directories with its corpus and seeds.
    pub name: &'static str,
    /// The longest input that it takes, in bytes.
    pub longest: usize,
    /// How much memory it may take beyond what there was before, in bytes.
    pub memory: usize,
    /// Feeds it, and panics if a property does not hold.
    pub check: fn(&[u8]),
}

impl Target {
    /// Feeds it within its limits. Longer inputs are passed over.
    pub fn run(&self, data: &[u8]) {
        if data.len() <= self.longest {
            memory::within(self.memory, || (self.check)(data));
        }
    }
}

/// An input that is taken apart from its front. It never ends: behind its end come zeros.
#[derive(Clone, Debug)]
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// Takes a byte.
    pub fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    /// Takes a number of two bytes, the lower one first.
    pub fn number(&mut self) -> usize {
        usize::from(self.byte()) | usize::from(self.byte()) << 8
    }

    /// Takes up to so many bytes.
    pub fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Takes all up to the next zero, which is dropped, or to the end.
    pub fn part(&mut self) -> &'a [u8] {
        match self.0.iter().position(|byte| *byte == 0) {
            Some(end) => {
                let part = &self.0[..end];
                self.0 = &self.0[end + 1..];
                part
            }
            None => std::mem::take(&mut self.0),
        }
    }

    /// Takes one of several things.
    pub fn one_of<T: Copy>(&mut self, things: &[T]) -> T {
        things[usize::from(self.byte()) % things.len()]
    }

    /// Answers whether there is nothing left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
