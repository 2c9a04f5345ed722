//! Some jobs of a pipeline, jobs that wait for somebody, and what the pipeline is for.

use crate::tree::Tree;

const CHAIN: &str = "
stages: [build, test, deploy]
build: {stage: build, script: ['echo building']}
unit: {stage: test, script: ['echo testing']}
side: {stage: test, script: ['exit 1']}
deploy: {stage: deploy, needs: [unit], when: manual, script: ['echo deploying']}
release: {stage: deploy, script: ['echo releasing'], rules: [{if: $CI_COMMIT_TAG}]}
";

#[test]
fn named_jobs_run_alone_or_with_what_they_wait_for() {
    let tree = Tree::new(CHAIN);
    let jobs = |arguments: &[&str]| {
        let ran = tree.run(arguments);
        assert_eq!(ran.code, Some(0), "{ran}");
        let (_, summary) = ran.out.rsplit_once("\n\n").unwrap();
        let succeeded = |line: &&str| line.contains(" success ") && !line.starts_with("pipeline:");
        let rows = summary.lines().filter(succeeded);
        let names = rows.filter_map(|row| row.split_whitespace().next());
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(jobs(&["unit"]), ["unit"]);
    assert_eq!(jobs(&["unit", "--needs"]), ["build", "unit"]);
    assert_eq!(jobs(&["build", "deploy"]), ["build", "deploy"]);
    assert_eq!(jobs(&["deploy", "--needs"]), ["build", "unit", "deploy"]);
}

#[test]
fn a_named_manual_job_counts() {
    let tree = Tree::new("a: {when: manual, script: ['exit 1']}\nb: {script: ['true']}\n");
    assert_eq!(tree.run(&["a"]).code, Some(1));
    // As on the server: an optional manual job that fails is forgiven.
    assert_eq!(tree.run(&["--manual", "a"]).code, Some(0));
}

#[test]
fn a_name_that_is_no_job_here_says_why() {
    let tree = Tree::new(CHAIN);
    let left_out = tree.run(&["release"]);
    assert_eq!(left_out.code, Some(1));
    let why = "job `release` does not run here: none of its `rules` fits (.gitlab-ci.yml:7:";
    assert!(left_out.err.contains(why), "{left_out}");
    assert_eq!(tree.run(&["release", "--tag", "v1"]).code, Some(0));
    let unknown = tree.run(&["untit"]);
    assert_eq!(unknown.code, Some(1));
    assert!(
        unknown.err.contains("no job `untit`") && unknown.err.contains("unit"),
        "{unknown}"
    );
    assert_eq!(tree.run(&["build", "--manual", "deploy"]).code, Some(2));
    assert_eq!(tree.run(&["--needs"]).code, Some(2));
}

#[test]
fn a_manual_job_that_blocks_is_no_success_until_it_is_played() {
    let tree = Tree::new(
        "
ask: {stage: test, script: ['echo asked'], rules: [{when: manual}]}
then: {stage: deploy, script: ['echo then']}
",
    );
    let waits = tree.run(&[]);
    assert_eq!(waits.code, Some(1), "{waits}");
    waits.assert_said("ask", "waits to be played: --manual 'ask'");
    assert!(waits.out.contains("pipeline: manual after"), "{waits}");
    let played = tree.run(&["--manual", "ask"]);
    assert_eq!(played.code, Some(0), "{played}");
    played.assert_said("then", "then");
}

#[test]
fn a_delayed_job_waits_unless_it_is_played() {
    let file =
        |time: &str| format!("late: {{when: delayed, start_in: {time}, script: ['echo late']}}\n");
    let tree = Tree::new(&file("1 second"));
    let begin = std::time::Instant::now();
    let ran = tree.run(&[]);
    assert_eq!(ran.code, Some(0), "{ran}");
    assert!(begin.elapsed().as_secs_f32() >= 1.0);
    ran.assert_said("late", "waits for 1.0 s");
    tree.write(".gitlab-ci.yml", &file("1 day"));
    let played = tree.run(&["--manual", "late"]);
    assert_eq!(played.code, Some(0), "{played}");
}

#[test]
fn the_pipeline_is_for_what_is_asked() {
    let tree = Tree::new(
        "a: {script: ['echo $CI_COMMIT_TAG,$CI_COMMIT_BRANCH,$CI_PIPELINE_SOURCE,$WHO,$CI_COMMIT_REF_PROTECTED'], variables: {WHO: file}}\n",
    );
    for (arguments, said) in [
        (&[][..], ",main,push,file,true"),
        (&["--tag", "v1"], "v1,,push,file,true"),
        (
            &["--ref", "other/x", "--source", "schedule"],
            ",other/x,schedule,file,false",
        ),
        (&["--var", "WHO=settings"], ",main,push,settings,true"),
    ] {
        let ran = tree.run(arguments);
        assert_eq!(ran.code, Some(0), "{ran}");
        ran.assert_said("a", said);
    }
}

/// As a push would: against what the branch's own remote has.
#[test]
fn changes_are_those_that_a_push_would_bring() {
    let tree = Tree::new(
        "
docs: {script: ['true'], rules: [{changes: [docs/*]}]}
code: {script: ['true'], rules: [{changes: [src/*]}]}
",
    );
    assert!(
        tree.run(&["code"]).code == Some(0),
        "a branch that no remote knows is new"
    );
    let remote = tree.outside().join("remote.git");
    tree.git(&["init", "--quiet", "--bare", remote.to_str().unwrap()]);
    tree.git(&["remote", "add", "origin", remote.to_str().unwrap()]);
    tree.git(&["push", "--quiet", "--set-upstream", "origin", "main"]);
    tree.write("docs/a.md", "new");
    let ran = tree.run(&[]);
    assert_eq!(ran.code, Some(0), "{ran}");
    assert!(
        ran.out.contains("docs") && !ran.out.contains("code"),
        "{ran}"
    );
    let mut show = tree.hermetic(env!("CARGO_BIN_EXE_lotse"));
    let output = show.args(["ci", "show", "--jobs"]).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    let (runs, would_not) = shown.split_once("would not run").unwrap();
    assert!(
        runs.contains("docs") && would_not.contains("code"),
        "{shown}"
    );
}
