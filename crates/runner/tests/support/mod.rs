//! A server that speaks the runner protocol and can be told to misbehave, a project to check out,
//! and a runner at work on it.

#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Multipart, Path as UrlPath, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post, put};
use runner::{Config, Registration, Runner, RunnerConfig, Shutdown};
use runner_api::{
    ByteRange, JobRequest, JobResponse, JobState, Step, StepName, UpdateRequest, Variable, When,
    name,
};
use tokio::sync::Notify;

/// Everything is waited for at most this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The server.
pub(crate) struct Server {
    pub(crate) url: String,
    port: u16,
    shared: Arc<Shared>,
    runtime: Option<tokio::runtime::Runtime>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<Known>,
    changed: Notify,
}

/// What the server knows, and how it shall behave.
#[derive(Default)]
pub(crate) struct Known {
    pub(crate) queue: VecDeque<JobResponse>,
    pub(crate) jobs: HashMap<i64, Seen>,
    pub(crate) requests: Vec<JobRequest>,
    /// Answers to the next requests for a job, before any job is given.
    pub(crate) request_answers: VecDeque<StatusCode>,
    /// Answers to the next parts of a log, whatever they bring.
    pub(crate) patch_faults: VecDeque<PatchFault>,
    /// Answers to the next final states.
    pub(crate) put_faults: VecDeque<StatusCode>,
    /// The `Job-Status` of every answer.
    pub(crate) status: Option<&'static str>,
    /// Requests for a job are answered at once.
    pub(crate) impatient: bool,
    pub(crate) refuse_tokens: bool,
    /// Archives by job.
    pub(crate) artifacts: HashMap<i64, Vec<Archive>>,
    /// Answers to the next archives.
    pub(crate) artifact_faults: VecDeque<StatusCode>,
    /// What is served under `/git`: a repository, by git's plainest protocol.
    pub(crate) git: Option<Protected>,
    /// Requests under `/git`, and whether each proved itself.
    pub(crate) git_requests: Vec<(String, bool)>,
}

/// An archive that the server was given.
pub(crate) struct Archive {
    pub(crate) query: String,
    pub(crate) name: String,
    pub(crate) content: Vec<u8>,
}

/// A repository behind a login.
pub(crate) struct Protected {
    pub(crate) folder: PathBuf,
    /// The header that opens it.
    pub(crate) authorization: String,
}

/// What the server does with a part of a log.
#[derive(Clone, Copy)]
pub(crate) enum PatchFault {
    /// Answers this, and takes nothing.
    Status(StatusCode),
    /// Loses all but the first bytes of the log, and says so with 416.
    Forget(usize),
    /// Takes only so many bytes of the part, and says so with 202.
    TakeOnly(usize),
}

/// What the server has seen of a job.
#[derive(Default, Clone)]
pub(crate) struct Seen {
    pub(crate) log: Vec<u8>,
    pub(crate) parts: Vec<(Instant, u64)>,
    pub(crate) signs_of_life: usize,
    pub(crate) updates: Vec<UpdateSeen>,
    /// The state, when the server has accepted it.
    pub(crate) end: Option<UpdateSeen>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct UpdateSeen {
    pub(crate) state: JobState,
    pub(crate) failure_reason: Option<String>,
    pub(crate) exit_code: Option<i32>,
    pub(crate) checksum: Option<String>,
    pub(crate) bytesize: Option<u64>,
}

impl Seen {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.log).into_owned()
    }
}

impl Server {
    pub(crate) fn start() -> Self {
        let mut server = Self {
            url: String::new(),
            port: 0,
            shared: Arc::default(),
            runtime: None,
        };
        server.up();
        server.url = format!("http://127.0.0.1:{}", server.port);
        server
    }

