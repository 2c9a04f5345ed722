//! Jobs that run, put together: parallel ones multiplied, stages numbered, `needs` resolved.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use model::Variable;

use crate::draft::{Context, Draft, Fate, Terms};
use crate::graph::{Graph, Job, Need, Parallel, Trigger, TriggerInclude, TriggerTarget};
use crate::read;
use crate::report::{Problem, Report};
use crate::scope::Scope;
use crate::yaml::{Map, Node, Span, Value, to_json};
use crate::{Location, Purpose};

/// Jobs of one `parallel`.
const MAX_PARALLEL: usize = 200;
/// Names in one `needs` (GitLab's default).
const MAX_NEEDS: usize = 50;
/// Edges of the graph.
const MAX_EDGES: usize = 5_000_000;
/// Bytes of all scripts and variables together: templates multiply what is written once.
const MAX_BYTES: usize = 256 << 20;

/// The jobs of the graph; `graph` has the rest already.
pub(crate) fn assemble(
    drafts: &[Draft],
    context: &Context<'_>,
    mut graph: Graph,
    report: &mut Report,
) -> Graph {
    let copies = copies(drafts, report);
    let mut stages: Vec<_> = copies.iter().map(|copy| drafts[copy.draft].stage).collect();
    stages.dedup();
    graph.stages = stages
        .iter()
        .map(|&stage| context.globals.stages[stage].to_string())
        .collect();
    let edge = |name: &String| matches!(name.as_str(), ".pre" | ".post");
    if graph.stages.iter().all(edge) {
        graph.stages.clear();
        return graph;
    }
    let mut bytes = 0;
    for copy in &copies {
        let draft = &drafts[copy.draft];
        let stage = stages.binary_search(&draft.stage).unwrap_or(0);
        let job = job(draft, copy, stage, context, report);
        bytes += size(&job);
        if bytes > MAX_BYTES {
            let message = "the jobs are too large together";
            report.add(Problem::error("too-large", draft.span, message));
            return graph;
        }
        graph.jobs.push(job);
    }
    Linker::new(drafts, &copies, context, report).link(&mut graph);
    graph
}

/// One job of the graph to be.
struct Copy {
    draft: usize,
    name: String,
    parallel: Option<Parallel>,
}

/// In the order of the stages.
fn copies(drafts: &[Draft], report: &mut Report) -> Vec<Copy> {
    let mut all = Vec::new();
    for (index, draft) in drafts.iter().enumerate() {
        if matches!(draft.fate, Fate::Runs(_)) {
            copies_of(index, draft, &mut all, report);
        }
    }
    all.sort_by_key(|copy| drafts[copy.draft].stage);
    let mut seen = HashSet::new();
    for copy in &all {
        if !seen.insert(copy.name.as_str()) {
            let message = format!("two jobs have the name `{}`", copy.name);
            report.add(Problem::error(
                "duplicate-job",
                drafts[copy.draft].span,
                message,
            ));
        }
    }
    all
}

fn copies_of(index: usize, draft: &Draft, all: &mut Vec<Copy>, report: &mut Report) {
    let single = Copy {
        draft: index,
        name: draft.name.to_string(),
        parallel: None,
    };
    let Some(parallel) = draft.get("parallel") else {
        all.push(single);
        return;
    };
    if let Some(matrix) = parallel.get("matrix") {
        let places = read::matrix(matrix);
        let total = places.len();
        if total > MAX_PARALLEL {
            let message =
                format!("this matrix makes {total} jobs; at most {MAX_PARALLEL} are allowed");
            report.add(Problem::error("out-of-range", matrix.span, message));
            return;
        }
        all.extend(places.into_iter().enumerate().map(|(at, place)| {
            let values: Vec<_> = place.iter().map(|(_, value)| value.as_str()).collect();
            Copy {
                draft: index,
                name: format!("{}: [{}]", draft.name, values.join(", ")),
                parallel: Some(Parallel {
                    index: at + 1,
                    total,
                    matrix: Some(place),
                }),
            }
        }));
        return;
    }
    let total = usize::try_from(parallel.as_int().unwrap_or(1)).unwrap_or(1);
    all.extend((1..=total).map(|at| Copy {
        draft: index,
        name: format!("{} {at}/{total}", draft.name),
        parallel: Some(Parallel {
            index: at,
            total,
            matrix: None,
        }),
    }));
}

fn size(job: &Job) -> usize {
    let scripts = [&job.before_script, &job.script, &job.after_script];
    let lines = scripts.into_iter().flatten().map(|line| line.len() + 24);
    let variables = job.variables.iter();
    let pairs = variables.map(|one| one.key.len() + one.value.expose().len() + 64);
    lines.sum::<usize>() + pairs.sum::<usize>()
}

fn job(
    draft: &Draft,
    copy: &Copy,
    stage: usize,
    context: &Context<'_>,
    report: &mut Report,
) -> Job {
    let Fate::Runs(terms) = &draft.fate else {
        unreachable!("only jobs that run are copied");
    };
    let variables = variables(draft, copy);
    let mut predefined = draft.predefined(&copy.name, context);
    if let Some(parallel) = &copy.parallel {
        predefined.push(Variable::public(
            "CI_NODE_INDEX",
            parallel.index.to_string(),
        ));
        predefined.push(Variable::public(
            "CI_NODE_TOTAL",
            parallel.total.to_string(),
        ));
    }
    let scope = Scope {
        outside: context.outside,
        job: &predefined,
        lists: vec![&variables],
        expanded: RefCell::default(),
    };
    let mut job = shell(draft, terms, report);
    job.environment = draft.get("environment").map(|node| {
        let mut environment = read::environment(node);
        environment.name = scope.expand(&environment.name);
        environment
    });
    job.resource_group = draft
        .get("resource_group")
        .and_then(Node::scalar_text)
        .map(|name| scope.expand(&name));
    job.tags = read::strings(draft.get("tags"))
        .iter()
        .map(|tag| scope.expand(tag))
        .collect();
    job.trigger = draft.get("trigger").map(|node| trigger(node, &scope));
    job.name.clone_from(&copy.name);
    job.stage = stage;
    job.parallel.clone_from(&copy.parallel);
    job.variables = variables;
    job
}

