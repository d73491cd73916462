//! YAML as Helm reads it: what is read can be written and read again, and aliases are no bombs.

use oc_mirror_go_template::yaml::{Layout, documents, read_within, write};
use oc_mirror_go_template::{Budget, Limits, Value};

use crate::target::{Input, Target};

/// Values, manifests and indexes of chart repositories.
pub const YAML: Target = Target { name: "yaml", longest: 32 << 10, memory: 64 << 20, check };

/// Small enough that inputs of this size reach it.
const NODES: usize = 50_000;

fn check(data: &[u8]) {
    let mut input = Input(data);
    let layout = input.one_of(&[Layout::Flush, Layout::Indented]);
    let Ok(text) = std::str::from_utf8(input.0) else { return };
    let _ = documents(text);
    let Ok(value) = read_within(text, NODES) else { return };
    let Some(written) = printed(&value, layout) else { return };
    let again = read_within(&written, 2 * NODES);
    let again =
        again.unwrap_or_else(|e| panic!("{text}\n\nis written as\n\n{written}\n\nwhich is not YAML: {e}"));
    assert_eq!(printed(&again, layout).as_ref(), Some(&written), "{text}");
}

/// Nothing where that takes more than any document should.
fn printed(value: &Value, layout: Layout) -> Option<String> {
    let budget = Budget::new(Limits { steps: 1_000_000, bytes: 4 << 20, depth: 400 });
    write(value, layout, &budget).ok()
}
