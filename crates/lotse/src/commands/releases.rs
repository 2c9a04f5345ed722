//! `lotse releases`: what an environment can go back to.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use clap::Args;
use deploy::{Observed, ReleaseNumber, Verdict};
use serde::Serialize;

use crate::environment::{Which, connect, warn_unreached};
use crate::output::{Cell, Failure, Screen, Table, Tone};

/// List the releases that the hosts remember
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    which: Which,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A release, as all hosts together know it.
#[derive(Debug, Serialize)]
struct Known {
    number: ReleaseNumber,
    label: Option<String>,
    /// The images of its services.
    images: BTreeSet<String>,
    /// Hosts where it is in force.
    in_force: Vec<String>,
    /// Hosts that still have its stack.
    stacks: Vec<String>,
    /// Whether it was in force anywhere; else whether and why it failed.
    verdict: Verdict,
}

/// Runs `lotse releases`.
pub(crate) async fn run(arguments: Arguments, screen: Screen) -> Result<ExitCode, Failure> {
    let scope = arguments.which.load()?;
    let observed = connect(&scope).await?.observe().await;
    let code = warn_unreached(&observed);
    let known = known(&observed);
    if arguments.json {
        screen.json(&known)?;
        return Ok(code);
    }
    let mut table = Table::new(["RELEASE", "LABEL", "STATE", "KEPT ON", "IMAGES"]);
    for release in known.iter().rev() {
        let images: Vec<&str> = release.images.iter().map(String::as_str).collect();
        table.row([
            release.number.to_string().into(),
            release.label.clone().unwrap_or_default().into(),
            state(release, observed.len()),
            release.stacks.join(", ").into(),
            Cell::new(Tone::Quiet, images.join(", ")),
        ]);
    }
    screen.table(&table)?;
    Ok(code)
}

fn known(observed: &Observed) -> Vec<Known> {
    let mut all: BTreeMap<ReleaseNumber, Known> = BTreeMap::new();
    for (host, seen) in observed {
        let Ok(seen) = seen else { continue };
        for (number, kept) in &seen.record.releases {
            let release = &kept.release;
            let known = all.entry(*number).or_insert_with(|| Known {
                number: *number,
                label: release.label.clone(),
                images: images(release),
                in_force: Vec::new(),
                stacks: Vec::new(),
                verdict: kept.verdict.clone(),
            });
            let host = host.short().to_owned();
            if seen.record.in_force == Some(*number) {
                known.in_force.push(host.clone());
            }
            if seen.stacks.contains_key(number) {
                known.stacks.push(host);
            }
            if known.verdict == Verdict::Unproven || kept.verdict == Verdict::Good {
                known.verdict = kept.verdict.clone();
            }
        }
    }
    all.into_values().collect()
}

fn images(release: &deploy::Release) -> BTreeSet<String> {
    let members = release.services.values();
    members.map(|member| member.image.name.clone()).collect()
}

fn state(release: &Known, hosts: usize) -> Cell {
    match (&release.verdict, release.in_force.len()) {
        (_, on) if on > 0 && on == hosts => Cell::new(Tone::Good, "in force"),
        (_, on) if on > 0 => {
            let on = release.in_force.join(", ");
            Cell::new(Tone::Waiting, format!("in force on {on}"))
        }
        (Verdict::Good, _) => "was in force".into(),
        (Verdict::Failed(reason), _) => Cell::new(Tone::Bad, format!("failed: {reason}")),
        (Verdict::Unproven, _) => Cell::new(Tone::Waiting, "did not come to its end"),
    }
}
