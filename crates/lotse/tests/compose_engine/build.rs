//! Images built from the files' `build`, beside what Docker's own client makes of the same folder.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use testkit::dockerd::{clients, text_of};

use crate::desk::Desk;

const FILE: &str = r#"
name: shop
services:
  web:
    build:
      context: ./app
      args: { GREETING: hello, UNSET: }
      target: run
      labels: { made-by: lotse }
      tags: ["shop/web:extra"]
      extra_hosts: ["db:10.0.0.9"]
      shm_size: 8m
    init: true
    stop_grace_period: 0s
  job:
    image: shop/job:1
    build: { context: ./app, dockerfile_inline: "FROM tools:1\nCOPY page /page\nCMD cat /page\n" }
  other:
    build: { context: ./app, dockerfile: ../docker/Dockerfile }
  plain: { image: "tools:1", command: "true" }
"#;

const DOCKERFILE: &str = r#"
FROM tools:1 AS base
ARG GREETING=none
COPY page /srv/page
RUN echo "$GREETING from the build" > /srv/greeting; grep db /etc/hosts >> /srv/greeting
FROM base AS run
CMD ["sh", "-c", "cat /srv/greeting /srv/page; exec sleep 1000"]
FROM base AS never
RUN false
"#;

/// With an application that can be built.
async fn start() -> Option<Desk> {
    let desk = Desk::start(FILE).await?;
    desk.put("app/Dockerfile", DOCKERFILE);
    desk.put("app/page", "page 1\n");
    desk.put(
        "docker/Dockerfile",
        "FROM tools:1\nCOPY . /ctx\nCMD ls -a /ctx\n",
    );
    Some(desk)
}