    /// Starts (again), at the same port.
    pub(crate) fn up(&mut self) {
        let listener = std::net::TcpListener::bind(("127.0.0.1", self.port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        self.port = listener.local_addr().unwrap().port();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let app = Router::new()
            .route("/api/v4/runners", post(register).delete(unregister))
            .route("/api/v4/runners/verify", post(verify))
            .route("/api/v4/jobs/request", post(request_job))
            .route("/api/v4/jobs/{id}/trace", patch(take_part))
            .route("/api/v4/jobs/{id}", put(take_state))
            .route(
                "/api/v4/jobs/{id}/artifacts",
                post(take_artifacts).get(give_artifacts),
            )
            .route("/git/{*path}", get(git_file))
            .with_state(Arc::clone(&self.shared));
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, app).await.unwrap();
        });
        self.runtime = Some(runtime);
    }

    /// Ends at once, with all its connections.
    pub(crate) fn down(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            let ending = move || runtime.shutdown_timeout(Duration::from_secs(5));
            std::thread::spawn(ending).join().unwrap();
        }
    }

    pub(crate) fn known(&self) -> MutexGuard<'_, Known> {
        self.shared.state.lock().unwrap()
    }

    pub(crate) fn give(&self, job: JobResponse) {
        self.known().queue.push_back(job);
        self.shared.changed.notify_waiters();
    }

    pub(crate) fn requests(&self) -> usize {
        self.known().requests.len()
    }

    pub(crate) fn seen(&self, id: i64) -> Seen {
        self.known().jobs.get(&id).cloned().unwrap_or_default()
    }

    /// Waits until `condition` holds of what has been seen of a job.
    pub(crate) async fn until(
        &self,
        id: i64,
        what: &str,
        condition: impl Fn(&Seen) -> bool,
    ) -> Seen {
        let wait = async {
            loop {
                let changed = self.shared.changed.notified();
                let mut changed = std::pin::pin!(changed);
                changed.as_mut().enable();
                let seen = self.seen(id);
                if condition(&seen) {
                    return seen;
                }
                changed.await;
            }
        };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(seen) => seen,
            Err(_) => panic!("never {what}; the log is:\n{}", self.seen(id).text()),
        }
    }

    pub(crate) async fn ended(&self, id: i64) -> Seen {
        self.until(id, "ended", |seen| seen.end.is_some()).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

type Shop = State<Arc<Shared>>;

async fn register(State(shared): Shop, body: Bytes) -> Response {
    let request: runner_api::RegisterRequest = serde_json::from_slice(&body).unwrap();
    if shared.state.lock().unwrap().refuse_tokens {
        let body = r#"{"message":"403 Forbidden - invalid token supplied"}"#;
        return (StatusCode::FORBIDDEN, body).into_response();
    }
    let token = format!("given-for-{}", request.tag_list.0.join("+"));
    let body = format!(r#"{{"id":5,"token":"{token}","token_expires_at":null}}"#);
    (StatusCode::CREATED, body).into_response()
}

async fn verify(State(shared): Shop, body: Bytes) -> Response {
    let request: runner_api::VerifyRequest = serde_json::from_slice(&body).unwrap();
    assert!(!request.system_id.is_empty());
    if shared.state.lock().unwrap().refuse_tokens {
        return StatusCode::FORBIDDEN.into_response();
    }
    let token = request.token.expose();
    let body = format!(r#"{{"id":6,"token":"{token}","token_expires_at":null}}"#);
    (StatusCode::OK, body).into_response()
}

async fn unregister() -> StatusCode {
    StatusCode::NO_CONTENT
}

async fn request_job(State(shared): Shop, body: Bytes) -> Response {
    let request: JobRequest = serde_json::from_slice(&body).unwrap();
    shared.state.lock().unwrap().requests.push(request);
    shared.changed.notify_waiters();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let changed = shared.changed.notified();
        let mut changed = std::pin::pin!(changed);
        changed.as_mut().enable();
        let nothing = (StatusCode::NO_CONTENT, [(name::LAST_UPDATE, "cursor-1")]);
        {
            let mut state = shared.state.lock().unwrap();
            if let Some(status) = state.request_answers.pop_front() {
                return status.into_response();
            }
            if let Some(job) = state.queue.pop_front() {
                return (StatusCode::CREATED, serde_json::to_vec(&job).unwrap()).into_response();
            }
            if state.impatient {
                return nothing.into_response();
            }
        }
        tokio::select! {
            () = changed => {}
            () = tokio::time::sleep_until(deadline) => return nothing.into_response(),
        }
    }
}

async fn take_part(
    State(shared): Shop,
    UrlPath(id): UrlPath<i64>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let response = {
        let mut state = shared.state.lock().unwrap();
        assert_eq!(headers[name::JOB_TOKEN], token(id).as_str());
        let range: ByteRange = headers[name::CONTENT_RANGE]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        assert_eq!(range, ByteRange::of_content(range.first, body.len() as u64));
        let fault = state.patch_faults.pop_front();
        let job = state.jobs.entry(id).or_default();
        job.parts.push((Instant::now(), range.first));
        let (status, size) = take(&mut job.log, range.first, &body, fault);
        answer(&state, status, size)
    };
    shared.changed.notify_waiters();
    response
}

fn take(
    log: &mut Vec<u8>,
    first: u64,
    body: &[u8],
    fault: Option<PatchFault>,
) -> (StatusCode, usize) {
    let first = usize::try_from(first).unwrap();
    match fault {
        Some(PatchFault::Status(status)) => return (status, log.len()),
        Some(PatchFault::Forget(size)) => log.truncate(size),
        _ => {}
    }
    // From the start is always allowed: it is how a damaged log is mended.
    if first != log.len() && first != 0 {
        return (StatusCode::RANGE_NOT_SATISFIABLE, log.len());
    }
    log.truncate(first);
    let most = match fault {
        Some(PatchFault::TakeOnly(most)) => most.min(body.len()),
        _ => body.len(),
    };
    log.extend_from_slice(&body[..most]);
    (StatusCode::ACCEPTED, log.len())
}

fn answer(state: &Known, status: StatusCode, size: usize) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(
        name::RANGE,
        ByteRange::of_size(size as u64).to_string().parse().unwrap(),
    );
    headers.insert(name::TRACE_UPDATE_INTERVAL, "1".parse().unwrap());
    headers.insert(
        name::JOB_STATUS,
        state.status.unwrap_or("running").parse().unwrap(),
    );
    (status, headers).into_response()
}

async fn take_state(State(shared): Shop, UrlPath(id): UrlPath<i64>, body: Bytes) -> Response {
    let update: UpdateRequest = serde_json::from_slice(&body).unwrap();
    assert_eq!(update.token.expose(), token(id));
    let seen = UpdateSeen {
        state: update.state,
        failure_reason: update
            .failure_reason
            .map(|reason| reason.as_str().to_owned()),
        exit_code: update.exit_code,
        bytesize: update.output.as_ref().map(|output| output.bytesize),
        checksum: update.output.map(|output| output.checksum),
    };
    let response = {
        let mut state = shared.state.lock().unwrap();
        let is_end = seen.state != JobState::Running;
        let fault = is_end.then(|| state.put_faults.pop_front()).flatten();
        let job = state.jobs.entry(id).or_default();
        let size = job.log.len();
        if is_end {
            job.updates.push(seen.clone());
        } else {
            job.signs_of_life += 1;
        }
        if is_end && fault.is_none() {
            job.end = Some(seen);
        }
        answer(&state, fault.unwrap_or(StatusCode::OK), size)
    };
    shared.changed.notify_waiters();
    response
}

async fn take_artifacts(
    State(shared): Shop,
    UrlPath(id): UrlPath<i64>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    mut form: Multipart,
) -> Response {
    assert_eq!(headers[name::JOB_TOKEN], token(id).as_str());
    let field = form.next_field().await.unwrap().unwrap();
    assert_eq!(field.name(), Some("file"));
    let archive = Archive {
        query: query.unwrap_or_default(),
        name: field.file_name().unwrap().to_owned(),
        content: field.bytes().await.unwrap().to_vec(),
    };
    let mut state = shared.state.lock().unwrap();
    if let Some(status) = state.artifact_faults.pop_front() {
        return status.into_response();
    }
    state.artifacts.entry(id).or_default().push(archive);
    StatusCode::CREATED.into_response()
}

async fn give_artifacts(
    State(shared): Shop,
    UrlPath(id): UrlPath<i64>,
    headers: HeaderMap,
) -> Response {
    assert_eq!(headers[name::JOB_TOKEN], token(id).as_str());
    let state = shared.state.lock().unwrap();
    match state.artifacts.get(&id) {
        Some(archives) => archives[0].content.clone().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn git_file(
    State(shared): Shop,
    UrlPath(path): UrlPath<String>,
    headers: HeaderMap,
) -> Response {
    let mut state = shared.state.lock().unwrap();
    let git = state.git.as_ref().unwrap();
    let given = headers.get("authorization");
    let proved = given.is_some_and(|given| given.as_bytes() == git.authorization.as_bytes());
    let file = fs_err::read(git.folder.join(&path));
    state.git_requests.push((path, proved));
    if !proved {
        let challenge = [("www-authenticate", "Basic realm=\"git\"")];
        return (StatusCode::UNAUTHORIZED, challenge).into_response();
    }
    match file {
        Ok(content) => content.into_response(),
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

pub(crate) fn token(id: i64) -> String {
    format!("job-token-{id}-0123456789")
}

/// A runner that works for a server, in a folder of its own.
pub(crate) struct AtWork {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) shutdown: Shutdown,
    pub(crate) task: tokio::task::JoinHandle<()>,
}

impl AtWork {
    pub(crate) fn start(server: &Server) -> Self {
        Self::with(server, |_| {})
    }

    pub(crate) fn with(server: &Server, change: impl FnOnce(&mut RunnerConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(&server.url, folder.path());
        change(&mut config);
        let shutdown = Shutdown::default();
        let runners = Config {
            runners: vec![config],
        };
        let runner = Runner::new(runners, shutdown.clone()).unwrap();
        Self {
            folder,
            shutdown,
            task: tokio::spawn(runner.run()),
        }
    }

    /// Where the jobs of project `group/project` work.
    pub(crate) fn project(&self) -> PathBuf {
        let folder = fs_err::canonicalize(self.folder.path()).unwrap();
        folder.join("builds/0123456789/0/group/project".replace("0123456789", "012345678"))
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.shutdown.drain.cancel();
        self.shutdown.abort.cancel();
    }
}

pub(crate) fn config(url: &str, folder: &Path) -> RunnerConfig {
    RunnerConfig {
        name: "test".into(),
        url: url.into(),
        id: 1,
        token: "glrt-0123456789abcdef".into(),
        system_id: format!("s_{:?}", folder.file_name().unwrap()),
        concurrent: 1,
        directory: folder.to_owned(),
        shell: None,
        output_limit_kib: 4096,
        ca_file: None,
        environment: std::collections::BTreeMap::new(),
    }
}

pub(crate) fn registration(url: &str, token: &str) -> Registration {
    Registration {
        url: url.into(),
        token: token.into(),
        name: "test".into(),
        tags: vec!["shell".into(), "prod01".into()],
        run_untagged: None,
        concurrent: 2,
        directory: "/nowhere".into(),
        ca_file: None,
    }
}

/// A job of `script` that needs no sources.
pub(crate) fn job(id: i64, script: &[&str]) -> JobResponse {
    let mut job = JobResponse {
        id,
        token: token(id).into(),
        variables: vec![variable("GIT_STRATEGY", "none")],
        ..JobResponse::default()
    };
    job.job_info.project_full_path = "group/project".into();
    job.job_info.name = format!("job-{id}");
    job.runner_info.timeout = 60;
    job.steps.push(step(StepName::Script, script));
    job
}

pub(crate) fn with_after_script(mut job: JobResponse, script: &[&str]) -> JobResponse {
    let mut step = step(StepName::AfterScript, script);
    step.when = When::Always;
    job.steps.push(step);
    job
}

fn step(name: StepName, script: &[&str]) -> Step {
    Step {
        name,
        script: script.iter().map(|&line| line.to_owned()).collect(),
        timeout: 60,
        when: When::OnSuccess,
        allow_failure: false,
    }
}

pub(crate) fn variable(key: &str, value: &str) -> Variable {
    Variable {
        key: key.into(),
        value: value.into(),
        ..Variable::default()
    }
}

pub(crate) fn masked(key: &str, value: &str) -> Variable {
    Variable {
        masked: true,
        raw: true,
        ..variable(key, value)
    }
}

/// A git repository with one commit.
pub(crate) struct Origin {
    pub(crate) folder: tempfile::TempDir,
}

impl Origin {
    pub(crate) fn new() -> Self {
        let origin = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        origin.git(&["init", "--quiet", "--initial-branch=main"]);
        origin.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
        origin.commit("file.txt", "one\n");
        origin
    }

    pub(crate) fn commit(&self, name: &str, content: &str) -> String {
        fs_err::write(self.folder.path().join(name), content).unwrap();
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "a change"]);
        self.head()
    }

    pub(crate) fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"]).trim().to_owned()
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        git(self.folder.path(), arguments)
    }

    /// A job on the head of `main`.
    pub(crate) fn job(&self, id: i64, script: &[&str]) -> JobResponse {
        let mut job = job(id, script);
        job.variables.clear();
        job.allow_git_fetch = true;
        job.git_info.repo_url = format!("file://{}", self.folder.path().display()).into();
        job.git_info.git_ref = "main".into();
        job.git_info.sha = self.head();
        job.git_info.depth = 20;
        job.git_info.refspecs = vec!["+refs/heads/main:refs/remotes/origin/main".into()];
        job
    }
}

pub(crate) fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(folder)
        .env("HOME", folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_NAME", "Someone")
        .env("GIT_AUTHOR_EMAIL", "someone@example.org")
        .env("GIT_COMMITTER_NAME", "Someone")
        .env("GIT_COMMITTER_EMAIL", "someone@example.org")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "git {arguments:?}: {output:?}");
    text
}
