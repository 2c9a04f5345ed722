//! Certificates by ACME, from a real ACME server: ordered, kept, renewed, and refused with reason.

#![allow(clippy::unwrap_used)]

mod common;
mod pebble;

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{PATIENCE, Target, free_port, quick, raw, route};
use edge::spec::{AcmeSpec, CertificateFiles, Challenge, RouteSpec, TlsSpec};
use edge::{CertificateStatus, Edge, Set, Settings, Span};
use pebble::{Pebble, Wish};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const NAME: &str = "www.example.org";

fn settings(folder: &Path, ca: &Pebble) -> Settings {
    let mut settings = Settings::new(folder);
    settings.acme.directory = ca.directory();
    settings.acme.contact = Some("admin@example.org".to_owned());
    settings.acme.root = Some(ca.root());
    settings.acme.terms_agreed = true;
    settings.acme.retry = Span::seconds(1);
    settings
}

fn by_acme(listen: SocketAddr, target: &Target, challenge: Option<Challenge>) -> RouteSpec {
    let mut spec = route(listen, &[target.address]);
    spec.route.host = NAME.parse().unwrap();
    spec.tls = Some(TlsSpec::Acme(AcmeSpec { challenge }));
    spec
}

fn set(routes: Vec<RouteSpec>) -> Set {
    Set {
        owner: None,
        deadline: Span::seconds(20),
        ..quick(routes)
    }
}

