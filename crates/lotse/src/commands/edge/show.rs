//! `lotse edge list`, `status` and `metrics`: how the edge is.

use anyhow::Context as _;
use clap::Args;
use edge::control::{self, Request};
use edge::{CertificateStatus, RouteStatus, Status};

use super::Folder;

#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    folder: Folder,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn list(arguments: &Show) -> anyhow::Result<()> {
    let status = ask_status(&arguments.folder).await?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&status.routes)?);
        return Ok(());
    }
    if status.routes.is_empty() {
        eprintln!("no route: `lotse edge set` adds one");
    }
    status.routes.iter().for_each(show_route);
    Ok(())
}

pub(crate) async fn status(arguments: &Show) -> anyhow::Result<()> {
    let status = ask_status(&arguments.folder).await?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&status)?);
        return Ok(());
    }
    println!(
        "lotse edge {}, process {}, {} connections",
        status.version, status.pid, status.connections
    );
    status.routes.iter().for_each(show_route);
    status.certificates.iter().for_each(show_certificate);
    Ok(())
}

fn show_certificate(certificate: &CertificateStatus) {
    let until = match &certificate.not_after {
        Some(end) => format!("good until {end}"),
        None => "not there".to_owned(),
    };
    let next = certificate
        .next
        .map(|next| format!(", asked for again {next}"));
    println!(
        "certificate {} ({})  {until}{}",
        certificate.names.join(", "),
        certificate.source,
        next.unwrap_or_default()
    );
    if let Some(error) = &certificate.error {
        println!("  {error}");
    }
}

fn show_route(route: &RouteStatus) {
    let trial = if route.on_trial { ", on trial" } else { "" };
    println!(
        "{}  {} (number {}{trial})  {} at work, {} requests, {} errors",
        route.route, route.mode, route.generation, route.in_flight, route.requests, route.errors
    );
    for target in &route.targets {
        let health = match (target.drained, target.healthy) {
            (true, _) => "drained",
            (false, true) => "healthy",
            (false, false) => "unhealthy",
        };
        println!(
            "  {:<24} {health:<10} {} at work, {} requests, {} failed",
            target.address, target.in_flight, target.requests, target.failed
        );
    }
}

pub(crate) async fn metrics(folder: &Folder) -> anyhow::Result<()> {
    let metrics = control::ask(&folder.socket(), &Request::Metrics, |_| {}).await?;
    print!("{}", metrics.as_str().unwrap_or_default());
    Ok(())
}

async fn ask_status(folder: &Folder) -> anyhow::Result<Status> {
    let status = control::ask(&folder.socket(), &Request::Status, |_| {}).await?;
    serde_json::from_value(status)
        .context("the edge's answer makes no sense: is it of another version?")
}
