//! One tree of the main file and everything that it includes.
//!
//! Files come from [`Input::files`]; those that are absent are asked for in `wanted`. Included files
//! are merged in their order, and the file that includes them goes on top.

mod home;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::inputs::{Interpolation, check_spec, protect, restore, values};
use crate::merge::merge_maps;
use crate::report::{Problem, Report};
use crate::rules::{Decision, Facts};
use crate::schema::{GLOBAL, What, check};
use crate::scope::Scope;
use crate::{Fetched, Input, Location, Missing, Purpose, RepositoryAt, Tree};
use home::Home;
use yaml::{Map, Node, Span, Value};

/// Files of one pipeline (GitLab's default).
const MAX_FILES: usize = 150;
/// Includes inside each other.
const MAX_NESTING: usize = 100;
/// Bytes of all files.
const MAX_TOTAL: usize = 64 << 20;

pub(crate) struct Loader<'l> {
    pub(crate) input: &'l Input,
    pub(crate) facts: &'l Facts<'l>,
    /// What the files of this server see.
    pub(crate) scope: &'l Scope<'l>,
    /// What files from elsewhere see: nothing.
    pub(crate) strangers: &'l Scope<'l>,
    pub(crate) report: &'l mut Report,
    pub(crate) wanted: Vec<Location>,
    files: usize,
    bytes: usize,
    /// The files that are being read, the innermost last.
    open: Vec<Location>,
    /// Where the innermost is at home.
    home: Home,
    /// What the innermost may know of itself, if it is a component.
    component: BTreeMap<&'static str, String>,
}

type Values = BTreeMap<Arc<str>, Node>;

impl<'l> Loader<'l> {
    pub(crate) fn new(
        input: &'l Input,
        facts: &'l Facts<'l>,
        [scope, strangers]: [&'l Scope<'l>; 2],
        report: &'l mut Report,
    ) -> Self {
        Self {
            input,
            facts,
            scope,
            strangers,
            report,
            wanted: Vec::new(),
            files: 0,
            bytes: 0,
            open: Vec::new(),
            home: Home::Here,
            component: BTreeMap::new(),
        }
    }

    /// The variables that the innermost file sees.
    fn sight(&self) -> &'l Scope<'l> {
        match self.home {
            Home::Elsewhere => self.strangers,
            _ => self.scope,
        }
    }

    /// The whole tree; nothing when the main file is none.
    pub(crate) fn main(&mut self) -> Option<Map> {
        let file = self.report.file(&self.input.name, &self.input.text, None);
        let mut given = Values::new();
        for (name, text) in &self.input.inputs {
            let documents = self.report.parse(file, text).unwrap_or_default();
            let span = yaml_start(file);
            let value = documents.into_iter().next().map(|node| node.value);
            let node = Node::new(value.unwrap_or(Value::Null), span);
            given.insert(name.as_str().into(), node);
        }
        self.file(file, &self.input.text, &given, yaml_start(file))
    }

    fn file(&mut self, file: u32, text: &str, given: &Values, at: Span) -> Option<Map> {
        let has_blocks = text.contains("$[[");
        let documents = match has_blocks {
            true => self.report.parse(file, &protect(text))?,
            false => self.report.parse(file, text)?,
        };
        let content = self.content(file, documents, has_blocks, given, at)?;
        let Some(include) = content.get("include") else {
            return Some(content);
        };
        let mut below = Map::default();
        for part in self.included(include) {
            below = merge_maps(&below, &part);
        }
        let mut own = content;
        own.entries.retain(|entry| &*entry.key != "include");
        Some(merge_maps(&below, &own))
    }

