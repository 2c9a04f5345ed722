//! Streams to sockets and commands, many at once, and through broken connections.

use std::io;
use std::time::Duration;

use ssh::{Client, CommandFailure, SshError, Stream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::server::{Server, converse, echo};

/// For what a busy machine does in a moment.
pub(crate) const SOON: Duration = Duration::from_secs(120);

#[tokio::test]
async fn fifty_streams_share_one_connection() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    echo(&server.path("echo"));
    let client = server.friend();
    let talks = (0..50).map(|number| {
        let (client, path) = (client.clone(), server.text("echo"));
        tokio::spawn(async move {
            let mut stream = client.socket(&path).await.unwrap();
            for round in 0..20 {
                converse(&mut stream, &format!("{number} {round}"))
                    .await
                    .unwrap();
            }
        })
    });
    for talk in talks.collect::<Vec<_>>() {
        timeout(SOON, talk).await.unwrap().unwrap();
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn much_goes_both_ways_and_ends() {
    const PIECES: usize = 1000;
    let Some(server) = Server::start(&[]) else {
        return;
    };
    echo(&server.path("echo"));
    let stream = server.friend().socket(&server.text("echo")).await.unwrap();
    let (mut from, mut to) = tokio::io::split(stream);
    let sending = tokio::spawn(async move {
        for number in 0..PIECES {
            to.write_all(&piece(number)).await.unwrap();
        }
        to.shutdown().await.unwrap();
    });
    let reading = async {
        for number in 0..PIECES {
            let mut heard = piece(0);
            from.read_exact(&mut heard).await.unwrap();
            assert!(
                heard == piece(number),
                "piece {number} came through otherwise"
            );
        }
        assert_eq!(from.read(&mut [0]).await.unwrap(), 0);
    };
    timeout(SOON, reading).await.unwrap();
    sending.await.unwrap();
}

/// 64 KiB that tell their number.
fn piece(number: usize) -> Vec<u8> {
    (0..1 << 16)
        .map(|index| (index * 7 + number) as u8)
        .collect()
}

#[tokio::test]
async fn a_stream_that_nobody_reads_stops_no_other() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    echo(&server.path("echo"));
    let client = server.friend();
    let mut talkative = client
        .command("for i in $(seq 500); do echo $i; done; cat")
        .await
        .unwrap();
    let mut stream = client.socket(&server.text("echo")).await.unwrap();
    for _ in 0..50 {
        timeout(SOON, converse(&mut stream, "hello"))
            .await
            .unwrap()
            .unwrap();
    }
    talkative.shutdown().await.unwrap();
    let mut said = String::new();
    talkative.read_to_string(&mut said).await.unwrap();
    assert_eq!(said.lines().count(), 500);
}

/// A server, a client, and a stream between them that has been used.
async fn talking() -> Option<(Server, Client, Stream)> {
    let server = Server::start(&[])?;
    echo(&server.path("echo"));
    let client = server.friend();
    let mut stream = client.socket(&server.text("echo")).await.unwrap();
    converse(&mut stream, "before").await.unwrap();
    Some((server, client, stream))
}

/// The client takes a new connection.
async fn goes_on(server: &Server, client: &Client) {
    let mut next = client.socket(&server.text("echo")).await.unwrap();
    converse(&mut next, "after").await.unwrap();
}

#[tokio::test]
async fn a_killed_server_breaks_its_streams_and_the_next_one_connects_anew() {
    let Some((server, client, mut stream)) = talking().await else {
        return;
    };
    server.signal("-KILL");
    let error = timeout(SOON, stream.read(&mut [0]))
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}");
    assert!(
        error.to_string().contains("broke: the host closed it"),
        "{error}"
    );

    goes_on(&server, &client).await;
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_silent_host_is_noticed() {
    let Some((server, client, mut stream)) = talking().await else {
        return;
    };
    server.signal("-STOP");
    let error = timeout(SOON, stream.read(&mut [0]))
        .await
        .unwrap()
        .unwrap_err();
    assert!(error.to_string().contains("has fallen silent"), "{error}");
    goes_on(&server, &client).await;
}

#[tokio::test]
async fn what_is_not_there_or_forbidden_says_so() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let error = server
        .friend()
        .socket(&server.text("nothing"))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, SshError::Socket { path, .. } if path.ends_with("nothing")),
        "{error}"
    );

    let Some(strict) = Server::start(&["AllowStreamLocalForwarding no"]) else {
        return;
    };
    echo(&strict.path("echo"));
    let error = strict
        .friend()
        .socket(&strict.text("echo"))
        .await
        .unwrap_err();
    assert!(matches!(&error, SshError::Socket { .. }), "{error}");

    let nobody = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = format!("ssh://127.0.0.1:{}", nobody.local_addr().unwrap().port());
    drop(nobody);
    let client = Client::new(address.parse().unwrap(), server.access(""));
    let error = client.connect().await.unwrap_err();
    assert!(matches!(error, SshError::Connect { .. }), "{error}");
}

#[tokio::test]
async fn what_is_no_sshd_is_told_in_time() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let other = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = format!("ssh://127.0.0.1:{}", other.local_addr().unwrap().port());
    let web = std::thread::spawn(move || {
        use std::io::Write as _;
        let (mut stream, _) = other.accept().unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
    });
    let client = Client::new(address.parse().unwrap(), server.access(""));
    let error = timeout(SOON, client.connect()).await.unwrap().unwrap_err();
    assert!(matches!(error, SshError::Handshake { .. }), "{error}");
    web.join().unwrap();
}

#[tokio::test]
async fn commands_are_streams_too() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let client = server.friend();
    let mut stream = client.command("cat").await.unwrap();
    converse(&mut stream, "hello").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);

    let mut failing = client
        .command("echo some; echo no such thing >&2; exit 3")
        .await
        .unwrap();
    let mut said = String::new();
    let error = failing.read_to_string(&mut said).await.unwrap_err();
    let failure = error
        .get_ref()
        .unwrap()
        .downcast_ref::<CommandFailure>()
        .unwrap();
    assert_eq!(
        (failure.status, failure.stderr.as_str()),
        (3, "no such thing")
    );
}

/// An sshd runs ten commands on a connection.
#[tokio::test]
async fn more_commands_than_one_connection_carries() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let client = server.friend();
    let mut streams: Vec<Stream> = Vec::new();
    for _ in 0..25 {
        let mut stream = client.command("cat").await.unwrap();
        converse(&mut stream, "hello").await.unwrap();
        streams.push(stream);
    }
    for stream in &mut streams {
        converse(stream, "again").await.unwrap();
    }
    assert_eq!(server.connections(), 3);
}
