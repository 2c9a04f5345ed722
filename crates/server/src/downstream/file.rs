//! The file that a child pipeline is compiled from: it includes what the trigger job names, and what an
//! earlier job has made.

use std::collections::BTreeMap;

use ci::{Fetched, Location};
use serde_json::{Value, json};

/// Included files that are in no repository.
pub(crate) type Files = BTreeMap<Location, Fetched>;

/// Values of a file's `spec:inputs`.
type Inputs = BTreeMap<String, Value>;

/// A file, as it is put together.
#[derive(Debug, Default)]
pub(crate) struct ChildFile {
    entries: Vec<String>,
    /// What is known of its includes already.
    pub(crate) files: Files,
}

impl ChildFile {
    /// Includes a file that is found like any other.
    pub(crate) fn include(&mut self, location: &Location, inputs: &Inputs) {
        let mut entry = place(location);
        if !inputs.is_empty() {
            entry["inputs"] = json!(inputs);
        }
        // JSON is YAML
        self.entries.push(entry.to_string());
    }

    /// Includes a text that a job has made.
    pub(crate) fn include_made(&mut self, path: &str, job: &str, text: String, inputs: &Inputs) {
        let location = Location::Local {
            path: format!("artifact of {job}: {path}").replace('*', "?"),
        };
        self.include(&location, inputs);
        self.files.insert(location, Fetched::Text(text));
    }

    /// The file's text.
    pub(crate) fn text(&self) -> String {
        format!("include:\n- {}\n", self.entries.join("\n- "))
    }
}

fn place(location: &Location) -> Value {
    match location {
        Location::Local { path } => json!({ "local": path }),
        Location::Project {
            project,
            git_ref: Some(git_ref),
            path,
        } => json!({ "project": project, "ref": git_ref, "file": path }),
        Location::Project { project, path, .. } => json!({ "project": project, "file": path }),
        Location::Remote {
            url,
            integrity: Some(integrity),
        } => json!({ "remote": url, "integrity": integrity }),
        Location::Remote { url, .. } => json!({ "remote": url }),
        Location::Template { name } => json!({ "template": name }),
        Location::Component { address } => json!({ "component": address }),
    }
}
