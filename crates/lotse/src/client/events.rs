//! Server-sent events (HTML standard, section 9.2), followed over broken connections.
//!
//! A stream is over only when the server says so with an event `end`. Until then a lost connection
//! is made again, from the last event seen.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt as _};
use reqwest::{Method, RequestBuilder, StatusCode};

use super::Client;
use crate::output::Failure;

/// How long a server may be away.
const PATIENCE: Duration = Duration::from_secs(300);

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The longest event, in bytes.
const EVENT_LIMIT: usize = 32 << 20;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: String,
}

/// The events of one resource.
pub(crate) struct Events<'a> {
    client: &'a Client,
    path: Vec<String>,
    stream: Option<BoxStream<'static, reqwest::Result<Bytes>>>,
    parser: Parser,
    /// Since the last event.
    attempts: u32,
    /// None while the server is heard.
    silent_since: Option<Instant>,
    was_connected: bool,
}

impl<'a> Events<'a> {
    pub(crate) fn new(client: &'a Client, path: &[&str]) -> Self {
        Self {
            client,
            path: path.iter().map(|&segment| segment.to_owned()).collect(),
            stream: None,
            parser: Parser::default(),
            attempts: 0,
            silent_since: None,
            was_connected: false,
        }
    }

    /// The next event; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, Failure> {
        loop {
            if let Some(event) = self.parser.events.pop_front() {
                self.attempts = 0;
                return Ok(Some(event).filter(|event| event.name != "end"));
            }
            self.read().await?;
        }
    }

    /// Reads on, over a new connection if need be.
    async fn read(&mut self) -> Result<(), Failure> {
        let Some(stream) = &mut self.stream else {
            return self.connect().await;
        };
        match stream.next().await {
            Some(Ok(chunk)) => {
                self.silent_since = None;
                self.parser.feed(&chunk)?;
            }
            Some(Err(_)) | None => {
                self.stream = None;
                self.silent_since.get_or_insert_with(Instant::now);
                self.parser.forget_partial();
            }
        }
        Ok(())
    }

    async fn connect(&mut self) -> Result<(), Failure> {
        self.pause().await;
        let failure = match self.client.exchange(self.request()).await {
            Ok(response) if !may_pass(response.status()) => {
                let response = self.client.check(response).await?;
                self.stream = Some(response.bytes_stream().boxed());
                self.was_connected = true;
                return self.check_patience(|| self.lost());
            }
            Ok(response) => match self.client.check(response).await {
                Ok(_) => self.client.not_understood(),
                Err(failure) => failure,
            },
            Err(failure) => failure,
        };
        if !self.was_connected {
            return Err(failure);
        }
        if self.attempts == 2 {
            eprintln!("{}; trying again", self.lost_text());
        }
        self.check_patience(|| failure)
    }

    fn request(&self) -> RequestBuilder {
        let path: Vec<_> = self.path.iter().map(String::as_str).collect();
        let request = self.client.request(Method::GET, &path);
        let request = request.header("Accept", "text/event-stream");
        match &self.parser.last_id {
            Some(id) => request.header("Last-Event-ID", id),
            None => request,
        }
    }

    /// None before the first attempt and the second; longer ones then.
    async fn pause(&mut self) {
        let pause = match self.attempts {
            0 | 1 => Duration::ZERO,
            attempts => Duration::from_millis(100) * 2_u32.pow(attempts.min(8)),
        };
        self.attempts = self.attempts.saturating_add(1);
        tokio::time::sleep(pause.min(LONGEST_PAUSE)).await;
    }

    fn check_patience(&self, failure: impl FnOnce() -> Failure) -> Result<(), Failure> {
        let over = |since: Instant| since.elapsed() > PATIENCE;
        if self.silent_since.is_some_and(over) {
            return Err(failure());
        }
        Ok(())
    }

    fn lost(&self) -> Failure {
        Failure::user(self.lost_text()).hint("run the command again when the server is back")
    }

    fn lost_text(&self) -> String {
        format!("the connection to {} is lost", self.client.server())
    }
}

/// What a server or proxy answers while it is being restarted.
fn may_pass(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502 | 503 | 504)
}

#[derive(Debug, Default)]
struct Parser {
    events: VecDeque<Event>,
    last_id: Option<String>,
    line: Vec<u8>,
    after_return: bool,
    name: String,
    data: String,
    id: Option<String>,
}

impl Parser {
    fn feed(&mut self, chunk: &[u8]) -> Result<(), Failure> {
        for &byte in chunk {
            let second = std::mem::take(&mut self.after_return) && byte == b'\n';
            match byte {
                _ if second => {}
                b'\n' | b'\r' => {
                    self.after_return = byte == b'\r';
                    let line = std::mem::take(&mut self.line);
                    self.end_line(&String::from_utf8_lossy(&line));
                }
                byte => self.line.push(byte),
            }
        }
        if self.line.len() + self.data.len() > EVENT_LIMIT {
            return Err(Failure::user("the server sends an event that does not end"));
        }
        Ok(())
    }

    fn end_line(&mut self, line: &str) {
        if line.is_empty() {
            return self.end_event();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" => self.id = Some(value.to_owned()),
            _ => {}
        }
    }

    fn end_event(&mut self) {
        let name = std::mem::take(&mut self.name);
        let mut data = std::mem::take(&mut self.data);
        if let Some(id) = self.id.take() {
            self.last_id = Some(id);
        }
        data.pop();
        if !name.is_empty() || !data.is_empty() {
            self.events.push_back(Event { name, data });
        }
    }

    /// What a broken connection has begun comes again from its start.
    fn forget_partial(&mut self) {
        self.line.clear();
        self.name.clear();
        self.data.clear();
        self.id = None;
        self.after_return = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, data: &str) -> Event {
        Event {
            name: name.to_owned(),
            data: data.to_owned(),
        }
    }

    #[test]
    fn events_in_any_pieces() {
        let text = ": alive\n\nevent: log\nid: 5\ndata: \"a\"\n\nevent:log\r\ndata: 1\r\ndata: ä\r\n\r\nretry: 1\n\nevent: end\rdata:\r\r";
        for size in [1, 2, 3, 1000] {
            let mut parser = Parser::default();
            for chunk in text.as_bytes().chunks(size) {
                parser.feed(chunk).unwrap();
            }
            let found: Vec<_> = parser.events.drain(..).collect();
            let expected = [
                event("log", "\"a\""),
                event("log", "1\nä"),
                event("end", ""),
            ];
            assert_eq!(found, expected, "pieces of {size}");
            assert_eq!(parser.last_id.as_deref(), Some("5"));
        }
    }

    #[test]
    fn a_cut_event_is_forgotten_with_its_id() {
        let mut parser = Parser::default();
        parser.feed(b"id: 1\ndata: a\n\nid: 2\ndata: b").unwrap();
        parser.forget_partial();
        parser.feed(b"\n\n").unwrap();
        assert_eq!(parser.events.len(), 1);
        assert_eq!(parser.last_id.as_deref(), Some("1"));
    }
}
