//! Who signed what, and whether that is enough: signatures of releases and of images.
//!
//! [`openpgp`] reads signed messages and tells every way in which one can fail to hold. [`release`] answers
//! [`Signatures`](crate::source::Signatures) for content sources out of the public stores. [`policy`] says whether an
//! image may be mirrored under a `policy.json` of containers/image, with the signatures that [`image`] finds and
//! [`registries_d`] locates; [`sigstore`] finds among them those of whom a plugin names. [`plugin`] says whose a plugin is, and
//! [`signing`] makes such signatures. Nothing here knows of registries, of where content goes or of the environment: stores, keys
//! and the time are settings.
//!
//! One order counts everywhere: a message is read to its end and its signature checked before anything in it is looked
//! at, and no place to fetch from is ever taken out of one.

mod certificate;
mod fetch;
mod files;
pub mod image;
pub mod openpgp;
pub mod plugin;
pub mod policy;
mod public_key;
pub mod registries_d;
mod rekor;
pub mod release;
mod scope;
pub mod signing;
pub mod sigstore;
mod simple_signing;
#[cfg(test)]
mod testing;
