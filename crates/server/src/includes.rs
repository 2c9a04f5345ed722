//! The files that a CI file includes, from wherever they are: this repository, other projects and
//! components of this server, the folder of templates, any address. And what its commit changed against
//! other refs, which is asked for in the same way.
//!
//! Files of other projects are read with the rights of whoever started the pipeline. The bounds on number,
//! nesting and total size are the compiler's; time and the size of each file are bounded here.

use std::collections::BTreeSet;
use std::path::{Component, Path};
use std::time::Duration;

use ci::{
    Comparison, Compiled, ComponentAddress, Fetched, Input, Location, Missing, Origin,
    RepositoryAt, Tree,
};
use futures_util::StreamExt as _;
use git::{GitError, Repository};
use model::{CommitId, ProjectPath};
use tokio::io::AsyncReadExt as _;
use tokio::sync::OnceCell;
use tokio::task::JoinError;
use tokio::time::Instant;

use crate::App;
use crate::auth::Reader;
use crate::http::chain;
use crate::push::CONFIG_LIMIT;
use crate::remote::{Remote, RemoteError};

/// How long all files of a pipeline may take together (GitLab's limit).
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// How many files are fetched at a time.
const AT_A_TIME: usize = 8;

/// What all of GitLab's templates end with.
const TEMPLATE_SUFFIX: &str = ".gitlab-ci.yml";

/// What a pipeline's file may include.
pub(crate) struct Includes<'a> {
    app: &'a App,
    repository: &'a Repository,
    commit: &'a CommitId,
    reader: Reader,
    remote: OnceCell<Remote>,
}

impl<'a> Includes<'a> {
    /// What the file at this commit may include, read with these rights.
    pub(crate) fn new(
        app: &'a App,
        repository: &'a Repository,
        commit: &'a CommitId,
        reader: Reader,
    ) -> Self {
        Self {
            app,
            repository,
            commit,
            reader,
            remote: OnceCell::new(),
        }
    }

    /// Compiles, fetching included files as they become known.
    ///
    /// # Errors
    /// When the compiler panics.
    pub(crate) async fn compile(&self, mut input: Input) -> Result<Compiled, JoinError> {
        let deadline = Instant::now() + TIME_LIMIT;
        loop {
            // Large files take a while, in which others must be answered.
            let compile = move || (ci::compile(&input), input);
            let (compiled, given) = tokio::task::spawn_blocking(compile).await?;
            input = given;
            if !compiled.wants_more() {
                return Ok(compiled);
            }
            for name in compiled.wanted_comparisons {
                let comparison = self.compare(&name).await;
                input.comparisons.insert(name, comparison);
            }
            for at in compiled.wanted_trees {
                let tree = self.tree(&at).await;
                input.trees.insert(at, tree);
            }
            let wanted = BTreeSet::from_iter(compiled.wanted);
            let fetched = futures_util::stream::iter(wanted)
                .map(|location| self.fetch_until(deadline, location))
                .buffer_unordered(AT_A_TIME);
            let fetched: Vec<_> = fetched.collect().await;
            input.files.extend(fetched);
        }
    }

    /// The paths of another project.
    async fn tree(&self, at: &RepositoryAt) -> Tree {
        let paths = async {
            let repository = self.project(&at.project).await?;
            let commit = commit_of(&repository, at.git_ref.as_deref(), &at.project).await?;
            let paths = repository.list_files(&commit).await;
            paths.map_err(|error| broken(&error))
        };
        paths.await.map_or_else(Tree::Failed, Tree::Paths)
    }

    /// The commit against another ref of its repository.
    async fn compare(&self, name: &str) -> Comparison {
        let files = async {
            match self.repository.find(name).await? {
                Some(other) => (self.repository.changed_since(&other, self.commit).await)
                    .map(Comparison::Files),
                None => Ok(Comparison::NoRef),
            }
        };
        files.await.unwrap_or_else(|error: GitError| {
            tracing::error!(error = %chain(&error), name, "cannot compare with a ref");
            Comparison::Unknown
        })
    }

