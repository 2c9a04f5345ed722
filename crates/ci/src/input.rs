//! What a compilation is given. All of it are values, so that the same input always gives the
//! same graph, whoever asks: the server, the command line or a test.

use std::collections::BTreeMap;
use std::fmt;

use model::{GitRef, Variable};
use serde::{Deserialize, Serialize};

/// Everything that decides what a file means.
#[derive(Debug, Clone)]
pub struct Input {
    /// The main file's name, as diagnostics show it: usually `.gitlab-ci.yml`.
    pub name: String,
    /// The main file's text.
    pub text: String,
    /// What is known of included files. A location that is absent here and needed is listed in
    /// [`crate::Compiled::wanted`].
    pub files: BTreeMap<Location, Fetched>,
    /// Paths of all files of the repository at the commit, for `exists` and for globs of
    /// `include:local`. `None` when unknown: then `exists` holds, as GitLab does beyond its limit.
    pub tree: Option<Vec<String>>,
    /// The paths of other repositories, for `exists` with `project` and for globs in files of other projects.
    /// One that is absent here and needed is listed in [`crate::Compiled::wanted_trees`].
    pub trees: BTreeMap<RepositoryAt, Tree>,
    /// The branch or tag that the pipeline is for.
    pub git_ref: GitRef,
    /// What asked for the pipeline.
    pub source: Source,
    /// Whether a pipeline shall come of it.
    pub purpose: Purpose,
    /// The project's default branch, `CI_DEFAULT_BRANCH`.
    pub default_branch: String,
    /// The project's path, `group/name`; empty when there is none.
    pub project: String,
    /// Variables from outside the file.
    pub variables: Layers,
    /// The files that the push changed.
    pub changes: Changes,
    /// What is known of the refs that `compare_to` names, by that name. One that is absent here and needed
    /// is listed in [`crate::Compiled::wanted_comparisons`].
    pub comparisons: BTreeMap<String, Comparison>,
    /// Values of the main file's own `spec:inputs`, as texts in YAML.
    pub inputs: BTreeMap<String, String>,
}

impl Input {
    /// The input with nothing but a file and a ref: a push, no variables, nothing known about
    /// other files.
    pub fn new(name: impl Into<String>, text: impl Into<String>, git_ref: GitRef) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
            files: BTreeMap::new(),
            tree: None,
            trees: BTreeMap::new(),
            git_ref,
            source: Source::Push,
            purpose: Purpose::Create,
            default_branch: "main".to_owned(),
            project: String::new(),
            variables: Layers::default(),
            changes: Changes::Unknown,
            comparisons: BTreeMap::new(),
            inputs: BTreeMap::new(),
        }
    }
}

/// Variables from outside the file, low to high. Those of the file itself come between
/// `predefined` and `dotenv`: a value set in the project's settings beats the job's YAML
/// (GitLab, "CI/CD variable precedence").
#[derive(Debug, Clone, Default)]
pub struct Layers {
    /// `CI_*` and `GITLAB_*`. What belongs to a stored job (`CI_JOB_ID`, tokens) must not be here:
    /// rules cannot see it.
    pub predefined: Vec<Variable>,
    /// Of the whole server.
    pub instance: Vec<Variable>,
    /// Of the project's groups, the outermost first.
    pub group: Vec<Variable>,
    /// Of the project.
    pub project: Vec<Variable>,
    /// Given when the pipeline was started: by hand, by the API, by a trigger, or passed on by
    /// the pipeline above.
    pub manual: Vec<Variable>,
    /// Of the schedule.
    pub schedule: Vec<Variable>,
}

impl Layers {
    /// The layers above the file's own variables, low to high.
    pub fn settings(&self) -> impl Iterator<Item = &Variable> {
        [
            &self.instance,
            &self.group,
            &self.project,
            &self.manual,
            &self.schedule,
        ]
        .into_iter()
        .flatten()
    }
}

/// What a compilation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Purpose {
    /// A pipeline: everything must be right for this ref.
    #[default]
    Create,
    /// A look at the file alone: what only shows for one ref is no error, and a job that does
    /// nothing is a warning.
    Check,
}

/// Which files changed, for `changes`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Changes {
    /// Nothing to compare with, as for a tag, a new branch or a schedule: every `changes` holds.
    #[default]
    Unknown,
    /// These paths, against the commit before the push.
    Files(Vec<String>),
}

/// The commit against another ref, for `changes` with `compare_to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison {
    /// These paths differ from where the two parted.
    Files(Vec<String>),
    /// There is no such ref: an error, as in GitLab.
    NoRef,
    /// Nobody can compare: every `changes` holds.
    Unknown,
}

