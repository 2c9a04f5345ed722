//! What the file that is being read belongs to: it decides what `local` means in it, whose rights
//! it is read with, and whether it sees variables (GitLab, "Nested includes").

use crate::{Fetched, Location};

/// Where a file is at home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Home {
    /// The repository and commit that the pipeline is for.
    Here,
    /// Another repository, at this ref or commit.
    Project {
        project: String,
        git_ref: Option<String>,
    },
    /// The server itself: a template. It is of no repository.
    Server,
    /// Anywhere else. Whoever wrote the file has no rights on this server, and what it includes in
    /// turn must not carry values of variables away.
    Elsewhere,
}

impl Home {
    /// The home of a file that was included from a file at home here.
    pub(super) fn of(&self, location: &Location, fetched: &Fetched) -> Self {
        if *self == Self::Elsewhere {
            return Self::Elsewhere;
        }
        if let Fetched::Of { origin, .. } = fetched {
            return Self::Project {
                project: origin.project.clone(),
                git_ref: Some(origin.commit.clone()),
            };
        }
        match location {
            Location::Local { .. } => self.clone(),
            Location::Project {
                project, git_ref, ..
            } => Self::Project {
                project: project.clone(),
                git_ref: git_ref.clone(),
            },
            Location::Template { .. } | Location::Component { .. } => Self::Server,
            Location::Remote { .. } => Self::Elsewhere,
        }
    }

    /// Why a file that is at home here cannot include this, with the mend.
    pub(super) fn forbids(&self, location: &Location) -> Option<(&'static str, &'static str)> {
        match (self, location) {
            (Self::Server | Self::Elsewhere, Location::Local { .. }) => Some((
                "the file that includes it is of no repository, so `local` means nothing in it",
                "name the file by `project` and `file`, or by `remote`",
            )),
            (Self::Elsewhere, Location::Project { .. } | Location::Component { .. }) => Some((
                "the file that includes it comes from elsewhere, and has no rights on this server",
                "include it in a file of this server",
            )),
            _ => None,
        }
    }
}
