//! The front end: files of the volume `static`, `/api/…` from the API, all else from the pages. It
//! finds both by their names, for each request anew.

use std::io::{self, BufReader, Write as _};
use std::net::{Shutdown, TcpStream};
use std::thread;

use crate::fault::Fault;
use crate::http::{self, Framing, Head};
use crate::release;
use crate::serve::{Answers, Connection};

const FILES: &str = "/srv";
const PAGES: &str = "web-ui:5000";
const API: &str = "web-api:5000";

/// The role `frontend`.
pub(crate) struct Frontend {
    fault: Fault,
    release: u64,
}

impl Frontend {
    pub(crate) fn new(fault: Fault) -> Self {
        Self {
            fault,
            release: release(),
        }
    }

    fn file(&self, path: &str, connection: &mut Connection) -> io::Result<()> {
        let head = |status| Head::answer(status).with("x-release", self.release);
        match std::fs::read(format!("{FILES}{path}")) {
            Ok(content) if !path.contains("..") => connection.reply(head("200 OK"), &content),
            _ => connection.reply(head("404 Not Found"), b"no such file"),
        }
    }

    fn bad_gateway(&self, error: &io::Error, connection: &mut Connection) -> io::Result<()> {
        connection.closes = true;
        let head = Head::answer("502 Bad Gateway").with("x-release", self.release);
        connection.reply(head, error.to_string().as_bytes())
    }
}

impl Answers for Frontend {
    fn answer(&self, head: &Head, connection: &mut Connection) -> io::Result<()> {
        let path = head.path().to_owned();
        if path != "/health" && path != "/ping" {
            self.fault.at_request();
        }
        if path.starts_with("/static/") {
            connection.read_body(head, &mut |_| Ok(()))?;
            return self.file(&path, connection);
        }
        let behind = if path.starts_with("/api/") {
            API
        } else {
            PAGES
        };
        let answer = ask(behind, head, connection);
        match answer {
            Ok((answer, from)) => pass_on(answer, from, connection),
            Err(error) => self.bad_gateway(&error, connection),
        }
    }
}

/// Sends a request to those behind; returns the head of their answer.
fn ask(
    behind: &str,
    head: &Head,
    connection: &mut Connection,
) -> io::Result<(Head, BufReader<TcpStream>)> {
    let mut stream = TcpStream::connect(behind)?;
    stream.set_nodelay(true)?;
    let mut request = head.clone();
    if request.get("upgrade").is_none() {
        request.remove("connection");
        request = request.with("connection", "close");
    }
    let framing = head.framing();
    request.write(&mut stream)?;
    connection.read_body(head, &mut |piece| {
        http::write_piece(&mut stream, framing, piece)
    })?;
    if framing == Framing::Chunked {
        http::write_piece(&mut stream, framing, b"")?;
    }
    let mut from = BufReader::new(stream);
    let answer = Head::read(&mut from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok((answer, from))
}

fn pass_on(
    mut answer: Head,
    mut from: BufReader<TcpStream>,
    connection: &mut Connection,
) -> io::Result<()> {
    if answer.status() == Some(101) {
        return tunnel(&answer, from, connection);
    }
    let framing = answer.answer_framing();
    answer.remove("connection");
    connection.closes |= framing == Framing::UntilEnd;
    if connection.closes {
        answer = answer.with("connection", "close");
    }
    let mut bytes = Vec::new();
    answer.write(&mut bytes)?;
    http::read_body(&mut from, framing, &mut |piece| {
        http::write_piece(&mut bytes, framing, piece)?;
        connection.writer.write_all(&bytes)?;
        bytes.clear();
        Ok(())
    })?;
    if framing == Framing::Chunked {
        http::write_piece(&mut bytes, framing, b"")?;
    }
    connection.writer.write_all(&bytes)
}

/// Bytes both ways, until both sides have closed.
fn tunnel(
    answer: &Head,
    mut from: BufReader<TcpStream>,
    connection: &mut Connection,
) -> io::Result<()> {
    connection.closes = true;
    answer.write(&mut connection.writer)?;
    let mut behind = from.get_ref().try_clone()?;
    let mut client = connection.writer.try_clone()?;
    let down = thread::spawn(move || {
        let _copied = io::copy(&mut from, &mut client);
        let _closed = client.shutdown(Shutdown::Write);
    });
    let _copied = io::copy(&mut connection.reader, &mut behind);
    let _closed = behind.shutdown(Shutdown::Write);
    let _panicked = down.join();
    Ok(())
}
