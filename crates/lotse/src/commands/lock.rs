//! `lotse lock`: keeps everybody from deploying.

use std::process::ExitCode;

use apply::hands::{Hands, Releases};
use clap::Args;
use deploy::span::Span;
use deploy::{Failure as StepFailure, FailureKind, HostName, Lease, Step};
use tokio::sync::mpsc;

use crate::environment::{Hosts, Which, by_hand, connect, count};
use crate::output::{Failure, Screen};

/// Keep everybody from deploying and rolling back, until `lotse unlock`
///
/// What serves goes on serving. Whoever tries to deploy is told who you are and why.
///
/// Example:
///   lotse lock prod --reason 'moving the database'
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    #[command(flatten)]
    which: Which,
    /// Why, for those who are kept out
    #[arg(long, short, value_name = "TEXT")]
    reason: String,
    /// How long at most
    #[arg(long = "for", value_name = "TIME", default_value = "8760h")]
    time: Span,
}

/// Runs `lotse lock`.
pub(crate) async fn run(arguments: Arguments, screen: Screen) -> Result<ExitCode, Failure> {
    let scope = arguments.which.load()?;
    let hosts = connect(&scope).await?;
    hosts.all()?;
    let lease = Lease {
        holder: by_hand(&arguments.reason),
        length: arguments.time,
    };
    take_all(&hosts, &lease).await?;
    screen.line(format!(
        "{} is locked on {}, by {}",
        scope.name,
        count(hosts.0.len(), "host"),
        lease.holder
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Takes the lock of each host in turn; of all or of none.
async fn take_all(hosts: &Hosts, lease: &Lease) -> Result<(), Failure> {
    let mut taken: Vec<&Hands> = Vec::new();
    for (name, host) in hosts.reached() {
        let step = Step::Lock(lease.clone());
        let Err(failure) = carry_out(&host.hands, &step).await else {
            taken.push(&host.hands);
            continue;
        };
        let unlock = Step::Unlock {
            holder: lease.holder.clone(),
        };
        for hands in taken {
            // The first failure is the one to tell; what stays locked can be unlocked.
            let _second = carry_out(hands, &unlock).await;
        }
        return Err(refused(name, failure));
    }
    Ok(())
}

/// Carries out a step that speaks of no release.
pub(super) async fn carry_out(hands: &Hands, step: &Step) -> Result<(), StepFailure> {
    let (told, _nobody_listens) = mpsc::unbounded_channel();
    let none = Releases::new();
    let doing = hands.carry_out(step, &none, &told);
    Box::pin(doing).await.map(drop)
}

fn refused(host: &HostName, failure: StepFailure) -> Failure {
    match failure.kind {
        FailureKind::Locked { holder, expires_in } => Failure::user(format!(
            "{host} is locked by {holder} for another {expires_in}"
        ))
        .hint("wait until it is over, or run `lotse unlock` when it is dead"),
        _ => Failure::user(format!("cannot lock {host}: {}", failure.message)),
    }
}
