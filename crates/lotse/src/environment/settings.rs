//! Finding and reading `lotse.toml`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use deploy::{Environment, EnvironmentName, Settings};

use crate::output::Failure;

const NAME: &str = "lotse.toml";

/// No `lotse.toml` is larger.
const LARGEST: u64 = 1 << 20;

/// Which environment a command is about.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The environment, as lotse.toml names it
    #[arg(value_name = "ENV")]
    pub(crate) name: EnvironmentName,
    /// The settings, or the folder that holds lotse.toml [default: this folder, or one above]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

/// An environment, and where it was found.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    pub(crate) name: EnvironmentName,
    pub(crate) environment: Environment,
    /// The file that says so.
    pub(crate) file: PathBuf,
    /// Its folder, absolute: what relative paths start from.
    pub(crate) folder: PathBuf,
}

impl Which {
    pub(crate) fn load(&self) -> Result<Scope, Failure> {
        Scope::load(&self.name, self.file.as_deref())
    }
}

impl Scope {
    /// Reads the environment of that name.
    pub(crate) fn load(name: &EnvironmentName, file: Option<&Path>) -> Result<Self, Failure> {
        let file = find(file)?;
        let settings: Settings = read(&file)?.parse().map_err(|error| {
            Failure::user(format!("cannot understand {}", file.display())).because(&error)
        })?;
        let Some(environment) = settings.environments.get(name) else {
            return Err(unknown(name, &settings, &file));
        };
        let folder = file.parent().unwrap_or(Path::new("/")).to_owned();
        let environment = environment.clone();
        Ok(Self {
            name: name.clone(),
            environment,
            file,
            folder,
        })
    }
}

fn unknown(name: &EnvironmentName, settings: &Settings, file: &Path) -> Failure {
    let failure = Failure::user(format!("{} has no environment `{name}`", file.display()));
    let names: Vec<&str> = settings
        .environments
        .keys()
        .map(EnvironmentName::as_str)
        .collect();
    failure.hint(match names[..] {
        [] => format!("add a table `[environment.{name}]` with `hosts` and `compose`"),
        _ => format!("it has {}", names.join(", ")),
    })
}

/// The file that was named, or the nearest one at or above this folder.
fn find(given: Option<&Path>) -> Result<PathBuf, Failure> {
    let here = std::env::current_dir()
        .map_err(|error| Failure::user("cannot tell the current folder").because(&error))?;
    if let Some(given) = given {
        let path = here.join(given);
        return Ok(if path.is_dir() { path.join(NAME) } else { path });
    }
    let mut candidates = here.ancestors().map(|folder| folder.join(NAME));
    candidates.find(|path| path.is_file()).ok_or_else(|| {
        Failure::user(format!(
            "there is no {NAME} in {} or a folder above it",
            here.display()
        ))
        .hint("name one with `--file`; docs/deploy.md says what it holds")
    })
}

fn read(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read =
        fs_err::File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_string(&mut text));
    match read {
        Ok(count) if count as u64 > LARGEST => Err(Failure::user(format!(
            "{} is larger than {LARGEST} bytes",
            path.display()
        ))),
        Ok(_) => Ok(text),
        Err(error) => Err(Failure::user("cannot read the settings").because(&error)),
    }
}
