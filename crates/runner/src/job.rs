//! One job from the server's answer to the server's receipt: makes the place, the variables and the
//! log, has the work done, says how it ended.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::Secret;
use runner_api::{FailureReason, JobResponse, JobState, UpdateRequest, Variable};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::config::{RunnerConfig, private_folder};
use crate::leftovers::Leftovers;
use crate::log::JobLog;
use crate::mask::Masker;
use crate::register::{architecture, version_info};
use crate::sources;
use crate::tree::Trees;
use crate::upload::{Order, Report, Upload, chain};
use crate::variables::Variables;
use crate::work::{Cause, Limits, Place, Work, WorkError, green};

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

/// Where the job works, and its variables.
struct Surroundings {
    place: Place,
    variables: Variables,
    /// What is wrong with the place that the job asks for.
    problem: Option<String>,
}

/// The runner's own variables come last, and count.
fn surroundings(workshop: &Workshop, assignment: &Assignment) -> Surroundings {
    let (config, job) = (&workshop.config, &assignment.job);
    let builds = config.directory.join("builds");
    let usual = builds
        .join(config.short_token())
        .join(assignment.slot.to_string())
        .join(project_folder(job));
    let mut all = job.variables.clone();
    all.extend(runner_variables(workshop, assignment, &builds));
    let expand = |place: &Place| {
        let mut all = all.clone();
        all.push(public(
            "CI_PROJECT_DIR",
            &place.project.display().to_string(),
        ));
        Variables::expand(&all, &place.temporary, &workshop.base)
    };
    let place = Place::new(usual);
    let variables = expand(&place);
    match variables.get("GIT_CLONE_PATH") {
        None | Some("") => Surroundings {
            place,
            variables,
            problem: None,
        },
        Some(wanted) => match within(&builds, Path::new(wanted)) {
            Some(project) => {
                let place = Place::new(project);
                Surroundings {
                    variables: expand(&place),
                    place,
                    problem: None,
                }
            }
            None => Surroundings {
                problem: Some(format!(
                    "GIT_CLONE_PATH is `{wanted}`, which is not within $CI_BUILDS_DIR"
                )),
                place,
                variables,
            },
        },
    }
}

fn runner_variables(workshop: &Workshop, assignment: &Assignment, builds: &Path) -> Vec<Variable> {
    let slot = assignment.slot.to_string();
    let mut variables: Vec<Variable> = [
        ("CI_BUILDS_DIR", builds.display().to_string().as_str()),
        ("CI_SERVER", "yes"),
        ("CI_CONCURRENT_ID", &slot),
        ("CI_CONCURRENT_PROJECT_ID", &slot),
        ("CI_SHARED_ENVIRONMENT", "true"),
        ("CI_RUNNER_SHORT_TOKEN", workshop.config.short_token()),
        ("CI_RUNNER_VERSION", env!("CARGO_PKG_VERSION")),
        (
            "CI_RUNNER_EXECUTABLE_ARCH",
            &format!("linux/{}", architecture()),
        ),
        ("CI_JOB_STATUS", "running"),
    ]
    .into_iter()
    .map(|(name, value)| public(name, value))
    .collect();
    let token = assignment.job.token.clone();
    let named = |variable: &Variable| variable.key == "CI_JOB_TOKEN";
    if !assignment.job.variables.iter().any(named) {
        variables.push(Variable {
            key: "CI_JOB_TOKEN".to_owned(),
            value: token,
            masked: true,
            raw: true,
            ..Variable::default()
        });
    }
    variables
}

fn public(key: &str, value: &str) -> Variable {
    Variable {
        key: key.to_owned(),
        value: Secret::new(value),
        public: true,
        raw: true,
        ..Variable::default()
    }
}

/// `group/name`, as far as it is fit for a path.
fn project_folder(job: &JobResponse) -> PathBuf {
    let path = project_path(job);
    let safe = within(Path::new("/"), &Path::new("/").join(path));
    match safe.as_deref().and_then(|safe| safe.strip_prefix("/").ok()) {
        Some(safe) if !safe.as_os_str().is_empty() => safe.to_owned(),
        _ => PathBuf::from(format!("project-{}", job.job_info.project_id)),
    }
}

fn project_path(job: &JobResponse) -> &str {
    let given = job.job_info.project_full_path.as_str();
    let variable = || {
        let mut variables = job.variables.iter().rev();
        variables.find(|variable| variable.key == "CI_PROJECT_PATH")
    };
    match (given, variable()) {
        ("", Some(variable)) => variable.value.expose(),
        ("", None) => &job.job_info.project_name,
        (given, _) => given,
    }
}

/// The path, when it lies below `folder` and goes there without detours.
fn within(folder: &Path, path: &Path) -> Option<PathBuf> {
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    let rest = path.strip_prefix(folder).ok()?;
    let below = rest.components().next().is_some() && rest.components().all(plain);
    below.then(|| path.to_owned())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_stays_in_its_folder() {
        for (path, folder) in [
            ("group/name", "group/name"),
            ("a/b/c", "a/b/c"),
            ("../../etc", "project-7"),
            ("a/../../b", "project-7"),
            ("/etc", "etc"),
            ("", "project-7"),
        ] {
            let mut job = JobResponse::default();
            job.job_info.project_id = 7;
            job.job_info.project_full_path = path.to_owned();
            assert_eq!(project_folder(&job), Path::new(folder), "{path}");
        }
    }

    #[test]
    fn within_is_below_and_without_detours() {
        let builds = Path::new("/srv/builds");
        assert!(within(builds, Path::new("/srv/builds/a")).is_some());
        for path in [
            "/srv/builds",
            "/srv/builds/../x",
            "/etc",
            "a",
            "/srv/builds2/a",
        ] {
            assert!(within(builds, Path::new(path)).is_none(), "{path}");
        }
    }
}
