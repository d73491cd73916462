//! The example plugins in their languages: made by `plugin build`, asked by `plugin test`, used in a run. The same of projects
//! that `plugin new` makes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use oc_mirror_testkit::{FileServer, ImageBuilder, TestContext, path_with_plugin_tool, workspace_root};
use rstest::rstest;
use serde_json::{Value, json};

use crate::lab::{self, Lab, context};

/// The program that makes components of the language, unless it is compiled.
const TOOLS: [(&str, &str); 2] = [("plugin.py", "componentize-py"), ("plugin.js", "jco")];

/// Returns a context in which the plugin of a directory can be built; nothing where its language's tool is missing.
fn context_for(directory: &Path, context: TestContext) -> Option<TestContext> {
    let tool = TOOLS.iter().find(|(main, _)| directory.join(main).is_file());
    let Some((_, tool)) = tool else { return Some(context_of_rust(context)) };
    let path: OsString = path_with_plugin_tool(tool)?;
    Some(context.env("PATH", &path.to_string_lossy()))
}

/// A compiler is found with the real home.
fn context_of_rust(mut context: TestContext) -> TestContext {
    for name in ["HOME", "CARGO_HOME", "RUSTUP_HOME"] {
        if let Ok(value) = std::env::var(name) {
            context = context.env(name, &value);
        }
    }
    context
}

/// Where components of examples are kept from run to run, with what was compiled for them.
fn target_dir() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("examples")
}

/// Makes the component of an example, and has it answer its own table.
fn example(context: &TestContext, directory: &Path) -> PathBuf {
    let target = target_dir();
    let dir = directory.display().to_string();
    let built = context.run(&["plugin", "build", &dir, "--target-dir", &target.display().to_string()]);
    let built = built.expect_code(0);
    let component = PathBuf::from(built.raw_stdout.lines().next().expect("the path of the component"));
    let table = directory.join("cases.yaml").display().to_string();
    let tested = context.run(&["plugin", "test", &table, "--plugin", &component.display().to_string()]);
    let tested = tested.expect_code(0);
    assert!(tested.raw_stdout.ends_with(", 0 failed\n"), "{}", tested.raw_stdout);
    without_wasi(context, &component);
    component
}

/// Whatever it is written in, it asks for nothing but the contract.
fn without_wasi(context: &TestContext, component: &Path) -> Value {
    let output = context.run(&["plugin", "inspect", &component.display().to_string(), "-o", "json"]);
    let value: Value = serde_json::from_str(&output.expect_code(0).raw_stdout).expect("JSON");
    assert_eq!(value["importsWasi"], false, "{value}");
    let imports = value["imports"].as_array().expect("a list");
    assert!(!imports.is_empty());
    for import in imports {
        assert!(import.as_str().is_some_and(|name| name.starts_with("oc-mirror:plugin/")), "{import}");
    }
    value
}

#[rstest]
#[case("policies/deny-file")]
#[case("policies/deny-label")]
#[case("sources/tags")]
fn an_example_answers_its_table(#[case] name: &str) {
    let directory = workspace_root().join("examples").join(name);
    let Some(context) = context_for(&directory, context()) else { return };
    example(&context, &directory);
}

#[test]
fn every_example_has_a_case() {
    let examples = workspace_root().join("examples");
    let this = include_str!("plugin_languages.rs");
    for kind in ["policies", "sources"] {
        for name in lab::names_in(&examples.join(kind)) {
            let name = format!("{kind}/{name}");
            assert!(this.contains(&format!("\"{name}\"")), "{name}");
            for file in ["README.md", "plugin.toml", "cases.yaml", "settings.schema.json"] {
                assert!(examples.join(&name).join(file).is_file(), "{name}/{file}");
            }
        }
    }
}

