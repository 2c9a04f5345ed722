//! Typed row numbers, so that a job's number cannot be passed where a pipeline's is meant.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<i64> for $name {
            fn from(number: i64) -> Self {
                Self(number)
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

id!(
    /// A project, unique on its server.
    ProjectId
);
id!(
    /// A pipeline, unique on its server (GitLab's `CI_PIPELINE_ID`).
    PipelineId
);
id!(
    /// One attempt of a job, unique on its server (GitLab's `CI_JOB_ID`).
    JobId
);
id!(
    /// A registered runner.
    RunnerId
);
id!(
    /// A person or a program with tokens of its own.
    UserId
);
