//! The application that tests deploy (`examples/application`), and its images.
//!
//! It is compiled when a test asks for it, into one static file: an image of it needs nothing else
//! but a shell, whose part is to hear SIGTERM.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::busybox;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/application/main.rs");

/// Where it is in an image.
const PROGRAM: &str = "bin/site";
const START: &str = "bin/start";

/// The program has no library that hears signals: the shell closes its input in their place.
const START_SCRIPT: &str = r#"#!/bin/sh
rm -f /tmp/stop && mkfifo /tmp/stop
site "$@" </tmp/stop &
program=$!
exec 3>/tmp/stop
trap 'exec 3>&-' TERM
while kill -0 $program 2>/dev/null; do wait $program; status=$?; done
exit $status
"#;

/// The compiled program.
pub struct Application {
    program: Vec<u8>,
}

impl Application {
    /// Compiles it.
    ///
    /// # Panics
    /// When the compiler refuses.
    pub fn compile() -> Self {
        let folder = TempDir::with_prefix("application-").expect("a temporary folder can be made");
        let program = folder.path().join("site");
        compile(&program);
        Self {
            program: fs_err::read(program).expect("the compiler has written it"),
        }
    }

    /// The file system of an image: the program, and a style sheet that names the release.
    pub fn archive(&self, release: u64) -> Vec<u8> {
        let sheet = format!("/* release {release} */\n");
        busybox::archive_of(&[
            (PROGRAM, &self.program),
            (START, START_SCRIPT.as_bytes()),
            ("srv/static/site.css", sheet.as_bytes()),
        ])
    }

    /// What `docker import --change` is told about an image: its role is the command's first word.
    pub fn changes(release: u64) -> Vec<String> {
        vec![
            format!("ENV RELEASE={release}"),
            format!("ENTRYPOINT [\"/{START}\"]"),
            "ENV PATH=/bin".to_owned(),
        ]
    }
}

fn compile(program: &Path) {
    let output = Command::new("rustc")
        .args(["--edition", "2024", "-C", "target-feature=+crt-static"])
        .args(["-C", "opt-level=1", "-C", "strip=symbols", "-o"])
        .arg(program)
        .arg(SOURCE)
        .output()
        .expect("the compiler that has compiled this is there");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
