//! [`Checkup`]: what was found out before a long run about the places that it needs.

use serde::{Deserialize, Serialize};

/// How something turned out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// As it has to be.
    Ok,
    /// A run may get into trouble.
    Warning,
    /// A run fails.
    Failed,
}

impl Outcome {
    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// What was looked at: `quay.io`, a URL, a directory, `this machine`.
    pub subject: String,
    /// What about it: `address`, `certificate`, `clock`, `credential`, `push`, `registry`, `referrers`, `uploads`, `space`,
    /// `workspace`, `open files`.
    pub what: String,
    /// How it turned out.
    pub outcome: Outcome,
    /// What was found.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// All that was looked at, in the order in which it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkup {
    /// Each thing.
    pub checks: Vec<Checked>,
}

impl Checkup {
    /// Notes what was found.
    pub fn note(
        &mut self,
        subject: &str,
        what: &str,
        outcome: Outcome,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        let (subject, what) = (subject.to_owned(), what.to_owned());
        self.checks.push(Checked { subject, what, outcome, message: message.into(), hint });
    }

    /// Returns how many things turned out so.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.checks.iter().filter(|checked| checked.outcome == outcome).count()
    }
}
