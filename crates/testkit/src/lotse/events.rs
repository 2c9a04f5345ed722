//! Server-sent events, one after the other (HTML standard, "Server-sent events").

use reqwest::{Method, Response};

use super::Lotse;
use super::http::encoded;

/// One event.
#[derive(Debug, Clone, Default)]
pub struct Event {
    /// `log`, `status`, `pipeline` or `end`.
    pub name: String,
    /// What a follower sends back as `Last-Event-ID` to go on from here.
    pub id: Option<String>,
    /// The data.
    pub data: String,
}

/// A stream of events.
pub struct Events {
    response: Option<Response>,
    buffer: String,
}

impl Lotse {
    /// Follows a job's log, from the start or from behind an event.
    pub async fn follow_job(&self, project: &str, job: i64, after: Option<&str>) -> Events {
        let path = format!("/projects/{}/jobs/{job}/trace/follow", encoded(project));
        self.follow(&path, after).await
    }

    /// Follows a pipeline and its jobs.
    pub async fn follow_pipeline(&self, project: &str, pipeline: i64) -> Events {
        let path = format!("/projects/{}/pipelines/{pipeline}/follow", encoded(project));
        self.follow(&path, None).await
    }

    async fn follow(&self, path: &str, after: Option<&str>) -> Events {
        let mut request = self.request(Method::GET, path);
        if let Some(id) = after {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await.ok();
        Events {
            response: response.filter(|response| response.status().is_success()),
            buffer: String::new(),
        }
    }
}

impl Events {
    /// The next event; nothing when the stream has ended or broken.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((block, rest)) = self.buffer.split_once("\n\n") {
                let event = parse(block);
                self.buffer = rest.to_owned();
                match event {
                    Some(event) => return Some(event),
                    None => continue,
                }
            }
            let chunk = self.response.as_mut()?.chunk().await.ok()??;
            self.buffer.push_str(&String::from_utf8_lossy(&chunk));
        }
    }
}

/// Nothing for a comment that keeps the connection alive.
fn parse(block: &str) -> Option<Event> {
    let mut event = Event::default();
    for line in block.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut event.name),
            "id" => event.id = Some(value.to_owned()),
            "data" => event.data.push_str(value),
            _ => {}
        }
    }
    (!event.name.is_empty()).then_some(event)
}
