//! Sources: fresh, fetched, used again; and what a job may have left in them.

mod support;

use runner_api::{JobState, RefType};
use support::{AtWork, Origin, Protected, Server, variable};

#[tokio::test]
async fn a_fresh_tree_a_fetched_one_and_one_that_is_there_already() {
    let (server, origin) = (Server::start(), Origin::new());
    let runner = AtWork::start(&server);
    let show = ["cat file.txt", "git rev-parse HEAD"];

    server.give(origin.job(1, &show));
    let log = server.ended(1).await.text();
    assert!(
        log.contains("Fetching changes with git depth set to 20"),
        "{log}"
    );
    assert!(
        log.contains("\none\n") && log.contains(&origin.head()),
        "{log}"
    );

    server.give(origin.job(2, &show));
    let log = server.ended(2).await.text();
    assert!(
        log.contains("Sources are at") && !log.contains("Fetching"),
        "{log}"
    );
    assert!(log.contains("\none\n"), "{log}");

    let head = origin.commit("file.txt", "two\n");
    server.give(origin.job(3, &show));
    let log = server.ended(3).await.text();
    assert!(log.contains("\ntwo\n") && log.contains(&head), "{log}");
    assert_eq!(
        fs_err::read_to_string(runner.project().join("file.txt")).unwrap(),
        "two\n"
    );
}

#[tokio::test]
async fn what_a_job_leaves_in_the_tree_is_gone_for_the_next() {
    let (server, origin) = (Server::start(), Origin::new());
    origin.commit(".gitignore", "*.o\n");
    let _runner = AtWork::start(&server);
    let litter = [
        "echo changed > file.txt; echo x > new; echo x > ignored.o; mkdir d; echo x > d/e",
        "mkdir -p .git/hooks; printf '#!/bin/sh\\necho HOOKED\\n' > .git/hooks/post-checkout",
        "chmod +x .git/hooks/post-checkout; git config core.fsmonitor 'echo HOOKED; false'",
        "git config url.http://evil.example.org/.insteadOf file:///; touch .git/index.lock",
    ];
    server.give(origin.job(1, &litter));
    assert_eq!(server.ended(1).await.end.unwrap().state, JobState::Success);
    for id in [2, 3] {
        server.give(origin.job(id, &["cat file.txt", "ls -A", "git status --porcelain"]));
        let seen = server.ended(id).await;
        let log = seen.text();
        assert_eq!(seen.end.unwrap().state, JobState::Success, "{log}");
        assert!(log.contains("\none\n"), "{log}");
        for gone in ["new\n", "ignored.o", "HOOKED", "changed", "?? "] {
            assert!(!log.contains(gone), "{gone} is in\n{log}");
        }
        origin.commit("other", &id.to_string());
    }
}

#[tokio::test]
async fn strategies_and_flags() {
    let (server, origin) = (Server::start(), Origin::new());
    let _runner = AtWork::start(&server);
    server.give(origin.job(1, &["touch kept.cache gone"]));
    server.ended(1).await;
    for (id, name, value, listing) in [
        (
            2,
            "GIT_CLEAN_FLAGS",
            "-ffdx -e *.cache",
            ".git file.txt kept.cache",
        ),
        (3, "GIT_CLEAN_FLAGS", "none", ".git file.txt kept.cache"),
        (4, "GIT_STRATEGY", "none", ".git file.txt kept.cache"),
        (5, "GIT_STRATEGY", "clone", ".git file.txt"),
        (6, "GIT_STRATEGY", "empty", ""),
        (7, "GIT_DEPTH", "1", ".git file.txt"),
        (8, "GIT_DEPTH", "0", ".git file.txt"),
    ] {
        let mut job = origin.job(id, &["echo \"[$(ls -A | xargs)]\""]);
        job.variables.push(variable(name, value));
        server.give(job);
        let log = server.ended(id).await.text();
        assert!(
            log.contains(&format!("\n[{listing}]\n")),
            "{name}={value}: {log}"
        );
    }
    let mut job = origin.job(9, &["true"]);
    job.variables.push(variable("GIT_STRATEGY", "sideways"));
    server.give(job);
    let log = server.ended(9).await.text();
    assert!(
        log.contains("GIT_STRATEGY is `sideways`: use fetch, clone, none or empty"),
        "{log}"
    );
}

#[tokio::test]
async fn a_tag_and_a_commit_that_its_branch_has_left_behind() {
    let (server, origin) = (Server::start(), Origin::new());
    let _runner = AtWork::start(&server);
    origin.git(&["tag", "v1.0.0"]);
    let mut tagged = origin.job(1, &["git describe --tags --exact-match"]);
    tagged.git_info.git_ref = "v1.0.0".into();
    tagged.git_info.ref_type = RefType::Tag;
    tagged.git_info.refspecs.clear();
    let mut deep = origin.job(2, &["cat file.txt"]);
    deep.git_info.depth = 1;
    for text in ["two\n", "three\n", "four\n"] {
        origin.commit("file.txt", text);
    }
    server.give(tagged);
    let log = server.ended(1).await.text();
    assert!(log.contains("\nv1.0.0\n"), "{log}");
    server.give(deep);
    let log = server.ended(2).await.text();
    assert!(log.contains("\none\n"), "{log}");
}

