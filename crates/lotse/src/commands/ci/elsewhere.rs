//! Compiling with files that are not in the work tree: those of the server that one is logged in to,
//! through its API, and those at any address.
//!
//! What only a server or a network could say, and does not, is *unavailable*: a warning where a file is
//! just looked at, an error where a pipeline is made of it.

use std::collections::btree_map::Entry;

use ci::{
    Comparison, Compiled, ComponentAddress, ComponentVersion, Fetched, Input, Location, Missing,
    Origin, RepositoryAt, Tree,
};
use clap::Args;
use reqwest::{Method, Response, StatusCode};
use server::remote::{Reach, Remote, RemoteError};

use crate::client::{AtServer, Client};
use crate::output::Failure;

/// How many tags of a project are looked at.
const TAGS: usize = 10_000;

/// How many paths of another project are looked at; beyond that `exists` holds.
const PATHS: usize = 10_000;

/// Where included files of other places come from.
#[derive(Debug, Args)]
pub(crate) struct Elsewhere {
    /// Ask no server and no address for included files
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    at: AtServer,
}

/// No file, or none that could be looked for.
enum Trouble {
    Failed(Missing),
    Unavailable(Missing),
}

impl Trouble {
    fn failed(reason: impl Into<String>) -> Self {
        Self::Failed(Missing::new(reason))
    }

    /// The server was not reached, or does not talk to us.
    fn unavailable(failure: &Failure) -> Self {
        Self::Unavailable(missing(failure))
    }
}

fn missing(failure: &Failure) -> Missing {
    Missing {
        reason: failure.to_string(),
        hint: failure.mend().map(str::to_owned),
    }
}

impl Elsewhere {
    /// Compiles, asking `local` for files of the work tree, `compare` for what it changed against a ref, and
    /// others for the rest.
    pub(super) async fn compile(
        &self,
        mut input: Input,
        local: impl Fn(&str) -> Fetched,
        compare: impl Fn(&str) -> Comparison,
    ) -> Compiled {
        loop {
            let compiled = ci::compile(&input);
            if !compiled.wants_more() {
                return compiled;
            }
            for name in compiled.wanted_comparisons {
                let comparison = compare(&name);
                input.comparisons.insert(name, comparison);
            }
            for at in compiled.wanted_trees {
                let tree = self.tree(&at).await;
                input.trees.insert(at, tree);
            }
            for location in compiled.wanted {
                if let Entry::Vacant(place) = input.files.entry(location) {
                    let fetched = match place.key() {
                        Location::Local { path } => local(path),
                        other => self.fetch(other).await,
                    };
                    place.insert(fetched);
                }
            }
        }
    }

    /// The paths of another project, as far as the server says them.
    async fn tree(&self, at: &RepositoryAt) -> Tree {
        if self.offline {
            return Tree::Unknown;
        }
        match self.at.client() {
            Ok(client) => Server(&client).tree(at).await,
            Err(_) => Tree::Unknown,
        }
    }

    async fn fetch(&self, location: &Location) -> Fetched {
        if self.offline {
            return Fetched::Unavailable(Missing::new("--offline asks nobody"));
        }
        let fetched = match location {
            Location::Remote { url, integrity } => remote(url, integrity.as_deref()).await,
            other => match self.at.client() {
                Ok(client) => Server(&client).fetch(other).await,
                Err(failure) => Err(Trouble::unavailable(&failure)),
            },
        };
        fetched.unwrap_or_else(|trouble| match trouble {
            Trouble::Failed(missing) => Fetched::Failed(missing),
            Trouble::Unavailable(missing) => Fetched::Unavailable(missing),
        })
    }
}

/// Who was not reached could have had the file.
fn trouble(error: RemoteError) -> Trouble {
    let missing = Missing {
        reason: error.to_string(),
        hint: error.hint().map(str::to_owned),
    };
    match error {
        RemoteError::Setup(_) | RemoteError::Slow | RemoteError::Unreachable(_) => {
            Trouble::Unavailable(missing)
        }
        _ => Trouble::Failed(missing),
    }
}

/// On one's own machine, every address is as near as to a browser.
async fn remote(url: &str, integrity: Option<&str>) -> Result<Fetched, Trouble> {
    let remote = Remote::new(Reach::Everywhere).map_err(trouble)?;
    let text = remote.get(url, integrity).await.map_err(trouble)?;
    Ok(Fetched::Text(text))
}

/// The server that one is logged in to.
struct Server<'a>(&'a Client);

