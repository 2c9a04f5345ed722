//! `lotse deploy`, `rollback` and what belongs to them, as a user calls them, on hosts that are
//! Docker engines of the test's own. Needs root and Docker; without them most of it is skipped,
//! aloud.

#![allow(
    clippy::unwrap_used,
    reason = "a story that cannot go on shall stop there"
)]

mod adopt;
mod kills;
mod locks;
mod mistakes;
mod private;
#[path = "../common/private_registry.rs"]
mod private_registry;
mod project;
mod site;
mod terminal;
mod tls;
mod users;
mod volumes;

use site::Site;
use users::Users;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_follows_another_breaks_and_goes_back_while_users_see_nothing() {
    let Some(site) = Site::start(2).await else {
        return;
    };
    for version in ["v1", "v2"] {
        site.image(version, site::SERVES).await;
    }
    site.image("v3", site::BREAKS).await;

    let plan = site.lotse("v1", &["plan", "prod"]).succeeds();
    assert!(plan.contains("deploy release 1 (v1) of prod"), "{plan}");
    assert!(
        site.lotse("v1", &["status", "prod"])
            .fails()
            .contains("no release yet")
    );
    let said = site.lotse("v1", &["deploy", "prod"]).succeeds();
    assert!(said.contains("release 1 (v1) serves on 2 hosts"), "{said}");
    let users: Vec<Users> = site.hosts.iter().map(Users::start).collect();

    site.lotse("v2", &["deploy", "prod"]).succeeds();
    let again = site.lotse("v2", &["deploy", "prod"]).succeeds();
    assert!(again.contains("nothing to do"), "{again}");

    let error = site.lotse("v3", &["deploy", "prod"]).fails();
    for part in [
        "release 3 (v3) does not serve",
        "web ended with status 3",
        "| no such module",
        "release 2 (v2) serves as before",
        "lotse logs prod web --release 3",
    ] {
        assert!(error.contains(part), "{part:?} is missing: {error}");
    }
    let logs = ["logs", "prod", "web", "--release", "3", "--tail", "5"];
    assert!(
        site.lotse("v2", &logs)
            .succeeds()
            .contains("| no such module")
    );

    let status = site.lotse("v2", &["status", "prod"]).succeeds();
    assert!(
        status.contains("release 2 (v2)") && status.contains("web of stack 2"),
        "{status}"
    );
    let releases = site.lotse("v2", &["releases", "prod"]).succeeds();
    assert!(
        releases.contains("in force") && releases.contains("failed:"),
        "{releases}"
    );
    let exec = [
        "exec",
        "prod",
        "web",
        "--",
        "sh",
        "-c",
        "cat /srv/index.html; exit 7",
    ];
    let exec = site.lotse("v2", &exec).ends_with(7);
    assert!(exec.contains("v2"), "{exec}");

    // Nothing of the project's variables is needed to go back.
    let back = site.lotse_without_tag(&["rollback", "prod"]).succeeds();
    assert!(back.contains("release 1 (v1) serves"), "{back}");
    site.lotse_without_tag(&["rollback", "prod", "v2"])
        .succeeds();

    for users in users {
        let seen = users.stop();
        assert_eq!(seen.failed, Vec::<String>::new());
        assert_eq!(seen.answers, ["v1", "v2", "v1", "v2"]);
        eprintln!("{} answers", seen.count);
    }
}
