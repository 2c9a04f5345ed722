//! A rollout that somebody watches, and may interrupt.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use apply::drive::{AWAY, Progress, drive};
use clap::Args;
use deploy::span::Span;
use deploy::{Desired, Outcome, Plan, Problem, Problems, Request};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::outcome::{conclude, refusal};
use super::progress::Display;
use super::{Hosts, Scope, of_process};
use crate::output::{Failure, Screen};

/// Between two looks at a lock that somebody holds, at most and at least.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
const NOT_BEFORE: Duration = Duration::from_millis(100);

/// How a rollout is watched.
#[derive(Debug, Clone, Args)]
pub(crate) struct Pace {
    /// Wait for a lock that somebody else holds, at most so long [default: 15m]
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "15m")]
    wait: Option<Span>,
    /// Print events, one JSON object a line
    #[arg(long)]
    json: bool,
}

/// Brings the environment to what is wished, and says how it ended.
pub(crate) async fn roll_out(
    scope: &Scope,
    hosts: &Hosts,
    desired: Desired,
    pace: &Pace,
    screen: Screen,
) -> Result<ExitCode, Failure> {
    let hands = hosts.all()?;
    let request = request(scope, desired);
    let away = scope.environment.away.map_or(AWAY, Span::get);
    let mut interrupts = signals()?;
    let mut display = Display::new(screen, pace.json);
    let deadline = Instant::now() + pace.wait.unwrap_or_default().get();
    let mut said = String::new();
    loop {
        let mut plan = None;
        let mut tell = |progress: Progress| {
            display.show(&progress);
            if let Progress::Planned { plan: made } = progress {
                plan = Some(made);
            }
        };
        let driving = drive(
            request.clone(),
            hands.clone(),
            away,
            &mut interrupts,
            &mut tell,
        );
        let outcome = Box::pin(driving).await;
        let held = held(&outcome).filter(|_| Instant::now() < deadline);
        let Some((held, expires_in)) = held else {
            display.finish();
            return Ok(conclude(&outcome, plan.as_deref(), pace.json));
        };
        if held != said {
            display.say(&held);
            said = held;
        }
        tokio::select! {
            () = tokio::time::sleep(expires_in.clamp(NOT_BEFORE, LOOK_AGAIN)) => {}
            _ = interrupts.recv() => return Err(Failure::interrupted()),
        }
    }
}

/// What was asked for.
pub(crate) fn request(scope: &Scope, desired: Desired) -> Request {
    Request {
        name: scope.name.clone(),
        environment: scope.environment.clone(),
        desired,
        holder: of_process(),
        edge: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// Who keeps a rollout from beginning, where nothing else does, and for how long if they are dead. A
/// lock may be on several hosts, and expires on each in its own time.
fn held(outcome: &Outcome) -> Option<(String, Duration)> {
    let Outcome::Refused(Problems(problems)) = outcome else {
        return None;
    };
    let locks = problems.iter().map(|problem| match problem {
        Problem::Locked {
            host,
            holder,
            expires_in,
        } => Some((host, holder, expires_in.get())),
        _ => None,
    });
    let locks: Vec<_> = locks.collect::<Option<_>>()?;
    let (host, holder, _) = locks.first()?;
    let longest = locks.iter().map(|(.., expires_in)| *expires_in).max()?;
    let waiting = format!("{}: waiting for {holder}", host.short());
    Some((waiting, longest))
}

/// A message for each SIGINT or SIGTERM.
fn signals() -> Result<mpsc::Receiver<()>, Failure> {
    let (tell, told) = mpsc::channel(4);
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        let mut signals = signal(kind)
            .map_err(|error| Failure::user("cannot listen to signals").because(&error))?;
        let tell = tell.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                if tell.send(()).await.is_err() {
                    break;
                }
            }
        });
    }
    Ok(told)
}

/// The plan that a rollout would make now.
///
/// # Errors
/// All that stands against it.
pub(crate) async fn plan(scope: &Scope, hosts: &Hosts, desired: Desired) -> Result<Plan, Failure> {
    let plan = Plan::make(&request(scope, desired), &hosts.observe().await);
    plan.map_err(|problems| refusal(&problems))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(host: &str, seconds: u64) -> Problem {
        Problem::Locked {
            host: host.parse().unwrap(),
            holder: "operator at laptop".parse().unwrap(),
            expires_in: Span::seconds(seconds),
        }
    }

    #[test]
    fn locks_are_waited_for_and_nothing_else() {
        let away = Problem::NothingBefore { in_force: None };
        for (problems, waits) in [
            (vec![lock("ssh://a", 3)], Some(3)),
            (vec![lock("ssh://a", 1), lock("ssh://b", 2)], Some(2)),
            (vec![lock("ssh://a", 1), away], None),
            (vec![], None),
        ] {
            let outcome = Outcome::Refused(Problems(problems));
            let found = held(&outcome).map(|(_, expires_in)| expires_in.as_secs());
            assert_eq!(found, waits, "{outcome:?}");
        }
    }
}
