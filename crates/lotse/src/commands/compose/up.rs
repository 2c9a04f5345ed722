//! `lotse compose up`: the project as its files say.

use std::process::ExitCode;
use std::time::Duration;

use ::compose::project::{PullPolicy, ServiceName};
use apply::project::{Builds, Changed, OnEngine, ProjectError, Up};
use clap::{Args, ValueEnum};

use super::attached::{Attached, Ending};
use super::{failure, tell};
use crate::output::{Failure, Screen};

/// Make and start containers, and those that have changed anew
///
/// Without --detach it shows their output; ctrl-c stops them, a second one kills them.
// `-V` is `--renew-anon-volumes`, as in Compose.
#[derive(Debug, Args)]
#[command(disable_version_flag = true)]
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
    /// Build images of services that have a `build`, even if they are there
    #[arg(long, conflicts_with = "no_build")]
    build: bool,
    /// Build nothing, even if an image is not there
    #[arg(long)]
    no_build: bool,
    /// When images are pulled, whatever the files say
    #[arg(long, value_enum, value_name = "WHEN")]
    pull: Option<When>,
    /// Run so many containers of a service, whatever the files say (repeatable)
    #[arg(long, value_name = "SERVICE=NUMBER", value_parser = scale)]
    scale: Vec<(ServiceName, u32)>,
    /// Seconds that containers have to end [default: their own]
    #[arg(short, long, value_name = "SECONDS")]
    timeout: Option<u32>,
    /// Give containers that are made anew fresh volumes for those without a name
    #[arg(short = 'V', long)]
    renew_anon_volumes: bool,
    /// Remove containers of services that the files do not have
    #[arg(long)]
    remove_orphans: bool,
    #[command(flatten)]
    attached: Attachment,
}

/// How it is when it stays.
#[derive(Debug, Args)]
struct Attachment {
    /// Stop all when one has ended, and exit with its status
    #[arg(long, conflicts_with_all = ["detach", "wait", "no_start"])]
    abort_on_container_exit: bool,
    /// Stop all when one has ended, and exit with the status of this service
    #[arg(long, value_name = "SERVICE", conflicts_with_all = ["detach", "wait", "no_start"])]
    exit_code_from: Option<ServiceName>,
    /// Begin each line with its time
    #[arg(long)]
    timestamps: bool,
    /// Do not begin each line with its container
    #[arg(long)]
    no_log_prefix: bool,
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
) -> Result<ExitCode, Failure> {
    let request = arguments.request();
    if let Some(service) = &arguments.attached.exit_code_from
        && !project.project.services.contains_key(service)
    {
        return Err(failure(&ProjectError::NoService(service.clone())));
    }
    let up = project.up(&request, &tell);
    if arguments.detach || arguments.wait || arguments.no_start {
        up.await.map_err(|error| failure(&error))?;
        return Ok(ExitCode::SUCCESS);
    }
    let attached = Attached {
        project,
        services: &arguments.services,
        grace: request.grace,
        ending: arguments.attached.ending(),
        prefix: !arguments.attached.no_log_prefix,
        timestamps: arguments.attached.timestamps,
        screen,
    };
    Box::pin(attached.run(up)).await
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
            builds: match (self.build, self.no_build) {
                (true, _) => Builds::Always,
                (_, true) => Builds::Never,
                _ => Builds::Missing,
            },
            pull: self.pull.map(|when| match when {
                When::Always => PullPolicy::Always,
                When::Missing => PullPolicy::Missing,
                When::Never => PullPolicy::Never,
            }),
            scale: self.scale.iter().cloned().collect(),
            grace: self
                .timeout
                .map(|seconds| Duration::from_secs(seconds.into())),
            renew_volumes: self.renew_anon_volumes,
            remove_orphans: self.remove_orphans,
            wait: self.wait,
            no_start: self.no_start,
        }
    }
}

impl Attachment {
    fn ending(&self) -> Ending {
        match (&self.exit_code_from, self.abort_on_container_exit) {
            (Some(service), _) => Ending::Of(service.clone()),
            (None, true) => Ending::First,
            (None, false) => Ending::All,
        }
    }
}

fn scale(text: &str) -> Result<(ServiceName, u32), String> {
    let wrong = || "write SERVICE=NUMBER, such as web=3".to_owned();
    let (service, number) = text.split_once('=').ok_or_else(wrong)?;
    let service: ServiceName = service.parse().map_err(|_| wrong())?;
    Ok((service, number.parse().map_err(|_| wrong())?))
}