    async fn fetch_until(&self, deadline: Instant, location: Location) -> (Location, Fetched) {
        let late = || {
            let seconds = TIME_LIMIT.as_secs();
            Err(Missing::new(format!(
                "the files of this pipeline have not come within {seconds} seconds"
            )))
        };
        // Compiling takes time as well: after the deadline nothing is begun.
        let fetched = match Instant::now() < deadline {
            true => tokio::time::timeout_at(deadline, self.fetch(&location)).await,
            false => Ok(late()),
        };
        let fetched = fetched.unwrap_or_else(|_| late());
        (location, fetched.unwrap_or_else(Fetched::Failed))
    }

    async fn fetch(&self, location: &Location) -> Result<Fetched, Missing> {
        match location {
            Location::Local { path } => {
                let text = read(self.repository, self.commit, path).await?;
                let missing = || Missing::new("there is no such file at this commit");
                text.map(Fetched::Text).ok_or_else(missing)
            }
            Location::Project {
                project,
                git_ref,
                path,
            } => self.of_project(project, git_ref.as_deref(), path).await,
            Location::Component { address } => self.component(address).await,
            Location::Template { name } => self.template(name).await,
            Location::Remote { url, integrity } => self.remote(url, integrity.as_deref()).await,
        }
    }

    async fn of_project(
        &self,
        project: &str,
        git_ref: Option<&str>,
        path: &str,
    ) -> Result<Fetched, Missing> {
        let repository = self.project(project).await?;
        let commit = commit_of(&repository, git_ref, project).await?;
        let Some(text) = read(&repository, &commit, path).await? else {
            let at = git_ref.map_or("its default branch".to_owned(), |at| format!("`{at}`"));
            return Err(Missing::new(format!("there is no such file at {at}")));
        };
        let origin = Origin {
            project: project.to_owned(),
            commit: commit.to_string(),
            component: None,
        };
        Ok(Fetched::Of { text, origin })
    }

    async fn component(&self, address: &str) -> Result<Fetched, Missing> {
        let parsed: ComponentAddress = address.parse().map_err(|reason: String| {
            Missing::new(reason).hint("write `$CI_SERVER_FQDN/group/project/name@version`")
        })?;
        let here = self.app.addresses.authority();
        if !parsed.host.eq_ignore_ascii_case(here) {
            let reason = format!("components of this server (`{here}`) can be included only");
            return Err(Missing::new(reason).hint("begin the address with `$CI_SERVER_FQDN`"));
        }
        let repository = self.project(&parsed.project).await?;
        let tags = tags(&repository).await?;
        let Some(version) = parsed.version.choose(tags.iter().map(String::as_str)) else {
            let reason = format!("{} has no tag that is a version", parsed.project);
            return Err(Missing::new(reason).hint("make a tag such as `1.0.0`, or name a branch"));
        };
        let commit = commit_of(&repository, Some(version), &parsed.project).await?;
        for path in parsed.files() {
            if let Some(text) = read(&repository, &commit, &path).await? {
                let origin = Origin {
                    component: Some(parsed.facts(version)),
                    project: parsed.project,
                    commit: commit.to_string(),
                };
                return Ok(Fetched::Of { text, origin });
            }
        }
        let [usual, other] = parsed.files();
        let reason = format!("there is neither `{usual}` nor `{other}` at `{version}`");
        Err(Missing::new(reason))
    }

    /// The project's repository; whether there is none or it may not be read is not said.
    async fn project(&self, path: &str) -> Result<Repository, Missing> {
        let hidden = || {
            Missing::new(format!(
                "there is no project `{path}`, or you may not read it"
            ))
            .hint("whoever starts the pipeline needs the role of a reporter there, or a higher one")
        };
        let parsed: ProjectPath = path.parse().map_err(|_| hidden())?;
        if !self.reader.may_read(&parsed) {
            return Err(hidden());
        }
        let project = self.app.store.project_by_path(path).await;
        let project = project
            .map_err(|error| broken(&error))?
            .ok_or_else(hidden)?;
        match self.app.repositories.get(&project.id.into()) {
            Err(GitError::NotFound { .. }) => Err(hidden()),
            repository => repository.map_err(|error| broken(&error)),
        }
    }

