//! The contract as Rust, generated from the WIT text: [`imports`] once for all, and one module for each exported
//! interface, so that a plugin exports exactly what it implements.
//!
//! Nothing here is written by hand; the friendly side is the crate's root.
#![allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    missing_debug_implementations,
    rust_2018_idioms,
    clippy::all
)]

/// Everything the host offers.
pub mod imports {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: r"
            package oc-mirror:sdk-imports;
            world imports {
                include oc-mirror:plugin/base-imports@0.1.0;
                import oc-mirror:plugin/streams@0.1.0;
                import oc-mirror:plugin/registry@0.1.0;
                import oc-mirror:plugin/http@0.1.0;
                import oc-mirror:plugin/cache@0.1.0;
                import oc-mirror:plugin/signatures@0.1.0;
                import oc-mirror:plugin/plan@0.1.0;
            }
        ",
        world: "oc-mirror:sdk-imports/imports",
        generate_all,
        generate_unused_types: true,
        additional_derives: [PartialEq, Eq, Clone],
        pub_export_macro: true,
    });
}

macro_rules! exported {
    (
        $(#[$doc:meta])* $module:ident, world $world:literal in $package:literal,
        exported by $macro:literal from $path:literal,
        with $($interface:literal as $types:ident),+
    ) => {
        $(#[$doc])*
        pub mod $module {
            wit_bindgen::generate!({
                path: "../../wit",
                inline: $package,
                world: $world,
                with: { $($interface: crate::bindings::imports::oc_mirror::plugin::$types),+ },
                generate_all,
                additional_derives: [PartialEq, Eq, Clone],
                pub_export_macro: true,
                export_macro_name: $macro,
                default_bindings_module: $path,
            });
        }
    };
}

exported!(
    /// The settings every plugin takes.
    settings,
    world "oc-mirror:sdk-settings/settings-only"
        in "package oc-mirror:sdk-settings; world settings-only { export oc-mirror:plugin/settings@0.1.0; }",
    exported by "export_settings" from "oc_mirror_plugin_sdk::bindings::settings",
    with "oc-mirror:plugin/types@0.1.0" as types
);
exported!(
    /// What a content source exports.
    source,
    world "oc-mirror:sdk-source/source-only"
        in "package oc-mirror:sdk-source; world source-only { export oc-mirror:plugin/source@0.1.0; }",
    exported by "export_source" from "oc_mirror_plugin_sdk::bindings::source",
    with "oc-mirror:plugin/types@0.1.0" as types,
        "oc-mirror:plugin/streams@0.1.0" as streams,
        "oc-mirror:plugin/registry@0.1.0" as registry,
        "oc-mirror:plugin/plan@0.1.0" as plan
);
exported!(
    /// What a content source exports that prepares its parts.
    preparation,
    world "oc-mirror:sdk-preparation/preparation-only"
        in "package oc-mirror:sdk-preparation; world preparation-only { export oc-mirror:plugin/preparation@0.1.0; }",
    exported by "export_preparation" from "oc_mirror_plugin_sdk::bindings::preparation",
    with "oc-mirror:plugin/types@0.1.0" as types
);
exported!(
    /// What a content source exports that answers questions.
    inspection,
    world "oc-mirror:sdk-inspection/inspection-only"
        in "package oc-mirror:sdk-inspection; world inspection-only { export oc-mirror:plugin/inspection@0.1.0; }",
    exported by "export_inspection" from "oc_mirror_plugin_sdk::bindings::inspection",
    with "oc-mirror:plugin/types@0.1.0" as types
);
exported!(
    /// What a policy on images exports.
    image_policy,
    world "oc-mirror:sdk-image-policy/image-policy-only"
        in "package oc-mirror:sdk-image-policy; world image-policy-only { export oc-mirror:plugin/image-policy@0.1.0; }",
    exported by "export_image_policy" from "oc_mirror_plugin_sdk::bindings::image_policy",
    with "oc-mirror:plugin/types@0.1.0" as types,
        "oc-mirror:plugin/streams@0.1.0" as streams,
        "oc-mirror:plugin/registry@0.1.0" as registry
);
exported!(
    /// What a policy on references exports.
    reference_policy,
    world "oc-mirror:sdk-reference-policy/reference-policy-only"
        in "package oc-mirror:sdk-reference-policy; world reference-policy-only { export oc-mirror:plugin/reference-policy@0.1.0; }",
    exported by "export_reference_policy" from "oc_mirror_plugin_sdk::bindings::reference_policy",
    with "oc-mirror:plugin/types@0.1.0" as types
);
exported!(
    /// What a transformer exports.
    transform,
    world "oc-mirror:sdk-transform/transform-only"
        in "package oc-mirror:sdk-transform; world transform-only { export oc-mirror:plugin/transform@0.1.0; }",
    exported by "export_transform" from "oc_mirror_plugin_sdk::bindings::transform",
    with "oc-mirror:plugin/types@0.1.0" as types
);
