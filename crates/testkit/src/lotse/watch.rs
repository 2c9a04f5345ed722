//! Waiting until pipelines and jobs are what a test wants, by following them; a server that goes away
//! in between is followed again.

use std::time::Duration;

use serde_json::Value;

use super::http::encoded;
use super::{Events, Lotse, PATIENCE};

/// A pipeline with its jobs at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The pipeline, as the API shows it.
    pub pipeline: Value,
    /// Its jobs, the newest attempt of each.
    pub jobs: Vec<Value>,
}

impl Snapshot {
    /// The pipeline's status.
    pub fn status(&self) -> &str {
        self.pipeline["status"].as_str().unwrap_or_default()
    }

    /// Whether nothing will happen any more by itself.
    pub fn has_ended(&self) -> bool {
        matches!(
            self.status(),
            "success" | "failed" | "canceled" | "skipped" | "manual"
        )
    }

    /// The job of this name.
    ///
    /// # Panics
    /// When there is none.
    pub fn job(&self, name: &str) -> &Value {
        let found = self.jobs.iter().find(|job| job["name"] == name);
        found.unwrap_or_else(|| panic!("there is no job {name} in {}", self.summary()))
    }

    /// The number of the job of this name.
    ///
    /// # Panics
    /// When there is none.
    pub fn job_id(&self, name: &str) -> i64 {
        self.job(name)["id"].as_i64().expect("a job has a number")
    }

    /// The status of the job of this name.
    ///
    /// # Panics
    /// When there is none.
    pub fn job_status(&self, name: &str) -> &str {
        self.job(name)["status"].as_str().unwrap_or_default()
    }

    /// All of it in a line: `failed: build success, test failed`.
    pub fn summary(&self) -> String {
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let job = |job: &Value| format!("{} {}", word(&job["name"]), word(&job["status"]));
        let jobs: Vec<_> = self.jobs.iter().map(job).collect();
        format!("{}: {}", self.status(), jobs.join(", "))
    }
}

impl Lotse {
    /// The number of the project's newest pipeline.
    ///
    /// # Panics
    /// When there is none.
    pub async fn latest_pipeline(&self, project: &str) -> i64 {
        let path = format!("/projects/{}/pipelines/latest", encoded(project));
        self.get(&path).await["id"].as_i64().expect("a number")
    }

    /// A pipeline as it is now.
    pub async fn pipeline(&self, project: &str, id: i64) -> Snapshot {
        self.pipeline_when(project, id, |_| true).await
    }

    /// Waits for a pipeline's end.
    ///
    /// # Panics
    /// When it takes too long.
    pub async fn finished(&self, project: &str, id: i64) -> Snapshot {
        self.pipeline_when(project, id, Snapshot::has_ended).await
    }

    /// Waits until a pipeline is what `test` asks for.
    ///
    /// # Panics
    /// When it takes too long.
    pub async fn pipeline_when(
        &self,
        project: &str,
        id: i64,
        test: impl Fn(&Snapshot) -> bool,
    ) -> Snapshot {
        let mut last = None;
        let wait = async {
            loop {
                let mut events = self.follow_pipeline(project, id).await;
                while let Some(snapshot) = next_snapshot(&mut events).await {
                    if test(&snapshot) {
                        return snapshot;
                    }
                    last = Some(snapshot);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(snapshot) => snapshot,
            Err(_) => panic!(
                "pipeline {id} of {project} has not become what it should be: {}",
                last.map_or("never seen".to_owned(), |last| last.summary())
            ),
        }
    }

    /// A job's log as it is now.
    ///
    /// # Panics
    /// When it cannot be read.
    pub async fn log(&self, project: &str, job: i64) -> String {
        let path = format!("/projects/{}/jobs/{job}/trace", encoded(project));
        let answer = self.ask(self.request(reqwest::Method::GET, &path)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text
    }

    /// Follows a job's log until `test` holds for all that has come.
    ///
    /// # Panics
    /// When it takes too long, or the job ends before.
    pub async fn log_when(&self, project: &str, job: i64, test: impl Fn(&str) -> bool) -> String {
        let mut text = String::new();
        let wait = async {
            let mut events = self.follow_job(project, job, None).await;
            while let Some(event) = events.next().await {
                if event.name == "log" {
                    let part: String = serde_json::from_str(&event.data).expect("a JSON string");
                    text.push_str(&part);
                }
                if test(&text) {
                    return true;
                }
            }
            false
        };
        let found = tokio::time::timeout(PATIENCE, wait).await;
        assert_eq!(found, Ok(true), "the log of job {job} is:\n{text}");
        text
    }
}

async fn next_snapshot(events: &mut Events) -> Option<Snapshot> {
    loop {
        let event = events.next().await?;
        if event.name == "pipeline" {
            let mut value: Value = serde_json::from_str(&event.data).ok()?;
            let jobs = value["jobs"].take();
            return Some(Snapshot {
                pipeline: value["pipeline"].take(),
                jobs: jobs.as_array().cloned().unwrap_or_default(),
            });
        }
    }
}
