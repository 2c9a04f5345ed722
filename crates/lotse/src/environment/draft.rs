//! From the files of a project to a release without number, or to all that is wrong with them.

use std::collections::BTreeMap;

use apply::resolve;
use clap::Args;
use compose::{Loaded, Project};
use deploy::release::Source;
use deploy::{Draft, EnvironmentName};
use model::Secret;

use super::{Hosts, Scope, Which, connect, label};
use crate::disk::Disk;
use crate::output::Failure;

/// What a value is taken for that is not known, so that all other mistakes can be told as well.
const UNKNOWN: &str = "unknown";

/// What a release is made with, beside the files.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Drafting {
    /// A value for the compose files, before those of lotse.toml (repeatable)
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = name_and_value)]
    values: Vec<(String, String)>,
    /// What people call the release [default: CI_COMMIT_TAG, else what `git describe` says]
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as NAME=VALUE".to_owned()),
    }
}

/// A project whose files are right.
struct Sources {
    project: Project,
    values: BTreeMap<String, String>,
    label: Option<String>,
}

/// A release that files make, and where it is to go.
pub(crate) struct Drafted {
    pub(crate) scope: Scope,
    pub(crate) hosts: Hosts,
    pub(crate) draft: Draft,
}

impl Drafting {
    /// Reads the files, connects to the hosts, and asks about images.
    ///
    /// # Errors
    /// All mistakes in the files, before any host is touched.
    pub(crate) async fn draft(&self, which: &Which) -> Result<Drafted, Failure> {
        let scope = which.load()?;
        let sources = self.read(&scope)?;
        let hosts = connect(&scope).await?;
        let draft = sources.draft(&scope, &hosts).await?;
        Ok(Drafted {
            scope,
            hosts,
            draft,
        })
    }

    /// Reads the files. Touches no host.
    ///
    /// # Errors
    /// All mistakes in `lotse.toml` and the compose files; the compose files' own are said already.
    fn read(&self, scope: &Scope) -> Result<Sources, Failure> {
        let mut flaws = Vec::new();
        let values = self.values(scope, &mut flaws);
        let loaded = compose::load(&request(scope, &values), &Disk);
        if !loaded.diagnostics.is_empty() {
            eprintln!("{}", loaded.render().trim_end());
        }
        if let Some(failure) = failure(scope, &flaws, &loaded) {
            return Err(failure);
        }
        let project = loaded
            .project
            .ok_or_else(|| Failure::internal("a project without errors is missing"))?;
        let label = self.label.as_deref().map(label::cut);
        Ok(Sources {
            project,
            values,
            label: label.or_else(|| label::of(&scope.folder)),
        })
    }

    /// The values of `lotse.toml`, with the process's variables in their places, and those of the
    /// command line.
    fn values(&self, scope: &Scope, flaws: &mut Vec<String>) -> BTreeMap<String, String> {
        let own: BTreeMap<&str, &str> = self
            .values
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let mut values = BTreeMap::new();
        for (name, text) in &scope.environment.variables {
            if own.contains_key(name.as_str()) {
                continue;
            }
            let filled = compose::fill(text, &|name| std::env::var(name).ok());
            let value = filled.unwrap_or_else(|wrong| {
                flaws.extend(
                    wrong
                        .into_iter()
                        .map(|wrong| flaw(&scope.name, name, &wrong)),
                );
                UNKNOWN.to_owned()
            });
            values.insert(name.clone(), value);
        }
        let own = own.into_iter();
        values.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
        values
    }
}

fn flaw(environment: &EnvironmentName, name: &str, wrong: &str) -> String {
    format!("`{name}` in `[environment.{environment}.variables]`: {wrong}")
}

/// What Compose is asked for to tell the project's name. Values that are not known do not matter.
pub(super) fn bare_request(scope: &Scope) -> compose::Request {
    let mut unknown = Vec::new();
    let values = Drafting::default().values(scope, &mut unknown);
    request(scope, &values)
}

fn request(scope: &Scope, values: &BTreeMap<String, String>) -> compose::Request {
    let mut environment: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    environment.extend(values.clone());
    compose::Request {
        directory: scope.folder.to_string_lossy().into_owned(),
        files: scope.environment.compose.clone(),
        project_name: scope.environment.project.clone(),
        profiles: scope.environment.profiles.clone(),
        environment,
        ..compose::Request::default()
    }
}

fn failure(scope: &Scope, flaws: &[String], loaded: &Loaded) -> Option<Failure> {
    let file = scope.file.display();
    match (flaws, loaded.has_errors()) {
        ([], false) => None,
        ([], true) => Some(Failure::user("the compose files have mistakes, see above")),
        (flaws, wrong) => {
            let also = if wrong {
                ", and the compose files have mistakes, see above"
            } else {
                ""
            };
            let list = flaws.join("\n  ");
            let failure = Failure::user(format!("{file} has mistakes{also}\n  {list}"));
            Some(failure.hint(
                "set the variable where the command runs, write `${NAME:-default}`, or give `--set NAME=VALUE`",
            ))
        }
    }
}

impl Sources {
    /// Resolves images through the engine of the first host.
    pub(crate) async fn draft(self, scope: &Scope, hosts: &Hosts) -> Result<Draft, Failure> {
        hosts.all()?;
        let images = match hosts.reached().next() {
            Some((_, first)) => {
                resolve::images(&self.project, &first.engine, &*crate::hosts::keyring()).await
            }
            None => {
                let unknown = || Err("no host could be reached to ask for it".to_owned());
                let names = self.project.services.keys().cloned();
                names.map(|name| (name, unknown())).collect()
            }
        };
        let values = self.values.into_iter();
        let source = Source {
            environment: scope.name.clone(),
            label: self.label,
            values: values
                .map(|(name, value)| (name, Secret::new(value)))
                .collect(),
            images,
            files: resolve::files(&self.project),
        };
        Ok(Draft::resolve(&self.project, source))
    }
}
