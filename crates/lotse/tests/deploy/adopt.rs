//! What `docker-compose up` has started is taken over.

use std::process::Command;

use crate::site::{self, Site, is_well};
use crate::users::Users;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_project_is_taken_over_with_one_gap() {
    let Some(site) = Site::start(1).await else {
        return;
    };
    if Command::new("docker-compose")
        .arg("version")
        .output()
        .is_err()
    {
        return testkit::skip("`docker-compose` is not installed");
    }
    site.image("v1", site::SERVES).await;
    site.image("v2", site::SERVES).await;
    site.image("v3", site::BREAKS).await;
    let mut up = site.hosts[0].client("docker-compose");
    let up = up
        .args(["-p", "shop", "-f", "compose.yml", "up", "-d"])
        .current_dir(site.project.path())
        .env("TAG", "v1");
    is_well(&up.output().unwrap());

    let refused = site.lotse("v2", &["deploy", "prod"]).fails();
    assert!(
        refused.contains("port 8080") && refused.contains("lotse adopt"),
        "{refused}"
    );
    let users = Users::start(&site.hosts[0]);
    let asked = site.lotse("v2", &["adopt", "prod"]).ends_with(2);
    assert!(
        asked.contains("the ports are closed once") && asked.contains("--yes"),
        "{asked}"
    );
    // It breaks before the ports are touched.
    site.lotse("v3", &["adopt", "prod", "--yes"]).fails();
    let seen = users.stop();
    assert_eq!(seen.failed, Vec::<String>::new());

    let users = Users::start(&site.hosts[0]);
    site.lotse("v2", &["adopt", "prod", "--yes"]).succeeds();
    site.lotse("v2", &["status", "prod"]).succeeds();
    let seen = users.stop();
    eprintln!("the gap was {:?}", seen.gap);
    assert_eq!(seen.answers, ["v1", "v2"]);
    let nothing = site.lotse("v2", &["adopt", "prod", "--yes"]).fails();
    assert!(nothing.contains("lotse deploy"), "{nothing}");
    site.lotse("v1", &["deploy", "prod"]).succeeds();
}
