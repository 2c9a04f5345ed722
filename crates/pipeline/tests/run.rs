//! What GitLab's cases do not show: retries, exit codes, delays, resources, child pipelines,
//! cancelling; and that a stored run goes on as if it had never been stored.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use ci::{Graph, Input};
use model::GitRef;
use pipeline::{Downstream, Effect, Event, EventError, Failure, Run, Status};
use proptest::prelude::*;

fn graph(text: &str) -> Graph {
    let compiled = ci::compile(&Input::new("ci.yml", text, GitRef::branch("main").unwrap()));
    compiled
        .graph
        .clone()
        .unwrap_or_else(|| panic!("{}", compiled.render()))
}

/// All statuses in one line: pipeline, then jobs.
fn line(run: &Run, graph: &Graph) -> String {
    let jobs = (0..graph.jobs.len()).map(|job| run.job_status(job).unwrap().as_str());
    let jobs: Vec<_> = jobs.collect();
    format!("{}: {}", run.status(), jobs.join(" "))
}

fn failed(job: usize, exit_code: i32) -> Event {
    Event::Failed {
        job,
        failure: Failure::script(exit_code),
    }
}

/// Applies events one by one and compares the line after each.
fn check(text: &str, steps: &[(Event, &str)]) -> (Graph, Run) {
    let graph = graph(text);
    let (mut run, _) = Run::new(&graph);
    for (event, expected) in steps {
        run.apply(event.clone()).unwrap();
        assert_eq!(line(&run, &graph), *expected, "after {event:?}");
    }
    (graph, run)
}

#[test]
fn retries_by_reason_and_exit_code() {
    let text = "a: {script: x, retry: {max: 1, exit_codes: 3}}\nb: {script: x, stage: deploy}\n";
    check(
        text,
        &[
            (failed(0, 3), "pending: pending created"),
            (failed(0, 3), "failed: failed skipped"),
        ],
    );
    check(text, &[(failed(0, 4), "failed: failed skipped")]);
    let text = "a: {script: x, retry: {max: 2, when: runner_system_failure}}\n";
    let system = Event::Failed {
        job: 0,
        failure: Failure::other("runner_system_failure"),
    };
    let (_, run) = check(
        text,
        &[
            (system.clone(), "pending: pending"),
            (system.clone(), "pending: pending"),
            (system, "failed: failed"),
        ],
    );
    assert_eq!(run.job(0).unwrap().attempt, 3);
}

#[test]
fn a_new_attempt_is_announced_before_its_status() {
    let graph = graph("a: {script: x, retry: 1}\n");
    let (mut run, _) = Run::new(&graph);
    let effects = run.apply(failed(0, 1)).unwrap();
    assert_eq!(
        effects[0],
        Effect::Job {
            job: 0,
            status: Status::Failed
        }
    );
    assert_eq!(
        effects[1],
        Effect::Attempt {
            job: 0,
            number: 2,
            automatic: true
        }
    );
    assert!(effects.contains(&Effect::Job {
        job: 0,
        status: Status::Pending
    }));
}

#[test]
fn forgiven_exit_codes() {
    let text = "a: {script: x, allow_failure: {exit_codes: [42]}}\nb: {script: x, stage: deploy}\n";
    check(
        text,
        &[
            (failed(0, 42), "pending: failed pending"),
            (Event::Succeeded { job: 1 }, "success: failed success"),
            (Event::Retry { job: 0 }, "running: pending success"),
            (failed(0, 1), "failed: failed success"),
        ],
    );
}

#[test]
fn delayed_jobs_wait_for_their_time() {
    let graph = graph(
        "a: {script: x, when: delayed, start_in: 5 minutes}\nb: {script: x, stage: deploy}\n",
    );
    let (mut run, effects) = Run::new(&graph);
    assert!(effects.contains(&Effect::Delay {
        job: 0,
        seconds: 300
    }));
    assert_eq!(line(&run, &graph), "scheduled: scheduled created");
    run.apply(Event::Due { job: 0 }).unwrap();
    assert_eq!(line(&run, &graph), "pending: pending created");
    assert!(matches!(
        run.apply(Event::Due { job: 0 }),
        Err(EventError::Refused { .. })
    ));
}

