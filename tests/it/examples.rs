//! The shipped examples: every configuration is valid, and says in its first line what it shows.

use oc_mirror_model::config;
use oc_mirror_testkit::workspace_root;

use crate::lab::names_in;

#[test]
fn every_configuration_is_valid_as_it_is() {
    let directory = workspace_root().join("examples");
    let mut seen = 0;
    for name in names_in(&directory).iter().filter(|name| name.ends_with(".yaml")) {
        let text = std::fs::read_to_string(directory.join(name)).expect("an example is text");
        let parsed = config::parse(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(parsed.warnings, [], "{name}");
        assert!(text.starts_with("# "), "{name} says in its first line what it shows");
        seen += 1;
    }
    assert!(seen > 0, "no examples in {}", directory.display());
}
