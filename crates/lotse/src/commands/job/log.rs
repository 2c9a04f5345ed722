//! A job's log: what there is, or as it grows.

use std::process::ExitCode;

use futures_util::StreamExt as _;
use reqwest::Method;

use super::Target;
use crate::client::{Events, Job, typed};
use crate::output::{Failure, Filter, Screen};

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
    if printer.is_untouched {
        let job: Job = typed(client, &target.get().await?)?;
        eprintln!("job {} has no log: it is {}", job.id, job.status.as_str());
        tell_waiting(&job, &mut None);
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

/// A job that has not begun has no log to look at: it is said what is missing.
fn tell_waiting(job: &Job, said: &mut Option<String>) {
    let wait = match job.status.as_str() {
        "pending" => job.remark().map(|reason| format!("is pending: {reason}")),
        "manual" => Some(format!(
            "waits for somebody to start it: lotse job play {}",
            job.id
        )),
        _ => None,
    };
    if wait.is_some() && *said != wait {
        eprintln!("job {} {}", job.id, wait.as_deref().unwrap_or_default());
        *said = wait;
    }
}

fn conclude(job: &Job) -> ExitCode {
    if job.status.is("success") {
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
    is_untouched: bool,
}

impl Printer {
    fn new(screen: Screen, format: Format) -> Self {
        Self {
            screen,
            filter: (format == Format::Readable).then(|| Filter::new(screen.has_colour())),
            is_untouched: true,
        }
    }

    fn print(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.is_untouched &= bytes.is_empty();
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
