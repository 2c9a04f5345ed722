//! What stands in for the application in the seed's compose file: one program without libraries, so
//! that its image is built without anything from outside. Compiled by the test.
//!
//! Its first argument says what it is: `frontend` forwards `/api/…` to `web-api:5000` and all else to
//! `web-ui:5000`, a command with `uwsgi_ui` or `uwsgi_rest` in it answers with its name and the content
//! of `/VERSION`, anything else (the worker) waits.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

fn main() {
    let what = std::env::args().nth(1).unwrap_or_default();
    match what.as_str() {
        "frontend" => serve(8080, |path| forward(path)),
        ui if ui.contains("uwsgi_ui") => serve(5000, |path| answer("ui", path)),
        rest if rest.contains("uwsgi_rest") => serve(5000, |path| answer("api", path)),
        _ => loop {
            std::thread::park();
        },
    }
}

fn serve(port: u16, handle: fn(&str) -> String) {
    let listener = TcpListener::bind(("0.0.0.0", port)).expect("the port is free");
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || reply(stream, handle));
    }
}

fn reply(mut stream: TcpStream, handle: fn(&str) -> String) {
    let mut line = String::new();
    let mut reader = BufReader::new(&stream);
    if reader.read_line(&mut line).is_err() {
        return;
    }
    let mut header = String::new();
    while reader.read_line(&mut header).is_ok_and(|length| length > 2) {
        header.clear();
    }
    let body = handle(line.split(' ').nth(1).unwrap_or("/"));
    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length:";
    let _ = write!(stream, "{head} {}\r\n\r\n{body}", body.len());
}

fn answer(role: &str, path: &str) -> String {
    let version = std::fs::read_to_string("/VERSION").unwrap_or_default();
    let setting = std::env::var("SETTING").unwrap_or_default();
    format!("{role} {} {setting} {path}", version.trim())
}

fn forward(path: &str) -> String {
    let target = match path.starts_with("/api/") {
        true => "web-api:5000",
        false => "web-ui:5000",
    };
    ask(target, path).unwrap_or_else(|error| format!("{target}: {error}"))
}

fn ask(target: &str, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(target)?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {target}\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text.split_once("\r\n\r\n").map_or(text.clone(), |(_, body)| body.to_owned()))
}
