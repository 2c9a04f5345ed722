//! A small HTTP server around a folder of repositories, and a user with the ordinary `git`.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path as UrlPath, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use futures_util::{StreamExt as _, TryStreamExt as _};
use git::{
    Encoding, GitError, Protocol, Push, ReceiveOptions, Repositories, Repository, RepositoryKey,
    Request, Service,
};
use tokio::sync::Notify;

/// What the server answers to a push, and what it saw.
#[derive(Default)]
pub(crate) struct Behaviour {
    pub(crate) options: ReceiveOptions,
    pub(crate) lines: Vec<String>,
    pub(crate) panics: bool,
    /// The callback waits for this.
    pub(crate) gate: Option<Arc<Notify>>,
    pub(crate) pushes: Vec<Push>,
    pub(crate) encodings: Vec<Option<String>>,
    pub(crate) protocols: Vec<Option<String>>,
}

#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) repositories: Repositories,
    pub(crate) behaviour: Arc<Mutex<Behaviour>>,
    pub(crate) pushed: Arc<Notify>,
    pub(crate) address: String,
    _folder: Arc<tempfile::TempDir>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            repositories: Repositories::open(folder.path().join("repositories"))
                .await
                .unwrap(),
            behaviour: Arc::default(),
            pushed: Arc::default(),
            address: format!("http://{}", listener.local_addr().unwrap()),
            _folder: Arc::new(folder),
        };
        let routes = Router::new()
            .route("/{key}/info/refs", get(advertise))
            .route("/{key}/git-upload-pack", post(upload))
            .route("/{key}/git-receive-pack", post(receive))
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(server.clone());
        let listener = listener.tap_io(|connection| connection.set_nodelay(true).unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        server
    }

    pub(crate) async fn create(&self, key: &str) -> Repository {
        self.repositories
            .create(&key.parse().unwrap())
            .await
            .unwrap()
    }

    pub(crate) fn url(&self, key: &str) -> String {
        format!("{}/{key}", self.address)
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.behaviour.lock().unwrap());
    }

    pub(crate) fn pushes(&self) -> Vec<Push> {
        self.behaviour.lock().unwrap().pushes.clone()
    }

    fn repository(&self, key: &str) -> Result<Repository, GitError> {
        let key: RepositoryKey = key.parse().unwrap();
        self.repositories.get(&key)
    }
}

type Answer = Result<Response, Failure>;

pub(crate) struct Failure(GitError);

impl From<GitError> for Failure {
    fn from(error: GitError) -> Self {
        Self(error)
    }
}

impl axum::response::IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = match self.0 {
            GitError::NotFound { .. } => StatusCode::NOT_FOUND,
            GitError::InvalidRequest { .. } => StatusCode::BAD_REQUEST,
            GitError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, self.0.to_string()).into_response()
    }
}

#[derive(serde::Deserialize)]
struct Asked {
    service: String,
}

fn protocol(headers: &HeaderMap) -> Protocol {
    Protocol::from_header(text(headers, "git-protocol").as_deref())
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().unwrap().to_owned())
}

async fn advertise(
    State(server): State<Server>,
    UrlPath(key): UrlPath<String>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Answer {
    let service: Service = asked.service.parse()?;
    server.set(|b| b.protocols.push(text(&headers, "git-protocol")));
    let repository = server.repository(&key)?;
    let refs = repository.advertise(service, &protocol(&headers)).await?;
    Ok(([(header::CONTENT_TYPE, service.advertisement_type())], refs).into_response())
}

fn request(server: &Server, headers: &HeaderMap, body: Body) -> Result<Request, GitError> {
    let encoding = text(headers, "content-encoding");
    server.set(|b| b.encodings.push(encoding.clone()));
    Ok(Request {
        body: body
            .into_data_stream()
            .map_err(std::io::Error::other)
            .boxed(),
        encoding: Encoding::from_header(encoding.as_deref())?,
        protocol: protocol(headers),
    })
}

async fn upload(
    State(server): State<Server>,
    UrlPath(key): UrlPath<String>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let request = request(&server, &headers, body)?;
    let output = server.repository(&key)?.upload_pack(request).await?;
    let kind = Service::UploadPack.result_type();
    Ok(([(header::CONTENT_TYPE, kind)], Body::from_stream(output)).into_response())
}

async fn receive(
    State(server): State<Server>,
    UrlPath(key): UrlPath<String>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let request = request(&server, &headers, body)?;
    let options = server.behaviour.lock().unwrap().options.clone();
    let told = server.clone();
    let output = server
        .repository(&key)?
        .receive_pack(request, options, |push| after(told, push))
        .await?;
    let kind = Service::ReceivePack.result_type();
    Ok(([(header::CONTENT_TYPE, kind)], Body::from_stream(output)).into_response())
}

async fn after(server: Server, push: Push) -> Vec<String> {
    let gate = server.behaviour.lock().unwrap().gate.clone();
    if let Some(gate) = gate {
        gate.notified().await;
    }
    let (lines, panics) = {
        let mut behaviour = server.behaviour.lock().unwrap();
        behaviour.pushes.push(push);
        (behaviour.lines.clone(), behaviour.panics)
    };
    server.pushed.notify_one();
    assert!(!panics, "the caller fails");
    lines
}

/// A work tree and the ordinary `git`.
pub(crate) struct User {
    pub(crate) folder: PathBuf,
    _home: tempfile::TempDir,
}

pub(crate) struct Ran {
    pub(crate) ok: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl User {
    /// With one commit on `main`.
    pub(crate) async fn new() -> Self {
        let user = Self::empty();
        user.ok(&["init", "-q", "-b", "main"]).await;
        user.commit("README", "hello").await;
        user
    }

    pub(crate) fn empty() -> Self {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("work");
        std::fs::create_dir(&folder).unwrap();
        Self {
            folder,
            _home: home,
        }
    }

    pub(crate) fn command(&self, args: &[&str]) -> tokio::process::Command {
        let mut command = tokio::process::Command::new("git");
        command
            .args(args)
            .current_dir(&self.folder)
            .env("HOME", self.folder.parent().unwrap())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("LC_ALL", "C")
            .env("GIT_AUTHOR_NAME", "Developer")
            .env("GIT_AUTHOR_EMAIL", "developer@site.example")
            .env("GIT_COMMITTER_NAME", "Integrator")
            .env("GIT_COMMITTER_EMAIL", "integrator@site.example")
            .env("no_proxy", "127.0.0.1")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    pub(crate) async fn run(&self, args: &[&str]) -> Ran {
        let output = self.command(args).output().await.unwrap();
        Ran {
            ok: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).trim().to_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    pub(crate) async fn ok(&self, args: &[&str]) -> Ran {
        let ran = self.run(args).await;
        assert!(ran.ok, "git {args:?}: {}", ran.stderr);
        ran
    }

    pub(crate) async fn fails(&self, args: &[&str]) -> Ran {
        let ran = self.run(args).await;
        assert!(
            !ran.ok,
            "git {args:?} went well: {}{}",
            ran.stdout, ran.stderr
        );
        ran
    }

    pub(crate) async fn commit(&self, file: &str, content: &str) -> String {
        self.write(file, content.as_bytes());
        self.ok(&["add", "-A"]).await;
        self.ok(&["commit", "-qm", &format!("Change {file}\n\nWith a reason.")])
            .await;
        self.ok(&["rev-parse", "HEAD"]).await.stdout
    }

    pub(crate) fn write(&self, file: &str, content: &[u8]) {
        let path = self.folder.join(file);
        fs_err::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
        fs_err::write(path, content).unwrap();
    }
}

/// Bytes that do not compress.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}
