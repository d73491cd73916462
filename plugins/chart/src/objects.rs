//! What templates see of a chart besides values: `.Chart`, `.Files`, `.Capabilities`.

use std::rc::Rc;

use oc_mirror_go_template::{Budget, Failure, Map, Object, Value, Version, glob, yaml};

use crate::archive::File;
use crate::capabilities::API_VERSIONS;
use crate::chart::Chart;
use crate::error::ChartError;

/// What stands in `.Chart` for each key of `Chart.yaml`.
const FIELDS: [(&str, &str); 11] = [
    ("Home", "home"),
    ("Description", "description"),
    ("Icon", "icon"),
    ("Condition", "condition"),
    ("Tags", "tags"),
    ("AppVersion", "appVersion"),
    ("Sources", "sources"),
    ("Keywords", "keywords"),
    ("Maintainers", "maintainers"),
    ("Annotations", "annotations"),
    ("Deprecated", "deprecated"),
];

/// `.Chart`.
#[derive(Debug)]
pub(crate) struct ChartObject {
    fields: Map,
    document: Map,
}

impl ChartObject {
    pub(crate) fn new(chart: &Chart, is_root: bool) -> Self {
        let metadata = &chart.metadata;
        let fields = Map::new();
        let document = Map::new();
        let add = |field: &str, key: &str, value: Value| {
            if value.is_true() {
                document.set(key, value.clone());
            }
            fields.set(field, value);
        };
        add("Name", "name", metadata.name.as_str().into());
        add("Version", "version", metadata.version.as_str().into());
        add("APIVersion", "apiVersion", metadata.api_version.as_str().into());
        add("KubeVersion", "kubeVersion", metadata.kube_version.as_str().into());
        add("Type", "type", metadata.kind.as_str().into());
        for (field, key) in FIELDS {
            add(field, key, metadata.other(key));
        }
        let maintainers = metadata.other("maintainers");
        let people =
            maintainers.as_list().unwrap_or_default().iter().filter_map(Value::as_map).map(|person| {
                let part = |key: &str| person.get(key).unwrap_or_else(|| "".into());
                Value::map([("Name", part("name")), ("Email", part("email")), ("URL", part("url"))])
            });
        fields.set("Maintainers", Value::list(people));
        let dependencies = metadata.dependencies.iter().map(|dependency| {
            Value::map([
                ("Name", Value::from(dependency.name.as_str())),
                ("Version", dependency.version.as_str().into()),
                ("Repository", dependency.repository.as_str().into()),
                ("Condition", dependency.condition.as_str().into()),
                ("Alias", dependency.alias.as_str().into()),
                ("Enabled", dependency.enabled.into()),
            ])
        });
        fields.set("Dependencies", Value::list(dependencies));
        fields.set("IsRoot", is_root.into());
        document.set("IsRoot", is_root.into());
        Self { fields, document }
    }
}

impl Object for ChartObject {
    fn type_name(&self) -> &'static str {
        "struct { chart.Metadata; IsRoot bool }"
    }

    fn member(&self, name: &str, _: &[Value]) -> Option<Result<Value, Failure>> {
        self.fields.get(name).map(Ok)
    }

    fn text(&self) -> String {
        let name = |key: &str| self.fields.get(key).and_then(|value| value.as_str().map(str::to_owned));
        format!("{}-{}", name("Name").unwrap_or_default(), name("Version").unwrap_or_default())
    }

    fn plain(&self) -> Value {
        Value::Map(self.document.clone())
    }
}

/// `.Files`.
#[derive(Debug)]
pub(crate) struct Files {
    files: Vec<(Rc<str>, Rc<str>)>,
}

impl Files {
    pub(crate) fn new(files: &[File]) -> Self {
        let mut files: Vec<_> =
            files.iter().map(|file| (Rc::from(file.path.as_str()), Rc::from(file.text()))).collect();
        files.sort();
        Self { files }
    }

    fn get(&self, name: &str) -> Option<Rc<str>> {
        self.files.iter().find(|(path, _)| **path == *name).map(|(_, text)| Rc::clone(text))
    }

    /// A document of the files, by the last component of their paths.
    fn document(&self, content: impl Fn(&str) -> String) -> Result<Value, Failure> {
        let entries = self.files.iter().map(|(path, text)| {
            let name = path.rsplit('/').next().unwrap_or(path);
            (name.to_owned(), Value::from(content(text)))
        });
        let map = Value::map(entries);
        yaml::write(&map, yaml::Layout::Flush, &Budget::default()).map(Value::from)
    }
}

