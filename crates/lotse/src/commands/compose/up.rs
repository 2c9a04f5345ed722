//! `lotse compose up`: the project as its files say.

use ::compose::project::{PullPolicy, ServiceName};
use apply::project::{Changed, OnEngine, Up};
use clap::{Args, ValueEnum};
use tokio::signal::ctrl_c;

use super::logs::{self, Choice};
use super::{failure, tell};
use crate::output::{Failure, Screen};

/// Make and start containers, and those that have changed anew
///
/// Without --detach it shows their output, and stops them at ctrl-c.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// These services and those that they depend on [default: all]
    #[arg(value_name = "SERVICE")]
    services: Vec<ServiceName>,
    /// Return when they are started
    #[arg(short, long)]
    detach: bool,
    /// Return when they are started, and healthy where they have a healthcheck
    #[arg(long)]
    wait: bool,
    /// Make containers, but do not start them
    #[arg(long, conflicts_with = "wait")]
    no_start: bool,
    /// Without the services that the named ones depend on
    #[arg(long)]
    no_deps: bool,
    /// Make containers anew also when nothing has changed
    #[arg(long, conflicts_with = "no_recreate")]
    force_recreate: bool,
    /// Leave containers that are there as they are
    #[arg(long)]
    no_recreate: bool,
    /// Remove containers of services that the files do not have
    #[arg(long)]
    remove_orphans: bool,
    /// When images are pulled, whatever the files say
    #[arg(long, value_enum, value_name = "WHEN")]
    pull: Option<When>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum When {
    Always,
    Missing,
    Never,
}

pub(super) async fn run(
    arguments: &Arguments,
    project: &OnEngine<'_>,
    screen: Screen,
) -> Result<(), Failure> {
    let up = project.up(&arguments.request(), &tell).await;
    up.map_err(|error| failure(&error))?;
    if arguments.detach || arguments.wait || arguments.no_start {
        return Ok(());
    }
    let choice = Choice {
        services: &arguments.services,
        follow: true,
        tail: None,
        timestamps: false,
        prefix: true,
    };
    tokio::select! {
        shown = logs::show(&choice, project, screen) => shown,
        _ = ctrl_c() => {
            tell("stopping".to_owned());
            let stopped = project.stop(&arguments.services, &tell).await;
            stopped.map_err(|error| failure(&error))
        }
    }
}

impl Arguments {
    fn request(&self) -> Up {
        Up {
            services: self.services.clone(),
            alone: self.no_deps,
            changed: match (self.force_recreate, self.no_recreate) {
                (true, _) => Changed::ReplaceAll,
                (_, true) => Changed::Keep,
                _ => Changed::Replace,
            },
            pull: self.pull.map(|when| match when {
                When::Always => PullPolicy::Always,
                When::Missing => PullPolicy::Missing,
                When::Never => PullPolicy::Never,
            }),
            remove_orphans: self.remove_orphans,
            wait: self.wait,
            no_start: self.no_start,
        }
    }
}
