//! The second form of the example's pipeline, in the demo's lab and under load: one job deploys to
//! both web servers, the database's migration with it, a laptop goes back and forth, and no visitor
//! notices; nor does the worker's task.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::by_hand;
use crate::laptop::{HOSTS, Laptop, example};
use crate::services::{Record, sql};
use crate::visitors::Visitors;

/// A file in the volume `archived_data` of a host.
const ARCHIVED: &str = "/var/lib/docker/volumes/repository_archived_data/_data/kept";

/// From v1.0.0, as `docker-compose` runs it, to v1.1.0.
pub(crate) async fn tell(laptop: &Laptop) {
    if crate::is_long() {
        by_hand::measure(laptop).await;
    }
    let kept = Kept::leave(laptop).await;
    let adopt = ["adopt", "prod", "--yes", "--label", "v1.0.0"];
    laptop.lotse_with(&adopt, "v1.0.0").await;
    serve(laptop, "v1.0.0").await;

    let visitors = Visitors::come(&laptop.doors(), "v1.0.0");
    tokio::time::sleep(Duration::from_secs(2)).await;
    visitors.expect("v1.1.0");
    let (job, task) = tokio::join!(deploy_by_a_job(laptop), Task::begin(laptop));
    serve(laptop, "v1.1.0").await;
    visitors.must_be_well("the pipeline of v1.1.0");
    let table =
        "SELECT count(*) FROM information_schema.tables WHERE table_name = 'repository_reads'";
    assert_eq!(sql(laptop, table), "1", "migrated");
    task.must_end_once(laptop).await;

    visitors.expect("v1.0.0");
    let back = Instant::now();
    laptop.lotse(&["rollback", "prod"]).await;
    let back = back.elapsed();
    serve(laptop, "v1.0.0").await;
    visitors.must_be_well("the rollback");

    visitors.expect("v1.1.0");
    let again = Instant::now();
    laptop.lotse_with(&["deploy", "prod"], "v1.1.0").await;
    let again = again.elapsed();
    serve(laptop, "v1.1.0").await;
    println!("deploy in a job {job:.1?}, rollback {back:.1?}, deploy again {again:.1?}");
    visitors.leave_content().await;
    kept.must_be_there(laptop).await;
}

/// The tag is pushed with git; build and deploy are jobs of its pipeline.
async fn deploy_by_a_job(laptop: &Laptop) -> Duration {
    let tree = laptop.tree();
    fs_err::rename(
        tree.join(".gitlab-ci.lotse.yml"),
        tree.join(".gitlab-ci.yml"),
    )
    .unwrap();
    let patch = example().join("v1.1.0.patch").display().to_string();
    laptop.git(&["apply", &patch]).await;
    laptop.git(&["add", "--all"]).await;
    let commit = ["commit", "--quiet", "--message", "One job deploys"];
    laptop.git(&commit).await;
    laptop.push_tag("v1.1.0").await;
    laptop.job_took("prod-deploy").await
}

/// What a worker of the old release is at while the new one comes: a record that takes a minute to be
/// announced, which is as long as a worker is given to end.
struct Task(Record);

impl Task {
    async fn begin(laptop: &Laptop) -> Self {
        laptop.await_job("prod-deploy").await;
        Self(Record::post(laptop, "pilot", 60).await)
    }

    /// It comes to its end, and no second worker does it again.
    async fn must_end_once(self, laptop: &Laptop) {
        let before = self.0.read(laptop).await;
        self.0.await_done(laptop).await;
        println!("a task of a minute, when the deploy was over: {before}");
        assert_eq!(self.0.mails(laptop), 1);
    }
}

/// All hosts answer with the release, and say so.
async fn serve(laptop: &Laptop, tag: &str) {
    for host in HOSTS {
        laptop.await_release(host, tag).await;
    }
    let releases = laptop.lotse(&["releases", "prod", "--json"]).await;
    let releases: Value = serde_json::from_str(&releases).unwrap();
    let mut releases = releases.as_array().unwrap().iter();
    let release = releases.find(|release| release["label"] == tag).unwrap();
    assert_eq!(release["in_force"], serde_json::json!(HOSTS), "{tag}");
}

/// What the volumes of both hosts hold, which nothing may take away.
struct Kept([(&'static str, Vec<String>); 2]);

impl Kept {
    /// Somebody uploads a file, and something is archived.
    async fn leave(laptop: &Laptop) -> Self {
        for host in HOSTS {
            let upload = laptop.http.put(uploaded(laptop, host));
            let stored = upload.body(host).send().await.unwrap();
            assert_eq!(stored.status(), 201);
            laptop.exec(host, &["sh", "-c", &format!("echo {host} >{ARCHIVED}")]);
        }
        Self(HOSTS.map(|host| (host, volumes(laptop, host))))
    }

    async fn must_be_there(self, laptop: &Laptop) {
        for (host, before) in self.0 {
            let read = laptop
                .http
                .get(uploaded(laptop, host))
                .send()
                .await
                .unwrap();
            assert_eq!(read.text().await.unwrap(), host);
            assert_eq!(laptop.exec(host, &["cat", ARCHIVED]).trim(), host);
            let now = volumes(laptop, host);
            let lost: Vec<_> = before.iter().filter(|name| !now.contains(name)).collect();
            assert!(lost.is_empty(), "{host} has lost the volumes {lost:?}");
        }
    }
}

fn uploaded(laptop: &Laptop, host: &str) -> String {
    format!("http://{}/api/files/kept-{host}", laptop.port(host))
}

/// The names of a host's volumes.
fn volumes(laptop: &Laptop, host: &str) -> Vec<String> {
    let names = laptop.exec(host, &["docker", "volume", "ls", "--quiet"]);
    names.lines().map(str::to_owned).collect()
}
