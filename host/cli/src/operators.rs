//! What the plugin `operator` is told: settings and grants, out of the section `operators` of a configuration.

use std::path::Path;

use oc_mirror_model::config::{ApiVersion, Operator};
use oc_mirror_model::reference::Source;
use serde_json::{Value, json};

use crate::environment;
use crate::error::CliError;
use crate::plugins::rules;

/// The name of the plugin.
pub(crate) const NAME: &str = "operator";

/// Returns the settings. Templates are read here, since a plugin reads no files.
pub(crate) fn settings(api: ApiVersion, operators: &[Operator], directory: &Path) -> Result<Value, CliError> {
    let catalogs = operators.iter().map(|operator| {
        let mut catalog = json!({ "entry": entry(operator) });
        if let Some(template) = &operator.target_catalog_source_template {
            let path = directory.join(template.strip_prefix("file://").unwrap_or(template));
            catalog["template"] = template_of(&path)?.into();
        }
        Ok(catalog)
    });
    let catalogs: Vec<Value> = catalogs.collect::<Result<_, CliError>>()?;
    Ok(json!({ "rules": rules(api), "catalogs": catalogs }))
}

/// Returns the settings for questions about one catalog.
pub(crate) fn settings_for_questions() -> Value {
    json!({ "rules": rules(ApiVersion::V2Alpha1), "catalogs": [] })
}

/// Returns what the plugin may do: it reads registries, and those directories that the user named.
pub(crate) fn grants<'a>(catalogs: impl Iterator<Item = &'a str>) -> Vec<String> {
    let layouts = catalogs.filter_map(|catalog| match catalog.parse() {
        Ok(Source::Layout(layout)) => Some(format!("layout:{}", layout.path.display())),
        _ => None,
    });
    ["registry", "build", "artifact", "cache", "state"]
        .map(str::to_owned)
        .into_iter()
        .chain(layouts)
        .collect()
}

/// One entry of the section, with what only v1alpha2 has.
fn entry(operator: &Operator) -> Value {
    let mut value = serde_json::to_value(operator).expect("strings and numbers serialise");
    for (package, written) in operator.packages.iter().enumerate() {
        let place = &mut value["packages"][package];
        if let Some(bundle) = &written.min_bundle {
            place["minBundle"] = bundle.as_str().into();
        }
        for (channel, written) in written.channels.iter().enumerate() {
            if let Some(bundle) = &written.min_bundle {
                place["channels"][channel]["minBundle"] = bundle.as_str().into();
            }
        }
    }
    value
}

/// Reads a template for a CatalogSource, and refuses one that could not become one.
fn template_of(path: &Path) -> Result<String, CliError> {
    const FORM: &str = "a template is a CatalogSource of operators.coreos.com/v1alpha1 with `sourceType: grpc` or none; \
                        name, namespace and image are filled in";
    let shown = path.display();
    let bytes = environment::read(path, "the template of a CatalogSource")?;
    let wrong = |what: &str| CliError::new(format!("the template `{shown}` {what}")).hint(FORM);
    let text = String::from_utf8(bytes).map_err(|_| wrong("is not text"))?;
    let value =
        serde_saphyr::from_str::<Value>(&text).map_err(|reason| wrong(&format!("is not YAML: {reason}")))?;
    let is = |pointer: &str, wanted: &[&str]| match value.pointer(pointer) {
        None => wanted.contains(&""),
        Some(found) => found.as_str().is_some_and(|found| wanted.contains(&found)),
    };
    let good = is("/apiVersion", &["operators.coreos.com/v1alpha1"])
        && is("/kind", &["CatalogSource"])
        && is("/spec/sourceType", &["", "grpc"])
        && value.pointer("/spec/configMap").is_none();
    if good { Ok(text) } else { Err(wrong("is not one for a catalog image")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oc_mirror_model::config::{Package, PackageChannel};

    #[test]
    fn what_only_v1_has_is_told_too() {
        let channel = PackageChannel { min_bundle: Some("c.v1".into()), ..PackageChannel::default() };
        let package = Package {
            name: "p".into(),
            min_bundle: Some("b.v1".into()),
            channels: vec![channel],
            ..Package::default()
        };
        let operator =
            Operator { catalog: "r.example/i:1".into(), packages: vec![package], ..Operator::default() };
        let settings = settings(ApiVersion::V1Alpha2, &[operator], Path::new("")).expect("no files");
        assert_eq!(settings["rules"], "v1alpha2");
        let package = &settings["catalogs"][0]["entry"]["packages"][0];
        assert_eq!(
            (&package["minBundle"], &package["channels"][0]["minBundle"]),
            (&json!("b.v1"), &json!("c.v1"))
        );
    }

    #[test]
    fn layouts_are_granted_by_name() {
        let grants = grants(["oci:///a/b", "r.example/i:1"].into_iter());
        assert!(grants.contains(&"layout:/a/b".to_owned()) && grants.contains(&"cache".to_owned()));
    }
}