async fn error(edge: &Edge, routes: Vec<RouteSpec>) -> String {
    let error = edge.set(set(routes), |_| {}).await.unwrap_err();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

async fn connect(
    address: SocketAddr,
    issuer: &CertificateDer<'static>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(issuer.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(NAME).unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

fn leaf(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    let chain = stream.get_ref().1.peer_certificates().unwrap();
    chain[0].clone().into_owned()
}

/// One request; the connection stays.
async fn ask(stream: &mut TlsStream<TcpStream>) -> String {
    let request = format!("GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let mut length = 0;
    while !String::from_utf8_lossy(&answer[..length]).contains("took") {
        let read = stream.read(&mut answer[length..]);
        let read = tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
        assert!(read > 0, "closed");
        length += read;
    }
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

async fn assert_serves(address: SocketAddr, ca: &Pebble, release: u64) {
    let mut stream = connect(address, &ca.issuer().await).await.unwrap();
    let answer = ask(&mut stream).await;
    assert!(
        answer.contains(&format!("x-release: {release}")),
        "{answer}"
    );
}

fn status(edge: &Edge) -> CertificateStatus {
    let mut certificates = edge.status().certificates;
    assert_eq!(certificates.len(), 1, "{certificates:?}");
    certificates.remove(0)
}

async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !done().await {
        assert!(started.elapsed() < PATIENCE, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A restart and a take-over: nothing is ordered again.
#[tokio::test]
async fn a_certificate_is_ordered_by_tls_and_kept() {
    let (listen, folder) = (free_port(), tempfile::tempdir().unwrap());
    let Some(ca) = Pebble::start(Wish::new(free_port(), listen)).await else {
        return;
    };
    let target = Target::start(1).await;
    let edge = Edge::start(settings(folder.path(), &ca)).await.unwrap();
    let spec = by_acme(listen, &target, None);
    edge.set(set(vec![spec.clone()]), |_| {}).await.unwrap();
    assert_serves(listen, &ca, 1).await;
    let shown = status(&edge);
    assert_eq!(shown.names, [NAME]);
    assert_eq!((shown.source.as_str(), shown.error), ("acme", None));
    assert!(shown.not_after.unwrap() > shown.next.unwrap());
    assert!(
        edge.metrics()
            .contains("certificate_not_after_seconds{name=\"www.example.org\"")
    );
    assert_private(folder.path());

    edge.set(set(vec![spec]), |_| {}).await.unwrap();
    edge.stop(Duration::ZERO).await;
    let edge = Edge::start(settings(folder.path(), &ca)).await.unwrap();
    edge.serve_control().unwrap();
    assert_serves(listen, &ca, 1).await;
    let next = Edge::take_over(settings(folder.path(), &ca)).await.unwrap();
    edge.stop(Duration::ZERO).await;
    assert_serves(listen, &ca, 1).await;
    assert_eq!(status(&next).error, None);
    assert_eq!(ca.orders(), 1);
}

fn assert_private(folder: &Path) {
    let mut files = 0;
    for ca in fs_err::read_dir(folder.join("acme")).unwrap() {
        for file in fs_err::read_dir(ca.unwrap().path()).unwrap() {
            let mode = file.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            files += 1;
        }
    }
    assert_eq!(files, 2, "an account and a certificate");
}

/// The plain port has a redirect, and comes with the same set.
#[tokio::test]
async fn a_certificate_is_ordered_by_http_before_redirects() {
    let (plain, listen) = (free_port(), free_port());
    let folder = tempfile::tempdir().unwrap();
    let mut wish = Wish::new(plain, free_port());
    wish.bad_nonces = 10;
    let Some(ca) = Pebble::start(wish).await else {
        return;
    };
    let target = Target::start(1).await;
    let edge = Edge::start(settings(folder.path(), &ca)).await.unwrap();
    let mut redirect = route(plain, &[]);
    redirect.redirect_https = Some(443);
    let routes = vec![redirect, by_acme(listen, &target, Some(Challenge::Http01))];
    // A request whose nonce is refused three times fails.
    if edge.set(set(routes.clone()), |_| {}).await.is_err() {
        edge.set(set(routes), |_| {}).await.unwrap();
    }
    assert_serves(listen, &ca, 1).await;
    let request = "GET /.well-known/acme-challenge/x HTTP/1.1\r\nHost: www.example.org\r\nConnection: close\r\n\r\n";
    let answer = raw(plain, request.as_bytes()).await;
    assert!(
        answer.starts_with("HTTP/1.1 308"),
        "nobody's token: {answer}"
    );
}

/// A challenge that fails leaves the next one to try.
#[tokio::test]
async fn what_tls_does_not_prove_http_may() {
    let (plain, listen) = (free_port(), free_port());
    let folder = tempfile::tempdir().unwrap();
    let Some(ca) = Pebble::start(Wish::new(plain, free_port())).await else {
        return;
    };
    let target = Target::start(1).await;
    let edge = Edge::start(settings(folder.path(), &ca)).await.unwrap();
    let other = route(plain, &[target.address]);
    edge.set(set(vec![other]), |_| {}).await.unwrap();
    let spec = by_acme(listen, &target, None);
    edge.set(set(vec![spec]), |_| {}).await.unwrap();
    assert_serves(listen, &ca, 1).await;
    assert_eq!(ca.orders(), 2);
}

#[tokio::test]
async fn it_is_renewed_before_its_end_under_open_connections() {
    let (listen, folder) = (free_port(), tempfile::tempdir().unwrap());
    let mut wish = Wish::new(free_port(), listen);
    wish.validity = 9;
    let Some(ca) = Pebble::start(wish).await else {
        return;
    };
    let target = Target::start(1).await;
    let edge = Edge::start(settings(folder.path(), &ca)).await.unwrap();
    let spec = by_acme(listen, &target, None);
    edge.set(set(vec![spec]), |_| {}).await.unwrap();
    let issuer = ca.issuer().await;
    let mut open = connect(listen, &issuer).await.unwrap();
    let (first, end) = (leaf(&open), status(&edge).not_after.unwrap());
    until("a renewal", async || {
        // Validated each time: there is never a moment without a good certificate.
        let stream = connect(listen, &issuer).await.unwrap();
        leaf(&stream) != first
    })
    .await;
    assert!(jiff::Timestamp::now() < end, "renewed too late");
    assert!(status(&edge).not_after.unwrap() > end);
    ask(&mut open).await;
}

#[tokio::test]
async fn a_failed_challenge_says_why_and_the_old_route_serves_on() {
    let (listen, folder) = (free_port(), tempfile::tempdir().unwrap());
    let Some(ca) = Pebble::start(Wish::new(free_port(), free_port())).await else {
        return;
    };
    let (old, new) = (Target::start(1).await, Target::start(2).await);
    let edge = Edge::start(settings(folder.path(), &ca)).await.unwrap();
    let (files, certificate) = own_certificate(folder.path());
    let mut spec = by_acme(listen, &old, None);
    spec.tls = Some(TlsSpec::Files(files));
    edge.set(set(vec![spec]), |_| {}).await.unwrap();

    let reason = error(&edge, vec![by_acme(listen, &new, None)]).await;
    for part in [
        "no certificate for www.example.org",
        "tls-alpn-01: ",
        "failed to connect",
        "http-01: the edge has no port for plain HTTP",
    ] {
        assert!(
            reason.to_lowercase().contains(&part.to_lowercase()),
            "{part}: {reason}"
        );
    }
    let mut stream = connect(listen, &certificate).await.unwrap();
    assert!(ask(&mut stream).await.contains("x-release: 1"));

    // A port that listened for the CA alone is closed again.
    let other = free_port();
    error(
        &edge,
        vec![by_acme(other, &new, Some(Challenge::TlsAlpn01))],
    )
    .await;
    until("a closed port", async || {
        TcpStream::connect(other).await.is_err()
    })
    .await;
}

fn own_certificate(folder: &Path) -> (CertificateFiles, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(vec![NAME.to_owned()]).unwrap();
    let files = CertificateFiles {
        certificate: folder.join("own.pem"),
        key: folder.join("own.key"),
    };
    fs_err::write(&files.certificate, made.cert.pem()).unwrap();
    fs_err::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    (files, made.cert.der().clone())
}

#[tokio::test]
async fn a_ca_that_is_unknown_away_or_not_agreed_with_is_not_used() {
    let (listen, folder) = (free_port(), tempfile::tempdir().unwrap());
    let Some(ca) = Pebble::start(Wish::new(free_port(), listen)).await else {
        return;
    };
    let target = Target::start(1).await;
    let (other, _) = own_certificate(folder.path());
    let (key, missing) = (other.key.clone(), folder.path().join("missing.pem"));
    type Change = Box<dyn Fn(&mut Settings)>;
    let cases: [(&str, Change); 6] = [
        (
            "invalid peer certificate",
            Box::new(move |s| s.acme.root = Some(other.certificate.clone())),
        ),
        (
            "no certificate in PEM form",
            Box::new(move |s| s.acme.root = Some(key.clone())),
        ),
        (
            "missing.pem",
            Box::new(move |s| s.acme.root = Some(missing.clone())),
        ),
        (
            "--acme-agree-terms",
            Box::new(|s| s.acme.terms_agreed = false),
        ),
        (
            "does not answer as an ACME server",
            Box::new(|s| {
                s.acme.directory = format!("https://localhost:{}/dir", free_port().port());
            }),
        ),
        (
            "refused: ",
            Box::new(|s| s.acme.contact = Some("nobody".to_owned())),
        ),
    ];
    for (number, (expected, change)) in cases.iter().enumerate() {
        let mut settings = settings(&folder.path().join(number.to_string()), &ca);
        change(&mut settings);
        let edge = Edge::start(settings).await.unwrap();
        let reason = error(&edge, vec![by_acme(listen, &target, None)]).await;
        assert!(reason.contains(expected), "{expected}: {reason}");
        edge.stop(Duration::ZERO).await;
    }
    assert_eq!(ca.orders(), 0);
}

/// A lost certificate is ordered anew, also from a CA that was away and has forgotten the account.
#[tokio::test]
async fn without_a_certificate_handshakes_fail_until_one_is_there() {
    let (listen, folder) = (free_port(), tempfile::tempdir().unwrap());
    let Some(mut ca) = Pebble::start(Wish::new(free_port(), listen)).await else {
        return;
    };
    let target = Target::start(1).await;
    let edge = Edge::start(settings(folder.path(), &ca)).await.unwrap();
    let spec = by_acme(listen, &target, None);
    edge.set(set(vec![spec]), |_| {}).await.unwrap();
    edge.stop(Duration::ZERO).await;
    ca.stop().await;
    for ca in fs_err::read_dir(folder.path().join("acme")).unwrap() {
        fs_err::write(ca.unwrap().path().join(format!("{NAME}.pem")), "nonsense").unwrap();
    }

    let edge = Edge::start(settings(folder.path(), &ca)).await.unwrap();
    let (_, stranger) = own_certificate(folder.path());
    let refused = connect(listen, &stranger).await.unwrap_err().to_string();
    assert!(refused.contains("alert"), "{refused}");
    until("an error in the status", async || {
        status(&edge).error.is_some()
    })
    .await;
    assert_eq!(status(&edge).not_after, None);

    ca.run().await;
    until("a certificate", async || status(&edge).not_after.is_some()).await;
    assert_serves(listen, &ca, 1).await;
    assert_eq!(status(&edge).error, None);
}