    /// The file's own mapping, with the values of its inputs.
    fn content(
        &mut self,
        file: u32,
        documents: Vec<Node>,
        has_blocks: bool,
        given: &Values,
        at: Span,
    ) -> Option<Map> {
        let mut documents = documents.into_iter();
        let nothing = Node::new(Value::Null, yaml_start(file));
        let mut content = documents.next().unwrap_or(nothing);
        let header = content.get("spec").map(restore);
        let body = header.is_some().then(|| documents.next()).flatten();
        if let (Some(spec), Some(body)) = (&header, &body) {
            check_spec(spec, self.report);
            let values = values(spec, given, at, self.report);
            let mut interpolation = Interpolation {
                values: &values,
                component: known_of_itself(spec, &self.component),
                scope: self.sight(),
                made: 0,
            };
            content = interpolation.node(body, self.report);
        } else if has_blocks {
            content = restore(&content);
        }
        if body.is_none() && !given.is_empty() {
            let message = "this file takes no inputs: it has no `spec` in a header";
            self.report.add(Problem::error("input", at, message));
        }
        if let Some(more) = documents.next() {
            let message = "more than one document in this file: the rest is ignored";
            let problem = Problem::warning("documents", more.span, message);
            self.report
                .add(problem.hint("only a header with `spec` may come before `---`"));
        }
        match content.value {
            Value::Map(map) => Some(Arc::unwrap_or_clone(map)),
            Value::Null => {
                let message = "the file is empty";
                self.report.add(
                    Problem::error("no-jobs", yaml_start(file), message)
                        .hint("write at least one job with a `script`"),
                );
                None
            }
            _ => {
                let message = format!("the file must be a mapping, but is {}", content.kind());
                self.report.add(
                    Problem::error("wrong-kind", content.span, message)
                        .hint("write `job name:`, and its keywords indented below"),
                );
                None
            }
        }
    }

    fn included(&mut self, include: &Node) -> Vec<Map> {
        let before = self.report.errors();
        let shape = &GLOBAL.key("include").expect("`include` is a keyword").shape;
        check(include, shape, &What::FILE.key("include"), self.report);
        if self.report.errors() > before && !matches!(include.value, Value::List(_)) {
            return Vec::new();
        }
        let mut entries = Vec::new();
        flatten(include, &mut entries);
        let mut parts = Vec::new();
        for entry in entries {
            self.entry(&entry, &mut parts);
        }
        parts
    }

    fn entry(&mut self, entry: &Node, parts: &mut Vec<Map>) {
        self.check_entry(entry);
        if let Some(rules) = entry.get("rules") {
            let decision = self.facts.decide(rules, self.sight(), self.report);
            let never = |rule: &Node| rule.get("when").and_then(Node::as_str) == Some("never");
            match decision {
                Decision::Rule(rule) if !never(&rule) => {}
                _ => return,
            }
        }
        let mut given = Values::new();
        if let Some(inputs) = entry.get("inputs").and_then(Node::as_map) {
            for input in &inputs.entries {
                given.insert(Arc::clone(&input.key), input.value.clone());
            }
        }
        for location in self.locations(entry) {
            parts.extend(self.one(location, entry.span, &given));
        }
    }

    fn check_entry(&mut self, entry: &Node) {
        if let Some(cache) = entry.get("cache")
            && entry.get("remote").is_none()
        {
            let message = "`cache` is only for `include:remote`";
            let problem = Problem::error("include", cache.span, message);
            self.report
                .add(problem.hint("remove it: other files are always read anew"));
        }
        if entry.get("file").is_some() != entry.get("project").is_some() {
            let message = "`project` and `file` belong together";
            let problem = Problem::error("include", entry.span, message);
            self.report
                .add(problem.hint("write both: `project: group/name` and `file: path`"));
        }
        for input in
            (entry.get("inputs").and_then(Node::as_map)).map_or(&[][..], |map| &map.entries)
        {
            check_input_name(&input.key, input.span, self.report);
        }
    }

    /// The places an entry names; several for a list of files or a glob.
    fn locations(&mut self, entry: &Node) -> Vec<Location> {
        let text = |name: &str| {
            let text = entry.get(name).and_then(Node::as_str)?;
            Some(self.sight().expand(text))
        };
        if let Some(text) = entry.as_str() {
            let text = self.sight().expand(text);
            return match text.starts_with("http://") || text.starts_with("https://") {
                true => vec![self.remote(text, None, entry.span)],
                false => self.local(&text, entry.span),
            };
        }
        if let Some(path) = text("local") {
            return self.local(&path, entry.span);
        }
        if let Some(url) = text("remote") {
            return vec![self.remote(url, text("integrity"), entry.span)];
        }
        if let Some(name) = text("template") {
            return vec![Location::Template { name }];
        }
        if let Some(address) = text("component") {
            return vec![Location::Component { address }];
        }
        let (Some(project), Some(files)) = (text("project"), entry.get("file")) else {
            return Vec::new();
        };
        let mut paths = Vec::new();
        crate::rules::texts(files, &mut paths);
        let git_ref = text("ref");
        paths.retain(|path| self.ends_right(path, files.span));
        let one = |path: &Arc<str>| Location::Project {
            project: project.clone(),
            git_ref: git_ref.clone(),
            path: self.sight().expand(path).trim_start_matches('/').to_owned(),
        };
        paths.iter().map(one).collect()
    }

