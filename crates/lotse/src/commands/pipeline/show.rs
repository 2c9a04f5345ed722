//! A pipeline with its jobs by stage.

use jiff::Timestamp;
use serde_json::json;

use super::Target;
use crate::client::{Job, Pipeline, typed};
use crate::output::{Failure, Screen, Tone, ago, took};

pub(super) async fn show(target: &Target<'_>, json: bool) -> Result<(), Failure> {
    let client = target.client();
    let pipeline = client.get(&target.path(), &[]).await?;
    let jobs = client
        .list(
            &target.part("jobs"),
            &[("include_bridges", "true".to_owned())],
            10_000,
        )
        .await?;
    let screen = target.session.screen;
    if json {
        return screen.json(&json!({ "pipeline": pipeline, "jobs": jobs }));
    }
    let pipeline: Pipeline = typed(client, &pipeline)?;
    let jobs: Vec<Job> = jobs
        .iter()
        .map(|job| typed(client, job))
        .collect::<Result<_, _>>()?;
    screen.line(heading(&pipeline, screen, Timestamp::now()))?;
    screen.line(&pipeline.web_url)?;
    if let Some(errors) = &pipeline.yaml_errors {
        screen.line(format!("\n{}", errors.trim_end()))?;
    }
    for line in stages(&jobs, screen) {
        screen.line(line)?;
    }
    Ok(())
}

fn heading(pipeline: &Pipeline, screen: Screen, now: Timestamp) -> String {
    let mut about = vec![
        format!("{} at {}", pipeline.git_ref, pipeline.short_sha()),
        format!("{} {}", pipeline.source, ago(&pipeline.created_at, now)),
    ];
    about.extend(
        pipeline
            .duration
            .map(|seconds| format!("took {}", took(seconds))),
    );
    let name = screen.paint(Tone::Strong, &format!("pipeline {}", pipeline.id));
    let status = screen.paint(pipeline.status.tone(), pipeline.status.as_str());
    format!("{name}  {status}  {}", about.join(", "))
}

/// The server lists jobs in the order of their stages.
fn stages(jobs: &[Job], screen: Screen) -> Vec<String> {
    let name_width = jobs
        .iter()
        .map(|job| job.name.chars().count())
        .max()
        .unwrap_or(0);
    let mut lines = Vec::new();
    let mut stage = None;
    for job in jobs {
        if stage != Some(&job.stage) {
            lines.push(String::new());
            lines.push(screen.paint(Tone::Strong, &job.stage));
            stage = Some(&job.stage);
        }
        lines.push(job_line(job, name_width, screen));
        lines.extend(waiting(job, screen));
    }
    lines
}

fn job_line(job: &Job, name_width: usize, screen: Screen) -> String {
    let status = screen.paint(job.status.tone(), &format!("{:<9}", job.status.as_str()));
    let mut about = vec![format!("job {}", job.id)];
    about.extend(job.duration.map(took));
    about.extend(job.below());
    about.extend(job.remark().filter(|_| job.status.is("failed")));
    format!(
        "  {status}  {:<name_width$}  {}",
        job.name,
        about.join(", ")
    )
}

fn waiting(job: &Job, screen: Screen) -> Option<String> {
    let reason = job.remark().filter(|_| !job.status.is("failed"))?;
    Some(format!(
        "             {}",
        screen.paint(Tone::Waiting, &reason)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(value: serde_json::Value) -> Job {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn jobs_by_stage_with_what_they_wait_for() {
        let jobs = [
            job(
                json!({"id": 1, "name": "build_prod", "stage": "build", "status": "success", "duration": 12.3}),
            ),
            job(
                json!({"id": 2, "name": "lint", "stage": "build", "status": "failed",
                "exit_code": 3, "failure_reason": "script_failure", "allow_failure": true}),
            ),
            job(
                json!({"id": 3, "name": "deploy", "stage": "deploy", "status": "pending",
                "pending_reason": "no runner has the tag prod01"}),
            ),
            job(
                json!({"id": 4, "name": "docs", "stage": "deploy", "status": "running",
                "downstream_pipeline": {"id": 9, "status": "pending"}}),
            ),
        ];
        let text = stages(&jobs, Screen::plain()).join("\n");
        assert_eq!(
            text,
            "
build
  success    build_prod  job 1, 12 s
  failed     lint        job 2, exit code 3, allowed to fail

deploy
  pending    deploy      job 3
             no runner has the tag prod01
  running    docs        job 4, pipeline 9 pending"
        );
    }
}
