//! What is asked of a running edge, through its socket, and what survives its end.

#![allow(clippy::unwrap_used)]

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::{Bench, PATIENCE, Target, ask, client, free_port, get, quick, raw, route};
use edge::control::{self, Request};
use edge::{Edge, Settings, Span, Status};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

async fn status(socket: &Path) -> Status {
    let status = control::ask(socket, &Request::Status, |_| {})
        .await
        .unwrap();
    serde_json::from_value(status).unwrap()
}

#[tokio::test]
async fn the_socket_is_its_owners_alone_and_answers() {
    let bench = Bench::new().await;
    bench.edge.serve_control().unwrap();
    let socket = bench.folder.path().join("edge.sock");
    assert_eq!(
        std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777,
        0o600
    );

    let target = Target::start(1).await;
    let mut steps = Vec::new();
    let set = Request::Set(quick(vec![bench.route(&[target.address])]));
    control::ask(&socket, &set, |step| steps.push(step))
        .await
        .unwrap();
    assert_eq!(steps.len(), 3, "{steps:?}");
    assert_eq!(
        ask(&mut client(bench.address).await, get("/"))
            .await
            .unwrap()
            .1,
        1
    );
    let status = status(&socket).await;
    assert_eq!(status.routes[0].targets[0].address, target.address);
    assert_eq!(status.routes[0].requests, 1);

    let bad = Request::Set(quick(vec![bench.route(&[free_port()])]));
    let error = control::ask(&socket, &bad, |_| {})
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("not healthy within") && error.contains("refused"),
        "{error}"
    );

    let metrics = control::ask(&socket, &Request::Metrics, |_| {})
        .await
        .unwrap();
    let metrics = metrics.as_str().unwrap();
    assert!(metrics.contains("class=\"2xx\"} 1\n"), "{metrics}");

    let error = bench.edge.serve_control().unwrap_err().to_string();
    assert!(error.contains("an edge runs already"), "{error}");
}

#[tokio::test]
async fn nonsense_on_the_socket_is_answered() {
    let bench = Bench::new().await;
    bench.edge.serve_control().unwrap();
    let socket = bench.folder.path().join("edge.sock");
    for line in ["", "{", "{}", "{\"command\":\"fly\"}", "\0\0"] {
        let mut stream = UnixStream::connect(&socket).await.unwrap();
        stream
            .write_all(format!("{line}\n").as_bytes())
            .await
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains("makes no sense"), "{line:?}: {answer}");
    }
}

