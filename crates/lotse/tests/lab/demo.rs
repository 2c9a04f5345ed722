//! The demo as a user runs it: the project's own example, Invenio and all, becomes a site on two web
//! servers; what else the example has is tried there; `demo-down` leaves nothing behind.

use std::path::{Path, PathBuf};
use std::process::Command;

use lab::{Folder, Lab, LabName};

use crate::second_form;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_shows_a_running_site_and_leaves_nothing_behind() {
    if !crate::has_root() {
        return;
    }
    let demo = Demo::new();
    let output = demo.run("demo");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for path in ["/ping", "/api/ping", "/static/site.css"] {
        let answered = text
            .lines()
            .filter(|line| line.contains(&format!(":8080{path} ")) && line.ends_with("200"))
            .count();
        assert_eq!(answered, 2, "{path} on both web servers:\n{text}");
    }
    assert!(text.contains("git push lotse v1.0.1"), "{text}");

    second_form::tell(&demo).await;

    let down = demo.run("demo-down");
    assert!(
        down.status.success(),
        "{}",
        String::from_utf8_lossy(&down.stderr)
    );
    assert!(!demo.folder.exists(), "the demo's folder is gone");
    assert!(
        Lab::open(&demo.lab, &Folder::usual(&demo.lab)).is_err(),
        "the lab is gone"
    );
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

    fn run(&self, script: &str) -> std::process::Output {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        Command::new(root.join("scripts").join(script))
            .env("DEMO_FOLDER", &self.folder)
            .env("DEMO_LAB", self.lab.as_str())
            .env("DEMO_LOTSE", env!("CARGO_BIN_EXE_lotse"))
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
