//! One pass over the stages that lets every job go on that can.
//!
//! GitLab looks at all created jobs after each event; here only those are looked at whose needs
//! changed, or whose earlier stages are complete, so that an event costs what it changes.

use ci::When;

use crate::event::Effect;
use crate::run::Run;
use crate::status::{Counts, Status};

impl Run {
    pub(crate) fn process(&mut self, effects: &mut Vec<Effect>) {
        let mut before = Counts::default();
        for stage in 0..self.stage_counts.len() {
            self.process_waiting(stage, before.status(), effects);
            self.process_changed(stage, effects);
            before.add_all(&self.stage_counts[stage]);
        }
    }

    /// The jobs of this stage that wait for all earlier stages.
    fn process_waiting(&mut self, stage: usize, before: Status, effects: &mut Vec<Effect>) {
        if !before.is_complete() {
            return;
        }
        for job in std::mem::take(&mut self.waiting[stage]) {
            self.decide(job, before, effects);
        }
    }

    /// The jobs of this stage with `needs` that changed; the later ones may need the earlier.
    fn process_changed(&mut self, stage: usize, effects: &mut Vec<Effect>) {
        while let Some(&entry) = self.changed.first()
            && entry.0 == stage
        {
            self.changed.remove(&entry);
            let job = entry.2;
            let before = self.need_counts[job].status_of_needs();
            if before.is_complete() && self.jobs[job].status == Status::Created {
                self.decide(job, before, effects);
            }
        }
    }

    /// What a created job does once those before it are complete.
    fn decide(&mut self, job: usize, before: Status, effects: &mut Vec<Effect>) {
        let planned = &self.plan.jobs[job];
        if !runs_after(planned.when, before, planned.needs.is_some()) {
            self.set(job, Status::Skipped, effects);
        } else if self.jobs[job].enqueue_at_once {
            self.enqueue(job, effects);
        } else if planned.when == When::Delayed {
            let seconds = planned.start_in;
            self.set(job, Status::Scheduled, effects);
            effects.push(Effect::Delay { job, seconds });
        } else if planned.when == When::Manual {
            self.set(job, Status::Manual, effects);
        } else {
            self.enqueue(job, effects);
        }
    }
}

fn runs_after(when: When, before: Status, needs: bool) -> bool {
    match when {
        When::OnSuccess | When::Manual | When::Delayed => {
            before == Status::Success || (before == Status::Skipped && !needs)
        }
        When::OnFailure => before == Status::Failed,
        When::Always => matches!(before, Status::Success | Status::Failed | Status::Skipped),
        When::Never => false,
    }
}
