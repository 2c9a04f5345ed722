//! The ordinary `git` against this crate, over HTTP.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by a panic")]

mod common;
mod read;

use std::sync::Arc;
use std::time::Duration;

use git::{Change, DenyRule, TagPolicy};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;

use self::common::{Server, User, noise};

#[tokio::test]
async fn push_then_clone() {
    let server = Server::start().await;
    let repository = server.create("p1").await;
    server.set(|b| {
        b.lines = vec![
            "Pipeline #1 was created".to_owned(),
            "http://x/1".to_owned(),
        ];
    });
    let user = User::new().await;

    let push = user
        .ok(&["push", &server.url("p1"), "HEAD:refs/heads/trunk"])
        .await;
    assert!(
        push.stderr.contains("remote: Pipeline #1 was created"),
        "{}",
        push.stderr
    );
    assert!(
        push.stderr.contains("remote: http://x/1"),
        "{}",
        push.stderr
    );
    let update = server.pushes()[0].updates[0].clone();
    assert_eq!(update.name, "refs/heads/trunk");
    assert!(update.is_new());
    let head = user.ok(&["rev-parse", "HEAD"]).await.stdout;
    assert_eq!(update.commit.unwrap().as_str(), head);
    assert_eq!(repository.default_branch().await.unwrap().name(), "trunk");

    let other = User::empty();
    other.ok(&["clone", "-q", &server.url("p1"), "."]).await;
    assert_eq!(other.ok(&["rev-parse", "HEAD"]).await.stdout, head);
    assert_eq!(
        other.ok(&["branch", "--show-current"]).await.stdout,
        "trunk"
    );
}

#[tokio::test]
async fn a_tag_leads_to_its_commit_and_stays_what_it_is() {
    let server = Server::start().await;
    let repository = server.create("p1").await;
    let user = User::new().await;
    let first = user.ok(&["rev-parse", "HEAD"]).await.stdout;
    user.ok(&["tag", "-m", "The first", "v1"]).await;
    user.ok(&["push", "-q", &server.url("p1"), "main", "v1"])
        .await;
    let pushes = server.pushes();
    let tag = pushes[0]
        .updates
        .iter()
        .find(|u| u.name == "refs/tags/v1")
        .unwrap();
    assert_eq!(tag.commit.as_ref().unwrap().as_str(), first);
    assert_ne!(tag.new.as_ref().unwrap().as_str(), first);
    let name = model::GitRef::tag("v1").unwrap();
    let message = repository.tag_message(&name).await.unwrap();
    assert_eq!(message.as_deref(), Some("The first"));

    let second = user.commit("b", "b").await;
    user.ok(&["tag", "-f", "v1"]).await;
    let moved = user
        .fails(&["push", "-f", &server.url("p1"), "main", "v1"])
        .await;
    assert!(
        moved.stderr.contains("error: the tag v1 is already in use"),
        "{}",
        moved.stderr
    );
    assert!(
        moved
            .stderr
            .contains("hint: give the new state a new version"),
        "{}",
        moved.stderr
    );
    let push = server.pushes().pop().unwrap();
    assert_eq!(push.updates[0].commit.as_ref().unwrap().as_str(), second);
    assert_eq!(push.rejected[0].name, "refs/tags/v1");
    assert_eq!(
        repository.resolve(&name).await.unwrap().unwrap().as_str(),
        first
    );
    user.fails(&["push", &server.url("p1"), ":refs/tags/v1"])
        .await;

    server.set(|b| b.options.tags = TagPolicy::Movable);
    user.ok(&["push", "-f", &server.url("p1"), "v1"]).await;
    assert_eq!(
        repository.resolve(&name).await.unwrap().unwrap().as_str(),
        second
    );
    repository.delete_ref(&name).await.unwrap();
    assert_eq!(repository.resolve(&name).await.unwrap(), None);
}

