//! How a rollout ended, in words and as an exit code.

use std::process::ExitCode;

use deploy::{Cause, Holder, HostName, Leftover, Outcome, Plan, Problems, ReleaseNumber};

use super::words::count;
use crate::output::Failure;

/// What stands against something, each as an error of its own.
pub(crate) fn refusal(problems: &Problems) -> Failure {
    let problems: Vec<String> = problems.0.iter().map(ToString::to_string).collect();
    Failure::user(problems.join("\nerror: "))
}

/// Says how it ended on standard error; what went well, on standard output.
pub(super) fn conclude(outcome: &Outcome, plan: Option<&Plan>, json: bool) -> ExitCode {
    match outcome {
        Outcome::Done { release, leftovers } => {
            tell_leftovers(leftovers);
            if !json {
                tell_done(*release, plan);
            }
            return ExitCode::SUCCESS;
        }
        Outcome::Refused(problems) => return refusal(problems).report(),
        Outcome::Interrupted => {
            eprintln!("interrupted before anything was changed");
            return Failure::interrupted().report();
        }
        Outcome::LockLost { host, by } => tell_lock_lost(host, by.as_ref()),
        Outcome::RolledBack {
            release,
            causes,
            to,
            leftovers,
        } => {
            eprintln!("error: release {} does not serve", title(plan, *release));
            tell_causes(causes);
            match to {
                Some(to) => eprintln!("release {} serves as before", title(plan, *to)),
                None => eprintln!("no release was there before"),
            }
            tell_leftovers(leftovers);
            tell_logs(causes, plan);
        }
        Outcome::Paused {
            release,
            causes,
            leftovers,
        } => {
            let title = title(plan, *release);
            eprintln!("error: the deploy of release {title} has halted (`failure_action: pause`)");
            tell_causes(causes);
            tell_leftovers(leftovers);
            eprintln!("hint: `lotse deploy` goes on, `lotse rollback` goes back");
        }
        Outcome::Partly {
            release,
            causes,
            leftovers,
        } => {
            let title = title(plan, *release);
            eprintln!(
                "error: release {title} serves on some hosts only (`failure_action: continue`)"
            );
            tell_causes(causes);
            tell_leftovers(leftovers);
            eprintln!("hint: `lotse deploy` tries the others again, `lotse rollback` goes back");
        }
    }
    ExitCode::FAILURE
}

fn tell_done(release: ReleaseNumber, plan: Option<&Plan>) {
    let hosts = count(plan.map_or(0, |plan| plan.hosts.len()), "host");
    println!("release {} serves on {hosts}", title(plan, release));
}

fn tell_lock_lost(host: &HostName, by: Option<&Holder>) {
    let by = by.map_or("somebody", |holder| holder.as_str());
    eprintln!("error: the lock of {host} was taken by {by}; all was left as it was");
    eprintln!(
        "hint: `lotse status` says what each host serves; a deploy or rollback goes on from there"
    );
}

fn title(plan: Option<&Plan>, number: ReleaseNumber) -> String {
    let known = plan.and_then(|plan| plan.releases.get(&number));
    known.map_or_else(|| number.to_string(), |release| release.title())
}

fn tell_causes(causes: &[Cause]) {
    for cause in causes {
        let words = cause.to_string();
        words.lines().for_each(|line| eprintln!("  {line}"));
        for line in &cause.last_lines {
            eprintln!("    | {}", line.trim_end());
        }
    }
}

fn tell_leftovers(leftovers: &[Leftover]) {
    for leftover in leftovers {
        let host = leftover.host.short();
        match leftover.stuck {
            true => eprintln!(
                "error: {host} does not serve what it should: {}",
                leftover.message
            ),
            false => eprintln!("warning: {host}: left undone: {}", leftover.message),
        }
    }
}

/// Where more of a container's output is.
fn tell_logs(causes: &[Cause], plan: Option<&Plan>) {
    let service = causes.iter().find_map(|cause| cause.service.as_ref());
    if let Some((service, plan)) = service.zip(plan) {
        let (environment, release) = (&plan.environment, plan.intent.to);
        eprintln!(
            "hint: `lotse logs {environment} {service} --release {release}` shows all of its output"
        );
    }
}
