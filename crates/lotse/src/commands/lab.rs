//! `lotse lab`: throwaway hosts on this machine, for trying things out and for tests.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command as Process, ExitCode};

use anyhow::{Context, Result, anyhow};
use clap::{Args, Subcommand};
use lab::{
    Alias, Detached, Folder, Host, HostName, Invocation, Lab, LabName, Progress, RegistryName,
    ServiceName, Share, Spec, Started,
};
use serde_json::{Value, json};

/// Throwaway hosts on this machine: each with its own address, sshd and Docker engine.
///
/// Needs root. Your own Docker engine is never touched, and `lotse lab down` leaves nothing behind.
/// A lab is no security boundary: root in a host is root on this machine.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(Up),
    Stop(Stop),
    Down(Down),
    List(List),
    Exec(Exec),
    Ssh(Ssh),
}

#[derive(Debug, Args)]
struct Which {
    /// The lab's name
    #[arg(long, default_value = "demo", env = "LOTSE_LAB")]
    name: LabName,
    /// The folder that holds the lab [default: /var/lib/lotse/lab/NAME]
    #[arg(long, value_name = "FOLDER", env = "LOTSE_LAB_DIR")]
    dir: Option<PathBuf>,
}

/// Make a lab, add to it, or mend it
///
/// What is there and healthy is left alone. Hosts, aliases and registries given before stay, so
/// that `lotse lab up` alone brings a lab back after a reboot of this machine.
#[derive(Debug, Args)]
struct Up {
    #[command(flatten)]
    which: Which,
    /// A host of the lab (repeatable)
    #[arg(long, value_name = "NAME")]
    host: Vec<HostName>,
    /// A further name for hosts and containers; ADDRESS is an IPv4 address, `gateway` (this machine) or a host's name (repeatable)
    #[arg(long, value_name = "NAME=ADDRESS")]
    alias: Vec<Alias>,
    /// A folder that hosts have in common, as on a network file system; PATH is /storage, /srv, /mnt, /media or below (repeatable)
    #[arg(long, value_name = "PATH=HOST,HOST")]
    share: Vec<Share>,
    /// A registry that the engines reach by plain HTTP, NAME or NAME:PORT (repeatable)
    #[arg(long, value_name = "NAME")]
    insecure_registry: Vec<RegistryName>,
}

/// Switch hosts off, as if their power were cut
///
/// Their files stay; `lotse lab up` switches them on again.
#[derive(Debug, Args)]
struct Stop {
    #[command(flatten)]
    which: Which,
    /// The hosts
    #[arg(required = true, value_name = "HOST")]
    hosts: Vec<HostName>,
}

/// End and remove everything of a lab
#[derive(Debug, Args)]
struct Down {
    #[command(flatten)]
    which: Which,
}

/// List the hosts of all labs, or of one
#[derive(Debug, Args)]
struct List {
    /// Only the lab of this name
    #[arg(long)]
    name: Option<LabName>,
    /// The folder that holds that lab
    #[arg(long, value_name = "FOLDER", requires = "name")]
    dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Run a command in a host, as root
///
/// Input, output, terminal and exit code pass through.
#[derive(Debug, Args)]
struct Exec {
    #[command(flatten)]
    which: Which,
    /// Start the command and leave it running until it ends or the lab does
    #[arg(long, short)]
    detach: bool,
    /// Name of the detached command: while one of this name runs, it is left alone [default: the command's]
    #[arg(long, value_name = "NAME", requires = "detach")]
    service: Option<ServiceName>,
    /// End a running detached command of the same name first
    #[arg(long, requires = "detach")]
    replace: bool,
    /// File on this machine to which the detached command's output is appended [default: in the lab's folder]
    #[arg(long, value_name = "FILE", requires = "detach")]
    log: Option<PathBuf>,
    /// A variable for the command; NAME alone takes it from the environment (repeatable)
    #[arg(long, short, value_name = "NAME[=VALUE]", value_parser = variable)]
    env: Vec<(String, String)>,
    /// Folder in the host to start in
    #[arg(long, short, value_name = "FOLDER", default_value = "/root")]
    workdir: String,
    /// The host
    host: HostName,
    /// The command and its arguments
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "CMD"
    )]
    words: Vec<String>,
}

/// Enter a host by ssh, or run a command there by ssh
#[derive(Debug, Args)]
struct Ssh {
    #[command(flatten)]
    which: Which,
    /// The host
    host: HostName,
    /// The command, as ssh takes it
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "CMD"
    )]
    words: Vec<String>,
}

impl Which {
    fn folder(&self) -> PathBuf {
        self.dir
            .clone()
            .unwrap_or_else(|| Folder::usual(&self.name))
    }

    fn host(&self, host: &HostName) -> lab::Result<Host> {
        Lab::open(&self.name, &self.folder())?.host(host.as_str())
    }
}

/// Runs `lotse lab …`.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let outcome = match arguments.command {
        Command::Up(up) => up.run(),
        Command::Stop(stop) => stop.run(),
        Command::Down(down) => down.run(),
        Command::List(list) => list.run(),
        Command::Exec(exec) => exec.run(),
        Command::Ssh(ssh) => ssh.run(),
    };
    outcome.map_or_else(|error| report(&error), |()| ExitCode::SUCCESS)
}

fn report(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    if let Some(hint) = error
        .downcast_ref::<lab::Error>()
        .and_then(lab::Error::hint)
    {
        eprintln!("hint: {hint}");
    }
    ExitCode::FAILURE
}

