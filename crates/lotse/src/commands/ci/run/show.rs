//! A local pipeline as it goes: lines with the job's name in front for people, objects for programs,
//! and a summary at the end.

use std::time::Instant;

use ci::Graph;
use pipeline::{Failure as JobFailure, Status};
use serde_json::{Value, json};
use server::local::{Happening, Place};

use super::super::tone;
use crate::output::{Cell, Failure, Filter, Screen, Table, Tone, took};

/// Longer names are not lined up.
const WIDEST: usize = 24;
/// A line of a log is shown when it has ended, or has this many bytes.
const LONGEST_LINE: usize = 64 * 1024;

pub(super) struct Display {
    screen: Screen,
    json: bool,
    /// Of all pipelines, one after the other.
    jobs: Vec<Shown>,
    /// Where the jobs of each pipeline begin.
    starts: Vec<usize>,
    width: usize,
    begin: Instant,
}

/// One job, as far as it is known.
struct Shown {
    name: String,
    /// What the trigger job is called whose child the pipeline is.
    below: Option<String>,
    stage: String,
    status: Status,
    attempt: u32,
    failure: Option<JobFailure>,
    forgiven: bool,
    begin: Option<Instant>,
    seconds: Option<f64>,
    filter: Filter,
    /// The part of a line whose end has not come yet.
    line: Vec<u8>,
}

impl Display {
    pub(super) fn new(screen: Screen, json: bool, graph: &Graph) -> Self {
        let mut display = Self {
            screen,
            json,
            jobs: Vec::new(),
            starts: Vec::new(),
            width: 0,
            begin: Instant::now(),
        };
        display.add(None, graph);
        display
    }

    /// A further pipeline, the child of a trigger job.
    pub(super) fn add(&mut self, above: Option<Place>, graph: &Graph) {
        let below = above.map(|place| self.jobs[self.at(place)].title());
        let colour = self.screen.has_colour() && !self.json;
        let shown = |job: &ci::Job| Shown {
            name: job.name.clone(),
            below: below.clone(),
            stage: graph.stages[job.stage].clone(),
            status: Status::Created,
            attempt: 1,
            failure: None,
            forgiven: false,
            begin: None,
            seconds: None,
            filter: Filter::new(colour),
            line: Vec::new(),
        };
        self.starts.push(self.jobs.len());
        self.jobs.extend(graph.jobs.iter().map(shown));
        let widths = self.jobs.iter().map(|job| job.title().chars().count());
        let widest = widths.filter(|width| *width <= WIDEST).max();
        self.width = widest.unwrap_or(0);
    }

    fn at(&self, place: Place) -> usize {
        self.starts[place.pipeline] + place.job
    }

    /// Lines in a job's log that are our own.
    pub(super) fn say(&mut self, place: Place, text: &str) -> Result<(), Failure> {
        let job = self.at(place);
        self.log(job, text.as_bytes())?;
        self.end_of_log(job)
    }

    pub(super) fn show(&mut self, happening: &Happening) -> Result<(), Failure> {
        match happening {
            Happening::Log { place, text } => self.log(self.at(*place), text),
            Happening::Job { place, .. } => {
                let job = self.at(*place);
                self.changed(job, happening)?;
                if self.json {
                    self.event(job)
                } else {
                    self.say_change(job)
                }
            }
            Happening::Delayed { place, seconds } => self.delayed(self.at(*place), *seconds),
            Happening::Child(_) | Happening::Ended { .. } => Ok(()),
        }
    }

    fn changed(&mut self, job: usize, happening: &Happening) -> Result<(), Failure> {
        let Happening::Job {
            attempt,
            status,
            failure,
            forgiven,
            ..
        } = happening
        else {
            return Ok(());
        };
        if status.is_complete() {
            self.end_of_log(job)?;
        }
        let shown = &mut self.jobs[job];
        shown.status = *status;
        shown.attempt = *attempt;
        shown.failure.clone_from(failure);
        shown.forgiven = *forgiven;
        if *status == Status::Running {
            shown.begin = Some(Instant::now());
        }
        if status.is_complete() {
            shown.seconds = shown.begin.map(|begin| begin.elapsed().as_secs_f64());
        }
        Ok(())
    }

    /// Says what the job's own log does not.
    fn say_change(&self, job: usize) -> Result<(), Failure> {
        let shown = &self.jobs[job];
        match shown.status {
            Status::Pending if shown.attempt > 1 => {
                let text = format!("is tried again (attempt {})", shown.attempt);
                self.line(job, Tone::Waiting, &text)
            }
            // the child below says which job it is
            Status::Manual if shown.begin.is_some() => Ok(()),
            Status::Manual if shown.below.is_some() => {
                let text = "waits to be played, which only a server can do for a child pipeline";
                self.line(job, Tone::Waiting, text)
            }
            Status::Manual => {
                let text = format!("waits to be played: --manual '{}'", shown.name);
                self.line(job, Tone::Waiting, &text)
            }
            Status::Failed if shown.begin.is_none() => self.line(job, Tone::Bad, &shown.why()),
            _ => Ok(()),
        }
    }