#[tokio::test]
async fn a_place_of_ones_own_must_lie_within_the_builds() {
    let (server, origin) = (Server::start(), Origin::new());
    let _runner = AtWork::start(&server);
    let mut job = origin.job(1, &["echo in ${PWD##*/}"]);
    job.variables
        .push(variable("GIT_CLONE_PATH", "$CI_BUILDS_DIR/elsewhere"));
    server.give(job);
    let log = server.ended(1).await.text();
    assert!(log.contains("\nin elsewhere\n"), "{log}");
    let mut job = origin.job(2, &["true"]);
    job.variables
        .push(variable("GIT_CLONE_PATH", "$CI_BUILDS_DIR/../../outside"));
    server.give(job);
    let log = server.ended(2).await.text();
    assert!(
        log.contains("outside`, which is not within $CI_BUILDS_DIR"),
        "{log}"
    );
}

#[tokio::test]
async fn submodules() {
    let (server, origin, other) = (Server::start(), Origin::new(), Origin::new());
    let _runner = AtWork::start(&server);
    let url = format!("file://{}", other.folder.path().display());
    origin.git(&[
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        &url,
        "sub",
    ]);
    origin.commit("x", "x");
    for id in [1, 2] {
        let mut job = origin.job(id, &["cat sub/file.txt", "touch sub/litter", "ls sub"]);
        job.variables
            .push(variable("GIT_SUBMODULE_STRATEGY", "recursive"));
        job.variables.push(variable("GIT_CONFIG_COUNT", "1"));
        job.variables
            .push(variable("GIT_CONFIG_KEY_0", "protocol.file.allow"));
        job.variables.push(variable("GIT_CONFIG_VALUE_0", "always"));
        server.give(job);
        let seen = server.ended(id).await;
        let log = seen.text();
        assert_eq!(seen.end.unwrap().state, JobState::Success, "{log}");
        assert!(log.contains("\none\n"), "{log}");
    }
}

#[tokio::test]
async fn a_repository_that_is_not_there() {
    let (server, origin) = (Server::start(), Origin::new());
    let _runner = AtWork::start(&server);
    let mut job = origin.job(1, &["echo never"]);
    job.git_info.repo_url = "http://gitlab-ci-token:s3cr3tt0ken@127.0.0.1:1/a/b.git".into();
    job.variables.push(variable("GET_SOURCES_ATTEMPTS", "1"));
    server.give(job);
    let seen = server.ended(1).await;
    let log = seen.text();
    assert!(
        log.contains("cannot get the sources: `git fetch` ended with exit status"),
        "{log}"
    );
    assert!(
        !log.contains("s3cr3tt0ken") && !log.contains("never"),
        "{log}"
    );
    assert_eq!(
        seen.end.unwrap().failure_reason.as_deref(),
        Some("runner_system_failure")
    );
}

#[tokio::test]
async fn the_token_opens_the_repository_and_is_kept_nowhere() {
    let (server, origin) = (Server::start(), Origin::new());
    let runner = AtWork::start(&server);
    origin.git(&["update-server-info"]);
    // gitlab-ci-token:job-token-1-0123456789
    let login = "Z2l0bGFiLWNpLXRva2VuOmpvYi10b2tlbi0xLTAxMjM0NTY3ODk=";
    server.known().git = Some(Protected {
        folder: origin.folder.path().join(".git"),
        authorization: format!("Basic {login}"),
    });
    let script = [
        "cat file.txt",
        "git ls-remote origin refs/heads/main",
        "cat .git/config",
        &format!("echo {login}"),
    ];
    let mut job = origin.job(1, &script);
    let token = support::token(1);
    let url = server
        .url
        .replace("http://", &format!("http://gitlab-ci-token:{token}@"));
    job.git_info.repo_url = format!("{url}/git").into();
    job.git_info.depth = 0;
    server.give(job);
    let seen = server.ended(1).await;
    let log = seen.text();
    assert_eq!(seen.end.unwrap().state, JobState::Success, "{log}");
    assert!(log.contains("\none\n"), "{log}");
    assert!(
        log.contains(&format!("{}\trefs/heads/main", origin.head())),
        "{log}"
    );
    assert!(!log.contains(&token) && !log.contains(login), "{log}");
    let config = fs_err::read_to_string(runner.project().join(".git/config")).unwrap();
    assert!(
        !config.contains(&token) && !config.contains(login),
        "{config}"
    );
    let requests = &server.known().git_requests;
    assert!(
        requests[0].1,
        "the first request carries the token already: {requests:?}"
    );
}