/// A policy in a script refuses one image of a run, and the other is mirrored.
#[rstest]
#[case("policies/layer-limit", json!({"most": 1}), "layer-limit", "has 2 layers")]
#[case("policies/require-labels", json!({"labels": ["owner"]}), "require-labels", "lacks the label `owner`")]
fn a_policy_in_a_script_guards_a_run(
    #[case] name: &str,
    #[case] config: Value,
    #[case] code: &str,
    #[case] message: &str,
) {
    let directory = workspace_root().join("examples").join(name);
    let mut lab = Lab::new();
    let Some(context) = context_for(&directory, lab::context()) else { return };
    lab.context = context;
    let component = example(&lab.context, &directory);
    let good = ImageBuilder::new().layer(&[("app", "good")]).label("owner", "team-a").build();
    let bad = ImageBuilder::new().layer(&[("app", "bad")]).layer(&[("more", "bad")]).build();
    let images = [lab.push(&good, "team/good", "v1"), lab.push(&bad, "team/bad", "v1")];
    lab.configure_mirror(json!({
        "additionalImages": images.iter().map(|name| json!({"name": name})).collect::<Vec<_>>(),
        "policies": [{"name": "mine", "source": format!("file:{}", component.display()), "config": config}],
    }));
    let made = lab.make(&[]).expect(0);
    let [refused] = made.report().refused.as_slice() else { panic!("{:?}", made.report().refused) };
    assert_eq!((refused.origin.as_str(), refused.policy.as_str()), (images[1].as_str(), "mine"));
    assert_eq!(refused.code, code);
    assert!(refused.message.contains(message), "{refused:?}");
    lab.publish("disk", &[]).expect(0);
    lab.assert_published(&good, "team/good", "v1");
    assert!(lab.target.tags("team/bad").is_empty());
}

#[test]
fn a_list_on_a_web_server_is_mirrored() {
    let directory = workspace_root().join("examples").join("sources/list");
    let mut lab = Lab::new();
    lab.context = context_of_rust(lab.context);
    let component = example(&lab.context, &directory);
    let image = ImageBuilder::new().layer(&[("app", "listed")]).build();
    let name = lab.push(&image, "team/listed", "v1");
    let server = FileServer::start();
    server.put("/images.txt", format!("# ours\n{name}   # since May\n").as_bytes());
    let plugin = |url: &str| {
        json!({"plugins": [{
            "name": "list", "source": format!("file:{}", component.display()),
            "config": {"url": format!("{}/{url}", server.url())}, "grants": [format!("http:{}", server.url())],
        }]})
    };
    lab.configure_mirror(plugin("gone.txt"));
    let failed = lab.make(&[]).expect(8);
    let [failure] = failed.report().failures.as_slice() else { panic!("{}", failed.output.snapshot()) };
    let told = "plugin `list` 0.1.0 failed in `collect`: not found: there is no list at http://127.0.0.1:";
    assert!(failure.message.starts_with(told), "{failure:?}");
    lab.configure_mirror(plugin("images.txt"));
    lab.make(&[]).expect(0);
    lab.publish("disk", &[]).expect(0);
    lab.assert_published(&image, "team/listed", "v1");
    assert_eq!(server.count("GET", "/images.txt"), 1);
}

/// A source in Python picks among the tags of a registry.
#[test]
fn the_newest_versions_are_mirrored() {
    let directory = workspace_root().join("examples").join("sources/newest");
    let mut lab = Lab::new();
    let Some(context) = context_for(&directory, lab.context) else { return };
    lab.context = context;
    let component = example(&lab.context, &directory);
    let image = |tag: &str| ImageBuilder::new().layer(&[("tag", tag)]).build();
    for tag in ["v1.9", "v1.10", "v1.2", "latest"] {
        lab.push(&image(tag), "team/tool", tag);
    }
    let repository = format!("{}/team/tool", lab.source.host());
    lab.configure_mirror(json!({"plugins": [{
        "name": "newest", "source": format!("file:{}", component.display()),
        "config": {"repository": repository, "count": 2}, "grants": [format!("registry:{}", lab.source.host())],
    }]}));
    lab.make(&[]).expect(0);
    lab.publish("disk", &[]).expect(0);
    assert_eq!(lab.target.tags("team/tool"), ["v1.10", "v1.9"]);
    lab.assert_published(&image("v1.10"), "team/tool", "v1.10");
}

