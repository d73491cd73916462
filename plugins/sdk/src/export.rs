//! [`export_plugin!`](crate::export_plugin) and what its expansion calls. Not for direct use.

use std::cell::RefCell;
use std::rc::Rc;

use crate::{
    Error, ImageRequest, Plugin, Problem, StaticPolicy, Transformer, Verdict, finding, other, problem,
};

const NOT_CONFIGURED: &str = "plugin.not-configured";
const NOT_CONFIGURED_TEXT: &str = "the plugin was called before it was configured";

/// Where an instance keeps its configured plugin.
pub struct Slot<P>(RefCell<Option<Rc<P>>>);

impl<P> Default for Slot<P> {
    fn default() -> Self {
        Self(RefCell::new(None))
    }
}

impl<P: Plugin> Slot<P> {
    /// Makes the plugin of its settings and keeps it.
    pub fn configure(&self, settings: &str) -> Result<(), Vec<Problem>> {
        report_panics();
        let plugin = read_settings::<P>(settings)?;
        self.0.replace(Some(Rc::new(plugin)));
        Ok(())
    }

    /// Returns the plugin; an error if there is none yet.
    pub fn get(&self) -> Result<Rc<P>, Error> {
        self.0.borrow().clone().ok_or_else(|| other(NOT_CONFIGURED, NOT_CONFIGURED_TEXT))
    }
}

/// Sends the text of a panic to the run's log: a component has no standard error, and a trap has no text.
fn report_panics() {
    #[cfg(target_arch = "wasm32")]
    std::panic::set_hook(Box::new(|panic| {
        crate::host::log::log(crate::host::log::Level::Error, &panic.to_string(), &[]);
    }));
}

/// Lists what is wrong with the settings.
pub fn validate<P: Plugin>(settings: &str) -> Vec<Problem> {
    read_settings::<P>(settings).err().unwrap_or_default()
}

fn read_settings<P: Plugin>(text: &str) -> Result<P, Vec<Problem>> {
    // No `config` at all is `null`; a plugin whose fields all have defaults takes that as well.
    let text = if matches!(text.trim(), "" | "null") && !takes_null::<P>() { "{}" } else { text };
    let mut json = serde_json::Deserializer::from_str(text);
    let settings = serde_path_to_error::deserialize(&mut json).map_err(|e| {
        let path = e.path().to_string();
        let path = if path == "." { String::new() } else { path };
        vec![problem(path, "settings.invalid", e.into_inner().to_string())]
    })?;
    P::new(settings)
}

fn takes_null<P: Plugin>() -> bool {
    serde_json::from_str::<P::Settings>("null").is_ok()
}

/// Judges each request; without settings each is denied.
pub fn evaluate_references<P: StaticPolicy>(
    plugin: Result<Rc<P>, Error>,
    batch: &[ImageRequest],
) -> Vec<Verdict> {
    batch
        .iter()
        .map(|request| match &plugin {
            Ok(plugin) => plugin.evaluate_reference(request),
            Err(_) => Verdict::Deny(vec![finding(NOT_CONFIGURED, NOT_CONFIGURED_TEXT, [])]),
        })
        .collect()
}

/// Rewrites each request.
pub fn apply<P: Transformer>(plugin: &P, batch: Vec<ImageRequest>) -> Result<Vec<Vec<ImageRequest>>, Error> {
    batch.into_iter().map(|request| plugin.apply(request)).collect()
}

