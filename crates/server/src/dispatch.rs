//! Gives pending jobs to runners that ask.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use model::{RunnerId, Secret};
use runner_api::JobResponse;

use crate::App;
use crate::auth::JOB_TOKEN_PREFIX;
use crate::engine::{EngineError, Outcome};
use crate::http::ApiError;
use crate::payload;
use crate::store::{Assignment, JobRow, RunnerRow, Store, StoreError};

/// How often a runner's contact is written down.
const CONTACT_EVERY: Duration = Duration::from_secs(30);

const REGISTRATION_SETTING: &str = "runner_registration_token";

/// What is known of runners beyond the store.
#[derive(Default)]
pub(crate) struct Runners {
    contacts: Mutex<HashMap<RunnerId, Instant>>,
}

/// A runner's question for work.
pub(crate) struct Asked {
    pub runner: RunnerRow,
}

impl Runners {
    /// Whether the runner's contact is to be written down again.
    pub(crate) fn is_news(&self, runner: RunnerId) -> bool {
        let mut contacts = self.contacts.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match contacts.get(&runner) {
            Some(last) if now.duration_since(*last) < CONTACT_EVERY => false,
            _ => {
                contacts.insert(runner, now);
                true
            }
        }
    }

    /// The token that registers runners, made at the first question.
    pub(crate) async fn registration_token(&self, store: &Store) -> Result<Secret, StoreError> {
        match store.setting(REGISTRATION_SETTING).await? {
            Some(token) => Ok(token.into()),
            None => self.reset_registration_token(store).await,
        }
    }

    /// A new token that registers runners; the old one opens nothing any more.
    pub(crate) async fn reset_registration_token(
        &self,
        store: &Store,
    ) -> Result<Secret, StoreError> {
        let token = Secret::random(crate::http::REGISTRATION_PREFIX);
        store
            .set_setting(REGISTRATION_SETTING, token.expose())
            .await?;
        Ok(token)
    }
}

impl App {
    /// The oldest pending job that the runner may take; it is the runner's from then on.
    pub(crate) async fn take_job(&self, asked: &Asked) -> Result<Option<JobResponse>, ApiError> {
        if asked.runner.paused {
            return Ok(None);
        }
        for (id, tags) in self.store.queue().await? {
            if !asked.runner.fits(&tags) {
                continue;
            }
            let Some(job) = self.store.job(id).await? else {
                continue;
            };
            if self.fail_without_artifacts(&job).await? {
                continue;
            }
            let token = Secret::random(JOB_TOKEN_PREFIX);
            let assignment = Assignment {
                runner: asked.runner.id,
                token: token.clone(),
            };
            match self.engine.start(&job, assignment).await {
                Ok(()) => return payload::build(self, job.id, asked, token).await.map(Some),
                // another runner was quicker, or the job was cancelled
                Err(EngineError::Refused(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    /// Fails a job that would get artifacts which are gone: it must not go on as if they had never been
    /// (GitLab, `missing_dependency_failure`).
    async fn fail_without_artifacts(&self, job: &JobRow) -> Result<bool, ApiError> {
        let lost = self.store.jobs_with_lost_artifacts(job.pipeline).await?;
        if lost.is_empty() {
            return Ok(false);
        }
        let Some(pipeline) = self.store.pipeline(job.pipeline).await? else {
            return Ok(false);
        };
        let givers = payload::givers(&pipeline, job.node)?;
        let Some(giver) = lost.iter().find(|lost| givers.contains(&lost.node)) else {
            return Ok(false);
        };
        let text = format!(
            "ERROR: what {name} (job {id}) has left behind is gone: its time was over, or somebody removed it\n\
             hint: retry {name}, then this job",
            name = giver.name,
            id = giver.id
        );
        if self.traces.size(job.id).await? == 0 {
            self.traces.append_line(job.id, &text).await?;
        }
        let outcome = Outcome::Failed {
            reason: "missing_dependency_failure",
            exit_code: None,
        };
        match self.engine.finish(job, outcome).await {
            Ok(_) | Err(EngineError::Refused(_)) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}

/// Why none of these runners takes a pending job with these tags; nothing when one may.
pub(crate) fn why_pending(runners: &[RunnerRow], tags: &[String]) -> Option<String> {
    let fitting: Vec<_> = runners.iter().filter(|runner| runner.fits(tags)).collect();
    let wanted = if tags.is_empty() {
        "takes jobs without tags".to_owned()
    } else {
        format!(
            "has the tag{} {}",
            if tags.len() > 1 { "s" } else { "" },
            tags.join(", ")
        )
    };
    if fitting.is_empty() {
        Some(format!(
            "no runner {wanted}: it starts as soon as one registers (`lotse runner register --help`)"
        ))
    } else if fitting.iter().all(|runner| runner.paused) {
        Some(format!("every runner that {wanted} is paused"))
    } else if !fitting.iter().any(|runner| is_online(runner)) {
        Some(format!(
            "no runner that {wanted} has been heard of for two minutes: is `lotse runner run` running?"
        ))
    } else {
        None
    }
}

/// Heard of within two minutes: more than one long poll and the time between two notes of it.
pub(crate) fn is_online(runner: &RunnerRow) -> bool {
    let recently = crate::store::now() - 120_000;
    runner.contacted_at.is_some_and(|at| at > recently)
}
