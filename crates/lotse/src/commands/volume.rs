//! `lotse volume`: the volumes of an environment, and the one way to part with their data.

mod list;
mod remove;

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use compose::project::VolumeKind;
use deploy::host::HostSeen;
use deploy::{HostName, ReleaseNumber};
use docker::container::ContainerSummary;
use docker::{Filter, Name};

use crate::environment::{Host, Hosts, failure};
use crate::output::{Failure, Screen};

/// The volumes of an environment
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: VolumeCommand,
}

#[derive(Debug, Subcommand)]
enum VolumeCommand {
    List(list::Arguments),
    Remove(remove::Arguments),
}

/// Runs `lotse volume`.
pub(crate) async fn run(arguments: Arguments, screen: Screen) -> Result<ExitCode, Failure> {
    match arguments.command {
        VolumeCommand::List(arguments) => list::run(arguments, screen).await,
        VolumeCommand::Remove(arguments) => remove::run(arguments, screen).await,
    }
}

/// A volume of an environment on one host.
struct Found<'a> {
    host: &'a HostName,
    engine: &'a docker::Engine,
    name: Name,
    /// The release that it goes with, where it belongs to one.
    release: Option<ReleaseNumber>,
    /// The containers that have it, also those that do not run.
    users: Vec<ContainerSummary>,
}

impl Found<'_> {
    fn users(&self) -> Vec<&str> {
        let names = self.users.iter().map(|user| user.name.as_str());
        names.collect()
    }
}

/// The volumes that the releases of the environment mention, on each of its hosts. Those that the
/// files call external belong to somebody else.
async fn find(hosts: &Hosts) -> Result<Vec<Found<'_>>, Failure> {
    let mut found = Vec::new();
    for (name, host) in hosts.reached() {
        let seen = host.hands.observe().await;
        let seen =
            seen.map_err(|why| Failure::user(format!("cannot look at {name}")).because(&why))?;
        for (volume, release) in volumes(&seen) {
            found.push(look(name, host, &volume, release).await?);
        }
    }
    Ok(found)
}

async fn look<'a>(
    name: &'a HostName,
    host: &'a Host,
    volume: &str,
    release: Option<ReleaseNumber>,
) -> Result<Found<'a>, Failure> {
    let users = host
        .engine
        .list_containers(Filter::all().with("volume", volume));
    Ok(Found {
        host: name,
        engine: &host.engine,
        name: volume.parse().map_err(|error| {
            Failure::user(format!("{name}: the volume `{volume}`")).because(&error)
        })?,
        release,
        users: users.await.map_err(|error| failure(&error))?,
    })
}

/// By name, those that are there.
fn volumes(seen: &HostSeen) -> BTreeMap<String, Option<ReleaseNumber>> {
    let releases = seen.record.releases.values().map(|kept| &kept.release);
    let mentioned = releases.flat_map(|release| {
        let own = release
            .volumes
            .iter()
            .filter(|(_, volume)| matches!(volume.kind, VolumeKind::Own(_)));
        own.map(|(key, _)| {
            let of_release = release.volume_is_own(key).then_some(release.number);
            (release.volume_name(key), of_release)
        })
    });
    mentioned
        .filter(|(name, _)| seen.volumes.contains_key(name))
        .collect()
}
