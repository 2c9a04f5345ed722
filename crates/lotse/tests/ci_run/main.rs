//! `lotse ci run` as a user sees it: real git, a real shell, and no server.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod children;
mod chosen;
mod interrupted;
mod tree;

use tree::{Ran, Tree};

const WHOLE: &str = "
stages: [build, test, deploy]
build:
  stage: build
  script:
    - cat tracked.txt new.txt
    - ls -A
    - mkdir out && echo made > out/a.txt && echo 'VERSION=7' > build.env
    - git status --short
  artifacts:
    paths: [out]
    reports: {dotenv: build.env}
unit:
  stage: test
  parallel: {matrix: [{ON: [one, two]}]}
  script: ['echo $ON $(cat out/a.txt) $VERSION']
lint:
  stage: test
  needs: []
  script: ['test ! -e out && echo \"nothing ${VERSION:-here}\"']
deploy:
  stage: deploy
  needs: [{job: build, artifacts: false}, 'unit: [two]']
  script: ['test ! -e out && echo $CI_COMMIT_BRANCH $CI_JOB_STAGE $CI_PROJECT_PATH']
";

#[test]
fn the_work_tree_goes_through_its_pipeline() {
    let tree = Tree::new(WHOLE);
    tree.git(&["remote", "add", "origin", "git@example.org:group/name.git"]);
    tree.write(".gitignore", "secret.txt\n");
    tree.write("tracked.txt", "old\n");
    tree.write("sub/file.txt", "x\n");
    tree.commit("second");
    let head = tree.git(&["rev-parse", "HEAD"]);
    tree.write("tracked.txt", "changed\n");
    tree.write("new.txt", "new\n");
    tree.write("secret.txt", "secret\n");
    fs_err::remove_file(tree.path().join("sub/file.txt")).unwrap();
    let before = tree.git(&["status", "--short", "--ignored"]);

    let ran = tree.run(&[]);
    assert_eq!(ran.code, Some(0), "{ran}");
    for text in ["changed", "new", ".gitlab-ci.yml", "tracked.txt"] {
        ran.assert_said("build", text);
    }
    assert!(
        !ran.out.contains("secret") && !ran.said("build").contains(&"sub"),
        "{ran}"
    );
    ran.assert_said("unit: [one]", "one made 7");
    ran.assert_said("unit: [two]", "two made 7");
    ran.assert_said("lint", "nothing here");
    ran.assert_said("deploy", "main deploy group/name");
    assert!(ran.summary("deploy").starts_with("deploy success"), "{ran}");
    assert!(ran.out.contains("pipeline: success after"), "{ran}");
    assert!(!ran.out.contains('\u{1b}'), "a pipe gets no colours: {ran}");

    assert_eq!(tree.git(&["status", "--short", "--ignored"]), before);
    assert_eq!(tree.git(&["rev-parse", "HEAD"]), head);
    assert_eq!(tree.left_behind(), Vec::<std::path::PathBuf>::new());
}

/// Nothing of the user's repository changes, not even its objects.
#[test]
fn a_clean_tree_is_its_commit_and_nothing_is_written_to_it() {
    let tree = Tree::new("a: {script: ['git rev-parse HEAD', 'git describe --tags']}\n");
    tree.git(&["tag", "v1"]);
    let head = tree.git(&["rev-parse", "HEAD"]);
    let objects = tree.git(&["count-objects"]);
    let ran = tree.run(&[]);
    assert_eq!(ran.code, Some(0), "{ran}");
    ran.assert_said("a", &head);
    ran.assert_said("a", "v1");
    tree.write("new.txt", "new\n");
    let ran = tree.run(&[]);
    assert_eq!(ran.code, Some(0), "{ran}");
    assert!(!ran.said("a").contains(&head.as_str()), "{ran}");
    assert_eq!(tree.git(&["count-objects"]), objects);
    assert_eq!(tree.git(&["status", "--short"]), "?? new.txt");
}

