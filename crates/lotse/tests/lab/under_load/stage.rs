//! A lab of three web servers and a desk. The desk's engine pushes images to a registry, and a balancer runs on it; `lotse deploy` runs beside the lab and reaches the web servers by
//! SSH alone, with a home of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use lab::{Detached, Host, Invocation, Lab, Spec, Throwaway};
use testkit::application::Application;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{open_registry, project};

/// The program.
pub(crate) const LOTSE: &str = env!("CARGO_BIN_EXE_lotse");
pub(crate) const REGISTRY: &str = "registry.lotse.lab";
pub(crate) const WEB: [&str; 3] = ["web1", "web2", "web3"];
pub(crate) const DESK: &str = "desk";
const PROJECT: &str = "shop/site";
/// How long anything that is waited for may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

pub(crate) struct Stage {
    pub(crate) lab: Throwaway,
    application: Application,
    spec: Spec,
    folder: tempfile::TempDir,
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) text: String,
    pub(crate) took: Duration,
}

impl Stage {
    /// Three web servers. `None`, said aloud, where hosts cannot be made.
    pub(crate) async fn set(name: &str) -> Option<Self> {
        Self::of(name, &WEB).await
    }

    /// These web servers, and the desk.
    pub(crate) async fn of(name: &str, web: &[&str]) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            testkit::skip("the lab needs root");
            return None;
        }
        let begin = Instant::now();
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("lotse");
        strip(&program);
        let spec = spec(name, folder.path(), web);
        let making = spec.clone();
        let lab = tokio::task::spawn_blocking(move || Lab::up(&making));
        let lab = lab.await.unwrap().unwrap().throwaway();
        let images = folder.path().join("images");
        open_registry::serve(lab.gateway(), &images).await;
        let stage = Self {
            lab,
            application: Application::compile(),
            spec,
            folder,
        };
        stage.make_home();
        for host in web {
            // the device of the volume `uploaded`
            stage.exec(host, &["mkdir", "-p", "/storage"]);
        }
        project::write(&stage.project(), &project::Settings::default());
        println!("the stage is set after {:?}", begin.elapsed());
        Some(stage)
    }

    pub(crate) fn host(&self, name: &str) -> Host {
        self.lab.host(name).unwrap()
    }

    /// The published port of a host.
    pub(crate) fn port(&self, host: &str) -> SocketAddr {
        SocketAddr::from((self.host(host).address(), 8080))
    }

    /// Starts what has ended of the hosts' own: engine and sshd.
    pub(crate) fn mend_hosts(&self) {
        Lab::up(&self.spec).unwrap();
    }

    /// Where `lotse.toml` and the compose file are.
    pub(crate) fn project(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// Runs a command in a host and returns what it printed.
    pub(crate) fn exec(&self, host: &str, words: &[&str]) -> String {
        let output = self.host(host).exec(words).unwrap();
        let text = testkit::dockerd::text_of(&output);
        assert!(output.status.success(), "{host}: {words:?}: {text}");
        text
    }

    /// Makes the image of a release and pushes it.
    pub(crate) fn push(&self, release: u64) {
        let archive = self.folder.path().join("image.tar");
        fs_err::write(&archive, self.application.archive(release)).unwrap();
        let image = image(release);
        let changes = Application::changes(release);
        let changes = changes
            .iter()
            .flat_map(|change| ["--change", change.as_str()]);
        let mut import = vec!["import"];
        import.extend(changes);
        import.extend([archive.to_str().unwrap(), &image]);
        self.docker(&import);
        self.docker(&["push", "--quiet", &image]);
    }

    /// `lotse` in the project's folder, with the values of a release.
    pub(crate) fn command(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new(self.folder.path().join("lotse"));
        command
            .args(arguments)
            .current_dir(self.project())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.home())
            .env("DOCKER_CONFIG", self.docker_config())
            .envs(variables.iter().copied())
            .stdin(Stdio::null());
        command
    }

    pub(crate) async fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
        ran(self.command(arguments, variables)).await
    }

    /// Deploys a release, which may have a fault.
    pub(crate) async fn deploy(&self, release: u64, fault: &str) -> Ran {
        let release = release.to_string();
        let variables = [("RELEASE", release.as_str()), ("FAULT", fault)];
        self.run(&["deploy", "prod"], &variables).await
    }

    pub(crate) async fn rollback(&self) -> Ran {
        self.run(&["rollback", "prod"], &[("RELEASE", "0"), ("FAULT", "")])
            .await
    }

    /// Starts a balancer at the desk before all web servers; a client stays with one by its cookie.
    pub(crate) fn start_balancer(&self) {
        self.lab
            .share_executable(&self.folder.path().join("lotse"), "lotse")
            .unwrap();
        let words = ["lotse", "edge", "run", "--folder", "/root/balancer"];
        let detached = Detached {
            name: "balancer".parse().unwrap(),
            invocation: Invocation::from(&words[..]),
            log: None,
        };
        self.host(DESK).start(&detached).unwrap();
        let targets = WEB.map(|host| self.port(host).to_string());
        let mut set = vec!["lotse", "edge", "set", "--folder", "/root/balancer"];
        set.extend(["--affinity", "--health", "/ping", "8080"]);
        set.extend(targets.iter().map(String::as_str));
        let deadline = Instant::now() + PATIENCE;
        loop {
            let output = self.host(DESK).exec(&set).unwrap();
            if output.status.success() {
                return;
            }
            let said = testkit::dockerd::text_of(&output);
            assert!(Instant::now() < deadline, "no balancer: {said}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The release that a host answers with, or what it answers else.
    pub(crate) async fn serves(&self, host: &str) -> Result<u64, String> {
        let asking = ask(self.port(host));
        let answer = tokio::time::timeout(PATIENCE, asking).await;
        let answer = answer.map_err(|_| "no answer".to_owned())?;
        let answer = answer.map_err(|error| error.to_string())?;
        let mut lines = answer.lines();
        let release = lines.find_map(|line| line.strip_prefix("x-release: ")?.parse().ok());
        release
            .filter(|_| answer.starts_with("HTTP/1.1 200 "))
            .ok_or(answer)
    }

    /// Every web server answers with this release.
    pub(crate) async fn all_serve(&self, release: u64) {
        for host in WEB {
            assert_eq!(self.serves(host).await, Ok(release), "{host}");
        }
    }

    /// `docker` with the desk's engine.
    fn docker(&self, arguments: &[&str]) {
        let socket = self.host(DESK).docker_socket();
        let output = Command::new("/usr/bin/docker")
            .args(arguments)
            .env("DOCKER_HOST", format!("unix://{}", socket.display()))
            .env("DOCKER_CONFIG", self.docker_config())
            .output()
            .unwrap();
        let text = testkit::dockerd::text_of(&output);
        assert!(output.status.success(), "docker {arguments:?}: {text}");
    }

    /// The logins of whoever deploys.
    pub(crate) fn docker_config(&self) -> PathBuf {
        self.folder.path().join("docker")
    }

    /// The home of whoever deploys: keys, hosts' names and hosts' keys of the lab.
    fn make_home(&self) {
        let ssh = self.home().join(".ssh");
        fs_err::create_dir_all(&ssh).unwrap();
        let config = self.host(DESK).ssh_config();
        let keys = config.parent().unwrap();
        for file in ["known_hosts", "id_ed25519"] {
            fs_err::copy(keys.join(file), ssh.join(file)).unwrap();
        }
        // Where hosts are is told by it; where keys are, by the usual places.
        let config = fs_err::read_to_string(config).unwrap();
        let names = config.lines().filter(|line| !line.contains("File "));
        let names: String = names.map(|line| format!("{line}\n")).collect();
        fs_err::write(ssh.join("config"), names).unwrap();
    }
}

/// The program as releases are: each host gets it, so what only a debugger reads costs time.
fn strip(program: &Path) {
    let mut strip = Command::new("strip");
    let status = strip.arg("-o").arg(program).arg(LOTSE).status();
    if !status.is_ok_and(|status| status.success()) {
        fs_err::copy(LOTSE, program).unwrap();
    }
}

fn spec(name: &str, folder: &Path, web: &[&str]) -> Spec {
    let name = format!("{name}-{}", std::process::id());
    let spec = Spec::new(name.parse().unwrap())
        .folder(folder.join("lab"))
        .alias(format!("{REGISTRY}=gateway").parse().unwrap())
        .insecure_registry(REGISTRY.parse().unwrap());
    let hosts = web.iter().chain([&DESK]);
    hosts.fold(spec, |spec, host| spec.host(host.parse().unwrap()))
}

/// The image of a release.
pub(crate) fn image(release: u64) -> String {
    format!("{REGISTRY}/{PROJECT}:v{release}")
}

/// The whole answer to one request.
async fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: site\r\nconnection: close\r\n\r\n")
        .await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Runs a command to its end without holding up the load.
pub(crate) async fn ran(mut command: Command) -> Ran {
    let begin = Instant::now();
    let output: Output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    Ran {
        code: output.status.code(),
        text: testkit::dockerd::text_of(&output),
        took: begin.elapsed(),
    }
}

impl Ran {
    pub(crate) fn succeeds(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.text);
        self
    }

    pub(crate) fn is_refused(&self) -> bool {
        self.code == Some(1)
    }

    /// It says no, and each of these words.
    pub(crate) fn refuses(self, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(1), "{}", self.text);
        for word in words {
            assert!(
                self.text.contains(word),
                "{word:?} is missing:\n{}",
                self.text
            );
        }
        self
    }
}
