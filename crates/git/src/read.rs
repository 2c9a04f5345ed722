//! Reading a repository: refs, commits, files.

use model::{CommitId, GitRef};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

use crate::commit::{parse_commit, tag_message};
use crate::{CommitInfo, GitError, ObjectId, Repository};

/// The largest list of refs or files, in bytes.
const LIST_LIMIT: u64 = 128 << 20;

/// The largest commit or tag object, in bytes.
const MESSAGE_LIMIT: u64 = 1 << 20;

/// A branch or tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The full name, `refs/tags/v1.0.0`.
    pub name: String,
    /// The object that it points at: a commit, or an annotated tag.
    pub object: ObjectId,
    /// The commit that this leads to.
    pub commit: CommitId,
}

/// How far a look into a folder goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Below {
    /// The folder alone.
    No,
    /// All that is in it, however deep.
    All,
}

/// A file or folder of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// `100644`, …
    pub mode: String,
    /// `blob`, `tree`, or `commit` for a submodule.
    pub kind: String,
    /// The object's id.
    pub id: String,
    /// The whole path.
    pub path: String,
}

impl TreeEntry {
    /// `MODE KIND ID<tab>PATH`
    fn parse(line: &str, prefix: &str) -> Option<Self> {
        let (facts, path) = line.split_once('\t')?;
        let mut facts = facts.split(' ').map(str::to_owned);
        Some(Self {
            mode: facts.next()?,
            kind: facts.next()?,
            id: facts.next()?,
            path: format!("{prefix}{path}"),
        })
    }
}

impl Repository {
    /// All branches and tags that lead to a commit, by name.
    ///
    /// # Errors
    /// When git fails.
    pub async fn refs(&self) -> Result<Vec<Reference>, GitError> {
        let format = "--format=%(refname) %(objectname) %(objecttype)";
        let list = self
            .git("for-each-ref")
            .args([format, "refs/heads", "refs/tags"])
            .output(b"", LIST_LIMIT)
            .await?;
        let list = String::from_utf8_lossy(&list).into_owned();
        let found: Vec<_> = list.lines().filter_map(Found::parse).collect();
        let tags = found.iter().filter(|found| !found.is_commit);
        let mut peeled = self
            .commits_of(tags.map(|tag| &tag.object))
            .await?
            .into_iter();
        let references = found.into_iter().filter_map(|found| {
            let commit = if found.is_commit {
                Some(found.object.clone().into_commit())
            } else {
                peeled.next().flatten()
            };
            Some(Reference {
                name: found.name.to_owned(),
                object: found.object,
                commit: commit?,
            })
        });
        Ok(references.collect())
    }

    /// The commit of a branch or tag; none when there is no such ref.
    ///
    /// # Errors
    /// When git fails.
    pub async fn resolve(&self, name: &GitRef) -> Result<Option<CommitId>, GitError> {
        let commits = self.commits_of([name.full()]).await?;
        Ok(commits.into_iter().next().flatten())
    }

    /// The commit that somebody means by an id or its beginning (of 7 digits or more), or by the name of
    /// a tag or branch, short or full; of those the first that there is.
    ///
    /// # Errors
    /// When git fails.
    pub async fn find(&self, name: &str) -> Result<Option<CommitId>, GitError> {
        let digits = name.len() >= 7 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        let id = digits.then(|| name.to_owned());
        let is_whole = name.parse::<CommitId>().is_ok();
        let full = name.parse::<GitRef>().ok();
        let refs = [full, GitRef::tag(name).ok(), GitRef::branch(name).ok()];
        let refs = refs.into_iter().flatten().map(|name| name.full());
        let whole = id.clone().filter(|_| is_whole);
        let part = id.filter(|_| !is_whole);
        let commits = self
            .commits_of(whole.into_iter().chain(refs).chain(part))
            .await?;
        Ok(commits.into_iter().flatten().next())
    }

