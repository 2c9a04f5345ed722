//! A project with a `lotse.toml`, and `lotse` as its user calls it there.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

pub(crate) struct Project {
    folder: TempDir,
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Said {
    code: Option<i32>,
    text: String,
}

impl Project {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let folder = TempDir::with_prefix("deploy-").unwrap();
        let project = Self { folder };
        for (name, text) in files {
            project.write(name, text);
        }
        project
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs_err::write(self.folder.path().join(name), text).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The program in the project's folder, away from the machine's own settings.
    pub(crate) fn lotse(&self, tag: Option<&str>, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lotse"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("USER", "operator")
            .stdin(Stdio::null());
        if let Some(tag) = tag {
            command.env("CI_COMMIT_TAG", tag);
        }
        command
    }
}

impl Said {
    pub(crate) fn of(output: &Output) -> Self {
        Self {
            code: output.status.code(),
            text: testkit::dockerd::text_of(output),
        }
    }

    /// All that it said, and it went well.
    pub(crate) fn succeeds(self) -> String {
        self.ends_with(0)
    }

    /// All that it said, and something outside of it is wrong.
    pub(crate) fn fails(self) -> String {
        self.ends_with(1)
    }

    pub(crate) fn ends_with(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{}", self.text);
        self.text
    }
}
