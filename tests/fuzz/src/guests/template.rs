//! Templates: whatever they say, they end within their budget, and say the same again.

use std::rc::Rc;

use oc_mirror_go_template::{Budget, Constraint, Interpreter, Limits, Templates, Value, Version, glob, yaml};

use crate::target::{Input, Target};

/// Templates of Go with the functions of Sprig and Helm, executed with a few values.
pub const TEMPLATE: Target = Target { name: "template", longest: 8 << 10, memory: 128 << 20, check };

const VALUES: &str = "a: 1\nb: [x, y, {z: 2.5}]\nc: {d: text, e: null, f: true}\ng: '1.2.3'\n";

fn check(data: &[u8]) {
    let mut input = Input(data);
    let (first, second) = (String::from_utf8_lossy(input.part()), String::from_utf8_lossy(input.part()));
    let once = executed(&first, &second);
    assert_eq!(once, executed(&first, &second), "{first}");
    if let Ok(text) = &once {
        assert!(text.len() <= 2 << 20);
    }
    if let (Some(constraint), Some(version)) = (Constraint::parse(&second), Version::parse(&first)) {
        let _ = constraint.admits(&version);
        assert!(version.compare(&version).is_eq());
    }
    let _ = glob(&first, &second);
}

fn executed(first: &str, second: &str) -> Result<String, String> {
    let mut templates = Templates::default();
    templates.add("main", first).map_err(|e| e.to_string())?;
    templates.add("other", second).map_err(|e| e.to_string())?;
    let budget = Rc::new(Budget::new(Limits { steps: 20_000, bytes: 1 << 20, depth: 50 }));
    let data: Value = yaml::read(VALUES).expect("values");
    Interpreter::new(Rc::new(templates), budget).render("main", &data).map_err(|e| e.to_string())
}
