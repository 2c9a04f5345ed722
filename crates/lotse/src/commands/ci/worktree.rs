//! The work tree of git that we are in: what a pipeline of it is about, and a clean copy of it, a git
//! repository with one commit more, which holds the tree as it is now.
//!
//! The user's repository is only read. What git would take into a commit (`git add --all`) is written
//! into the copy's own store of objects; everything else is found in the user's, which stands behind it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use ci::{Changes, Comparison};
use model::{CommitId, GitRef};
use server::local::{CommitFacts, Subject};

use super::facts::For;
use super::place;
use crate::output::Failure;

/// Set where we are called by git itself (from a hook), and not meant for the copy.
const OF_ANOTHER_GIT: [&str; 6] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_PREFIX",
];

/// What is between the fields of a commit's facts; no text of git's has it.
const FIELD: &str = "%x00";

/// A work tree of git.
pub(super) struct WorkTree {
    root: PathBuf,
}

/// What jobs fetch from, and what is known of it.
#[derive(Debug)]
pub(super) struct Copy {
    pub(super) repository: PathBuf,
    pub(super) subject: Subject,
    /// All paths of the commit.
    pub(super) files: Vec<String>,
    pub(super) changes: Changes,
}

impl WorkTree {
    /// The one that we are in.
    pub(super) fn here() -> Result<Self, Failure> {
        let root = git(Path::new("."), ["rev-parse", "--show-toplevel"]).output();
        let root = root.map_err(|failure| {
            failure.hint("`lotse ci run` works in a work tree of git: `git init` makes one")
        })?;
        Ok(Self {
            root: PathBuf::from(root),
        })
    }

    /// The one with this folder at its root, if git agrees.
    pub(super) fn at(root: &Path) -> Option<Self> {
        let tree = Self {
            root: root.to_owned(),
        };
        let found = tree.git(["rev-parse", "--show-toplevel"]).output().ok()?;
        let same = Path::new(&found).canonicalize().ok()? == root.canonicalize().ok()?;
        same.then_some(tree)
    }

    /// What a pipeline of HEAD would be about, if there is a commit.
    pub(super) fn subject_of_head(&self, git_ref: GitRef, what: &For) -> Option<Subject> {
        let head = self.git(["rev-parse", "--verify", "--quiet", "HEAD"]);
        let sha: CommitId = head.output().ok()?.parse().ok()?;
        let before = self.upstream(what).filter(|before| *before != sha);
        self.subject(&self.root, git_ref, sha, before, what).ok()
    }

    /// What a commit of everything would change of the branch's upstream, as [`WorkTree::copy`] has it.
    pub(super) fn changes(&self, git_ref: &GitRef, what: &For) -> Changes {
        let Some(before) = self.upstream(what).filter(|_| !git_ref.is_tag()) else {
            return Changes::Unknown;
        };
        match self.changed_since(&before) {
            Ok(files) if !files.is_empty() => Changes::Files(files),
            _ => Changes::Unknown,
        }
    }

    /// What a commit of everything would have changed since it parted from another ref.
    pub(super) fn compare(&self, name: &str) -> Comparison {
        let kinds = ["refs/tags/", "refs/heads/", "refs/remotes/origin/", ""];
        let found = kinds.iter().find_map(|kind| {
            let name = format!("{kind}{name}^{{commit}}");
            let verify = ["rev-parse", "--verify", "--quiet", "--end-of-options"];
            let asked = self.git(verify.into_iter().chain([name.as_str()]));
            asked.output().ok()?.parse::<CommitId>().ok()
        });
        let Some(other) = found else {
            return Comparison::NoRef;
        };
        let base = self.git(["merge-base", other.as_str(), "HEAD"]).output();
        let base = base.ok().and_then(|base| base.parse().ok());
        let files = self.changed_since(&base.unwrap_or(other));
        files.map_or(Comparison::Unknown, Comparison::Files)
    }

    /// The files that a commit of everything would change.
    fn changed_since(&self, before: &CommitId) -> Result<Vec<String>, Failure> {
        let changed = ["diff", "--name-only", "--no-renames", "-z", before.as_str()];
        let changed = self.git(changed).output()?;
        let new = ["ls-files", "-z", "--others", "--exclude-standard"];
        let new = self.git(new).output()?;
        Ok([names(&changed), names(&new)].concat())
    }

    /// The files that a commit of everything would have.
    pub(super) fn files(&self) -> Option<Vec<String>> {
        let arguments = [
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ];
        let listed = self.git(arguments).output().ok()?;
        let mut files = names(&listed);
        files.retain(|file| self.root.join(file).symlink_metadata().is_ok());
        Some(files)
    }

