//! The job graph: what a file means for one ref, with nothing left to choose.
//!
//! It is plain data that the server stores as JSON and hands to `pipeline`; jobs refer to stages
//! and to each other by their index. Texts that the runner expands (image, cache key, artifact
//! name) are kept as written; those that the server expands are already expanded.

use std::collections::BTreeMap;

use model::Variable;
use serde::{Deserialize, Serialize};

/// The jobs of one pipeline, in the order of their stages.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Graph {
    /// `workflow:name`, expanded.
    #[serde(default)]
    pub name: Option<String>,
    /// The stages that have jobs, in order.
    pub stages: Vec<String>,
    /// The jobs, ordered by stage, then as in the file.
    pub jobs: Vec<Job>,
    /// `workflow:auto_cancel`.
    #[serde(default)]
    pub auto_cancel: AutoCancel,
    /// Global variables of the file with those of the workflow's rule, for pages and child
    /// pipelines; each job's own list already has what it inherits.
    #[serde(default)]
    pub variables: Vec<Variable>,
}

impl Graph {
    /// Whether no job would run: then there is no pipeline to create.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// The job of this name, and its index.
    pub fn job(&self, name: &str) -> Option<(usize, &Job)> {
        self.jobs
            .iter()
            .enumerate()
            .find(|(_, job)| job.name == name)
    }
}

/// One job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its name, unique in the graph; of a matrix `name: [a, b]`, of `parallel: 3` `name 1/3`.
    pub name: String,
    /// The name in the file, the same for all jobs of one `parallel`.
    pub group: String,
    /// Index into [`Graph::stages`].
    pub stage: usize,
    /// Lines before `script`, in the same shell.
    #[serde(default)]
    pub before_script: Vec<String>,
    /// The lines to run.
    #[serde(default)]
    pub script: Vec<String>,
    /// Lines in a shell of their own afterwards, whatever happened.
    #[serde(default)]
    pub after_script: Vec<String>,
    /// `run`: steps in place of a script, as written.
    #[serde(default)]
    pub run: Option<serde_json::Value>,
    /// Scripts around others.
    #[serde(default)]
    pub hooks: Hooks,
    /// A runner must have all of these; expanded.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Variables of the file that this job sees: inherited global ones, its own, its rule's, its
    /// place in the matrix. Not expanded, the later of equal names already dropped.
    #[serde(default)]
    pub variables: Vec<Variable>,
    /// When it starts; never [`When::Never`].
    pub when: When,
    /// For [`When::Delayed`]: seconds to wait.
    #[serde(default)]
    pub start_in: Option<u64>,
    /// Asked before a manual job is played.
    #[serde(default)]
    pub manual_confirmation: Option<String>,
    /// Whether its failure is none for the pipeline.
    #[serde(default)]
    pub allow_failure: AllowFailure,
    /// `None`: it waits for all earlier stages. Some: it waits for these alone.
    #[serde(default)]
    pub needs: Option<Vec<Need>>,
    /// Entries of `needs` that name other pipelines or projects, as written.
    #[serde(default)]
    pub needs_elsewhere: Vec<serde_json::Value>,
    /// Indices of the jobs whose artifacts it gets; `None`: of all earlier stages' jobs, or of
    /// its `needs` with `artifacts: true`.
    #[serde(default)]
    pub dependencies: Option<Vec<usize>>,
    /// When to try again after a failure.
    #[serde(default)]
    pub retry: Retry,
    /// Seconds; `None`: the project's.
    #[serde(default)]
    pub timeout: Option<u64>,
    /// Place among the jobs of one `parallel`.
    #[serde(default)]
    pub parallel: Option<Parallel>,
    /// The container to run in.
    #[serde(default)]
    pub image: Option<Image>,
    /// Containers beside it.
    #[serde(default)]
    pub services: Vec<Service>,
    /// Files to keep.
    #[serde(default)]
    pub artifacts: Option<Artifacts>,
    /// Files to reuse.
    #[serde(default)]
    pub cache: Vec<Cache>,
    /// Where it deploys to.
    #[serde(default)]
    pub environment: Option<Environment>,
    /// Jobs of one group never run at the same time, in the whole project; expanded.
    #[serde(default)]
    pub resource_group: Option<String>,
    /// A newer pipeline may cancel it while it runs.
    #[serde(default)]
    pub interruptible: bool,
    /// Starts another pipeline instead of a script.
    #[serde(default)]
    pub trigger: Option<Trigger>,
    /// Regular expression that finds the coverage in the log, without its slashes.
    #[serde(default)]
    pub coverage: Option<String>,
    /// A release to make on success.
    #[serde(default)]
    pub release: Option<Release>,
    /// Tokens to issue, by variable.
    #[serde(default)]
    pub id_tokens: BTreeMap<String, IdToken>,
    /// `secrets`, as written.
    #[serde(default)]
    pub secrets: Option<serde_json::Value>,
    /// `inputs`, as written: values that may change at a retry.
    #[serde(default)]
    pub inputs: Option<serde_json::Value>,
    /// `pages`, as written (`true` for the job named so).
    #[serde(default)]
    pub pages: Option<serde_json::Value>,
}

