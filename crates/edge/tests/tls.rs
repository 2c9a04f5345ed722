//! TLS with certificates from files: by name, read anew, never in plain text by accident.

#![allow(clippy::unwrap_used)]

mod common;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::{Bench, PATIENCE, Target, free_port, quick, raw, route};
use edge::spec::{CertificateFiles, TlsSpec};
use edge::{Edge, Settings, Span};
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Writes a fresh certificate for a name, and returns it.
fn certificate(folder: &Path, name: &str) -> (CertificateFiles, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let spec = CertificateFiles {
        certificate: folder.join(format!("{name}.pem")),
        key: folder.join(format!("{name}.key")),
    };
    fs_err::write(&spec.certificate, made.cert.pem()).unwrap();
    fs_err::write(&spec.key, made.signing_key.serialize_pem()).unwrap();
    (spec, made.cert.der().clone())
}

async fn connect(
    address: SocketAddr,
    name: &str,
    trusted: &CertificateDer<'static>,
    alpn: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

async fn get(stream: &mut TlsStream<TcpStream>, host: &str) -> String {
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn each_name_has_its_certificate_and_both_protocols() {
    let bench = Bench::new().await;
    let (one, two) = (Target::start(1).await, Target::start(2).await);
    let (spec_a, cert_a) = certificate(bench.folder.path(), "a.example.org");
    let (spec_b, cert_b) = certificate(bench.folder.path(), "b.example.org");
    let mut routes = vec![bench.route(&[one.address]), bench.route(&[two.address])];
    routes[0].route.host = "a.example.org".parse().unwrap();
    routes[0].tls = Some(TlsSpec::Files(spec_a));
    routes[0].hsts = Some(Span::seconds(3600));
    routes[1].route.host = "b.example.org".parse().unwrap();
    routes[1].tls = Some(TlsSpec::Files(spec_b));
    bench.edge.set(quick(routes), |_| {}).await.unwrap();

    for (name, cert, release) in [("a.example.org", &cert_a, 1), ("b.example.org", &cert_b, 2)] {
        let mut stream = connect(bench.address, name, cert, &[]).await.unwrap();
        let answer = get(&mut stream, name).await;
        assert!(
            answer.contains(&format!("x-release: {release}")),
            "{answer}"
        );
        assert_eq!(
            answer.contains("strict-transport-security: max-age=3600"),
            release == 1
        );
    }
    assert!(
        connect(bench.address, "a.example.org", &cert_b, &[])
            .await
            .is_err()
    );
    assert_eq!(one.seen()[0].headers["x-forwarded-proto"], "https");

    let stream = connect(bench.address, "a.example.org", &cert_a, &[b"h2"])
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let request = Request::get("https://a.example.org/")
        .body(Full::<Bytes>::default())
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.headers()["x-release"], "1");
    response.into_body().collect().await.unwrap();

    let plain = raw(
        bench.address,
        b"GET / HTTP/1.1\r\nHost: a.example.org\r\n\r\n",
    )
    .await;
    assert!(
        !plain.contains("release"),
        "plain text on a TLS port: {plain}"
    );
}

/// The certificate of the most exact route; for a name that no route has, the first there is.
#[tokio::test]
async fn names_choose_exactly_by_wildcard_and_by_default() {
    let bench = Bench::new().await;
    let target = Target::start(1).await;
    let hosts = ["www.example.org", "*.example.org", "*"];
    let mut routes = Vec::new();
    let mut certificates = Vec::new();
    for (number, host) in hosts.iter().enumerate() {
        let folder = bench.folder.path().join(number.to_string());
        fs_err::create_dir_all(&folder).unwrap();
        let (spec, _) = certificate(&folder, "any");
        // Self-signed for what the client will ask for, so that it says whose it is.
        let name = ["www.example.org", "other.example.org", "elsewhere.net"][number];
        let (named, der) = certificate(&folder, name);
        fs_err::copy(named.certificate, &spec.certificate).unwrap();
        fs_err::copy(named.key, &spec.key).unwrap();
        let mut route = bench.route(&[target.address]);
        route.route.host = host.parse().unwrap();
        route.tls = Some(TlsSpec::Files(spec));
        routes.push(route);
        certificates.push((name, der));
    }
    bench.edge.set(quick(routes), |_| {}).await.unwrap();
    for (name, der) in &certificates {
        let stream = connect(bench.address, name, der, &[]).await.unwrap();
        assert_eq!(stream.get_ref().1.peer_certificates().unwrap()[0], *der);
    }
    let shown = bench.edge.status().certificates;
    let names: Vec<_> = shown.iter().flat_map(|shown| &shown.names).collect();
    assert_eq!(
        names,
        ["elsewhere.net", "other.example.org", "www.example.org"]
    );
    assert!(shown.iter().all(|shown| shown.not_after.is_some()));
}

/// TLS 1.2 and 1.3; what is older gets an alert: `handshake_failure` or `protocol_version`.
#[tokio::test]
async fn only_modern_tls_is_spoken() {
    let bench = Bench::new().await;
    let target = Target::start(1).await;
    let (spec, trusted) = certificate(bench.folder.path(), "a.example.org");
    let mut with_tls = bench.route(&[target.address]);
    with_tls.tls = Some(TlsSpec::Files(spec));
    bench.set(with_tls).await.unwrap();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(bench.address).await.unwrap();
        let name = ServerName::try_from("a.example.org").unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let mut stream = connector.connect(name, stream).await.unwrap();
        assert!(
            get(&mut stream, "a.example.org")
                .await
                .contains("x-release: 1")
        );
    }
    for minor in [1, 2] {
        let mut stream = TcpStream::connect(bench.address).await.unwrap();
        stream.write_all(&old_hello(minor)).await.unwrap();
        let mut answer = Vec::new();
        let reading = stream.read_to_end(&mut answer);
        let _ = tokio::time::timeout(PATIENCE, reading).await.unwrap();
        assert_eq!(answer.first(), Some(&21), "an alert: {answer:?}");
        assert!(matches!(answer.last(), Some(40 | 70)), "{answer:?}");
    }
}

