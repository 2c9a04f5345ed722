//! One pipeline without a server, as its runner meets it: who may ask, and what is answered.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeSet;

use pipeline::Status;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use runner_api::{JobResponse, name};
use serde_json::json;
use server::local::{Blueprint, CommitFacts, Happening, Local, Subject};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

struct Office {
    local: Local,
    happenings: UnboundedReceiver<Happening>,
    http: Client,
    _folder: tempfile::TempDir,
}

impl Office {
    async fn open(file: &str) -> Self {
        let git_ref = model::GitRef::branch("main").unwrap();
        let compiled = ci::compile(&ci::Input::new("ci.yml", file, git_ref.clone()));
        let folder = tempfile::tempdir().unwrap();
        let (sender, happenings) = unbounded_channel();
        let blueprint = Blueprint {
            graph: compiled.graph.unwrap(),
            subject: Subject {
                server: "https://example.org".to_owned(),
                project: "group/name".parse().unwrap(),
                git_ref,
                sha: "0123456789012345678901234567890123456789".parse().unwrap(),
                before: None,
                commit: CommitFacts::default(),
                source: ci::Source::Push,
                user: "developer".to_owned(),
            },
            settings: vec![model::Variable::public("B", "setting")],
            play: BTreeSet::new(),
            repository: folder.path().join("none.git"),
            folder: folder.path().to_owned(),
        };
        Self {
            local: Local::start(blueprint, sender).await.unwrap(),
            happenings,
            http: client(),
            _folder: folder,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}/api/v4/{path}", self.local.url())
    }

    async fn ask(&self, token: &str) -> Response {
        let request = self.http.post(self.url("jobs/request"));
        send(request.json(&json!({ "token": token }))).await
    }

    async fn job(&self) -> JobResponse {
        let answer = self.ask(self.local.runner_token().expose()).await;
        assert_eq!(answer.status(), StatusCode::CREATED);
        answer.json().await.unwrap()
    }

    async fn log(&self, job: i64, token: &str, start: usize, text: &'static str) -> Response {
        let request = self.http.patch(self.url(&format!("jobs/{job}/trace")));
        let range = format!("{start}-{}", start + text.len() - 1);
        let request = request.header("content-range", range);
        send(request.header(name::JOB_TOKEN, token).body(text)).await
    }

    async fn report(&self, job: &JobResponse, state: &str, bytes: usize) -> Response {
        let request = self.http.put(self.url(&format!("jobs/{}", job.id)));
        let output = json!({ "checksum": "", "bytesize": bytes });
        let token = job.token.expose();
        send(request.json(&json!({ "token": token, "state": state, "output": output }))).await
    }

    /// Everything that has happened until nothing does any more.
    async fn statuses(&mut self) -> Vec<(usize, Status)> {
        let mut statuses = Vec::new();
        loop {
            match self.happenings.recv().await.unwrap() {
                Happening::Job { place, status, .. } => statuses.push((place.job, status)),
                Happening::Ended { .. } => return statuses,
                _ => {}
            }
        }
    }
}

/// Knows no proxy.
fn client() -> Client {
    let _already_there = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().build().unwrap()
}

async fn send(request: RequestBuilder) -> Response {
    request.send().await.unwrap()
}