    async fn template(&self, name: &str) -> Result<Fetched, Missing> {
        if !name.ends_with(TEMPLATE_SUFFIX) {
            let reason = format!("a template's name ends with `{TEMPLATE_SUFFIX}`");
            return Err(Missing::new(reason));
        }
        let Some(folder) = &self.app.elsewhere.templates else {
            return Err(Missing::new("this server has no templates").hint(
                "copy the file into a repository and include it by `local` or `project`, or start the server with --templates FOLDER",
            ));
        };
        read_template(folder, name).await.map(Fetched::Text)
    }

    async fn remote(&self, url: &str, integrity: Option<&str>) -> Result<Fetched, Missing> {
        let missing = |error: RemoteError| Missing {
            reason: error.to_string(),
            hint: error.hint().map(str::to_owned),
        };
        let reach = self.app.elsewhere.reach;
        let client = self
            .remote
            .get_or_try_init(|| async move { Remote::new(reach) });
        let client = client.await.map_err(missing)?;
        let text = client.get(url, integrity).await.map_err(missing)?;
        Ok(Fetched::Text(text))
    }
}

/// The file's text, if there is such a file.
async fn read(
    repository: &Repository,
    commit: &CommitId,
    path: &str,
) -> Result<Option<String>, Missing> {
    match repository.read_file(commit, path, CONFIG_LIMIT).await {
        Ok(bytes) => Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())),
        Err(GitError::TooLarge { limit, .. }) => Err(too_large(limit)),
        Err(error) => Err(broken(&error)),
    }
}

/// The commit of a ref, else of the default branch.
async fn commit_of(
    repository: &Repository,
    git_ref: Option<&str>,
    project: &str,
) -> Result<CommitId, Missing> {
    let found = match git_ref {
        Some(name) => repository.find(name).await,
        None => match repository.default_branch().await {
            Ok(branch) => repository.resolve(&branch).await,
            Err(error) => Err(error),
        },
    };
    let what = git_ref.map_or("commit yet".to_owned(), |name| format!("ref `{name}`"));
    let missing = || Missing::new(format!("{project} has no {what}"));
    found.map_err(|error| broken(&error))?.ok_or_else(missing)
}

async fn tags(repository: &Repository) -> Result<Vec<String>, Missing> {
    let refs = repository.refs().await.map_err(|error| broken(&error))?;
    let tag = |name: &str| name.strip_prefix("refs/tags/").map(str::to_owned);
    Ok(refs.iter().filter_map(|found| tag(&found.name)).collect())
}

/// The text of a template in the folder of the server's operator.
pub(crate) async fn read_template(folder: &Path, name: &str) -> Result<String, Missing> {
    let is_inside = |part| matches!(part, Component::Normal(_));
    if !Path::new(name).components().all(is_inside) {
        return Err(Missing::new(
            "a template's name does not lead out of their folder",
        ));
    }
    let file = match fs_err::tokio::File::open(folder.join(name)).await {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Missing::new("this server has no such template")
                .hint("copy the file into the folder that the server was given by --templates"));
        }
        Err(error) => return Err(broken(&error)),
    };
    let mut bytes = Vec::new();
    let read = file.take(CONFIG_LIMIT + 1).read_to_end(&mut bytes).await;
    read.map_err(|error| broken(&error))?;
    if bytes.len() as u64 > CONFIG_LIMIT {
        return Err(too_large(CONFIG_LIMIT));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn too_large(limit: u64) -> Missing {
    Missing::new(format!("it has more than {limit} bytes"))
}

/// The cause goes to the server's log only.
fn broken(error: &(dyn std::error::Error + 'static)) -> Missing {
    tracing::error!(error = %chain(error), "an included file cannot be read");
    Missing::new("the server failed; its log says why")
}