/// A source in JavaScript reads an inventory, and what it cannot read fails the run.
#[test]
fn an_inventory_on_a_web_server_is_mirrored() {
    let directory = workspace_root().join("examples").join("sources/inventory");
    let mut lab = Lab::new();
    let Some(context) = context_for(&directory, lab.context) else { return };
    lab.context = context;
    let component = example(&lab.context, &directory);
    let images = ["production", "test"].map(|name| {
        let image = ImageBuilder::new().layer(&[("app", name)]).build();
        let origin = lab.push(&image, &format!("team/{name}"), "v1");
        (image, json!({"image": origin, "environments": [name]}))
    });
    let server = FileServer::start();
    let inventory = json!({"images": [images[0].1, images[1].1]});
    server.put("/inventory.json", inventory.to_string().as_bytes());
    server.put("/other.json", b"{\"images\": {}}");
    let plugin = |file: &str| {
        json!({"plugins": [{
            "name": "ours", "source": format!("file:{}", component.display()),
            "config": {"url": format!("{}/{file}", server.url()), "environments": ["production"]},
            "grants": [format!("http:{}", server.url())],
        }]})
    };
    lab.configure_mirror(plugin("other.json"));
    let failed = lab.make(&[]).expect(8);
    let [failure] = failed.report().failures.as_slice() else { panic!("{}", failed.output.snapshot()) };
    assert!(failure.message.contains("the inventory has no list `images`"), "{failure:?}");
    lab.configure_mirror(plugin("inventory.json"));
    lab.make(&[]).expect(0);
    lab.publish("disk", &[]).expect(0);
    lab.assert_published(&images[0].0, "team/production", "v1");
    assert!(lab.target.tags("team/test").is_empty());
}

/// What `plugin new` makes, in a language that is not compiled, builds and is not built again.
#[rstest]
#[case("javascript", "policy", "plugin.js", "jco")]
#[case("javascript", "source", "plugin.js", "jco")]
#[case("python", "policy", "plugin.py", "componentize-py")]
#[case("python", "source", "plugin.py", "componentize-py")]
fn a_new_project_builds(#[case] language: &str, #[case] kind: &str, #[case] main: &str, #[case] tool: &str) {
    let Some(path) = path_with_plugin_tool(tool) else { return };
    let context = context().env("PATH", &path.to_string_lossy());
    context.run(&["plugin", "new", "mine", "--language", language, "--kind", kind]).expect_code(0);
    let build = || context.run(&["plugin", "build", "mine"]).expect_code(0).raw_stdout;
    let first = build();
    assert_eq!(build(), first, "other bytes would mean that it was built again");
    let component = context.work().join("mine/target/components/mine.wasm");
    let described = without_wasi(&context, &component);
    assert_eq!((&described["id"], &described["version"]), (&json!("mine"), &json!("0.1.0")));
    assert!(described["settingsSchema"].is_object());
    // The interpreter of Python takes the compiler long, and its example is the same but for the name.
    if language == "javascript" {
        let tested = context.run(&["plugin", "test", "mine/cases.yaml"]).expect_code(0);
        assert!(tested.raw_stdout.ends_with(", 0 failed\n"), "{}", tested.raw_stdout);
    }
    // A mistake is shown as the tool sees it.
    context.write(&format!("mine/{main}"), "this is no program in either language (");
    let output = context.run(&["plugin", "build", "mine"]).expect_code(1);
    assert!(
        output.stderr.contains(&format!("`{tool} ")) && output.stderr.contains(main),
        "{}",
        output.stderr
    );
    assert!(component.is_file(), "what was built before stays");
}

#[test]
fn a_tool_that_is_not_there_is_named() {
    let context = context().env("PATH", "/nonexistent");
    context.run(&["plugin", "new", "mine", "--language", "javascript"]).expect_code(0);
    let output = context.run(&["plugin", "build", "mine"]).expect_code(1);
    assert!(output.stderr.contains("there is no `jco`"), "{}", output.stderr);
    assert!(output.stderr.contains("hint: install it with `npm install"), "{}", output.stderr);
}