#[tokio::test]
async fn only_who_has_the_token_is_answered() {
    let office = Office::open("a: {script: [x]}").await;
    assert_eq!(office.ask("").await.status(), StatusCode::FORBIDDEN);
    assert_eq!(office.ask("glrt-x").await.status(), StatusCode::FORBIDDEN);
    let job = office.job().await;
    let answer = office.log(job.id, "glcbt-x", 0, "x").await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    let artifacts = office
        .http
        .get(office.url(&format!("jobs/{}/artifacts", job.id)));
    let artifacts = send(artifacts.header(name::JOB_TOKEN, "glcbt-x")).await;
    assert_eq!(artifacts.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_job_from_its_request_to_its_end() {
    let mut office = Office::open("a: {script: [x], variables: {A: file, B: file}}").await;
    let job = office.job().await;
    let of = |key: &str| {
        let variables = job.variables.iter().filter(|variable| variable.key == key);
        variables
            .map(|variable| variable.value.expose())
            .collect::<Vec<_>>()
    };
    assert_eq!((of("A"), of("B")), (vec!["file"], vec!["setting"]));
    assert_eq!(of("CI_PROJECT_PATH"), ["group/name"]);
    assert_eq!(of("CI_REGISTRY"), [""; 0]);
    let token = job.token.expose();

    let answer = office.log(job.id, token, 0, "hello").await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    let gap = office.log(job.id, token, 9, "x").await;
    assert_eq!(gap.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(gap.headers()[name::RANGE], "0-5");
    let short = office.report(&job, "success", 9).await;
    assert_eq!(short.status(), StatusCode::PRECONDITION_FAILED);
    let alive = office.report(&job, "running", 0).await;
    assert_eq!(alive.headers()[name::JOB_STATUS], "running");
    let done = office.report(&job, "success", 5).await;
    assert_eq!(done.status(), StatusCode::OK);
    let late = office.log(job.id, token, 5, "x").await;
    assert_eq!(late.status(), StatusCode::FORBIDDEN);
    let expected = [Status::Pending, Status::Running, Status::Success].map(|status| (0, status));
    assert_eq!(office.statuses().await, expected);
}

#[tokio::test]
async fn a_cancelled_job_hears_of_it_and_ends_cancelled() {
    let mut office = Office::open("a: {script: [x]}\nb: {stage: deploy, script: [x]}").await;
    let job = office.job().await;
    office.local.cancel();
    let answer = office.log(job.id, job.token.expose(), 0, "x").await;
    assert_eq!(answer.headers()[name::JOB_STATUS], "canceling");
    // Whatever it says: it was to be cancelled.
    office.report(&job, "success", 1).await;
    let statuses = office.statuses().await;
    assert_eq!(
        statuses.last(),
        Some(&(0, Status::Canceled)),
        "{statuses:?}"
    );
    assert!(!statuses.contains(&(1, Status::Pending)), "{statuses:?}");
}

#[tokio::test]
async fn cancelling_reaches_the_children() {
    let mut office = Office::open("a: {trigger: {include: x.yml}}\nb: {trigger: g/p}").await;
    let wish = loop {
        if let Happening::Child(wish) = office.happenings.recv().await.unwrap() {
            break wish;
        }
    };
    assert_eq!((wish.place.pipeline, wish.place.job), (0, 0));
    assert_eq!(wish.text, "include:\n- {\"local\":\"x.yml\"}\n");
    let git_ref = model::GitRef::branch("main").unwrap();
    let child = "c: {script: [x]}\nd: {stage: deploy, script: [x]}";
    let compiled = ci::compile(&ci::Input::new("x.yml", child, git_ref));
    let graph = compiled.graph.unwrap();
    assert_eq!(office.local.begin(&wish, graph.clone()), Some(1));
    assert_eq!(office.local.begin(&wish, graph), None, "it has its child");
    let job = office.job().await;
    assert_eq!(job.job_info.name, "c");
    office.local.cancel();
    let answer = office.log(job.id, job.token.expose(), 0, "x").await;
    assert_eq!(answer.headers()[name::JOB_STATUS], "canceling");
    office.report(&job, "success", 1).await;
    let mut last = std::collections::BTreeMap::new();
    loop {
        match office.happenings.recv().await.unwrap() {
            Happening::Job { place, status, .. } => last.insert(place, status),
            Happening::Ended { .. } => break,
            _ => None,
        };
    }
    let statuses: Vec<_> = last
        .into_values()
        .map(|status| status.to_string())
        .collect();
    assert_eq!(statuses, ["success", "failed", "canceled", "canceled"]);
}
