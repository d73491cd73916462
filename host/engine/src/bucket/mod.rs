//! Objects in an S3-compatible store: [`Bucket`] reads, lists, writes on conditions and uploads in parts.
//!
//! The requests are made by `object_store`, over this program's own HTTP: its certificates, proxies and limits. This room
//! knows keys and bytes. What is in objects is for those above: records of chains, and chunks of imagesets.

mod chain;
mod client;
mod error;
mod http;
mod object;
mod uploads;

pub use chain::{Credentials, ProfileError, Surroundings, find};
pub use client::{Bucket, BucketSettings, Entry, Revision};
pub use error::Fault;
pub use object::Object;
pub use uploads::{PART, Part};

#[cfg(test)]
pub(crate) mod tests;
