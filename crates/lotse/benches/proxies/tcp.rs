//! Bytes through a connection that is passed on as it is.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::rival::Rival;
use crate::table::Table;

/// So much goes through each proxy in a round.
const BYTES: u64 = 4 << 30;

pub(crate) fn measure(rivals: &[Rival], rounds: usize) -> Table {
    let mut table = Table::new(
        "TCP, one connection, 4 GiB from the target",
        &["proxy", "throughput", "CPU a GB"],
    );
    for rival in rivals {
        let mut found: Vec<_> = (0..rounds).map(|_| once(rival)).collect();
        found.sort_by_key(|(took, _)| *took);
        let (took, cpu) = found[found.len() / 2];
        let gigabytes = BYTES as f64 / 1e9;
        table.row(vec![
            rival.kind.to_string(),
            format!("{:.2} GB/s", gigabytes / took.as_secs_f64()),
            format!("{:.2} s", cpu.as_secs_f64() / gigabytes),
        ]);
    }
    table
}

fn once(rival: &Rival) -> (Duration, Duration) {
    let listener = TcpListener::bind(("127.0.0.1", rival.tcp_target)).unwrap();
    let sending = std::thread::spawn(move || send(listener));
    let before = rival.process.cost().cpu;
    let started = Instant::now();
    let mut stream = TcpStream::connect(("127.0.0.1", rival.tcp)).unwrap();
    let mut buffer = vec![0; 256 * 1024];
    let mut seen = 0;
    loop {
        match stream.read(&mut buffer).unwrap() {
            0 => break,
            count => seen += count as u64,
        }
    }
    let took = started.elapsed();
    assert_eq!(seen, BYTES, "{} lost bytes", rival.kind);
    sending.join().unwrap();
    (took, rival.process.cost().cpu - before)
}

fn send(listener: TcpListener) {
    let (mut stream, _) = listener.accept().unwrap();
    let buffer = vec![b'x'; 256 * 1024];
    for _ in 0..BYTES / buffer.len() as u64 {
        stream.write_all(&buffer).unwrap();
    }
}