impl Desk {
    /// What a container of this image says.
    fn says(&self, image: &str) -> String {
        let client = clients().pop_first().unwrap();
        let mut run = self.daemon.client(&client);
        let output = run.args(["run", "--rm", image]).output().unwrap();
        assert!(output.status.success(), "{}", text_of(&output));
        text_of(&output)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_are_built_as_the_file_says() {
    let Some(desk) = start().await else {
        return;
    };
    let said = desk.does(&["build"]);
    assert!(
        said.contains("building shop-web for web") && said.contains("Step 1/"),
        "{said}"
    );
    assert!(!said.contains("plain"), "{said}");
    let built = desk
        .engine
        .inspect_image(&"shop-web".parse().unwrap())
        .await;
    let built = built.unwrap();
    assert_eq!(built.labels["made-by"], "lotse");
    assert!(
        built.tags.contains(&"shop/web:extra".to_owned()),
        "{built:?}"
    );
    assert_eq!(desk.says("shop/job:1"), "page 1\n");
    // A Dockerfile from elsewhere is not in the image, nor is what keeps it out.
    let files = desk.says("shop-other");
    assert_eq!(
        files.split_whitespace().collect::<Vec<_>>(),
        [".", "..", "Dockerfile", "page"]
    );

    // Everything is known already; then not; and arguments go before those of the file.
    assert!(desk.does(&["build", "web"]).contains("Using cache"));
    assert!(
        !desk
            .does(&["build", "--no-cache", "web"])
            .contains("Using cache")
    );
    assert_eq!(
        desk.does(&["build", "--quiet", "web"]),
        "building shop-web for web\n"
    );
    desk.does(&["build", "--build-arg", "GREETING=good day", "web"]);
    desk.does(&["up", "--detach", "web"]);
    let logs = desk.does(&["logs", "--no-log-prefix", "web"]);
    assert!(
        logs.contains("good day from the build\n10.0.0.9") && logs.contains("page 1"),
        "{logs}"
    );
    assert!(
        desk.does(&["build", "plain"])
            .contains("plain has no `build`")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_as_context_is_fetched_by_the_engine() {
    let Some(desk) = Desk::start("services: {}\n").await else {
        return;
    };
    let listener = desk.daemon.listen();
    let address = format!("http://{}/app.tar", listener.local_addr().unwrap());
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content) in [
        (
            "web.Dockerfile",
            "FROM tools:1\nCOPY page /\nCMD cat page\n",
        ),
        ("page", "far\n"),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive
            .append_data(&mut header, path, content.as_bytes())
            .unwrap();
    }
    let archive = archive.into_inner().unwrap();
    let server = thread::spawn(move || serve_once(&listener, &archive));
    let file = format!(
        "name: far\nservices: {{ web: {{ build: {{ context: '{address}', dockerfile: web.Dockerfile }} }} }}\n"
    );
    desk.write(&file);
    desk.does(&["build"]);
    server.join().unwrap();
    assert_eq!(desk.says("far-web"), "far\n");
    desk.write(&file.replace("dockerfile: web.Dockerfile", "dockerfile_inline: FROM a"));
    let said = desk.fails(&["build"]);
    assert!(
        said.contains("`dockerfile_inline` needs a folder"),
        "{said}"
    );
}

/// Answers one request with an archive.
fn serve_once(listener: &TcpListener, archive: &[u8]) {
    let (mut stream, _) = listener.accept().unwrap();
    let lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let head = lines
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty());
    assert!(head.count() > 0);
    let size = archive.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/x-tar\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(archive).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn up_builds_what_is_missing_and_what_it_is_told_to() {
    let Some(desk) = start().await else {
        return;
    };
    let refused = desk.fails(&["up", "-d", "--no-build", "web"]);
    assert!(
        refused.contains("`shop-web` is not there, and shall not be built"),
        "{refused}"
    );
    assert!(
        desk.does(&["up", "-d", "web"])
            .contains("building shop-web")
    );
    desk.put("app/page", "page 2\n");
    assert_eq!(desk.does(&["up", "-d", "web"]), "");
    let said = desk.does(&["up", "-d", "--build", "web"]);
    assert!(
        said.contains("building") && said.contains("shop-web-1 made"),
        "{said}"
    );
    let logs = desk.does(&["logs", "web"]);
    assert!(
        logs.contains("page 2") && !logs.contains("page 1"),
        "{logs}"
    );
    // What is built nowhere else cannot be pulled, which is no error.
    let said = desk.does(&["up", "-d", "--pull", "always", "job"]);
    assert!(
        said.contains("shop/job:1 is not pulled") && said.contains("building"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_that_fails_says_where_and_its_last_words() {
    let Some(desk) = start().await else {
        return;
    };
    let fails = |dockerfile: &str, expected: &[&str]| {
        desk.put("app/Dockerfile", dockerfile);
        let said = desk.fails(&["build", "--quiet", "web"]);
        for part in expected {
            assert!(said.contains(part), "{part} in {said}");
        }
    };
    let step = "FROM tools:1 AS run\nRUN echo no room left; exit 3\n";
    let words = "returned a non-zero code: 3; its last words:\nno room left";
    fails(
        step,
        &[
            "error: service `web` is not built: `Step 2/",
            "RUN echo no room",
            words,
        ],
    );
    let mount = "FROM tools:1 AS run\nRUN --mount=type=cache,target=/c true\n";
    fails(
        mount,
        &["hint: the engine's classic builder", "`docker build`"],
    );
    fails("FROM tools:1 AS other\n", &["run"]);
    fails("FROM gone:1 AS run\n", &["gone"]);
    desk.put("app/.dockerignore", "page\n[a\n");
    fails(
        DOCKERFILE,
        &["app/.dockerignore: line 2: `[a` has a `[` without its `]`"],
    );
    desk.put("app/.dockerignore", "");
    fs_err::remove_file(desk.folder.path().join("app/Dockerfile")).unwrap();
    let said = desk.fails(&["up", "-d", "web"]);
    assert!(
        said.contains("its Dockerfile") && said.contains("app/Dockerfile cannot be read"),
        "{said}"
    );
    let made = desk.does(&["ps", "--all", "--quiet"]);
    assert_eq!(made, "", "nothing was made");
}

const IGNORE: &str = "# comment
*.log
!keep.log
**/node_modules
docs/**
!docs/**/*.md
docs/secret.md
/top
tmp?
a/*/c
[x-z]*
Dockerfile
.dockerignore
";

const FILES: [&str; 21] = [
    "a.log",
    "keep.log",
    "sub/b.log",
    "node_modules/m/index.js",
    "web/node_modules/n.js",
    "web/src/main.js",
    "docs/a.txt",
    "docs/b.md",
    "docs/secret.md",
    "top/t",
    "sub/top/t",
    "tmp1/f",
    "tmp/f",
    "tmp12/f",
    "a/b/c/d",
    "a/b/e",
    "a/c/c",
    "xylophone",
    "z/z",
    "sub/x",
    "with space/ü.txt",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dockers_client_sends_the_same_files() {
    let Some(desk) = Desk::start("services: { web: { build: . } }\nname: same\n").await else {
        return;
    };
    let root = desk.folder.path();
    for file in FILES {
        desk.put(file, file);
    }
    desk.put(".dockerignore", IGNORE);
    desk.put(
        "Dockerfile",
        "FROM tools:1\nCOPY . /ctx\nCMD cd /ctx && busybox find . -exec busybox ls -lnd {} ';'\n",
    );
    let mode = std::fs::Permissions::from_mode(0o750);
    fs_err::set_permissions(root.join("web/src/main.js"), mode).unwrap();
    symlink("/etc/hostname", root.join("link")).unwrap();
    symlink("nowhere", root.join("sub/broken")).unwrap();
    desk.does(&["build"]);
    let ours = listed(&desk.says("same-web"));
    for client in clients() {
        let mut build = desk.daemon.client(&client);
        let build = build.args(["build", "--no-cache", "-t", "theirs", "."]);
        let output = build.current_dir(root).output().unwrap();
        assert!(output.status.success(), "{client:?}: {}", text_of(&output));
        assert_eq!(ours, listed(&desk.says("theirs")), "{client:?}");
    }
    assert!(
        ours.iter().any(|line| line.ends_with("./docs/b.md")),
        "{ours:?}"
    );
    assert!(
        !ours.iter().any(|line| line.contains("Dockerfile")),
        "{ours:?}"
    );
}

/// Without folders: their sizes and times are the image's.
fn listed(output: &str) -> Vec<String> {
    let files = output.lines().filter(|line| !line.starts_with('d'));
    let mut files: Vec<String> = files.map(str::to_owned).collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_context_does_not_fill_the_memory() {
    let Some(desk) = Desk::start("services: { web: { build: . } }\nname: large\n").await else {
        return;
    };
    desk.put("Dockerfile", "FROM tools:1\n");
    let file = fs_err::File::create(desk.folder.path().join("large")).unwrap();
    file.set_len(400 << 20).unwrap();
    let mut build = desk.command(&["build"]);
    let mut build = build
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", build.id());
    let mut most = 0;
    // The kernel keeps the highest value, so that how often it is read does not matter.
    let ended = loop {
        if let Ok(status) = fs_err::read_to_string(&status) {
            most = most.max(peak(&status).unwrap_or(0));
        }
        match build.try_wait().unwrap() {
            Some(ended) => break ended,
            None => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    let mut said = String::new();
    build
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert!(ended.success(), "{said}");
    assert!(said.contains("a context of 419 MB was sent"), "{said}");
    assert!((1 << 10..150 << 10).contains(&most), "{most} KiB at most");
}

/// In KiB.
fn peak(status: &str) -> Option<u64> {
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
