//! Trigger jobs, and the child pipelines that they start on this machine.

use crate::tree::Tree;

#[test]
fn a_child_runs_beside_its_parent_and_is_followed() {
    let tree = Tree::new(
        "
stages: [build, test, deploy]
variables: {COLOUR: blue}
make:
  stage: build
  script:
    - 'echo \"written: {script: [\\\"echo \\$WORD by a job\\\"]}\" > made.yml'
    - 'echo WORD=written > made.env'
  artifacts: {paths: [made.yml], reports: {dotenv: made.env}}
docs:
  stage: test
  trigger: {include: [{local: child.yml, inputs: {word: hello}}], strategy: depend}
made:
  stage: test
  trigger:
    include: [{artifact: made.yml, job: make}]
    strategy: depend
    forward: {pipeline_variables: true}
deploy: {stage: deploy, script: ['echo deployed']}
",
    );
    tree.write(
        "child.yml",
        "
spec: {inputs: {word: {}}}
---
say:
  rules: [{if: '$CI_PIPELINE_SOURCE == \"parent_pipeline\" && $CI_UPSTREAM_PIPELINE_ID == \"1\"'}]
  script: ['echo $[[ inputs.word ]] $COLOUR > said', 'cat said']
  artifacts: {paths: [said]}
low: {trigger: {include: low.yml}}
after: {stage: deploy, script: ['echo after $(cat said)']}
",
    );
    tree.write("low.yml", "deep: {script: ['echo at the bottom']}");
    let ran = tree.run(&[]);
    assert_eq!(ran.code, Some(0), "{ran}");
    ran.assert_said("docs: say", "hello blue");
    ran.assert_said("docs: after", "after hello blue");
    ran.assert_said("docs: low: deep", "at the bottom");
    ran.assert_said("made: written", "written by a job");
    ran.assert_said("deploy", "deployed");

    let ran = tree.run(&["--json"]);
    let lines = ran.out.lines().map(serde_json::from_str);
    let lines: Vec<serde_json::Value> = lines.collect::<Result<_, _>>().unwrap();
    let below = |name: &str| {
        let line = lines.iter().find(|line| line["job"] == name).unwrap();
        line["below"].clone()
    };
    assert_eq!(below("deep"), "docs: low");
    assert_eq!(below("deploy"), serde_json::Value::Null);
}

#[test]
fn a_child_that_fails_or_cannot_be_fails_its_parent() {
    let tree = Tree::new(
        "
fails: {trigger: {include: fails.yml, strategy: depend}}
alone: {trigger: {include: fails.yml}}
absent: {trigger: {include: absent.yml}, allow_failure: true}
broken: {trigger: {include: broken.yml}, allow_failure: true}
deploy: {stage: deploy, script: ['echo deployed']}
",
    );
    tree.write("fails.yml", "job: {script: ['exit 3']}");
    tree.write("broken.yml", "job: {script: [x], stage: nowhere}");
    let ran = tree.run(&[]);
    assert_eq!(ran.code, Some(1), "{ran}");
    for (job, text) in [
        ("broken", "--> broken.yml:1:27"),
        ("absent", "`absent.yml` cannot be included"),
    ] {
        let said = ran.said(job);
        assert!(said.iter().any(|line| line.contains(text)), "{job}: {ran}");
    }
    assert!(!ran.out.contains("deployed"), "{ran}");
    let row = |name: &str| {
        let mut rows = ran.out.lines().rev();
        let row = rows.find(|line| line.starts_with(name)).unwrap_or_default();
        row.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert!(row("alone ").starts_with("alone test success"), "{ran}");
    assert!(row("fails ").starts_with("fails test failed"), "{ran}");
    assert!(row("fails: job").contains("exit code 3"), "{ran}");
}

#[test]
fn a_child_that_waits_for_somebody_does_not_keep_the_run_waiting() {
    let tree = Tree::new(
        "
one: {trigger: {include: child.yml, strategy: depend}}
two: {trigger: {include: child.yml, strategy: mirror}}
",
    );
    let child = "a: {script: ['true']}\nb: {stage: deploy, script: [x], rules: [{when: manual}]}";
    tree.write("child.yml", child);
    let ran = tree.run(&[]);
    assert_eq!(ran.code, Some(1), "{ran}");
    ran.assert_said(
        "one: b",
        "waits to be played, which only a server can do for a child pipeline",
    );
    assert!(ran.out.contains("pipeline: manual"), "{ran}");
}
