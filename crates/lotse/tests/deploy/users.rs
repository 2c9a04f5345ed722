//! Users of a host, who look all the time. A thread, as one can be moved into a host's network.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use testkit::dockerd::Dockerd;

use crate::site::PORT;

const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(15);

pub(crate) struct Users {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

/// What users have seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// How many good answers there were.
    pub(crate) count: usize,
    /// The answers, each where it was another than the one before.
    pub(crate) answers: Vec<String>,
    pub(crate) failed: Vec<String>,
    /// The longest time without a good answer.
    pub(crate) gap: Duration,
}

impl Users {
    pub(crate) fn start(host: &Dockerd) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (network, stopped) = (host.network(), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            network.enter();
            let mut seen = Seen::default();
            let mut last_good = Instant::now();
            while !stopped.load(Ordering::Relaxed) {
                seen.look(&mut last_good);
                thread::sleep(PAUSE);
            }
            seen
        });
        Self { stop, thread }
    }

    pub(crate) fn stop(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

impl Seen {
    fn look(&mut self, last_good: &mut Instant) {
        match ask() {
            Ok(answer) => {
                self.count += 1;
                self.gap = self.gap.max(last_good.elapsed());
                *last_good = Instant::now();
                if self.answers.last() != Some(&answer) {
                    self.answers.push(answer);
                }
            }
            Err(why) => self.failed.push(why),
        }
    }
}

/// The page, on a connection of its own.
fn ask() -> Result<String, String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
    let failed = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    stream
        .write_all(b"GET /index.html HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
        .map_err(failed)?;
    let mut text = String::new();
    stream.read_to_string(&mut text).map_err(failed)?;
    match text.split_once("\r\n\r\n") {
        Some((head, body)) if head.contains(" 200 ") => Ok(body.trim().to_owned()),
        _ => Err(text),
    }
}
