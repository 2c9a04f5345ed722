//! Connections, one thread each, and requests on them, one after the other.

use std::io::{self, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use crate::http::{self, Framing, Head};
use crate::life::Life;

/// Answers requests.
pub(crate) trait Answers: Send + Sync + 'static {
    /// Answers one; the body has not been read yet, and must have been at the end.
    fn answer(&self, head: &Head, connection: &mut Connection) -> io::Result<()>;
}

/// A client's connection.
pub(crate) struct Connection {
    pub(crate) reader: BufReader<TcpStream>,
    pub(crate) writer: TcpStream,
    /// Whether this is the last answer on it.
    pub(crate) closes: bool,
}

/// Listens until the process ends.
pub(crate) fn serve(port: u16, life: &Arc<Life>, answers: impl Answers) -> io::Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", port))?;
    let answers = Arc::new(answers);
    for stream in listener.incoming().flatten() {
        let (life, answers) = (Arc::clone(life), Arc::clone(&answers));
        thread::Builder::new()
            .stack_size(128 * 1024)
            .spawn(move || converse(stream, &life, &*answers))?;
    }
    Ok(())
}

/// An error has no other receiver than the client, who sees the connection close.
fn converse(stream: TcpStream, life: &Life, answers: &impl Answers) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut connection = Connection {
        reader: BufReader::new(stream.try_clone()?),
        writer: stream,
        closes: false,
    };
    while let Some(head) = Head::read(&mut connection.reader)? {
        let _busy = life.busy();
        connection.closes = head.closes() || life.is_ending();
        answers.answer(&head, &mut connection)?;
        if connection.closes {
            break;
        }
    }
    Ok(())
}

impl Connection {
    /// Reads the body of a request to its end.
    pub(crate) fn read_body(
        &mut self,
        head: &Head,
        take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        http::read_body(&mut self.reader, head.framing(), take)
    }

    /// Writes a whole answer.
    pub(crate) fn reply(&mut self, mut head: Head, body: &[u8]) -> io::Result<()> {
        head = head.with("content-length", body.len());
        if self.closes {
            head = head.with("connection", "close");
        }
        let mut bytes = Vec::new();
        head.write(&mut bytes)?;
        http::write_piece(&mut bytes, Framing::Length(0), body)?;
        self.writer.write_all(&bytes)
    }
}
