//! A target that keeps every byte it is sent and answers each request that the judge finds whole.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::judge::{Judged, Verdict, judge, judge_all};

/// Its body begins so that it is not taken for the edge's own.
pub const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\ntarget";

/// See the module.
pub struct RawTarget {
    pub address: SocketAddr,
    connections: Arc<Mutex<Vec<Seen>>>,
}

/// What came on one connection, and how much of it has been told. It is judged from its beginning each
/// time, as what has been told may be half of something.
#[derive(Default)]
struct Seen {
    bytes: Vec<u8>,
    told: usize,
    whole: usize,
}

/// What reached a target.
#[derive(Debug, Default)]
pub struct Reached {
    pub whole: Vec<Judged>,
    /// Requests that broke off.
    pub partial: usize,
    /// Why the standard forbids what was sent.
    pub forbidden: Vec<String>,
}

impl RawTarget {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Self {
            address: listener.local_addr().unwrap(),
            connections: Arc::default(),
        };
        let connections = Arc::clone(&target.connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let place = {
                    let mut connections = connections.lock().unwrap();
                    connections.push(Seen::default());
                    connections.len() - 1
                };
                tokio::spawn(serve(stream, Arc::clone(&connections), place));
            }
        });
        target
    }

    /// What came since the last time, judged.
    pub fn reached(&self) -> Reached {
        let mut reached = Reached::default();
        for seen in self.connections.lock().unwrap().iter_mut() {
            if seen.bytes.len() == seen.told {
                continue;
            }
            seen.told = seen.bytes.len();
            match judge_all(&seen.bytes) {
                Ok((whole, partial)) => {
                    let count = whole.len();
                    reached.whole.extend(whole.into_iter().skip(seen.whole));
                    reached.partial += usize::from(partial);
                    seen.whole = count;
                }
                Err(why) => {
                    let bytes = String::from_utf8_lossy(&seen.bytes).into_owned();
                    reached.forbidden.push(format!("{why} in {bytes:?}"));
                }
            }
        }
        reached
    }
}

async fn serve(mut stream: TcpStream, connections: Arc<Mutex<Vec<Seen>>>, place: usize) {
    let mut open = Vec::new();
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = stream.read(&mut bytes).await {
        connections.lock().unwrap()[place]
            .bytes
            .extend(&bytes[..count]);
        open.extend(&bytes[..count]);
        while let Verdict::Whole(request) = judge(&open) {
            open.drain(..request.length);
            if answer(&mut stream, &request).await.is_err() {
                return;
            }
        }
    }
}

async fn answer(stream: &mut TcpStream, request: &Judged) -> std::io::Result<()> {
    let bodiless = ANSWER.len() - "target".len();
    let end = if request.method == "HEAD" {
        bodiless
    } else {
        ANSWER.len()
    };
    stream.write_all(&ANSWER[..end]).await
}
