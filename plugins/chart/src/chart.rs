//! [`Chart`]: a chart and the charts in it.

use std::collections::BTreeMap;

use oc_mirror_go_template::{Map, Value, yaml};

use crate::archive::{self, File};
use crate::error::ChartError;
use crate::metadata::Metadata;

/// How deep charts may be inside each other.
const MAX_DEPTH: usize = 16;

/// A chart.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    /// What it says about itself.
    pub metadata: Metadata,
    /// Its values, `values.yaml`.
    pub values: Map,
    /// What its values have to be like: the text of `values.schema.json`.
    pub schema: Option<String>,
    /// What is in `templates/`.
    pub templates: Vec<File>,
    /// Every other file, those in `crds/` among them.
    pub files: Vec<File>,
    /// The charts in `charts/`.
    pub dependencies: Vec<Chart>,
}

impl Chart {
    /// Reads the archive of a chart.
    pub fn from_archive(archive: &[u8]) -> Result<Self, ChartError> {
        Self::from_files(archive::unpack(archive)?)
    }

    /// Reads a chart of its files, with paths as in its directory.
    pub fn from_files(files: Vec<File>) -> Result<Self, ChartError> {
        Self::read(files, MAX_DEPTH)
    }

    fn read(files: Vec<File>, depth: usize) -> Result<Self, ChartError> {
        let depth = depth.checked_sub(1).ok_or_else(|| {
            ChartError::Archive(format!("charts are more than {MAX_DEPTH} levels inside each other"))
        })?;
        let find = |name: &str| files.iter().find(|file| file.path == name).map(File::text);
        let metadata = find("Chart.yaml")
            .ok_or_else(|| ChartError::File("Chart.yaml".to_owned(), "there is none".to_owned()))?;
        let mut chart = Self { metadata: Metadata::parse(&metadata)?, ..Self::default() };
        if let Some(requirements) = find("requirements.yaml") {
            chart.metadata.add_requirements(&requirements)?;
        }
        if let Some(values) = find("values.yaml") {
            let wrong = |why: String| ChartError::File("values.yaml".to_owned(), why);
            chart.values = match yaml::read(&values).map_err(wrong)? {
                Value::Map(map) => map,
                Value::Nil => Map::new(),
                _ => return Err(wrong("it is not a dictionary".to_owned())),
            };
        }
        chart.schema = find("values.schema.json");
        let is_v1 = chart.metadata.api_version == "v1";
        let mut inner: BTreeMap<String, Vec<File>> = BTreeMap::new();
        for file in files {
            match file.path.as_str() {
                "Chart.yaml" | "Chart.lock" | "values.yaml" | "values.schema.json" => {}
                "requirements.yaml" | "requirements.lock" if !is_v1 => {}
                path if path.starts_with("templates/") => chart.templates.push(file),
                path => match path.strip_prefix("charts/") {
                    Some(rest) if !path.ends_with(".prov") => {
                        let (name, path) = rest.split_once('/').unwrap_or((rest, ""));
                        let path = path.to_owned();
                        let files = inner.entry(name.to_owned()).or_default();
                        files.push(File { path, data: file.data });
                    }
                    _ => chart.files.push(file),
                },
            }
        }
        for (name, mut files) in inner {
            if name.starts_with(['_', '.']) {
                continue;
            }
            let is_archive = name.ends_with(".tgz") && files.iter().any(|file| file.path.is_empty());
            let read = match is_archive {
                true => archive::unpack(&files[0].data).and_then(|files| Self::read(files, depth)),
                false => {
                    // A file beside the directories is no chart.
                    files.retain(|file| !file.path.is_empty());
                    if files.is_empty() {
                        continue;
                    }
                    Self::read(files, depth)
                }
            };
            let within = |error| match error {
                ChartError::File(path, why) => ChartError::File(format!("charts/{name}/{path}"), why),
                ChartError::Archive(why) => ChartError::File(format!("charts/{name}"), why),
                other => other,
            };
            chart.dependencies.push(read.map_err(within)?);
        }
        Ok(chart)
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.metadata.name
    }

    /// Returns its CRDs, and those of the charts in it: the path and the file of each. They are no templates.
    pub fn crds(&self) -> Vec<(String, &File)> {
        self.crds_below("")
    }

    fn crds_below(&self, parent: &str) -> Vec<(String, &File)> {
        let own = format!("{parent}{}", self.name());
        let is_crd = |file: &&File| {
            let is_manifest =
                [".yaml", ".yml", ".json"].iter().any(|end| file.path.to_lowercase().ends_with(end));
            file.path.starts_with("crds/") && is_manifest
        };
        let mut crds: Vec<_> =
            self.files.iter().filter(is_crd).map(|file| (format!("{own}/{}", file.path), file)).collect();
        for chart in &self.dependencies {
            crds.extend(chart.crds_below(&format!("{own}/charts/")));
        }
        crds
    }
}
