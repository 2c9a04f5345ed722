//! A mail client of few words (RFC 5321).

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(30);

/// Sends a mail of one line. The server takes it over, or the test ends.
pub(crate) async fn send(server: SocketAddr, to: &str, subject: &str) {
    let dialogue = async {
        let stream = TcpStream::connect(server).await.unwrap();
        let mut stream = BufReader::new(stream);
        expect(&mut stream, "220").await;
        for (command, code) in [
            ("HELO laptop.lotse.lab", "250"),
            ("MAIL FROM:<repository@localhost>", "250"),
            (&format!("RCPT TO:<{to}>"), "250"),
            ("DATA", "354"),
            (&format!("Subject: {subject}\r\n\r\nHello.\r\n."), "250"),
            ("QUIT", "221"),
        ] {
            let line = format!("{command}\r\n");
            stream.write_all(line.as_bytes()).await.unwrap();
            expect(&mut stream, code).await;
        }
    };
    let sent = tokio::time::timeout(PATIENCE, dialogue).await;
    sent.unwrap_or_else(|_| panic!("{server} takes no mail"));
}

/// Reads an answer, which may have several lines.
async fn expect(stream: &mut BufReader<TcpStream>, code: &str) {
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        assert!(line.starts_with(code), "{line:?} where {code} was due");
        if line.as_bytes().get(3) != Some(&b'-') {
            return;
        }
    }
}
