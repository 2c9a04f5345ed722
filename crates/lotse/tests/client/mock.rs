//! A server that gives prepared answers and remembers what it was asked, and a user who runs
//! `lotse` against it.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use futures_util::stream::{self, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// One answer.
#[derive(Clone)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    breaks: bool,
}

impl Answer {
    pub(crate) fn json(body: Value) -> Self {
        Self::text(body.to_string()).header("content-type", "application/json")
    }

    pub(crate) fn text(body: impl Into<String>) -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            body: body.into().into_bytes(),
            breaks: false,
        }
    }

    pub(crate) fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// The connection breaks after the body.
    pub(crate) fn breaks(mut self) -> Self {
        self.breaks = true;
        self
    }

    fn into_response(self) -> Response {
        let mut response = Response::builder().status(self.status);
        for (name, value) in &self.headers {
            response = response.header(*name, value);
        }
        let chunk = stream::iter([Ok(Bytes::from(self.body))]);
        let broken = stream::iter(self.breaks.then_some(())).then(async |()| {
            // The chunk before goes out while this waits.
            tokio::task::yield_now().await;
            Err(std::io::Error::other("cut"))
        });
        response
            .body(Body::from_stream(chunk.chain(broken)))
            .unwrap()
    }
}

/// What was asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// `GET /api/v4/user`
    pub(crate) what: String,
    pub(crate) query: String,
    pub(crate) token: Option<String>,
    pub(crate) last_event: Option<String>,
    pub(crate) body: Value,
}

#[derive(Default)]
struct Shared {
    answers: HashMap<String, VecDeque<Answer>>,
    asked: Vec<Asked>,
}

#[derive(Clone)]
pub(crate) struct Mock {
    pub(crate) url: String,
    shared: Arc<Mutex<Shared>>,
}

impl Mock {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared: Arc<Mutex<Shared>> = Arc::default();
        let routes = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { url, shared }
    }

    /// Answers in this order; the last one goes on for ever.
    pub(crate) fn on(&self, what: &str, answers: impl IntoIterator<Item = Answer>) -> &Self {
        let (method, path) = what.split_once(' ').unwrap();
        let key = format!("{method} /api/v4{path}");
        let answers = answers.into_iter().collect();
        self.shared.lock().unwrap().answers.insert(key, answers);
        self
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.lock().unwrap().asked.clone()
    }
}

async fn answer(State(shared): State<Arc<Mutex<Shared>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let header = |name: &str| Some(parts.headers.get(name)?.to_str().unwrap().to_owned());
    let what = format!("{} {}", parts.method, parts.uri.path());
    let asked = Asked {
        what: what.clone(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        token: header("private-token"),
        last_event: header("last-event-id"),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    let mut shared = shared.lock().unwrap();
    shared.asked.push(asked);
    let answers = shared.answers.entry(what).or_default();
    let answer = match answers.len() {
        0 => Answer::json(json!({"message": "404 Not Found: nothing here"}))
            .status(StatusCode::NOT_FOUND.as_u16()),
        1 => answers[0].clone(),
        _ => answers.pop_front().unwrap(),
    };
    answer.into_response()
}

/// Runs `lotse` in a home of its own.
pub(crate) struct User {
    home: tempfile::TempDir,
    variables: Vec<(&'static str, String)>,
}

pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl User {
    /// Has never logged in.
    pub(crate) fn new() -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
            variables: Vec::new(),
        }
    }

    /// Knows the server and a token.
    pub(crate) fn of(mock: &Mock) -> Self {
        let mut user = Self::new();
        user.variables = vec![
            ("LOTSE_URL", mock.url.clone()),
            ("LOTSE_TOKEN", "lot-test".to_owned()),
        ];
        user
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn configuration(&self) -> PathBuf {
        self.home().join(".config/lotse/config.toml")
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lotse"));
        command
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.home())
            // Nobody is there: a server on this machine is not asked for through a proxy.
            .env("http_proxy", "http://127.0.0.1:1")
            .env("GIT_CEILING_DIRECTORIES", self.home().parent().unwrap())
            .envs(self.variables.iter().map(|(name, value)| (*name, value)))
            .current_dir(self.home())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    pub(crate) async fn run(&self, args: &[&str]) -> Ran {
        self.run_with(args, "").await
    }

    pub(crate) async fn run_with(&self, args: &[&str], input: &str) -> Ran {
        let mut child = self.command(args).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A command that reads nothing may be over already.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        let output = child.wait_with_output().await.unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) async fn ok(&self, args: &[&str]) -> Ran {
        let ran = self.run(args).await;
        assert_eq!(ran.code, 0, "lotse {args:?}: {}", ran.stderr);
        ran
    }
}
