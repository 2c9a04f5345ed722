//! What connections cost that nobody uses at the moment.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::rival::{self, Kind};
use crate::site::Site;
use crate::table::Table;

/// So many are opened.
const CONNECTIONS: usize = 10_000;
/// So many requests come afterwards, as an allocator may wait for the next ones before it gives back.
const REQUESTS: usize = 5_000;

pub(crate) fn measure(site: &Site) -> Table {
    let title = format!("Memory (PSS) of {CONNECTIONS} kept connections, each after one request");
    let mut table = Table::new(
        &title,
        &[
            "proxy",
            "fresh",
            "with them",
            "each",
            "after them",
            "after some requests",
        ],
    );
    for kind in [Kind::Edge, Kind::Nginx, Kind::Haproxy] {
        let rival = rival::start(kind, site);
        drop(ask(rival.http));
        std::thread::sleep(Duration::from_millis(500));
        let fresh = rival.process.cost().memory;
        let connections: Vec<TcpStream> = (0..CONNECTIONS).map(|_| ask(rival.http)).collect();
        std::thread::sleep(Duration::from_secs(3));
        let with = rival.process.cost().memory;
        drop(connections);
        std::thread::sleep(Duration::from_secs(2));
        let after = rival.process.cost().memory;
        (0..REQUESTS).for_each(|_| drop(ask(rival.http)));
        std::thread::sleep(Duration::from_millis(500));
        let later = rival.process.cost().memory;
        let each = with.saturating_sub(fresh) / CONNECTIONS as u64;
        table.row(vec![
            kind.to_string(),
            megabytes(fresh),
            megabytes(with),
            format!("{:.1} KB", each as f64 / 1e3),
            megabytes(after),
            megabytes(later),
        ]);
    }
    table
}

/// Opens a connection, asks once, and reads the whole answer.
fn ask(port: u16) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let request =
        b"GET /1k HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n";
    stream.write_all(request).unwrap();
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).unwrap();
        assert_ne!(count, 0, "port {port} closed the connection: {seen:?}");
        seen.extend_from_slice(&buffer[..count]);
        let head = seen.windows(4).position(|part| part == b"\r\n\r\n");
        if head.is_some_and(|head| seen.len() >= head + 4 + 1024) {
            return stream;
        }
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
