//! One host: starting it, entering it, and running commands in it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Pid;

use crate::folder::{Folder, replace};
use crate::keys::Keys;
use crate::name::{HostName, LabName, ServiceName};
use crate::process::{Mark, end_all, first_of_namespace};
use crate::record::{HostRecord, Record};
use crate::service::{Service, Started, tail};
use crate::share::SharePath;
use crate::subnet::Subnet;
use crate::tool::Tools;
use crate::{Error, Result, engine, link, tool};

const INIT: &str = include_str!("init.sh");
/// `/usr/bin` before `/usr/local/bin`: a host has Debian's Docker, whatever else the machine has.
const PATH: &str = "/lab/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin";
const PATIENCE: Duration = Duration::from_secs(60);

/// A host of a lab.
#[derive(Clone, Debug)]
pub struct Host {
    pub(crate) lab: LabName,
    pub(crate) folder: Folder,
    pub(crate) subnet: Subnet,
    pub(crate) record: HostRecord,
}

/// How a command in a host is called.
#[derive(Clone, Debug, Default)]
pub struct Invocation {
    /// The words of the command; the first is looked up in the host's `PATH`.
    pub words: Vec<String>,
    /// Variables beside the host's usual ones.
    pub variables: Vec<(String, String)>,
    /// The folder it starts in; `/root` if none is given.
    pub folder: Option<String>,
}

/// A command that shall stay when its caller is gone.
#[derive(Clone, Debug)]
pub struct Detached {
    /// The name by which it is found again: one process of a name runs in a host.
    pub name: ServiceName,
    /// What to run.
    pub invocation: Invocation,
    /// Where its output goes, on this machine; a file in the lab's folder if none is given.
    pub log: Option<PathBuf>,
}

impl<S: AsRef<str>> From<&[S]> for Invocation {
    fn from(words: &[S]) -> Self {
        Self {
            words: words.iter().map(|word| word.as_ref().to_owned()).collect(),
            ..Self::default()
        }
    }
}

impl Host {
    /// The host's name.
    pub fn name(&self) -> &HostName {
        &self.record.name
    }

    /// The host's address.
    pub fn address(&self) -> Ipv4Addr {
        self.subnet.address(self.record.seat)
    }

    /// The socket of the host's engine, on this machine.
    pub fn docker_socket(&self) -> PathBuf {
        self.folder.socket(self.name())
    }

    /// The configuration to be given to `ssh -F`; the host's name is known in it.
    pub fn ssh_config(&self) -> PathBuf {
        Keys::of(&self.folder).config()
    }

    /// Whether the host's namespaces are there.
    pub fn is_running(&self) -> bool {
        self.first_process().is_ok()
    }

    /// Runs a command to its end and returns what it printed, whatever its exit code.
    ///
    /// # Errors
    /// Fails if the host is not running.
    pub fn exec<S: AsRef<str>>(&self, words: &[S]) -> Result<Output> {
        let mut command = self.command(&words.into())?;
        command.stdin(Stdio::null());
        command.output().map_err(tool::start_failed(&command))
    }

    /// A command in the host, to be started as the caller likes. It dies with its caller. Standard
    /// input, output and terminal pass through, and so does the exit code.
    ///
    /// # Errors
    /// Fails if the host is not running.
    pub fn command(&self, invocation: &Invocation) -> Result<Command> {
        let mut command = self.enter()?;
        command.args(["setpriv", "--pdeathsig", "KILL"]);
        add(&mut command, invocation);
        Ok(command)
    }

    /// Starts a process that stays until it ends or the lab does. One that runs already under this
    /// name is left alone.
    ///
    /// # Errors
    /// Fails if the host is not running or has no such command.
    pub fn start(&self, detached: &Detached) -> Result<Started> {
        let service = Service {
            host: self.first_process()?,
            name: detached.name.as_str(),
        };
        if service.is_running() {
            return Ok(Started::Before);
        }
        let mut command = self.enter()?;
        add(
            &mut command,
            &Invocation {
                words: Vec::new(),
                ..detached.invocation.clone()
            },
        );
        let words: Vec<_> = detached
            .invocation
            .words
            .iter()
            .map(String::as_str)
            .collect();
        service
            .start(command, &words, &self.log(detached))
            .map(|()| Started::Now)
    }

    /// Ends a process that [`Host::start`] started, first by asking.
    ///
    /// # Errors
    /// Fails if the host is not running.
    pub fn stop(&self, name: &ServiceName) -> Result<()> {
        let service = Service {
            host: self.first_process()?,
            name: name.as_str(),
        };
        let enter = self.enter_of(service.host);
        service.stop(enter, Duration::from_secs(10))
    }

    /// Where the output of a detached process goes.
    pub fn log(&self, detached: &Detached) -> PathBuf {
        detached
            .log
            .clone()
            .unwrap_or_else(|| self.folder.log(self.name(), detached.name.as_str()))
    }

