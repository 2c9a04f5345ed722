//! From a line written by a job to the eyes of a follower.
//!
//! The job writes the time of day into each line; the follower compares it with its own clock, which
//! is the same machine's.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use testkit::lotse::{Events, Lotse};

use crate::table::Table;

pub(crate) async fn measure(lotse: &Lotse, table: &mut Table) {
    let _runner = lotse.runner(&[]).await;
    // pauses that are no multiple of any interval of ours
    for (name, count, pause) in [
        ("now and then", 40, "0.237"),
        ("a hundred a second", 400, "0.009"),
    ] {
        let mut delays = follow(lotse, name, count, pause).await;
        assert_eq!(delays.len(), count);
        let what = format!("line written ({name}) → seen by a follower");
        table.times(&what, "200 ms", &mut delays);
    }
}

async fn follow(lotse: &Lotse, name: &str, count: usize, pause: &str) -> Vec<Duration> {
    let project = format!("bench/{}", name.replace(' ', "-"));
    let script = format!("for i in $(seq {count}); do echo at $EPOCHREALTIME; sleep {pause}; done");
    let (_repository, id) = lotse
        .pushed(&project, &format!("lines: {{script: ['{script}']}}"))
        .await;
    let job = lotse.pipeline(&project, id).await.job_id("lines");
    let delays = delays(lotse.follow_job(&project, job, None).await).await;
    lotse.finished(&project, id).await;
    delays
}

async fn delays(mut events: Events) -> Vec<Duration> {
    let mut delays = Vec::new();
    let mut rest = String::new();
    while let Some(event) = events.next().await {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        if event.name != "log" {
            continue;
        }
        rest.push_str(&serde_json::from_str::<String>(&event.data).unwrap());
        while let Some((line, more)) = rest.split_once('\n') {
            if let Some(time) = line.strip_prefix("at ") {
                let written = Duration::from_secs_f64(time.trim().parse().unwrap());
                delays.push(now.saturating_sub(written));
            }
            rest = more.to_owned();
        }
    }
    delays
}
