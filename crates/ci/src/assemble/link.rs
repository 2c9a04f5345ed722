//! The edges of the graph: `needs`, `dependencies`, and the jobs that stop environments.

use std::collections::{HashMap, HashSet};

use super::{Copy, matrix};
use crate::Purpose;
use crate::draft::{Context, Draft, Fate, Part, Terms};
use crate::graph::{Graph, Need};
use crate::read;
use crate::report::{Problem, Report};
use yaml::{Entry, Node, Span, Value, to_json};

/// Names in one `needs` (GitLab's default).
const MAX_NEEDS: usize = 50;
/// Edges of the graph.
const MAX_EDGES: usize = 5_000_000;

/// Draws the edges.
pub(super) struct Linker<'l> {
    drafts: &'l [Draft],
    copies: &'l [Copy<'l>],
    context: &'l Context<'l>,
    report: &'l mut Report,
    draft_places: HashMap<&'l str, usize>,
    /// Jobs of the graph by name and by group.
    jobs: HashMap<&'l str, Vec<usize>>,
    /// Jobs that do not run here, by name and by group.
    left_out: HashMap<&'l str, Vec<&'l Part>>,
    edges: usize,
}

impl<'l> Linker<'l> {
    pub(super) fn new(
        drafts: &'l [Draft],
        copies: &'l [Copy<'l>],
        context: &'l Context<'l>,
        report: &'l mut Report,
    ) -> Self {
        let mut jobs: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, copy) in copies.iter().enumerate() {
            for name in names(&drafts[copy.draft], copy.part) {
                jobs.entry(name).or_default().push(index);
            }
        }
        let mut left_out: HashMap<&str, Vec<&Part>> = HashMap::new();
        for draft in drafts {
            let parts = draft.parts.iter();
            for part in parts.filter(|part| matches!(part.fate, Fate::LeftOut(..))) {
                for name in names(draft, part) {
                    left_out.entry(name).or_default().push(part);
                }
            }
        }
        let place = |(at, draft): (usize, &'l Draft)| (&*draft.name, at);
        Self {
            draft_places: drafts.iter().enumerate().map(place).collect(),
            drafts,
            copies,
            context,
            report,
            jobs,
            left_out,
            edges: 0,
        }
    }

    /// Whether the jobs that a job with errors names exist.
    pub(super) fn check_names(&mut self, job: &Entry) {
        for item in job
            .value
            .get("needs")
            .map(read::named_items)
            .unwrap_or_default()
        {
            let optional = item.get("optional").and_then(Node::as_bool) == Some(true);
            let name = item.get("job").unwrap_or(&item);
            if let Some(text) = name.as_str()
                && !(optional || is_elsewhere(&item) || self.exists(text))
            {
                self.needs_unknown(&job.key, text, name.span);
            }
        }
        let dependencies = job.value.get("dependencies").map(read::named_items);
        for item in dependencies.unwrap_or_default() {
            if let Some(text) = item.as_str()
                && !self.exists(text)
            {
                let message = format!(
                    "job `{}` depends on `{text}`, which does not exist",
                    job.key
                );
                self.report
                    .add(Problem::error("dependencies", item.span, message));
            }
        }
    }

    fn exists(&self, name: &str) -> bool {
        self.context.names.contains(name)
            || self.jobs.contains_key(name)
            || self.left_out.contains_key(name)
            || name.contains("$[[")
    }

    pub(super) fn link(mut self, graph: &mut Graph) {
        for (index, copy) in self.copies.iter().enumerate() {
            let draft = &self.drafts[copy.draft];
            let terms = copy.terms;
            if let Some(needs) = &terms.needs {
                let items = read::named_items(needs);
                let job = &mut graph.jobs[index];
                job.needs_elsewhere = items
                    .iter()
                    .filter(|item| is_elsewhere(item))
                    .map(to_json)
                    .collect();
                let here: Vec<_> = items.iter().filter(|item| !is_elsewhere(item)).collect();
                if !here.is_empty() || items.is_empty() {
                    graph.jobs[index].needs = Some(self.needs(copy, &here, needs.span));
                }
            }
            if let Some(dependencies) = draft.get("dependencies") {
                graph.jobs[index].dependencies =
                    Some(self.dependencies(draft, dependencies, terms));
            }
            if self.edges > MAX_EDGES {
                let message = "the jobs have too many `needs` together";
                self.report
                    .add(Problem::error("too-large", draft.span, message));
                return;
            }
            self.check_environment(draft);
        }
        self.find_circle(graph);
    }

    fn needs(&mut self, copy: &Copy<'_>, items: &[&Node], span: Span) -> Vec<Need> {
        if items.len() > MAX_NEEDS {
            let message = format!(
                "`needs` has {} entries; at most {MAX_NEEDS} are allowed",
                items.len()
            );
            let problem = Problem::error("out-of-range", span, message);
            self.report
                .add(problem.hint("put jobs between them, or wait for the stage"));
        }
        let mut needs: Vec<Need> = Vec::new();
        let mut seen = HashSet::new();
        for item in items {
            let flag = |key: &str| item.get(key).and_then(Node::as_bool);
            let optional = flag("optional").unwrap_or(false);
            let name = item.get("job").unwrap_or(item);
            for job in self.needed(copy, name, item, optional) {
                if seen.insert(job) {
                    needs.push(Need {
                        job,
                        artifacts: flag("artifacts").unwrap_or(true),
                        optional,
                    });
                }
            }
        }
        self.edges += needs.len();
        needs
    }

    /// The jobs that one entry of `needs` means.
    fn needed(&mut self, copy: &Copy<'_>, name: &Node, item: &Node, optional: bool) -> Vec<usize> {
        let draft = &self.drafts[copy.draft];
        let Some(text) = name.scalar_text() else {
            return Vec::new();
        };
        let Some(text) = self.filled(&text, copy, name.span) else {
            return Vec::new();
        };
        if *text == *draft.name {
            let message = format!("job `{text}` needs itself");
            self.report.add(Problem::error("needs", name.span, message));
            return Vec::new();
        }
        let matrix = item.get("parallel").and_then(|node| node.get("matrix"));
        let Some(rows) = self.rows(matrix, copy) else {
            return Vec::new();
        };
        let wanted = |part: &Part| rows.is_empty() || rows.iter().any(|row| part.has(row));
        let left_out = self.left_out.get(&*text).map_or(&[][..], Vec::as_slice);
        let absent = left_out.iter().find(|part| wanted(part)).copied();
        let copies = self.copies;
        let found = self.jobs.get(&*text).map_or(&[][..], Vec::as_slice);
        let later = found.first().map(|&job| copies[job].draft);
        let chosen: Vec<_> = found
            .iter()
            .filter(|&&job| wanted(copies[job].part))
            .copied()
            .collect();
        if let Some(other) = later.map(|other| &self.drafts[other])
            && other.stage > draft.stage
        {
            self.needs_later(draft, other, name.span);
            return Vec::new();
        }
        match (absent, matrix) {
            _ if optional => {}
            (Some(part), _) => self.needs_left_out(copy, part, name.span),
            (None, Some(matrix)) if !found.is_empty() && chosen.is_empty() => {
                let message = format!("no parallel job of `{text}` has these values");
                self.report
                    .add(Problem::error("needs", matrix.span, message));
            }
            _ if found.is_empty() && !self.has_errors(&text) => {
                self.needs_unknown(&draft.name, &text, name.span);
            }
            _ => {}
        }
        chosen
    }

    /// The rows of a matrix that are needed, of which `$[[ matrix.NAME ]]` is the job's own value. Nothing
    /// when it has none.
    fn rows(
        &mut self,
        matrix: Option<&Node>,
        copy: &Copy<'_>,
    ) -> Option<Vec<Vec<(String, String)>>> {
        let Some(matrix) = matrix else {
            return Some(Vec::new());
        };
        let mut rows = read::matrix(matrix);
        for (_, value) in rows.iter_mut().flatten() {
            if value.contains("$[[") {
                *value = self.filled(value, copy, matrix.span)?;
            }
        }
        Some(rows)
    }

    fn filled(&mut self, text: &str, copy: &Copy<'_>, span: Span) -> Option<String> {
        let unknown = match matrix::fill(text, copy.part) {
            Ok(text) => return Some(text),
            Err(unknown) => unknown,
        };
        let draft = &self.drafts[copy.draft];
        let message = format!(
            "`{unknown}` is not in the matrix of job `{}`, which needs this",
            draft.name
        );
        let place = copy
            .part
            .parallel
            .as_ref()
            .and_then(|one| one.matrix.as_deref());
        let names: Vec<_> = (place.unwrap_or_default().iter())
            .map(|(name, _)| name.as_str())
            .collect();
        let hint = match (
            self.report.nearest(&unknown, names.iter().copied()),
            &names[..],
        ) {
            (Some(near), _) => format!("did you mean `$[[ matrix.{near} ]]`?"),
            (None, []) => {
                format!("give it a `parallel:matrix` with `{unknown}`, or write the value")
            }
            (None, names) => format!("its matrix has {}", names.join(", ")),
        };
        self.report
            .add(Problem::error("needs", span, message).hint(hint));
        None
    }

    fn needs_later(&mut self, draft: &Draft, other: &Draft, span: Span) {
        let stages = &self.context.globals.stages;
        let message = format!(
            "job `{}` of stage `{}` cannot need `{}` of the later stage `{}`",
            draft.name, stages[draft.stage], other.name, stages[other.stage]
        );
        self.report.add(
            Problem::error("needs", span, message)
                .note(other.span, format!("`{}`", other.name))
                .hint("move one of them to another stage"),
        );
    }

    fn needs_left_out(&mut self, copy: &Copy<'_>, other: &Part, span: Span) {
        if self.context.facts.input.purpose != Purpose::Create {
            return;
        }
        let Fate::LeftOut(reason, at) = &other.fate else {
            return;
        };
        let name = &self.drafts[copy.draft].name;
        let message = format!(
            "job `{name}` needs `{}`, which does not run here",
            other.name
        );
        self.report.add(
            Problem::error("needs", span, message)
                .note(*at, format!("`{}`: {reason}", other.name))
                .hint("write `- job: …` with `optional: true`, or give both jobs the same `rules`"),
        );
    }

    fn needs_unknown(&mut self, job: &str, name: &str, span: Span) {
        let drafts = self.drafts;
        let message = format!("job `{job}` needs `{name}`, which does not exist");
        let near = self
            .report
            .nearest(name, drafts.iter().take(5_000).map(|draft| &*draft.name));
        self.report.add(
            Problem::error("needs", span, message)
                .maybe_hint(near.map(|near| format!("did you mean `{near}`?"))),
        );
    }

    /// Whether it is a job of the file of which there is none in the graph: why was said.
    fn has_errors(&self, name: &str) -> bool {
        self.context.names.contains(name) && !self.jobs.contains_key(name)
    }

    fn dependencies(&mut self, draft: &Draft, node: &Node, terms: &Terms) -> Vec<usize> {
        let needs: Option<Vec<_>> = terms.needs.as_ref().map(|needs| {
            let items = read::named_items(needs);
            let name = |item: &Node| item.get("job").unwrap_or(item).scalar_text();
            items.iter().filter_map(name).collect()
        });
        let mut found = Vec::new();
        for item in read::named_items(node) {
            let Some(name) = item.scalar_text() else {
                continue;
            };
            let stage = (self.draft_places.get(&*name)).map(|&place| self.drafts[place].stage);
            let copies = self.jobs.get(&*name).cloned().unwrap_or_default();
            let stage = stage.or(copies
                .first()
                .map(|&copy| self.drafts[self.copies[copy].draft].stage));
            let in_needs = needs.as_ref().map(|needs| needs.contains(&name));
            let wrong = match (stage, in_needs) {
                (None, _) if self.has_errors(&name) => continue,
                (None, _) => "does not exist",
                (_, Some(false)) => "is not in its `needs`",
                (Some(stage), None) if stage >= draft.stage => "is not in an earlier stage",
                _ => {
                    found.extend(copies);
                    continue;
                }
            };
            let message = format!("job `{}` depends on `{name}`, which {wrong}", draft.name);
            self.report
                .add(Problem::error("dependencies", item.span, message));
        }
        found
    }

    /// The job that stops an environment exists and stops it.
    fn check_environment(&mut self, draft: &Draft) {
        let environment = draft.get("environment");
        let Some(on_stop) = environment.and_then(|node| node.get("on_stop")) else {
            return;
        };
        let name = on_stop.scalar_text().unwrap_or_default();
        let other = self
            .draft_places
            .get(&*name)
            .map(|&place| &self.drafts[place]);
        let action = other
            .and_then(|other| other.get("environment"))
            .and_then(|node| node.get("action"))
            .and_then(Node::as_str);
        let of = |draft: &Draft| {
            draft
                .get("environment")
                .map(|node| read::environment(node).name)
        };
        let message = match (other, action) {
            (Some(other), Some("stop")) if of(other) == of(draft) => return,
            (Some(_), Some("stop")) => format!(
                "job `{name}` stops another environment than that of job `{}`",
                draft.name
            ),
            (None, _) if self.has_errors(&name) => return,
            (Some(_), _) => format!("job `{name}` does not stop an environment"),
            (None, _) => format!("`on_stop` names job `{name}`, which does not exist"),
        };
        let problem = Problem::error("environment", on_stop.span, message);
        self.report.add(match other {
            Some(_) => problem.hint(format!(
                "give `{name}` an `environment` of the same name with `action: stop`"
            )),
            None => problem.hint("add a job that stops the environment"),
        });
    }

    /// Jobs of one stage may need each other, but not in a circle.
    fn find_circle(&mut self, graph: &Graph) {
        let needs = |job: usize| graph.jobs[job].needs.iter().flatten().map(|need| need.job);
        let mut needed_by: Vec<Vec<usize>> = vec![Vec::new(); graph.jobs.len()];
        let mut open: Vec<usize> = vec![0; graph.jobs.len()];
        for (job, open) in open.iter_mut().enumerate() {
            for other in needs(job) {
                needed_by[other].push(job);
                *open += 1;
            }
        }
        let mut ready: Vec<_> = (0..open.len()).filter(|&job| open[job] == 0).collect();
        while let Some(job) = ready.pop() {
            for &other in &needed_by[job] {
                open[other] -= 1;
                if open[other] == 0 {
                    ready.push(other);
                }
            }
        }
        let Some(start) = open.iter().position(|&open| open > 0) else {
            return;
        };
        let mut path = vec![start];
        loop {
            let last = path[path.len() - 1];
            let Some(next) = needs(last).find(|&other| open[other] > 0) else {
                return;
            };
            if let Some(at) = path.iter().position(|&job| job == next) {
                path.drain(..at);
                path.push(next);
                break;
            }
            path.push(next);
        }
        let names: Vec<_> = path
            .iter()
            .map(|&job| graph.jobs[job].name.as_str())
            .collect();
        let message = format!(
            "these jobs need each other in a circle: {}",
            names.join(" → ")
        );
        let span = self.drafts[self.copies[path[0]].draft].span;
        self.report.add(Problem::error("needs", span, message));
    }
}

/// What a job can be called by: its own name, and that of all jobs of one `parallel`.
fn names<'n>(draft: &'n Draft, part: &'n Part) -> impl Iterator<Item = &'n str> {
    let own = (part.name != draft.name).then_some(&*part.name);
    std::iter::once(&*draft.name).chain(own)
}

fn is_elsewhere(item: &Node) -> bool {
    matches!(item.value, Value::Map(_))
        && (item.get("pipeline").is_some() || item.get("project").is_some())
}
