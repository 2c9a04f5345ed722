//! Where jobs are asked for: one request after the other, held by the server as long as it likes;
//! patient with a server that is away, and with one that says no.

use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use runner_api::{JobRequest, JobResponse};
use tokio::time::{Instant, sleep};

use crate::backoff::Backoff;
use crate::client::{ClientError, Work};
use crate::job::Workshop;
use crate::register::version_info;
use crate::upload::chain;

/// A server that answers "no job" sooner than this does not hold requests.
const HELD: Duration = Duration::from_secs(1);
/// How often such a server is asked.
const ASK_PAUSE: Duration = Duration::from_secs(3);
const REFUSALS: u32 = 3;
const REFUSED_PAUSE: Duration = Duration::from_secs(60 * 60);

/// Where jobs are asked for.
pub(crate) struct Desk {
    workshop: Arc<Workshop>,
    last_update: String,
    backoff: Backoff,
    refusals: u32,
    away: bool,
    asked_again: bool,
}

impl Desk {
    pub(crate) fn new(workshop: &Arc<Workshop>) -> Self {
        Self {
            workshop: Arc::clone(workshop),
            last_update: String::new(),
            backoff: Backoff::new(),
            refusals: 0,
            away: false,
            asked_again: false,
        }
    }

    /// Asks until there is a job.
    pub(crate) async fn next_job(&mut self) -> JobResponse {
        loop {
            let begin = Instant::now();
            match self.workshop.client.request_job(&self.request()).await {
                Ok(work) => {
                    self.is_back();
                    if let Some(job) = self.answered(work, begin).await {
                        return job;
                    }
                }
                Err(error) => self.failed(&error).await,
            }
        }
    }

    fn request(&self) -> JobRequest {
        let config = &self.workshop.config;
        JobRequest {
            info: version_info(),
            token: config.token.clone(),
            system_id: config.system_id.clone(),
            last_update: self.last_update.clone(),
        }
    }

    /// A server that does not hold requests is asked every few seconds; one that says that its
    /// queue has changed, at once.
    async fn answered(&mut self, work: Work, begin: Instant) -> Option<JobResponse> {
        let cursor = work.last_update.unwrap_or_default();
        let news = cursor != self.last_update;
        self.last_update = cursor;
        if let Some(job) = work.job {
            self.asked_again = false;
            return Some(*job);
        }
        if begin.elapsed() < HELD && (!news || self.asked_again) {
            sleep(ASK_PAUSE).await;
            self.asked_again = false;
        } else {
            self.asked_again = true;
        }
        None
    }

    fn is_back(&mut self) {
        if std::mem::take(&mut self.away) {
            tracing::info!(runner = self.workshop.config.name, "the server is back");
        }
        self.refusals = 0;
        self.backoff = Backoff::new();
    }

    async fn failed(&mut self, error: &ClientError) {
        let runner = self.workshop.config.name.as_str();
        if error.status() == Some(StatusCode::FORBIDDEN) {
            self.refusals += 1;
            if self.refusals >= REFUSALS {
                self.refusals = 0;
                tracing::error!(
                    runner,
                    error = %chain(error),
                    minutes = REFUSED_PAUSE.as_secs() / 60,
                    "the server refused the runner's token {REFUSALS} times: pausing; \
                     `lotse runner verify` checks it, `lotse runner register` makes a new one"
                );
                sleep(REFUSED_PAUSE).await;
                return;
            }
        }
        if !std::mem::replace(&mut self.away, true) {
            tracing::warn!(runner, error = %chain(error), "cannot ask for jobs; trying on");
        }
        match error.retry_after() {
            Some(pause) => sleep(pause.min(Duration::from_secs(60))).await,
            None => sleep(self.backoff.next()).await,
        }
    }
}
