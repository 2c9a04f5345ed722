//! `lotse edge drain`: one address gets no more requests.

use std::net::SocketAddr;

use anyhow::bail;
use clap::Args;
use edge::Span;
use edge::control::Request;

use super::{Folder, count};

#[derive(Debug, Args)]
pub(crate) struct Drain {
    #[command(flatten)]
    folder: Folder,
    /// The target's address and port
    target: SocketAddr,
    /// How long to wait for its requests to end
    #[arg(long, value_name = "TIME", default_value = "30s")]
    grace: Span,
    /// Put it in again
    #[arg(long)]
    undo: bool,
}

pub(crate) async fn drain(arguments: Drain) -> anyhow::Result<()> {
    let request = Request::Drain {
        target: arguments.target,
        grace: arguments.grace,
        undo: arguments.undo,
    };
    let left = count(&arguments.folder, &request).await?;
    if arguments.undo {
        println!("{} gets requests again", arguments.target);
        return Ok(());
    }
    if left > 0 {
        bail!(
            "{} gets no new requests, but {left} are still at work there after {}",
            arguments.target,
            arguments.grace
        );
    }
    println!("{} has nothing left to do", arguments.target);
    Ok(())
}