#[tokio::test]
async fn without_a_healthy_target_the_answer_is_503_at_once() {
    let bench = Bench::new().await;
    let target = Target::start(1).await;
    let mut spec = bench.route(&[target.address]);
    spec.unavailable_page = Some("<p>back soon".to_owned());
    bench.set(spec).await.unwrap();
    target.healthy.store(false, Ordering::Relaxed);
    until("unhealthy", || {
        !bench.edge.status().routes[0].targets[0].healthy
    })
    .await;
    let started = Instant::now();
    let (status, _, body) = ask(&mut client(bench.address).await, get("/"))
        .await
        .unwrap();
    assert_eq!((status, &body[..]), (503, &b"<p>back soon"[..]));
    // Far less than a target is given to answer.
    assert!(started.elapsed() < Duration::from_secs(5));
    target.healthy.store(true, Ordering::Relaxed);
    until("healthy", || {
        bench.edge.status().routes[0].targets[0].healthy
    })
    .await;
    assert_eq!(
        ask(&mut client(bench.address).await, get("/"))
            .await
            .unwrap()
            .0,
        200
    );
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < PATIENCE, "never {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn drain_takes_one_out_and_lets_it_finish() {
    let bench = Bench::new().await;
    let (one, two) = (Target::start(1).await, Target::start(2).await);
    bench.to(&[&one, &two]).await;
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut sender = client(bench.address).await;
        slow.push(tokio::spawn(async move {
            ask(&mut sender, get("/slow/300")).await
        }));
    }
    until("at work", || bench.edge.status().routes[0].in_flight == 2).await;
    let left = bench
        .edge
        .drain(one.address, true, Span::seconds(10))
        .await
        .unwrap();
    assert_eq!(left, 0);
    for answer in slow {
        assert_eq!(answer.await.unwrap().unwrap().0, 200, "drained, not cut");
    }
    let before = one.requests.load(Ordering::Relaxed);
    let mut sender = client(bench.address).await;
    for _ in 0..10 {
        assert_eq!(ask(&mut sender, get("/")).await.unwrap().1, 2);
    }
    assert_eq!(one.requests.load(Ordering::Relaxed), before);
    bench
        .edge
        .drain(one.address, false, Span::seconds(1))
        .await
        .unwrap();
    let mut releases = Vec::new();
    for _ in 0..10 {
        releases.push(ask(&mut sender, get("/")).await.unwrap().1);
    }
    assert!(releases.contains(&1));
    assert!(
        bench
            .edge
            .drain(free_port(), true, Span::seconds(1))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn pause_holds_and_maintenance_answers() {
    let bench = Bench::new().await;
    let target = Target::start(1).await;
    bench.to(&[&target]).await;
    bench.edge.pause(None, Span::seconds(20)).await.unwrap();
    let mut sender = client(bench.address).await;
    let held = tokio::spawn(async move { ask(&mut sender, get("/")).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!held.is_finished() && target.seen().is_empty());
    // A pause lasts through a swap: this is how a database is moved.
    let next = Target::start(2).await;
    bench.to(&[&next]).await;
    assert!(!held.is_finished());
    bench.edge.resume(None).await.unwrap();
    assert_eq!(held.await.unwrap().unwrap().1, 2);

    bench.edge.pause(None, Span::millis(50)).await.unwrap();
    assert_eq!(
        ask(&mut client(bench.address).await, get("/"))
            .await
            .unwrap()
            .0,
        503
    );

    bench.edge.maintenance(None, "<p>away").await.unwrap();
    let (status, _, body) = ask(&mut client(bench.address).await, get("/"))
        .await
        .unwrap();
    assert_eq!((status, &body[..]), (503, &b"<p>away"[..]));
    bench.edge.resume(None).await.unwrap();
    assert_eq!(
        ask(&mut client(bench.address).await, get("/"))
            .await
            .unwrap()
            .0,
        200
    );
}

#[tokio::test]
async fn a_removed_route_frees_its_port() {
    let bench = Bench::new().await;
    let target = Target::start(1).await;
    bench.to(&[&target]).await;
    let key = bench.edge.status().routes[0].route.clone();
    assert_eq!(bench.edge.remove(&key, Span::seconds(1)).await.unwrap(), 0);
    let started = Instant::now();
    while std::net::TcpListener::bind(bench.address).is_err() {
        assert!(started.elapsed() < PATIENCE, "the port is still taken");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(bench.edge.remove(&key, Span::seconds(1)).await.is_err());
}

#[tokio::test]
async fn a_port_that_is_taken_changes_nothing() {
    let bench = Bench::new().await;
    let target = Target::start(1).await;
    bench.to(&[&target]).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let next = Target::start(2).await;
    let routes = vec![
        bench.route(&[next.address]),
        route(taken.local_addr().unwrap(), &[next.address]),
    ];
    let error = bench
        .edge
        .set(quick(routes), |_| {})
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("cannot listen on"), "{error}");
    assert_eq!(
        ask(&mut client(bench.address).await, get("/"))
            .await
            .unwrap()
            .1,
        1
    );
    assert_eq!(bench.edge.status().routes.len(), 1);
}

#[tokio::test]
async fn a_state_that_cannot_be_written_changes_nothing() {
    let bench = Bench::new().await;
    let target = Target::start(1).await;
    bench.to(&[&target]).await;
    // A folder in the way of the new file: works for root as well.
    std::fs::create_dir(bench.folder.path().join("edge.json.new")).unwrap();
    let next = Target::start(2).await;
    let error = bench.set(bench.route(&[next.address])).await.unwrap_err();
    assert!(error.contains("cannot write the state file"), "{error}");
    assert_eq!(
        ask(&mut client(bench.address).await, get("/"))
            .await
            .unwrap()
            .1,
        1
    );
}

#[tokio::test]
async fn stopping_lets_requests_come_to_their_end() {
    let bench = Bench::new().await;
    let target = Target::start(1).await;
    bench.to(&[&target]).await;
    let mut sender = client(bench.address).await;
    let slow = tokio::spawn(async move { ask(&mut sender, get("/slow/300")).await });
    until("at work", || bench.edge.status().routes[0].in_flight == 1).await;
    bench.edge.stop(Duration::from_secs(10)).await;
    assert_eq!(slow.await.unwrap().unwrap().0, 200);
    assert!(TcpStream::connect(bench.address).await.is_err());
}

#[tokio::test]
async fn the_access_log_has_a_line_for_each_request() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let bench = Bench::with(|settings| {
        settings.access_log = Some(edge::settings::AccessLog {
            path: path.clone(),
            format: edge::settings::LogFormat::Json,
        });
    })
    .await;
    let target = Target::start(1).await;
    bench.to(&[&target]).await;
    raw(
        bench.address,
        b"GET /bytes/10?x HTTP/1.1\r\nHost: a\r\nUser-Agent: \"me\"\r\nConnection: close\r\n\r\n",
    )
    .await;
    let line = || fs_err::read_to_string(&path).unwrap_or_default();
    until("logged", || line().ends_with('\n')).await;
    let line: serde_json::Value = serde_json::from_str(&line()).unwrap();
    let shown = [
        ("client", "127.0.0.1"),
        ("method", "GET"),
        ("path", "/bytes/10?x"),
        ("user_agent", "\"me\""),
    ];
    for (name, value) in shown {
        assert_eq!(line[name], value, "{name}");
    }
    assert_eq!(
        (&line["status"], &line["bytes"], &line["release"]),
        (&200.into(), &10.into(), &1.into())
    );
}

#[tokio::test]
async fn metrics_are_served() {
    let place = free_port();
    let bench = Bench::with(|settings| settings.metrics = Some(place)).await;
    let target = Target::start(1).await;
    bench.to(&[&target]).await;
    ask(&mut client(bench.address).await, get("/status/404"))
        .await
        .unwrap();
    let request = b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let metrics = raw(place, request).await;
    assert!(metrics.contains("class=\"4xx\"} 1\n"), "{metrics}");
    let up = format!("target=\"{}\"}} 1\n", target.address);
    assert!(metrics.contains(&up), "{metrics}");
    for line in metrics.split("\r\n\r\n").nth(1).unwrap().lines() {
        let value = line.rsplit(' ').next().unwrap();
        assert!(
            line.starts_with('#') || value.parse::<f64>().is_ok(),
            "{line}"
        );
    }
    assert!(
        raw(
            place,
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        )
        .await
        .contains("404")
    );
}

/// Not a test: the edge that others kill, in a process of its own.
#[test]
fn child() {
    let Ok(folder) = std::env::var("EDGE_CHILD") else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let edge = Edge::start(Settings::new(folder)).await.unwrap();
        edge.serve_control().unwrap();
        std::future::pending::<()>().await;
    });
}

