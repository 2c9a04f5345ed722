//! Brings a job's log and state to the server, however often that is away, and hears from it
//! whether the job is still wanted.

use std::sync::Arc;
use std::time::Duration;

use model::Secret;
use runner_api::{FailureReason, JobState, JobStatus, TraceOutput, UpdateRequest, trace_checksum};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use crate::backoff::Backoff;
use crate::client::{Client, ClientError, JobKey, Patched, Remarks, Updated};
use crate::log::JobLog;
use crate::register::version_info;

/// While there is output, parts of the log follow each other at this distance.
const PART_PAUSE: Duration = Duration::from_millis(100);
const PART_SIZE: usize = 512 * 1024;
/// The longest silence, until the server says another.
const SILENCE: Duration = Duration::from_secs(2);
const LONGEST_SILENCE: Duration = Duration::from_secs(60);
/// How often a damaged log is sent anew before the job's state goes without a checksum.
const RESENDS: u32 = 3;
/// How often an answer that will not get better is asked for again.
const HOPELESS_TRIES: u32 = 5;

/// What the server wants of a job at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Order {
    /// Go on.
    GoOn,
    /// Stop the script, run after_script.
    Cancel,
    /// Stop everything.
    Abort,
}

/// How a job ended, as the server is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) state: JobState,
    pub(crate) failure_reason: Option<FailureReason>,
    pub(crate) exit_code: Option<i32>,
}

/// The way of one job's log to the server.
#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) client: Client,
    pub(crate) job: i64,
    pub(crate) token: Secret,
    pub(crate) log: Arc<JobLog>,
    pub(crate) orders: watch::Sender<Order>,
}

/// The server does not know the job any more.
struct Gone;

impl Upload {
    /// Sends the log while it grows, until it is closed and the server has all of it; then, with
    /// what `report` gives, the job's state. Returns when the server has it, or does not want it.
    pub(crate) async fn run(self, report: impl Future<Output = Report>) {
        let mut way = Way {
            upload: &self,
            sent: 0,
            silence: SILENCE,
            last_contact: Instant::now(),
        };
        if way.stream().await.is_err() {
            tracing::warn!(job = self.job, "the server does not know the job any more");
            self.orders.send_replace(Order::Abort);
            return;
        }
        let report = report.await;
        let _ = way.report(report).await;
    }

    fn key(&self) -> JobKey<'_> {
        JobKey {
            id: self.job,
            token: &self.token,
        }
    }

    fn hear(&self, status: Option<JobStatus>) {
        let order = match status {
            Some(JobStatus::Canceling) => Order::Cancel,
            Some(JobStatus::Canceled | JobStatus::Failed) => Order::Abort,
            _ => return,
        };
        self.orders.send_if_modified(|known| {
            let news = order > *known;
            *known = (*known).max(order);
            news
        });
    }
}

struct Way<'a> {
    upload: &'a Upload,
    /// How much of the log the server has.
    sent: u64,
    silence: Duration,
    last_contact: Instant,
}

