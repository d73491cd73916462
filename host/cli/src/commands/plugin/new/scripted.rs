//! Projects in Python and JavaScript: a policy or a content source, and what is said about it. The contract is brought by `plugin build`.

use super::{Usage, in_a_configuration, repository, retitled, what_it_is, without_heading};
use crate::args::PluginKind;

/// A language, and the examples that projects in it begin with.
pub(super) struct Template {
    /// The file that is the plugin.
    pub(super) main: &'static str,
    /// How its tool is installed, `DIR` being the project.
    pub(super) install: &'static str,
    policy: Example,
    source: Example,
    /// What git is not to keep.
    ignored: &'static str,
    /// Where the name of the example is its own title, beside manifest and table.
    renamed: &'static [&'static str],
    /// What to say of the language.
    notes: &'static str,
}

/// An example that a project begins with.
struct Example {
    name: &'static str,
    files: [(&'static str, &'static str); 5],
    usage: Usage,
}

/// The files of an example, and those that a project in its language also needs.
macro_rules! files_of {
    ($example:literal: $main:literal, $packages:literal) => {
        [
            ($main, repository!($example, "/", $main)),
            ("plugin.toml", repository!($example, "/plugin.toml")),
            ("settings.schema.json", repository!($example, "/settings.schema.json")),
            ("cases.yaml", repository!($example, "/cases.yaml")),
            ($packages, repository!($example, "/", $packages)),
        ]
    };
}

/// Python, made into components by componentize-py.
pub(super) const PYTHON: Template = Template {
    main: "plugin.py",
    install: "python3 -m venv DIR/.venv && DIR/.venv/bin/pip install -r DIR/requirements.txt",
    policy: Example {
        name: "require-labels",
        files: files_of!("examples/policies/require-labels": "plugin.py", "requirements.txt"),
        usage: Usage { config: "{labels: [maintainer]}", grants: "[]" },
    },
    source: Example {
        name: "newest",
        files: files_of!("examples/sources/newest": "plugin.py", "requirements.txt"),
        usage: Usage {
            config: "{repository: quay.io/prometheus/busybox, count: 3}",
            grants: "[registry:quay.io/prometheus]",
        },
    },
    ignored: "target/\n.venv/\n__pycache__/\n",
    renamed: &[],
    notes: "The component has 18 MB, as the interpreter is part of it; compiling that takes oc-mirror half a minute the \
            first time, and what it compiled is kept. What the contract looks like from Python is shown by \
            `componentize-py -d target/wit -w project bindings target/bindings`, after the first build.",
};

/// JavaScript, made into components by jco.
pub(super) const JAVASCRIPT: Template = Template {
    main: "plugin.js",
    install: "npm install --prefix DIR",
    policy: Example {
        name: "layer-limit",
        files: files_of!("examples/policies/layer-limit": "plugin.js", "package.json"),
        usage: Usage { config: "{most: 40}", grants: "[]" },
    },
    source: Example {
        name: "inventory",
        files: files_of!("examples/sources/inventory": "plugin.js", "package.json"),
        usage: Usage {
            config: "{url: \"https://lists.example.com/inventory.json\"}",
            grants: "[http:lists.example.com]",
        },
    },
    ignored: "target/\nnode_modules/\n",
    renamed: &["package.json"],
    notes: "Functions of the host are imported by the name of their interface, as in `import { log } from \
            \"oc-mirror:plugin/log@0.1.0\"`; the contract is `target/wit/plugin.wit`, after the first build. What is thrown \
            has to be an error of the contract, such as `{ tag: \"not-found\", val: \"…\" }`: of any other exception, which \
            is a mistake in the program, one sees only that the component trapped. Catch it and `log` its `stack` to find it.",
};

impl Template {
    /// The files of a project, by path.
    pub(super) fn files(&self, name: &str, kind: PluginKind) -> Vec<(String, String)> {
        let example = self.example(kind);
        let changed = |path: &str, text: &str| match path {
            "cases.yaml" => retitled(&without_heading(text), example.name, name),
            path if self.renamed.contains(&path) => text.replace(example.name, name),
            _ => retitled(text, example.name, name),
        };
        let of_example = example.files.iter().map(|(path, text)| ((*path).to_owned(), changed(path, text)));
        let mut files: Vec<_> = of_example.collect();
        files.push(("README.md".to_owned(), self.readme(name, kind)));
        files.push((".gitignore".to_owned(), self.ignored.to_owned()));
        files
    }

    fn example(&self, kind: PluginKind) -> &Example {
        match kind {
            PluginKind::Policy => &self.policy,
            PluginKind::Source => &self.source,
        }
    }

    fn readme(&self, name: &str, kind: PluginKind) -> String {
        let Self { main, notes, .. } = self;
        let install = self.install.replace("DIR/", "").replace(" --prefix DIR", "");
        let configuration = in_a_configuration(name, kind, &self.example(kind).usage);
        let what = what_it_is(kind);
        format!(
            "# {name}\n\n{what} for oc-mirror. `{main}` is the whole plugin; `plugin.toml` says what it is and which \
             capabilities it wants, `settings.schema.json` what its settings are, `cases.yaml` what it is to answer.\n\n\
             ```sh\n{install}\n\
             oc-mirror plugin build .               # makes target/components/{name}.wasm\n\
             oc-mirror plugin test cases.yaml       # asks the component what the table asks; no registry is needed\n\
             ```\n\n{configuration}\n{notes}\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(PYTHON, PluginKind::Policy)]
    #[case(PYTHON, PluginKind::Source)]
    #[case(JAVASCRIPT, PluginKind::Policy)]
    #[case(JAVASCRIPT, PluginKind::Source)]
    fn a_project_is_the_example_under_another_name(#[case] template: Template, #[case] kind: PluginKind) {
        let files = template.files("mine", kind);
        let text = |name: &str| &files.iter().find(|(path, _)| path == name).expect("there").1;
        assert!(text("plugin.toml").contains("id = \"mine\""), "{}", text("plugin.toml"));
        assert!(text("cases.yaml").starts_with("plugin: target/components/mine.wasm\n"));
        oc_mirror_model::cases::CaseTable::parse(text("cases.yaml")).expect("a table");
        let example = template.example(kind).files.iter().find(|(path, _)| *path == template.main);
        assert_eq!(Some(text(template.main).as_str()), example.map(|(_, text)| *text));
        assert!(!text("README.md").contains("DIR"), "{}", text("README.md"));
        let of_tool = files.iter().find(|(path, _)| path == "package.json");
        assert!(of_tool.is_none_or(|(_, text)| text.contains("\"name\": \"mine\"")), "{of_tool:?}");
    }

    /// What a project installs is what the build advises where there is nothing.
    #[rstest]
    #[case(PluginKind::Policy)]
    #[case(PluginKind::Source)]
    fn the_advice_is_for_the_same_versions(#[case] kind: PluginKind) {
        let advised = |language: oc_mirror_guest_build::Language| {
            let install = language.install().to_owned();
            install.rsplit_once(' ').map(|(_, package)| package.to_owned()).unwrap_or_default()
        };
        let python = advised(oc_mirror_guest_build::Language::Python);
        assert_eq!(PYTHON.example(kind).files[4].1.trim(), python);
        let javascript = advised(oc_mirror_guest_build::Language::JavaScript);
        let (package, version) = javascript.rsplit_once('@').expect("a version");
        let packages = JAVASCRIPT.example(kind).files[4].1;
        assert!(packages.contains(&format!("\"{package}\": \"{version}\"")), "{javascript}");
    }
}