#[test]
fn resources_are_asked_for_and_given_back() {
    let graph = graph("a: {script: x, resource_group: prod}\n");
    let (mut run, effects) = Run::new(&graph);
    assert!(effects.contains(&Effect::RequestResource { job: 0 }));
    assert_eq!(
        line(&run, &graph),
        "waiting_for_resource: waiting_for_resource"
    );
    run.apply(Event::ResourceAcquired { job: 0 }).unwrap();
    run.apply(Event::Start { job: 0 }).unwrap();
    let effects = run.apply(failed(0, 1)).unwrap();
    assert!(effects.contains(&Effect::ReleaseResource { job: 0 }));
}

#[test]
fn child_pipelines() {
    let text =
        "a: {trigger: {include: x.yml, strategy: depend}}\nb: {trigger: g/p, stage: deploy}\n";
    let down = |job, state| Event::Downstream { job, state };
    check(
        text,
        &[
            (down(0, Downstream::Created), "running: running created"),
            (
                down(0, Downstream::Status(Status::Running)),
                "running: running created",
            ),
            (
                down(0, Downstream::Status(Status::Success)),
                "running: success pending",
            ),
            (down(1, Downstream::Created), "success: success success"),
        ],
    );
    check(
        text,
        &[
            (down(0, Downstream::Created), "running: running created"),
            (
                down(0, Downstream::Status(Status::Failed)),
                "failed: failed skipped",
            ),
        ],
    );
    check(text, &[(down(0, refused()), "failed: failed skipped")]);
    let (_, mut run) = check(
        text,
        &[
            (down(0, Downstream::Created), "running: running created"),
            (down(0, removed()), "failed: failed skipped"),
        ],
    );
    let too_late = run.apply(down(0, removed()));
    assert!(matches!(too_late, Err(EventError::Refused { .. })));
    // what was not made yet cannot have been removed
    let (_, mut run) = check(text, &[]);
    let too_early = run.apply(down(0, removed()));
    assert!(matches!(too_early, Err(EventError::Refused { .. })));
}

fn down(job: usize, status: Status) -> Event {
    let state = Downstream::Status(status);
    Event::Downstream { job, state }
}

fn created(job: usize) -> Event {
    let state = Downstream::Created;
    Event::Downstream { job, state }
}

fn refused() -> Downstream {
    let reason = "downstream_pipeline_creation_failed".to_owned();
    Downstream::Refused { reason }
}

fn removed() -> Downstream {
    let reason = "downstream_bridge_project_not_found".to_owned();
    Downstream::Removed { reason }
}

#[test]
fn a_child_that_goes_on_takes_the_job_and_what_comes_after_along() {
    let text = "a: {trigger: {include: x.yml, strategy: depend}}\nb: {script: x, stage: deploy}\n";
    let (_, mut run) = check(
        text,
        &[
            (created(0), "running: running created"),
            (down(0, Status::Failed), "failed: failed skipped"),
            (down(0, Status::Failed), "failed: failed skipped"),
            (down(0, Status::Canceling), "failed: failed skipped"),
            (down(0, Status::Running), "running: running created"),
            (down(0, Status::Success), "running: success pending"),
            (down(0, Status::Canceled), "running: canceled pending"),
            (down(0, Status::Success), "running: success pending"),
            (Event::Retry { job: 0 }, "running: pending pending"),
        ],
    );
    // the new attempt has no pipeline yet that it could go along with
    let effects = run.apply(Event::Cancel { job: 0 }).unwrap();
    assert!(!effects.contains(&Effect::CancelDownstream { job: 0 }));
    run.apply(created(0)).unwrap();
}

#[test]
fn a_mirror_shows_that_its_pipeline_waits() {
    let text = "a: {trigger: {include: x.yml, strategy: mirror}}\nb: {trigger: {include: x.yml, strategy: depend}}\n";
    let (_, mut run) = check(
        text,
        &[
            (created(0), "running: running pending"),
            (created(1), "running: running running"),
            (down(0, Status::Manual), "running: manual running"),
            (down(1, Status::Manual), "running: manual running"),
            (down(1, Status::Success), "manual: manual success"),
        ],
    );
    assert!(run.apply(Event::Play { job: 0 }).is_err());
    let effects = run.apply(Event::Cancel { job: 0 }).unwrap();
    assert!(effects.contains(&Effect::CancelDownstream { job: 0 }));
    check(
        text,
        &[
            (created(0), "running: running pending"),
            (down(0, Status::Skipped), "running: skipped pending"),
            (down(1, Status::Skipped), "failed: skipped failed"),
        ],
    );
}

