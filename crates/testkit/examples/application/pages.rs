//! Pages and API. Any request is answered with what it brought; some paths do more.

use std::io::{self, Read as _, Write as _};
use std::thread;
use std::time::Duration;

use crate::fault::Fault;
use crate::http::{self, Head};
use crate::release;
use crate::serve::{Answers, Connection};

const API: &str = "web-api:5000";

/// The role `ui` or `api`.
pub(crate) struct Pages {
    fault: Fault,
    release: u64,
    asks_api: bool,
}

impl Pages {
    pub(crate) fn new(role: &str, fault: Fault) -> Self {
        Self {
            fault,
            release: release(),
            asks_api: role == "ui",
        }
    }

    fn stamped(&self, status: &str) -> Head {
        Head::answer(status).with("x-release", self.release)
    }

    /// A page names its release, and that of the API which a page of its own would ask.
    fn page(&self) -> io::Result<String> {
        let (_, said) = http::get(API, "/")?;
        let api = said.split(' ').nth(1).unwrap_or_default();
        Ok(format!(
            "page {} api {api}\n<link rel=stylesheet href=/static/site.css>\n",
            self.release
        ))
    }

    /// Echoes bytes after a greeting with the release.
    fn socket(&self, head: &Head, connection: &mut Connection) -> io::Result<()> {
        let protocol = head.get("upgrade").unwrap_or_default();
        let answer = self
            .stamped("101 Switching Protocols")
            .with("connection", "Upgrade")
            .with("upgrade", protocol);
        let mut bytes = Vec::new();
        answer.write(&mut bytes)?;
        bytes.extend(format!("release {}\n", self.release).bytes());
        connection.writer.write_all(&bytes)?;
        connection.closes = true;
        let mut bytes = [0; 1024];
        loop {
            match connection.reader.read(&mut bytes)? {
                0 => return Ok(()),
                count => connection.writer.write_all(&bytes[..count])?,
            }
        }
    }
}

impl Answers for Pages {
    fn answer(&self, head: &Head, connection: &mut Connection) -> io::Result<()> {
        let path = head.path();
        if head.get("upgrade").is_some() {
            return self.socket(head, connection);
        }
        let (mut size, mut sum) = (0, Sum::default());
        connection.read_body(head, &mut |piece| {
            size += piece.len();
            sum.add(piece);
            Ok(())
        })?;
        let healthy = match path {
            "/health" => Some(self.fault.is_healthy()),
            "/ping" => Some(self.fault.answers_ping()),
            _ => None,
        };
        if let Some(healthy) = healthy {
            let status = if healthy {
                "200 OK"
            } else {
                "500 Internal Server Error"
            };
            return connection.reply(self.stamped(status), b"");
        }
        self.fault.at_request();
        if let Some(millis) = path.strip_prefix("/slow/") {
            thread::sleep(Duration::from_millis(millis.parse().unwrap_or(0)));
        }
        if path == "/page" && self.asks_api {
            let page = self.page()?;
            return connection.reply(self.stamped("200 OK"), page.as_bytes());
        }
        let answer = self.stamped("200 OK").with("x-checksum", sum.hex());
        let body = format!("release {} took {size}", self.release);
        connection.reply(answer, body.as_bytes())
    }
}

/// FNV-1a of 64 bits.
struct Sum(u64);

impl Default for Sum {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }

    fn hex(&self) -> String {
        format!("{:016x}", self.0)
    }
}
