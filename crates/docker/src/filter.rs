//! Which objects a list or the events shall have.

use std::collections::HashMap;

/// Conditions that must all hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter(HashMap<String, Vec<String>>);

impl Filter {
    /// Everything.
    pub fn all() -> Self {
        Self::default()
    }

    /// Objects with this label and value.
    #[must_use]
    pub fn label(self, name: &str, value: &str) -> Self {
        self.with("label", format!("{name}={value}"))
    }

    /// Objects with this label, whatever its value.
    #[must_use]
    pub fn has_label(self, name: &str) -> Self {
        self.with("label", name)
    }

    /// Any condition in the Engine's words, such as `status`, `name`, `volume`, `dangling`. The
    /// Engine takes `name` for a part of the name, or a regular expression.
    #[must_use]
    pub fn with(mut self, condition: &str, value: impl Into<String>) -> Self {
        self.0
            .entry(condition.to_owned())
            .or_default()
            .push(value.into());
        self
    }

    /// These values, unless some are given for the condition.
    pub(crate) fn with_default(mut self, condition: &str, values: &[&str]) -> Self {
        self.0
            .entry(condition.to_owned())
            .or_insert_with(|| values.iter().map(|&value| value.to_owned()).collect());
        self
    }

    /// As a part of a request's address, with its question mark; empty without a condition.
    pub(crate) fn query(&self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let json = serde_json::json!(self.0).to_string();
        let escaped: String = json.bytes().map(|byte| format!("%{byte:02X}")).collect();
        format!("?filters={escaped}")
    }

    pub(crate) fn into_query(self) -> Option<HashMap<String, Vec<String>>> {
        (!self.0.is_empty()).then_some(self.0)
    }
}
