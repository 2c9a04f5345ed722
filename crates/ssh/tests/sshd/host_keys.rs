//! A host is let in by its pinned key alone.

use std::process::Command;

use ssh::{SshError, TrustSource};

use crate::server::{Server, make_key};

/// Connects to a server that shows its Ed25519 key, trusting what `text` pins.
async fn check(server: &Server, text: &str) -> Result<(), SshError> {
    server.user_key("ed25519", "", "key");
    let mut access = server.access(text);
    access.keys.push(ssh::KeySource::File(server.path("key")));
    let outcome = server.client(access).connect().await;
    fs_err::remove_file(server.path("key")).unwrap();
    outcome
}

fn fingerprint(server: &Server, key: &str) -> String {
    let shown = Command::new("ssh-keygen")
        .args(["-lf", &server.text(key)])
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    shown.split(' ').nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn an_unknown_key_is_refused_with_the_line_that_would_pin_it() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let error = check(&server, "other ssh-ed25519 AAAA\n")
        .await
        .unwrap_err();
    let SshError::UnknownHost { line, .. } = &error else {
        panic!("{error}")
    };
    let said = error.to_string();
    assert!(
        said.contains(&fingerprint(&server, "host_ed25519")),
        "{said}"
    );
    assert!(said.contains("looked for in PINNED"), "{said}");
    assert!(error.hint().unwrap().contains(line));
    check(&server, line).await.unwrap();
}

#[tokio::test]
async fn a_changed_key_is_refused_and_says_where_the_old_one_stands() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    make_key("ed25519", "", &server.path("before"));
    let file = server.path("known_hosts");
    fs_err::write(&file, format!("# comment\n{}", server.pin("before"))).unwrap();
    let mut access = server.access("");
    access.trust = vec![TrustSource::File(file)];
    let error = server.client(access).connect().await.unwrap_err();
    let said = error.to_string();
    assert!(matches!(error, SshError::ChangedHost { .. }), "{said}");
    assert!(
        said.contains("HAS CHANGED") && said.contains("known_hosts:2;"),
        "{said}"
    );
}

#[tokio::test]
async fn a_revoked_key_is_refused_though_it_is_pinned() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let pin = server.pin("host_ed25519");
    let key = pin.split_once(' ').unwrap().1;
    let error = check(&server, &format!("{pin}@revoked * {key}"))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, SshError::RevokedHost { place, .. } if place == "PINNED:2"),
        "{error}"
    );
}

#[tokio::test]
async fn an_authority_is_refused_with_words() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let pin = server.pin("host_ecdsa");
    let error = check(&server, &format!("@cert-authority {pin}"))
        .await
        .unwrap_err();
    assert!(matches!(&error, SshError::Authority { .. }), "{error}");
}

#[tokio::test]
async fn hashed_names_are_known() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let file = server.text("hashed");
    fs_err::write(&file, server.pin("host_ed25519")).unwrap();
    let hashed = Command::new("ssh-keygen")
        .args(["-q", "-H", "-f", &file])
        .output();
    assert!(hashed.unwrap().status.success());
    let hashed = fs_err::read_to_string(&file).unwrap();
    assert!(hashed.starts_with("|1|"));
    check(&server, &hashed).await.unwrap();
}

#[tokio::test]
async fn a_host_shows_the_key_that_is_pinned() {
    let Some(server) = Server::start(&["HostKey {folder}host_ecdsa"]) else {
        return;
    };
    for key in ["host_ecdsa", "host_ed25519"] {
        check(&server, &server.pin(key)).await.unwrap();
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_no_empty_file() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let mut access = server.access("");
    access.trust.push(TrustSource::File(server.path("home")));
    let error = server.client(access).connect().await.unwrap_err();
    assert!(matches!(error, SshError::Trust(..)), "{error}");
}
