//! `lotse serve`.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use server::remote::Reach;
use server::{Config, Elsewhere, Server};
use tokio_util::sync::CancellationToken;

/// Runs the server: git over HTTP, pipelines, images and pages, all in one data folder.
///
/// At the first start it makes the user `root` and a token for it, and says in which file the token
/// is. Everything is kept in the data folder; stop the server and copy the folder to make a backup.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The folder that holds everything: database, repositories, images, logs
    #[arg(
        long,
        value_name = "FOLDER",
        default_value = "lotse-data",
        env = "LOTSE_DATA"
    )]
    data: PathBuf,
    /// An address to listen on; may be given several times
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8929")]
    listen: Vec<SocketAddr>,
    /// The address under which browsers, git and runners reach the server [default: the first
    /// address listened on]
    #[arg(long, value_name = "URL", value_parser = url)]
    url: Option<String>,
    /// The host, and port if any, in the names of images: `CI_REGISTRY` [default: that of the URL]
    #[arg(long, value_name = "HOST[:PORT]")]
    registry: Option<String>,
    /// The folder of the files that `include: template` names, such as `Jobs/Build.gitlab-ci.yml`
    #[arg(long, value_name = "FOLDER")]
    templates: Option<PathBuf>,
    /// Let `include: remote` ask hosts that have no public address: this machine and its networks
    ///
    /// Whoever may push can then read by way of the server what only the server can reach.
    #[arg(long)]
    allow_local_includes: bool,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let server = Server::bind(Config {
        data: arguments.data,
        listen: arguments.listen,
        url: arguments.url,
        registry: arguments.registry,
        elsewhere: Elsewhere {
            templates: arguments.templates,
            reach: match arguments.allow_local_includes {
                true => Reach::Everywhere,
                false => Reach::Public,
            },
        },
    })
    .await
    .context("the server cannot start")?;
    announce(&server);
    let stop = CancellationToken::new();
    tokio::spawn({
        let stop = stop.clone();
        async move {
            super::stop_signal().await;
            eprintln!("stopping: open requests get ten seconds");
            stop.cancel();
        }
    });
    server.run(stop).await.context("the server has ended")
}

fn announce(server: &Server) {
    println!("lotse serves {}", server.url());
    println!("      images  {}", server.registry());
    for address in server.listening() {
        println!("      listens on {address}");
    }
    if let Some(token) = server.first_token() {
        println!();
        println!("This is the first start. The token of the user root is in a file; log in with");
        println!(
            "  lotse login {} --token - < {}",
            server.url(),
            token.display()
        );
        println!("or paste it into the page. Delete the file when you have it elsewhere.");
    }
}

fn url(text: &str) -> Result<String, String> {
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    match rest {
        Some(rest) if !rest.is_empty() && !rest.starts_with('/') => Ok(text.to_owned()),
        _ => Err("an address starts with http:// or https:// and a host".to_owned()),
    }
}
