//! `lotse edge pause`, `maintenance` and `resume`: requests wait, or see a page, for a while.

use std::path::PathBuf;

use clap::Args;
use edge::Span;
use edge::control::Request;

use super::{Chosen, count};

#[derive(Debug, Args)]
pub(crate) struct Pause {
    #[command(flatten)]
    chosen: Chosen,
    /// For how long at the most; then requests are answered 503
    #[arg(long, value_name = "TIME", default_value = "30s")]
    limit: Span,
}

#[derive(Debug, Args)]
pub(crate) struct Maintenance {
    #[command(flatten)]
    chosen: Chosen,
    /// The page (HTML) to show [default: a plain one]
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
}

const PLAIN_PAGE: &str = "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Maintenance</title>\n\
    <h1>Maintenance</h1>\n<p>We are working on this site. Please come back soon.</p>\n</html>\n";

pub(crate) async fn pause(arguments: Pause) -> anyhow::Result<()> {
    let request = Request::Pause {
        route: arguments.chosen.key()?,
        limit: arguments.limit,
    };
    let routes = count(&arguments.chosen.folder, &request).await?;
    println!(
        "{routes} routes hold their requests for at most {}",
        arguments.limit
    );
    Ok(())
}

pub(crate) async fn maintenance(arguments: Maintenance) -> anyhow::Result<()> {
    let page = match &arguments.page {
        Some(path) => fs_err::read_to_string(path)?,
        None => PLAIN_PAGE.to_owned(),
    };
    let request = Request::Maintenance {
        route: arguments.chosen.key()?,
        page,
    };
    let routes = count(&arguments.chosen.folder, &request).await?;
    println!("{routes} routes show the page; `lotse edge resume` ends it");
    Ok(())
}

pub(crate) async fn resume(arguments: Chosen) -> anyhow::Result<()> {
    let request = Request::Resume {
        route: arguments.key()?,
    };
    let routes = count(&arguments.folder, &request).await?;
    println!("{routes} routes serve");
    Ok(())
}