fn variables(draft: &Draft, copy: &Copy) -> Vec<Variable> {
    let matrix = copy
        .parallel
        .as_ref()
        .and_then(|parallel| parallel.matrix.as_ref());
    let place = matrix.map_or(&[][..], |matrix| matrix);
    let own: Vec<_> = place
        .iter()
        .map(|(key, value)| Variable::public(key, value))
        .collect();
    crate::merge(draft.variables.iter().chain(&own))
}

/// The job but for what depends on the copy.
fn shell(draft: &Draft, terms: &Terms, report: &mut Report) -> Job {
    let map = &draft.map;
    let inner = |key: &str| map.get(key).and_then(Node::as_map);
    Job {
        name: String::new(),
        group: draft.name.to_string(),
        stage: 0,
        before_script: read::script(map, "before_script"),
        script: read::script(map, "script"),
        after_script: read::script(map, "after_script"),
        run: map.get("run").map(to_json),
        hooks: read::hooks(map.get("hooks")),
        tags: Vec::new(),
        variables: Vec::new(),
        when: terms.when,
        start_in: terms.start_in,
        manual_confirmation: read::text(map, "manual_confirmation"),
        allow_failure: terms.allow_failure.clone(),
        needs: None,
        needs_elsewhere: Vec::new(),
        dependencies: None,
        retry: map.get("retry").map(read::retry).unwrap_or_default(),
        timeout: read::seconds(map, "timeout"),
        parallel: None,
        image: map.get("image").map(read::image),
        services: read::services(map.get("services"), report),
        artifacts: inner("artifacts").map(read::artifacts),
        cache: read::caches(map.get("cache")),
        environment: None,
        resource_group: None,
        interruptible: terms.interruptible,
        trigger: None,
        coverage: read::coverage(map),
        release: inner("release").map(read::release),
        id_tokens: inner("id_tokens").map(read::id_tokens).unwrap_or_default(),
        secrets: map.get("secrets").map(to_json),
        inputs: map.get("inputs").map(to_json),
        pages: (map.get("pages").map(to_json))
            .or_else(|| (&*draft.name == "pages").then_some(serde_json::Value::Bool(true))),
    }
}

fn trigger(node: &Node, scope: &Scope<'_>) -> Trigger {
    let empty = Map::default();
    let map = node.as_map().unwrap_or(&empty);
    let strategy = read::text(map, "strategy").unwrap_or_default();
    let forward = map.get("forward").and_then(Node::as_map);
    let project =
        (node.scalar_text().map(|text| text.to_string())).or_else(|| read::text(map, "project"));
    Trigger {
        target: match (project, map.get("include")) {
            (Some(project), _) => TriggerTarget::Project {
                project: scope.expand(&project),
                branch: read::text(map, "branch").map(|branch| scope.expand(&branch)),
            },
            (None, include) => {
                let items = include.map(read::named_items).unwrap_or_default();
                TriggerTarget::Child(
                    items
                        .iter()
                        .flat_map(|item| includes(item, scope))
                        .collect(),
                )
            }
        },
        depend: matches!(strategy.as_str(), "depend" | "mirror"),
        mirror: strategy == "mirror",
        forward_yaml_variables: forward
            .and_then(|map| map.get("yaml_variables"))
            .and_then(Node::as_bool)
            .unwrap_or(true),
        forward_pipeline_variables: forward
            .is_some_and(|map| read::flag(map, "pipeline_variables")),
        inputs: read::json_map(map.get("inputs")),
    }
}

fn includes(item: &Node, scope: &Scope<'_>) -> Vec<TriggerInclude> {
    let inputs = read::json_map(item.get("inputs"));
    let text = |key: &str| {
        let text = item.get(key).and_then(Node::scalar_text)?;
        Some(scope.expand(&text))
    };
    let path = |path: String| path.trim_start_matches('/').to_owned();
    if let (Some(file), Some(job)) = (text("artifact"), text("job")) {
        return vec![TriggerInclude::Artifact {
            path: path(file),
            job,
            inputs,
        }];
    }
    let files = read::strings(item.get("file"));
    let locations = if let Some(file) = item.scalar_text() {
        vec![Location::Local {
            path: path(scope.expand(&file)),
        }]
    } else if let Some(file) = text("local") {
        vec![Location::Local { path: path(file) }]
    } else if let Some(url) = text("remote") {
        vec![Location::Remote {
            url,
            integrity: None,
        }]
    } else if let Some(name) = text("template") {
        vec![Location::Template { name }]
    } else if let Some(address) = text("component") {
        vec![Location::Component { address }]
    } else {
        let project = text("project").unwrap_or_default();
        let one = |file: String| Location::Project {
            project: project.clone(),
            git_ref: text("ref"),
            path: path(scope.expand(&file)),
        };
        files.into_iter().map(one).collect()
    };
    locations
        .into_iter()
        .map(|location| TriggerInclude::Location {
            location,
            inputs: inputs.clone(),
        })
        .collect()
}

/// Draws the edges.
struct Linker<'l> {
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
    fn new(
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

    fn link(mut self, graph: &mut Graph) {
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