    fn remote(&mut self, url: String, integrity: Option<String>, span: Span) -> Location {
        if !url.starts_with("http://") && !url.starts_with("https://") {
            let message = format!("`{url}` is no address");
            let problem = Problem::error("include", span, message);
            self.report.add(
                problem.hint("write `https://…`, or use `local` for a file of this repository"),
            );
        }
        Location::Remote { url, integrity }
    }

    /// GitLab looks at the name before it reads the file (gitlab, config/external/file/base.rb).
    fn ends_right(&mut self, path: &str, span: Span) -> bool {
        let lower = path.to_ascii_lowercase();
        let right = [".yml", ".yaml"]
            .iter()
            .any(|ending| lower.ends_with(ending));
        if !right {
            let message = format!("`{path}` is no YAML file by its name");
            let problem = Problem::error("include", span, message);
            self.report
                .add(problem.hint("included files end in `.yml` or `.yaml`"));
        }
        right
    }

    /// A file of this repository, or of the project that the including file is from.
    fn local(&mut self, path: &str, span: Span) -> Vec<Location> {
        if !self.ends_right(path, span) {
            return Vec::new();
        }
        let path = path.trim_start_matches("./").trim_start_matches('/');
        let location = |path: String| match &self.home {
            Home::Project { project, git_ref } => Location::Project {
                project: project.clone(),
                git_ref: git_ref.clone(),
                path,
            },
            _ => Location::Local { path },
        };
        let is_somewhere = matches!(self.home, Home::Here | Home::Project { .. });
        if !path.contains('*') || !is_somewhere {
            return vec![location(path.to_owned())];
        }
        let found = match self.paths() {
            Some(Ok(paths)) => matching(path, paths),
            Some(Err(reason)) => {
                let message = format!("no file can be found by `{path}`: {reason}");
                self.report.add(Problem::error("include", span, message));
                return Vec::new();
            }
            None => return Vec::new(),
        };
        let found: Vec<_> = found.into_iter().map(location).collect();
        if found.is_empty() {
            let message = format!("no file of the repository matches `{path}`");
            self.report.add(Problem::error("include", span, message));
        }
        found
    }

    /// All paths of the repository that the file is of; nothing while they are asked for.
    fn paths(&self) -> Option<Result<&'l [String], &'l str>> {
        let input = self.input;
        let Home::Project { project, git_ref } = &self.home else {
            return Some(Ok(input.tree.as_deref().unwrap_or_default()));
        };
        let at = RepositoryAt {
            project: project.clone(),
            git_ref: git_ref.clone(),
        };
        Some(match self.facts.tree(&at)? {
            Tree::Paths(paths) => Ok(paths),
            Tree::Failed(missing) => Err(missing.reason.as_str()),
            Tree::Unknown => Err("nobody can look there"),
        })
    }

