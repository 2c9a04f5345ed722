//! `lotse compose …`: a compose project on this machine, with Compose's own options.

mod config;

use std::path::PathBuf;
use std::process::ExitCode;

use ::compose::{Loaded, Request};
use clap::{Args, Subcommand};

use crate::disk::Disk;
use crate::output::{Failure, Screen};

/// Read compose files as Compose does
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
}

#[derive(Debug, Subcommand)]
enum Command {
    Config(config::Arguments),
}

/// Runs a command of `lotse compose`.
pub(crate) fn run(arguments: &Arguments, screen: Screen) -> Result<ExitCode, Failure> {
    let loaded = arguments.project.load()?;
    // What is said must not mix with what is printed: another program may read that.
    if !loaded.diagnostics.is_empty() {
        eprintln!("{}", loaded.render().trim_end());
    }
    if loaded.has_errors() {
        return Ok(ExitCode::FAILURE);
    }
    match &arguments.command {
        Command::Config(arguments) => config::run(arguments, &loaded, screen)?,
    }
    Ok(ExitCode::SUCCESS)
}

impl Project {
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
