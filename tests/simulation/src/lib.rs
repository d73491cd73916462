//! oc-mirror's engine in a simulated world.
//!
//! The engine is the real one, built with the feature `simulation`: between it and its disk stands [`disk::SimDisk`], and in
//! place of the network [`wire::SimWire`] with a registry in memory. The clock is tokio's, paused, so that waiting costs nothing. A
//! seed decides what there is to mirror and what goes wrong; [`check`] looks at what is left after every attempt, without
//! any of the engine's code. One process simulates one world at a time.

pub mod check;
pub mod content;
pub mod disk;
pub mod engine;
pub mod random;
pub mod registry;
pub mod wire;
pub mod world;