    fn one(&mut self, location: Location, at: Span, given: &Values) -> Option<Map> {
        if self.open.contains(&location) {
            let message = format!("`{}` includes itself", self.shown(&location));
            self.report.add(Problem::error("include", at, message));
            return None;
        }
        self.files += 1;
        if self.files > MAX_FILES || self.open.len() >= MAX_NESTING {
            let message = format!("more than {MAX_FILES} files are included");
            self.report.add(Problem::error("include", at, message));
            return None;
        }
        if let Some((reason, hint)) = self.home.forbids(&location) {
            self.refuse(&location, at, &Missing::new(reason).hint(hint));
            return None;
        }
        let input = self.input;
        let Some(fetched) = input.files.get(&location) else {
            self.wanted.push(location);
            return None;
        };
        match fetched {
            Fetched::Unavailable(missing) if input.purpose == Purpose::Check => {
                let shown = self.shown(&location);
                let message = format!("`{shown}` was not looked at: {}", missing.reason);
                let problem = Problem::warning("include", at, message);
                self.report.add(problem.maybe_hint(missing.hint.clone()));
                self.report.incomplete = true;
                None
            }
            Fetched::Failed(missing) | Fetched::Unavailable(missing) => {
                self.refuse(&location, at, missing);
                None
            }
            Fetched::Text(text) | Fetched::Of { text, .. } => {
                self.bytes += text.len();
                if self.bytes > MAX_TOTAL {
                    let message = format!("the included files have more than {MAX_TOTAL} bytes");
                    self.report.add(Problem::error("too-large", at, message));
                    return None;
                }
                let name = self.shown(&location);
                let file = self.report.file(&name, text, Some(at));
                let home = self.home.of(&location, fetched);
                let outer = std::mem::replace(&mut self.home, home);
                let component = std::mem::replace(&mut self.component, about(fetched));
                self.open.push(location);
                let map = self.file(file, text, given, at);
                self.open.pop();
                self.home = outer;
                self.component = component;
                map
            }
        }
    }

    /// The location for people: addresses may hold values of masked variables.
    fn shown(&self, location: &Location) -> String {
        let mut text = location.to_string();
        for variable in self.input.variables.settings().filter(|one| one.masked) {
            let value = variable.value.expose();
            if !value.is_empty() && text.contains(value) {
                text = text.replace(value, "[MASKED]");
            }
        }
        text
    }

    fn refuse(&mut self, location: &Location, at: Span, missing: &Missing) {
        let shown = self.shown(location);
        let message = format!("`{shown}` cannot be included: {}", missing.reason);
        let problem = Problem::error("include", at, message);
        self.report.add(problem.maybe_hint(missing.hint.clone()));
        self.report.incomplete = true;
    }
}

/// The paths that a pattern of `include:local` means, in order.
fn matching(pattern: &str, paths: &[String]) -> Vec<String> {
    let glob = crate::glob::wildcard(pattern);
    let fits = |file: &&String| glob.as_ref().is_some_and(|glob| glob.is_match(file));
    let mut found: Vec<_> = paths.iter().filter(fits).cloned().collect();
    found.sort();
    found
}

/// What a component may know of itself, by its word.
fn about(fetched: &Fetched) -> BTreeMap<&'static str, String> {
    let Fetched::Of { origin, .. } = fetched else {
        return BTreeMap::new();
    };
    let facts = origin.component.iter().flat_map(|facts| {
        [
            ("name", &facts.name),
            ("sha", &origin.commit),
            ("version", &facts.version),
            ("reference", &facts.reference),
        ]
    });
    facts.map(|(word, text)| (word, text.clone())).collect()
}

/// Of that, what the file's header asks for.
fn known_of_itself<'a>(
    spec: &Node,
    about: &'a BTreeMap<&'static str, String>,
) -> BTreeMap<&'static str, &'a str> {
    let asked = spec.get("component").and_then(Node::as_list);
    let asks =
        |word: &str| asked.is_some_and(|list| list.iter().any(|one| one.as_str() == Some(word)));
    let known = about.iter().filter(|(word, _)| asks(word));
    known.map(|(word, text)| (*word, text.as_str())).collect()
}

/// Names of inputs are words: they stand in `$[[ inputs.NAME ]]`.
pub(crate) fn check_input_name(name: &str, span: Span, report: &mut Report) {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if name.is_empty() || !name.chars().all(word) {
        let message = format!("`{name}` cannot be the name of an input");
        let problem = Problem::error("input", span, message);
        report.add(problem.hint("use letters, digits, `_` and `-`"));
    }
}

fn flatten(include: &Node, entries: &mut Vec<Node>) {
    match &include.value {
        Value::List(items) => items.iter().for_each(|item| flatten(item, entries)),
        Value::Map(_) | Value::Text(_) => entries.push(include.clone()),
        _ => {}
    }
}

fn yaml_start(file: u32) -> Span {
    Span {
        file,
        line: 1,
        column: 1,
        length: 1,
    }
}
