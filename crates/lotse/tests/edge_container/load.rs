//! A target in the network of a host, and whether it is reached. Threads, as a thread can be moved
//! into a network.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use testkit::dockerd::{Dockerd, Network};

const PATIENCE: Duration = Duration::from_secs(10);
/// As a load of the testkit wants to be answered.
const ANSWER: &str = "release 1 took 0";

/// A server that answers everything, until the test ends.
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
}

impl Target {
    pub(crate) fn start(daemon: &Dockerd) -> Self {
        let listener = daemon.listen();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || accept(&listener));
        Self { address }
    }
}

fn accept(listener: &TcpListener) {
    for stream in listener.incoming().map_while(Result::ok) {
        thread::spawn(move || answer(stream));
    }
}

fn answer(stream: TcpStream) -> Option<()> {
    let mut writer = stream.try_clone().ok()?;
    let mut lines = BufReader::new(stream).lines();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nX-Release: 1\r\nContent-Length: {}\r\n\r\n{ANSWER}",
        ANSWER.len()
    );
    loop {
        while !lines.next()?.ok()?.is_empty() {}
        writer.write_all(answer.as_bytes()).ok()?;
    }
}

/// Waits until the port does not answer, and returns how long it did not.
pub(crate) fn watch(network: Network, port: u16) -> JoinHandle<Duration> {
    thread::spawn(move || {
        network.enter();
        let answers = || ask(port).is_ok();
        let deadline = Instant::now() + PATIENCE;
        while answers() && Instant::now() < deadline {}
        let gone = Instant::now();
        while !answers() && Instant::now() < deadline {}
        gone.elapsed()
    })
}

/// A request over a connection of its own.
fn ask(port: u16) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: site\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.starts_with("HTTP/1.1 200") && answer.ends_with(ANSWER) {
        true => Ok(()),
        false => Err(std::io::Error::other(answer)),
    }
}