/// Makes a component of a plugin: `export_plugin!(Type: part, …)`, with the parts it implements.
///
/// | part | trait | world |
/// |---|---|---|
/// | `source` | [`ContentSource`](crate::ContentSource) | `content-source` |
/// | `preparation` | [`Preparation`](crate::Preparation) | `catalog-source` |
/// | `inspection` | [`Inspection`](crate::Inspection) | `catalog-source` |
/// | `policy` | [`Policy`](crate::Policy) | `policy` |
/// | `static_policy` | [`StaticPolicy`](crate::StaticPolicy) | `static-policy` |
/// | `transformer` | [`Transformer`](crate::Transformer) | `transformer` |
///
/// Compiled natively it expands to nothing but a check that the traits are there.
#[macro_export]
macro_rules! export_plugin {
    ($plugin:ty: $($part:ident),+ $(,)?) => {
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, missing_docs, unreachable_pub, clippy::all)]
        const _: () = {
            use $crate::bindings;

            thread_local! {
                static SLOT: $crate::private::Slot<$plugin> = $crate::private::Slot::default();
            }

            struct Component;

            impl bindings::settings::exports::oc_mirror::plugin::settings::Guest for Component {
                fn validate(settings: String) -> Vec<$crate::Problem> {
                    $crate::private::validate::<$plugin>(&settings)
                }

                fn configure(settings: String) -> Result<(), Vec<$crate::Problem>> {
                    SLOT.with(|slot| slot.configure(&settings))
                }
            }
            bindings::settings::export_settings!(Component with_types_in bindings::settings);

            $($crate::__export_part!($part);)+
        };

        #[cfg(not(target_arch = "wasm32"))]
        const _: () = { $($crate::__check_part!($part, $plugin);)+ };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __check_part {
    (source, $plugin:ty) => {{
        const fn implements<P: $crate::ContentSource>() {}
        implements::<$plugin>()
    }};
    (preparation, $plugin:ty) => {{
        const fn implements<P: $crate::Preparation>() {}
        implements::<$plugin>()
    }};
    (inspection, $plugin:ty) => {{
        const fn implements<P: $crate::Inspection>() {}
        implements::<$plugin>()
    }};
    (policy, $plugin:ty) => {{
        const fn implements<P: $crate::Policy>() {}
        implements::<$plugin>()
    }};
    (static_policy, $plugin:ty) => {{
        const fn implements<P: $crate::StaticPolicy>() {}
        implements::<$plugin>()
    }};
    (transformer, $plugin:ty) => {{
        const fn implements<P: $crate::Transformer>() {}
        implements::<$plugin>()
    }};
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export_part {
    (source) => {
        impl bindings::source::exports::oc_mirror::plugin::source::Guest for Component {
            fn collect(out: $crate::Sink) -> Result<$crate::Summary, $crate::Error> {
                $crate::ContentSource::collect(&*SLOT.with(|slot| slot.get())?, &out)
            }
        }
        bindings::source::export_source!(Component with_types_in bindings::source);
    };
    (preparation) => {
        impl bindings::preparation::exports::oc_mirror::plugin::preparation::Guest for Component {
            fn parts() -> u32 {
                SLOT.with(|slot| slot.get()).map_or(0, |plugin| $crate::Preparation::parts(&*plugin))
            }

            fn prepare(part: u32) -> Result<(), $crate::Error> {
                $crate::Preparation::prepare(&*SLOT.with(|slot| slot.get())?, part)
            }
        }
        bindings::preparation::export_preparation!(Component with_types_in bindings::preparation);
    };
    (inspection) => {
        impl bindings::inspection::exports::oc_mirror::plugin::inspection::Guest for Component {
            fn query(question: String, arguments: String) -> Result<String, $crate::Error> {
                $crate::Inspection::query(&*SLOT.with(|slot| slot.get())?, &question, &arguments)
            }
        }
        bindings::inspection::export_inspection!(Component with_types_in bindings::inspection);
    };
    (policy) => {
        impl bindings::image_policy::exports::oc_mirror::plugin::image_policy::Guest for Component {
            fn evaluate(
                request: $crate::ImageRequest,
                image: $crate::Image,
            ) -> Result<$crate::Verdict, $crate::Error> {
                $crate::Policy::evaluate(&*SLOT.with(|slot| slot.get())?, &request, &image)
            }
        }
        bindings::image_policy::export_image_policy!(Component with_types_in bindings::image_policy);
    };
    (static_policy) => {
        impl bindings::reference_policy::exports::oc_mirror::plugin::reference_policy::Guest for Component {
            fn evaluate_references(batch: Vec<$crate::ImageRequest>) -> Vec<$crate::Verdict> {
                $crate::private::evaluate_references(SLOT.with(|slot| slot.get()), &batch)
            }
        }
        bindings::reference_policy::export_reference_policy!(
            Component with_types_in bindings::reference_policy
        );
    };
    (transformer) => {
        impl bindings::transform::exports::oc_mirror::plugin::transform::Guest for Component {
            fn apply(
                batch: Vec<$crate::ImageRequest>,
            ) -> Result<Vec<Vec<$crate::ImageRequest>>, $crate::Error> {
                $crate::private::apply(&*SLOT.with(|slot| slot.get())?, batch)
            }
        }
        bindings::transform::export_transform!(Component with_types_in bindings::transform);
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        #[serde(default)]
        names: Vec<Name>,
    }

    #[derive(Deserialize)]
    struct Name {
        name: String,
    }

    struct Names(Vec<String>);

    impl Plugin for Names {
        type Settings = Settings;

        fn new(settings: Settings) -> Result<Self, Vec<Problem>> {
            Ok(Self(settings.names.into_iter().map(|n| n.name).collect()))
        }
    }

    #[test]
    fn a_problem_says_where_it_is() {
        let problems = validate::<Names>(r#"{"names":[{"name":"a"},{"name":7}]}"#);
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].path, "names[1].name");
        assert!(problems[0].message.contains("expected a string"), "{}", problems[0].message);
        assert_eq!(validate::<Names>("{").len(), 1);
        assert_eq!(validate::<Names>(r#"{"nmaes":[]}"#).len(), 1);
    }

    #[test]
    fn no_settings_are_empty_settings() {
        assert!(validate::<Names>("").is_empty());
        assert!(validate::<Names>("null").is_empty());
    }

    #[test]
    fn nothing_works_before_configure() {
        let slot = Slot::<Names>::default();
        assert!(slot.get().is_err());
        slot.configure(r#"{"names":[{"name":"a"}]}"#).expect("valid");
        assert_eq!(slot.get().expect("configured").0, ["a"]);
    }
}
