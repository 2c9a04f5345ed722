//! One job from the server's answer to the server's receipt: makes the place, the variables and the
//! log, has the work done, says how it ended.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use runner_api::{FailureReason, JobResponse, JobState, UpdateRequest};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::config::{RunnerConfig, private_folder};
use crate::leftovers::Leftovers;
use crate::limits::{Cause, Limits};
use crate::log::JobLog;
use crate::mask::Masker;
use crate::register::version_info;
use crate::sources;
use crate::surroundings::{Surroundings, project_path, surroundings};
use crate::tree::Trees;
use crate::upload::{Order, Report, Upload, chain};
use crate::variables::Variables;
use crate::work::{Work, WorkError, green};

/// When the server sets no limit.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60 * 60);
const RED: &str = "\u{1b}[31;1m";
const RESET: &str = "\u{1b}[0;m";

/// What all jobs of one runner share.
#[derive(Debug)]
pub(crate) struct Workshop {
    pub(crate) config: RunnerConfig,
    pub(crate) client: Client,
    pub(crate) shell: PathBuf,
    /// What every job's processes get before its variables.
    pub(crate) base: BTreeMap<String, String>,
    pub(crate) leftovers: Arc<Leftovers>,
    pub(crate) trees: Trees,
    pub(crate) shutdown: CancellationToken,
    /// Locked: no other process works with this registration.
    #[expect(dead_code, reason = "held, not read")]
    pub(crate) lock: File,
}

/// A job and the slot that it got.
#[derive(Debug)]
pub(crate) struct Assignment {
    pub(crate) job: JobResponse,
    /// From 0; no two jobs at work have the same.
    pub(crate) slot: u32,
}

/// Works on a job until its scripts have ended. What is returned brings the rest of the log and the
/// job's state to the server; the slot is free before that has ended.
pub(crate) async fn execute(
    workshop: &Arc<Workshop>,
    assignment: Assignment,
) -> Option<JoinHandle<()>> {
    let id = assignment.job.id;
    let session = match Session::open(workshop, &assignment) {
        Ok(session) => session,
        Err(reason) => {
            report_without_log(workshop, &assignment.job, &reason).await;
            return None;
        }
    };
    tracing::info!(
        job = id,
        project = project_path(&assignment.job),
        "job started"
    );
    workshop.leftovers.job_begins();
    let begin = Instant::now();
    let result = session.work(workshop, &assignment).await;
    workshop.leftovers.job_ended(&session.mark).await;
    tracing::info!(
        job = id,
        seconds = begin.elapsed().as_secs_f32(),
        ?result,
        "job ended"
    );
    Some(session.close(result))
}

/// A job that is being worked on: its log, and the task that brings it to the server.
struct Session {
    surroundings: Surroundings,
    log: Arc<JobLog>,
    mark: String,
    orders: watch::Receiver<Order>,
    report: oneshot::Sender<Report>,
    upload: JoinHandle<()>,
}

impl Session {
    fn open(workshop: &Arc<Workshop>, assignment: &Assignment) -> Result<Self, String> {
        let job = &assignment.job;
        let surroundings = surroundings(workshop, assignment);
        let spool = workshop.config.directory.join("log");
        let limit = workshop.config.output_limit_kib.saturating_mul(1024);
        let masker = masker(workshop, job, &surroundings.variables);
        let log = private_folder(&spool)
            .and_then(|()| JobLog::new(masker, limit, &spool))
            .map_err(|error| format!("cannot keep a log in {}: {error}", spool.display()))?;
        let log = Arc::new(log);
        greet(workshop, job, &log);
        let (orders, heard) = watch::channel(Order::GoOn);
        let (report, reported) = oneshot::channel();
        let upload = Upload {
            client: workshop.client.clone(),
            job: job.id,
            token: job.token.clone(),
            log: Arc::clone(&log),
            orders,
        };
        let upload = tokio::spawn(upload.run(async {
            reported.await.unwrap_or(Report {
                state: JobState::Failed,
                failure_reason: Some(FailureReason::RunnerSystemFailure),
                exit_code: None,
            })
        }));
        Ok(Self {
            surroundings,
            log,
            mark: format!(
                "{}:{}:{}",
                workshop.config.system_id, job.id, assignment.slot
            ),
            orders: heard,
            report,
            upload,
        })
    }

