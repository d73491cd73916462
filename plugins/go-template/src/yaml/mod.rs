//! YAML as Helm reads and writes it: by `sigs.k8s.io/yaml`, which goes through JSON, so that every number is a `float64`
//! and every key a string. Plain scalars mean what they mean in YAML 1.1: `yes` is true, `0777` is octal.

mod plain;
mod read;
mod write;

pub use read::{documents, read, read_within};
pub use write::{Layout, write};
