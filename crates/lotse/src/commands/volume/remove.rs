//! `lotse volume remove`.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use clap::Args;

use super::{Found, find};
use crate::client::ask_for_text;
use crate::environment::{Which, connect, failure};
use crate::output::{Failure, Screen};

/// Remove a volume and all that is in it: there is no way back
///
/// On all hosts, or on one with --host. It is asked for by its name. A volume that a container
/// has, be it one of a stopped stack, is not removed.
///
/// Examples:
///   lotse volume remove prod shop_static_data-r7
///   lotse volume remove prod shop_cache --host web1 --yes     # where nobody can answer
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    #[command(flatten)]
    which: Which,
    /// The volume, as `lotse volume list` calls it
    volume: String,
    /// On this host alone
    #[arg(long)]
    host: Option<String>,
    /// Do not ask for the name again
    #[arg(long, short)]
    yes: bool,
}

pub(super) async fn run(arguments: Arguments, screen: Screen) -> Result<ExitCode, Failure> {
    let scope = arguments.which.load()?;
    let hosts = connect(&scope).await?;
    hosts.all()?;
    let mut found = find(&hosts).await?;
    found.retain(|found| arguments.means(found));
    if found.is_empty() {
        let what = format!("{} has no volume `{}`", scope.name, arguments.volume);
        let hint = format!("`lotse volume list {}` lists those it has", scope.name);
        return Err(Failure::user(what).hint(hint));
    }
    if let Some(used) = found.iter().find(|found| !found.users.is_empty()) {
        return Err(in_use(used));
    }
    if !arguments.yes && !agrees(&arguments.volume, &found).await? {
        eprintln!("nothing was removed");
        return Ok(ExitCode::FAILURE);
    }
    for volume in &found {
        let removed = volume.engine.remove_volume(&volume.name).await;
        removed.map_err(|error| failure(&error))?;
        screen.line(format!("{}: {} is removed", volume.host, volume.name))?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Arguments {
    fn means(&self, found: &Found<'_>) -> bool {
        let on_host =
            |wanted: &String| wanted == found.host.short() || wanted == found.host.as_str();
        found.name.as_str() == self.volume && self.host.as_ref().is_none_or(on_host)
    }
}

fn in_use(used: &Found<'_>) -> Failure {
    let users = used.users().join(", ");
    let what = format!("{}: the volume {} is used by {users}", used.host, used.name);
    Failure::user(what).hint("its data stays as long as a stack needs it; old stacks go with the next deploys (`keep` in lotse.toml)")
}

/// Whoever removes it writes its name once more.
async fn agrees(name: &str, found: &[Found<'_>]) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage("there is no terminal to ask on")
            .hint("`--yes` removes it with all that is in it"));
    }
    for volume in found {
        eprintln!("{}: all that is in {name} will be gone", volume.host);
    }
    let answer = ask_for_text("to remove it, write its name:").await?;
    Ok(answer.trim() == name)
}