impl Way<'_> {
    async fn stream(&mut self) -> Result<(), Gone> {
        let log = &self.upload.log;
        loop {
            let extent = log.extent();
            if self.sent < extent.size {
                let begin = Instant::now();
                self.send_part().await?;
                tokio::select! {
                    () = log.closed() => {}
                    () = sleep_until(begin + PART_PAUSE) => {}
                }
            } else if extent.closed {
                return Ok(());
            } else {
                tokio::select! {
                    () = log.beyond(self.sent) => {}
                    () = sleep_until(self.last_contact + self.silence) => self.sign_of_life().await?,
                }
            }
        }
    }

    async fn send_part(&mut self) -> Result<(), Gone> {
        let mut patience = Patience::new(self.upload);
        loop {
            let part = match self.upload.log.read(self.sent, PART_SIZE) {
                Ok(part) => part,
                Err(error) => {
                    tracing::error!(job = self.upload.job, %error, "cannot read the job's log");
                    return Err(Gone);
                }
            };
            let (start, end) = (self.sent, self.sent + part.len() as u64);
            let answer = self
                .upload
                .client
                .patch_trace(self.upload.key(), start, part);
            match answer.await {
                Ok(Patched::Taken(remarks)) => {
                    self.sent = remarks.received.unwrap_or(end).min(end);
                    self.heard(&remarks);
                    return Ok(());
                }
                Ok(Patched::Elsewhere(remarks)) => {
                    let size = self.upload.log.extent().size;
                    self.sent = remarks.received.unwrap_or(0).min(size);
                    self.heard(&remarks);
                    if self.sent != start {
                        return Ok(());
                    }
                    patience.wait().await?;
                }
                Ok(Patched::Gone) => return Err(Gone),
                Err(error) => patience.after(&error).await?,
            }
        }
    }

    async fn sign_of_life(&mut self) -> Result<(), Gone> {
        let request = self.request(JobState::Running);
        let answer = self.upload.client.update_job(self.upload.job, &request);
        match answer.await {
            Ok(Updated::Taken(remarks) | Updated::Later(remarks)) => self.heard(&remarks),
            Ok(Updated::TraceDamaged) => self.last_contact = Instant::now(),
            Ok(Updated::Gone) => return Err(Gone),
            Err(error) => {
                tracing::debug!(job = self.upload.job, error = %chain(&error), "no sign of life");
                self.last_contact = Instant::now();
            }
        }
        Ok(())
    }

    async fn report(&mut self, report: Report) -> Result<(), Gone> {
        let mut patience = Patience::new(self.upload);
        let mut resends = 0;
        loop {
            let request = UpdateRequest {
                failure_reason: report.failure_reason,
                exit_code: report.exit_code,
                output: (resends <= RESENDS).then(|| self.output()),
                ..self.request(report.state)
            };
            let answer = self.upload.client.update_job(self.upload.job, &request);
            match answer.await {
                Ok(Updated::Taken(_)) => return Ok(()),
                Ok(Updated::Gone) => return Err(Gone),
                Ok(Updated::Later(_)) => patience.wait().await?,
                Ok(Updated::TraceDamaged) => {
                    resends += 1;
                    tracing::warn!(job = self.upload.job, resends, "the log is sent anew");
                    self.sent = 0;
                    self.stream().await?;
                }
                Err(error) => patience.after(&error).await?,
            }
        }
    }

    fn heard(&mut self, remarks: &Remarks) {
        self.last_contact = Instant::now();
        if let Some(interval) = remarks.interval {
            self.silence = interval.clamp(Duration::from_secs(1), LONGEST_SILENCE);
        }
        self.upload.hear(remarks.status);
    }

    fn request(&self, state: JobState) -> UpdateRequest {
        UpdateRequest {
            token: self.upload.token.clone(),
            info: version_info(),
            state,
            failure_reason: None,
            exit_code: None,
            checksum: None,
            output: None,
        }
    }

    fn output(&self) -> TraceOutput {
        TraceOutput {
            checksum: trace_checksum(self.upload.log.checksum()),
            bytesize: self.upload.log.extent().size,
        }
    }
}

/// Waits between tries: for ever while the server is away, not for ever when it is there and
/// refuses.
struct Patience<'a> {
    upload: &'a Upload,
    backoff: Backoff,
    hopeless: u32,
    said: bool,
}

impl<'a> Patience<'a> {
    fn new(upload: &'a Upload) -> Self {
        Self {
            upload,
            backoff: Backoff::new(),
            hopeless: 0,
            said: false,
        }
    }

    async fn wait(&mut self) -> Result<(), Gone> {
        sleep(self.backoff.next()).await;
        Ok(())
    }

    async fn after(&mut self, error: &ClientError) -> Result<(), Gone> {
        let job = self.upload.job;
        if !self.said {
            tracing::warn!(job, error = %chain(error), "trying again");
            self.said = true;
        }
        if !error.may_pass() {
            self.hopeless += 1;
        }
        if self.hopeless > HOPELESS_TRIES {
            tracing::error!(job, error = %chain(error), "giving the job up");
            return Err(Gone);
        }
        match error.retry_after() {
            Some(pause) => sleep(pause.min(LONGEST_SILENCE)).await,
            None => sleep(self.backoff.next()).await,
        }
        Ok(())
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
