//! Whose things on a host are.

use std::fmt;

use compose::project::ProjectName;
use deploy::EnvironmentName;
use serde::{Deserialize, Serialize};

/// One environment of one compose project. On a host, nothing of one owner is touched by another.
///
/// Names on the engine begin with the project's, so a host has one environment of a project.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Owner {
    /// The compose project's name.
    pub project: ProjectName,
    /// The environment.
    pub environment: EnvironmentName,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.project, self.environment)
    }
}
