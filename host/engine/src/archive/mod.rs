//! Imagesets: [`Writer`] fills planned chunks in place on a disk, [`Reader`] seeks in sealed ones wherever they are.
//!
//! The way of an imageset: `plan::layout::complete` completes its index; [`Writer::create_or_resume`] makes the
//! partial chunks; blobs, manifests and files are put in any order and in parallel, each straight into its place;
//! [`Writer::seal`] makes everything durable and gives the chunks their names. [`Reader::open`] trusts nothing that
//! it has not checked: names, headers, sizes and offsets must be exactly those of the format.

mod check;
mod chunk;
mod documents;
mod error;
mod files;
mod journal;
mod keys;
mod on_disk;
mod prepare;
mod reader;
mod recover;
mod salvage;
mod table;
mod text;
mod writer;

pub use check::{Progress, check};
pub use documents::layout_documents;
pub use error::{ArchiveError, ArchiveErrorKind, ChunkProblem};
pub use files::{ImagesetChunks, ImagesetFiles, find_imagesets, group_chunks, remove, remove_stale_lock};
pub use keys::{KeyError, KeyFile, PublicKey, SigningKey, SigningKeys, TrustedKeys};
pub use prepare::{chunk_sizes, interrupted, room_needed};
pub use reader::Reader;
pub use salvage::left_in;
pub use writer::Writer;

#[cfg(test)]
mod tests;
