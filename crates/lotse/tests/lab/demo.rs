//! The demo as a user runs it: the project's own example, Invenio and all, becomes a site on two web
//! servers with five services behind them; what else the example has is tried there; `demo-down` leaves
//! nothing behind.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use lab::{Folder, Lab, LabName};
use tokio::task::JoinHandle;

use crate::laptop::Laptop;
use crate::{clients, data, power, second_form, services, standing};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_shows_a_running_site_and_leaves_nothing_behind() {
    let _alone = crate::alone().await;
    if !crate::has_root() {
        return;
    }
    let demo = Demo::new();
    let text = demo.must_run("demo");
    for path in ["/ping", "/api/ping", "/static/site.css"] {
        let answered = text
            .lines()
            .filter(|line| line.contains(&format!(":8080{path} ")) && line.ends_with("200"))
            .count();
        let doors = if path == "/ping" { 3 } else { 2 };
        assert_eq!(answered, doors, "{path} on both web servers:\n{text}");
    }
    assert!(text.contains("git push lotse v1.0.1"), "{text}");
    print!("{text}");

    let laptop = Laptop::of(&demo);
    services::tell(&laptop).await;
    clients::tell(&laptop).await;
    once_more(&demo, &laptop).await;
    data_is_kept(&demo, &laptop).await.unwrap();
    second_form::tell(&laptop).await;
    power::tell(&laptop, "v1.1.0").await;
    standing::tell(&laptop).await;

    demo.must_run("demo-down");
    assert!(!demo.folder.exists(), "the demo's folder is gone");
    assert!(
        Lab::open(&demo.lab, &Folder::usual(&demo.lab)).is_err(),
        "the lab is gone"
    );
}

fn data_is_kept(demo: &Demo, laptop: &Laptop) -> JoinHandle<()> {
    let token = fs_err::read_to_string(demo.folder.join("data/first-token")).unwrap();
    let host = laptop.host("invenio03-test");
    tokio::task::spawn_blocking(move || {
        let begin = Instant::now();
        data::tell(&host, token.trim());
        println!("what becomes of data: {:.1?}", begin.elapsed());
    })
}

/// Another `make demo` finds all of it there.
async fn once_more(demo: &Demo, laptop: &Laptop) {
    let before = laptop.newest_pipeline().await;
    let begin = Instant::now();
    demo.must_run("demo");
    println!("the second demo: {:.1?}", begin.elapsed());
    let now = laptop.newest_pipeline().await;
    assert_eq!(now, before, "nothing is built or deployed again");
}

/// A demo of its own, beside one that somebody may be looking at.
pub(crate) struct Demo {
    pub(crate) folder: PathBuf,
    pub(crate) lab: LabName,
}

impl Demo {
    fn new() -> Self {
        let name = format!("demo-test-{}", std::process::id());
        Self {
            folder: std::env::temp_dir().join(&name),
            lab: name.parse().unwrap(),
        }
    }

    /// Runs a script, which must succeed. Returns what it printed.
    fn must_run(&self, script: &str) -> String {
        let output = self.run(script);
        let text = testkit::dockerd::text_of(&output);
        assert!(output.status.success(), "{text}");
        text
    }

    fn run(&self, script: &str) -> std::process::Output {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        Command::new(root.join("scripts").join(script))
            .env("DEMO_FOLDER", &self.folder)
            .env("DEMO_LAB", self.lab.as_str())
            .env("DEMO_LOTSE", env!("CARGO_BIN_EXE_lotse"))
            .env("DEMO_CACHE", crate::cache())
            .output()
            .unwrap()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.run("demo-down");
        }
    }
}
