//! Following a pipeline: a table that redraws itself on a terminal, a line for each change
//! elsewhere.

use std::collections::HashMap;
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde::Deserialize;

use super::Target;
use crate::client::{Events, Job, Pipeline};
use crate::output::{Failure, Screen, took};

/// What an event tells: everything there is to know now.
#[derive(Debug, Deserialize)]
struct State {
    pipeline: Pipeline,
    jobs: Vec<Job>,
}

pub(super) async fn watch(target: &Target<'_>) -> Result<ExitCode, Failure> {
    let screen = target.session.screen;
    let mut display = Display::new(screen);
    let mut events = Events::new(target.client(), &target.part("follow"));
    let mut last = None;
    while let Some(event) = events.next().await? {
        if event.name == "pipeline" {
            let state: State = serde_json::from_str(&event.data)
                .map_err(|error| target.client().not_understood().because(&error))?;
            display.show(&state)?;
            let blocked = state.pipeline.status.is("manual");
            last = Some(state);
            if blocked {
                break;
            }
        }
    }
    display.finish();
    let last = last.ok_or_else(|| target.client().not_understood())?;
    conclude(&last, screen)
}

/// A pipeline that waits for a manual job has ended as far as it can be watched.
fn conclude(state: &State, screen: Screen) -> Result<ExitCode, Failure> {
    let pipeline = &state.pipeline;
    if let Some(errors) = &pipeline.yaml_errors {
        screen.line(errors.trim_end())?;
    }
    let status = screen.paint(pipeline.status.tone(), pipeline.status.as_str());
    let took = pipeline
        .duration
        .map(|seconds| format!(" after {}", took(seconds)));
    let number = pipeline.id;
    screen.line(format!(
        "pipeline {number}: {status}{}",
        took.unwrap_or_default()
    ))?;
    if let Some(hint) = hint(state) {
        eprintln!("hint: {hint}");
    }
    let bad = matches!(pipeline.status.as_str(), "failed" | "canceled");
    Ok(if bad {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn hint(state: &State) -> Option<String> {
    let first = |wanted: &dyn Fn(&Job) -> bool| state.jobs.iter().find(|job| wanted(job));
    if state.pipeline.status.is("manual") {
        let job = first(&|job| job.status.is("manual"))?;
        let (id, name) = (job.id, &job.name);
        return Some(format!("go on with `lotse job play {id}` ({name})"));
    }
    let job = first(&|job| job.status.is("failed") && !job.allow_failure)?;
    if let Some(below) = &job.downstream_pipeline {
        let (number, page) = (below.id, &below.web_url);
        return Some(match below.project_id == state.pipeline.project_id {
            true => format!("see what failed with `lotse pipeline show {number}`"),
            false => format!("see what failed at {page}"),
        });
    }
    Some(format!("read why with `lotse job log {}`", job.id))
}

enum Display {
    Lines(Lines),
    Live(Live),
}

impl Display {
    fn new(screen: Screen) -> Self {
        if screen.is_live() {
            Self::Live(Live::new(screen))
        } else {
            Self::Lines(Lines::new(screen))
        }
    }

    fn show(&mut self, state: &State) -> Result<(), Failure> {
        match self {
            Self::Lines(lines) => lines.show(state),
            Self::Live(live) => {
                live.show(state);
                Ok(())
            }
        }
    }

    fn finish(&mut self) {
        if let Self::Live(live) = self {
            live.finish();
        }
    }
}

/// What was said of each job last.
struct Lines {
    screen: Screen,
    said: HashMap<i64, String>,
}

impl Lines {
    fn new(screen: Screen) -> Self {
        Self {
            screen,
            said: HashMap::new(),
        }
    }

    fn show(&mut self, state: &State) -> Result<(), Failure> {
        for job in state.jobs.iter().filter(|job| !job.status.is("created")) {
            let now = describe(job, self.screen);
            if self.said.get(&job.id) != Some(&now) {
                self.screen.line(&now)?;
                self.said.insert(job.id, now);
            }
        }
        Ok(())
    }
}

fn describe(job: &Job, screen: Screen) -> String {
    let mut text = format!(
        "{}: {}",
        job.name,
        screen.paint(job.status.tone(), job.status.as_str())
    );
    let mut about = vec![format!("job {}", job.id)];
    about.extend(job.duration.map(took).filter(|_| job.status.is_finished()));
    about.extend(job.below());
    about.extend(job.remark());
    text += &format!(" ({})", about.join(", "));
    text
}

/// A line for each job, redrawn.
struct Live {
    screen: Screen,
    all: MultiProgress,
    bars: HashMap<i64, ProgressBar>,
}

impl Live {
    fn new(screen: Screen) -> Self {
        Self {
            screen,
            all: MultiProgress::with_draw_target(indicatif::ProgressDrawTarget::stdout()),
            bars: HashMap::new(),
        }
    }

    fn show(&mut self, state: &State) {
        for job in &state.jobs {
            let bar = self.bars.entry(job.id).or_insert_with(|| {
                let bar = ProgressBar::no_length().with_style(style());
                self.all.add(bar)
            });
            let text = describe(job, self.screen);
            bar.set_message(format!("{:<12} {text}", job.stage));
            if job.status.is("running") {
                bar.enable_steady_tick(Duration::from_millis(120));
            } else {
                bar.disable_steady_tick();
                bar.tick();
            }
        }
    }

    fn finish(&mut self) {
        for bar in self.bars.values() {
            bar.abandon();
        }
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {wide_msg}")
        .expect("the template is a constant that indicatif can read")
        .tick_chars("-\\|/ ")
}