#[tokio::test]
async fn rules_refuse_one_ref_and_let_the_others_through() {
    let server = Server::start().await;
    server.create("p1").await;
    let user = User::new().await;
    let first = user.ok(&["rev-parse", "HEAD"]).await.stdout;
    user.commit("b", "b").await;
    user.ok(&["push", "-q", &server.url("p1"), "main"]).await;
    server.set(|b| {
        b.options.deny = vec![DenyRule {
            refs: "refs/heads/ma*".to_owned(),
            change: Change::Rewrite,
            message: "main is protected".to_owned(),
            hint: "push without --force".to_owned(),
        }];
    });
    user.ok(&["reset", "-q", "--hard", &first]).await;
    user.commit("c", "c").await;
    let refspecs = ["+main", "main:side"];
    let forced = user
        .fails(&["push", &server.url("p1"), refspecs[0], refspecs[1]])
        .await;
    assert!(
        forced.stderr.contains("remote: error: main is protected"),
        "{}",
        forced.stderr
    );
    assert!(forced.stderr.contains("main -> side"), "{}", forced.stderr);
    user.ok(&["fetch", "-q", &server.url("p1"), "main"]).await;
    user.ok(&["reset", "-q", "--hard", "FETCH_HEAD"]).await;
    user.commit("d", "d").await;
    user.ok(&["push", "-q", &server.url("p1"), "main"]).await;
}

#[tokio::test]
async fn push_options_reach_the_caller() {
    let server = Server::start().await;
    server.create("p1").await;
    let user = User::new().await;
    user.ok(&[
        "push",
        "-q",
        "-o",
        "ci.skip",
        "-o",
        "ci.variable=A=b",
        &server.url("p1"),
        "main",
    ])
    .await;
    assert_eq!(server.pushes()[0].options, ["ci.skip", "ci.variable=A=b"]);
}

#[tokio::test]
async fn the_callers_failure_does_not_fail_the_push() {
    let server = Server::start().await;
    server.create("p1").await;
    server.set(|b| b.panics = true);
    let user = User::new().await;
    let push = user.ok(&["push", &server.url("p1"), "main"]).await;
    assert!(
        push.stderr.contains("what should follow it failed"),
        "{}",
        push.stderr
    );
}

#[tokio::test]
async fn the_caller_is_told_even_when_the_client_has_gone() {
    let server = Server::start().await;
    let repository = server.create("p1").await;
    let gate = Arc::new(Notify::new());
    server.set(|b| b.gate = Some(Arc::clone(&gate)));
    let user = User::new().await;
    let mut push = user
        .command(&["push", &server.url("p1"), "main"])
        .spawn()
        .unwrap();
    let main = model::GitRef::branch("main").unwrap();
    while repository.resolve(&main).await.unwrap().is_none() {
        assert!(
            push.try_wait().unwrap().is_none(),
            "the push waits for the caller"
        );
    }
    push.kill().await.unwrap();
    gate.notify_one();
    server.pushed.notified().await;
    assert_eq!(server.pushes().len(), 1);
}

#[tokio::test]
async fn a_large_request_comes_as_gzip_and_in_protocol_2() {
    let server = Server::start().await;
    server.create("p1").await;
    let user = User::new().await;
    for number in 0..40 {
        user.commit("a", &number.to_string()).await;
        user.ok(&["tag", &format!("v{number}")]).await;
    }
    user.ok(&["push", "-q", &server.url("p1"), "main", "--tags"])
        .await;
    let other = User::new().await;
    for number in 0..60 {
        other.commit("other", &number.to_string()).await;
    }
    other
        .ok(&["fetch", "-q", "--tags", &server.url("p1"), "main"])
        .await;
    let found = other.ok(&["rev-parse", "FETCH_HEAD"]).await.stdout;
    assert_eq!(found, user.ok(&["rev-parse", "main"]).await.stdout);
    let behaviour = server.behaviour.lock().unwrap();
    assert!(behaviour.encodings.iter().flatten().any(|e| e == "gzip"));
    assert!(
        behaviour
            .protocols
            .iter()
            .flatten()
            .any(|p| p == "version=2")
    );
}

#[tokio::test]
async fn old_protocols_fetch_as_well() {
    let server = Server::start().await;
    server.create("p1").await;
    let user = User::new().await;
    user.ok(&["push", "-q", &server.url("p1"), "main"]).await;
    for version in ["0", "1", "2"] {
        let other = User::empty();
        let setting = format!("protocol.version={version}");
        other
            .ok(&["-c", &setting, "clone", "-q", &server.url("p1"), "."])
            .await;
    }
}

