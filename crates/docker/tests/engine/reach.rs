//! How an engine is reached, and what is said when it is not.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use docker::{
    ApiVersion, Archive, ByteStream, Connecting, Connector, Engine, EngineAddress, Patience,
    Problem,
};
use futures_util::StreamExt as _;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::net::{UnixListener, UnixStream};

use crate::support::{Desk, TOOLS, image};

/// Streams through this process, as those over SSH will be.
struct Piped {
    socket: PathBuf,
    opened: AtomicUsize,
}

impl Connector for Piped {
    fn connect(&self) -> Connecting<'_> {
        Box::pin(async {
            self.opened.fetch_add(1, Ordering::Relaxed);
            let mut engine = UnixStream::connect(&self.socket).await?;
            let (ours, mut theirs) = duplex(4096);
            tokio::spawn(
                async move { tokio::io::copy_bidirectional(&mut theirs, &mut engine).await },
            );
            Ok(Box::new(ours) as Box<dyn ByteStream>)
        })
    }
}

#[tokio::test]
async fn over_any_stream_and_in_the_engines_version() {
    let Some(desk) = Desk::start().await else {
        return;
    };
    let connector = Arc::new(Piped {
        socket: desk.daemon.socket(),
        opened: AtomicUsize::new(0),
    });
    let streams = Arc::clone(&connector);
    let engine = Engine::over(connector, "ssh://web-01", Patience::default())
        .await
        .unwrap();
    engine.ping().await.unwrap();
    let version = engine.version();
    assert_eq!(version.spoken, version.api.min(ApiVersion::NEWEST));
    assert_eq!(version.os, "linux");
    engine.inspect_image(&image(TOOLS)).await.unwrap();
    assert_eq!(streams.opened.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn an_engine_that_is_not_there() {
    let folder = TempDir::new().unwrap();
    let address = EngineAddress::Unix(folder.path().join("none.sock"));
    let error = Engine::connect(&address, None).await.unwrap_err();
    assert!(error.is_unreachable() && !error.is_not_found(), "{error:?}");
    assert!(
        matches!(error.problem(), Problem::Unreachable(e) if e.kind() == io::ErrorKind::NotFound)
    );
    assert!(error.hint().unwrap().contains("systemctl start docker"));
    assert!(error.to_string().contains("none.sock"), "{error}");
}

#[tokio::test]
async fn an_engine_that_says_nothing_is_not_waited_for_long() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("silent.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let patience = Patience {
        answer: Duration::from_millis(100),
        ..Patience::default()
    };
    let connector = Arc::new(docker::UnixConnector::new(&path));
    let begin = Instant::now();
    let error = Engine::over(connector, "silent", patience)
        .await
        .unwrap_err();
    assert!(matches!(error.problem(), Problem::TimedOut(_)), "{error:?}");
    assert!(begin.elapsed() < Duration::from_secs(5));
    drop(listener);
}

/// Each case: what comes for an answer, and a part of the message.
#[tokio::test]
async fn strange_engines() {
    let version = |newest: &str, oldest: &str| {
        let body =
            format!(r#"{{"Version":"1","ApiVersion":"{newest}","MinAPIVersion":"{oldest}"}}"#);
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let cases = [
        (
            version("1.40", "1.12"),
            "speaks the Engine API 1.12 to 1.40",
        ),
        (
            version("1.99", "1.90"),
            "speaks the Engine API 1.90 to 1.99",
        ),
        (version("x", "1.12"), "is no version of an API"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}".to_owned(),
            "not understood",
        ),
        (
            "HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nbusy".to_owned(),
            "busy",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{".to_owned(),
            "broke",
        ),
        ("SSH-2.0-OpenSSH\r\n".to_owned(), "broke"),
        (String::new(), "broke"),
    ];
    for (answer, part) in cases {
        let error = ask(&answer).await;
        assert!(error.contains(part), "{answer:?}: {error}");
    }
}

#[tokio::test]
async fn another_machine_needs_tls() {
    let address: EngineAddress = "tcp://web-01.example:2375".parse().unwrap();
    let error = Engine::connect(&address, None).await.unwrap_err();
    assert!(matches!(error.problem(), Problem::NeedsTls), "{error:?}");
}

/// What is said of an engine that gives this answer to its first question.
async fn ask(answer: &str) -> String {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("engine.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let answer = answer.to_owned();
    let engine = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut question = [0; 1024];
        let _size = stream.read(&mut question).await.unwrap();
        stream.write_all(answer.as_bytes()).await.unwrap();
    });
    let error = Engine::connect(&EngineAddress::Unix(path), None)
        .await
        .unwrap_err();
    engine.await.unwrap();
    error.problem().to_string()
}

/// A way that is slow but lives is waited for; one that stands still is not.
#[tokio::test]
async fn a_slow_upload_is_no_dead_one() {
    let Some(desk) = Desk::start().await else {
        return;
    };
    let patience = Patience {
        transfer: Duration::from_millis(300),
        ..Patience::default()
    };
    let engine = desk.engine.clone().with_patience(patience);
    let whole = testkit::busybox::archive(&[]);
    let size = whole.len().div_ceil(8);
    let chunks: Vec<_> = whole
        .chunks(size)
        .map(bytes::Bytes::copy_from_slice)
        .collect();
    let slow = futures_util::stream::iter(chunks).then(|chunk| async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        io::Result::Ok(chunk)
    });
    let begin = Instant::now();
    let slow = engine
        .import_image(&image("slow:1"), Archive::stream(slow), &[])
        .await;
    slow.unwrap();
    assert!(begin.elapsed() > 2 * patience.transfer);

    let dead = Archive::stream(futures_util::stream::pending());
    let error = engine
        .import_image(&image("dead:1"), dead, &[])
        .await
        .unwrap_err();
    assert!(matches!(error.problem(), Problem::TimedOut(_)), "{error:?}");
}
