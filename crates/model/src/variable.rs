//! A variable of a pipeline or job, wherever it comes from.

use serde::{Deserialize, Serialize};

use crate::Secret;

/// One variable as a job will see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// Its name: letters, digits and `_`, not starting with a digit.
    pub key: String,
    /// Its value, before expansion.
    pub value: Secret,
    /// Whether the job gets the value itself or the path of a file that holds it.
    pub kind: VariableKind,
    /// Replaced by `[MASKED]` in logs.
    pub masked: bool,
    /// Not expanded: `$` is just a character (`expand: false`, "raw" in GitLab's API).
    pub raw: bool,
    /// Anyone who may see the job may see the value (predefined and YAML variables).
    pub public: bool,
}

/// How a variable's value reaches the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VariableKind {
    /// The environment variable holds the value.
    #[default]
    EnvVar,
    /// The environment variable holds the path of a file with the value.
    File,
}

impl Variable {
    /// A variable that everyone may see and that is expanded, as the file's own are.
    pub fn public(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            value: Secret::new(value),
            kind: VariableKind::EnvVar,
            masked: false,
            raw: false,
            public: true,
        }
    }

    /// A variable whose value is hidden in logs and never expanded, as tokens are.
    pub fn masked(key: impl Into<String>, value: Secret) -> Self {
        Self {
            key: key.into(),
            value,
            kind: VariableKind::EnvVar,
            masked: true,
            raw: true,
            public: false,
        }
    }

    /// The same variable, not expanded.
    #[must_use]
    pub fn raw(mut self) -> Self {
        self.raw = true;
        self
    }
}
