//! What a pipeline of this work tree would be compiled with.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use ci::{Comparison, Compiled, Fetched, Input, Missing, Purpose, Source};
use clap::Args;
use model::{GitRef, Variable};

use super::elsewhere::Elsewhere;
use super::worktree::WorkTree;
use crate::output::Failure;

/// What the pipeline is for.
#[derive(Debug, Args)]
pub(crate) struct For {
    /// The branch, or a full name as `refs/tags/v1` [default: the branch that is checked out]
    #[arg(long = "ref", value_name = "REF", conflicts_with = "tag")]
    git_ref: Option<String>,
    /// The tag
    #[arg(long)]
    tag: Option<String>,
    /// What asks for the pipeline: push, web, schedule, api, trigger, …
    #[arg(long, default_value = "push")]
    pub(super) source: Source,
    /// A variable of the project's settings (repeatable)
    #[arg(long = "var", value_name = "KEY=VALUE", value_parser = key_and_value)]
    variables: Vec<(String, String)>,
}

impl For {
    /// Whatever is checked out, without variables.
    pub(crate) fn here() -> Self {
        Self {
            git_ref: None,
            tag: None,
            source: Source::Push,
            variables: Vec::new(),
        }
    }

    /// The variables that are given, as those of the project's settings.
    pub(super) fn settings(&self) -> Vec<Variable> {
        let variable = |(key, value): &(String, String)| Variable::public(key, value);
        self.variables.iter().map(variable).collect()
    }

    /// The branch or tag; what is checked out below `root`, when none is named.
    pub(super) fn git_ref(&self, root: &Path) -> Result<GitRef, Failure> {
        let parsed = match (&self.tag, &self.git_ref) {
            (Some(tag), _) => GitRef::tag(tag.as_str()),
            (None, Some(name)) if name.starts_with("refs/") => name.parse(),
            (None, Some(name)) => GitRef::branch(name.as_str()),
            (None, None) => GitRef::branch(checked_out(root).unwrap_or_else(|| "main".to_owned())),
        };
        parsed.map_err(|error| Failure::usage(error.to_string()))
    }

    /// Whether the pipeline is for what is checked out.
    pub(super) fn is_here(&self) -> bool {
        self.tag.is_none() && self.git_ref.is_none()
    }
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE".to_owned()),
    }
}

/// Reads a file, `-` being standard input, and compiles it with the files it includes.
pub(crate) async fn compile(
    file: &Path,
    what: &For,
    purpose: Purpose,
    elsewhere: &Elsewhere,
) -> Result<Compiled, Failure> {
    let text = read(file)?;
    let root = root(file);
    let name = match file.to_str() {
        Some("-") => "<stdin>".to_owned(),
        _ => file.display().to_string(),
    };
    let git_ref = what.git_ref(&root)?;
    let mut input = Input::new(name, text, git_ref);
    input.purpose = purpose;
    input.source = what.source;
    input.variables.project = what.settings();
    let worktree = WorkTree::at(&root);
    if input.text.contains("exists") || input.text.contains("include") {
        let known = worktree.as_ref().and_then(WorkTree::files);
        input.tree = known.or_else(|| tree(&root));
    }
    let asks = input.text.contains("changes") || input.text.contains("include");
    if let Some(worktree) = worktree.as_ref().filter(|_| asks) {
        input.changes = worktree.changes(&input.git_ref, what);
    }
    match worktree
        .as_ref()
        .and_then(|tree| tree.subject_of_head(input.git_ref.clone(), what))
    {
        Some(subject) => {
            input.variables.predefined = subject.variables();
            input.default_branch = subject.commit.default_branch;
            input.project = subject.project.to_string();
        }
        None => input.variables.predefined = predefined(&input),
    }
    let compare = |name: &str| {
        let tree = worktree.as_ref();
        tree.map_or(Comparison::Unknown, |tree| tree.compare(name))
    };
    let compiled = elsewhere.compile(input, |path| fetch(&root, path), compare);
    Ok(compiled.await)
}

fn read(file: &Path) -> Result<String, Failure> {
    if file == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin()
            .read_to_end(&mut bytes)
            .map_err(|error| Failure::user("cannot read standard input").because(&error))?;
        return Ok(String::from_utf8_lossy(&bytes).into_owned());
    }
    let bytes = fs_err::read(file).map_err(|error| {
        Failure::user("cannot read the file")
            .because(&error)
            .hint("name the file, or `-` for standard input")
    })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The folder that paths of `include:local` start from: the work tree's, else the file's own.
fn root(file: &Path) -> PathBuf {
    let parent = file
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let folder = parent.unwrap_or(Path::new("."));
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let is_root = |folder: &&Path| folder.join(".git").exists();
    let found = folder.ancestors().find(is_root).map(Path::to_owned);
    found.unwrap_or(folder)
}

/// The branch that is checked out, if one is.
fn checked_out(root: &Path) -> Option<String> {
    let output = Command::new("git")
        .args(["symbolic-ref", "--quiet", "--short", "HEAD"])
        .current_dir(root)
        .output()
        .ok()?;
    let branch = String::from_utf8(output.stdout).ok()?;
    Some(branch.trim().to_owned()).filter(|branch| output.status.success() && !branch.is_empty())
}

/// What is known without a commit.
fn predefined(input: &Input) -> Vec<Variable> {
    let name = input.git_ref.name();
    let kind = match input.git_ref.is_tag() {
        true => "CI_COMMIT_TAG",
        false => "CI_COMMIT_BRANCH",
    };
    vec![
        Variable::public("CI", "true"),
        Variable::public("GITLAB_CI", "true"),
        Variable::public(kind, name),
        Variable::public("CI_COMMIT_REF_NAME", name),
        Variable::public("CI_COMMIT_REF_SLUG", model::slug(name)),
        Variable::public("CI_DEFAULT_BRANCH", &*input.default_branch),
        Variable::public("CI_PIPELINE_SOURCE", input.source.as_str()),
    ]
}

/// Files of a work tree that are looked at; beyond that `exists` always holds, as in GitLab.
const MAX_FILES: usize = 50_000;

fn tree(root: &Path) -> Option<Vec<String>> {
    let mut files = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs_err::read_dir(&folder).ok()?.flatten() {
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if kind.is_dir() && entry.file_name() != ".git" {
                open.push(entry.path());
            } else if !kind.is_dir()
                && let Ok(path) = entry.path().strip_prefix(root)
            {
                files.push(path.to_string_lossy().into_owned());
            }
        }
        if files.len() > MAX_FILES {
            return None;
        }
    }
    Some(files)
}

fn fetch(root: &Path, path: &str) -> Fetched {
    let outside = Path::new(path)
        .components()
        .any(|part| !matches!(part, std::path::Component::Normal(_)));
    if outside {
        return Fetched::Failed(Missing::new("it is outside of the repository"));
    }
    match fs_err::read(root.join(path)) {
        Ok(bytes) => Fetched::Text(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let reason = format!("there is no such file in {}", root.display());
            Fetched::Failed(Missing::new(reason))
        }
        Err(error) => Fetched::Failed(Missing::new(error.to_string())),
    }
}

/// Says on standard error what is wrong with a file that has no graph.
pub(crate) fn refused(compiled: &Compiled) -> Failure {
    let errors: Vec<_> = compiled
        .diagnostics
        .iter()
        .filter(|one| one.is_error())
        .cloned()
        .collect();
    eprintln!("{}", compiled.sources.render_all(&errors));
    let count = errors.len();
    let what = if count == 1 { "error" } else { "errors" };
    Failure::user(format!("the file has {count} {what}"))
}