    /// Makes the copy in a folder of its own within `folder`.
    pub(super) fn copy(&self, folder: &Path, what: &For) -> Result<Copy, Failure> {
        let git_ref = what.git_ref(&self.root)?;
        let repository = folder.join("copy.git");
        self.make_repository(&repository)?;
        let sha = self.commit(&repository)?;
        let in_copy = |arguments: &[&str]| git(&repository, arguments);
        in_copy(&["update-ref", &git_ref.full(), sha.as_str()]).output()?;
        let before = self.upstream(what).filter(|before| *before != sha);
        let files = in_copy(&["ls-tree", "-r", "-z", "--name-only", sha.as_str()]).output()?;
        let changes = match &before {
            Some(before) if !git_ref.is_tag() => {
                let (from, to) = (before.as_str(), sha.as_str());
                let arguments = ["diff", "--name-only", "--no-renames", "-z", from, to];
                Changes::Files(names(&in_copy(&arguments).output()?))
            }
            _ => Changes::Unknown,
        };
        let subject = self.subject(&repository, git_ref, sha, before, what)?;
        Ok(Copy {
            files: names(&files),
            changes,
            subject,
            repository,
        })
    }

    /// An empty repository that finds all objects, branches and tags of the user's.
    fn make_repository(&self, repository: &Path) -> Result<(), Failure> {
        let format = self.git(["rev-parse", "--show-object-format"]).output()?;
        let format = format!("--object-format={format}");
        let path = repository.as_os_str();
        let arguments = ["init", "--quiet", "--bare", "--template=", &format];
        let arguments = arguments.iter().map(OsStr::new).chain([path]);
        git(&self.root, arguments).output()?;
        git(
            repository,
            ["config", "uploadpack.allowAnySHA1InWant", "true"],
        )
        .output()?;
        let alternates = format!("{}\n", self.git_path("objects")?.display());
        let info = repository.join("objects/info");
        write(&info.join("alternates"), alternates.as_bytes())?;
        let format = "--format=%(objectname) %(refname)";
        let refs = self.git(["for-each-ref", format, "refs/heads", "refs/tags"]);
        let mut refs = refs.output()?;
        if !refs.is_empty() {
            refs = format!("# pack-refs with: sorted \n{refs}\n");
        }
        write(&repository.join("packed-refs"), refs.as_bytes())?;
        let shallow = self.git_path("shallow")?;
        copy_if_there(&shallow, &repository.join("shallow"))
    }

    /// A commit of the tree as it is now: HEAD's own when nothing has changed, else one on top of it,
    /// with its message and author.
    fn commit(&self, repository: &Path) -> Result<CommitId, Failure> {
        let index = repository.join("index");
        copy_if_there(&self.git_path("index")?, &index)?;
        let with = |arguments: &[&str]| {
            let objects = self.git_path("objects")?;
            Ok::<_, Failure>(
                self.git(arguments)
                    .env("GIT_INDEX_FILE", &index)
                    .env("GIT_OBJECT_DIRECTORY", repository.join("objects"))
                    .env("GIT_ALTERNATE_OBJECT_DIRECTORIES", objects),
            )
        };
        let add = [
            "-c",
            "core.fsmonitor=false",
            "-c",
            "advice.addEmbeddedRepo=false",
        ];
        let add = [&add[..], &["add", "--all", "--", ":/"]].concat();
        with(&add)?.output()?;
        let tree = with(&["write-tree"])?.output()?;
        let head = self
            .git(["rev-parse", "--verify", "--quiet", "HEAD"])
            .output()
            .ok();
        let id = match &head {
            None => {
                let commit = with(&["commit-tree", "-m", "Not committed yet", &tree])?;
                commit.identity("lotse", "lotse@localhost").output()?
            }
            Some(head) if self.git(["rev-parse", "HEAD^{tree}"]).output()? == tree => head.clone(),
            Some(head) => {
                let format = ["%an", "%ae", "%B"].join(FIELD);
                let log = self.git(["log", "-1", &format!("--format={format}"), head]);
                let log = log.output()?;
                let mut fields = log.splitn(3, '\0');
                let mut field = || fields.next().unwrap_or_default().to_owned();
                let (name, email, message) = (field(), field(), field());
                let commit = with(&["commit-tree", "-p", head, "-m", &message, &tree])?;
                commit.identity(&name, &email).output()?
            }
        };
        id.parse()
            .map_err(|_| Failure::internal(format!("git names no commit but `{id}`")))
    }

    fn subject(
        &self,
        repository: &Path,
        git_ref: GitRef,
        sha: CommitId,
        before: Option<CommitId>,
        what: &For,
    ) -> Result<Subject, Failure> {
        let format = ["%s", "%B", "%b", "%an <%ae>", "%cI"].join(FIELD);
        let format = format!("--format={format}");
        let log = git(repository, ["log", "-1", &format, sha.as_str()]).output()?;
        let mut fields = log.split('\0').map(|field| field.trim_end().to_owned());
        let mut field = || fields.next().unwrap_or_default();
        let commit = CommitFacts {
            title: field(),
            message: field(),
            description: field(),
            author: field(),
            timestamp: field(),
            tag_message: None,
            default_branch: self.default_branch(),
        };
        let (server, project) = match self.remote() {
            Some(found) => found,
            None => ("http://localhost".to_owned(), self.project_of_folder()?),
        };
        Ok(Subject {
            server,
            project,
            git_ref,
            sha,
            before,
            commit,
            source: what.source,
            user: self.user(),
        })
    }

