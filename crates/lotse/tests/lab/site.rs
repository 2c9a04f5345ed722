//! A lab of three hosts with a server and three runners: the stage on which a tag becomes a site.

use std::path::Path;
use std::time::{Duration, Instant};

use lab::{Detached, Host, Invocation, Lab, Spec, Throwaway};
use serde_json::json;
use testkit::lotse::{Lotse, Setup};

/// How long a pipeline with builds and deploys may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(600);

/// The name that the seed's images carry.
pub(crate) const REGISTRY: &str = "registry.gitlab.tugraz.at";

pub(crate) struct Stage {
    pub(crate) lab: Throwaway,
    pub(crate) lotse: Lotse,
    _folder: tempfile::TempDir,
}

impl Stage {
    /// Hosts `build`, `prod01`, `prod02`; the server listens on the lab's gateway, port 80, so that
    /// [`REGISTRY`] without a port means its registry.
    pub(crate) async fn set(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let name = format!("{name}-{}", std::process::id());
        let mut spec = Spec::new(name.parse().unwrap())
            .folder(folder.path().join("lab"))
            .alias(format!("{REGISTRY}=gateway").parse().unwrap())
            .insecure_registry(REGISTRY.parse().unwrap());
        for host in ["build", "prod01", "prod02"] {
            spec = spec.host(host.parse().unwrap());
        }
        let lab = tokio::task::spawn_blocking(move || Lab::up(&spec))
            .await
            .unwrap()
            .unwrap();
        let lab = lab.throwaway();
        let binary = env!("CARGO_BIN_EXE_lotse");
        lab.share_executable(Path::new(binary), "lotse").unwrap();
        let gateway = lab.gateway();
        let arguments = [
            "--listen",
            &format!("{gateway}:80"),
            "--url",
            &format!("http://{gateway}"),
            "--registry",
            REGISTRY,
        ];
        let lotse = Lotse::start_with(
            binary,
            Setup {
                arguments: arguments.map(str::to_owned).to_vec(),
                ..Setup::default()
            },
        )
        .await;
        let stage = Self {
            lab,
            lotse,
            _folder: folder,
        };
        for (host, tag) in [
            ("build", "shell"),
            ("prod01", "prod01"),
            ("prod02", "prod02"),
        ] {
            stage.start_runner(host, tag).await;
        }
        stage
    }

    async fn start_runner(&self, host: &str, tag: &str) {
        let made = self
            .lotse
            .post(
                "/user/runners",
                &json!({ "description": host, "tag_list": [tag] }),
            )
            .await;
        let url = format!("http://{}", self.lab.gateway());
        let words = [
            "lotse",
            "runner",
            "run",
            "--url",
            &url,
            "--name",
            host,
            "--concurrent",
            "1",
        ];
        let token = made["token"].as_str().unwrap().to_owned();
        self.host(host)
            .start(&Detached {
                name: "runner".parse().unwrap(),
                invocation: Invocation {
                    words: words.map(str::to_owned).to_vec(),
                    variables: vec![("LOTSE_RUNNER_TOKEN".to_owned(), token)],
                    folder: None,
                },
                log: None,
            })
            .unwrap();
    }

    pub(crate) fn host(&self, name: &str) -> Host {
        self.lab.host(name).unwrap()
    }

    /// Runs a command in a host and returns what it printed.
    pub(crate) fn exec(&self, host: &str, words: &[&str]) -> String {
        let output = self.host(host).exec(words).unwrap();
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(output.status.success(), "{host}: {words:?}: {text}");
        text
    }

    /// Waits for a pipeline's end; unless it is a success, the logs of its jobs are shown.
    pub(crate) async fn succeeds(&self, project: &str, pipeline: i64) {
        let deadline = Instant::now() + PATIENCE;
        let mut snapshot = self.lotse.pipeline(project, pipeline).await;
        while !snapshot.has_ended() {
            assert!(Instant::now() < deadline, "still {}", snapshot.summary());
            tokio::time::sleep(Duration::from_millis(200)).await;
            snapshot = self.lotse.pipeline(project, pipeline).await;
        }
        if snapshot.status() == "success" {
            return;
        }
        for job in &snapshot.jobs {
            let log = self.lotse.log(project, job["id"].as_i64().unwrap()).await;
            eprintln!("--- {} ({})\n{log}", job["name"], job["status"]);
        }
        panic!("{}", snapshot.summary());
    }

    /// What a host answers on port 8080; containers need a moment after `up -d`.
    pub(crate) async fn ask(&self, host: &str, path: &str) -> String {
        let url = format!("http://{}:8080{path}", self.host(host).address());
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let answer = reqwest::get(&url).await;
            if let Ok(answer) = answer.and_then(reqwest::Response::error_for_status) {
                return answer.text().await.unwrap();
            }
            assert!(Instant::now() < deadline, "{url} does not answer");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
