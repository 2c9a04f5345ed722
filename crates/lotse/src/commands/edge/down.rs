//! `lotse edge down`: the edge's container goes.

use anyhow::Context as _;
use clap::Args;

use super::Place;

#[derive(Debug, Args)]
pub(crate) struct Down {
    #[command(flatten)]
    place: Place,
}

pub(crate) async fn down(arguments: Down) -> anyhow::Result<()> {
    let engine = arguments.place.engine().await?;
    let name = &arguments.place.name;
    let removed = apply::edge::remove(&engine, name).await;
    match removed.with_context(|| format!("the edge `{name}` is not down"))? {
        true => println!("`{name}` is down; the volume `{name}` keeps its routes"),
        false => println!("there is no `{name}` on {}", engine.address()),
    }
    Ok(())
}
