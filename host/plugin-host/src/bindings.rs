//! The contract, version 0.1, as Rust: what `bindgen!` makes of `wit/`, for all worlds at once.
//!
//! One world that includes the three gives one set of types, and each exported interface can still be probed alone:
//! a component need not implement them all. Nothing here is written by hand.
#![allow(missing_docs, unreachable_pub, clippy::all)]

wasmtime::component::bindgen!({
    path: "../../wit",
    inline: "
        package oc-mirror:host;
        world host {
            include oc-mirror:plugin/catalog-source@0.1.0;
            include oc-mirror:plugin/policy@0.1.0;
            include oc-mirror:plugin/static-policy@0.1.0;
        }
    ",
    world: "oc-mirror:host/host",
    imports: { default: async | trappable },
    exports: { default: async },
    trappable_error_type: { "oc-mirror:plugin/types.error" => crate::fault::Fault },
    with: {
        "oc-mirror:plugin/streams.reader": crate::imports::streams::Reader,
        "oc-mirror:plugin/streams.writer": crate::imports::streams::Writer,
        "oc-mirror:plugin/streams.documents": crate::imports::documents::Documents,
        "oc-mirror:plugin/progress.task": crate::imports::progress::Task,
        "oc-mirror:plugin/registry.image": crate::imports::image::Image,
        "oc-mirror:plugin/registry.filesystem": crate::imports::filesystem::Filesystem,
        "oc-mirror:plugin/registry.entries": crate::imports::filesystem::Entries,
        "oc-mirror:plugin/registry.files": crate::imports::files::Files,
        "oc-mirror:plugin/cache.draft": crate::imports::cache::Draft,
        "oc-mirror:plugin/plan.sink": crate::imports::plan::Sink,
        "oc-mirror:plugin/plan.image-builder": crate::imports::build::Builder,
    },
});
