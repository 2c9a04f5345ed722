//! `lotse unlock`: lets others deploy again.

use std::process::ExitCode;

use apply::hands::Hands;
use clap::Args;
use deploy::host::LockSeen;
use deploy::{HostName, Step};

use super::lock::carry_out;
use crate::environment::{Which, connect, is_by_hand};
use crate::output::{Failure, Screen};

/// Give back a lock that was taken with `lotse lock`, by you or somebody else
///
/// The lock of a deploy that is at work is left alone. When its process was killed, the lock
/// expires by itself within a minute (`lease` in lotse.toml).
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    which: Which,
    /// Break the lock of a deploy, too: it must be dead, or both will mix
    #[arg(long)]
    force: bool,
}

/// Runs `lotse unlock`.
pub(crate) async fn run(arguments: Arguments, screen: Screen) -> Result<ExitCode, Failure> {
    let scope = arguments.which.load()?;
    let hosts = connect(&scope).await?;
    hosts.all()?;
    let mut locked = Vec::new();
    for (name, host) in hosts.reached() {
        let seen = host.hands.observe().await;
        let seen =
            seen.map_err(|why| Failure::user(format!("cannot look at {name}")).because(&why))?;
        if let Some(lock) = seen.lock.filter(LockSeen::is_live) {
            locked.push((name, &host.hands, lock));
        }
    }
    if !arguments.force
        && let Some((name, _, lock)) = locked.iter().find(|(.., lock)| !is_by_hand(&lock.holder))
    {
        return Err(at_work(name, lock));
    }
    if locked.is_empty() {
        screen.line(format!("{} was not locked", scope.name))?;
    }
    for (name, hands, lock) in locked {
        unlock(hands, name, &lock, arguments.force).await?;
        screen.line(format!(
            "{name} is unlocked; it was locked by {}",
            lock.holder
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn unlock(
    hands: &Hands,
    name: &HostName,
    lock: &LockSeen,
    force: bool,
) -> Result<(), Failure> {
    let done = match force {
        true => hands.break_lock().await.map(drop),
        false => {
            let holder = lock.holder.clone();
            carry_out(hands, &Step::Unlock { holder }).await
        }
    };
    done.map_err(|failure| Failure::user(format!("cannot unlock {name}: {}", failure.message)))
}

fn at_work(name: &HostName, lock: &LockSeen) -> Failure {
    let failure = Failure::user(format!(
        "{name} is locked by {}, which is at work",
        lock.holder
    ));
    failure.hint(format!(
        "if it is dead, its lock expires in {}; --force breaks it at once",
        lock.expires_in
    ))
}