    async fn work(&self, workshop: &Workshop, assignment: &Assignment) -> Result<(), WorkError> {
        if let Some(problem) = &self.surroundings.problem {
            return Err(WorkError::Configuration(problem.clone()));
        }
        let timeout = assignment.job.runner_info.timeout;
        let longest = Duration::from_secs(timeout.min(u64::from(u32::MAX)));
        let mut work = Work {
            job: &assignment.job,
            place: &self.surroundings.place,
            variables: self.surroundings.variables.clone(),
            base: &workshop.base,
            mark: &self.mark,
            shell: &workshop.shell,
            log: &self.log,
            trees: &workshop.trees,
            client: &workshop.client,
            limits: Limits {
                orders: self.orders.clone(),
                shutdown: workshop.shutdown.clone(),
                heed: Order::Cancel,
                begin: Instant::now(),
                longest: if timeout == 0 {
                    DEFAULT_TIMEOUT
                } else {
                    longest
                },
            },
        };
        let result = work.all().await;
        match self.log.take_error() {
            Some(error) => Err(WorkError::System(format!(
                "cannot keep the job's log: {error}"
            ))),
            None => result,
        }
    }

    fn close(self, result: Result<(), WorkError>) -> JoinHandle<()> {
        self.log.line(&verdict(&result));
        self.log.close();
        // The receiver ends early when the server does not know the job any more.
        let _ = self.report.send(report(&result));
        self.upload
    }
}

fn greet(workshop: &Workshop, job: &JobResponse, log: &JobLog) {
    log.line(&format!(
        "Running with lotse-runner {} on {} {}, job {} in a shell",
        env!("CARGO_PKG_VERSION"),
        workshop.config.name,
        workshop.config.short_token(),
        job.id,
    ));
}

/// The last line of a log.
fn verdict(result: &Result<(), WorkError>) -> String {
    match result {
        Ok(()) => green("Job succeeded"),
        Err(error @ (WorkError::System(_) | WorkError::Stopped(Cause::Shutdown))) => {
            format!("{RED}ERROR: Job failed (system failure): {error}{RESET}")
        }
        Err(error) => format!("{RED}ERROR: Job failed: {error}{RESET}"),
    }
}

fn report(result: &Result<(), WorkError>) -> Report {
    let failed = |reason| Report {
        state: JobState::Failed,
        failure_reason: reason,
        exit_code: None,
    };
    match result {
        Ok(()) => Report {
            state: JobState::Success,
            failure_reason: None,
            exit_code: Some(0),
        },
        Err(WorkError::Script(code)) => Report {
            exit_code: Some(*code),
            ..failed(Some(FailureReason::ScriptFailure))
        },
        Err(WorkError::Stopped(Cause::Canceled | Cause::Aborted)) => failed(None),
        Err(WorkError::Stopped(Cause::TimedOut(_))) => {
            failed(Some(FailureReason::JobExecutionTimeout))
        }
        // GitLab files a wrong setting of the job under the script's failures.
        Err(WorkError::Configuration(_)) => failed(Some(FailureReason::ScriptFailure)),
        Err(WorkError::Stopped(Cause::Shutdown) | WorkError::System(_)) => {
            failed(Some(FailureReason::RunnerSystemFailure))
        }
    }
}

/// There is no place even for a log: the server hears at least that the job will not be done.
async fn report_without_log(workshop: &Workshop, job: &JobResponse, reason: &str) {
    tracing::error!(job = job.id, reason, "cannot begin the job");
    let request = UpdateRequest {
        token: job.token.clone(),
        info: version_info(),
        state: JobState::Failed,
        failure_reason: Some(FailureReason::RunnerSystemFailure),
        exit_code: None,
        checksum: None,
        output: None,
    };
    if let Err(error) = workshop.client.update_job(job.id, &request).await {
        tracing::error!(job = job.id, error = %chain(&error), "the server does not know of it");
    }
}

/// Hides masked variables and everything that the job or the runner proves itself with.
fn masker(workshop: &Workshop, job: &JobResponse, variables: &Variables) -> Masker {
    let sources = sources::secrets(&job.git_info);
    let logins = job.credentials.iter().map(|login| login.password.expose());
    let tokens = [job.token.expose(), workshop.config.token.expose()];
    Masker::new(
        variables
            .secrets()
            .chain(logins)
            .chain(tokens)
            .chain(sources.iter().map(String::as_str)),
    )
}
