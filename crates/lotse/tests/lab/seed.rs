//! The seed's own files, byte for byte: a tag goes through build and two deploys, and both web servers
//! answer with it; a branch runs nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use testkit::lotse::Repository;

use crate::site::{Scene, Stage};

const PROJECT: &str = "invenio/repository";
/// The name that the seed's images carry.
const REGISTRY: &str = "registry.gitlab.tugraz.at";
const JOBS: [&str; 3] = ["build_prod", "prod_one-deploy", "prod_two-deploy"];
const SCENE: Scene = Scene {
    name: "seed",
    registry: REGISTRY,
    hosts: &["build", "prod01", "prod02"],
    runners: &[
        ("build", "shell"),
        ("prod01", "prod01"),
        ("prod02", "prod02"),
    ],
};

/// Of the application only this is ours: an image that is built without anything from outside.
const DOCKERFILE: &str =
    "FROM scratch\nARG ENVIRONMENT\nCOPY site VERSION /\nENTRYPOINT [\"/site\"]\n";
const FRONTEND: &str = "FROM scratch\nCOPY site /\nENTRYPOINT [\"/site\", \"frontend\"]\n";

#[tokio::test]
async fn the_seeds_own_files_bring_a_tag_to_both_web_servers() {
    let _beside = crate::beside_others().await;
    let seed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/seed/repository");
    if !seed.join(".gitlab-ci.yml").exists() {
        eprintln!("skipped: ../shared/seed is not there");
        return;
    }
    if !crate::has_root() {
        return;
    }
    let stage = Stage::set(&SCENE).await;
    let program = compile_stand_in(stage.lotse.data());
    stage.prepare(&program).await;

    let repository = stage.lotse.repository(PROJECT).await;
    for file in [".gitlab-ci.yml", "docker-compose.prod.yml"] {
        fs_err::copy(seed.join(file), repository.folder().join(file)).unwrap();
    }
    fs_err::copy(&program, repository.folder().join("site")).unwrap();
    repository.write("Dockerfile", DOCKERFILE);
    repository.write("VERSION", "one");
    repository.commit("the seed").await;

    let branch = repository.push(&["main"]).await;
    assert!(branch.ok, "{}", branch.text);
    assert_eq!(branch.pipeline(), None, "{}", branch.text);
    assert!(branch.remote.contains("no pipeline"), "{}", branch.text);

    let first = push_tag(&repository, "v1.0.0").await;
    stage.succeeds(PROJECT, first).await;
    stage.serves("one").await;
    stage.ran_in_order(PROJECT, first, &JOBS).await;

    repository.write("VERSION", "two");
    repository.commit("a newer version").await;
    let second = push_tag(&repository, "v1.0.1").await;
    stage.succeeds(PROJECT, second).await;
    stage.serves("two").await;
}

/// Makes the tag and pushes it; returns the number of its pipeline.
async fn push_tag(repository: &Repository, tag: &str) -> i64 {
    repository.git(&["tag", tag]).await;
    let pushed = repository.push(&[tag]).await;
    assert!(pushed.ok, "{}", pushed.text);
    pushed
        .pipeline()
        .unwrap_or_else(|| panic!("{}", pushed.text))
}

impl Stage {
    /// What the seed takes for granted: the image of NGINX in the registry, the storage on the web
    /// servers, and the variables of the project.
    async fn prepare(&self, program: &Path) {
        for project in ["invenio/nginx", PROJECT] {
            self.lotse
                .post("/projects", &json!({ "path_with_namespace": project }))
                .await;
        }
        for host in ["prod01", "prod02"] {
            self.exec(host, &["mkdir", "-p", "/storage"]);
        }
        self.push_frontend(program);
        for (key, value, kind) in [
            ("TAG_PROD", "$CI_COMMIT_TAG", "env_var"),
            ("ENV_FILE_PROD", "SETTING=from-the-file\n", "file"),
        ] {
            let body = json!({ "key": key, "value": value, "variable_type": kind });
            self.lotse
                .post("/projects/invenio%2Frepository/variables", &body)
                .await;
        }
    }

    /// With the ordinary `docker`, on the build host's engine, as a user with a token.
    fn push_frontend(&self, program: &Path) {
        let folder = tempfile::tempdir().unwrap();
        fs_err::copy(program, folder.path().join("site")).unwrap();
        fs_err::write(folder.path().join("Dockerfile"), FRONTEND).unwrap();
        let image = format!("{REGISTRY}/invenio/nginx:prod");
        let context = folder.path().to_str().unwrap();
        self.docker_login(REGISTRY);
        self.docker(&["build", "--tag", &image, context]);
        self.docker(&["push", &image]);
    }

    async fn serves(&self, version: &str) {
        for host in ["prod01", "prod02"] {
            for (path, role) in [("/ping", "ui"), ("/api/ping", "api")] {
                let answer = self.ask(host, path).await;
                assert_eq!(
                    answer,
                    format!("{role} {version} from-the-file {path}"),
                    "{host}"
                );
            }
        }
    }
}

/// One static binary, so that an image of it needs nothing else.
fn compile_stand_in(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/stand_in.rs");
    let program = folder.join("stand-in");
    let output = Command::new("rustc")
        .args([
            "--edition",
            "2024",
            "-C",
            "target-feature=+crt-static",
            "-C",
            "opt-level=1",
        ])
        .args(["-C", "strip=symbols", "-o"])
        .args([&program, &source])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    program
}