struct Process(Child);

impl Process {
    fn start(folder: &Path) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env("EDGE_CHILD", folder)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_killed_edge_has_its_routes_again() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("edge.sock");
    let mut process = Process::start(folder.path());
    let started = Instant::now();
    while UnixStream::connect(&socket).await.is_err() {
        assert!(started.elapsed() < PATIENCE, "the edge never starts");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (web, spare) = (Target::start(1).await, Target::start(1).await);
    let address = free_port();
    let set = quick(vec![route(address, &[web.address, spare.address])]);
    control::ask(&socket, &Request::Set(set.clone()), |_| {})
        .await
        .unwrap();
    let drain = Request::Drain {
        target: spare.address,
        grace: Span::seconds(1),
        undo: false,
    };
    control::ask(&socket, &drain, |_| {}).await.unwrap();
    for _ in 0..3 {
        process.kill();
        let error = control::ask(&socket, &Request::Set(set.clone()), |_| {})
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("no edge answers"), "{error}");
        let started = Instant::now();
        process = Process::start(folder.path());
        while TcpStream::connect(address).await.is_err() {
            assert!(started.elapsed() < PATIENCE, "the port never opens");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let back = started.elapsed();
        assert_eq!(
            ask(&mut client(address).await, get("/")).await.unwrap().0,
            200,
            "the first request is served"
        );
        assert!(back < Duration::from_secs(5), "back after {back:?}");
        while UnixStream::connect(&socket).await.is_err() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert!(
            status(&socket).await.routes[0].targets[1].drained,
            "what was drained stays drained"
        );
    }
}