    fn mark(&self) -> Mark {
        Mark::Host(self.lab.clone(), self.name().clone())
    }

    fn first_process(&self) -> Result<Pid> {
        first_of_namespace(&self.mark()).ok_or_else(|| Error::HostDown {
            lab: self.lab.clone(),
            host: self.name().clone(),
        })
    }

    fn enter(&self) -> Result<Command> {
        Ok(self.enter_of(self.first_process()?)())
    }

    fn enter_of(&self, first: Pid) -> impl Fn() -> Command + use<> {
        move || {
            let mut command = tool::command("nsenter");
            command
                .env_clear()
                .env("PATH", PATH)
                .env("HOME", "/root")
                .env("USER", "root")
                .env("LOGNAME", "root");
            command
                .env("SHELL", "/bin/bash")
                .env("LANG", "C.UTF-8")
                .stdin(Stdio::inherit());
            if let Some(terminal) = std::env::var_os("TERM") {
                command.env("TERM", terminal);
            }
            let pid = first.as_raw_nonzero().to_string();
            command.args([
                "--target", &pid, "--mount", "--uts", "--ipc", "--net", "--pid", "--",
            ]);
            command
        }
    }

    /// Brings the host up, or mends it. Returns what had to be started.
    pub(crate) fn up(&self, tools: &Tools<'_>, lab: &Record) -> Result<Vec<&'static str>> {
        let mut started = Vec::new();
        let first = match first_of_namespace(&self.mark()) {
            Some(first) => first,
            None => {
                started.push("host");
                self.boot(&lab.shares_of(self.name()))?
            }
        };
        self.check_shares(first, lab)?;
        link::attach(tools, self.subnet, self.record.seat, first)?;
        let settings_changed = self.write_files(lab, first)?;
        let sshd = Service {
            host: first,
            name: "sshd",
        };
        let engine = Service {
            host: first,
            name: "engine",
        };
        if !sshd.is_running() {
            started.push("sshd");
            self.start_own(&sshd, &["/usr/sbin/sshd", "-D", "-e"])?;
        }
        if !engine.is_running() {
            started.push("engine");
            self.start_own(&engine, engine::COMMAND)?;
        } else if settings_changed {
            self.reload(&engine)?;
        }
        self.await_answer(&sshd, "does not answer on port 22", || {
            self.answers_on_ssh()
        })?;
        self.await_answer(&engine, "does not answer on its socket", || {
            engine::version(&self.docker_socket()).is_some()
        })?;
        Ok(started)
    }

    /// Each shared folder is there; a host gets them when it starts.
    fn check_shares(&self, first: Pid, lab: &Record) -> Result<()> {
        let identity = |path: &Path| {
            let metadata = fs_err::metadata(path).ok()?;
            Some((metadata.dev(), metadata.ino()))
        };
        let is_there = |path: &SharePath| {
            let seen = format!("/proc/{}/root{path}", first.as_raw_nonzero());
            let shared = identity(&self.folder.share(path));
            shared.is_some() && shared == identity(Path::new(&seen))
        };
        let shares = lab.shares_of(self.name());
        match shares.into_iter().find(|path| !is_there(path)) {
            Some(path) => Err(Error::ShareTooLate {
                lab: self.lab.clone(),
                host: self.name().clone(),
                path: path.clone(),
            }),
            None => Ok(()),
        }
    }

    fn boot(&self, shares: &[&SharePath]) -> Result<Pid> {
        let start = Mark::Start(self.lab.clone(), self.name().clone());
        self.folder.make_host(self.name())?;
        let lock = end(&self.folder, &self.lab, self.name())?;
        let log = self.folder.log(self.name(), "start");
        let err = fs_err::File::create(&log)
            .map_err(Error::file("make the host's log"))?
            .into_file();
        let mut command = tool::command("setsid");
        command.args([
            "--fork",
            "unshare",
            "--mount",
            "--uts",
            "--ipc",
            "--net",
            "--pid",
            "--fork",
            "--kill-child",
        ]);
        command.args([
            "bash",
            "-c",
            INIT,
            &start.argument(),
            // Not the mark of the finished host: nobody bears that before it is.
            &Mark::AnyOf(self.lab.clone()).argument(),
        ]);
        command.args([
            self.folder.host(self.name()).as_os_str(),
            self.folder.path().as_os_str(),
            OsStr::new(self.name().as_str()),
        ]);
        for path in shares {
            let folder = self.folder.share(path);
            fs_err::create_dir_all(&folder).map_err(Error::file("make a shared folder"))?;
            command.arg(path.as_str()).arg(folder);
        }
        command.stdin(lock).stdout(Stdio::piped()).stderr(err);
        let mut child = command.spawn().map_err(tool::start_failed(&command))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            // The pipe closes when the first process gives up; then its log says why.
            let _ = BufReader::new(stdout).read_line(&mut line);
        }
        let _ = child.wait();
        let failed = || Error::HostStart {
            host: self.name().clone(),
            said: tail(&log),
        };
        if line.trim() == "ready" {
            first_of_namespace(&self.mark()).ok_or_else(failed)
        } else {
            Err(failed())
        }
    }

