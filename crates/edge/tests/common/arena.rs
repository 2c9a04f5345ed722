//! Any bytes from a client, any bytes from a target, with a real edge on loopback between them. Used
//! by the test of random bytes and by the fuzz target.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use edge::route::{Listen, RouteKey};
use edge::spec::RouteSpec;
use edge::{Edge, Set, Settings, Span};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::judge::{Verdict, judge, judge_all};

/// A round takes no longer, or the edge hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// See the module.
pub struct Arena {
    pub edge: Edge,
    /// The port whose target is spoken to in HTTP/1, and the one in HTTP/2.
    ports: [SocketAddr; 2],
    target: Arc<Scripted>,
}

/// A target that answers the first bytes of each connection with the same bytes.
#[derive(Default)]
struct Scripted {
    answer: Mutex<Vec<u8>>,
    forbidden: Mutex<Vec<String>>,
    open: AtomicUsize,
}

impl Arena {
    /// An edge that keeps its state in the folder; its limits are short.
    pub async fn start(folder: &std::path::Path) -> Self {
        let mut settings = Settings::new(folder);
        settings.limits.head_time = Span::millis(500);
        settings.limits.stall = Span::millis(500);
        settings.limits.idle = Span::millis(500);
        settings.limits.rest = Span::millis(0);
        let edge = Edge::start(settings).await.expect("an edge starts");
        let target = Arc::new(Scripted::default());
        let mut ports = Vec::new();
        for http2 in [false, true] {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let address = listener.local_addr().expect("it has an address");
            let listen = free_port().await;
            let key = RouteKey {
                listen: Listen(listen),
                host: Default::default(),
                path: Default::default(),
            };
            let to = address.to_string().parse().expect("an address is a target");
            let mut spec = RouteSpec::new(key, vec![to]);
            spec.target_http2 = http2;
            spec.health.fall = 100;
            spec.health.interval = Span::millis(100);
            spec.response_timeout = Span::millis(500);
            let set = Set {
                owner: None,
                routes: vec![spec],
                deadline: Span::seconds(5),
                grace: Span::seconds(1),
                watch: Span::millis(0),
            };
            tokio::spawn(Arc::clone(&target).run(listener, http2));
            edge.set(set, |_| {}).await.expect("the target listens");
            ports.push(listen);
        }
        Self {
            edge,
            ports: [ports[0], ports[1]],
            target,
        }
    }

    /// Sends a client's bytes and has a target answer. Returns what the client got.
    ///
    /// # Errors
    /// What the edge did that it must not do.
    pub async fn round(
        &self,
        client: &[u8],
        answer: &[u8],
        http2: bool,
    ) -> Result<Vec<u8>, String> {
        *self.target.answer.lock().expect("no panic") = answer.to_vec();
        let got = tokio::time::timeout(PATIENCE, self.exchange(client, http2)).await;
        let got = got.map_err(|_| "the edge neither answers nor closes".to_owned())?;
        self.settle().await;
        let forbidden = std::mem::take(&mut *self.target.forbidden.lock().expect("no panic"));
        match forbidden.first() {
            None => Ok(got),
            Some(_) => Err(format!("what no target may see: {forbidden:#?}")),
        }
    }

    /// Whether a good request is answered.
    pub async fn serves(&self) -> bool {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        let got = self.round(request, answer, false).await;
        got.is_ok_and(|got| got.starts_with(b"HTTP/1.1 200") && got.ends_with(b"ok"))
    }

    async fn exchange(&self, client: &[u8], http2: bool) -> Vec<u8> {
        let mut got = Vec::new();
        let Ok(mut stream) = TcpStream::connect(self.ports[usize::from(http2)]).await else {
            return got;
        };
        let _ = stream.write_all(client).await;
        let _ = stream.shutdown().await;
        let _ = stream.read_to_end(&mut got).await;
        got
    }

    /// Waits until the target has seen the end of what it was sent.
    async fn settle(&self) {
        for _ in 0..200 {
            if self.target.open.load(Ordering::Acquire) == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Scripted {
    async fn run(self: Arc<Self>, listener: TcpListener, http2: bool) {
        while let Ok((stream, _)) = listener.accept().await {
            let target = Arc::clone(&self);
            target.open.fetch_add(1, Ordering::AcqRel);
            tokio::spawn(async move {
                let (seen, answer) = target.serve(stream).await;
                let http1 = before_switch(&seen, &answer);
                if let (false, Err(why)) = (http2, judge_all(http1)) {
                    let text = String::from_utf8_lossy(&seen).into_owned();
                    target
                        .forbidden
                        .lock()
                        .expect("no panic")
                        .push(format!("{why} in {text:?}"));
                }
                target.open.fetch_sub(1, Ordering::AcqRel);
            });
        }
    }

    /// What the edge sent, and what it was answered.
    async fn serve(&self, mut stream: TcpStream) -> (Vec<u8>, Vec<u8>) {
        let (mut seen, mut answer) = (Vec::new(), Vec::new());
        if let Ok(1..) = stream.read_buf(&mut seen).await {
            answer.clone_from(&self.answer.lock().expect("no panic"));
            let _ = stream.write_all(&answer).await;
            let _ = stream.shutdown().await;
            let reading = async { while let Ok(1..) = stream.read_buf(&mut seen).await {} };
            let _ = tokio::time::timeout(Duration::from_secs(2), reading).await;
        }
        (seen, answer)
    }
}

/// What follows the consent to another protocol is whatever the client says in it.
fn before_switch<'b>(seen: &'b [u8], answer: &[u8]) -> &'b [u8] {
    let agreed = answer.windows(4).any(|part| part == b" 101");
    match judge(seen) {
        Verdict::Whole(first) if agreed && first.field("upgrade").is_some() => {
            &seen[..first.length]
        }
        _ => seen,
    }
}

async fn free_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    listener.local_addr().expect("it has an address")
}