/// The first message of TLS 1.0 or 1.1: version, random bytes, no session, two cipher suites of
/// that time, no compression, and the one extension that TLS 1.2 needs.
fn old_hello(minor: u8) -> Vec<u8> {
    let mut body = vec![3, minor];
    body.extend([7; 32]);
    body.extend([0, 0, 4, 0xc0, 0x13, 0x00, 0x2f, 1, 0]);
    body.extend([0, 8, 0, 13, 0, 4, 0, 2, 4, 3]);
    let length = body.len() as u8;
    let mut hello = vec![22, 3, minor, 0, length + 4, 1, 0, 0, length];
    hello.extend(body);
    hello
}

#[tokio::test]
async fn a_changed_certificate_is_read_anew_and_a_broken_one_is_not() {
    let bench = Bench::new().await;
    let target = Target::start(1).await;
    let (spec, old) = certificate(bench.folder.path(), "a.example.org");
    let mut with_tls = bench.route(&[target.address]);
    with_tls.tls = Some(TlsSpec::Files(spec.clone()));
    bench.set(with_tls).await.unwrap();
    connect(bench.address, "a.example.org", &old, &[])
        .await
        .unwrap();

    fs_err::write(&spec.certificate, "nonsense").unwrap();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    connect(bench.address, "a.example.org", &old, &[])
        .await
        .unwrap();

    let (_, new) = certificate(bench.folder.path(), "a.example.org");
    let started = Instant::now();
    while connect(bench.address, "a.example.org", &new, &[])
        .await
        .is_err()
    {
        assert!(
            started.elapsed() < PATIENCE,
            "the new certificate is never used"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn what_does_not_fit_is_refused_and_changes_nothing() {
    let bench = Bench::new().await;
    let target = Target::start(1).await;
    bench.to(&[&target]).await;
    let (spec, _) = certificate(bench.folder.path(), "a.example.org");
    let (other, _) = certificate(bench.folder.path(), "b.example.org");
    let missing = bench.folder.path().join("missing");
    let cases = [
        (
            CertificateFiles {
                certificate: missing.clone(),
                ..spec.clone()
            },
            "cannot read certificates",
        ),
        (
            CertificateFiles {
                key: missing,
                ..spec.clone()
            },
            "cannot read a private key",
        ),
        (
            CertificateFiles {
                certificate: spec.key.clone(),
                ..spec.clone()
            },
            "has no certificate",
        ),
        (
            CertificateFiles {
                key: other.key,
                ..spec.clone()
            },
            "does not fit the certificate",
        ),
    ];
    for (tls, reason) in cases {
        let mut with_tls = bench.route(&[target.address]);
        with_tls.tls = Some(TlsSpec::Files(tls));
        let error = bench
            .edge
            .set(quick(vec![with_tls]), |_| {})
            .await
            .unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains(reason), "{error}: {source}");
    }
    let mut mixed = bench.route(&[target.address]);
    mixed.route.path = "/secret".parse().unwrap();
    mixed.tls = Some(TlsSpec::Files(spec));
    let error = bench.set(mixed).await.unwrap_err();
    assert!(
        error.contains("TLS and plain HTTP at the same time"),
        "{error}"
    );
    assert!(
        raw(
            bench.address,
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        )
        .await
        .contains("release 1")
    );
}

#[tokio::test]
async fn clients_are_sent_to_https() {
    let bench = Bench::new().await;
    let mut redirect = bench.route(&[]);
    redirect.redirect_https = Some(443);
    bench.set(redirect.clone()).await.unwrap();
    let request = b"POST /x?y=1 HTTP/1.1\r\nHost: Example.org:80\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let answer = raw(bench.address, request).await;
    assert!(
        answer.starts_with("HTTP/1.1 308")
            && answer.contains("location: https://example.org/x?y=1\r\n"),
        "{answer}"
    );
    redirect.redirect_https = Some(8443);
    bench.set(redirect).await.unwrap();
    assert!(
        raw(bench.address, request)
            .await
            .contains("location: https://example.org:8443/x?y=1\r\n")
    );
}

#[tokio::test]
async fn a_restart_without_the_certificate_serves_the_other_routes() {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::start(1).await;
    let (spec, _) = certificate(folder.path(), "a.example.org");
    let (plain, secret) = (free_port(), free_port());
    let mut routes = vec![
        route(plain, &[target.address]),
        route(secret, &[target.address]),
    ];
    routes[1].tls = Some(TlsSpec::Files(spec.clone()));
    let edge = Edge::start(Settings::new(folder.path())).await.unwrap();
    edge.set(quick(routes), |_| {}).await.unwrap();
    edge.stop(Duration::ZERO).await;
    let saved = fs_err::read(&spec.certificate).unwrap();
    fs_err::remove_file(&spec.certificate).unwrap();

    let _edge = Edge::start(Settings::new(folder.path())).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    assert!(raw(plain, request).await.contains("release 1"));
    assert!(
        !raw(secret, request).await.contains("release"),
        "a TLS port must not become a plain one"
    );
    fs_err::write(&spec.certificate, &saved).unwrap();
    let cert = rustls::pki_types::pem::PemObject::from_pem_file(&spec.certificate).unwrap();
    let started = Instant::now();
    while connect(secret, "a.example.org", &cert, &[]).await.is_err() {
        assert!(
            started.elapsed() < PATIENCE,
            "the mended certificate is never used"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
