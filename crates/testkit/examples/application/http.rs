//! HTTP/1.1 (RFC 9112), as much as the application speaks: heads, and bodies of each framing, which
//! are read and passed on piece by piece.

use std::io::{self, BufRead, BufReader, Read as _, Write};
use std::net::TcpStream;

const LONGEST_LINE: u64 = 16 * 1024;
const MOST_FIELDS: usize = 100;

/// The first line and the fields of a message; names are in lower case.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) first: String,
    pub(crate) fields: Vec<(String, String)>,
}

/// Where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
    UntilEnd,
}

impl Head {
    pub(crate) fn answer(status: &str) -> Self {
        Self {
            first: format!("HTTP/1.1 {status}"),
            fields: Vec::new(),
        }
    }

    pub(crate) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.fields.push((name.to_owned(), value.to_string()));
        self
    }

    /// The next head, or nothing when the other side has closed before it.
    pub(crate) fn read(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let Some(first) = line(reader)? else {
            return Ok(None);
        };
        let mut fields = Vec::new();
        loop {
            let line = line(reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            if line.is_empty() {
                return Ok(Some(Self { first, fields }));
            }
            let field = line
                .split_once(':')
                .filter(|_| fields.len() < MOST_FIELDS)
                .ok_or_else(|| io::Error::other(format!("no field: {line}")))?;
            fields.push((field.0.to_ascii_lowercase(), field.1.trim().to_owned()));
        }
    }

    pub(crate) fn write(&self, writer: &mut impl Write) -> io::Result<()> {
        let fields = self.fields.iter();
        let fields: String = fields
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        writer.write_all(format!("{}\r\n{fields}\r\n", self.first).as_bytes())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.fields.retain(|(other, _)| other != name);
    }

    pub(crate) fn path(&self) -> &str {
        self.first.split(' ').nth(1).unwrap_or_default()
    }

    pub(crate) fn status(&self) -> Option<u16> {
        self.first.split(' ').nth(1)?.parse().ok()
    }

    pub(crate) fn closes(&self) -> bool {
        let connection = self.get("connection").unwrap_or_default();
        connection.eq_ignore_ascii_case("close")
    }

    /// The framing of a request: without a word it has no body.
    pub(crate) fn framing(&self) -> Framing {
        match self.told_framing() {
            Some(framing) => framing,
            None => Framing::Length(0),
        }
    }

    /// The framing of an answer to anything but `HEAD`.
    pub(crate) fn answer_framing(&self) -> Framing {
        match self.status() {
            Some(100..200 | 204 | 304) => Framing::Length(0),
            _ => self.told_framing().unwrap_or(Framing::UntilEnd),
        }
    }

    fn told_framing(&self) -> Option<Framing> {
        if self.get("transfer-encoding").is_some() {
            return Some(Framing::Chunked);
        }
        let length = self.get("content-length")?.parse().ok()?;
        Some(Framing::Length(length))
    }
}

/// Reads a body and gives each piece to `take`.
pub(crate) fn read_body(
    reader: &mut impl BufRead,
    framing: Framing,
    take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    match framing {
        Framing::Length(length) => pieces(reader, length, take),
        Framing::UntilEnd => loop {
            let piece = reader.fill_buf()?;
            let count = piece.len();
            if count == 0 {
                return Ok(());
            }
            take(piece)?;
            reader.consume(count);
        },
        Framing::Chunked => loop {
            let size = line(reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            let size = size.split(';').next().unwrap_or_default();
            let size = u64::from_str_radix(size, 16).map_err(io::Error::other)?;
            pieces(reader, size, take)?;
            // the end of a chunk, or, without trailers, of all
            line(reader)?;
            if size == 0 {
                return Ok(());
            }
        },
    }
}

/// Writes a piece of a body in its framing; an empty piece is the end.
pub(crate) fn write_piece(
    writer: &mut impl Write,
    framing: Framing,
    piece: &[u8],
) -> io::Result<()> {
    if framing != Framing::Chunked {
        return writer.write_all(piece);
    }
    let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
    chunk.extend(piece);
    chunk.extend(b"\r\n");
    writer.write_all(&chunk)
}

/// Asks once, over a connection of its own.
pub(crate) fn get(address: &str, path: &str) -> io::Result<(Head, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut reader = BufReader::new(stream);
    let head = Head::read(&mut reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let mut body = Vec::new();
    read_body(&mut reader, head.answer_framing(), &mut |piece| {
        body.extend(piece);
        Ok(())
    })?;
    Ok((head, String::from_utf8_lossy(&body).into_owned()))
}

fn pieces(
    reader: &mut impl BufRead,
    mut left: u64,
    take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    while left > 0 {
        let piece = reader.fill_buf()?;
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        take(&piece[..count])?;
        reader.consume(count);
        left -= count as u64;
    }
    Ok(())
}

fn line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    reader.take(LONGEST_LINE).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    match line.strip_suffix(b"\r\n") {
        Some(line) => Ok(Some(String::from_utf8_lossy(line).into_owned())),
        None => Err(io::Error::other("a line without its end")),
    }
}