impl Server<'_> {
    async fn fetch(&self, location: &Location) -> Result<Fetched, Trouble> {
        match location {
            Location::Project {
                project,
                git_ref,
                path,
            } => {
                let git_ref = git_ref.as_deref().unwrap_or("HEAD");
                let found = self.file(project, git_ref, path).await?;
                found.ok_or_else(|| {
                    Trouble::failed(format!(
                        "{} has no such project, ref or file, or your token may not see it",
                        self.0.server()
                    ))
                })
            }
            Location::Component { address } => self.component(address).await,
            Location::Template { name } => self.template(name).await,
            Location::Local { .. } | Location::Remote { .. } => {
                Err(Trouble::failed("it is not on a server"))
            }
        }
    }

    async fn file(
        &self,
        project: &str,
        git_ref: &str,
        path: &str,
    ) -> Result<Option<Fetched>, Trouble> {
        let path = ["projects", project, "repository", "files", path, "raw"];
        let Some(response) = self.get(&path, &[("ref", git_ref)]).await? else {
            return Ok(None);
        };
        let commit = response.headers().get("x-gitlab-commit-id");
        let commit = commit.and_then(|commit| commit.to_str().ok());
        let origin = Origin {
            project: project.to_owned(),
            commit: commit.unwrap_or(git_ref).to_owned(),
            component: None,
        };
        let text = read(response).await?;
        Ok(Some(Fetched::Of { text, origin }))
    }

    async fn component(&self, address: &str) -> Result<Fetched, Trouble> {
        let parsed: ComponentAddress = address.parse().map_err(Trouble::failed)?;
        let here = self.0.server().authority();
        if parsed.host != "$CI_SERVER_FQDN" && parsed.host != here {
            let reason = format!(
                "it is on `{}`, and you are logged in to `{here}`",
                parsed.host
            );
            let hint = "log in there with `lotse login URL`; `$CI_SERVER_FQDN` is the host of the git remote `lotse` or `origin`";
            return Err(Trouble::Unavailable(Missing::new(reason).hint(hint)));
        }
        let tags = match parsed.version {
            ComponentVersion::Ref(_) => Vec::new(),
            _ => self.tags(&parsed.project).await?,
        };
        let version = parsed.version.choose(tags.iter().map(String::as_str));
        let none = || format!("{} has no tag that is a version", parsed.project);
        let version = version.ok_or_else(|| Trouble::failed(none()))?;
        for path in parsed.files() {
            let found = self.file(&parsed.project, version, &path).await?;
            if let Some(Fetched::Of { text, mut origin }) = found {
                origin.component = Some(parsed.facts(version));
                return Ok(Fetched::Of { text, origin });
            }
        }
        let [usual, other] = parsed.files();
        let project = &parsed.project;
        Err(Trouble::failed(format!(
            "{project} has neither `{usual}` nor `{other}` at `{version}`, or your token may not see it"
        )))
    }

    async fn tags(&self, project: &str) -> Result<Vec<String>, Trouble> {
        let path = ["projects", project, "repository", "tags"];
        let tags = self.0.list(&path, &[], TAGS).await;
        let tags = tags.map_err(|failure| Trouble::unavailable(&failure))?;
        let name = |tag: &serde_json::Value| tag["name"].as_str().map(str::to_owned);
        Ok(tags.iter().filter_map(name).collect())
    }

    async fn tree(&self, at: &RepositoryAt) -> Tree {
        let path = ["projects", &at.project, "repository", "tree"];
        let mut query = vec![("recursive", "true".to_owned())];
        query.extend(at.git_ref.clone().map(|name| ("ref", name)));
        let Ok(entries) = self.0.list(&path, &query, PATHS).await else {
            return Tree::Unknown;
        };
        let is_file = |entry: &&serde_json::Value| entry["type"] == "blob";
        let path = |entry: &serde_json::Value| entry["path"].as_str().map(str::to_owned);
        let whole = entries.len() < PATHS;
        match whole {
            true => Tree::Paths(entries.iter().filter(is_file).filter_map(path).collect()),
            false => Tree::Unknown,
        }
    }

    async fn template(&self, name: &str) -> Result<Fetched, Trouble> {
        let key = name.trim_end_matches(".gitlab-ci.yml");
        let found = self.get(&["templates", "gitlab_ci_ymls", key], &[]).await?;
        let Some(response) = found else {
            let reason = format!("{} has no such template", self.0.server());
            return Err(Trouble::failed(reason));
        };
        let body = read(response).await?;
        let body: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
        match body["content"].as_str() {
            Some(text) => Ok(Fetched::Text(text.to_owned())),
            None => Err(Trouble::unavailable(&self.0.not_understood())),
        }
    }

    /// The answer, if what is asked for is there.
    async fn get(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Option<Response>, Trouble> {
        let request = self.0.request(Method::GET, path).query(query);
        let unavailable = |failure: Failure| Trouble::unavailable(&failure);
        let response = self.0.exchange(request).await.map_err(unavailable)?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let response = self.0.check(response).await.map_err(unavailable)?;
        Ok(Some(response))
    }
}

async fn read(response: Response) -> Result<String, Trouble> {
    let bytes = server::remote::read(response).await.map_err(trouble)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