#[test]
fn a_failure_skips_what_comes_after_it_and_is_said() {
    let tree = Tree::new(
        "
stages: [one, two]
bad:
  stage: one
  script: ['exit 3']
  after_script: ['echo it was $CI_JOB_STATUS']
again:
  stage: one
  retry: 2
  script: ['echo x >> $OUT/tries', 'test $(wc -l < $OUT/tries) = 2']
forgiven: {stage: one, allow_failure: {exit_codes: [4]}, script: ['exit 4']}
later: {stage: two, script: ['echo never']}
mend: {stage: two, when: on_failure, script: ['echo mending']}
clean: {stage: two, when: always, script: ['echo cleaning']}
",
    );
    let out = format!("OUT={}", tree.outside().display());
    let ran = tree.run(&["--var", &out]);
    assert_eq!(ran.code, Some(1), "{ran}");
    ran.assert_said("bad", "it was failed");
    ran.assert_said("again", "is tried again (attempt 2)");
    ran.assert_said("mend", "mending");
    ran.assert_said("clean", "cleaning");
    let cells = |job: &str| ran.summary(job);
    assert!(
        cells("bad").starts_with("one failed") && cells("bad").ends_with("exit code 3"),
        "{ran}"
    );
    assert!(cells("again").ends_with("attempt 2"), "{ran}");
    assert!(cells("forgiven").ends_with("exit code 4, allowed"), "{ran}");
    assert_eq!(cells("later"), "two skipped", "{ran}");
    assert!(ran.out.contains("pipeline: failed after"), "{ran}");
}

#[test]
fn jobs_of_a_resource_group_take_turns() {
    let tree = Tree::new(
        "
.base:
  resource_group: one
  script: ['mkdir $OUT/lock', 'sleep 0.2', 'rmdir $OUT/lock']
a: {extends: .base}
b: {extends: .base}
c: {extends: .base}
",
    );
    let out = format!("OUT={}", tree.outside().display());
    let ran = tree.run(&["--var", &out]);
    assert_eq!(ran.code, Some(0), "{ran}");
}

#[test]
fn programs_read_events() {
    let tree = Tree::new(
        "
build: {stage: build, script: ['echo hello', 'printf \"\\033[31mred\\033[0m\\n\"']}
bad: {stage: test, script: ['exit 9']}
",
    );
    let events = tree.events(&[]);
    let of = |kind: &str, job: &str| {
        let fits = |event: &&serde_json::Value| event["event"] == kind && event["job"] == job;
        events.iter().filter(fits).cloned().collect::<Vec<_>>()
    };
    let statuses: Vec<_> = of("job", "build")
        .iter()
        .map(|event| event["status"].clone())
        .collect();
    assert_eq!(statuses, ["pending", "running", "success"]);
    let lines = of("log", "build");
    for text in ["hello", "red"] {
        assert!(lines.iter().any(|event| event["text"] == text), "{lines:?}");
    }
    let last = events.last().unwrap();
    assert_eq!(
        (&last["event"], &last["status"]),
        (&"pipeline".into(), &"failed".into())
    );
    assert_eq!(last["jobs"][1]["exit_code"], 9);
    assert_eq!(last["jobs"][1]["reason"], "script_failure");
}

#[test]
fn what_is_not_carried_out_is_said_as_the_server_says_it() {
    let tree = Tree::new(
        "
a: {script: ['true'], cache: {paths: [x]}, image: 'debian:12'}
child: {trigger: {project: group/other}}
",
    );
    let ran = tree.run(&[]);
    assert_eq!(ran.code, Some(1), "{ran}");
    for note in [
        "note: `cache` of a has no effect here yet",
        "`image` of 1 of them is ignored",
    ] {
        assert!(ran.err.contains(note), "{note}: {ran}");
    }
    ran.assert_said(
        "child",
        "ERROR: pipelines of other projects are started by a server alone",
    );
}

#[test]
fn where_nothing_can_run_it_says_why() {
    let tree = Tree::new("a: {script: [x], only: [tags]}\n");
    let nothing = tree.run(&[]);
    assert_eq!(nothing.code, Some(1));
    assert!(
        nothing.err.contains("no job would run") && nothing.err.contains("hint: "),
        "{nothing}"
    );

    tree.write(".gitlab-ci.yml", "a: {scrpt: [x]}\n");
    let wrong = tree.run(&[]);
    assert_eq!(wrong.code, Some(1));
    assert!(
        wrong.err.contains(".gitlab-ci.yml:1:1") && wrong.err.contains("`script`"),
        "{wrong}"
    );

    fs_err::remove_file(tree.path().join(".gitlab-ci.yml")).unwrap();
    let no_file = tree.run(&[]);
    assert_eq!(no_file.code, Some(1));
    assert!(no_file.err.contains("has no .gitlab-ci.yml"), "{no_file}");

    fs_err::remove_dir_all(tree.path().join(".git")).unwrap();
    let no_git = tree.run(&[]);
    assert_eq!(no_git.code, Some(1));
    assert!(
        no_git.err.contains("not a git repository") && no_git.err.contains("hint: "),
        "{no_git}"
    );
}

