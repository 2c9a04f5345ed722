//! From a push to pipelines.
//!
//! What has been pushed is found by comparing the repository's refs with those dealt with before. So a
//! push that was cut off by a crash, after git had stored it and before its pipeline was made, is made
//! good at the next push or start, and doing it twice does nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use ci::{Changes, Compiled, Fetched, Input, Layers, Location, Source};
use git::{CommitInfo, Repository};
use model::{CommitId, GitRef, PipelineId, Secret, Variable};
use serde::{Deserialize, Serialize};

use crate::App;
use crate::auth::Reader;
use crate::downstream::PIPELINES_OF_ONE;
use crate::engine::EngineError;
use crate::http::chain;
use crate::includes::Includes;
use crate::not_yet;
use crate::predefined::{self, PipelineFacts, Upstream};
use crate::store::{Above, NewPipeline, Owner, PipelineRow, Project, VariableRow};
use crate::supersede;

/// The file that says what to do.
pub(crate) const CONFIG_FILE: &str = ".gitlab-ci.yml";

/// The largest file of the CI language, in bytes.
pub(crate) const CONFIG_LIMIT: u64 = 2 << 20;

/// At most this many branches, and as many tags, of one push get a pipeline (GitLab's limit).
const PIPELINES_A_PUSH: usize = 4;

pub(crate) const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

/// What is kept of a commit with its pipeline.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct CommitFacts {
    /// The message's first line.
    pub title: String,
    /// All of it.
    pub message: String,
    /// What follows the title.
    pub description: String,
    /// `Name <address>`.
    pub author: String,
    /// ISO 8601.
    pub timestamp: String,
    /// Of an annotated tag.
    pub tag_message: Option<String>,
    /// The project's default branch at that time.
    pub default_branch: String,
}