/// What asked for a pipeline: `CI_PIPELINE_SOURCE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A git push.
    Push,
    /// A person on the pages.
    Web,
    /// A schedule.
    Schedule,
    /// The API.
    Api,
    /// A trigger token.
    Trigger,
    /// A job of another project's pipeline.
    Pipeline,
    /// A job of the pipeline above: this is a child.
    ParentPipeline,
    /// A merge request.
    MergeRequestEvent,
    /// An external pull request.
    ExternalPullRequestEvent,
    /// A chat command.
    Chat,
    /// A web IDE.
    Webide,
    /// An external CI.
    External,
}

impl Source {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Push,
        Self::Web,
        Self::Schedule,
        Self::Api,
        Self::Trigger,
        Self::Pipeline,
        Self::ParentPipeline,
        Self::MergeRequestEvent,
        Self::ExternalPullRequestEvent,
        Self::Chat,
        Self::Webide,
        Self::External,
    ];

    /// The word in `CI_PIPELINE_SOURCE`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Web => "web",
            Self::Schedule => "schedule",
            Self::Api => "api",
            Self::Trigger => "trigger",
            Self::Pipeline => "pipeline",
            Self::ParentPipeline => "parent_pipeline",
            Self::MergeRequestEvent => "merge_request_event",
            Self::ExternalPullRequestEvent => "external_pull_request_event",
            Self::Chat => "chat",
            Self::Webide => "webide",
            Self::External => "external",
        }
    }
}

impl std::str::FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|source| source.as_str() == text)
            .ok_or_else(|| {
                let words: Vec<_> = Self::ALL.iter().map(|source| source.as_str()).collect();
                format!(
                    "`{text}` is no source of a pipeline: use one of {}",
                    words.join(", ")
                )
            })
    }
}

/// Where an included file is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Location {
    /// A path of the same repository at the same commit, without the leading `/`.
    Local {
        /// The path.
        path: String,
    },
    /// A file of another project on the same server.
    Project {
        /// `group/name`.
        project: String,
        /// Branch, tag or commit; `None` is the default branch.
        git_ref: Option<String>,
        /// The path, without the leading `/`.
        path: String,
    },
    /// An address.
    Remote {
        /// `https://…`
        url: String,
        /// `sha256-<base64>`, when the file must have it.
        integrity: Option<String>,
    },
    /// A template that the server brings.
    Template {
        /// `Auto-DevOps.gitlab-ci.yml`
        name: String,
    },
    /// A component of a catalogue.
    Component {
        /// `host/group/project/name@version`
        address: String,
    },
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local { path } => f.write_str(path),
            Self::Project {
                project,
                git_ref: Some(git_ref),
                path,
            } => write!(f, "{project}@{git_ref}:{path}"),
            Self::Project { project, path, .. } => write!(f, "{project}:{path}"),
            Self::Remote { url, .. } => f.write_str(url),
            Self::Template { name } => write!(f, "template:{name}"),
            Self::Component { address } => write!(f, "component:{address}"),
        }
    }
}

/// A repository of the same server, as some ref has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryAt {
    /// `group/name`.
    pub project: String,
    /// Branch, tag or commit; `None` is the default branch.
    pub git_ref: Option<String>,
}

/// What is known of the paths in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tree {
    /// All of them.
    Paths(Vec<String>),
    /// Nobody can look there: then `exists` holds.
    Unknown,
    /// It cannot be had.
    Failed(Missing),
}

/// The answer to a [`Location`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// The file's text.
    Text(String),
    /// The text of a file of another repository, and where exactly it was found: `local` in it means
    /// files of that commit.
    Of {
        /// The file's text.
        text: String,
        /// Where it was found.
        origin: Origin,
    },
    /// It cannot be had.
    Failed(Missing),
    /// Whoever compiles cannot look there: an error, but only a warning for [`Purpose::Check`].
    Unavailable(Missing),
}

/// The repository and commit that an included file is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// `group/name`.
    pub project: String,
    /// The commit's id.
    pub commit: String,
    /// What a component may know of itself (`spec:component`).
    pub component: Option<ComponentFacts>,
}

/// What a component may know of itself, besides its commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentFacts {
    /// Its name in the project.
    pub name: String,
    /// The version that was found.
    pub version: String,
    /// The version that was asked for.
    pub reference: String,
}

/// Why a file is not there, and the mend; both end in the diagnostic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Why.
    pub reason: String,
    /// How to mend it, if that can be said.
    pub hint: Option<String>,
}

impl Missing {
    /// For this reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            hint: None,
        }
    }

    /// The same with a mend.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}
