//! Jobs that wait, fail, are cancelled, retried, and run side by side.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::lotse::RunnerSetup;

use crate::serve;

#[tokio::test]
async fn first() {
    let lotse = serve().await;
    let (_repository, id) = lotse
        .pushed("grp/app", "one:\n  script: [echo hello, 'exit 7']\n  after_script: [echo after]\n")
        .await;
    let _runner = lotse.runner(&[]).await;
    let end = lotse.finished("grp/app", id).await;
    println!("{}", end.summary());
    println!("{}", lotse.log("grp/app", end.job_id("one")).await);
    println!("{:#}", end.job("one"));
    println!("{}", lotse.server_log());
    let _ = (Method::GET, json!({}), RunnerSetup::default(), Value::Null);
}
