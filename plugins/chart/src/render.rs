//! [`render`]: executes the templates of a chart and of the charts in it.

use std::rc::Rc;

use oc_mirror_go_template::{Budget, Interpreter, Limits, Map, Templates, Value};

use crate::chart::Chart;
use crate::dependencies::{is_compatible, process};
use crate::error::ChartError;
use crate::manifests::{Manifest, sort};
use crate::objects::{Capabilities, ChartObject, Files};
use crate::values::coalesce;

/// The version of Kubernetes that Helm 3.21 renders for when it has no cluster.
pub const DEFAULT_KUBE_VERSION: &str = "v1.36.0";

/// With what a chart is rendered.
#[derive(Clone, Debug)]
pub struct Options {
    /// The name of the release.
    pub release: String,
    /// Its namespace.
    pub namespace: String,
    /// The version of Kubernetes.
    pub kube_version: String,
    /// Whether a chart that says it is for other versions of Kubernetes is rendered all the same.
    pub any_kube_version: bool,
    /// APIs that the cluster has besides those of Kubernetes: `route.openshift.io/v1`.
    pub api_versions: Vec<String>,
    /// What rendering may use up.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            release: "release-name".to_owned(),
            namespace: "default".to_owned(),
            kube_version: DEFAULT_KUBE_VERSION.to_owned(),
            any_kube_version: false,
            api_versions: Vec::new(),
            limits: Limits::default(),
        }
    }
}

/// What a chart makes.
#[derive(Clone, Debug, Default)]
pub struct Rendered {
    /// CRDs: the path and the text of each file.
    pub crds: Vec<(String, String)>,
    /// Manifests in the order in which they are installed, hooks behind all others.
    pub manifests: Vec<Manifest>,
    /// Why schemas of values were not applied.
    pub passed_over: Vec<String>,
}

/// Returns the names of charts that a chart uses and that are not in it: `helm dependency build` was not run.
pub fn missing(chart: &Chart) -> Vec<String> {
    let wanted = chart.metadata.dependencies.iter().map(|dependency| &dependency.name);
    let is_there = |name: &&String| chart.dependencies.iter().any(|inner| inner.name() == *name);
    wanted.filter(|name| !is_there(name)).cloned().collect()
}

/// A template, and what it is executed with.
struct Planned {
    name: String,
    base: String,
    data: Map,
}

/// Renders a chart with values, as `helm template --include-crds` does.
pub fn render(chart: &Chart, values: &Map, options: &Options) -> Result<Rendered, ChartError> {
    let budget = Rc::new(Budget::new(options.limits.clone()));
    let capabilities = Capabilities::new(&options.kube_version, &options.api_versions)?;
    let mut chart = chart.clone();
    chart.values = crate::values::copy(&chart.values, &budget)?;
    process(&mut chart, values, &budget)?;
    let wanted = &chart.metadata.kube_version;
    if !options.any_kube_version && !wanted.is_empty() && !is_compatible(wanted, &capabilities.kube_version())
    {
        return Err(ChartError::KubeVersion(wanted.clone(), capabilities.kube_version()));
    }
    let values = coalesce(&chart, values, false, &budget)?;
    let passed_over = crate::schema::check(&chart, &values, &budget)?;
    let top = Map::new();
    top.set("Values", Value::Map(values));
    top.set("Capabilities", Value::Object(Rc::new(capabilities)));
    top.set(
        "Release",
        Value::map([
            ("Name", Value::from(options.release.as_str())),
            ("Namespace", options.namespace.as_str().into()),
            ("IsUpgrade", false.into()),
            ("IsInstall", true.into()),
            ("Revision", Value::Int(1)),
            ("Service", "Helm".into()),
        ]),
    );
    let mut planned = Vec::new();
    let mut texts = Vec::new();
    plan(&chart, &top, "", &mut planned, &mut texts);
    // The templates of inner charts first, so that those of outer ones can take their place.
    let depth = |name: &str| name.matches('/').count();
    texts.sort_by(|(a, _), (b, _)| depth(b).cmp(&depth(a)).then_with(|| b.cmp(a)));
    let mut templates = Templates::default();
    for (name, text) in &texts {
        templates.add(name, text)?;
    }
    planned.sort_by(|a, b| depth(&b.name).cmp(&depth(&a.name)).then_with(|| b.name.cmp(&a.name)));
    let mut interpreter = Interpreter::new(Rc::new(templates), budget);
    let mut files = Vec::new();
    for template in planned {
        let file = template.name.rsplit('/').next().unwrap_or_default();
        if file.starts_with('_') {
            continue;
        }
        let about = Value::map([
            ("Name", Value::from(template.name.as_str())),
            ("BasePath", template.base.as_str().into()),
        ]);
        template.data.set("Template", about);
        let text = interpreter.render(&template.name, &Value::Map(template.data))?;
        if !template.name.ends_with("NOTES.txt") {
            files.push((template.name, text));
        }
    }
    let crds = chart.crds().into_iter().map(|(path, file)| (path, file.text())).collect();
    Ok(Rendered { crds, manifests: sort(files)?, passed_over })
}

/// Lists the templates of a chart and of the charts in it, and returns what those of the chart are executed with.
fn plan(
    chart: &Chart,
    parent: &Map,
    path: &str,
    planned: &mut Vec<Planned>,
    texts: &mut Vec<(String, String)>,
) -> Map {
    let is_root = path.is_empty();
    let inner_charts = Map::new();
    let values = parent.get("Values");
    let values = match is_root {
        true => values,
        false => {
            values.and_then(|values| values.as_map()?.get(chart.name())).filter(|v| v.as_map().is_some())
        }
    };
    let data = Map::new();
    data.set("Chart", Value::Object(Rc::new(ChartObject::new(chart, is_root))));
    data.set("Files", Value::Object(Rc::new(Files::new(&chart.files))));
    data.set("Release", parent.get("Release").unwrap_or_default());
    data.set("Capabilities", parent.get("Capabilities").unwrap_or_default());
    data.set("Values", values.unwrap_or_else(|| Value::Map(Map::new())));
    data.set("Subcharts", Value::Map(inner_charts.clone()));
    let own = format!("{path}{}", chart.name());
    for inner in &chart.dependencies {
        let inner_data = plan(inner, &data, &format!("{own}/charts/"), planned, texts);
        inner_charts.set(inner.name(), Value::Map(inner_data));
    }
    for template in &chart.templates {
        let file = template.path.rsplit('/').next().unwrap_or_default();
        if chart.metadata.is_library() && !file.starts_with('_') {
            continue;
        }
        let name = format!("{own}/{}", template.path);
        texts.push((name.clone(), template.text()));
        planned.push(Planned { name, base: format!("{own}/templates"), data: data.clone() });
    }
    data
}