/// When a job starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// All before it succeeded.
    #[default]
    OnSuccess,
    /// One before it failed.
    OnFailure,
    /// All before it ended, well or not.
    Always,
    /// Somebody plays it.
    Manual,
    /// Some time after it became ready.
    Delayed,
    /// Not at all.
    Never,
}

impl When {
    /// The keyword.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OnSuccess => "on_success",
            Self::OnFailure => "on_failure",
            Self::Always => "always",
            Self::Manual => "manual",
            Self::Delayed => "delayed",
            Self::Never => "never",
        }
    }
}

/// Whether a job's failure is none for the pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AllowFailure {
    /// A failure is a failure.
    #[default]
    No,
    /// Any failure is forgiven; a manual job does not block.
    Yes,
    /// Only these exit codes are forgiven.
    ExitCodes(Vec<i32>),
}

/// An edge of the graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// Index of the job that must end first.
    pub job: usize,
    /// Whether its artifacts are downloaded.
    pub artifacts: bool,
    /// Whether it may be absent (it is present here, as it is in the graph).
    pub optional: bool,
}

/// When a failed job is tried again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Retry {
    /// At most this often, 0 to 2.
    pub max: u32,
    /// On these reasons (`script_failure`, `always`, …). Empty with no exit codes: on any.
    #[serde(default)]
    pub when: Vec<String>,
    /// On these exit codes.
    #[serde(default)]
    pub exit_codes: Vec<i32>,
}

/// A job's place in its `parallel`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parallel {
    /// From 1: `CI_NODE_INDEX`.
    pub index: usize,
    /// `CI_NODE_TOTAL`.
    pub total: usize,
    /// The matrix' variables of this place, if it is a matrix.
    #[serde(default)]
    pub matrix: Option<Matrix>,
}

/// Variables of one place of a matrix, in their order.
pub type Matrix = Vec<(String, String)>;

/// The image of a job or a service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Image {
    /// As written; the runner expands it.
    pub name: String,
    /// In place of the image's own.
    #[serde(default)]
    pub entrypoint: Option<Vec<String>>,
    /// Tried in this order.
    #[serde(default)]
    pub pull_policy: Vec<String>,
    /// `docker` and `kubernetes`, as written.
    #[serde(default)]
    pub executor_opts: BTreeMap<String, serde_json::Value>,
}

/// A container beside the job.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Service {
    /// Its image.
    #[serde(flatten)]
    pub image: Image,
    /// Further names it is found under.
    #[serde(default)]
    pub alias: Option<String>,
    /// In place of the image's own.
    #[serde(default)]
    pub command: Option<Vec<String>>,
    /// For this service alone.
    #[serde(default)]
    pub variables: Vec<Variable>,
}

/// Files that a job leaves behind.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Artifacts {
    /// The archive's name; the runner expands it.
    #[serde(default)]
    pub name: Option<String>,
    /// Globs.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Globs taken out again.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Also what git does not know.
    #[serde(default)]
    pub untracked: bool,
    /// On which outcome.
    #[serde(default)]
    pub when: SaveWhen,
    /// Seconds; `None`: the server's default, 0: never.
    #[serde(default)]
    pub expire_in: Option<u64>,
    /// Shown under this name.
    #[serde(default)]
    pub expose_as: Option<String>,
    /// `public: false` or `access`: who may download them.
    #[serde(default)]
    pub access: Option<String>,
    /// By kind (`dotenv`, `junit`): paths.
    #[serde(default)]
    pub reports: BTreeMap<String, Vec<String>>,
}

/// On which outcome something is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SaveWhen {
    /// Success.
    #[default]
    OnSuccess,
    /// Failure.
    OnFailure,
    /// Both.
    Always,
}

/// Files carried from one job to the next on the same branch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cache {
    /// What names it.
    #[serde(default)]
    pub key: CacheKey,
    /// Globs.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Also what git does not know.
    #[serde(default)]
    pub untracked: bool,
    /// On which outcome it is saved.
    #[serde(default)]
    pub when: SaveWhen,
    /// Whether it is fetched, saved or both; may name a variable.
    #[serde(default)]
    pub policy: CachePolicy,
    /// Shared between protected and other branches.
    #[serde(default)]
    pub unprotect: bool,
    /// Keys to try when there is none under its own.
    #[serde(default)]
    pub fallback_keys: Vec<String>,
}