/// Why a pipeline could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PushError {
    #[error("the repository cannot be read")]
    Git(#[source] git::GitError),
    #[error("the push cannot be kept")]
    Store(#[source] crate::store::StoreError),
    #[error("the pipeline cannot be made")]
    Engine(#[source] EngineError),
    #[error("the compiler has failed")]
    Compiler(#[source] tokio::task::JoinError),
    #[error("{git_ref} names no commit")]
    NoCommit { git_ref: GitRef },
}

impl From<git::GitError> for PushError {
    fn from(error: git::GitError) -> Self {
        Self::Git(error)
    }
}

impl From<crate::store::StoreError> for PushError {
    fn from(error: crate::store::StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<EngineError> for PushError {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

/// What is asked for when a pipeline is to be made.
pub(crate) struct Wanted<'a> {
    pub project: &'a Project,
    pub git_ref: &'a GitRef,
    pub commit: &'a CommitId,
    /// What the ref points to, when this is to be noted as dealt with.
    pub target: Option<&'a str>,
    /// The commit before the push.
    pub before: Option<CommitId>,
    pub source: Source,
    pub user: &'a str,
    pub variables: Vec<Variable>,
    /// What another pipeline's trigger job asks for.
    pub trigger: Option<Triggered>,
}

/// What a trigger job asks for beyond the ref.
pub(crate) struct Triggered {
    pub upstream: Upstream,
    /// The pipeline that started it all.
    pub root: PipelineId,
    /// The text that takes the file's place, with a name for diagnostics.
    pub file: Option<(String, String)>,
    /// Files to include that are in no repository.
    pub files: BTreeMap<Location, Fetched>,
    /// Values of the file's `spec:inputs`, as texts in YAML.
    pub inputs: BTreeMap<String, String>,
}

/// What came of it.
pub(crate) enum Made {
    /// There is no file, or nothing in it runs for this ref.
    Nothing { reason: &'static str },
    /// What a trigger job asks for is wrong, in the compiler's words: no pipeline is made.
    Wrong { notes: String },
    /// A pipeline; `notes` are the compiler's words.
    Pipeline {
        row: Box<PipelineRow>,
        notes: String,
    },
}

/// Makes the pipelines of everything new in a project's repository. Returns what the user who pushed
/// should read.
pub(crate) async fn take_in(
    app: &Arc<App>,
    project: &Project,
    user: &str,
    options: &[String],
) -> Vec<String> {
    let turn = app.turn(project.id);
    let _turn = turn.lock().await;
    let pushed = Pushed {
        app,
        project,
        user,
        skip: options.iter().any(|option| option == "ci.skip"),
    };
    match pushed.take_in().await {
        Ok(lines) => lines,
        Err(error) => {
            tracing::error!(project = %project.path, error = %chain(&error), "a push has no pipeline");
            vec![
                format!("lotse: the push is stored, but its pipeline is not made: {error}"),
                "lotse: it is made when the server's trouble is over, with the next push or start"
                    .to_owned(),
            ]
        }
    }
}

struct Pushed<'a> {
    app: &'a Arc<App>,
    project: &'a Project,
    user: &'a str,
    skip: bool,
}

impl Pushed<'_> {
    async fn take_in(&self) -> Result<Vec<String>, PushError> {
        let repository = self
            .app
            .repositories
            .create(&self.project.id.into())
            .await?;
        let mut seen = self.app.store.seen_refs(self.project.id).await?;
        let mut lines = Vec::new();
        let mut made = BTreeMap::new();
        for reference in repository.refs().await? {
            let before = seen.remove(&reference.name);
            let Ok(git_ref) = reference.name.parse::<GitRef>() else {
                continue;
            };
            if before.as_deref() == Some(reference.object.as_str()) {
                continue;
            }
            let count = made.entry(git_ref.kind).or_insert(0);
            *count += 1;
            let wanted = Wanted {
                project: self.project,
                git_ref: &git_ref,
                commit: &reference.commit,
                target: Some(reference.object.as_str()),
                before: before.and_then(|id| id.parse().ok()),
                source: Source::Push,
                user: self.user,
                variables: Vec::new(),
                trigger: None,
            };
            lines.extend(self.one(&repository, wanted, *count).await?);
        }
        for gone in seen.keys() {
            self.app
                .store
                .mark_ref_seen(self.project.id, gone, None)
                .await?;
        }
        Ok(lines)
    }

    /// One new or moved ref.
    async fn one(
        &self,
        repository: &Repository,
        wanted: Wanted<'_>,
        count: usize,
    ) -> Result<Vec<String>, PushError> {
        let name = wanted.git_ref.full();
        let target = wanted.target;
        let skipped = if self.skip {
            Some("skipped as asked (ci.skip)".to_owned())
        } else if count > PIPELINES_A_PUSH {
            Some(format!(
                "no pipeline: of one push at most {PIPELINES_A_PUSH} branches and {PIPELINES_A_PUSH} tags get one; start it with `lotse pipeline run`"
            ))
        } else {
            None
        };
        if let Some(reason) = skipped {
            self.app
                .store
                .mark_ref_seen(self.project.id, &name, target)
                .await?;
            return Ok(vec![format!("lotse: {}: {reason}", wanted.git_ref)]);
        }
        let git_ref = wanted.git_ref.clone();
        match make(self.app, repository, wanted).await? {
            Made::Nothing { reason } => {
                self.app
                    .store
                    .mark_ref_seen(self.project.id, &name, target)
                    .await?;
                Ok(vec![format!("lotse: {git_ref}: no pipeline: {reason}")])
            }
            Made::Wrong { notes } => Ok(notes.lines().map(str::to_owned).collect()),
            Made::Pipeline { row, notes } => Ok(self.tell(&row, &notes)),
        }
    }

    fn tell(&self, row: &PipelineRow, notes: &str) -> Vec<String> {
        let page = self.app.pipeline_page(self.project, row.id);
        let what = if row.yaml_errors.is_some() {
            format!(
                "{CONFIG_FILE} has errors, so pipeline #{} has failed",
                row.id
            )
        } else {
            format!("pipeline #{} for {}", row.id, row.git_ref)
        };
        let mut lines = vec![
            String::new(),
            format!("lotse: {what}"),
            format!("       {page}"),
        ];
        if !notes.is_empty() {
            lines.push(String::new());
            lines.extend(notes.lines().map(str::to_owned));
        }
        lines.push(String::new());
        lines
    }
}

/// Compiles the file at a commit and makes the pipeline that it describes.
pub(crate) async fn make(
    app: &Arc<App>,
    repository: &Repository,
    wanted: Wanted<'_>,
) -> Result<Made, PushError> {
    let Some((name, text)) = main_file(repository, &wanted).await? else {
        return Ok(Made::Nothing {
            reason: "there is no .gitlab-ci.yml at this commit",
        });
    };
    let info = repository
        .commit(wanted.commit)
        .await?
        .ok_or_else(|| PushError::NoCommit {
            git_ref: wanted.git_ref.clone(),
        })?;
    let facts = facts(repository, wanted.git_ref, &info).await?;
    if wanted.source == Source::Push && asks_to_skip(&facts.message) {
        return Ok(Made::Nothing {
            reason: "the commit's message says [skip ci]",
        });
    }
    let files = (wanted.trigger.as_ref()).map(|trigger| trigger.files.clone());
    let input = Input {
        name,
        files: files.unwrap_or_default(),
        ..input(app, repository, &wanted, &facts, text).await?
    };
    let reader = Reader::of(&app.store, wanted.user, &wanted.project.path).await?;
    let compiled = Includes::new(app, repository, wanted.commit, reader)
        .compile(input)
        .await
        .map_err(PushError::Compiler)?;
    keep(app, &wanted, &facts, &compiled).await
}

/// The name and the text of the file that is compiled.
async fn main_file(
    repository: &Repository,
    wanted: &Wanted<'_>,
) -> Result<Option<(String, String)>, PushError> {
    if let Some(file) = (wanted.trigger.as_ref()).and_then(|trigger| trigger.file.clone()) {
        return Ok(Some(file));
    }
    let bytes = repository
        .read_file(wanted.commit, CONFIG_FILE, CONFIG_LIMIT)
        .await?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(bytes.map(|bytes| (CONFIG_FILE.to_owned(), text(bytes))))
}

async fn facts(
    repository: &Repository,
    git_ref: &GitRef,
    info: &CommitInfo,
) -> Result<CommitFacts, PushError> {
    let tag_message = if git_ref.is_tag() {
        repository.tag_message(git_ref).await?
    } else {
        None
    };
    Ok(CommitFacts {
        title: info.title.clone(),
        message: info.message.clone(),
        description: info.description.clone(),
        author: info.author.name_and_email(),
        timestamp: info.committer.iso8601(),
        tag_message,
        default_branch: repository.default_branch().await?.name().to_owned(),
    })
}

/// `[ci skip]` or `[skip ci]`, in any case (GitLab, "Skip a pipeline").
fn asks_to_skip(message: &str) -> bool {
    let message = message.to_lowercase();
    message.contains("[ci skip]") || message.contains("[skip ci]")
}

async fn input(
    app: &App,
    repository: &Repository,
    wanted: &Wanted<'_>,
    facts: &CommitFacts,
    text: String,
) -> Result<Input, PushError> {
    let protected = is_protected(wanted.git_ref, &facts.default_branch);
    let before = wanted.before.as_ref().map_or(NO_COMMIT, CommitId::as_str);
    let predefined = predefined::of_pipeline(&PipelineFacts {
        addresses: &app.addresses,
        project_id: wanted.project.id,
        project: &wanted.project.path,
        default_branch: &facts.default_branch,
        git_ref: wanted.git_ref,
        sha: wanted.commit,
        before_sha: before,
        commit: facts,
        source: wanted.source.as_str(),
        user_name: wanted.user,
        protected,
        upstream: wanted.trigger.as_ref().map(|trigger| trigger.upstream),
    });
    let seen = |rows: Vec<VariableRow>| {
        rows.into_iter()
            .filter(|row| (protected || !row.protected) && row.environment == "*")
            .map(|row| row.variable)
            .collect()
    };
    let group = app
        .store
        .group_variables(&wanted.project.path.group())
        .await?;
    let project = app
        .store
        .variables(Owner::Project(wanted.project.id))
        .await?;
    let changes = changes(repository, wanted, &text).await?;
    let tree = tree(repository, wanted, &text).await?;
    Ok(Input {
        tree,
        source: wanted.source,
        default_branch: facts.default_branch.clone(),
        project: wanted.project.path.to_string(),
        variables: Layers {
            predefined,
            group: seen(group),
            project: seen(project),
            manual: wanted.variables.clone(),
            ..Layers::default()
        },
        changes,
        inputs: (wanted.trigger.as_ref())
            .map(|trigger| trigger.inputs.clone())
            .unwrap_or_default(),
        ..Input::new(CONFIG_FILE, text, wanted.git_ref.clone())
    })
}

/// What the push changed, when the file may want to know; it costs a question to git.
async fn changes(
    repository: &Repository,
    wanted: &Wanted<'_>,
    text: &str,
) -> Result<Changes, PushError> {
    match &wanted.before {
        Some(before) if !wanted.git_ref.is_tag() && may_ask(text, "changes") => {
            let files = repository
                .changed_files(Some(before), wanted.commit)
                .await?;
            Ok(Changes::Files(files))
        }
        _ => Ok(Changes::Unknown),
    }
}

/// Whether the file, or one that it includes, may have this keyword.
fn may_ask(text: &str, keyword: &str) -> bool {
    text.contains(keyword) || text.contains("include")
}

/// The commit's files, when the file may want to know; they cost a question to git.
async fn tree(
    repository: &Repository,
    wanted: &Wanted<'_>,
    text: &str,
) -> Result<Option<Vec<String>>, PushError> {
    if !may_ask(text, "exists") {
        return Ok(None);
    }
    Ok(Some(repository.list_files(wanted.commit).await?))
}

async fn keep(
    app: &App,
    wanted: &Wanted<'_>,
    facts: &CommitFacts,
    compiled: &Compiled,
) -> Result<Made, PushError> {
    let mut notes = compiled.render();
    if let Some(graph) = &compiled.graph {
        notes.push_str(&not_yet::note(graph));
    }
    let new = NewPipeline {
        project: wanted.project.id,
        git_ref: wanted.git_ref,
        target: wanted.target,
        sha: wanted.commit,
        before_sha: wanted.before.as_ref().map_or(NO_COMMIT, CommitId::as_str),
        commit_json: to_json(facts),
        source: wanted.source.as_str(),
        status: "failed",
        graph: "{\"stages\":[],\"jobs\":[]}".to_owned(),
        diagnostics: to_json(&compiled.diagnostics),
        yaml_errors: None,
        variables: (!wanted.variables.is_empty()).then(|| Secret::new(to_json(&wanted.variables))),
        user_name: wanted.user,
        above: wanted.trigger.as_ref().map(|trigger| Above {
            job: trigger.upstream.job,
            root: trigger.root,
            most: PIPELINES_OF_ONE,
        }),
        jobs: Vec::new(),
    };
    let row = match &compiled.graph {
        Some(graph) if graph.is_empty() && !compiled.has_errors() => {
            return Ok(Made::Nothing {
                reason: "nothing in .gitlab-ci.yml runs for it",
            });
        }
        Some(graph) if !compiled.has_errors() => {
            let row = app.engine.create(graph, new).await?;
            supersede::older(app, &row).await?;
            row
        }
        _ if wanted.trigger.is_some() => return Ok(Made::Wrong { notes }),
        _ => {
            let new = NewPipeline {
                yaml_errors: Some(notes.clone()),
                ..new
            };
            app.store.create_pipeline(new).await?.0
        }
    };
    tracing::info!(project = %wanted.project.path, pipeline = %row.id, git_ref = %row.git_ref, status = row.status, "made a pipeline");
    Ok(Made::Pipeline {
        row: Box::new(row),
        notes,
    })
}

/// A short name means the branch first, then the tag.
pub(crate) fn candidates(name: &str) -> Vec<GitRef> {
    match name.parse() {
        Ok(full) => vec![full],
        Err(_) => [GitRef::branch(name), GitRef::tag(name)]
            .into_iter()
            .flatten()
            .collect(),
    }
}

/// Whether protected variables are seen. As tags cannot be moved here and only those who may push can
/// make them, every tag is protected, and so is the default branch.
pub(crate) fn is_protected(git_ref: &GitRef, default_branch: &str) -> bool {
    git_ref.is_tag() || git_ref.name() == default_branch
}

fn to_json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("our own types have text keys only, so they are JSON")
}
