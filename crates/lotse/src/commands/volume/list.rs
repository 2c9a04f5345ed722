//! `lotse volume list`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Args;
use deploy::{HostName, ReleaseNumber};
use docker::disk::VolumeUse;
use indicatif::HumanBytes;
use serde::Serialize;

use super::{Found, find};
use crate::environment::{Hosts, Which, connect, failure};
use crate::output::{Cell, Failure, Screen, Table, Tone};

/// List the volumes that the releases of an environment use, or used
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    which: Which,
    /// Measure what they hold, which may take long
    #[arg(long)]
    size: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Listed<'a> {
    host: &'a HostName,
    name: &'a str,
    /// The release that it goes with, where it belongs to one.
    release: Option<ReleaseNumber>,
    /// Containers, also those that do not run.
    used_by: Vec<&'a str>,
    /// Bytes, where they were measured.
    size: Option<u64>,
}

type Sizes<'a> = BTreeMap<&'a HostName, BTreeMap<String, VolumeUse>>;

pub(super) async fn run(arguments: Arguments, screen: Screen) -> Result<ExitCode, Failure> {
    let scope = arguments.which.load()?;
    let hosts = connect(&scope).await?;
    hosts.all()?;
    let found = find(&hosts).await?;
    let sizes = match arguments.size {
        true => sizes(&hosts).await?,
        false => Sizes::new(),
    };
    let listed: Vec<Listed<'_>> = found.iter().map(|found| listed(found, &sizes)).collect();
    match arguments.json {
        true => screen.json(&listed)?,
        false => screen.table(&table(&listed))?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn sizes(hosts: &Hosts) -> Result<Sizes<'_>, Failure> {
    let mut sizes = Sizes::new();
    for (name, host) in hosts.reached() {
        let used = host.engine.disk_use().await;
        sizes.insert(name, used.map_err(|error| failure(&error))?.volumes);
    }
    Ok(sizes)
}

fn listed<'a>(found: &'a Found<'a>, sizes: &Sizes<'_>) -> Listed<'a> {
    let name = found.name.as_str();
    let measured = sizes.get(found.host).and_then(|sizes| sizes.get(name));
    Listed {
        host: found.host,
        name,
        release: found.release,
        used_by: found.users(),
        size: measured.and_then(|measured| measured.size),
    }
}

fn table(listed: &[Listed<'_>]) -> Table {
    let mut table = Table::new(["HOST", "VOLUME", "BELONGS TO", "SIZE", "USED BY"]);
    for volume in listed {
        let belongs = match volume.release {
            Some(release) => format!("release {release}"),
            None => "all releases".to_owned(),
        };
        let size = volume.size.map(|size| HumanBytes(size).to_string());
        table.row([
            volume.host.short().into(),
            volume.name.into(),
            belongs.into(),
            size.unwrap_or_default().into(),
            Cell::new(Tone::Quiet, volume.used_by.join(", ")),
        ]);
    }
    table
}
