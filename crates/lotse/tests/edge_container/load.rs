//! Requests in the network of a host, and a target for them. Threads, as a thread can be moved into
//! a network.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use testkit::dockerd::{Dockerd, Network};

const PATIENCE: Duration = Duration::from_secs(10);
const ANSWER: &str = "hello";

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
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{ANSWER}",
        ANSWER.len()
    );
    loop {
        while !lines.next()?.ok()?.is_empty() {}
        writer.write_all(answer.as_bytes()).ok()?;
    }
}

/// Clients that ask all the time: half of them over new connections, half over kept ones.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Outcome>>,
}

#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) answered: usize,
    pub(crate) failed: Vec<String>,
}

impl Load {
    pub(crate) fn start(network: Network, port: u16, clients: usize, pause: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let clients = (0..clients).map(|number| {
            let client = Client {
                network: network.clone(),
                stop: Arc::clone(&stop),
                port,
                pause,
                keeps: number % 2 == 0,
            };
            thread::spawn(move || client.run())
        });
        Self {
            clients: clients.collect(),
            stop,
        }
    }

    pub(crate) fn stop(self) -> Outcome {
        self.stop.store(true, Ordering::Relaxed);
        let mut sum = Outcome::default();
        for client in self.clients {
            let outcome = client.join().unwrap();
            sum.answered += outcome.answered;
            sum.failed.extend(outcome.failed);
        }
        sum
    }

    /// Waits until the port does not answer, and returns how long it did not.
    pub(crate) fn watch(network: Network, port: u16) -> JoinHandle<Duration> {
        thread::spawn(move || {
            network.enter();
            let answers = || ask(&mut None, port).is_ok();
            let deadline = Instant::now() + PATIENCE;
            while answers() && Instant::now() < deadline {}
            let gone = Instant::now();
            while !answers() && Instant::now() < deadline {}
            gone.elapsed()
        })
    }
}

struct Client {
    network: Network,
    stop: Arc<AtomicBool>,
    port: u16,
    pause: Duration,
    keeps: bool,
}

impl Client {
    fn run(self) -> Outcome {
        self.network.enter();
        let mut outcome = Outcome::default();
        let mut kept = None;
        while !self.stop.load(Ordering::Relaxed) {
            if !self.keeps {
                kept = None;
            }
            match ask(&mut kept, self.port) {
                Ok(()) => outcome.answered += 1,
                Err(error) => outcome.failed.push(error.to_string()),
            }
            thread::sleep(self.pause);
        }
        outcome
    }
}

/// A request over the connection that is there, or a new one. A server may close an idle
/// connection, and announces that by `Connection: close`; such a one is not kept.
fn ask(kept: &mut Option<TcpStream>, port: u16) -> std::io::Result<()> {
    let stream = match kept.take() {
        Some(stream) => stream,
        None => TcpStream::connect(("127.0.0.1", port))?,
    };
    stream.set_read_timeout(Some(PATIENCE))?;
    (&stream).write_all(b"GET / HTTP/1.1\r\nHost: site\r\n\r\n")?;
    let mut reader = BufReader::new(&stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Err(std::io::Error::other(format!(
                "it ended in its head: {head:?}"
            )));
        }
    }
    let mut body = vec![0; ANSWER.len()];
    reader.read_exact(&mut body)?;
    if !head.starts_with("HTTP/1.1 200") || body != ANSWER.as_bytes() {
        return Err(std::io::Error::other(head));
    }
    if !head.to_ascii_lowercase().contains("connection: close") {
        *kept = Some(stream);
    }
    Ok(())
}
