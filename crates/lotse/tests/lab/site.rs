//! A lab of hosts with a server and runners: the stage on which a push becomes a site.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use lab::{Detached, Host, Invocation, Lab, Spec, Throwaway};
use serde_json::json;
use testkit::lotse::{Lotse, Setup, Snapshot};

/// How long a pipeline with builds and deploys may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(600);

/// What a stage is to have.
pub(crate) struct Scene {
    /// The lab's name begins with it.
    pub(crate) name: &'static str,
    /// The server's registry, as images name it.
    pub(crate) registry: &'static str,
    /// The hosts; one named `build` has an engine for [`Stage::docker`].
    pub(crate) hosts: &'static [&'static str],
    /// Hosts with a runner, and its tag.
    pub(crate) runners: &'static [(&'static str, &'static str)],
}

pub(crate) struct Stage {
    pub(crate) lab: Throwaway,
    pub(crate) lotse: Lotse,
    _folder: tempfile::TempDir,
}

impl Stage {
    /// The server listens on the lab's gateway, port 80, so that the registry's name without a port
    /// means it.
    pub(crate) async fn set(scene: &Scene) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let name = format!("{}-{}", scene.name, std::process::id());
        let mut spec = Spec::new(name.parse().unwrap())
            .folder(folder.path().join("lab"))
            .alias(format!("{}=gateway", scene.registry).parse().unwrap())
            .insecure_registry(scene.registry.parse().unwrap());
        for host in scene.hosts {
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
            scene.registry,
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
        for (host, tag) in scene.runners {
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

    /// The ordinary `docker`, on the build host's engine.
    pub(crate) fn docker(&self, arguments: &[&str]) {
        self.run(Path::new("/usr/bin/docker"), arguments);
    }

    /// A program of this machine that uses the build host's engine.
    pub(crate) fn run(&self, program: &Path, arguments: &[&str]) {
        let socket = self.host("build").docker_socket();
        let output = Command::new(program)
            .args(arguments)
            .env("DOCKER_HOST", format!("unix://{}", socket.display()))
            .env("DOCKER_CONFIG", self.lotse.data().join("docker"))
            .env("DOCKER_BUILDKIT", "0")
            .output()
            .unwrap();
        let text = testkit::dockerd::text_of(&output);
        let program = program.display();
        assert!(
            output.status.success(),
            "{program} {}: {text}",
            arguments[0]
        );
    }

    /// [`Stage::docker`] may push to the registry from now on.
    pub(crate) fn docker_login(&self, registry: &str) {
        let token = self.lotse.token();
        self.docker(&["login", "--username", "root", "--password", token, registry]);
    }

    /// Waits for a pipeline's end; unless it is a success, the logs of its jobs are shown.
    pub(crate) async fn succeeds(&self, project: &str, pipeline: i64) {
        let snapshot = self.ended(project, pipeline).await;
        if snapshot.status() == "success" {
            return;
        }
        for job in &snapshot.jobs {
            let log = self.lotse.log(project, job["id"].as_i64().unwrap()).await;
            eprintln!("--- {} ({})\n{log}", job["name"], job["status"]);
        }
        panic!("{}", snapshot.summary());
    }

    /// Waits for a pipeline's end.
    pub(crate) async fn ended(&self, project: &str, pipeline: i64) -> Snapshot {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let snapshot = self.lotse.pipeline(project, pipeline).await;
            if snapshot.has_ended() {
                return snapshot;
            }
            assert!(Instant::now() < deadline, "still {}", snapshot.summary());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Each of these jobs began after the one before had ended.
    pub(crate) async fn ran_in_order(&self, project: &str, pipeline: i64, jobs: &[&str]) {
        let snapshot = self.lotse.pipeline(project, pipeline).await;
        let time = |job: &str, key: &str| snapshot.job(job)[key].as_str().unwrap().to_owned();
        for pair in jobs.windows(2) {
            assert!(
                time(pair[0], "finished_at") <= time(pair[1], "started_at"),
                "{}",
                snapshot.summary()
            );
        }
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
