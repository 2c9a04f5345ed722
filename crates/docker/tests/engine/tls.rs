//! `tcp://` with TLS: both sides prove who they are.

use std::path::Path;
use std::sync::Arc;

use docker::{Engine, EngineAddress, TlsFiles};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

#[tokio::test]
async fn both_sides_prove_who_they_are() {
    let folder = TempDir::new().unwrap();
    make_authority(folder.path(), "right");
    make_authority(folder.path(), "wrong");
    let port = serve(folder.path()).await;
    let address = |host: &str| {
        format!("tcp://{host}:{port}")
            .parse::<EngineAddress>()
            .unwrap()
    };
    let files = |authority: &str, client: &str| TlsFiles {
        authority: folder.path().join(format!("{authority}-ca.pem")),
        certificate: folder.path().join(format!("{client}-cert.pem")),
        key: folder.path().join(format!("{client}-key.pem")),
    };
    // Each case: host, whose authority is trusted, whose certificate is shown, how it ends.
    let cases = [
        ("localhost", "right", "right", "503 from behind TLS"),
        ("localhost", "wrong", "right", "invalid peer certificate"),
        ("localhost", "right", "wrong", "broke"),
        ("127.0.0.1", "right", "right", "not valid for name"),
    ];
    for (host, authority, client, part) in cases {
        let files = files(authority, client);
        let error = Engine::connect(&address(host), Some(&files))
            .await
            .unwrap_err();
        let text = error.problem().to_string();
        assert!(text.contains(part), "{host} {authority} {client}: {text}");
    }
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let folder = TempDir::new().unwrap();
    let files = TlsFiles::in_folder(folder.path());
    let address = "tcp://localhost:1".parse().unwrap();
    let error = Engine::connect(&address, Some(&files)).await.unwrap_err();
    assert!(
        error.problem().to_string().contains("ca.pem")
            || error.problem().to_string().contains("key.pem")
    );
    assert!(error.hint().unwrap().contains("DOCKER_CERT_PATH"));
}

/// An authority, and one certificate from it for both the server `localhost` and a client.
fn make_authority(folder: &Path, name: &str) {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let write = |file: &str, text: String| {
        fs_err::write(folder.join(format!("{name}-{file}.pem")), text).unwrap();
    };
    write("ca", authority.pem());
    write("cert", certificate.pem());
    write("key", key.serialize_pem());
}

/// Answers 503 to every client with a certificate of the right authority.
async fn serve(folder: &Path) -> u16 {
    let pem = |file: &str| folder.join(format!("right-{file}.pem"));
    let certificate = |file: &str| CertificateDer::from_pem_file(pem(file)).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate("ca")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients.build().unwrap())
        .with_single_cert(
            vec![certificate("cert")],
            PrivateKeyDer::from_pem_file(pem("key")).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut question = [0; 1024];
            let _size = stream.read(&mut question).await;
            let answer = "HTTP/1.1 503 No\r\nContent-Length: 19\r\n\r\n503 from behind TLS";
            let _gone = stream.write_all(answer.as_bytes()).await;
        }
    });
    port
}
