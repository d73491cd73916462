//! [`Offers`]: which bundles an image is needed by, for the record of what was mirrored. Whoever deletes bundles later has
//! nothing else to tell by which images go with them.

use std::collections::BTreeMap;

use oc_mirror_catalog::{Catalog, Image};
use serde_json::json;

/// The key of the provenance; what does not fit into one value is in `offers.2` and so on.
const KEY: &str = "offers";
/// The longest value, in bytes. The host cuts those off that are longer than 8 KiB.
const MOST: usize = 8000;

/// The bundles of one catalog.
pub(crate) struct Offers<'a> {
    origin: &'a str,
    catalog: &'a Catalog,
    /// What is known of a bundle, by package and name: it is wanted for many images.
    written: BTreeMap<(String, String), String>,
}

impl<'a> Offers<'a> {
    pub(crate) fn new(origin: &'a str, catalog: &'a Catalog) -> Self {
        Self { origin, catalog, written: BTreeMap::new() }
    }

    /// Returns the facts about an image: lists of `[catalog, package, bundle, version, [channels]]`.
    pub(crate) fn of(&mut self, image: &Image<'_>) -> Vec<(String, String)> {
        let mut values: Vec<String> = Vec::new();
        for (package, bundle) in image.packages.iter().zip(&image.bundles) {
            let one = self.bundle(package, bundle);
            match values.last_mut().filter(|value| value.len() + one.len() + 2 <= MOST) {
                Some(value) => {
                    value.push(',');
                    value.push_str(one);
                }
                None => values.push(format!("[{one}")),
            }
        }
        let key = |place: usize| if place == 0 { KEY.to_owned() } else { format!("{KEY}.{}", place + 1) };
        values.into_iter().enumerate().map(|(place, value)| (key(place), format!("{value}]"))).collect()
    }

    fn bundle(&mut self, package: &str, bundle: &str) -> &str {
        let Self { origin, catalog, written } = self;
        written.entry((package.to_owned(), bundle.to_owned())).or_insert_with(|| {
            let known = catalog.package(package);
            let version = known.and_then(|p| p.bundle(bundle)?.version.as_ref().map(ToString::to_string));
            let channels = known.map(|p| p.channels.as_slice()).unwrap_or_default().iter();
            let channels = channels.filter(|channel| channel.entries.iter().any(|e| e.name == bundle));
            let channels: Vec<&str> = channels.map(|channel| channel.name.as_str()).collect();
            json!([origin, package, bundle, version.unwrap_or_default(), channels]).to_string()
        })
    }
}