#[tokio::test]
async fn runners_fetch_one_commit_by_its_id() {
    let server = Server::start().await;
    server.create("p1").await;
    let user = User::new().await;
    let first = user.commit("a", "1").await;
    user.commit("a", "2").await;
    user.ok(&["push", "-q", &server.url("p1"), "main"]).await;
    for version in ["0", "2"] {
        let runner = User::empty();
        runner.ok(&["init", "-q"]).await;
        let setting = format!("protocol.version={version}");
        let url = server.url("p1");
        runner
            .ok(&["-c", &setting, "fetch", "-q", "--depth", "1", &url, &first])
            .await;
        runner.ok(&["checkout", "-q", &first]).await;
        assert_eq!(
            fs_err::read_to_string(runner.folder.join("a")).unwrap(),
            "1"
        );
        let count = runner.ok(&["rev-list", "--count", "HEAD"]).await.stdout;
        assert_eq!(count, "1");
    }
    let partial = User::empty();
    partial
        .ok(&[
            "clone",
            "-q",
            "--filter=blob:none",
            "--no-checkout",
            &server.url("p1"),
            ".",
        ])
        .await;
    let missing = partial
        .ok(&["rev-list", "--objects", "--all", "--missing=print"])
        .await;
    assert!(
        missing.stdout.lines().any(|line| line.starts_with('?')),
        "{}",
        missing.stdout
    );
}

#[tokio::test]
async fn a_commit_that_a_forced_push_cut_off_can_still_be_fetched() {
    let server = Server::start().await;
    server.create("p1").await;
    let user = User::new().await;
    let cut_off = user.commit("a", "1").await;
    user.ok(&["push", "-q", &server.url("p1"), "main"]).await;
    user.ok(&["reset", "-q", "--hard", "HEAD~1"]).await;
    user.ok(&["push", "-qf", &server.url("p1"), "main"]).await;
    let runner = User::empty();
    runner.ok(&["init", "-q"]).await;
    runner
        .ok(&["fetch", "-q", "--depth", "1", &server.url("p1"), &cut_off])
        .await;
}

#[tokio::test]
async fn a_pack_above_the_limit_is_refused_with_the_reason() {
    let server = Server::start().await;
    let repository = server.create("p1").await;
    server.set(|b| b.options.max_pack_bytes = 1 << 20);
    let user = User::new().await;
    user.write("big", &noise(1_500_000));
    user.commit("a", "a").await;
    let push = user.fails(&["push", &server.url("p1"), "main"]).await;
    assert!(
        push.stderr.contains("pack exceeds maximum allowed size"),
        "{}",
        push.stderr
    );
    assert!(repository.refs().await.unwrap().is_empty());
    assert!(server.pushes().is_empty());
}

#[tokio::test]
async fn a_client_killed_in_the_middle_leaves_the_repository_as_it_was() {
    let server = Server::start().await;
    let repository = server.create("p1").await;
    let user = User::new().await;
    user.ok(&["push", "-q", &server.url("p1"), "main"]).await;
    let pack = {
        user.write("big", &noise(3_000_000));
        user.commit("a", "a").await;
        push_request(&user, "main").await
    };

    let mut connection = connect(&server).await;
    let heading = format!(
        "POST /p1/git-receive-pack HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        pack.len()
    );
    connection.write_all(heading.as_bytes()).await.unwrap();
    connection.write_all(&pack[..pack.len() / 2]).await.unwrap();
    let quarantine = || {
        let objects = fs_err::read_dir(repository.folder().join("objects")).unwrap();
        let names = objects.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("tmp_")).count()
    };
    wait_until(|| quarantine() == 1).await;
    drop(connection);
    wait_until(|| quarantine() == 0).await;

    assert_eq!(server.pushes().len(), 1);
    user.ok(&["push", "-q", &server.url("p1"), "main"]).await;
    assert_eq!(server.pushes().len(), 2);
    let whole = user
        .run(&["--git-dir", repository.folder().to_str().unwrap(), "fsck"])
        .await;
    assert!(whole.ok, "{}", whole.stderr);
}

