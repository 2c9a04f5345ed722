//! Targets that stamp their release number, edges on free ports, and clients that count.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

pub mod arena;
pub mod frames;
pub mod judge;
pub mod raw_target;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use edge::spec::{HealthSpec, RouteSpec};
use edge::{Edge, Event, Set, Settings, Span};
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tempfile::TempDir;
use testkit::load::ledger::Ledger;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Nothing in a test may take longer.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A request as a target saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: Method,
    pub target: String,
    pub headers: HeaderMap,
    pub body: usize,
}

/// A server that stamps every answer with its release.
pub struct Target {
    pub address: SocketAddr,
    pub release: u64,
    pub healthy: Arc<AtomicBool>,
    pub requests: Arc<AtomicUsize>,
    pub seen: Arc<Mutex<Vec<Seen>>>,
    stop: CancellationToken,
}

impl Target {
    pub async fn start(release: u64) -> Self {
        Self::start_on("127.0.0.1:0".parse().unwrap(), release, false).await
    }

    pub async fn start_http2(release: u64) -> Self {
        Self::start_on("127.0.0.1:0".parse().unwrap(), release, true).await
    }

    pub async fn start_on(address: SocketAddr, release: u64, http2: bool) -> Self {
        let listener = listen(address).await;
        let target = Self {
            address: listener.local_addr().unwrap(),
            release,
            healthy: Arc::new(AtomicBool::new(true)),
            requests: Arc::default(),
            seen: Arc::default(),
            stop: CancellationToken::new(),
        };
        tokio::spawn(accept(
            listener,
            http2,
            target.handler(),
            target.stop.clone(),
        ));
        target
    }

    fn handler(&self) -> Handler {
        Handler {
            release: self.release,
            healthy: Arc::clone(&self.healthy),
            requests: Arc::clone(&self.requests),
            seen: Arc::clone(&self.seen),
        }
    }