/// What names a cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheKey {
    /// A text that the runner expands.
    Text(String),
    /// The last commits, or contents, of these files.
    Files {
        /// The files.
        files: Vec<String>,
        /// By the commit that changed them last, not by content.
        commits: bool,
        /// In front, with a `-`.
        prefix: Option<String>,
    },
}

impl Default for CacheKey {
    fn default() -> Self {
        Self::Text("default".to_owned())
    }
}

/// Whether a cache is fetched, saved or both: `pull-push`, `pull`, `push`, or a variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CachePolicy(pub String);

impl Default for CachePolicy {
    fn default() -> Self {
        Self("pull-push".to_owned())
    }
}

/// Where a job deploys to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Expanded.
    pub name: String,
    /// Not expanded: it may use what the job finds out.
    #[serde(default)]
    pub url: Option<String>,
    /// What the job does with it.
    #[serde(default)]
    pub action: EnvironmentAction,
    /// The job that stops it.
    #[serde(default)]
    pub on_stop: Option<String>,
    /// Seconds until it is stopped.
    #[serde(default)]
    pub auto_stop_in: Option<u64>,
    /// `production`, `staging`, `testing`, `development`, `other`.
    #[serde(default)]
    pub tier: Option<String>,
    /// `kubernetes`, as written.
    #[serde(default)]
    pub kubernetes: Option<serde_json::Value>,
}

/// What a job does with its environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnvironmentAction {
    /// Deploys.
    #[default]
    Start,
    /// Gets ready to deploy; starts nothing.
    Prepare,
    /// Stops it.
    Stop,
    /// Checks it.
    Verify,
    /// Looks at it.
    Access,
}

/// Another pipeline that a job starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    /// Which one.
    pub target: TriggerTarget,
    /// The job waits for it and takes its status (`strategy: depend` or `mirror`).
    #[serde(default)]
    pub depend: bool,
    /// Takes every status while it runs (`strategy: mirror`).
    #[serde(default)]
    pub mirror: bool,
    /// Passes the file's variables on.
    pub forward_yaml_variables: bool,
    /// Passes the manual variables on.
    #[serde(default)]
    pub forward_pipeline_variables: bool,
    /// Values of the other file's `spec:inputs`.
    #[serde(default)]
    pub inputs: BTreeMap<String, serde_json::Value>,
}

/// Which pipeline a trigger starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriggerTarget {
    /// A child in the same project, from these files.
    Child(Vec<TriggerInclude>),
    /// One of another project; expanded.
    Project {
        /// `group/name`.
        project: String,
        /// `None`: the default branch.
        branch: Option<String>,
    },
}

/// A file that a child pipeline is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriggerInclude {
    /// Found like any include.
    Location {
        /// Where it is.
        location: crate::Location,
        /// Values of its `spec:inputs`.
        #[serde(default)]
        inputs: BTreeMap<String, serde_json::Value>,
    },
    /// Made by an earlier job.
    Artifact {
        /// The path in the job's artifacts.
        path: String,
        /// The job's name.
        job: String,
        /// Values of its `spec:inputs`.
        #[serde(default)]
        inputs: BTreeMap<String, serde_json::Value>,
    },
}

/// `workflow:auto_cancel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AutoCancel {
    /// What a newer commit does to this pipeline.
    #[serde(default)]
    pub on_new_commit: NewCommitCancel,
    /// What a failed job does to the others.
    #[serde(default)]
    pub on_job_failure: JobFailureCancel,
}

/// What a newer commit does to a pipeline that still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NewCommitCancel {
    /// Cancels it, unless a job that is not interruptible has started.
    #[default]
    Conservative,
    /// Cancels its interruptible jobs.
    Interruptible,
    /// Nothing.
    None,
}

/// What a failed job does to the others of its pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobFailureCancel {
    /// Nothing at once.
    #[default]
    None,
    /// Cancels them.
    All,
}

/// Scripts around others.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Hooks {
    /// Before the sources are fetched.
    #[serde(default)]
    pub pre_get_sources_script: Vec<String>,
}

/// A release to make.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Release {
    /// The tag.
    pub tag_name: String,
    /// The rest, as written.
    #[serde(default)]
    pub fields: BTreeMap<String, serde_json::Value>,
}

/// A token to issue.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct IdToken {
    /// Whom it is for.
    pub aud: Vec<String>,
}
