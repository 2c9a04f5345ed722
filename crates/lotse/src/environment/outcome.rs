//! How a rollout ended, in words and as an exit code.

use std::process::ExitCode;

use deploy::{
    Cause, Consequence, Holder, HostName, Leftover, Outcome, Plan, Problems, ReleaseNumber, Way,
};

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
            if !outcome.is_unwritten() {
                return ExitCode::SUCCESS;
            }
            tell_unwritten(plan);
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

/// How a record that could not be written comes right.
fn tell_unwritten(plan: Option<&Plan>) {
    let Some(plan) = plan else { return };
    let again = match plan.intent.way {
        Way::Deploy => "deploy",
        Way::Rollback => "rollback",
    };
    let environment = &plan.environment;
    eprintln!(
        "hint: `lotse {again} {environment}` again writes it down; until then a later failure or rollback leads to the release before"
    );
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
        let (host, why) = (leftover.host.short(), &leftover.message);
        match leftover.consequence {
            Consequence::Untidy => eprintln!("warning: {host}: left undone: {why}"),
            Consequence::Unwritten => {
                eprintln!(
                    "error: {host} serves the release, but its record does not say so: {why}"
                );
            }
            Consequence::Stuck => eprintln!("error: {host} does not serve what it should: {why}"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_written_down_is_no_success() {
        for (consequence, expected) in [
            (None, ExitCode::SUCCESS),
            (Some(Consequence::Untidy), ExitCode::SUCCESS),
            (Some(Consequence::Unwritten), ExitCode::FAILURE),
        ] {
            let leftover = consequence.map(|consequence| Leftover {
                host: "ssh://web1".parse().unwrap(),
                step: "write down: release 2 is in force".to_owned(),
                message: "the disk is full".to_owned(),
                consequence,
            });
            let done = Outcome::Done {
                release: ReleaseNumber(2),
                leftovers: leftover.into_iter().collect(),
            };
            assert_eq!(conclude(&done, None, true), expected, "{consequence:?}");
        }
    }
}
