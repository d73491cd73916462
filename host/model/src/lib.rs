//! The plain data of oc-mirror: identities, manifests, configuration, plans, sequences and reports.
//!
//! Nothing here does I/O, reads the environment or knows about async. Every type that carries a rule
//! (a digest's grammar, a tag's length) is parsed once at the edge and trusted afterwards.

pub mod attributes;
pub mod audit;
pub mod bucket;
pub mod cases;
pub mod check;
pub mod checksum;
pub mod checkup;
pub mod cluster_report;
pub mod clusters;
pub mod config;
pub mod deletion;
pub mod describe;
pub mod digest;
pub mod dsse;
pub mod few;
pub mod forecast;
pub mod images;
pub mod imageset;
pub mod inventory;
pub mod manifest;
pub mod media_type;
pub mod metadata;
pub mod mirror_plan;
pub mod pattern;
pub mod platform;
pub mod plugin_source;
pub mod policy;
pub mod predecessor;
pub mod progress;
pub mod redact;
pub mod reference;
pub mod referrers;
pub mod report;
pub mod request;
pub mod sequence;
pub mod shared;
pub mod signer;
pub mod size;
pub mod tar;
pub mod version;

pub use bucket::BucketUrl;
pub use digest::Digest;
pub use few::Few;
pub use manifest::{Descriptor, Manifest, RawManifest};
pub use media_type::MediaType;
pub use platform::Platform;
pub use reference::{Reference, Repository, Tag};
pub use request::ImageRequest;
pub use size::Size;
