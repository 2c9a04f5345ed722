//! GitLab's own kind of client: python-gitlab reads our projects, pipelines and logs.

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::json;
use tokio::process::Command;

use crate::serve;

const PACKAGE: &str = "python-gitlab==8.6.0";

const SEEN: &str = "\
user root
projects 26
first page 20
iterated 26
project site/web main
pipeline main success
job build build success
said ['hello from build']
job test test success
said ['hello from test']
artifacts ['archive'] b'PK'
one file b'made\\n'
of the ref b'PK'
bridge child success parent_pipeline success
listed 1
children 1
variable [('COLOUR', 'green')]
variables 0
cancelled canceled
missing 404
wrong token 401
";

#[tokio::test]
async fn python_gitlab_works_as_with_gitlab() {
    let Some(python) = python_gitlab().await else {
        return;
    };
    let lotse = serve().await;
    let runner = lotse.runner(&[]).await;
    let ci = "
build:
  stage: build
  script: ['echo hello from build', 'mkdir out && echo made > out/file']
  artifacts: {paths: [out]}
test: {stage: test, script: ['echo hello from test']}
child: {stage: test, trigger: {include: child.yml, strategy: depend}}
";
    let repository = lotse.repository("site/web").await;
    repository.write("child.yml", "below: {script: ['true']}");
    repository.commit_ci(ci, "first").await;
    let id = repository.push(&["main"]).await.pipeline().unwrap();
    lotse.finished("site/web", id).await;
    drop(runner);
    for number in 0..25 {
        let path = format!("site/other-{number}");
        lotse
            .post("/projects", &json!({ "path_with_namespace": path }))
            .await;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/whole/python_gitlab.py");
    let mut command = Command::new(python);
    command
        .arg(script)
        .env("URL", lotse.url())
        .env("TOKEN", lotse.token())
        .env("NO_PROXY", "*");
    let output = command.output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", both(&output));
    assert_eq!(text, SEEN);
}

/// The interpreter of an environment that has the package: made once, kept between runs.
async fn python_gitlab() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(PACKAGE);
    let python = folder.join("bin/python");
    if run(Command::new(&python).args(["-c", "import gitlab"]))
        .await
        .is_ok()
    {
        return Some(python);
    }
    let _not_there = fs_err::remove_dir_all(&folder);
    let made = async {
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder)).await?;
        let install = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ];
        run(Command::new(&python).args(install).arg(PACKAGE)).await
    };
    match made.await {
        Ok(()) => Some(python),
        Err(reason) => {
            testkit::skip(&format!("python-gitlab cannot be installed: {reason}"));
            None
        }
    }
}

async fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().await.map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(())
    } else {
        Err(both(&output))
    }
}

fn both(output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    format!("{out}{err}")
}
