//! [`Metadata`]: what `Chart.yaml` says.

use std::collections::BTreeMap;

use oc_mirror_go_template::{Map, Value, yaml};

use crate::error::ChartError;

/// What a chart says about itself.
#[derive(Clone, Debug, Default)]
pub struct Metadata {
    /// Its name; that of the alias, where it is used under one.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `v1` or `v2`.
    pub api_version: String,
    /// `application`, `library` or nothing.
    pub kind: String,
    /// The versions of Kubernetes that it is for.
    pub kube_version: String,
    /// The charts that it uses.
    pub dependencies: Vec<Dependency>,
    /// Everything else, by its key.
    rest: BTreeMap<String, Value>,
}

/// A chart that another one uses.
#[derive(Clone, Debug, Default)]
pub struct Dependency {
    /// Its name; once dependencies are processed, that of the alias.
    pub name: String,
    /// The version that is wanted of it.
    pub version: String,
    /// Where it is from.
    pub repository: String,
    /// Paths of values that switch it on and off, with commas between.
    pub condition: String,
    /// Tags that switch it on and off.
    pub tags: Vec<String>,
    /// The name to use it under.
    pub alias: String,
    /// Values of it that the parent wants.
    pub import_values: Vec<Value>,
    pub(crate) enabled: bool,
}

impl Metadata {
    /// Reads `Chart.yaml`.
    pub fn parse(text: &str) -> Result<Self, ChartError> {
        let wrong = |why: String| ChartError::File("Chart.yaml".to_owned(), why);
        let value = yaml::read(text).map_err(wrong)?;
        let Value::Map(map) = value else { return Err(wrong("it is not a dictionary".to_owned())) };
        let text = |key: &str| text_of(&map, key).map_err(wrong);
        let mut metadata = Self {
            name: text("name")?,
            version: text("version")?,
            api_version: text("apiVersion")?,
            kind: text("type")?,
            kube_version: text("kubeVersion")?,
            dependencies: dependencies(&map).map_err(wrong)?,
            rest: BTreeMap::new(),
        };
        if metadata.api_version.is_empty() {
            metadata.api_version = "v1".to_owned();
        }
        for key in ["home", "description", "icon", "condition", "tags", "appVersion"] {
            metadata.rest.insert(key.to_owned(), text(key)?.into());
        }
        for key in ["sources", "keywords", "maintainers"] {
            let list = map.get(key).filter(|value| value.as_list().is_some());
            metadata.rest.insert(key.to_owned(), list.unwrap_or_else(|| Value::list([])));
        }
        let annotations = map.get("annotations").filter(|value| value.as_map().is_some());
        metadata.rest.insert("annotations".to_owned(), annotations.unwrap_or_else(|| Value::Map(Map::new())));
        let deprecated = matches!(map.get("deprecated"), Some(Value::Bool(true)));
        metadata.rest.insert("deprecated".to_owned(), deprecated.into());
        if metadata.name.is_empty() || metadata.name.contains(['/', '\\']) || metadata.name == ".." {
            return Err(wrong("there is no `name` that can be one of a directory".to_owned()));
        }
        Ok(metadata)
    }

    /// Adds the dependencies that charts of `v1` have in a file of their own.
    pub(crate) fn add_requirements(&mut self, text: &str) -> Result<(), ChartError> {
        let wrong = |why: String| ChartError::File("requirements.yaml".to_owned(), why);
        match yaml::read(text).map_err(wrong)? {
            Value::Map(map) => self.dependencies.extend(dependencies(&map).map_err(wrong)?),
            Value::Nil => {}
            _ => return Err(wrong("it is not a dictionary".to_owned())),
        }
        Ok(())
    }

    /// Answers whether the chart only has templates for others.
    pub fn is_library(&self) -> bool {
        self.kind.eq_ignore_ascii_case("library")
    }

    /// Returns what is not a field of its own, by its key in `Chart.yaml`.
    pub(crate) fn other(&self, key: &str) -> Value {
        self.rest.get(key).cloned().unwrap_or_default()
    }
}

/// Numbers are taken for texts: a version of `1.0` is written without quotes often enough.
fn text_of(map: &Map, key: &str) -> Result<String, String> {
    match map.get(key) {
        None | Some(Value::Nil) => Ok(String::new()),
        Some(Value::Text(text)) => Ok(text.to_string()),
        Some(Value::Float(number)) => Ok(number.to_string()),
        Some(Value::Bool(value)) => Ok(value.to_string()),
        Some(_) => Err(format!("`{key}` is not a string")),
    }
}

fn dependencies(map: &Map) -> Result<Vec<Dependency>, String> {
    let list = match map.get("dependencies") {
        None | Some(Value::Nil) => return Ok(Vec::new()),
        Some(list) => list,
    };
    let items = list.as_list().ok_or("`dependencies` is not a list")?;
    let items = items.iter().filter(|item| !item.is_nil()).map(|item| {
        let map = item.as_map().ok_or("an entry of `dependencies` is not a dictionary")?;
        let texts = |key: &str| match map.get(key) {
            Some(value) => {
                let items = value.as_list().unwrap_or_default().iter();
                items.filter_map(|tag| tag.as_str().map(str::to_owned)).collect()
            }
            None => Vec::new(),
        };
        let import_values =
            map.get("import-values").map(|value| value.as_list().unwrap_or_default().to_vec());
        Ok(Dependency {
            name: text_of(map, "name")?,
            version: text_of(map, "version")?,
            repository: text_of(map, "repository")?,
            condition: text_of(map, "condition")?,
            tags: texts("tags"),
            alias: text_of(map, "alias")?,
            import_values: import_values.unwrap_or_default(),
            enabled: true,
        })
    });
    items.collect()
}