#[tokio::test]
async fn a_git_that_is_killed_leaves_the_client_an_answer() {
    let server = Server::start().await;
    let repository = server.create("p1").await;
    let user = User::new().await;
    user.write("big", &noise(3_000_000));
    user.commit("a", "a").await;
    let pack = push_request(&user, "main").await;

    let mut connection = connect(&server).await;
    let heading = format!(
        "POST /p1/git-receive-pack HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        pack.len()
    );
    connection.write_all(heading.as_bytes()).await.unwrap();
    let (first, second) = pack.split_at(pack.len() / 2);
    connection.write_all(first).await.unwrap();
    let folder = repository.folder().to_owned();
    wait_until(|| processes_in(&folder).len() > 1).await;
    for process in processes_in(&folder) {
        let killed = std::process::Command::new("kill")
            .args(["-9", &process])
            .status();
        assert!(killed.is_ok());
    }
    connection.write_all(second).await.unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        answer.contains("\u{3}the server could not finish this push"),
        "{answer}"
    );
    assert!(repository.refs().await.unwrap().is_empty());
    assert!(server.pushes().is_empty());
    user.ok(&["push", "-q", &server.url("p1"), "main"]).await;
}

#[tokio::test]
async fn branches_are_deleted_and_atomic_pushes_are_whole() {
    let server = Server::start().await;
    let repository = server.create("p1").await;
    let user = User::new().await;
    user.ok(&["tag", "v1"]).await;
    user.ok(&["push", "-q", &server.url("p1"), "main", "main:side", "v1"])
        .await;
    user.ok(&["push", "-q", &server.url("p1"), ":side"]).await;
    let update = server.pushes().pop().unwrap().updates.remove(0);
    assert!(update.is_deleted() && update.commit.is_none());
    assert_eq!(update.git_ref().unwrap().name(), "side");
    let main = user.fails(&["push", &server.url("p1"), ":main"]).await;
    assert!(
        main.stderr
            .contains("deletion of the current branch prohibited"),
        "{}",
        main.stderr
    );

    let before = repository.refs().await.unwrap();
    user.commit("b", "b").await;
    user.ok(&["tag", "-f", "v1"]).await;
    user.fails(&["push", "-f", "--atomic", &server.url("p1"), "main", "v1"])
        .await;
    assert_eq!(repository.refs().await.unwrap(), before);
}

