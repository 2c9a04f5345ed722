//! `lotse edge remove`: a route goes.

use clap::Args;
use edge::Span;
use edge::control::Request;
use edge::route::Listen;

use super::{Folder, Names, count};

#[derive(Debug, Args)]
pub(crate) struct Remove {
    #[command(flatten)]
    folder: Folder,
    /// The port of the route, or its address and port
    listen: Listen,
    #[command(flatten)]
    names: Names,
    /// How long its requests and connections may take to end; then they are cut
    #[arg(long, value_name = "TIME", default_value = "30s")]
    grace: Span,
}

pub(crate) async fn remove(arguments: Remove) -> anyhow::Result<()> {
    let request = Request::Remove {
        route: arguments.names.key(arguments.listen),
        grace: arguments.grace,
    };
    let cut = count(&arguments.folder, &request).await?;
    println!("removed; {cut} requests or connections were cut");
    Ok(())
}
