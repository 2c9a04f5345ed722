//! A Docker engine of a test's own, which never meets the machine's: own network, mounts and
//! processes (so that two engines cannot delete each other's bridge), own folders, gone with the
//! value. It has no way out of its loopback device; a test gives it a server with
//! [`Dockerd::listen`]. It runs containers; `busybox` makes images for them.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, ErrorKind, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::thread::LinkNameSpaceType;
use tempfile::TempDir;

const START: Duration = Duration::from_secs(90);
const READY: &str = "API listen on";

/// Its first argument is the engine's folder, the next the control group of its containers; the others
/// are the engine's own.
const START_SCRIPT: &str = r#"
group=$1; shift
ip link set lo up && exec dockerd --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "/$group" \
    --data-root "$0/data" --exec-root "$0/exec" --pidfile "$0/pid" -H "unix://$0/docker.sock" "$@" 2>&1
"#;

const CGROUPS: &str = "/sys/fs/cgroup";
const LETTING_GO: Duration = Duration::from_secs(5);

/// A running engine. Dropping it ends every process of it and removes its files.
pub struct Dockerd {
    process: Child,
    /// Reads the engine's output until the last process that holds it has ended.
    log: Option<JoinHandle<()>>,
    folder: TempDir,
    more: Vec<String>,
}

impl Dockerd {
    /// Starts an engine and waits until it answers; `None`, said aloud, where that is impossible.
    ///
    /// # Panics
    /// When the engine does not start although it should, and where nothing may be skipped.
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// [`Dockerd::start`], with further arguments for the engine.
    ///
    /// # Panics
    /// As [`Dockerd::start`].
    pub fn start_with(more: &[String]) -> Option<Self> {
        if let Some(reason) = reason_to_skip() {
            crate::skip(&reason);
            return None;
        }
        let folder = TempDir::with_prefix("dockerd-").expect("a temporary folder can be made");
        let (process, log) = start_in(folder.path(), more);
        Some(Self {
            process,
            log: Some(log),
            folder,
            more: more.to_vec(),
        })
    }

    /// Ends all processes at once, as a host does that loses its power, and starts the engine anew
    /// with the files it has. Its network is another one from then on.
    ///
    /// # Panics
    /// When it does not start.
    pub fn reboot(&mut self) {
        self.end();
        let (process, log) = start_in(self.folder.path(), &self.more);
        self.process = process;
        self.log = Some(log);
    }

    /// Everything of the engine ends with this one process; the log ends with the last of them.
    fn end(&mut self) {
        let _ended_before = self.process.kill();
        let _status = self.process.wait();
        if let Some(log) = self.log.take() {
            let _panicked = log.join();
        }
    }

    /// The engine's first process, which others reach its namespaces by.
    fn pid(&self) -> u32 {
        let children = format!("/proc/{0}/task/{0}/children", self.process.id());
        let children = fs_err::read_to_string(children).expect("the engine runs");
        let first = children.split_whitespace().next();
        first
            .and_then(|pid| pid.parse().ok())
            .expect("the engine runs")
    }

    /// Sends SIGKILL to a process by its number among the engine's.
    ///
    /// # Panics
    /// When there is none.
    pub fn kill(&self, pid: u32) {
        let status = Command::new("nsenter")
            .arg(format!("--pid=/proc/{}/ns/pid", self.pid()))
            .args(["sh", "-c", &format!("kill -KILL {pid}")])
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "no process {pid}"
        );
    }

    /// The number of its containerd, which it starts anew when that has ended.
    ///
    /// # Panics
    /// When there is none.
    pub fn containerd(&self) -> u32 {
        let file = self.folder.path().join("exec/containerd/containerd.pid");
        let number = fs_err::read_to_string(file).expect("containerd runs");
        number.trim().parse().expect("it is a number")
    }

    /// Leaves something under a container's id that is never started: as an engine does that ends amid
    /// the container's start.
    ///
    /// # Panics
    /// When containerd does not take it.
    pub fn leave_behind(&self, container: &str) {
        let root = self.folder.path().join("left");
        fs_err::create_dir_all(&root).expect("the engine's folder can be written");
        fs_err::copy("/bin/busybox", root.join("busybox")).expect("busybox is installed");
        let said = Command::new("nsenter")
            .arg(format!("--target={}", self.pid()))
            .args(["--mount", "--net", "--pid", "ctr", "--address"])
            .arg(self.folder.path().join("exec/containerd/containerd.sock"))
            .args(["--namespace=moby", "run", "--detach", "--null-io"])
            // It has been made when this cannot be written, and is left alone then.
            .args(["--pid-file=/nowhere/pid", "--rootfs"])
            .arg(root)
            .args([container, "/busybox", "sleep", "60"])
            .output()
            .expect("nsenter runs");
        let said = String::from_utf8_lossy(&said.stderr);
        assert!(said.contains("/nowhere/"), "{said}");
    }

    /// The engine's API: the path of a Unix socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    /// A listener on a free port of the engine's `127.0.0.1`, where nothing else can reach it.
    ///
    /// # Panics
    /// When the network of the engine cannot be entered.
    pub fn listen(&self) -> TcpListener {
        let network = self.network();
        // A thread of its own changes its network and ends; the socket stays where it was made.
        let bind = move || {
            network.enter();
            TcpListener::bind(("127.0.0.1", 0)).expect("the engine's loopback has free ports")
        };
        thread::spawn(bind).join().expect("the listener was made")
    }

    /// The network of the engine, and of containers in their host's network.
    pub fn network(&self) -> Network {
        Network(format!("/proc/{}/ns/net", self.process.id()))
    }

    /// A command of this client, such as `docker`, that talks to this engine and keeps its logins
    /// in this engine's folder.
    pub fn client(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .env("DOCKER_HOST", format!("unix://{}", self.socket().display()))
            .env("DOCKER_CONFIG", self.folder.path().join("client"))
            // BuildKit would need a plug-in of the newer client.
            .env("DOCKER_BUILDKIT", "0")
            .stdin(Stdio::null());
        command
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        self.end();
        remove_cgroups(&cgroup(self.folder.path()));
    }
}

