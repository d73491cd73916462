//! Projects in Python and JavaScript: a policy, and what is said about it. The contract is brought by `plugin build`.

use super::{in_a_configuration, repository, retitled, without_heading};
use crate::args::PluginKind;

/// A language, and the example that a project in it begins with.
pub(super) struct Template {
    /// The language, as people write it.
    pub(super) language: &'static str,
    /// The file that is the plugin.
    pub(super) main: &'static str,
    /// How its tool is installed, `DIR` being the project.
    pub(super) install: &'static str,
    example: &'static str,
    /// What git is not to keep.
    ignored: &'static str,
    /// Where the name of the example is its own title, beside manifest and table.
    renamed: &'static [&'static str],
    files: &'static [(&'static str, &'static str)],
    /// What to say of the language.
    notes: &'static str,
    /// Settings for a first try, as YAML in one line.
    config: &'static str,
}

/// Python, made into components by componentize-py.
pub(super) const PYTHON: Template = Template {
    language: "Python",
    main: "plugin.py",
    install: "python3 -m venv DIR/.venv && DIR/.venv/bin/pip install -r DIR/requirements.txt",
    example: "require-labels",
    ignored: "target/\n.venv/\n__pycache__/\n",
    renamed: &[],
    files: &[
        ("plugin.py", repository!("examples/policies/require-labels/plugin.py")),
        ("plugin.toml", repository!("examples/policies/require-labels/plugin.toml")),
        ("settings.schema.json", repository!("examples/policies/require-labels/settings.schema.json")),
        ("cases.yaml", repository!("examples/policies/require-labels/cases.yaml")),
        ("requirements.txt", repository!("examples/policies/require-labels/requirements.txt")),
    ],
    notes: "The component has 18 MB, as the interpreter is part of it; compiling that takes oc-mirror half a minute the \
            first time, and what it compiled is kept. What the contract looks like from Python is shown by \
            `componentize-py -d target/wit -w project bindings target/bindings`, after the first build.",
    config: "{labels: [maintainer]}",
};

/// JavaScript, made into components by jco.
pub(super) const JAVASCRIPT: Template = Template {
    language: "JavaScript",
    main: "plugin.js",
    install: "npm install --prefix DIR",
    example: "layer-limit",
    ignored: "target/\nnode_modules/\n",
    renamed: &["package.json"],
    files: &[
        ("plugin.js", repository!("examples/policies/layer-limit/plugin.js")),
        ("plugin.toml", repository!("examples/policies/layer-limit/plugin.toml")),
        ("settings.schema.json", repository!("examples/policies/layer-limit/settings.schema.json")),
        ("cases.yaml", repository!("examples/policies/layer-limit/cases.yaml")),
        ("package.json", repository!("examples/policies/layer-limit/package.json")),
    ],
    notes: "Functions of the host are imported by the name of their interface, as in `import { log } from \
            \"oc-mirror:plugin/log@0.1.0\"`; the contract is `target/wit/plugin.wit`, after the first build.",
    config: "{most: 40}",
};

impl Template {
    /// The files of a project, by path.
    pub(super) fn files(&self, name: &str) -> Vec<(String, String)> {
        let changed = |path: &str, text: &str| match path {
            "cases.yaml" => retitled(&without_heading(text), self.example, name),
            path if self.renamed.contains(&path) => text.replace(self.example, name),
            _ => retitled(text, self.example, name),
        };
        let of_example = self.files.iter().map(|(path, text)| ((*path).to_owned(), changed(path, text)));
        let mut files: Vec<_> = of_example.collect();
        files.push(("README.md".to_owned(), self.readme(name)));
        files.push((".gitignore".to_owned(), self.ignored.to_owned()));
        files
    }

    fn readme(&self, name: &str) -> String {
        let Self { main, notes, .. } = self;
        let install = self.install.replace("DIR/", "").replace(" --prefix DIR", "");
        let configuration = in_a_configuration(name, PluginKind::Policy, self.config);
        format!(
            "# {name}\n\nA policy for oc-mirror. `{main}` is the whole plugin; `plugin.toml` says what it is and which \
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

    #[test]
    fn a_project_is_the_example_under_another_name() {
        for template in [PYTHON, JAVASCRIPT] {
            let files = template.files("mine");
            let text = |name: &str| &files.iter().find(|(path, _)| path == name).expect("there").1;
            assert!(text("plugin.toml").contains("id = \"mine\""), "{}", text("plugin.toml"));
            assert!(text("cases.yaml").starts_with("plugin: target/components/mine.wasm\n"));
            oc_mirror_model::cases::CaseTable::parse(text("cases.yaml")).expect("a table");
            let example = template.files.iter().find(|(path, _)| *path == template.main);
            assert_eq!(Some(text(template.main).as_str()), example.map(|(_, text)| *text));
            assert!(!text("README.md").contains("DIR"), "{}", text("README.md"));
        }
        let files = JAVASCRIPT.files("mine");
        let package = &files.iter().find(|(path, _)| path == "package.json").expect("there").1;
        assert!(package.contains("\"name\": \"mine\""), "{package}");
    }

    /// What a project installs is what the build advises where there is nothing.
    #[test]
    fn the_advice_is_for_the_same_versions() {
        let advised = |language: oc_mirror_guest_build::Language| {
            let install = language.install().to_owned();
            install.rsplit_once(' ').map(|(_, package)| package.to_owned()).unwrap_or_default()
        };
        let python = advised(oc_mirror_guest_build::Language::Python);
        assert_eq!(PYTHON.files[4].1.trim(), python);
        let javascript = advised(oc_mirror_guest_build::Language::JavaScript);
        let (package, version) = javascript.rsplit_once('@').expect("a version");
        assert!(JAVASCRIPT.files[4].1.contains(&format!("\"{package}\": \"{version}\"")), "{javascript}");
    }
}
