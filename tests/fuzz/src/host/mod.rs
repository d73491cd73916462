//! Targets in the program itself.

mod aid;
mod answers;
mod archives;
mod catalog;
mod config;
mod imageset;
mod layer;
mod manifest;
mod openpgp;
mod plugin;
mod policy;
mod records;
mod reference;
mod registries_conf;
mod serve;
mod signatures;
mod tar;

pub use self::answers::ANSWERS;
pub use self::archives::ARCHIVES;
pub use self::catalog::CATALOG;
pub use self::config::CONFIG;
pub use self::imageset::IMAGESET;
pub use self::layer::LAYER;
pub use self::manifest::MANIFEST;
pub use self::openpgp::OPENPGP;
pub use self::plugin::PLUGIN;
pub use self::policy::POLICY;
pub use self::records::RECORDS;
pub use self::reference::REFERENCE;
pub use self::registries_conf::REGISTRIES_CONF;
pub use self::serve::SERVE;
pub use self::signatures::SIGNATURES;
pub use self::tar::TAR;

use crate::target::Target;

/// All of them.
pub const ALL: [Target; 16] = [
    ANSWERS,
    ARCHIVES,
    CATALOG,
    CONFIG,
    IMAGESET,
    LAYER,
    MANIFEST,
    OPENPGP,
    PLUGIN,
    POLICY,
    RECORDS,
    REFERENCE,
    REGISTRIES_CONF,
    SERVE,
    SIGNATURES,
    TAR,
];
