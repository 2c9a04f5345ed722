//! HTTP/2 by hand (RFC 9113, RFC 7541): frames with whatever is wrong with them.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const PADDED: u8 = 8;
/// A request's only frame.
pub const WHOLE: u8 = END_STREAM | END_HEADERS;

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A field as a literal that enters no table; lengths below 127.
pub fn field(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        bytes.push(
            u8::try_from(text.len())
                .ok()
                .filter(|length| *length < 127)
                .unwrap(),
        );
        bytes.extend(text);
    }
    bytes
}

pub fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let encoded = fields
        .iter()
        .map(|(name, value)| field(name.as_bytes(), value.as_bytes()));
    encoded.flatten().collect()
}

/// The pseudo-fields of a good request, then others.
pub fn request(method: &str, others: &[(&str, &str)]) -> Vec<u8> {
    let pseudo = [
        (":method", method),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "a"),
    ];
    [fields(&pseudo), fields(others)].concat()
}

/// What an edge said on a connection.
#[derive(Debug, Default)]
pub struct Said {
    /// (stream, first byte of the head)
    pub heads: Vec<(u32, u8)>,
    pub resets: Vec<(u32, u32)>,
    pub goaway: Option<u32>,
    pub closed: bool,
}

/// Sends bytes after preface and settings, and reads until `done`, the end, or a silence.
pub async fn talk(address: SocketAddr, bytes: &[u8], done: impl Fn(&Said) -> bool) -> Said {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let settings = frame(SETTINGS, 0, 0, b"");
    let all = [PREFACE, &settings, bytes].concat();
    let _ = stream.write_all(&all).await;
    let mut said = Said::default();
    let mut read = Vec::new();
    while !done(&said) {
        let reading = stream.read_buf(&mut read);
        match tokio::time::timeout(Duration::from_secs(2), reading).await {
            Ok(Ok(1..)) => {}
            Ok(_) => {
                said.closed = true;
                break;
            }
            Err(_) => break,
        }
        while let Some(used) = said.take(&read) {
            read.drain(..used);
        }
    }
    said
}

impl Said {
    fn take(&mut self, bytes: &[u8]) -> Option<usize> {
        let head = bytes.get(..9)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let payload = bytes.get(9..9 + length)?;
        let stream = u32::from_be_bytes(head[5..9].try_into().unwrap());
        let number = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
        match head[3] {
            HEADERS => self.heads.push((stream, payload[0])),
            RST_STREAM => self.resets.push((stream, number(0))),
            GOAWAY => self.goaway = Some(number(4)),
            _ => {}
        }
        Some(9 + length)
    }
}
