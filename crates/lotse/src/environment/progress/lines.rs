//! Progress as plain lines: one when a step begins, one when it ends badly or has taken long, one
//! for each change of a service.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::time::Duration;

use apply::drive::{Progress, ServiceLook};
use deploy::span::Span;
use deploy::{HostName, Plan};

use super::super::words::containers;
use crate::output::{Screen, Tone, took};

/// What takes less long is not worth a second line.
const LONG: Duration = Duration::from_secs(2);

pub(in super::super) struct Lines {
    screen: Screen,
    /// What was said of each service of a host last.
    services: BTreeMap<(HostName, String), String>,
}

impl Lines {
    pub(super) fn new(screen: Screen) -> Self {
        Self {
            screen,
            services: BTreeMap::new(),
        }
    }

    pub(super) fn show(&mut self, progress: &Progress) {
        match progress {
            Progress::Looked { host, services, .. } => self.looked(host, services),
            // A pull speaks twice a second.
            Progress::Said { .. } => {}
            Progress::Done { took, .. } if took.get() < LONG => {}
            _ => {
                if let Some(text) = text(progress) {
                    self.line(tone(progress), &text);
                }
            }
        }
    }

    fn looked(&mut self, host: &HostName, services: &[ServiceLook]) {
        for look in services {
            let (tone, words) = containers(look.wanted, &look.containers);
            let key = (host.clone(), look.service.to_string());
            if self.services.get(&key) != Some(&words) {
                self.line(tone, &format!("{}: {} {words}", host.short(), look.service));
                self.services.insert(key, words);
            }
        }
    }

    fn line(&self, tone: Tone, text: &str) {
        let _gone = writeln!(io::stdout(), "{}", self.screen.paint(tone, text));
    }
}

/// What a thing that happened means.
pub(super) fn tone(progress: &Progress) -> Tone {
    match progress {
        Progress::Planned { .. } => Tone::Strong,
        Progress::Failed { .. } | Progress::Trouble { .. } | Progress::LeaseLate { .. } => {
            Tone::Bad
        }
        Progress::Retrying { .. } | Progress::Interrupted { .. } => Tone::Waiting,
        Progress::Done { .. } | Progress::Stopped { .. } => Tone::Quiet,
        _ => Tone::Plain,
    }
}

/// An event in words. Nothing where there is nothing to say.
pub(super) fn text(progress: &Progress) -> Option<String> {
    Some(match progress {
        Progress::Planned { plan } => head(plan),
        Progress::Begun {
            host, step, why, ..
        } => format!("{}: {step} ({why})", host.short()),
        Progress::Looked { host, services, .. } => {
            let looks = services.iter().map(|look| {
                let (_, words) = containers(look.wanted, &look.containers);
                format!("{} {words}", look.service)
            });
            let looks: Vec<String> = looks.collect();
            format!("{}: {}", host.short(), looks.join("; "))
        }
        Progress::Said { host, text, .. } => format!("{}: {text}", host.short()),
        Progress::Retrying {
            host,
            message,
            pause,
            ..
        } => format!(
            "{}: is away ({message}); trying again in {pause}",
            host.short()
        ),
        Progress::Done {
            host, step, took, ..
        } => format!("{}: done after {}: {step}", host.short(), length(*took)),
        Progress::Failed {
            host,
            step,
            failure,
            took,
            ..
        } => format!(
            "{}: failed after {}: {step}: {}",
            host.short(),
            length(*took),
            failure.message
        ),
        Progress::Stopped {
            host, step, took, ..
        } => format!("{}: ended after {}: {step}", host.short(), length(*took)),
        Progress::Trouble { cause } => format!("failure: {cause}"),
        Progress::LeaseLate { host, message } => format!(
            "{}: the lock has expired before it could be renewed ({message}); nothing more is done there for now",
            host.short()
        ),
        Progress::Interrupted { goes_back: true } => {
            "interrupted: what was begun is taken back; please wait".to_owned()
        }
        Progress::Interrupted { goes_back: false } => {
            "interrupted: it must not be left half done, so it comes to its end first; please wait"
                .to_owned()
        }
        Progress::Finished { .. } => return None,
    })
}

/// What is to be done, and what people should know before.
fn head(plan: &Plan) -> String {
    let whole = plan.to_string();
    let mut lines: Vec<String> = whole.lines().take(1).map(str::to_owned).collect();
    lines.extend(plan.notes.iter().map(|note| format!("note: {note}")));
    if plan.is_empty() {
        lines.push("nothing to do: all hosts serve it".to_owned());
    }
    lines.join("\n")
}

fn length(span: Span) -> String {
    took(span.get().as_secs_f64())
}
