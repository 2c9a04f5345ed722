//! Progress on a terminal: a line a host that says what it is at, and a line for each of its
//! services, redrawn.

use std::collections::BTreeMap;
use std::time::Duration;

use apply::drive::{Progress, ServiceLook};
use deploy::{HostName, StepId};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::super::words::containers;
use super::lines::{text, tone};
use crate::output::{Screen, Tone};

pub(in super::super) struct Live {
    screen: Screen,
    all: MultiProgress,
    hosts: BTreeMap<HostName, Bars>,
}

/// The lines of a host.
struct Bars {
    head: ProgressBar,
    services: BTreeMap<String, ProgressBar>,
    /// The step that the head speaks of.
    step: Option<StepId>,
}

impl Live {
    pub(super) fn new(screen: Screen) -> Self {
        Self {
            screen,
            all: MultiProgress::with_draw_target(ProgressDrawTarget::stdout()),
            hosts: BTreeMap::new(),
        }
    }

    pub(super) fn show(&mut self, progress: &Progress) {
        match progress {
            Progress::Planned { .. }
            | Progress::Trouble { .. }
            | Progress::Failed { .. }
            | Progress::LeaseLate { .. }
            | Progress::Interrupted { .. } => {
                let words = text(progress).unwrap_or_default();
                self.say(&self.screen.paint(tone(progress), &words));
            }
            Progress::Begun { id, host, step, .. } => {
                let message = step.to_string();
                self.head(host, Some(*id), Tone::Busy, &message);
            }
            Progress::Retrying { host, message, .. } => {
                let message = format!("is away: {message}");
                self.head(host, None, Tone::Waiting, &message);
            }
            Progress::Said { id, host, text } if self.is_at(host, *id) => {
                self.head(host, Some(*id), Tone::Busy, text);
            }
            Progress::Done { id, host, .. } | Progress::Stopped { id, host, .. }
                if self.is_at(host, *id) =>
            {
                self.head(host, None, Tone::Quiet, "waits for the others");
            }
            Progress::Looked { host, services, .. } => self.looked(host, services),
            _ => {}
        }
    }

    /// Lines above those that live.
    pub(super) fn say(&self, text: &str) {
        for line in text.lines() {
            let _gone = self.all.println(line);
        }
    }

    pub(super) fn finish(&mut self) {
        for bars in self.hosts.values() {
            bars.services.values().for_each(ProgressBar::abandon);
            bars.head.finish_and_clear();
        }
    }

    fn is_at(&self, host: &HostName, id: StepId) -> bool {
        let bars = self.hosts.get(host);
        bars.is_some_and(|bars| bars.step == Some(id))
    }

    fn head(&mut self, host: &HostName, step: Option<StepId>, tone: Tone, message: &str) {
        let message = self.screen.paint(tone, message);
        let bars = self.bars(host);
        bars.step = step.or(bars.step);
        bars.head
            .set_message(format!("{:<20} {message}", host.short()));
        bars.head.enable_steady_tick(Duration::from_millis(120));
    }

    fn looked(&mut self, host: &HostName, services: &[ServiceLook]) {
        let (screen, all) = (self.screen, self.all.clone());
        let bars = self.bars(host);
        for look in services {
            let name = look.service.to_string();
            let after = bars.services.values().next_back().unwrap_or(&bars.head);
            let bar = match bars.services.get(&name) {
                Some(bar) => bar.clone(),
                None => {
                    let bar = ProgressBar::no_length().with_style(style());
                    all.insert_after(after, bar)
                }
            };
            let (tone, words) = containers(look.wanted, &look.containers);
            let words = screen.paint(tone, &words);
            bar.set_message(format!("{:<20} {name}: {words}", host.short()));
            bar.tick();
            bars.services.insert(name, bar);
        }
    }

    fn bars(&mut self, host: &HostName) -> &mut Bars {
        let all = &self.all;
        self.hosts.entry(host.clone()).or_insert_with(|| Bars {
            head: all.add(ProgressBar::no_length().with_style(style())),
            services: BTreeMap::new(),
            step: None,
        })
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {wide_msg}")
        .expect("the template is a constant that indicatif can read")
        .tick_chars("-\\|/ ")
}
