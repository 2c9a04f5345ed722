//! `lotse edge up`: the edge in a container of a host.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use apply::edge::{EdgeContainer, EdgeOptions, Outcome};
use clap::{Args, Parser};

use super::run::RunOptions;
use super::{Place, say};

#[derive(Debug, Args)]
pub(crate) struct Up {
    #[command(flatten)]
    place: Place,
    /// A folder of the host that the edge may read, for certificates (repeatable)
    #[arg(long, value_name = "FOLDER")]
    share: Vec<PathBuf>,
    /// Forget the options and folders of the edge that runs
    #[arg(long)]
    reset: bool,
    /// Options of `lotse edge run`
    #[arg(last = true, value_name = "OPTIONS")]
    options: Vec<String>,
}

/// The options behind `--`, read as `lotse edge run` will read them.
#[derive(Debug, Parser)]
#[command(name = "lotse edge up --", no_binary_name = true)]
struct Inside {
    #[command(flatten)]
    options: RunOptions,
}

pub(crate) async fn up(arguments: Up) -> anyhow::Result<()> {
    let wanted = arguments.wanted()?;
    let engine = arguments.place.engine().await?;
    let name = &wanted.name;
    let outcome = apply::edge::put(&engine, &wanted, &mut |step| say(step)).await;
    match outcome.with_context(|| format!("the edge `{name}` is not up"))? {
        Outcome::Unchanged => say(format_args!("`{name}` is up already, as it shall be")),
        Outcome::Started => say(format_args!("`{name}` is up")),
        Outcome::Replaced => say(format_args!(
            "`{name}` is up, in the place of the one before"
        )),
    }
    Ok(())
}

impl Up {
    fn wanted(&self) -> anyhow::Result<EdgeContainer> {
        let inside = match Inside::try_parse_from(&self.options) {
            Ok(inside) => inside,
            Err(error) => error.exit(),
        };
        let is_said = self.reset || !self.options.is_empty() || !self.share.is_empty();
        let options = EdgeOptions {
            arguments: self.options.clone(),
            folders: self.folders()?,
            grace: inside.options.grace.get(),
        };
        Ok(EdgeContainer {
            name: self.place.name.clone(),
            options: is_said.then_some(options),
            program: None,
        })
    }

    fn folders(&self) -> anyhow::Result<Vec<String>> {
        let mut folders = Vec::new();
        for folder in &self.share {
            match folder.to_str() {
                Some(text) if folder.is_absolute() => folders.push(text.to_owned()),
                _ => bail!(
                    "--share {}: the folder's whole path is needed",
                    folder.display()
                ),
            }
        }
        Ok(folders)
    }
}