    /// The commits that these objects or full ref names lead to, in the same order.
    pub(crate) async fn commits_of<T: std::fmt::Display>(
        &self,
        names: impl IntoIterator<Item = T>,
    ) -> Result<Vec<Option<CommitId>>, GitError> {
        let input: String = names
            .into_iter()
            .map(|name| format!("{name}^{{commit}}\n"))
            .collect();
        if input.is_empty() {
            return Ok(Vec::new());
        }
        let answers = self
            .git("cat-file")
            .args(["--batch-check=%(objectname)"])
            .output(input.as_bytes(), LIST_LIMIT)
            .await?;
        let answers = String::from_utf8_lossy(&answers).into_owned();
        Ok(answers.lines().map(|line| line.parse().ok()).collect())
    }

    /// What a commit says about itself; none when there is no such commit.
    ///
    /// # Errors
    /// When git fails.
    pub async fn commit(&self, id: &CommitId) -> Result<Option<CommitInfo>, GitError> {
        let object = self.object(id.as_str(), MESSAGE_LIMIT).await?;
        Ok(object
            .filter(|object| object.kind == "commit")
            .map(|object| parse_commit(id.clone(), &object.content)))
    }

    /// The content of a file; none when the commit has no such file.
    ///
    /// # Errors
    /// [`GitError::TooLarge`] when it has more than `limit` bytes; when git fails.
    pub async fn read_file(
        &self,
        commit: &CommitId,
        path: &str,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, GitError> {
        if path.contains(['\n', '\0']) {
            return Ok(None);
        }
        let object = self.object(&format!("{commit}:{path}"), limit).await?;
        Ok(object
            .filter(|object| object.kind == "blob")
            .map(|object| object.content))
    }

    /// The paths of all files of a commit, in git's order.
    ///
    /// # Errors
    /// When there is no such commit, or too many files; when git fails.
    pub async fn list_files(&self, commit: &CommitId) -> Result<Vec<String>, GitError> {
        let git = self.git("ls-tree");
        let git = git.args(["-r", "-z", "--name-only", "--full-tree", commit.as_str()]);
        Ok(paths(&git.output(b"", LIST_LIMIT).await?))
    }

    /// What lies in a folder of a commit, and, if asked for, all that is below; nothing when there is no such
    /// folder. The root is the empty path.
    ///
    /// # Errors
    /// When there is too much; when git fails.
    pub async fn tree(
        &self,
        commit: &CommitId,
        folder: &str,
        below: Below,
    ) -> Result<Vec<TreeEntry>, GitError> {
        let folder = folder.trim_matches('/');
        if folder.contains(['\n', '\0']) {
            return Ok(Vec::new());
        }
        let name = format!("{commit}:{folder}");
        let found = self.object(&name, LIST_LIMIT).await?;
        if found.is_none_or(|found| found.kind != "tree") {
            return Ok(Vec::new());
        }
        let git = self.git("ls-tree").args(["-z"]);
        let git = match below {
            Below::No => git,
            Below::All => git.args(["-r", "-t"]),
        };
        let list = git.args([name]).output(b"", LIST_LIMIT).await?;
        let prefix = match folder {
            "" => String::new(),
            folder => format!("{folder}/"),
        };
        let list = String::from_utf8_lossy(&list);
        let entries = list
            .split('\0')
            .filter_map(|line| TreeEntry::parse(line, &prefix));
        Ok(entries.collect())
    }

    /// The paths that differ between two commits; all files of `new` when there is no `old`.
    ///
    /// # Errors
    /// When there is no such commit; when git fails.
    pub async fn changed_files(
        &self,
        old: Option<&CommitId>,
        new: &CommitId,
    ) -> Result<Vec<String>, GitError> {
        let Some(old) = old else {
            return self.list_files(new).await;
        };
        let git = self.git("diff-tree");
        let git = git.args(["-r", "-z", "--name-only", "--no-renames"]);
        let git = git.args([old.as_str(), new.as_str(), "--"]);
        Ok(paths(&git.output(b"", LIST_LIMIT).await?))
    }

    /// The paths that differ between a commit and where it parted from another; between the two where they
    /// have nothing in common.
    ///
    /// # Errors
    /// When there is no such commit; when git fails.
    pub async fn changed_since(
        &self,
        other: &CommitId,
        new: &CommitId,
    ) -> Result<Vec<String>, GitError> {
        let git = self.git("merge-base");
        let git = git.args([other.as_str(), new.as_str()]);
        let base = match git.output(b"", 1000).await {
            Ok(base) => String::from_utf8_lossy(&base).trim().parse().ok(),
            // It says nothing and fails when there is none.
            Err(GitError::Failed { .. }) => None,
            Err(error) => return Err(error),
        };
        let base = base.unwrap_or_else(|| other.clone());
        self.changed_files(Some(&base), new).await
    }

    /// The message of an annotated tag, without its signature; none for a lightweight tag.
    ///
    /// # Errors
    /// When git fails.
    pub async fn tag_message(&self, tag: &GitRef) -> Result<Option<String>, GitError> {
        let object = self.object(&tag.full(), MESSAGE_LIMIT).await?;
        Ok(object
            .filter(|object| object.kind == "tag")
            .map(|object| tag_message(&object.content)))
    }

    /// Deletes a branch or tag; nothing happens when there is none.
    ///
    /// # Errors
    /// When git fails.
    pub async fn delete_ref(&self, name: &GitRef) -> Result<(), GitError> {
        let git = self.git("update-ref").args(["-d", &name.full()]);
        git.output(b"", 1000).await.map(drop)
    }

    /// One object, by anything that `git cat-file --batch` takes; none when it is missing.
    async fn object(&self, name: &str, limit: u64) -> Result<Option<Object>, GitError> {
        let operation = "cat-file";
        let (mut process, pipes) = self.git(operation).args(["--batch"]).start()?;
        let mut stdin = pipes.stdin;
        let mut stdout = BufReader::new(pipes.stdout);
        let exchange = async {
            stdin.write_all(format!("{name}\n").as_bytes()).await?;
            drop(stdin);
            let mut heading = Vec::new();
            let mut start = (&mut stdout).take(2 * name.len() as u64 + 200);
            start.read_until(b'\n', &mut heading).await?;
            Ok(heading)
        };
        let heading = exchange.await.map_err(GitError::process(operation))?;
        let Some((kind, size)) = parse_heading(&heading) else {
            return Ok(None);
        };
        if size > limit {
            let what = format!("`{name}`");
            return Err(GitError::TooLarge { what, limit });
        }
        let mut content = vec![0; usize::try_from(size).unwrap_or(0)];
        let read = stdout.read_exact(&mut content).await;
        read.map_err(GitError::process(operation))?;
        drop(stdout);
        process.wait().await?;
        Ok(Some(Object { kind, content }))
    }
}

struct Object {
    kind: String,
    content: Vec<u8>,
}

/// `ID KIND SIZE`; anything else says that the object is missing.
fn parse_heading(line: &[u8]) -> Option<(String, u64)> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let mut words = line.split(' ');
    let (id, kind, size) = (words.next()?, words.next()?, words.next()?);
    let whole = words.next().is_none() && id.parse::<ObjectId>().is_ok();
    let size = size.parse().ok().filter(|_| whole)?;
    Some((kind.to_owned(), size))
}

struct Found<'a> {
    name: &'a str,
    object: ObjectId,
    is_commit: bool,
}

impl<'a> Found<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut words = line.split(' ');
        Some(Self {
            name: words.next()?,
            object: words.next()?.parse().ok()?,
            is_commit: words.next()? == "commit",
        })
    }
}

/// Paths that are not UTF-8 are left out: nothing in a pipeline's file can name them.
fn paths(list: &[u8]) -> Vec<String> {
    list.split(|&byte| byte == 0)
        .filter(|path| !path.is_empty())
        .filter_map(|path| String::from_utf8(path.to_vec()).ok())
        .collect()
}