    /// Writes what the host must know. Returns whether the engine's settings have changed.
    fn write_files(&self, lab: &Record, first: Pid) -> Result<bool> {
        let root = PathBuf::from(format!("/proc/{}/root", first.as_raw_nonzero()));
        let put = |path: &str, content: &[u8], mode| {
            replace(&root.join(path), content, mode)
                .map_err(Error::file("write a file of a lab host"))
        };
        let keys = Keys::of(&self.folder).for_host(self.name())?;
        let ssh = root.join("root/.ssh");
        fs_err::create_dir_all(&ssh).map_err(Error::file("make a lab host's folder for keys"))?;
        fs_err::set_permissions(&ssh, PermissionsExt::from_mode(0o700))
            .map_err(Error::file("guard a lab host's keys"))?;
        put("root/.ssh/authorized_keys", &keys.user_public_key, 0o600)?;
        put("root/.ssh/id_ed25519", &keys.user_key, 0o600)?;
        put("etc/ssh/ssh_host_ed25519_key", &keys.host_key, 0o600)?;
        put("etc/ssh/ssh_known_hosts", &keys.known_hosts, 0o644)?;
        put("etc/ssh/sshd_config", sshd_config().as_bytes(), 0o644)?;
        let names = format!(
            "127.0.0.1 localhost\n::1 localhost ip6-localhost\n{}",
            lab.names(self.subnet)
        );
        put("etc/hosts", names.as_bytes(), 0o644)?;
        put(
            "etc/resolv.conf",
            format!("nameserver {}\n", self.subnet.gateway()).as_bytes(),
            0o644,
        )?;
        put(
            "etc/profile.d/zz-lab.sh",
            format!("export PATH={PATH}\n").as_bytes(),
            0o644,
        )?;
        let settings = engine::settings(lab, self.name());
        let known = fs_err::read_to_string(root.join("etc/docker/daemon.json")).unwrap_or_default();
        put("etc/docker/daemon.json", settings.as_bytes(), 0o644)?;
        Ok(known != settings)
    }

    fn start_own(&self, service: &Service<'_>, words: &[&str]) -> Result<()> {
        let log = self.folder.log(self.name(), service.name);
        service.start(self.enter_of(service.host)(), words, &log)
    }

    fn reload(&self, engine: &Service<'_>) -> Result<()> {
        let Some(pid) = engine.pid() else {
            return Ok(());
        };
        let mut command = self.enter_of(engine.host)();
        command.args(["kill", "-HUP", &pid.to_string()]);
        tool::output_of(command).map(drop)
    }

    fn answers_on_ssh(&self) -> bool {
        let address = SocketAddr::new(self.address().into(), 22);
        TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
    }

    /// Neither sshd nor the engine tells when it is ready, so they are asked again and again.
    fn await_answer(
        &self,
        service: &Service<'_>,
        problem: &str,
        answers: impl Fn() -> bool,
    ) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !answers() {
            let lives = service.is_running();
            if !lives || Instant::now() > deadline {
                let problem = if lives { problem } else { "has ended" };
                return Err(self.service_failed(service.name, problem));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn service_failed(&self, service: &str, problem: &str) -> Error {
        let log = self.folder.log(self.name(), service);
        Error::Service {
            host: self.name().clone(),
            service: service.to_owned(),
            problem: problem.to_owned(),
            said: tail(&log),
            log,
        }
    }
}

/// Ends a host, also one whose start was cut short. Every process of it holds the host's lock, so
/// when that is free none is left, not even one that bore no mark yet. Returns the lock.
pub(crate) fn end(folder: &Folder, lab: &LabName, host: &HostName) -> Result<File> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        end_all(lab, &Mark::Start(lab.clone(), host.clone()))?;
        end_all(lab, &Mark::Host(lab.clone(), host.clone()))?;
        if let Some(lock) = folder.try_lock_host(host)? {
            return Ok(lock);
        }
        if Instant::now() > deadline {
            return Err(Error::Unkillable {
                name: lab.clone(),
                count: 1,
            });
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn add(command: &mut Command, invocation: &Invocation) {
    command.envs(
        invocation
            .variables
            .iter()
            .map(|(name, value)| (name, value)),
    );
    let folder = invocation.folder.as_deref().unwrap_or("/root");
    command
        .arg("env")
        .arg(format!("--chdir={folder}"))
        .arg("--")
        .args(&invocation.words);
}

fn sshd_config() -> String {
    format!(
        "HostKey /etc/ssh/ssh_host_ed25519_key\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n\
         KbdInteractiveAuthentication no\nUsePAM no\nUseDNS no\nPidFile none\nAcceptEnv LANG LC_*\n\
         SetEnv PATH={PATH}\nSubsystem sftp internal-sftp\nMaxStartups 100\n"
    )
}
