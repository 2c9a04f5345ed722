//! One pipeline with its children, without a server's store, pages or pushes: what `lotse ci run` is made of.
//!
//! Statuses are `pipeline`'s, a job is put into words by the same code as the server's own, and the
//! runner speaks the same protocol as with a server. So a job cannot tell the difference, but by what is
//! left out: nothing outlives the pipeline. The address is one of the loopback interface, and no call
//! is answered without the token that goes with it.

mod desk;
mod handout;
mod http;
mod running;
mod wish;

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use ci::{Graph, Source};
use model::{CommitId, GitRef, ProjectId, ProjectPath, Secret, Variable};
use pipeline::Status;
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;

use crate::config::Addresses;
use crate::predefined::{self, PipelineFacts, Upstream};
use crate::push::{NO_COMMIT, is_protected};

pub use crate::push::CommitFacts;
use desk::Desk;
pub use wish::ChildWish;

/// The only project there is.
const PROJECT: ProjectId = ProjectId(1);

/// What a pipeline is about; its predefined variables tell of it.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The address of the server that the project is usually at, `https://example.org`.
    pub server: String,
    /// The project.
    pub project: ProjectPath,
    /// The branch or tag.
    pub git_ref: GitRef,
    /// The commit.
    pub sha: CommitId,
    /// The commit that the branch had before.
    pub before: Option<CommitId>,
    /// What is told of the commit.
    pub commit: CommitFacts,
    /// What asks for the pipeline.
    pub source: Source,
    /// Who.
    pub user: String,
}

impl Subject {
    /// The predefined variables that `rules` see.
    pub fn variables(&self) -> Vec<Variable> {
        self.variables_below(None)
    }

    /// The same of a pipeline that another one started.
    fn variables_below(&self, upstream: Option<Upstream>) -> Vec<Variable> {
        predefined::of_pipeline(&PipelineFacts {
            addresses: &self.addresses(),
            project_id: PROJECT,
            project: &self.project,
            default_branch: &self.commit.default_branch,
            git_ref: &self.git_ref,
            sha: &self.sha,
            before_sha: self.before_sha(),
            commit: &self.commit,
            source: self.source.as_str(),
            user_name: &self.user,
            protected: is_protected(&self.git_ref, &self.commit.default_branch),
            upstream,
        })
    }

    fn before_sha(&self) -> &str {
        self.before.as_ref().map_or(NO_COMMIT, CommitId::as_str)
    }

    fn addresses(&self) -> Addresses {
        Addresses {
            url: self.server.clone(),
            registry: String::new(),
        }
    }
}

/// A pipeline that is to run.
#[derive(Debug, Clone)]
pub struct Blueprint {
    /// Its jobs.
    pub graph: Graph,
    /// What it is about.
    pub subject: Subject,
    /// Variables that count more than the file's.
    pub settings: Vec<Variable>,
    /// Manual and delayed jobs that are played as soon as they can be, by their index.
    pub play: BTreeSet<usize>,
    /// The git repository that jobs fetch from.
    pub repository: PathBuf,
    /// A folder for artifacts.
    pub folder: PathBuf,
}

/// A job of one of the pipelines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// 0 is the one that was started; its children, and theirs, have the numbers that
    /// [`Local::begin`] gives.
    pub pipeline: usize,
    /// Index in the pipeline's graph.
    pub job: usize,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// A job has this status now.
    Job {
        /// Which.
        place: Place,
        /// From 1.
        attempt: u32,
        /// The new status.
        status: Status,
        /// Of a failed job: GitLab's word and the script's exit code.
        failure: Option<pipeline::Failure>,
        /// Whether its failure is none for the pipeline.
        forgiven: bool,
    },
    /// A delayed job waits.
    Delayed {
        /// Which.
        place: Place,
        /// For how long.
        seconds: u64,
    },
    /// A job's log goes on.
    Log {
        /// Which.
        place: Place,
        /// What it wrote.
        text: bytes::Bytes,
    },
    /// A trigger job wants a child pipeline: whoever hears of it compiles it, then says
    /// [`Local::begin`] or [`Local::refuse`].
    Child(Box<ChildWish>),
    /// Nothing goes on any more in any pipeline, and nothing will by itself.
    Ended {
        /// The pipeline's status: `manual` when a job waits to be played.
        status: Status,
    },
}

/// What the file asks for and this way of running does not do, a line each.
pub fn note(graph: &Graph) -> String {
    crate::not_yet::note(graph)
}

/// A pipeline at work. It ends when this is dropped.
#[derive(Debug)]
pub struct Local {
    url: String,
    desk: Arc<Desk>,
    serving: JoinHandle<()>,
}

impl Local {
    /// Opens an address of this machine alone, and makes the pipeline: what can run at once is there
    /// for the runner.
    ///
    /// # Errors
    /// When there is no address to be had.
    pub async fn start(
        blueprint: Blueprint,
        happenings: UnboundedSender<Happening>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let desk = Desk::open(blueprint, happenings);
        let router = http::router(Arc::clone(&desk));
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the runner can report no more");
            }
        });
        Ok(Self { url, desk, serving })
    }

    /// Where a runner asks for jobs.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What the runner proves itself with.
    pub fn runner_token(&self) -> &Secret {
        self.desk.runner_token()
    }

    /// Starts the child pipeline of this graph. Returns its number; nothing when the trigger job wants
    /// it no more.
    pub fn begin(&self, wish: &ChildWish, graph: Graph) -> Option<usize> {
        self.desk.begin_child(wish, graph)
    }

    /// Fails the trigger job, as no child pipeline comes of what it names.
    pub fn refuse(&self, wish: &ChildWish) {
        self.desk.refuse_child(wish);
    }

    /// Cancels the pipeline: jobs at work are stopped, their `after_script` runs.
    pub fn cancel(&self) {
        self.desk.cancel();
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