#[test]
fn cancelling_reaches_the_pipelines_below() {
    let text = "
a: {trigger: {include: x.yml}}
b: {trigger: {include: x.yml, strategy: depend}}
c: {trigger: g/p}
d: {trigger: {project: g/p, strategy: depend}}
e: {trigger: {include: x.yml}}
f: {script: x, stage: deploy}
";
    let (graph, mut run) = check(
        text,
        &[
            (
                created(0),
                "running: success pending pending pending pending created",
            ),
            (
                created(1),
                "running: success running pending pending pending created",
            ),
            (
                created(2),
                "running: success running success pending pending created",
            ),
            (
                created(3),
                "running: success running success running pending created",
            ),
        ],
    );
    let effects = run.apply(Event::CancelAll).unwrap();
    let reached: Vec<_> = (0..5)
        .filter(|&job| effects.contains(&Effect::CancelDownstream { job }))
        .collect();
    assert_eq!(reached, [0, 1, 3], "{effects:?}");
    let line = line(&run, &graph);
    assert_eq!(
        line,
        "canceled: success canceled success canceled canceled canceled"
    );
    // the pipeline of `e` was being made all the while
    let effects = run.apply(created(4)).unwrap();
    assert_eq!(effects, [Effect::CancelDownstream { job: 4 }]);
    assert!(run.apply(created(4)).is_err(), "said once");
}

#[test]
fn a_trigger_job_is_not_retried_by_itself() {
    let text = "a: {trigger: {include: x.yml, strategy: depend}}\n";
    let mut graph = graph(text);
    graph.jobs[0].retry.max = 2;
    let (mut run, _) = Run::new(&graph);
    let state = refused();
    run.apply(Event::Downstream { job: 0, state }).unwrap();
    assert_eq!(line(&run, &graph), "failed: failed");
    let error = run.apply(created(0)).unwrap_err();
    assert!(matches!(error, EventError::Refused { .. }), "{error}");
}

#[test]
fn a_running_job_is_canceling_until_its_runner_obeys() {
    let text = "a: {script: x}\nb: {script: x, stage: deploy, when: always}\nm: {script: x, when: manual}\n";
    let graph = graph(text);
    let (mut run, _) = Run::new(&graph);
    run.apply(Event::Start { job: 0 }).unwrap();
    let effects = run.apply(Event::CancelAll).unwrap();
    assert!(effects.contains(&Effect::Stop { job: 0 }));
    assert_eq!(line(&run, &graph), "canceling: canceling manual canceled");
    run.apply(failed(0, 1)).unwrap();
    assert_eq!(line(&run, &graph), "canceled: canceled manual canceled");
    run.apply(Event::RetryAll).unwrap();
    assert_eq!(line(&run, &graph), "running: pending manual created");
}

#[test]
fn a_failure_may_cancel_the_others() {
    let text = "workflow: {auto_cancel: {on_job_failure: all}}\na: {script: x}\nb: {script: x}\nc: {script: x, stage: deploy}\n";
    check(
        text,
        &[
            (Event::Start { job: 1 }, "running: pending running created"),
            (failed(0, 1), "canceling: failed canceling canceled"),
            (
                Event::Canceled { job: 1 },
                "failed: failed canceled canceled",
            ),
        ],
    );
}

#[test]
fn a_newer_commit() {
    let jobs = "a: {script: x, interruptible: true}\nb: {script: x, stage: deploy}\n";
    check(
        jobs,
        &[
            (Event::Start { job: 0 }, "running: running created"),
            (Event::Superseded, "canceling: canceling canceled"),
        ],
    );
    check(
        jobs,
        &[
            (Event::Succeeded { job: 0 }, "running: success pending"),
            (Event::Start { job: 1 }, "running: success running"),
            (Event::Superseded, "running: success running"),
        ],
    );
    let mode = |mode: &str| {
        format!("workflow: {{auto_cancel: {{on_new_commit: {mode}}}}}\n{jobs}c: {{script: x}}\n")
    };
    check(
        &mode("interruptible"),
        &[(Event::Superseded, "running: canceled pending created")],
    );
    check(
        &mode("none"),
        &[(Event::Superseded, "pending: pending pending created")],
    );
}

