//! What is written down about a request when it is over: counters, and a line of the access log.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use http::header::{HOST, HeaderMap, HeaderName, HeaderValue, REFERER, USER_AGENT};
use http::{Request, Version};
use http_body::Frame;
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::mpsc;

use crate::settings::LogFormat;

/// Upper bounds of the durations that are told apart, in milliseconds.
pub(crate) const BUCKETS: [u64; 11] = [1, 5, 10, 25, 50, 100, 250, 500, 1000, 5000, 30_000];

/// What was counted of a route since the edge started; kept across swaps.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// By the first digit of the status; 0 for those broken off before they were answered.
    pub(crate) statuses: [AtomicU64; 6],
    pub(crate) bytes_out: AtomicU64,
    pub(crate) buckets: [AtomicU64; BUCKETS.len() + 1],
    pub(crate) micros: AtomicU64,
    pub(crate) retries: AtomicU64,
}

/// A request under way. Its drop is the end of the request.
pub(crate) struct Record {
    started: Instant,
    pub(crate) status: u16,
    bytes: u64,
    broken: bool,
    pub(crate) counters: Option<Arc<Counters>>,
    line: Option<(Line, LogSender)>,
}

/// Where lines of the access log go.
#[derive(Clone)]
pub(crate) struct LogSender {
    pub(crate) lines: mpsc::Sender<String>,
    pub(crate) lost: Arc<AtomicU64>,
    pub(crate) format: LogFormat,
}

#[derive(Serialize)]
struct Line {
    time: Timestamp,
    client: IpAddr,
    method: String,
    host: String,
    path: String,
    protocol: &'static str,
    status: u16,
    bytes: u64,
    /// In seconds.
    duration: f64,
    /// Whether the client got less than everything.
    broken: bool,
    request_id: String,
    user_agent: String,
    referer: String,
    target: String,
    release: Option<u64>,
}

impl Record {
    pub(crate) fn begin<B>(request: &Request<B>, client: IpAddr, log: Option<&LogSender>) -> Self {
        Self {
            started: Instant::now(),
            status: 0,
            bytes: 0,
            broken: false,
            counters: None,
            line: log.map(|log| (Line::new(request, client), log.clone())),
        }
    }

    /// Who answers.
    pub(crate) fn answered_by(&mut self, target: std::net::SocketAddr, generation: u64) {
        if let Some((line, _)) = &mut self.line {
            line.target = target.to_string();
            line.release = Some(generation);
        }
    }

    /// The name that the target was told.
    pub(crate) fn named(&mut self, id: &HeaderValue) {
        if let Some((line, _)) = &mut self.line {
            line.request_id = String::from_utf8_lossy(id.as_bytes()).into_owned();
        }
    }

    /// A part of the answer passes.
    pub(crate) fn saw(&mut self, frame: Option<&Result<Frame<Bytes>, hyper::Error>>) {
        match frame {
            Some(Ok(frame)) => self.bytes += frame.data_ref().map_or(0, |data| data.len() as u64),
            Some(Err(_)) => self.broken = true,
            None => {}
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let duration = self.started.elapsed();
        if let Some(counters) = &self.counters {
            counters.count(self.status, self.bytes, duration);
        }
        let Some((mut line, log)) = self.line.take() else {
            return;
        };
        line.status = self.status;
        line.bytes = self.bytes;
        line.broken = self.broken;
        line.duration = (duration.as_secs_f64() * 1e6).round() / 1e6;
        // A disk that cannot keep up must not hold requests up; what is lost is counted.
        if log.lines.try_send(line.render(log.format)).is_err() {
            log.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Counters {
    fn count(&self, status: u16, bytes: u64, duration: std::time::Duration) {
        let class = usize::from(status / 100).min(5);
        let millis = duration.as_millis() as u64;
        let bucket = BUCKETS
            .iter()
            .position(|bound| millis < *bound)
            .unwrap_or(BUCKETS.len());
        self.statuses[class].fetch_add(1, Ordering::Relaxed);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.bytes_out.fetch_add(bytes, Ordering::Relaxed);
        self.micros
            .fetch_add(duration.as_micros() as u64, Ordering::Relaxed);
    }
}

impl Line {
    fn new<B>(request: &Request<B>, client: IpAddr) -> Self {
        let headers = request.headers();
        let host = request
            .uri()
            .authority()
            .map(|authority| authority.to_string());
        Self {
            time: Timestamp::now(),
            client,
            method: request.method().to_string(),
            host: host.unwrap_or_else(|| text(headers, &HOST)),
            path: request
                .uri()
                .path_and_query()
                .map_or_else(String::new, ToString::to_string),
            protocol: match request.version() {
                Version::HTTP_2 => "HTTP/2.0",
                Version::HTTP_10 => "HTTP/1.0",
                _ => "HTTP/1.1",
            },
            status: 0,
            bytes: 0,
            duration: 0.0,
            broken: false,
            request_id: String::new(),
            user_agent: text(headers, &USER_AGENT),
            referer: text(headers, &REFERER),
            target: String::new(),
            release: None,
        }
    }

    fn render(&self, format: LogFormat) -> String {
        match format {
            LogFormat::Json => serde_json::to_string(self).unwrap_or_default(),
            LogFormat::Combined => self.combined(),
        }
    }

    fn combined(&self) -> String {
        let mut out = String::with_capacity(200);
        let time = self.time.strftime("%d/%b/%Y:%H:%M:%S +0000");
        let _ = write!(out, "{} - - [{time}] \"{} ", self.client, self.method);
        escape(&mut out, &self.path);
        let _ = write!(
            out,
            " {}\" {} {} \"",
            self.protocol, self.status, self.bytes
        );
        escape(&mut out, dash(&self.referer));
        out.push_str("\" \"");
        escape(&mut out, dash(&self.user_agent));
        out.push('"');
        out
    }
}

fn dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// A client must not be able to write a line of its own.
fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> String {
    let value = headers
        .get(name)
        .map(|value| String::from_utf8_lossy(value.as_bytes()));
    value.unwrap_or_default().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let request = Request::builder()
            .uri("/a?b=\"c")
            .header("host", "example.org")
            .header("user-agent", "evil\" 200\\")
            .body(());
        // The URI's own rules keep quotes out; if they change, the log still holds.
        let request = request.unwrap_or_else(|_| {
            Request::builder()
                .uri("/a")
                .header("host", "example.org")
                .header("user-agent", "evil\" 200\\")
                .body(())
                .unwrap()
        });
        let (lines, mut received) = mpsc::channel(2);
        for format in [LogFormat::Combined, LogFormat::Json] {
            let log = LogSender {
                lines: lines.clone(),
                lost: Arc::default(),
                format,
            };
            let mut record = Record::begin(&request, "192.0.2.7".parse().unwrap(), Some(&log));
            record.status = 404;
            record.answered_by("10.0.0.1:80".parse().unwrap(), 7);
        }
        let combined = received.try_recv().unwrap();
        assert!(combined.starts_with("192.0.2.7 - - ["), "{combined}");
        assert!(
            combined.ends_with("HTTP/1.1\" 404 0 \"-\" \"evil\\\" 200\\\\\""),
            "{combined}"
        );
        let json: serde_json::Value = serde_json::from_str(&received.try_recv().unwrap()).unwrap();
        assert_eq!(json["status"], 404);
        assert_eq!(json["target"], "10.0.0.1:80");
        assert_eq!(json["release"], 7);
        assert_eq!(json["host"], "example.org");
    }
}
