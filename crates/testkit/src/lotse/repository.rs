//! A user's work tree: files, commits, tags, and pushes with the ordinary git.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Lotse;
use super::program::{Ran, hermetic, ran};

/// A work tree whose remote `lotse` is a project of the server.
pub struct Repository {
    folder: PathBuf,
    home: PathBuf,
    project: String,
}

/// What git said of a push.
#[derive(Debug, Clone)]
pub struct Pushed {
    /// Whether git ended with success.
    pub ok: bool,
    /// The server's lines, without `remote: `.
    pub remote: String,
    /// All that git wrote.
    pub text: String,
}

impl Lotse {
    /// A new work tree for a project, which the first push makes.
    pub async fn repository(&self, project: &str) -> Repository {
        self.repository_as(project, self.token()).await
    }

    /// [`Lotse::repository`] of somebody with another token.
    pub async fn repository_as(&self, project: &str, token: &str) -> Repository {
        let repository = Repository {
            folder: self.fresh_folder("work"),
            home: self.home(),
            project: project.to_owned(),
        };
        let url = format!("http://user:{token}@{}/{project}.git", self.address());
        repository.git(&["init", "-q", "-b", "main", "."]).await;
        for (key, value) in [
            ("user.name", "Some Developer"),
            ("user.email", "developer@example.org"),
        ] {
            repository.git(&["config", key, value]).await;
        }
        repository.git(&["remote", "add", "lotse", &url]).await;
        repository
    }

    /// A new project with this `.gitlab-ci.yml` on `main`, pushed. Returns the pipeline's number too.
    ///
    /// # Panics
    /// When the push makes no pipeline.
    pub async fn pushed(&self, project: &str, ci: &str) -> (Repository, i64) {
        let repository = self.repository(project).await;
        repository.commit_ci(ci, "first").await;
        let pushed = repository.push(&["main"]).await;
        assert!(pushed.ok, "{}", pushed.text);
        let id = pushed
            .pipeline()
            .unwrap_or_else(|| panic!("no pipeline: {}", pushed.text));
        (repository, id)
    }
}

impl Repository {
    /// The project's path.
    pub fn project(&self) -> &str {
        &self.project
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a file.
    ///
    /// # Panics
    /// When that is impossible.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.folder.join(path);
        let parent = path.parent().expect("a file lies in a folder");
        fs_err::create_dir_all(parent).expect("a folder can be made");
        fs_err::write(path, text).expect("a file can be written");
    }

    /// Commits all there is. Returns the commit's id.
    ///
    /// # Panics
    /// When git refuses.
    pub async fn commit(&self, message: &str) -> String {
        self.git(&["add", "-A"]).await;
        self.git(&["commit", "-q", "--allow-empty", "-m", message])
            .await;
        self.git(&["rev-parse", "HEAD"]).await.trim().to_owned()
    }

    /// Commits this `.gitlab-ci.yml`.
    pub async fn commit_ci(&self, ci: &str, message: &str) -> String {
        self.write(".gitlab-ci.yml", ci);
        self.commit(message).await
    }

    /// Pushes these refs, or with these options.
    pub async fn push(&self, arguments: &[&str]) -> Pushed {
        let ran = self
            .try_git(&[&["push", "lotse"], arguments].concat())
            .await;
        let remote = ran.stderr.lines().filter_map(|line| {
            let line = line.strip_prefix("remote:")?;
            Some(line.strip_prefix(' ').unwrap_or(line).trim_end())
        });
        Pushed {
            ok: ran.code == 0,
            remote: remote.collect::<Vec<_>>().join("\n"),
            text: ran.text(),
        }
    }

    /// Runs git, which must succeed. Returns its output.
    ///
    /// # Panics
    /// When git fails.
    pub async fn git(&self, arguments: &[&str]) -> String {
        let ran = self.try_git(arguments).await;
        assert_eq!(ran.code, 0, "git {arguments:?}: {}", ran.text());
        ran.stdout
    }

    /// Runs git.
    pub async fn try_git(&self, arguments: &[&str]) -> Ran {
        ran(self.command(arguments)).await
    }

    /// A command of git, not yet run.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        hermetic(&mut command, &self.home)
            .args(arguments)
            .current_dir(&self.folder);
        command
    }
}

impl Pushed {
    /// The number of the first pipeline that the output names.
    pub fn pipeline(&self) -> Option<i64> {
        let (_, rest) = self.remote.split_once("pipeline #")?;
        let end = rest.find(|c: char| !c.is_ascii_digit());
        rest[..end.unwrap_or(rest.len())].parse().ok()
    }
}
