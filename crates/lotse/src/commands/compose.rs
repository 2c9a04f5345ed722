//! `lotse compose …`: a compose project on this machine, with Compose's own options.

mod attached;
mod build;
mod config;
mod down;
mod logs;
mod ps;
mod pull;
mod up;

use std::error::Error as _;
use std::path::PathBuf;
use std::process::ExitCode;

use ::compose::{Loaded, Request};
use apply::project::{OnEngine, ProjectError};
use clap::{Args, Subcommand};
use deploy::HostName;
use docker::Engine;

use crate::disk::Disk;
use crate::hosts;
use crate::output::{Failure, Screen};

/// Read compose files as Compose does, and run them on one engine
///
/// On a host that serves, use `lotse deploy`: here, what is replaced is gone for a moment.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    project: Project,
    #[command(subcommand)]
    command: Command,
}

/// Which project; as in Compose, these stand before the command.
#[derive(Debug, Args)]
struct Project {
    /// A compose file; several are merged in order [default: those with the usual names]
    #[arg(short, long = "file", value_name = "FILE")]
    files: Vec<String>,
    /// The project's name [default: that of its folder]
    #[arg(short, long, value_name = "NAME")]
    project_name: Option<String>,
    /// What relative paths start from [default: the folder of the first file]
    #[arg(long, value_name = "FOLDER")]
    project_directory: Option<String>,
    /// A profile to include; `*` for all (repeatable)
    #[arg(long = "profile", value_name = "NAME")]
    profiles: Vec<String>,
    /// A file with variables [default: .env]
    #[arg(long = "env-file", value_name = "FILE")]
    env_files: Vec<String>,
    /// The engine: unix:///PATH, tcp://HOST:PORT or ssh://[USER@]HOST[:PORT][/PATH]
    #[arg(short = 'H', long, value_name = "HOST", env = "DOCKER_HOST",
        default_value = "unix:///var/run/docker.sock", value_parser = hosts::address)]
    host: HostName,
}

#[derive(Debug, Subcommand)]
enum Command {
    Config(config::Arguments),
    Build(build::Arguments),
    Up(up::Arguments),
    Down(down::Arguments),
    Ps(ps::Arguments),
    Logs(logs::Arguments),
    Pull(pull::Arguments),
}

/// Runs a command of `lotse compose`.
pub(crate) async fn run(arguments: Arguments, screen: Screen) -> Result<ExitCode, Failure> {
    let loaded = arguments.project.load()?;
    // What is said must not mix with what is printed: another program may read that.
    if !loaded.diagnostics.is_empty() {
        eprintln!("{}", loaded.render().trim_end());
    }
    if loaded.has_errors() {
        return Ok(ExitCode::FAILURE);
    }
    let Some(project) = &loaded.project else {
        return Ok(ExitCode::FAILURE);
    };
    if let Command::Config(arguments) = &arguments.command {
        config::run(arguments, &loaded, screen)?;
        return Ok(ExitCode::SUCCESS);
    }
    let engine = arguments.project.engine().await?;
    let keys = hosts::keyring();
    let project = &OnEngine {
        engine: &engine,
        project,
        keys: &*keys,
    };
    match &arguments.command {
        Command::Config(_) => {}
        Command::Build(arguments) => build::run(arguments, project).await?,
        Command::Up(arguments) => return up::run(arguments, project, screen).await,
        Command::Down(arguments) => down::run(arguments, project).await?,
        Command::Ps(arguments) => ps::run(arguments, project, screen).await?,
        Command::Logs(arguments) => logs::run(arguments, project, screen).await?,
        Command::Pull(arguments) => pull::run(arguments, project).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Says what was done, where it does not mix with results.
fn tell(words: String) {
    eprintln!("{words}");
}

fn failure(error: &ProjectError) -> Failure {
    let mut failure = Failure::user(error.to_string());
    if let Some(source) = error.source() {
        failure = failure.because(source);
    }
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

impl Project {
    async fn engine(&self) -> Result<Engine, Failure> {
        let connected = hosts::reach(None).connect(&self.host).await;
        connected.map_err(|error| {
            let failure = Failure::user(error.whole());
            match error.hint() {
                Some(hint) => failure.hint(hint),
                None => failure,
            }
        })
    }

    fn load(&self) -> Result<Loaded, Failure> {
        let here = std::env::current_dir()
            .map_err(|error| Failure::user("cannot tell the current folder").because(&error))?;
        Ok(::compose::load(&self.request(here), &Disk))
    }

    fn request(&self, here: PathBuf) -> Request {
        Request {
            directory: here.to_string_lossy().into_owned(),
            files: self.files.clone(),
            project_directory: self.project_directory.clone(),
            project_name: self.project_name.clone(),
            profiles: self.profiles.clone(),
            env_files: self.env_files.clone(),
            environment: std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
        }
    }
}