/// A trigger job does not keep its pipeline, and those below are told themselves.
#[test]
fn a_newer_commit_leaves_pipelines_below_to_themselves() {
    let text = "a: {trigger: {include: x.yml, strategy: depend}}\nb: {script: x}\n";
    let (_, mut run) = check(text, &[(created(0), "running: running pending")]);
    let effects = run.apply(Event::Superseded).unwrap();
    assert!(!effects.contains(&Effect::CancelDownstream { job: 0 }));
    assert_eq!(run.job_status(0), Some(Status::Canceled));
    assert_eq!(run.job_status(1), Some(Status::Canceled));
}

#[test]
fn late_and_wrong_events_change_nothing() {
    let graph = graph("a: {script: x}\n");
    let (mut run, _) = Run::new(&graph);
    run.apply(Event::Cancel { job: 0 }).unwrap();
    let before = run.state();
    for event in [
        Event::Succeeded { job: 0 },
        Event::Start { job: 0 },
        failed(0, 1),
        Event::Cancel { job: 0 },
    ] {
        let error = run.apply(event).unwrap_err();
        assert!(error.to_string().contains("`a` is canceled"), "{error}");
    }
    assert_eq!(
        run.apply(Event::Play { job: 7 }),
        Err(EventError::NoJob { job: 7 })
    );
    assert_eq!(run.state(), before);
}

const MIXED: &str = "
stages: [build, test, deploy]
a: {stage: build, script: x}
b: {stage: build, script: x, allow_failure: true}
m: {stage: build, script: x, when: manual}
c: {stage: test, script: x, needs: [a, m]}
d: {stage: test, script: x, retry: 1}
e: {stage: test, script: x, when: on_failure}
f: {stage: test, script: x, needs: [d], resource_group: g}
g: {stage: deploy, script: x, when: always}
h: {stage: deploy, script: x, when: delayed, start_in: 1 minute, needs: []}
i: {stage: deploy, script: x, when: manual, allow_failure: false}
";

fn event() -> impl Strategy<Value = Event> {
    (0_usize..12, 0_usize..10).prop_map(|(kind, job)| match kind {
        0 | 1 => Event::Start { job },
        2 | 3 => Event::Succeeded { job },
        4 => failed(job, 1),
        5 => Event::Cancel { job },
        6 => Event::Play { job },
        7 => Event::Retry { job },
        8 => Event::RetryAll,
        9 => Event::Due { job },
        10 => Event::ResourceAcquired { job },
        _ => Event::Canceled { job },
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// After every event the run is stored and restored: nothing it does later differs.
    #[test]
    fn stored_runs_go_on(events in prop::collection::vec(event(), 1..60)) {
        let graph = graph(MIXED);
        let (mut kept, _) = Run::new(&graph);
        let (mut stored, _) = Run::new(&graph);
        for event in events {
            let one = kept.apply(event.clone());
            let other = stored.apply(event);
            prop_assert_eq!(one, other);
            let text = serde_json::to_string(&stored.state()).unwrap();
            stored = Run::restore(&graph, serde_json::from_str(&text).unwrap()).unwrap();
            prop_assert_eq!(kept.state(), stored.state());
        }
    }

    /// As long as nothing is alive that could go on, nothing waits that could be ready.
    #[test]
    fn every_run_ends(events in prop::collection::vec(event(), 0..40)) {
        let graph = graph(MIXED);
        let (mut run, _) = Run::new(&graph);
        for event in events {
            let _ = run.apply(event);
        }
        for _ in 0..100 {
            for job in 0..graph.jobs.len() {
                let _ = match run.job_status(job).unwrap() {
                    Status::Pending | Status::Running => run.apply(Event::Succeeded { job }),
                    Status::Scheduled => run.apply(Event::Due { job }),
                    Status::WaitingForResource => run.apply(Event::ResourceAcquired { job }),
                    Status::Canceling => run.apply(Event::Canceled { job }),
                    Status::Manual => run.apply(Event::Play { job }),
                    _ => Ok(Vec::new()),
                };
            }
        }
        for job in 0..graph.jobs.len() {
            let status = run.job_status(job).unwrap();
            prop_assert!(status.is_complete(), "{} is {status}", graph.jobs[job].name);
        }
    }
}
