//! A host: an engine of its own, and `lotse edge …` as its user calls it.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use docker::container::{Container, ContainerSpec};
use docker::exec::{ExecLimits, ExecSpec};
use docker::{Archive, Engine, EngineAddress, Name};
use testkit::dockerd::Dockerd;

pub(crate) struct Host {
    pub(crate) engine: Engine,
    pub(crate) daemon: Dockerd,
}

/// What a command that succeeded said.
pub(crate) struct Said(String);

impl Said {
    pub(crate) fn says(&self, part: &str) {
        assert!(self.0.contains(part), "{part:?} is missing: {}", self.0);
    }
}

impl Host {
    pub(crate) async fn start() -> Option<Self> {
        let daemon = Dockerd::start()?;
        let address = EngineAddress::Unix(daemon.socket());
        let engine = Engine::connect(&address, None).await.unwrap();
        Some(Self { engine, daemon })
    }

    pub(crate) fn name(&self) -> Name {
        "lotse-edge".parse().unwrap()
    }

    pub(crate) fn up(&self, arguments: &[&str]) -> Said {
        self.run(&[&["up"], arguments].concat())
    }

    pub(crate) fn up_fails(&self, arguments: &[&str]) -> String {
        self.fails(&[&["up"], arguments].concat())
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        let output = self.command(arguments).output().unwrap();
        let text = testkit::dockerd::text_of(&output);
        assert!(output.status.success(), "{arguments:?}: {text}");
        Said(text)
    }

    pub(crate) fn fails(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        let text = testkit::dockerd::text_of(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
        text
    }

    /// Starts `lotse edge up` and kills it as soon as it has said this.
    pub(crate) fn cut_off_after(&self, word: &str, arguments: &[&str]) {
        let mut command = self.command(&[&["up"], arguments].concat());
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let said = output
            .lines()
            .map_while(Result::ok)
            .any(|line| line.contains(word));
        process.kill().unwrap();
        process.wait().unwrap();
        assert!(said, "it never said {word:?}");
    }

    /// Gives a port its target by a command in the edge's container.
    pub(crate) async fn set(&self, port: u16, target: SocketAddr) -> Result<(), String> {
        let (port, target) = (port.to_string(), target.to_string());
        let set = ["lotse", "edge", "set", &port, &target, "--watch", "0s"];
        self.inside(&set).await.map(drop)
    }

    pub(crate) async fn routes(&self) -> String {
        self.inside(&["lotse", "edge", "list"]).await.unwrap()
    }

    pub(crate) async fn edge(&self) -> Container {
        self.engine.inspect_container(&self.name()).await.unwrap()
    }

    /// A container that is no edge.
    pub(crate) async fn make_foreign(&self, name: &str) {
        let mut archive = tar::Builder::new(Vec::new());
        let header = &mut tar::Header::new_gnu();
        header.set_size(0);
        archive
            .append_data(header, "empty", std::io::empty())
            .unwrap();
        let archive = Archive::whole(archive.into_inner().unwrap());
        let image = "foreign:1".parse().unwrap();
        self.engine
            .import_image(&image, archive, &[])
            .await
            .unwrap();
        let mut spec = ContainerSpec::new(image);
        spec.command = Some(vec!["/none".to_owned()]);
        let name = name.parse().unwrap();
        self.engine.create_container(&name, &spec).await.unwrap();
    }

    async fn inside(&self, command: &[&str]) -> Result<String, String> {
        let spec = ExecSpec::new(command.iter().copied());
        let (name, limits) = (self.name(), ExecLimits::default());
        let outcome = self.engine.run_exec(&name, &spec, b"", limits).await;
        let outcome = outcome.map_err(|error| format!("{error}: {}", error.problem()))?;
        match outcome.exit_code {
            0 => Ok(outcome.text()),
            _ => Err(outcome.text()),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let (verb, rest) = arguments.split_first().unwrap();
        let host = format!("unix://{}", self.daemon.socket().display());
        let mut command = lotse(&["edge", verb, "--host", &host]);
        command.args(rest);
        command
    }
}

/// The program, away from the machine's own settings: this build's, or the one that `LOTSE_PROGRAM` names.
pub(crate) fn lotse(arguments: &[&str]) -> Command {
    let program = std::env::var_os("LOTSE_PROGRAM");
    let mut command = Command::new(program.unwrap_or_else(|| env!("CARGO_BIN_EXE_lotse").into()));
    command
        .args(arguments)
        .env_remove("DOCKER_HOST")
        .env_remove("DOCKER_CERT_PATH")
        .stdin(Stdio::null());
    command
}
