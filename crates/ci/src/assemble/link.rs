//! The edges of the graph: `needs`, `dependencies`, and the jobs that stop environments.

use std::collections::{HashMap, HashSet};

use super::Copy;
use crate::Purpose;
use crate::draft::{Context, Draft, Fate, Terms};
use crate::graph::{Graph, Need};
use crate::read;
use crate::report::{Problem, Report};
use yaml::{Node, Span, Value, to_json};

/// Names in one `needs` (GitLab's default).
const MAX_NEEDS: usize = 50;
/// Edges of the graph.
const MAX_EDGES: usize = 5_000_000;

/// Draws the edges.
pub(super) struct Linker<'l> {
    drafts: &'l [Draft],
    copies: &'l [Copy],
    context: &'l Context<'l>,
    report: &'l mut Report,
    draft_places: HashMap<&'l str, usize>,
    /// Jobs of the graph by name and by group.
    jobs: HashMap<&'l str, Vec<usize>>,
    edges: usize,
}

impl<'l> Linker<'l> {
    pub(super) fn new(
        drafts: &'l [Draft],
        copies: &'l [Copy],
        context: &'l Context<'l>,
        report: &'l mut Report,
    ) -> Self {
        let mut jobs: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, copy) in copies.iter().enumerate() {
            let group: &str = &drafts[copy.draft].name;
            jobs.entry(group).or_default().push(index);
            if copy.name != group {
                jobs.entry(&copy.name).or_default().push(index);
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
            edges: 0,
        }
    }

    pub(super) fn link(mut self, graph: &mut Graph) {
        for (index, copy) in self.copies.iter().enumerate() {
            let draft = &self.drafts[copy.draft];
            let Fate::Runs(terms) = &draft.fate else {
                continue;
            };
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
                    graph.jobs[index].needs = Some(self.needs(draft, &here, needs.span));
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
            if copy
                .parallel
                .as_ref()
                .is_none_or(|parallel| parallel.index == 1)
            {
                self.check_environment(draft);
            }
        }
        self.find_circle(graph);
    }

    fn needs(&mut self, draft: &Draft, items: &[&Node], span: Span) -> Vec<Need> {
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
            for job in self.needed(draft, name, item, optional) {
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
    fn needed(&mut self, draft: &Draft, name: &Node, item: &Node, optional: bool) -> Vec<usize> {
        let Some(text) = name.scalar_text() else {
            return Vec::new();
        };
        if text == draft.name {
            let message = format!("job `{text}` needs itself");
            self.report.add(Problem::error("needs", name.span, message));
            return Vec::new();
        }
        let Some(found) = self.jobs.get(&*text) else {
            self.absent(draft, &text, name.span, optional);
            return Vec::new();
        };
        let other = &self.drafts[self.copies[found[0]].draft];
        if other.stage > draft.stage {
            let stages = &self.context.globals.stages;
            let message = format!(
                "job `{}` of stage `{}` cannot need `{text}` of the later stage `{}`",
                draft.name, stages[draft.stage], stages[other.stage]
            );
            self.report.add(
                Problem::error("needs", name.span, message)
                    .note(other.span, format!("`{text}`"))
                    .hint("move one of them to another stage"),
            );
            return Vec::new();
        }
        let Some(matrix) = item.get("parallel").and_then(|node| node.get("matrix")) else {
            return found.clone();
        };
        let wanted = read::matrix(matrix);
        let fits = |job: &&usize| {
            let parallel = self.copies[**job].parallel.as_ref();
            let place = parallel.and_then(|parallel| parallel.matrix.as_ref());
            place.is_some_and(|place| {
                wanted
                    .iter()
                    .any(|row| row.iter().all(|pair| place.contains(pair)))
            })
        };
        let chosen: Vec<_> = found.iter().filter(fits).copied().collect();
        if chosen.is_empty() && !optional {
            let message = format!("no parallel job of `{text}` has these values");
            self.report
                .add(Problem::error("needs", matrix.span, message));
        }
        chosen
    }

    fn absent(&mut self, draft: &Draft, name: &str, span: Span, optional: bool) {
        if optional {
            return;
        }
        let creating = self.context.facts.input.purpose == Purpose::Create;
        match self.draft_places.get(name) {
            Some(&place) if creating => {
                let Fate::LeftOut(reason, at) = &self.drafts[place].fate else {
                    return;
                };
                let message = format!(
                    "job `{}` needs `{name}`, which does not run here",
                    draft.name
                );
                self.report.add(
                    Problem::error("needs", span, message)
                        .note(*at, format!("`{name}`: {reason}"))
                        .hint("write `- job: …` with `optional: true`, or give both jobs the same `rules`"),
                );
            }
            Some(_) => {}
            None => {
                let message = format!("job `{}` needs `{name}`, which does not exist", draft.name);
                let near = self.report.nearest(
                    name,
                    self.drafts.iter().take(5_000).map(|draft| &*draft.name),
                );
                self.report.add(
                    Problem::error("needs", span, message)
                        .maybe_hint(near.map(|near| format!("did you mean `{near}`?"))),
                );
            }
        }
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
        let message = match (other, action) {
            (Some(_), Some("stop")) => return,
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

fn is_elsewhere(item: &Node) -> bool {
    matches!(item.value, Value::Map(_))
        && (item.get("pipeline").is_some() || item.get("project").is_some())
}
