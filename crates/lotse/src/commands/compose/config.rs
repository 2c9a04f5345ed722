//! `lotse compose config`: what the files come to.

use std::collections::BTreeSet;

use ::compose::Loaded;
use apply::project::image_name;
use clap::{Args, ValueEnum};

use crate::output::{Failure, Screen};

/// Check the files and print them as one, with every variable in its place
///
/// It shows the values of all variables, secret ones too.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Print nothing but what is wrong
    #[arg(short, long)]
    quiet: bool,
    /// Print the names of the services
    #[arg(long, conflicts_with = "quiet")]
    services: bool,
    /// Print the names of the volumes
    #[arg(long, conflicts_with_all = ["quiet", "services"])]
    volumes: bool,
    /// Print the images of the services
    #[arg(long, conflicts_with_all = ["quiet", "services", "volumes"])]
    images: bool,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Format {
    #[default]
    Yaml,
    Json,
}

pub(super) fn run(arguments: &Arguments, loaded: &Loaded, screen: Screen) -> Result<(), Failure> {
    if arguments.quiet {
        return Ok(());
    }
    let Some(project) = &loaded.project else {
        return Ok(());
    };
    if arguments.services {
        return lines(project.services.keys(), screen);
    }
    if arguments.volumes {
        return lines(project.volumes.keys(), screen);
    }
    if arguments.images {
        let services = project.services.iter();
        let images: BTreeSet<_> = services
            .map(|(name, _)| image_name(project, name))
            .collect();
        return lines(images, screen);
    }
    match arguments.format {
        Format::Yaml => screen.line(loaded.config().trim_end()),
        Format::Json => screen.json(&loaded.config_json()),
    }
}

fn lines(all: impl IntoIterator<Item = impl ToString>, screen: Screen) -> Result<(), Failure> {
    all.into_iter()
        .try_for_each(|one| screen.line(one.to_string()))
}