    /// Ends at once: the port refuses, connections are reset.
    pub fn kill(&self) {
        self.stop.cancel();
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Takes note of what it was sent; call it once, when the target is done.
    pub fn close(&self, ledger: &Ledger) {
        for seen in self.seen() {
            let number = seen.headers.get("x-number");
            if let (false, Some(number)) = (seen.method.is_idempotent(), number) {
                ledger.took(number.to_str().unwrap());
            }
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[derive(Clone)]
struct Handler {
    release: u64,
    healthy: Arc<AtomicBool>,
    requests: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// Listens where somebody listened before. The port of one that has just ended may be somebody's for the
/// moment: connections of other tests get theirs from the same range.
pub async fn listen(address: SocketAddr) -> TcpListener {
    for _ in 0..200 {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => panic!("cannot listen on {address}: {error}"),
        }
    }
    panic!("somebody else keeps {address}");
}

async fn accept(listener: TcpListener, http2: bool, handler: Handler, stop: CancellationToken) {
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted.unwrap(),
            () = stop.cancelled() => return,
        };
        stream.set_nodelay(true).unwrap();
        let (handler, stop) = (handler.clone(), stop.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let handler = handler.clone();
                async move { Ok::<_, Infallible>(handler.answer(request).await) }
            });
            let io = TokioIo::new(stream);
            let serving = async {
                let _ = match http2 {
                    false => {
                        hyper::server::conn::http1::Builder::new()
                            .serve_connection(io, service)
                            .with_upgrades()
                            .await
                    }
                    true => {
                        hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                            .serve_connection(io, service)
                            .await
                    }
                };
            };
            tokio::select! {
                () = serving => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

type Body = BoxBody<Bytes, Infallible>;

impl Handler {
    async fn answer(&self, mut request: Request<Incoming>) -> Response<Body> {
        if request.uri().path() == "/ping" {
            let healthy = self.healthy.load(Ordering::Relaxed);
            return self.stamp(if healthy { 200 } else { 500 }, "");
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        let mut seen = Seen {
            method: request.method().clone(),
            target: request.uri().to_string(),
            headers: request.headers().clone(),
            body: 0,
        };
        if request.headers().contains_key(UPGRADE) {
            self.seen.lock().unwrap().push(seen);
            return self.upgrade(&mut request);
        }
        let path = request.uri().path().to_owned();
        if path == "/refuse-early" {
            self.seen.lock().unwrap().push(seen);
            return self.stamp(401, "no");
        }
        let mut body = request.into_body();
        while let Some(Ok(frame)) = body.frame().await {
            seen.body += frame.data_ref().map_or(0, Bytes::len);
        }
        let count = seen.body;
        self.seen.lock().unwrap().push(seen);
        self.respond(&path, count).await
    }

    async fn respond(&self, path: &str, count: usize) -> Response<Body> {
        if let Some(millis) = path.strip_prefix("/slow/") {
            tokio::time::sleep(Duration::from_millis(millis.parse().unwrap())).await;
        }
        if let Some(status) = path.strip_prefix("/status/") {
            return self.stamp(status.parse().unwrap(), "");
        }
        if let Some(size) = path.strip_prefix("/bytes/") {
            return self.stamp(200, "x".repeat(size.parse().unwrap()));
        }
        match path {
            "/drip" => {
                let mut response = self.stamp(200, "");
                let parts = futures_util::stream::unfold(0, |count| async move {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    (count < 10).then(|| (Ok(Frame::data(Bytes::from("drip"))), count + 1))
                });
                *response.body_mut() =
                    http_body_util::BodyExt::boxed(StreamBody::new(Box::pin(parts)
                        as std::pin::Pin<Box<dyn futures_util::Stream<Item = _> + Send + Sync>>));
                response
            }
            "/hop" => {
                let mut response = self.stamp(200, "hop");
                response
                    .headers_mut()
                    .insert(CONNECTION, "x-hop".parse().unwrap());
                response.headers_mut().insert("x-hop", "1".parse().unwrap());
                response
                    .headers_mut()
                    .insert("keep-alive", "timeout=5".parse().unwrap());
                response
            }
            "/length" => {
                let mut response = self.stamp(304, "");
                response
                    .headers_mut()
                    .insert("content-length", "1234".parse().unwrap());
                response
            }
            _ => self.stamp(200, format!("release {} took {count}", self.release)),
        }
    }

    fn stamp(&self, status: u16, body: impl Into<Bytes>) -> Response<Body> {
        let mut response = Response::new(Full::new(body.into()).boxed());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        response
            .headers_mut()
            .insert("x-release", self.release.into());
        response
    }

    /// Echoes bytes after a greeting with the release.
    fn upgrade(&self, request: &mut Request<Incoming>) -> Response<Body> {
        let protocol = request.headers()[UPGRADE].clone();
        let upgraded = hyper::upgrade::on(request);
        let greeting = format!("release {}\n", self.release);
        tokio::spawn(async move {
            let mut stream = TokioIo::new(upgraded.await.unwrap());
            stream.write_all(greeting.as_bytes()).await.unwrap();
            let mut bytes = [0; 1024];
            while let Ok(count @ 1..) = stream.read(&mut bytes).await {
                if stream.write_all(&bytes[..count]).await.is_err() {
                    return;
                }
            }
        });
        let mut response = self.stamp(101, "");
        response
            .headers_mut()
            .insert(CONNECTION, "upgrade".parse().unwrap());
        response.headers_mut().insert(UPGRADE, protocol);
        response
    }
}

/// An edge on a free port.
pub struct Bench {
    pub edge: Edge,
    pub address: SocketAddr,
    pub folder: TempDir,
}

pub fn free_port() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

impl Bench {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::new(folder.path());
        change(&mut settings);
        let edge = Edge::start(settings).await.unwrap();
        Self {
            edge,
            address: free_port(),
            folder,
        }
    }

    /// A route of this edge's port to the targets, with fast checks.
    pub fn route(&self, targets: &[SocketAddr]) -> RouteSpec {
        route(self.address, targets)
    }

    pub async fn set(&self, spec: RouteSpec) -> Result<(), String> {
        self.edge
            .set(quick(vec![spec]), |_| {})
            .await
            .map_err(|error| error.to_string())
    }

    pub async fn to(&self, targets: &[&Target]) {
        let addresses: Vec<_> = targets.iter().map(|target| target.address).collect();
        self.set(self.route(&addresses)).await.unwrap();
    }

    /// Sends bytes and reads until the edge closes.
    pub async fn raw(&self, bytes: &[u8]) -> String {
        raw(self.address, bytes).await
    }
}

pub fn route(listen: SocketAddr, targets: &[SocketAddr]) -> RouteSpec {
    let route = edge::route::RouteKey {
        listen: edge::route::Listen(listen),
        host: Default::default(),
        path: Default::default(),
    };
    let targets = targets
        .iter()
        .map(|target| target.to_string().parse().unwrap())
        .collect();
    let mut spec = RouteSpec::new(route, targets);
    spec.health = HealthSpec {
        path: Some("/ping".to_owned()),
        interval: Span::millis(100),
        timeout: Span::millis(300),
        ..HealthSpec::default()
    };
    spec
}

/// A set that a test can wait for.
pub fn quick(routes: Vec<RouteSpec>) -> Set {
    Set {
        owner: None,
        routes,
        deadline: Span::millis(700),
        grace: Span::seconds(10),
        watch: Span::millis(0),
    }
}

pub async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    let _ = tokio::time::timeout(PATIENCE, reading)
        .await
        .expect("the edge neither answers nor closes");
    String::from_utf8_lossy(&answer).into_owned()
}

pub type Sender = hyper::client::conn::http1::SendRequest<Full<Bytes>>;

/// A client that keeps its connection.
pub async fn client(address: SocketAddr) -> Sender {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection.with_upgrades());
    sender
}

/// The release that answers at an address; nothing when nobody listens there.
pub async fn release(address: SocketAddr) -> Option<u64> {
    TcpStream::connect(address).await.ok()?;
    let answer = ask(&mut client(address).await, get("/")).await;
    Some(answer.unwrap().1)
}

pub fn get(path: &str) -> Request<Full<Bytes>> {
    Request::get(path)
        .header("host", "example.org")
        .body(Full::default())
        .unwrap()
}

pub fn post(path: &str, size: usize) -> Request<Full<Bytes>> {
    let body = Full::new(Bytes::from(vec![b'x'; size]));
    Request::post(path)
        .header("host", "example.org")
        .body(body)
        .unwrap()
}

/// The status, the release and the body of an answer.
pub async fn ask(
    sender: &mut Sender,
    request: Request<Full<Bytes>>,
) -> Result<(u16, u64, Bytes), String> {
    let asking = async {
        sender
            .ready()
            .await
            .map_err(|error| format!("not ready: {error}"))?;
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| format!("not sent: {error:?}"))?;
        let status = response.status().as_u16();
        let release = response
            .headers()
            .get("x-release")
            .and_then(|value| value.to_str().ok()?.parse().ok());
        let body = response
            .into_body()
            .collect()
            .await
            .map_err(|error| format!("broken off: {error:?}"))?;
        Ok((status, release.unwrap_or(0), body.to_bytes()))
    };
    tokio::time::timeout(PATIENCE, asking)
        .await
        .map_err(|_| "no answer".to_owned())?
}

/// Remembers the steps of a set.
#[derive(Clone, Default)]
pub struct Steps(Arc<Mutex<Vec<Event>>>);

impl Steps {
    pub fn tell(&self) -> impl Fn(Event) + use<> {
        let steps = self.clone();
        move |event| steps.0.lock().unwrap().push(event)
    }

    pub fn get(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }
}

/// The memory that this process holds, in bytes (proc(5)).
pub fn memory() -> usize {
    let status = fs_err::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = status.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}
