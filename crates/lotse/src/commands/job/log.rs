//! A job's log: what there is, or as it grows.

use std::process::ExitCode;

use futures_util::StreamExt as _;
use reqwest::Method;

use super::Target;
use super::plain::Filter;
use crate::client::{Events, Job, typed};
use crate::output::{Failure, Screen};

/// How the log is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Without what moves the cursor.
    Readable,
    /// Byte for byte.
    Raw,
}

/// Prints what there is.
pub(super) async fn print(target: &Target<'_>, format: Format) -> Result<(), Failure> {
    let client = target.client();
    let request = client.request(Method::GET, &target.path(["trace"]));
    let response = client.send(request).await?;
    let mut printer = Printer::new(target.session.screen, format);
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| {
            Failure::user("the connection broke in the middle of the log")
                .because(&error.without_url())
                .hint("try again")
        })?;
        printer.print(&chunk)?;
    }
    printer.finish()
}

/// Prints until the job has ended, and ends as it did.
pub(super) async fn follow(target: &Target<'_>, format: Format) -> Result<ExitCode, Failure> {
    let client = target.client();
    let mut printer = Printer::new(target.session.screen, format);
    let mut said = None;
    let mut events = Events::new(client, &target.path(["trace", "follow"]));
    while let Some(event) = events.next().await? {
        let broken = |error| client.not_understood().because(&error);
        match event.name.as_str() {
            "log" => {
                let text: String = serde_json::from_str(&event.data).map_err(broken)?;
                printer.print(text.as_bytes())?;
            }
            "status" => {
                let job: Job = serde_json::from_str(&event.data).map_err(broken)?;
                tell_waiting(&job, &mut said);
            }
            _ => {}
        }
    }
    printer.finish()?;
    let job: Job = typed(client, &target.get().await?)?;
    Ok(conclude(&job))
}

/// A job that no runner takes has no log to look at: it is said what is missing.
fn tell_waiting(job: &Job, said: &mut Option<String>) {
    let reason = job.remark().filter(|_| job.status.is("pending"));
    if let Some(reason) = reason.filter(|reason| said.as_ref() != Some(reason)) {
        eprintln!("job {} is pending: {reason}", job.id);
        *said = Some(reason);
    }
}

fn conclude(job: &Job) -> ExitCode {
    if job.status.is("success") || job.status.is("manual") {
        return ExitCode::SUCCESS;
    }
    let remark = job.remark().map(|remark| format!(" ({remark})"));
    let status = job.status.as_str();
    eprintln!("job {} is {status}{}", job.id, remark.unwrap_or_default());
    ExitCode::FAILURE
}

struct Printer {
    screen: Screen,
    filter: Option<Filter>,
}

impl Printer {
    fn new(screen: Screen, format: Format) -> Self {
        Self {
            screen,
            filter: (format == Format::Readable).then(|| Filter::new(screen.has_colour())),
        }
    }

    fn print(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match &mut self.filter {
            Some(filter) => self.screen.write(&filter.feed(bytes)),
            None => self.screen.write(bytes),
        }
    }

    fn finish(&mut self) -> Result<(), Failure> {
        let rest = self.filter.as_mut().map(Filter::finish);
        self.screen.write(&rest.unwrap_or_default())
    }
}
