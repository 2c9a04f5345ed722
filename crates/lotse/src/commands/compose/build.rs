//! `lotse compose build`: images made from the files' `build`.

use std::fmt;
use std::str::FromStr;

use ::compose::project::ServiceName;
use apply::project::{Build, OnEngine};
use clap::{Args, ValueEnum};
use model::Secret;

use super::{failure, tell};
use crate::output::Failure;

/// Build the images of services that have a `build`
///
/// The engine builds, with its classic builder; what it says is shown as it comes. An image without a
/// name of its own is called PROJECT-SERVICE.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only these [default: all that have a `build`]
    #[arg(value_name = "SERVICE")]
    services: Vec<ServiceName>,
    /// A build argument; without value, that of the variable of this name (repeatable)
    #[arg(long = "build-arg", value_name = "KEY[=VALUE]")]
    build_args: Vec<BuildArgument>,
    /// Do each step anew
    #[arg(long)]
    no_cache: bool,
    /// Pull base images, even if they are there
    #[arg(long)]
    pull: bool,
    /// The memory of a step, such as 512m
    #[arg(short, long, value_name = "BYTES", value_parser = memory)]
    memory: Option<u64>,
    /// Those too that the named ones depend on
    #[arg(long)]
    with_dependencies: bool,
    /// Say nothing of what the builder says, but when it fails
    #[arg(short, long)]
    quiet: bool,
    /// How it is shown: always plain
    #[arg(long, value_enum, value_name = "HOW", hide = true)]
    progress: Option<Progress>,
}

/// Other tools' words for what is done anyway.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Progress {
    Auto,
    Plain,
}

/// `KEY=VALUE`, or `KEY`.
#[derive(Clone)]
struct BuildArgument {
    name: String,
    value: Option<Secret>,
}

impl FromStr for BuildArgument {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(Secret::new(value))),
            None => (text, std::env::var(text).ok().map(Secret::new)),
        };
        match name {
            "" => Err("it has no name"),
            name => Ok(Self {
                name: name.to_owned(),
                value,
            }),
        }
    }
}

impl fmt::Debug for BuildArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

pub(super) async fn run(arguments: &Arguments, project: &OnEngine<'_>) -> Result<(), Failure> {
    // A variable that is not set gives nothing, as in Compose.
    let args = arguments.build_args.iter();
    let args = args.filter_map(|arg| Some((arg.name.clone(), arg.value.clone()?)));
    let request = Build {
        services: arguments.services.clone(),
        with_dependencies: arguments.with_dependencies,
        args: args.collect(),
        memory: arguments.memory,
        no_cache: arguments.no_cache,
        pull: arguments.pull,
        quiet: arguments.quiet,
    };
    let built = project.build(&request, &tell).await;
    built.map_err(|error| failure(&error))
}

/// Bytes, with the letter of a multiple of 1024.
fn memory(text: &str) -> Result<u64, String> {
    let (number, power) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 10),
        Some((at, 'm' | 'M')) => (&text[..at], 20),
        Some((at, 'g' | 'G')) => (&text[..at], 30),
        _ => (text, 0),
    };
    let number: Option<u64> = number.parse().ok();
    let bytes = number.and_then(|number| number.checked_mul(1 << power));
    bytes.ok_or_else(|| "write a number of bytes, such as 512m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories() {
        for (text, bytes) in [("512m", 512 << 20), ("1G", 1 << 30), ("4096", 4096)] {
            assert_eq!(memory(text), Ok(bytes), "{text}");
        }
        for bad in ["", "m", "-1", "1.5g", "99999999999999g"] {
            assert!(memory(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn arguments_are_not_told() {
        let given: BuildArgument = "TOKEN=a=b".parse().unwrap();
        assert_eq!(given.value.as_ref().unwrap().expose(), "a=b");
        assert_eq!(format!("{given:?}"), "TOKEN");
        assert!("=x".parse::<BuildArgument>().is_err());
        let unset: BuildArgument = "LOTSE_TEST_NO_SUCH_VARIABLE".parse().unwrap();
        assert!(unset.value.is_none());
    }
}
