//! Wires events to deciders and hands: a push to the compiler, its graph to the pipeline's state,
//! what is pending to a runner, what the runner reports back to the state, and all of it to whoever
//! looks.
//!
//! Nothing is decided here that `ci` or `pipeline` could decide; `store` is the only place that knows
//! SQL, `http` and `web` the only ones that know HTTP.

mod artifacts;
mod auth;
mod config;
mod dispatch;
mod dotenv;
mod downstream;
mod engine;
mod http;
mod includes;
mod layers;
mod live;
pub mod local;
mod not_yet;
mod parcels;
mod payload;
mod predefined;
mod push;
pub mod remote;
mod serve;
mod store;
mod supersede;
mod traces;
mod watch;
mod web;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use git::Repositories;
use model::{PipelineId, ProjectId};

pub use config::{Config, Elsewhere};
pub use serve::{ServeError, Server};

use artifacts::Artifacts;
use config::Addresses;
use dispatch::Runners;
use engine::Engine;
use live::{Live, Queue};
use store::{JobRow, Project, Store, StoreError};
use traces::Traces;

/// What every handler needs, passed to it by the router.
pub(crate) struct App {
    addresses: Addresses,
    store: Store,
    repositories: Repositories,
    traces: Traces,
    artifacts: Artifacts,
    images: registry::Registry,
    engine: Engine,
    queue: Arc<Queue>,
    live: Arc<Live>,
    runners: Runners,
    elsewhere: Elsewhere,
    /// Held while a project's push is taken in.
    turns: Mutex<HashMap<ProjectId, Arc<tokio::sync::Mutex<()>>>>,
}

impl App {
    /// One push of a project at a time.
    fn turn(&self, project: ProjectId) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry(project).or_default())
    }

    /// The address of a pipeline's page.
    fn pipeline_page(&self, project: &Project, id: PipelineId) -> String {
        self.addresses
            .page(&format!("{}/-/pipelines/{id}", project.path))
    }

    /// Notes a job's sign of life, but not each of many in a row.
    async fn touch(&self, job: &JobRow) -> Result<(), StoreError> {
        let recently = store::now() - watch::TOUCH_EVERY_MS;
        if job.contacted_at.is_none_or(|at| at < recently) {
            self.store.touch_job(job.id).await?;
        }
        Ok(())
    }
}
