//! Who plays: the hosts with a user for the deploys, the project with its variables, and what they
//! are asked about.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use testkit::lotse::{Repository, Snapshot};

use crate::laptop::example;
use crate::mail;
use crate::site::{Scene, Stage};

pub(super) const PROJECT: &str = "invenio/exim4";
pub(super) const BUILD: &str = "build";
pub(super) const TEST: &str = "invenio03-test";
pub(super) const PROD: &str = "invenio03-prod";
/// The name that the deploy scripts give their images.
const REGISTRY: &str = "registry.lotse.lab";
const SCENE: Scene = Scene {
    name: "ssh-flow",
    registry: REGISTRY,
    hosts: &[BUILD, TEST, PROD],
    runners: &[(BUILD, "shell")],
};
const VARIABLES: &str = "/projects/invenio%2Fexim4/variables";
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) struct Flow {
    pub(super) stage: Stage,
    pub(super) repository: Repository,
    keys: tempfile::TempDir,
    /// Of the registry: its number and its text.
    pub(super) password: (i64, String),
}

/// A pipeline of the project.
pub(super) struct Pipeline<'f> {
    flow: &'f Flow,
    pub(super) id: i64,
}

impl Flow {
    pub(super) async fn set() -> Self {
        let stage = Stage::set(&SCENE).await;
        for project in ["invenio/base", PROJECT] {
            let body = json!({ "path_with_namespace": project });
            stage.lotse.post("/projects", &body).await;
        }
        let flow = Self {
            repository: stage.lotse.repository(PROJECT).await,
            stage,
            keys: tempfile::tempdir().unwrap(),
            password: (0, String::new()),
        };
        flow.make_base_image();
        flow.make_users();
        flow.make_variables().await;
        flow.copy_example();
        flow
    }

    /// In the registry as the example takes it, and in the engine by the name that the seed gives it.
    fn make_base_image(&self) {
        let cache = crate::cache();
        let arguments = ["--cache", cache.to_str().unwrap(), REGISTRY, "debian"];
        self.stage.docker_login(REGISTRY);
        self.stage.run(&example().join("base/make"), &arguments);
        let name = format!("{REGISTRY}/invenio/base/debian:bookworm");
        self.stage.docker(&["tag", &name, "debian:jessie"]);
    }

    /// A user for the deploys on both hosts. The build host forgets what the lab tells each of its
    /// hosts: only the job's own key and known hosts shall count.
    fn make_users(&self) {
        let public = self.new_key("deployer") + ".pub";
        let public = fs_err::read_to_string(public).unwrap();
        let script = "id deploy >/dev/null 2>&1 || useradd --create-home --groups docker --password '*' deploy
            install --directory --owner deploy --mode 700 ~deploy/.ssh
            echo \"$1\" >~deploy/.ssh/authorized_keys";
        for host in [TEST, PROD] {
            self.stage
                .exec(host, &["sh", "-ec", script, "sh", public.trim()]);
        }
        let files = ["/root/.ssh/id_ed25519", "/etc/ssh/ssh_known_hosts"];
        self.stage.exec(BUILD, &[&["rm"][..], &files].concat());
    }

    /// Makes a key; returns its path.
    pub(super) fn new_key(&self, name: &str) -> String {
        let path = self.keys.path().join(name);
        testkit::sshd::make_key("ed25519", "", &path);
        path.to_str().unwrap().to_owned()
    }

    /// A text of several lines cannot be masked, here as in GitLab: that no job shows a key is
    /// looked at in the end.
    async fn make_variables(&self) {
        let key = fs_err::read_to_string(self.keys.path().join("deployer")).unwrap();
        let known_hosts = self.stage.lab.folder().path().join("keys/known_hosts");
        let known_hosts = fs_err::read_to_string(known_hosts).unwrap();
        for (name, value) in [
            ("SERVER_3_DOMAIN", format!("deploy@{TEST}")),
            ("PROD_03_DOMAIN", format!("deploy@{PROD}")),
            ("SERVER_3_PRIVATE_KEY", key.clone()),
            ("PROD_03_PRIVATE_KEY", key),
            ("SSH_SERVER_HOSTKEYS", known_hosts),
        ] {
            let body = json!({ "key": name, "value": value });
            self.stage.lotse.post(VARIABLES, &body).await;
        }
    }

    /// From now on the registry's user is this one, with a token that can be revoked. A variable of
    /// the project counts more than the job's own.
    pub(super) async fn set_registry_password(&mut self) {
        let body = json!({ "name": "registry", "scopes": ["read_registry", "write_registry"] });
        let lotse = &self.stage.lotse;
        let made = lotse.post("/user/personal_access_tokens", &body).await;
        let token = made["token"].as_str().unwrap().to_owned();
        for (key, value) in [
            ("CI_REGISTRY_USER", "root"),
            ("CI_REGISTRY_PASSWORD", &token),
        ] {
            let body = json!({ "key": key, "value": value, "masked": value == token });
            lotse.post(VARIABLES, &body).await;
        }
        self.password = (made["id"].as_i64().unwrap(), token);
    }

