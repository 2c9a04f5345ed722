//! A user's work tree, and `lotse ci run` in it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

pub(crate) struct Tree {
    /// Holds the work tree, a home and a folder for temporary files.
    folder: tempfile::TempDir,
}

/// What came of a run.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Tree {
    /// One commit on `main` with this `.gitlab-ci.yml`.
    pub(crate) fn new(ci: &str) -> Self {
        let tree = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        for name in ["work", "home", "tmp"] {
            fs_err::create_dir(tree.folder.path().join(name)).unwrap();
        }
        tree.git(&["init", "--quiet", "--initial-branch=main"]);
        tree.write(".gitlab-ci.yml", ci);
        tree.commit("first");
        tree
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// For what jobs are to leave behind.
    pub(crate) fn outside(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    pub(crate) fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let output = self.hermetic("git").args(arguments).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().unwrap())
    }

    /// [`Tree::run`] with `--json`: its events.
    pub(crate) fn events(&self, arguments: &[&str]) -> Vec<Value> {
        let ran = self.run(&[arguments, &["--json"]].concat());
        ran.events()
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.hermetic(env!("CARGO_BIN_EXE_lotse"));
        command.args(["ci", "run"]).args(arguments);
        command
    }

    pub(crate) fn hermetic(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.outside())
            .env("TMPDIR", self.temporary())
            .env("GIT_CONFIG_NOSYSTEM", "1");
        for who in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{who}_NAME"), "Some Developer")
                .env(format!("GIT_{who}_EMAIL"), "developer@example.org");
        }
        command
    }

    /// What runs have left behind.
    pub(crate) fn left_behind(&self) -> Vec<PathBuf> {
        let entries = fs_err::read_dir(self.temporary()).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    fn temporary(&self) -> PathBuf {
        self.folder.path().join("tmp")
    }
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// What a job's script printed, its own commands left out.
    pub(crate) fn said(&self, job: &str) -> Vec<&str> {
        let lines = self.out.lines().filter_map(|line| line.split_once(" |"));
        let of_job = lines.filter(|(name, _)| name.trim_end() == job);
        of_job.map(|(_, text)| text.trim_start()).collect()
    }

    pub(crate) fn assert_said(&self, job: &str, text: &str) {
        assert!(self.said(job).contains(&text), "{job}: {text}\n{self}");
    }

    /// The row of the summary.
    pub(crate) fn summary(&self, job: &str) -> String {
        let (_, summary) = self
            .out
            .rsplit_once("\n\n")
            .unwrap_or_else(|| panic!("{self}"));
        let row = summary
            .lines()
            .find(|line| line.starts_with(&format!("{job} ")));
        let row = row.unwrap_or_else(|| panic!("{job} in {self}"));
        let cells = row[job.len()..].split("  ").map(str::trim);
        let cells: Vec<_> = cells.filter(|cell| !cell.is_empty()).collect();
        cells.join(" ")
    }

    pub(crate) fn events(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        self.out.lines().map(parse).collect()
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit {:?}\n{}{}", self.code, self.out, self.err)
    }
}

/// Whether a process of this number is at work.
pub(crate) fn is_alive(pid: &str) -> bool {
    // One that has ended and was not waited for yet does no harm.
    let stat = fs_err::read_to_string(Path::new("/proc").join(pid).join("stat"));
    stat.is_ok_and(|stat| {
        !stat
            .rsplit_once(')')
            .is_some_and(|(_, rest)| rest.starts_with(" Z"))
    })
}
