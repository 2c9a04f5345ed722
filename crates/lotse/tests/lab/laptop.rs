//! Somebody's laptop beside the demo's lab: a work tree of `invenio/repository`, `git`, `lotse`, and a
//! way to the web servers by SSH.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lab::{Folder, Host, Lab};
use testkit::load::ledger::Order;

use crate::demo::Demo;
use crate::visitors::Door;

const LOTSE: &str = env!("CARGO_BIN_EXE_lotse");
pub(crate) const HOSTS: [&str; 2] = ["invenio01-prod", "invenio02-prod"];
const PORT: u16 = 8080;
const BALANCER: &str = "build";
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Laptop {
    lab: Lab,
    demo: PathBuf,
    pub(crate) http: reqwest::Client,
}

/// The example group, as it stands in this project.
pub(crate) fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/tugraz")
}

impl Laptop {
    pub(crate) fn of(demo: &Demo) -> Self {
        Self {
            lab: Lab::open(&demo.lab, &Folder::usual(&demo.lab)).unwrap(),
            demo: demo.folder.clone(),
            http: testkit::lotse::client(),
        }
    }

    pub(crate) fn host(&self, name: &str) -> Host {
        self.lab.host(name).unwrap()
    }

    pub(crate) fn port(&self, host: &str) -> SocketAddr {
        SocketAddr::from((self.host(host).address(), PORT))
    }

    /// The demo's folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.demo
    }

    /// The work tree.
    pub(crate) fn tree(&self) -> PathBuf {
        self.demo.join("repository")
    }

    /// A program in the work tree. The demo has logged in to the server and to its registry.
    pub(crate) fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let home = self.demo.join("home");
        fs_err::create_dir_all(&home).unwrap();
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(self.tree())
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", home)
            .env("XDG_CONFIG_HOME", self.demo.join("config"))
            .env("DOCKER_CONFIG", self.demo.join("docker"))
            .env("LOTSE_SSH_CONFIG", self.host(BALANCER).ssh_config())
            .stdin(Stdio::null());
        command
    }

    /// `lotse`, which must succeed. Returns what it printed.
    pub(crate) async fn lotse(&self, arguments: &[&str]) -> String {
        run(self.command(LOTSE, arguments)).await
    }

    /// `lotse` with the values that a job is given and a laptop is not.
    pub(crate) async fn lotse_with(&self, arguments: &[&str], tag: &str) -> String {
        let tag = format!("TAG_PROD={tag}");
        let file = format!("ENV_FILE_PROD={}", example().join("env.prod").display());
        let values = ["--set", &tag, "--set", &file];
        self.lotse(&[arguments, &values].concat()).await
    }

    pub(crate) async fn git(&self, arguments: &[&str]) -> String {
        run(self.command("git", arguments)).await
    }

    /// Pushes a tag and waits until its pipeline has succeeded.
    pub(crate) async fn push_tag(&self, tag: &str) {
        self.git(&["tag", tag]).await;
        self.git(&["push", "--quiet", "lotse", tag]).await;
        self.lotse(&["pipeline", "watch"]).await;
    }

    /// How long the newest job of this name was at work.
    pub(crate) async fn job_took(&self, name: &str) -> Duration {
        let job = self.job(name).await.unwrap();
        Duration::from_secs_f64(job["duration"].as_f64().unwrap())
    }

    /// The number of the newest pipeline of the whole group.
    pub(crate) async fn newest_pipeline(&self) -> i64 {
        let mut newest = 0;
        for project in ["nginx", "repository", "exim4", "postgresql"] {
            let project = format!("invenio/{project}");
            let list = ["pipeline", "list", "--project", &project, "--json"];
            let list: serde_json::Value = serde_json::from_str(&self.lotse(&list).await).unwrap();
            let numbers = list
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one["id"].as_i64());
            newest = numbers.flatten().fold(newest, i64::max);
        }
        newest
    }

    /// Waits until the newest job of this name is at work.
    pub(crate) async fn await_job(&self, name: &str) {
        let deadline = Instant::now() + 4 * PATIENCE;
        loop {
            let job = self.job(name).await;
            if job.as_ref().is_some_and(|job| job["status"] == "running") {
                return;
            }
            assert!(Instant::now() < deadline, "{name} does not begin: {job:?}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    async fn job(&self, name: &str) -> Option<serde_json::Value> {
        let jobs = self.lotse(&["job", "list", "--json"]).await;
        let jobs: Vec<serde_json::Value> = serde_json::from_str(&jobs).unwrap();
        jobs.into_iter().find(|job| job["name"] == name)
    }

    /// Waits until a host answers with the release of a tag.
    pub(crate) async fn await_release(&self, host: &str, tag: &str) {
        let url = format!("http://{}/ping", self.port(host));
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.http.get(&url).send().await;
            let answer = answer.and_then(reqwest::Response::error_for_status);
            if matches!(&answer, Ok(answer) if answer.headers()["x-release"] == tag) {
                return;
            }
            assert!(Instant::now() < deadline, "{host}: no {tag}: {answer:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A command in a host, as its administrator. Returns what it printed.
    pub(crate) fn exec(&self, host: &str, words: &[&str]) -> String {
        let output = self.host(host).exec(words).unwrap();
        let text = testkit::dockerd::text_of(&output);
        assert!(output.status.success(), "{host}: {words:?}: {text}");
        text
    }

    /// An address at the balancer.
    pub(crate) fn front(&self, path: &str) -> String {
        format!("http://{}{path}", self.port(BALANCER))
    }

    /// Switches a host off, as if its power were cut.
    pub(crate) async fn power_off(&self, host: &str) {
        let lab = self.lab.name().as_str();
        self.lotse(&["lab", "stop", "--name", lab, host]).await;
    }

    /// Switches on what is off.
    pub(crate) async fn power_on(&self) {
        let lab = self.lab.name().as_str();
        self.lotse(&["lab", "up", "--name", lab]).await;
    }

    /// Where visitors come in: both web servers, and the balancer.
    pub(crate) fn doors(&self) -> Vec<Door> {
        let door = |name, order| Door {
            name,
            address: self.port(name),
            order,
        };
        let mut doors = Vec::from(HOSTS.map(|host| door(host, Order::Everywhere)));
        doors.push(door(BALANCER, Order::PerConnection));
        doors
    }
}

/// Runs a command that must succeed, without holding up the load. Returns its output.
pub(crate) async fn run(mut command: Command) -> String {
    let output = tokio::task::spawn_blocking(move || {
        let output = command.output().unwrap();
        let text = testkit::dockerd::text_of(&output);
        assert!(
            output.status.success(),
            "{:?} {:?}: {text}{}",
            command.get_program(),
            command.get_args().collect::<Vec<_>>(),
            log_of_the_job(&command, &text)
        );
        output
    });
    String::from_utf8(output.await.unwrap().stdout).unwrap()
}

/// What the job has written that the failed command says to look at.
fn log_of_the_job(failed: &Command, said: &str) -> String {
    let hint = said.split_once("`lotse job log ");
    let Some((number, _)) = hint.and_then(|(_, hint)| hint.split_once('`')) else {
        return String::new();
    };
    let mut command = Command::new(LOTSE);
    let variables = failed.get_envs();
    command
        .args(["job", "log", number])
        .envs(variables.filter_map(|(name, value)| Some((name, value?))));
    if let Some(folder) = failed.get_current_dir() {
        command.current_dir(folder);
    }
    testkit::dockerd::text_of(&command.output().unwrap())
}