    /// Gives a variable another value; returns the one it had.
    pub(super) async fn change(&self, key: &str, value: &str) -> String {
        let path = format!("{VARIABLES}/{key}");
        let before = self.stage.lotse.get(&path).await;
        let body = json!({ "value": value });
        self.ask(Method::PUT, &path, &body).await;
        before["value"].as_str().unwrap().to_owned()
    }

    /// Asks the API, which must be content.
    pub(super) async fn ask(&self, method: Method, path: &str, body: &Value) {
        let lotse = &self.stage.lotse;
        let answer = lotse.ask(lotse.request(method, path).json(body)).await;
        assert!((200..300).contains(&answer.status), "{path}: {answer:?}");
    }

    fn copy_example(&self) {
        for entry in fs_err::read_dir(example().join("exim4")).unwrap() {
            let entry = entry.unwrap();
            let target = self.repository.folder().join(entry.file_name());
            fs_err::copy(entry.path(), target).unwrap();
        }
    }

    /// Pushes what is committed to `master`.
    pub(super) async fn push(&self) -> Pipeline<'_> {
        let pushed = self.repository.push(&["HEAD:master"]).await;
        let id = pushed.pipeline();
        let id = id.unwrap_or_else(|| panic!("no pipeline: {}", pushed.text));
        Pipeline { flow: self, id }
    }

    pub(super) async fn nothing_runs_for_a_branch(&self) {
        self.repository.commit("on a branch").await;
        let pushed = self.repository.push(&["HEAD:try-this"]).await;
        assert!(pushed.ok, "{}", pushed.text);
        assert_eq!(pushed.pipeline(), None, "{}", pushed.text);
        assert!(pushed.remote.contains("no pipeline"), "{}", pushed.text);
    }

    /// Sends a mail to a host's port 25 and waits until it lies in the mailbox, with all that came
    /// before.
    pub(super) async fn mail_arrives(&self, host: &str, subject: &str) {
        let before = self.mails(host);
        let address = SocketAddr::from((self.stage.host(host).address(), 25));
        mail::send(address, "root@localhost", subject).await;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = self.mails(host);
            assert!(now.starts_with(&before), "{before:?} is no more: {now:?}");
            if now[before.len()..].iter().any(|mail| mail == subject) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{host}: {subject:?} is not in {now:?}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The subjects of the mails in a host's mailbox.
    pub(super) fn mails(&self, host: &str) -> Vec<String> {
        let read = "cat /var/mail/keepers 2>/dev/null || true";
        let mails = self
            .stage
            .exec(host, &["docker", "exec", "exim4", "sh", "-c", read]);
        let subjects = mails
            .lines()
            .filter_map(|line| line.strip_prefix("Subject: "));
        subjects.map(str::to_owned).collect()
    }

    /// What of the service runs on a host: the container's id, its state and its image.
    pub(super) fn running(&self, host: &str) -> String {
        let format = "{{.Id}} {{.State.Running}} {{.HostConfig.RestartPolicy.Name}} {{.Image}}";
        self.stage
            .exec(host, &["docker", "inspect", "--format", format, "exim4"])
    }

    /// Whether a command on a host succeeds.
    pub(super) fn try_exec(&self, host: &str, words: &[&str]) -> bool {
        let output = self.stage.host(host).exec(words).unwrap();
        output.status.success()
    }

    /// All logs of all attempts of all jobs.
    pub(super) async fn no_secret_is_in_a_log(&self) {
        let lotse = &self.stage.lotse;
        let key = fs_err::read_to_string(self.keys.path().join("deployer")).unwrap();
        let secrets = key.lines().filter(|line| !line.starts_with("---"));
        let secrets: Vec<_> = secrets.chain([self.password.1.as_str()]).collect();
        let jobs = "/projects/invenio%2Fexim4/jobs?per_page=100";
        let jobs = lotse.get(jobs).await;
        let jobs = jobs.as_array().unwrap();
        assert!(jobs.len() > 10, "{} jobs", jobs.len());
        for job in jobs {
            let log = lotse.log(PROJECT, job["id"].as_i64().unwrap()).await;
            for secret in &secrets {
                assert!(!log.contains(secret), "{}: a secret in\n{log}", job["name"]);
            }
        }
    }

    /// Neither the seed's, which its jobs never end, nor the example's. One that has ended may not be
    /// buried yet.
    pub(super) fn no_agent_is_left(&self) {
        let all = self
            .stage
            .exec(BUILD, &["ps", "-e", "-o", "stat=,ppid=,args="]);
        let mut alive = all.lines().filter(|line| !line.starts_with('Z'));
        assert!(alive.all(|line| !line.contains("ssh-agent")), "{all}");
    }
}

impl Pipeline<'_> {
    pub(super) async fn succeeds(&self) {
        self.flow.stage.succeeds(PROJECT, self.id).await;
    }

    pub(super) async fn ended(&self) -> Snapshot {
        self.flow.stage.ended(PROJECT, self.id).await
    }
}