#[test]
fn a_repository_without_a_commit_a_linked_work_tree_and_a_hook() {
    let tree = Tree::new("a: {script: ['ls', 'echo on $CI_COMMIT_BRANCH']}\n");
    tree.git(&["worktree", "add", "--quiet", "-b", "side", "../home/side"]);
    fs_err::write(tree.outside().join("side/only-here.txt"), "x").unwrap();
    let mut command = tree.command(&[]);
    let ran = Ran::of(
        command
            .current_dir(tree.outside().join("side"))
            .output()
            .unwrap(),
    );
    assert_eq!(ran.code, Some(0), "{ran}");
    ran.assert_said("a", "only-here.txt");
    ran.assert_said("a", "on side");

    let mut command = tree.command(&[]);
    command
        .env("GIT_DIR", ".git")
        .env("GIT_INDEX_FILE", "nowhere/index");
    let ran = Ran::of(command.output().unwrap());
    assert_eq!(ran.code, Some(0), "{ran}");

    let mut new = tree.hermetic("git");
    let folder = tree.outside().join("new");
    new.args(["init", "--quiet", "--initial-branch=trunk"])
        .arg(&folder);
    assert!(new.status().unwrap().success());
    fs_err::write(
        folder.join(".gitlab-ci.yml"),
        "a: {script: ['echo on $CI_COMMIT_BRANCH']}\n",
    )
    .unwrap();
    let ran = Ran::of(tree.command(&[]).current_dir(&folder).output().unwrap());
    assert_eq!(ran.code, Some(0), "{ran}");
    ran.assert_said("a", "on trunk");
}

#[test]
fn a_proxy_is_not_asked_for_this_machine() {
    let tree = Tree::new("a: {script: ['echo hello']}\n");
    let mut command = tree.command(&[]);
    // Nobody listens there.
    let ran = Ran::of(
        command
            .env("http_proxy", "http://127.0.0.1:9")
            .output()
            .unwrap(),
    );
    assert_eq!(ran.code, Some(0), "{ran}");
    ran.assert_said("a", "hello");
}

/// What is shown beforehand is what runs: rules see the same variables.
#[test]
fn show_knows_what_a_run_knows() {
    let tree = Tree::new(
        "
path: {script: [x], rules: [{if: $CI_PROJECT_PATH == 'group/name'}]}
branch: {script: [x], rules: [{if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH}]}
message: {script: [x], rules: [{if: '$CI_COMMIT_TITLE =~ /^first/ && $CI_COMMIT_REF_PROTECTED'}]}
never: {script: [x], rules: [{if: $CI_COMMIT_TITLE == null}]}
",
    );
    tree.git(&["remote", "add", "origin", "git@example.org:group/name.git"]);
    tree.git(&["branch", "--move", "main", "master"]);
    let mut show = tree.hermetic(env!("CARGO_BIN_EXE_lotse"));
    let shown = Ran::of(show.args(["ci", "show", "--jobs"]).output().unwrap());
    let (runs, would_not) = shown.out.split_once("would not run").unwrap();
    for job in ["path", "branch", "message"] {
        assert!(runs.contains(job), "{job}: {shown}");
    }
    assert!(would_not.contains("never"), "{shown}");
}

/// `script` gives the program a terminal.
#[test]
fn a_terminal_gets_colours() {
    let tree = Tree::new("a: {script: ['echo hello']}\n");
    let mut script = tree.hermetic("script");
    let program = format!("{} ci run", env!("CARGO_BIN_EXE_lotse"));
    let output = script
        .args(["--quiet", "--return", "--command", &program, "/dev/null"])
        .env("TERM", "xterm")
        .output();
    let Ok(output) = output else {
        testkit::skip("there is no program `script`");
        return;
    };
    let ran = Ran::of(output);
    assert_eq!(ran.code, Some(0), "{ran}");
    assert!(ran.out.contains("\u{1b}[36ma |\u{1b}[0m hello"), "{ran}");
}