impl Object for Files {
    fn type_name(&self) -> &'static str {
        "engine.files"
    }

    fn member(&self, name: &str, arguments: &[Value]) -> Option<Result<Value, Failure>> {
        let argument = || {
            let text = arguments.first().and_then(Value::as_str);
            text.ok_or_else(|| Failure::fault(format!("wrong number of args for {name}: want 1 got 0")))
        };
        Some(match name {
            "Get" | "GetBytes" => {
                argument().map(|name| self.get(name).map_or_else(|| "".into(), Value::Text))
            }
            "Lines" => argument().map(|name| {
                let text = self.get(name).unwrap_or_default();
                let text = text.strip_suffix('\n').unwrap_or(&text);
                match text.is_empty() {
                    true => Value::list([]),
                    false => Value::list(text.split('\n').map(Value::from)),
                }
            }),
            "Glob" => argument().map(|pattern| {
                let files = self.files.iter().filter(|(path, _)| glob(pattern, path)).cloned().collect();
                Value::Object(Rc::new(Self { files }))
            }),
            "AsConfig" => self.document(str::to_owned),
            "AsSecrets" => self.document(|text| {
                use base64::Engine as _;
                base64::prelude::BASE64_STANDARD.encode(text)
            }),
            // A file by its name, as of any dictionary.
            name => return self.get(name).map(|text| Ok(Value::Text(text))),
        })
    }

    fn text(&self) -> String {
        let files: Vec<String> = self.files.iter().map(|(path, text)| format!("{path}:{text}")).collect();
        format!("map[{}]", files.join(" "))
    }

    fn entries(&self) -> Option<Vec<(Value, Value)>> {
        let entries = self.files.iter();
        let text = |text: &Rc<str>| Value::Text(Rc::clone(text));
        Some(entries.map(|(path, content)| (text(path), text(content))).collect())
    }

    fn plain(&self) -> Value {
        Value::map(self.files.iter().map(|(path, text)| (Rc::clone(path), Value::Text(Rc::clone(text)))))
    }
}

/// `.Capabilities`.
#[derive(Debug)]
pub(crate) struct Capabilities {
    version: Rc<KubeVersion>,
    apis: Rc<ApiVersions>,
}

impl Capabilities {
    /// Makes those of a version of Kubernetes, with more APIs than Helm knows.
    pub(crate) fn new(kube_version: &str, apis: &[String]) -> Result<Self, ChartError> {
        let version = Version::parse(kube_version)
            .ok_or_else(|| ChartError::Values(format!("`{kube_version}` is no version of Kubernetes")))?;
        let known = API_VERSIONS.iter().map(|api| (*api).to_owned());
        let apis = known.chain(apis.iter().cloned()).collect();
        Ok(Self { version: Rc::new(KubeVersion(version)), apis: Rc::new(ApiVersions(apis)) })
    }

    pub(crate) fn kube_version(&self) -> String {
        self.version.text()
    }
}

impl Object for Capabilities {
    fn type_name(&self) -> &'static str {
        "*chartutil.Capabilities"
    }

    fn member(&self, name: &str, _: &[Value]) -> Option<Result<Value, Failure>> {
        Some(Ok(match name {
            "KubeVersion" => Value::Object(Rc::clone(&self.version) as Rc<dyn Object>),
            "APIVersions" => Value::Object(Rc::clone(&self.apis) as Rc<dyn Object>),
            "HelmVersion" => Value::map([
                ("Version", Value::from("v3.21")),
                ("GitCommit", "".into()),
                ("GitTreeState", "".into()),
                ("GoVersion", "go1.26".into()),
            ]),
            _ => return None,
        }))
    }

    fn text(&self) -> String {
        self.version.text()
    }
}

#[derive(Debug)]
struct KubeVersion(Version);

impl Object for KubeVersion {
    fn type_name(&self) -> &'static str {
        "chartutil.KubeVersion"
    }

    fn member(&self, name: &str, _: &[Value]) -> Option<Result<Value, Failure>> {
        Some(Ok(match name {
            "Version" | "GitVersion" | "String" => self.text().into(),
            "Major" => self.0.parsed.major.to_string().into(),
            "Minor" => self.0.parsed.minor.to_string().into(),
            _ => return None,
        }))
    }

    fn text(&self) -> String {
        format!("v{}", self.0.parsed)
    }

    fn formatted(&self) -> String {
        format!("{{{} {} {}}}", self.text(), self.0.parsed.major, self.0.parsed.minor)
    }

    fn plain(&self) -> Value {
        Value::map([
            ("Version", Value::from(self.text())),
            ("Major", self.0.parsed.major.to_string().into()),
            ("Minor", self.0.parsed.minor.to_string().into()),
        ])
    }
}

#[derive(Debug)]
struct ApiVersions(Vec<String>);

impl Object for ApiVersions {
    fn type_name(&self) -> &'static str {
        "chartutil.VersionSet"
    }

    fn member(&self, name: &str, arguments: &[Value]) -> Option<Result<Value, Failure>> {
        match name {
            "Has" => {
                let wanted = arguments.first().and_then(Value::as_str).unwrap_or_default();
                Some(Ok(self.0.iter().any(|api| api == wanted).into()))
            }
            _ => None,
        }
    }

    fn text(&self) -> String {
        format!("[{}]", self.0.join(" "))
    }

    fn entries(&self) -> Option<Vec<(Value, Value)>> {
        Some(self.0.iter().enumerate().map(|(at, api)| (Value::length(at), api.as_str().into())).collect())
    }

    fn plain(&self) -> Value {
        Value::list(self.0.iter().map(|api| api.as_str().into()))
    }
}