/// A network of its own.
#[derive(Debug, Clone)]
pub struct Network(String);

impl Network {
    /// Moves the calling thread into the network, for good.
    ///
    /// # Panics
    /// When it is gone.
    pub fn enter(&self) {
        let network = fs_err::File::open(&self.0).expect("the engine runs");
        let entered = rustix::thread::move_into_link_name_space(
            std::os::fd::AsFd::as_fd(network.file()),
            Some(LinkNameSpaceType::Network),
        );
        entered.expect("root may enter a network");
    }

    /// The same program with nothing but the variables that it was given, in the network.
    pub fn within(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside
            .arg(format!("--net={}", self.0))
            .arg(command.get_program())
            .args(command.get_args())
            .env_clear()
            .envs(
                command
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .stdin(Stdio::null());
        if let Some(folder) = command.get_current_dir() {
            inside.current_dir(folder);
        }
        inside
    }
}

/// The Docker clients of this machine, each once, under their full paths.
pub fn clients() -> BTreeSet<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .filter_map(|folder| fs_err::canonicalize(folder.join("docker")).ok())
        .collect()
}

/// Both outputs of a command, for messages of failed tests.
pub fn text_of(output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    format!("{out}{err}")
}

fn reason_to_skip() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("a Docker engine needs root".to_owned());
    }
    ["dockerd", "docker", "unshare", "ip"]
        .iter()
        .find(|program| !is_installed(program))
        .map(|program| format!("`{program}` is not installed"))
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn spawn(folder: &Path, more: &[String]) -> Child {
    Command::new("unshare")
        .args([
            "--net",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ])
        .args(["sh", "-c", START_SCRIPT])
        .arg(folder)
        .arg(cgroup(folder))
        .args(more)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("unshare is installed")
}

/// Starts an engine with the files in this folder, and waits until it answers.
fn start_in(folder: &Path, more: &[String]) -> (Child, JoinHandle<()>) {
    // As after a start of the machine, when nothing is left of running processes.
    let _not_there = fs_err::remove_file(folder.join("pid"));
    let _not_there = fs_err::remove_dir_all(folder.join("exec"));
    let mut process = spawn(folder, more);
    let output = process.stdout.take().expect("the output is piped");
    let (lines, received) = mpsc::channel();
    let log = thread::spawn(move || send_lines(output, &lines));
    wait_until_ready(&received);
    (process, log)
}

/// The control group of an engine's containers: the name of its folder is its own.
fn cgroup(folder: &Path) -> String {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    format!("lotse-test-{}", name.replace('.', "_"))
}

/// Groups outlive the processes in them. Version 2 has one hierarchy, version 1 one in each folder.
fn remove_cgroups(name: &str) {
    let below = fs_err::read_dir(CGROUPS).into_iter().flatten().flatten();
    let hierarchies = below.map(|entry| entry.path()).chain([CGROUPS.into()]);
    for hierarchy in hierarchies {
        remove_groups(&hierarchy.join(name));
    }
}

/// The files in a group's folder go with it; only groups below it must go before.
fn remove_groups(group: &Path) {
    for child in fs_err::read_dir(group).into_iter().flatten().flatten() {
        if child.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_groups(&child.path());
        }
    }
    let deadline = Instant::now() + LETTING_GO;
    while let Err(error) = fs_err::remove_dir(group) {
        if error.kind() != ErrorKind::ResourceBusy || Instant::now() > deadline {
            return;
        }
        // The kernel lets go of dead members a moment after they are gone, and tells nobody.
        thread::sleep(Duration::from_millis(5));
    }
}

fn send_lines(output: impl Read, lines: &mpsc::Sender<String>) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        let _nobody_waits = lines.send(line);
    }
}

fn wait_until_ready(lines: &mpsc::Receiver<String>) {
    let mut log = String::new();
    while !log.contains(READY) {
        match lines.recv_timeout(START) {
            Ok(line) => log = format!("{log}{line}\n"),
            Err(error) => panic!("the Docker engine did not start ({error}):\n{log}"),
        }
    }
}