impl Up {
    fn run(self) -> Result<()> {
        let mut spec = Spec::new(self.which.name.clone()).folder(self.which.folder());
        for host in self.host {
            spec = spec.host(host);
        }
        for alias in self.alias {
            spec = spec.alias(alias);
        }
        for share in self.share {
            spec = spec.share(share);
        }
        for registry in self.insecure_registry {
            spec = spec.insecure_registry(registry);
        }
        let lab = Lab::up_telling(&spec, &tell)?;
        let own = std::env::current_exe().context("cannot find the path of this program")?;
        Ok(lab.share_executable(&own, "lotse")?)
    }
}

fn tell(progress: Progress<'_>) {
    match progress {
        Progress::Network { subnet, gateway } => {
            println!("network {subnet}, this machine is {gateway} (lotse.lab)");
        }
        Progress::HostReady {
            host,
            address,
            started: [],
            ..
        } => println!("{host:<20} {address:<15} was ready"),
        Progress::HostReady {
            host,
            address,
            started,
            took,
        } => {
            println!(
                "{host:<20} {address:<15} ready: {} started in {:.1} s",
                started.join(", "),
                took.as_secs_f32()
            );
        }
        _ => {}
    }
}

impl Stop {
    fn run(self) -> Result<()> {
        let lab = Lab::open(&self.which.name, &self.which.folder())?;
        for host in &self.hosts {
            lab.stop(host.as_str())?;
            println!("{host} is off");
        }
        Ok(())
    }
}

impl Down {
    fn run(self) -> Result<()> {
        Lab::remove(&self.which.name, &self.which.folder())?;
        println!("the lab {} is gone", self.which.name);
        Ok(())
    }
}

impl List {
    fn run(self) -> Result<()> {
        let labs = match &self.name {
            Some(name) => vec![Lab::open(
                name,
                &self.dir.unwrap_or_else(|| Folder::usual(name)),
            )?],
            None => Lab::all()?,
        };
        let text = if self.json {
            format!("{:#}\n", json(&labs))
        } else {
            table(&labs)
        };
        match std::io::stdout().write_all(text.as_bytes()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(error).context("cannot print the list")
            }
            _ => Ok(()),
        }
    }
}

fn table(labs: &[Lab]) -> String {
    let mut lines = format!(
        "{:<10} {:<18} {:<15} {:<8} {:<42} DOCKER_HOST\n",
        "LAB", "HOST", "ADDRESS", "STATE", "SSH"
    );
    for lab in labs {
        for host in lab.hosts() {
            lines.push_str(&format!(
                "{:<10} {:<18} {:<15} {:<8} {:<42} unix://{}\n",
                lab.name(),
                host.name(),
                host.address(),
                state(&host),
                ssh_command(&host),
                host.docker_socket().display()
            ));
        }
    }
    lines
}

fn json(labs: &[Lab]) -> Value {
    labs.iter().map(lab_json).collect()
}

fn lab_json(lab: &Lab) -> Value {
    json!({
        "name": lab.name(),
        "folder": lab.folder().path(),
        "subnet": lab.subnet().to_string(),
        "gateway": lab.gateway(),
        "hosts": lab.hosts().iter().map(host_json).collect::<Vec<_>>(),
    })
}

fn host_json(host: &Host) -> Value {
    json!({
        "name": host.name(),
        "address": host.address(),
        "state": state(host),
        "ssh": ssh_command(host),
        "docker_ssh": format!("ssh://root@{}", host.address()),
        "docker_socket": format!("unix://{}", host.docker_socket().display()),
    })
}

fn state(host: &Host) -> &'static str {
    if host.is_running() {
        "running"
    } else {
        "stopped"
    }
}

fn ssh_command(host: &Host) -> String {
    format!("ssh -F {} {}", host.ssh_config().display(), host.name())
}

impl Exec {
    fn run(self) -> Result<()> {
        let host = self.which.host(&self.host)?;
        let invocation = Invocation {
            words: self.words,
            variables: self.env,
            folder: Some(self.workdir),
        };
        if !self.detach {
            return Err(become_process(host.command(&invocation)?));
        }
        let name = match self.service {
            Some(name) => name,
            None => usual_service(&invocation.words)?,
        };
        if self.replace {
            host.stop(&name)?;
        }
        let detached = Detached {
            name,
            invocation,
            log: self.log,
        };
        let verb = match host.start(&detached)? {
            Started::Now => "started",
            Started::Before => "was running already",
        };
        println!(
            "{} on {} {verb}; its output: {}",
            detached.name,
            host.name(),
            host.log(&detached).display()
        );
        Ok(())
    }
}

fn usual_service(words: &[String]) -> Result<ServiceName> {
    let command = words.first().map(String::as_str).unwrap_or_default();
    let last = command.rsplit('/').next().unwrap_or_default();
    last.parse().with_context(|| {
        format!(
            "the command `{command}` gives no name for the process; give one with --service NAME"
        )
    })
}

fn variable(text: &str) -> Result<(String, String)> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, std::env::var(text).ok()),
    };
    let is_name = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    anyhow::ensure!(
        is_name,
        "the name of a variable must be of letters, digits and _"
    );
    Ok((
        name.to_owned(),
        value.ok_or_else(|| anyhow!("{name} is not set here; give it as {name}=VALUE"))?,
    ))
}

impl Ssh {
    fn run(self) -> Result<()> {
        let host = self.which.host(&self.host)?;
        let mut command = Process::new("ssh");
        command
            .arg("-F")
            .arg(host.ssh_config())
            .arg(host.name().as_str())
            .args(self.words);
        Err(become_process(command))
    }
}

/// Replaces this process, so that signals and the exit code are the command's own.
fn become_process(mut command: Process) -> anyhow::Error {
    let error = command.exec();
    anyhow::Error::new(error).context(format!(
        "cannot start `{}`",
        command.get_program().to_string_lossy()
    ))
}
