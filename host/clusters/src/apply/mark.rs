//! [`Mark`]: which chain and which target an object belongs to, in its labels.

use oc_mirror_model::Digest;
use serde_json::{Value, json};
use uuid::Uuid;

/// The label with the identity of the chain that an object belongs to.
pub const CHAIN_LABEL: &str = "mirror.openshift.io/chain";

/// The label that tells the targets of one chain apart. Their names do not fit into labels, so it is a hash.
pub const TARGET_LABEL: &str = "mirror.openshift.io/target";

/// How much of the hash is kept.
const LENGTH: usize = 16;

/// Which chain and which target an object belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    chain: String,
    target: String,
}

impl Mark {
    /// Makes the mark of what a chain brought to a target.
    pub fn new(chain: Uuid, target: &str) -> Self {
        let hash = Digest::of(target.as_bytes()).hex().chars().take(LENGTH).collect();
        Self { chain: chain.to_string(), target: hash }
    }

    /// Reads the mark of an object.
    pub(super) fn of(object: &Value) -> Option<Self> {
        let labels = &object["metadata"]["labels"];
        let label = |name: &str| labels[name].as_str().map(str::to_owned);
        Some(Self { chain: label(CHAIN_LABEL)?, target: label(TARGET_LABEL).unwrap_or_default() })
    }

    /// Puts it on an object.
    pub(super) fn put(&self, object: &mut Value) {
        let labels = &mut object["metadata"]["labels"];
        if !labels.is_object() {
            *labels = json!({});
        }
        labels[CHAIN_LABEL] = json!(self.chain);
        labels[TARGET_LABEL] = json!(self.target);
    }

    /// Returns what selects all objects that have it.
    pub(super) fn selector(&self) -> String {
        format!("{CHAIN_LABEL}={},{TARGET_LABEL}={}", self.chain, self.target)
    }

    /// Says to somebody with another mark whose an object is.
    pub(super) fn owner(&self, other: &Self) -> String {
        if self.chain == other.chain {
            "another target of the same chain".to_owned()
        } else {
            format!("the chain {} of imagesets", self.chain)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_labels() {
        let mark = Mark::new(Uuid::nil(), "docker://r.example:5000/prefix");
        let mut object = json!({ "metadata": { "labels": { "a": "b" } } });
        assert_eq!(Mark::of(&object), None);
        mark.put(&mut object);
        assert_eq!(object["metadata"]["labels"]["a"], "b");
        assert_eq!(Mark::of(&object), Some(mark.clone()));
        let other = Mark::new(Uuid::nil(), "docker://other.example");
        assert_ne!(other, mark);
        assert_eq!(mark.owner(&other), "another target of the same chain");
        assert!(mark.target.len() == LENGTH && mark.selector().contains(&mark.target));
    }
}