    fn delayed(&self, job: usize, seconds: u64) -> Result<(), Failure> {
        if self.json {
            let shown = &self.jobs[job];
            return self.object(&json!({
                "event": "delayed", "job": shown.name, "below": shown.below, "seconds": seconds,
            }));
        }
        let text = format!("waits for {}", took(seconds as f64));
        self.line(job, Tone::Waiting, &text)
    }

    fn log(&mut self, job: usize, text: &[u8]) -> Result<(), Failure> {
        let shown = &mut self.jobs[job];
        let text = shown.filter.feed(text);
        let mut lines = Vec::new();
        for byte in text {
            if byte == b'\n' || shown.line.len() >= LONGEST_LINE {
                lines.push(std::mem::take(&mut shown.line));
            }
            if byte != b'\n' {
                shown.line.push(byte);
            }
        }
        lines.iter().try_for_each(|line| self.log_line(job, line))
    }

    fn end_of_log(&mut self, job: usize) -> Result<(), Failure> {
        let shown = &mut self.jobs[job];
        let rest = shown.filter.finish();
        shown.line.extend(rest);
        let line = std::mem::take(&mut shown.line);
        if line.is_empty() {
            return Ok(());
        }
        self.log_line(job, &line)
    }

    fn log_line(&self, job: usize, line: &[u8]) -> Result<(), Failure> {
        let line = String::from_utf8_lossy(line);
        // What a carriage return has written over is not seen on a terminal either.
        let line = line.trim_end_matches('\r');
        let line = line.rsplit('\r').next().unwrap_or(line);
        if self.json {
            let shown = &self.jobs[job];
            return self.object(&json!({
                "event": "log", "job": shown.name, "below": shown.below,
                "attempt": shown.attempt, "text": line,
            }));
        }
        self.line(job, Tone::Plain, line)
    }

    fn line(&self, job: usize, tone: Tone, text: &str) -> Result<(), Failure> {
        let name = format!("{:width$} |", self.jobs[job].title(), width = self.width);
        let name = self.screen.tint(job, &name);
        let text = self.screen.paint(tone, text);
        self.screen.line(format!("{name} {text}").trim_end())
    }

    fn event(&self, job: usize) -> Result<(), Failure> {
        let mut object = self.jobs[job].object();
        object["event"] = json!("job");
        self.object(&object)
    }

    /// The summary. A pipeline that waits for somebody has not succeeded.
    pub(super) fn finish(&self, status: Status) -> Result<(), Failure> {
        let seconds = self.begin.elapsed().as_secs_f64();
        if self.json {
            let jobs: Vec<Value> = self.jobs.iter().map(Shown::object).collect();
            return self.object(&json!({
                "event": "pipeline", "status": status, "seconds": seconds, "jobs": jobs,
            }));
        }
        let mut table = Table::new(["job", "stage", "status", "took", ""]);
        for job in &self.jobs {
            table.row([
                job.title().into(),
                job.stage.as_str().into(),
                Cell::new(tone(job.status), job.status.as_str()),
                job.seconds.map(took).unwrap_or_default().into(),
                job.why().into(),
            ]);
        }
        self.screen.line("")?;
        self.screen.table(&table)?;
        let word = self.screen.paint(tone(status), status.as_str());
        self.screen
            .line(format!("pipeline: {word} after {}", took(seconds)))
    }

    fn object(&self, value: &Value) -> Result<(), Failure> {
        self.screen.line(value.to_string())
    }
}

impl Shown {
    /// Its name, after that of the trigger job above it.
    fn title(&self) -> String {
        match &self.below {
            Some(below) => format!("{below}: {}", self.name),
            None => self.name.clone(),
        }
    }

    fn object(&self) -> Value {
        let failure = self.failure.as_ref();
        json!({
            "job": self.name,
            "below": self.below,
            "stage": self.stage,
            "attempt": self.attempt,
            "status": self.status,
            "seconds": self.seconds,
            "reason": failure.map(|failure| &failure.reason),
            "exit_code": failure.and_then(|failure| failure.exit_code),
            "allowed_to_fail": self.forgiven,
        })
    }

    /// What to say beside the status.
    fn why(&self) -> String {
        let mut words = Vec::new();
        match &self.failure {
            Some(JobFailure {
                exit_code: Some(code),
                ..
            }) => words.push(format!("exit code {code}")),
            Some(failure) => words.push(failure.reason.replace('_', " ")),
            None => {}
        }
        if self.status == Status::Failed && self.forgiven {
            words.push("allowed".to_owned());
        }
        if self.attempt > 1 {
            words.push(format!("attempt {}", self.attempt));
        }
        words.join(", ")
    }
}