#[tokio::test]
async fn a_fetch_that_nobody_waits_for_ends_its_processes() {
    let server = Server::start().await;
    let repository = server.create("p1").await;
    let user = User::new().await;
    user.write("big", &noise(8_000_000));
    user.commit("a", "a").await;
    user.ok(&["push", "-q", &server.url("p1"), "main"]).await;
    let head = user.ok(&["rev-parse", "HEAD"]).await.stdout;

    let body = format!("0032want {head}\n00000009done\n");
    let mut connection = connect(&server).await;
    let request = format!(
        "POST /p1/git-upload-pack HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut start = [0; 1000];
    connection.read_exact(&mut start).await.unwrap();
    assert!(
        start.starts_with(b"HTTP/1.1 200"),
        "{}",
        String::from_utf8_lossy(&start)
    );
    let folder = repository.folder().to_owned();
    let running = move || processes_in(&folder).len();
    assert!(running() > 0);
    drop(connection);
    wait_until(|| running() == 0).await;
}

#[tokio::test]
async fn garbage_gets_an_answer() {
    let server = Server::start().await;
    let repository = server.create("p1").await;
    let id = "0123456789abcdef0123456789abcdef01234567";
    let zero = "0000000000000000000000000000000000000000";
    let change = format!("{zero} {id} refs/heads/main\0report-status side-band-64k");
    let change = format!("{:04x}{change}0000", change.len() + 4);
    let cases: Vec<(&str, Vec<u8>, &[u16])> = vec![
        ("git-receive-pack", b"".to_vec(), &[400]),
        ("git-receive-pack", b"garbage".to_vec(), &[400]),
        ("git-receive-pack", vec![0xff; 100_000], &[400]),
        ("git-receive-pack", b"0000".to_vec(), &[200]),
        ("git-receive-pack", change.clone().into_bytes(), &[200]),
        (
            "git-receive-pack",
            format!("{change}PACKgarbage").into_bytes(),
            &[200],
        ),
        (
            "git-receive-pack",
            [change.as_bytes(), &noise(100_000)].concat(),
            &[200],
        ),
        ("git-upload-pack", b"".to_vec(), &[200]),
        ("git-upload-pack", b"garbage".to_vec(), &[200]),
        ("git-upload-pack", vec![0xff; 100_000], &[200]),
    ];
    for (service, body, expected) in cases {
        for encoding in ["identity", "gzip", "br"] {
            let status = post(&server, service, encoding, &body).await;
            let refused = encoding != "identity" && matches!(status, 200 | 400);
            let shown = String::from_utf8_lossy(&body[..body.len().min(40)]);
            assert!(
                refused || expected.contains(&status),
                "{service} {encoding} {shown}: {status}"
            );
        }
    }
    assert!(repository.refs().await.unwrap().is_empty());
    assert!(server.pushes().is_empty());
    let user = User::new().await;
    user.ok(&["push", "-q", &server.url("p1"), "main"]).await;
}

#[tokio::test]
async fn pushes_at_the_same_time_all_arrive() {
    let server = Server::start().await;
    let repository = server.create("p1").await;
    let user = User::new().await;
    user.ok(&["push", "-q", &server.url("p1"), "main"]).await;
    let mut users = Vec::new();
    for number in 0..6 {
        let other = User::empty();
        other.ok(&["clone", "-q", &server.url("p1"), "."]).await;
        other.commit(&format!("file{number}"), "x").await;
        users.push(other);
    }
    let url = server.url("p1");
    let pushes = users.iter().enumerate().map(|(number, user)| {
        let branch = format!("HEAD:refs/heads/b{number}");
        let url = &url;
        async move { user.ok(&["push", "-q", url, &branch]).await }
    });
    futures_util::future::join_all(pushes).await;
    assert_eq!(repository.refs().await.unwrap().len(), 7);

    let same = users.iter().map(|user| async {
        user.run(&["push", "-q", &url, "HEAD:refs/heads/main"])
            .await
    });
    let outcomes = futures_util::future::join_all(same).await;
    assert_eq!(
        outcomes.iter().filter(|ran| ran.ok).count(),
        1,
        "one wins, nobody is lost"
    );
}

#[tokio::test]
async fn an_unknown_repository_is_not_found() {
    let server = Server::start().await;
    let user = User::new().await;
    let clone = user.fails(&["ls-remote", &server.url("p9")]).await;
    assert!(clone.stderr.contains("not found"), "{}", clone.stderr);
}

#[tokio::test]
async fn the_users_and_the_repositorys_own_hooks_do_not_run() {
    let server = Server::start().await;
    let repository = server.create("p1").await;
    let hooks = repository.folder().join("hooks");
    fs_err::create_dir_all(&hooks).unwrap();
    let hook = hooks.join("pre-receive");
    fs_err::write(&hook, "#!/bin/sh\nexit 1\n").unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs_err::set_permissions(&hook, executable).unwrap();
    let user = User::new().await;
    user.ok(&["push", "-q", &server.url("p1"), "main"]).await;
}

/// What a client would send to push this branch of its own, to a server that has nothing.
async fn push_request(user: &User, branch: &str) -> Vec<u8> {
    let new = user.ok(&["rev-parse", branch]).await.stdout;
    let zero = "0".repeat(40);
    let change = format!("{zero} {new} refs/heads/cut\0report-status side-band-64k");
    let mut request = format!("{:04x}{change}0000", change.len() + 4).into_bytes();
    let mut pack = user.command(&["pack-objects", "--all", "--stdout", "-q"]);
    request.extend(pack.output().await.unwrap().stdout);
    request
}

async fn connect(server: &Server) -> tokio::net::TcpStream {
    let address = server.address.strip_prefix("http://").unwrap();
    tokio::net::TcpStream::connect(address).await.unwrap()
}

/// The status of the answer.
async fn post(server: &Server, service: &str, encoding: &str, body: &[u8]) -> u16 {
    let mut connection = connect(server).await;
    let heading = format!(
        "POST /p1/{service} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Content-Encoding: {encoding}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all(heading.as_bytes()).await.unwrap();
    // The server may answer before it has read everything.
    let _ = connection.write_all(body).await;
    let mut answer = Vec::new();
    let _ = connection.read_to_end(&mut answer).await;
    let text = String::from_utf8_lossy(&answer).into_owned();
    text.split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0)
}

/// The processes that work in this folder.
fn processes_in(folder: &std::path::Path) -> Vec<String> {
    let processes = fs_err::read_dir("/proc").unwrap();
    let working = |entry: &fs_err::DirEntry| {
        std::fs::read_link(entry.path().join("cwd")).is_ok_and(|found| found == folder)
    };
    processes
        .filter_map(Result::ok)
        .filter(working)
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

async fn wait_until(mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let outcome = tokio::time::timeout(Duration::from_secs(20), waiting).await;
    outcome.expect("the condition holds in time");
}
