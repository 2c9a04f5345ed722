//! The heart: targets change under load, and no request notices.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use common::{Bench, Sender, Steps, Target, ask, client, free_port, get, post, quick, route};
use edge::{Event, Span};
use http::Request;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What the clients of a load found.
#[derive(Default)]
struct Findings {
    stop: AtomicBool,
    answers: AtomicUsize,
    failures: std::sync::Mutex<Vec<String>>,
}

impl Findings {
    fn failed(&self, what: String) {
        self.failures.lock().unwrap().push(what);
    }

    /// Judges an answer on a connection whose last release is given.
    fn judge(&self, answer: Result<(u16, u64, bytes::Bytes), String>, last: &mut u64) -> bool {
        match answer {
            Ok((200, release, _)) if release >= *last => {
                *last = release;
                self.answers.fetch_add(1, Ordering::Relaxed);
                true
            }
            Ok((200, release, _)) => {
                self.failed(format!("release {release} after {last}"));
                true
            }
            Ok((status, _, _)) => {
                self.failed(format!("status {status}"));
                true
            }
            Err(error) => {
                self.failed(error);
                false
            }
        }
    }
}

async fn keep_asking(
    address: std::net::SocketAddr,
    findings: Arc<Findings>,
    request: impl Fn() -> Request<http_body_util::Full<bytes::Bytes>>,
) {
    let mut sender: Sender = client(address).await;
    let mut last = 0;
    while !findings.stop.load(Ordering::Relaxed) {
        let answer = ask(&mut sender, request()).await;
        if !findings.judge(answer, &mut last) {
            sender = client(address).await;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Streams of one HTTP/2 connection, several at a time.
async fn keep_streaming(address: std::net::SocketAddr, findings: Arc<Findings>) {
    let stream = TcpStream::connect(address).await.unwrap();
    let io = TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (sender, connection) = hyper::client::conn::http2::handshake(executor, io)
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut last = 0;
    while !findings.stop.load(Ordering::Relaxed) {
        let streams = (0..4).map(|number| {
            let mut sender = sender.clone();
            async move {
                let body = http_body_util::Full::new(bytes::Bytes::from(vec![b'x'; number * 5000]));
                let request = Request::post("http://example.org/").body(body).unwrap();
                let response = sender
                    .send_request(request)
                    .await
                    .map_err(|error| format!("{error:?}"))?;
                let status = response.status().as_u16();
                let release = response
                    .headers()
                    .get("x-release")
                    .and_then(|value| value.to_str().ok()?.parse().ok());
                let body = response
                    .into_body()
                    .collect()
                    .await
                    .map_err(|error| format!("{error:?}"))?;
                Ok((status, release.unwrap_or(0), body.to_bytes()))
            }
        });
        // Streams that began together may be answered by two releases; later ones never by an older.
        let mut newest = last;
        for answer in futures_util::future::join_all(streams).await {
            let mut seen = last;
            findings.judge(answer, &mut seen);
            newest = newest.max(seen);
        }
        last = newest;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A new connection for each request.
async fn come_anew(address: std::net::SocketAddr, findings: Arc<Findings>) {
    while !findings.stop.load(Ordering::Relaxed) {
        let mut sender = client(address).await;
        let answer = ask(&mut sender, get("/")).await;
        findings.judge(answer, &mut 0);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Chunked uploads that last longer than a swap.
async fn upload(address: std::net::SocketAddr, findings: Arc<Findings>) {
    while !findings.stop.load(Ordering::Relaxed) {
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        let parts = futures_util::stream::unfold(0, |count| async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            (count < 20).then(|| {
                (
                    Ok::<_, std::convert::Infallible>(Frame::data(bytes::Bytes::from(vec![
                        b'x';
                        1000
                    ]))),
                    count + 1,
                )
            })
        });
        let body = StreamBody::new(Box::pin(parts));
        let request = Request::put("/upload")
            .header("host", "example.org")
            .body(body)
            .unwrap();
        let told = async {
            let response = sender
                .send_request(request)
                .await
                .map_err(|error| format!("upload: {error:?}"))?;
            let status = response.status();
            let body = response
                .into_body()
                .collect()
                .await
                .map_err(|error| format!("upload: {error:?}"))?
                .to_bytes();
            match status.as_u16() == 200 && body.ends_with(b"took 20000") {
                true => Ok(()),
                false => Err(format!("upload: {status} {body:?}")),
            }
        };
        match told.await {
            Ok(()) => {
                findings.answers.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => findings.failed(error),
        }
    }
}

async fn websocket(address: std::net::SocketAddr) -> (BufReader<TcpStream>, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = "GET /socket HTTP/1.1\r\nhost: example.org\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).await.unwrap();
    assert!(line.starts_with("HTTP/1.1 101"), "{line}");
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).await.unwrap();
    }
    line.clear();
    reader.read_line(&mut line).await.unwrap();
    (reader, line)
}

async fn echo(stream: &mut BufReader<TcpStream>, text: &str) -> String {
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    line
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_through_swaps_good_and_bad() {
    let bench = Bench::new().await;
    let mut current = Target::start(1).await;
    bench.to(&[&current]).await;

    let findings = Arc::new(Findings::default());
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..3 {
        clients.spawn(keep_asking(bench.address, Arc::clone(&findings), || {
            get("/")
        }));
    }
    clients.spawn(keep_asking(bench.address, Arc::clone(&findings), || {
        post("/", 200_000)
    }));
    clients.spawn(keep_asking(bench.address, Arc::clone(&findings), || {
        get("/slow/150")
    }));
    clients.spawn(keep_asking(bench.address, Arc::clone(&findings), || {
        get("/drip")
    }));
    clients.spawn(come_anew(bench.address, Arc::clone(&findings)));
    clients.spawn(upload(bench.address, Arc::clone(&findings)));
    clients.spawn(keep_streaming(bench.address, Arc::clone(&findings)));

    let (dead, slow, ill) = (free_port(), silent_target().await, Target::start(99).await);
    ill.healthy.store(false, Ordering::Relaxed);
    for release in 2..=15 {
        let next = Target::start(release).await;
        let bad = match release % 4 {
            0 => vec![dead],
            1 => vec![slow],
            2 => vec![ill.address],
            _ => vec![next.address, dead],
        };
        let mut set = quick(vec![bench.route(&bad)]);
        set.deadline = Span::millis(350);
        let error = bench.edge.set(set, |_| {}).await.unwrap_err().to_string();
        let reason = [
            "Connection refused",
            "no answer within",
            "with 500",
            "Connection refused",
        ][release as usize % 4];
        assert!(error.contains(reason), "release {release}: {error}");

        let steps = Steps::default();
        bench
            .edge
            .set(quick(vec![bench.route(&[next.address])]), steps.tell())
            .await
            .unwrap();
        assert!(
            matches!(
                steps.get()[..],
                [
                    Event::Checking { targets: 1 },
                    Event::Swapped { .. },
                    Event::Drained { cut: 0 }
                ]
            ),
            "{:?}",
            steps.get()
        );
        // Drained means that the old release can be killed.
        current.kill();
        current = next;
    }

    findings.stop.store(true, Ordering::Relaxed);
    while clients.join_next().await.is_some() {}
    let failures = findings.failures.lock().unwrap();
    assert!(
        failures.is_empty(),
        "{} failures, such as {:?}",
        failures.len(),
        &failures[..failures.len().min(5)]
    );
    assert!(
        findings.answers.load(Ordering::Relaxed) > 500,
        "the load was too small to tell anything"
    );
}

/// Takes connections and says nothing.
async fn silent_target() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    address
}

#[tokio::test]
async fn upgraded_connections_have_the_grace_period() {
    let bench = Bench::new().await;
    let (old, new) = (Target::start(1).await, Target::start(2).await);
    bench.to(&[&old]).await;
    let (mut socket, greeting) = websocket(bench.address).await;
    assert_eq!(greeting, "release 1\n");

    let steps = Steps::default();
    let mut set = quick(vec![bench.route(&[new.address])]);
    set.grace = Span::millis(500);
    let setting = tokio::spawn({
        let (edge, tell) = (bench.edge.clone(), steps.tell());
        async move { edge.set(set, tell).await }
    });
    while steps.get().len() < 2 {
        tokio::task::yield_now().await;
    }
    // Swapped: new ones come to the new release, the old one still speaks.
    let (_other, greeting) = websocket(bench.address).await;
    assert_eq!(greeting, "release 2\n");
    assert_eq!(echo(&mut socket, "still there\n").await, "still there\n");
    setting.await.unwrap().unwrap();
    assert_eq!(steps.get().last(), Some(&Event::Drained { cut: 1 }));
    let mut line = String::new();
    let end = socket.read_line(&mut line).await;
    assert!(
        matches!(end, Ok(0) | Err(_)),
        "cut after the grace period, but it said {line}"
    );
}

#[tokio::test]
async fn new_targets_that_die_soon_are_taken_back() {
    let bench = Bench::new().await;
    let (old, new) = (Target::start(1).await, Target::start(2).await);
    bench.to(&[&old]).await;
    let mut set = quick(vec![bench.route(&[new.address])]);
    set.watch = Span::seconds(10);
    let steps = Steps::default();
    let setting = tokio::spawn({
        let (edge, tell) = (bench.edge.clone(), steps.tell());
        async move { edge.set(set, tell).await }
    });
    let mut sender = client(bench.address).await;
    while steps.get().len() < 2 {
        assert_eq!(ask(&mut sender, get("/")).await.unwrap().0, 200);
    }
    assert_eq!(ask(&mut sender, get("/")).await.unwrap().1, 2);
    new.kill();
    for _ in 0..20 {
        let (status, release, _) = ask(&mut sender, get("/")).await.unwrap();
        assert_eq!((status, release), (200, 1));
    }
    let error = setting.await.unwrap().unwrap_err().to_string();
    assert!(error.contains("failed soon after the swap"), "{error}");
    let file = std::fs::File::open(bench.folder.path().join("edge.json")).unwrap();
    let state: serde_json::Value = serde_json::from_reader(file).unwrap();
    assert_eq!(
        state["routes"][0]["spec"]["targets"][0],
        old.address.to_string(),
        "the file names who serves"
    );
}

#[tokio::test]
async fn several_routes_swap_together_or_not_at_all() {
    let bench = Bench::new().await;
    let (one, two) = (Target::start(1).await, Target::start(2).await);
    let other = free_port();
    let both = |target: &Target| {
        vec![
            bench.route(&[target.address]),
            route(other, &[target.address]),
        ]
    };
    bench.edge.set(quick(both(&one)), |_| {}).await.unwrap();

    let mut half = both(&two);
    half[1].targets = vec![free_port().to_string().parse().unwrap()];
    bench.edge.set(quick(half), |_| {}).await.unwrap_err();
    for address in [bench.address, other] {
        assert_eq!(
            ask(&mut client(address).await, get("/")).await.unwrap().1,
            1
        );
    }
    bench.edge.set(quick(both(&two)), |_| {}).await.unwrap();
    for address in [bench.address, other] {
        assert_eq!(
            ask(&mut client(address).await, get("/")).await.unwrap().1,
            2
        );
    }
}

#[tokio::test]
async fn of_two_sets_at_once_one_is_told() {
    let bench = Bench::new().await;
    let (one, two, three) = (
        Target::start(1).await,
        Target::start(2).await,
        Target::start(3).await,
    );
    bench.to(&[&one]).await;
    two.healthy.store(false, Ordering::Relaxed);
    let late = tokio::spawn({
        let (edge, mut set) = (bench.edge.clone(), quick(vec![bench.route(&[two.address])]));
        set.deadline = Span::seconds(20);
        async move { edge.set(set, |_| {}).await }
    });
    tokio::task::yield_now().await;
    bench.to(&[&three]).await;
    two.healthy.store(true, Ordering::Relaxed);
    let error = late.await.unwrap().unwrap_err().to_string();
    assert!(error.contains("another set"), "{error}");
    assert_eq!(
        ask(&mut client(bench.address).await, get("/"))
            .await
            .unwrap()
            .1,
        3
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn targets_may_be_restarted_behind_it() {
    let bench = Bench::new().await;
    let mut targets = [
        Target::start(1).await,
        Target::start(1).await,
        Target::start(1).await,
    ];
    bench.to(&[&targets[0], &targets[1], &targets[2]]).await;
    let findings = Arc::new(Findings::default());
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..4 {
        clients.spawn(keep_asking(bench.address, Arc::clone(&findings), || {
            get("/")
        }));
    }
    for round in 0..12 {
        let target = &mut targets[round % 3];
        let address = target.address;
        target.kill();
        tokio::time::sleep(Duration::from_millis(60)).await;
        *target = restart(address).await;
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    findings.stop.store(true, Ordering::Relaxed);
    while clients.join_next().await.is_some() {}
    let failures = findings.failures.lock().unwrap();
    assert!(
        failures.is_empty(),
        "{} failures, such as {:?}",
        failures.len(),
        &failures[..failures.len().min(5)]
    );
    assert!(findings.answers.load(Ordering::Relaxed) > 100);
}

async fn restart(address: std::net::SocketAddr) -> Target {
    Target::start_on(address, 1, false).await
}

#[tokio::test]
async fn drained_is_told_when_it_is_so_even_if_another_set_came_between() {
    let bench = Bench::new().await;
    let (one, two, three) = (
        Target::start(1).await,
        Target::start(2).await,
        Target::start(3).await,
    );
    bench.to(&[&one]).await;
    let address = bench.address;
    let slow = tokio::spawn(async move { ask(&mut client(address).await, get("/slow/700")).await });
    while one.requests.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    let steps = Steps::default();
    let mut set = quick(vec![bench.route(&[two.address])]);
    set.watch = Span::seconds(20);
    let setting = tokio::spawn({
        let (edge, tell) = (bench.edge.clone(), steps.tell());
        async move { edge.set(set, tell).await }
    });
    while steps.get().len() < 2 {
        tokio::task::yield_now().await;
    }
    bench.to(&[&three]).await;
    setting.await.unwrap().unwrap();
    assert_eq!(steps.get().last(), Some(&Event::Drained { cut: 0 }));
    // Whoever was told so may end the old target.
    one.kill();
    assert_eq!(slow.await.unwrap().unwrap().1, 1);
}
