//! A host by `tcp://`: its engine and whoever deploys prove to each other who they are.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use testkit::dockerd::Dockerd;

use crate::project::Said;
use crate::site::{self, Site};
use crate::users::Users;

const HOST: &str = "tcp://localhost:2376";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_is_deployed_to_by_tls_with_the_right_certificates_alone() {
    let certificates = tempfile::tempdir().unwrap();
    let folder = |name: &str| certificates.path().join(name);
    for name in ["right", "wrong"] {
        make_authority(&folder(name));
    }
    let Some(host) = Dockerd::start_with(&listens(&folder("right"))) else {
        return;
    };
    let Some(site) = Site::of(vec![host]) else {
        return;
    };
    for version in ["v1", "v2"] {
        site.image(version, site::SERVES).await;
    }
    site.reach_by(&[HOST]);
    let run = |tag: &str, verb: &str, certificates: Option<&Path>| {
        let mut command = site.command(tag, &[verb, "prod"]);
        if let Some(folder) = certificates {
            command.env("DOCKER_CERT_PATH", folder);
        }
        let network = site.hosts[0].network();
        Said::of(&network.within(&command).output().unwrap())
    };

    for certificates in [None, Some(folder("wrong"))] {
        let refused = run("v1", "deploy", certificates.as_deref()).fails();
        assert!(refused.contains(HOST), "{HOST} is missing: {refused}");
    }
    let half = folder("half");
    mix(&folder("right"), &folder("wrong"), &half);
    let refused = run("v1", "deploy", Some(&half)).fails();
    assert!(refused.contains(HOST), "{HOST} is missing: {refused}");
    let right = folder("right");
    let status = run("v1", "status", Some(&right)).fails();
    assert!(status.contains("no release yet"), "{status}");

    run("v1", "deploy", Some(&right)).succeeds();
    let users = Users::start(&site.hosts[0]);
    run("v2", "deploy", Some(&right)).succeeds();
    run("v2", "rollback", Some(&right)).succeeds();
    let seen = users.stop();
    assert_eq!(seen.failed, Vec::<String>::new());
    assert_eq!(seen.answers, ["v1", "v2", "v1"]);
}

/// What an engine is told that lets clients of this authority in, and nobody else.
fn listens(folder: &Path) -> Vec<String> {
    let file = |name: &str| folder.join(name).display().to_string();
    vec![
        format!("--host={}", HOST.replace("localhost", "127.0.0.1")),
        "--tlsverify".to_owned(),
        format!("--tlscacert={}", file("ca.pem")),
        format!("--tlscert={}", file("cert.pem")),
        format!("--tlskey={}", file("key.pem")),
    ]
}

/// An authority, and one certificate from it for both the server `localhost` and a client.
fn make_authority(folder: &Path) {
    fs_err::create_dir(folder).unwrap();
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    for (name, text) in [
        ("ca.pem", authority.pem()),
        ("cert.pem", certificate.pem()),
        ("key.pem", key.serialize_pem()),
    ] {
        fs_err::write(folder.join(name), text).unwrap();
    }
}

/// The authority of one, which the server is known by, with the certificate of the other.
fn mix(authority: &Path, client: &Path, into: &Path) {
    fs_err::create_dir(into).unwrap();
    for (from, name) in [
        (authority, "ca.pem"),
        (client, "cert.pem"),
        (client, "key.pem"),
    ] {
        fs_err::copy(from.join(name), into.join(name)).unwrap();
    }
}