    /// What the branch's own remote has of it: a push would bring all that is beyond.
    fn upstream(&self, what: &For) -> Option<CommitId> {
        if !what.is_here() {
            return None;
        }
        let upstream = self.git(["rev-parse", "--verify", "--quiet", "@{upstream}^{commit}"]);
        upstream.output().ok()?.parse().ok()
    }

    fn remote(&self) -> Option<(String, model::ProjectPath)> {
        ["lotse", "origin"].iter().find_map(|name| {
            let url = self.git(["remote", "get-url", name]).output().ok()?;
            place::of_remote(&url)
        })
    }

    fn project_of_folder(&self) -> Result<model::ProjectPath, Failure> {
        let name = self.root.file_name().unwrap_or_default().to_string_lossy();
        let path = format!("local/{}", model::slug(&name));
        let found = path.parse().or_else(|_| "local/project".parse());
        found.map_err(|error: model::PathError| Failure::internal(error.to_string()))
    }

    /// What the remote says; else `main` or `master`, whichever there is.
    fn default_branch(&self) -> String {
        let remote = [
            "symbolic-ref",
            "--quiet",
            "--short",
            "refs/remotes/origin/HEAD",
        ];
        if let Ok(name) = self.git(remote).output()
            && let Some((_, branch)) = name.split_once('/')
        {
            return branch.to_owned();
        }
        let there = |name: &&str| {
            let full = format!("refs/heads/{name}");
            let asked = self.git(["rev-parse", "--verify", "--quiet", &full]);
            asked.output().is_ok()
        };
        ["main", "master"]
            .into_iter()
            .find(there)
            .unwrap_or("main")
            .to_owned()
    }

    fn user(&self) -> String {
        let configured = self.git(["config", "user.name"]).output().ok();
        let configured = configured.filter(|name| !name.is_empty());
        configured
            .or_else(|| std::env::var("USER").ok())
            .unwrap_or_else(|| "nobody".to_owned())
    }

    /// The full path of something in the repository's own folder.
    fn git_path(&self, name: &str) -> Result<PathBuf, Failure> {
        let path = self.git(["rev-parse", "--git-path", name]).output()?;
        Ok(self.root.join(path))
    }

    fn git<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Git {
        git(&self.root, arguments)
    }
}

impl Copy {
    /// The text of a file of the commit, if there is such a file.
    pub(super) fn read(&self, path: &str) -> Result<Option<String>, Failure> {
        if !self.files.iter().any(|known| known == path) {
            return Ok(None);
        }
        let object = format!("{}:{path}", self.subject.sha);
        let text = git(&self.repository, ["cat-file", "blob", &object]).bytes()?;
        Ok(Some(String::from_utf8_lossy(&text).into_owned()))
    }
}

/// A call of git.
struct Git {
    command: Command,
    /// For messages.
    operation: String,
}

fn git<A: AsRef<OsStr>>(folder: &Path, arguments: impl IntoIterator<Item = A>) -> Git {
    let mut command = Command::new("git");
    command.current_dir(folder).args(arguments);
    for name in OF_ANOTHER_GIT {
        command.env_remove(name);
    }
    let words = command.get_args().map(OsStr::to_string_lossy);
    let operation = words.filter(|word| !word.starts_with('-') && !word.contains('='));
    let operation = operation.take(1).collect();
    Git { command, operation }
}

impl Git {
    fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    fn identity(self, name: &str, email: &str) -> Self {
        self.env("GIT_AUTHOR_NAME", name)
            .env("GIT_AUTHOR_EMAIL", email)
            .env("GIT_COMMITTER_NAME", name)
            .env("GIT_COMMITTER_EMAIL", email)
    }

    /// What it prints, without the end of the last line.
    fn output(self) -> Result<String, Failure> {
        let text = String::from_utf8_lossy(&self.bytes()?).into_owned();
        Ok(text.trim_end_matches('\n').to_owned())
    }

    fn bytes(mut self) -> Result<Vec<u8>, Failure> {
        let operation = &self.operation;
        let output = self.command.output().map_err(|error| {
            Failure::user("cannot run git")
                .because(&error)
                .hint("`lotse ci run` needs git on the PATH")
        })?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Failure::user(format!(
            "`git {operation}` failed: {}",
            said.trim()
        )))
    }
}

fn names(text: &str) -> Vec<String> {
    let names = text.split('\0').filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

fn copy_if_there(from: &Path, to: &Path) -> Result<(), Failure> {
    match fs_err::copy(from, to) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::user("cannot copy the work tree's state").because(&error))
        }
        _ => Ok(()),
    }
}

fn write(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let written = fs_err::create_dir_all(folder).and_then(|()| fs_err::write(path, content));
    written.map_err(|error| Failure::user("cannot write the copy of the work tree").because(&error))
}
