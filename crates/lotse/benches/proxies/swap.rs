//! How long it takes until a new target answers, under load, and what that costs the load.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::rival::{self, Kind, Rival};
use crate::site::Site;
use crate::table::{Table, time};

const SWAPS: usize = 50;

pub(crate) fn measure(site: &Site) -> Table {
    let title = format!("{SWAPS} swaps of the target under the load of 64 kept connections");
    let head = [
        "proxy",
        "command → first answer of the new target",
        "p95",
        "the step itself",
        "requests",
        "failed",
    ];
    let mut table = Table::new(&title, &head);
    for kind in [Kind::Edge, Kind::Nginx, Kind::Haproxy] {
        let rival = rival::start(kind, site);
        let load = start_load(rival.http);
        std::thread::sleep(Duration::from_millis(500));
        let mut steps = Vec::new();
        let mut times: Vec<Duration> = (0..SWAPS)
            .map(|number| {
                let to = (number + 1) % 2;
                let started = Instant::now();
                let swapped = swap(site, &rival, to);
                wait_for(rival.http, to);
                let took = started.elapsed();
                steps.extend(swapped.map(Swapped::end));
                took
            })
            .collect();
        let (requests, failed) = end_load(load);
        times.sort_unstable();
        steps.sort_unstable();
        let longest = steps
            .last()
            .map_or_else(|| "–".to_owned(), |step| time(*step));
        table.row(vec![
            kind.to_string(),
            time(times[times.len() / 2]),
            time(times[times.len() * 95 / 100]),
            longest,
            requests.to_string(),
            failed.to_string(),
        ]);
    }
    table
}

/// A swap that has been made, while the old target's requests may still come to their end.
struct Swapped {
    set: Child,
    /// How long requests could not be routed.
    step: Duration,
}

/// Makes the proxy use another target.
fn swap(site: &Site, rival: &Rival, to: usize) -> Option<Swapped> {
    let target = site.targets[to];
    match rival.kind {
        Kind::Edge => return Some(swap_edge(site, rival, target)),
        Kind::Nginx => {
            let file = site.name(&format!("nginx-{}.conf", rival.http));
            rival::write_nginx(site, &file, (rival.http, rival.https), target);
            let told = command("nginx")
                .args(["-c", &file, "-s", "reload"])
                .output();
            assert!(told.unwrap().status.success());
        }
        Kind::Haproxy => {
            let mut socket = UnixStream::connect(rival::haproxy_socket(site, rival.http)).unwrap();
            let line = format!("set server target/one addr 127.0.0.1 port {target}\n");
            socket.write_all(line.as_bytes()).unwrap();
            let mut answer = String::new();
            socket.read_to_string(&mut answer).unwrap();
        }
    }
    None
}

fn swap_edge(site: &Site, rival: &Rival, target: u16) -> Swapped {
    let folder = rival::edge_folder(site, rival.http);
    let listen = format!("127.0.0.1:{}", rival.http);
    let mut set = Command::new(env!("CARGO_BIN_EXE_lotse"))
        .args([
            "edge", "set", "--json", "--watch", "0s", "--folder", &folder,
        ])
        .args([&listen, &format!("127.0.0.1:{target}")])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(set.stdout.take().unwrap()).lines();
    let step = lines
        .map(|line| serde_json::from_str::<serde_json::Value>(&line.unwrap()).unwrap())
        .find_map(|event| event["micros"].as_u64())
        .expect("a set that does not swap has said why");
    Swapped {
        set,
        step: Duration::from_micros(step),
    }
}

impl Swapped {
    /// Waits for the end of the command.
    fn end(mut self) -> Duration {
        self.set.wait().unwrap();
        self.step
    }
}

fn wait_for(port: u16, target: usize) {
    loop {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let request = b"GET /name HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        if answer.ends_with(&target.to_string()) {
            return;
        }
    }
}

fn start_load(port: u16) -> Child {
    // Longer than the swaps take; it is interrupted, and then says what it has seen.
    command("wrk")
        .args([
            "--threads",
            "1",
            "--connections",
            "64",
            "--duration",
            "600s",
        ])
        .args(["--timeout", "10s", &format!("http://127.0.0.1:{port}/1k")])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn end_load(load: Child) -> (u64, u64) {
    let pid = i32::try_from(load.id()).unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let said = load.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    let requests = text
        .lines()
        .find_map(|line| line.trim().split_once(" requests in "))
        .map_or(0, |(count, _)| count.parse().unwrap());
    // Socket errors: connect 0, read 0, write 0, timeout 0
    let errors = text
        .lines()
        .filter(|line| line.contains("errors:") || line.contains("Non-2xx"));
    let failed = errors
        .flat_map(|line| line.split(|c: char| !c.is_ascii_digit()))
        .filter_map(|number| number.parse::<u64>().ok())
        .sum();
    (requests, failed)
}

fn command(tool: &str) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(tool);
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command
}
