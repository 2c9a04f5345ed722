//! What follows from a look at containers.

use super::Rollout;
use super::event::{Ill, Look, StepId};
use super::outcome::Reason;
use crate::gate::{self, Judgement};
use crate::name::HostName;
use crate::step::Step;

/// What a look comes to.
enum Next {
    Stay,
    Pass,
    Fail(Ill),
    /// The watch has had its time, and goes on beside what follows.
    GoOn,
}

impl Rollout {
    pub(super) fn looked(&mut self, id: StepId, look: &Look) {
        let Some(next) = self.judge(id, look) else {
            return;
        };
        let Some(host) = self.running.get(&id).map(|running| running.host.clone()) else {
            return;
        };
        match next {
            Next::Stay => {}
            Next::Pass => self.stop(id),
            Next::GoOn => self.release_track(&host, id),
            Next::Fail(ill) => {
                let step = self.running.get(&id).map(|running| running.step.clone());
                self.stop(id);
                self.found_ill(&host, step.as_ref(), ill);
            }
        }
    }

    fn judge(&mut self, id: StepId, look: &Look) -> Option<Next> {
        let now = self.now;
        let running = self.running.get_mut(&id)?;
        let elapsed = now.since(running.since);
        match &running.step {
            Step::Await {
                waits,
                deadline,
                settle,
            } => Some(match gate::before(waits, *settle, look) {
                Judgement::Well => Next::Pass,
                Judgement::Ill(ill) => Next::Fail(ill),
                Judgement::Wait(ill) if elapsed >= deadline.get() => {
                    let reason = Reason::TooSlow {
                        deadline: *deadline,
                        last: Box::new(ill.reason),
                    };
                    Next::Fail(Ill { reason, ..ill })
                }
                Judgement::Wait(_) => Next::Stay,
            }),
            Step::Watch { waits, time } => {
                let baseline = running.baseline.get_or_insert_with(|| gate::baseline(look));
                Some(match gate::after(waits, baseline, look) {
                    Some(ill) => Next::Fail(ill),
                    None if elapsed >= time.get() => Next::GoOn,
                    None => Next::Stay,
                })
            }
            _ => None,
        }
    }

    fn release_track(&mut self, host: &HostName, id: StepId) {
        if let Some(track) = self.tracks.get_mut(host) {
            track.finish(id);
        }
    }
}
