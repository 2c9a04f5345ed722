//! Jobs that run, put together: parallel ones multiplied, stages numbered, `needs` resolved.

mod link;
mod matrix;

use std::cell::RefCell;
use std::collections::HashSet;

use model::Variable;

use crate::Location;
use crate::draft::{Context, Draft, Fate, Part, Terms};
use crate::graph::{Environment, Graph, Job, Trigger, TriggerInclude, TriggerTarget};
use crate::read;
use crate::report::{Problem, Report};
use crate::scope::Scope;
use yaml::{Entry, Map, Node, to_json};

/// Bytes of all scripts and variables together: templates multiply what is written once.
const MAX_BYTES: usize = 256 << 20;

/// The jobs of the graph; `graph` has the rest already. Of `broken` jobs only what they name is looked at.
pub(crate) fn assemble(
    drafts: &[Draft],
    broken: &[&Entry],
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
    let mut linker = link::Linker::new(drafts, &copies, context, report);
    broken.iter().for_each(|entry| linker.check_names(entry));
    linker.link(&mut graph);
    graph
}

/// One job of the graph to be.
struct Copy<'d> {
    draft: usize,
    part: &'d Part,
    terms: &'d Terms,
}

/// In the order of the stages.
fn copies<'d>(drafts: &'d [Draft], report: &mut Report) -> Vec<Copy<'d>> {
    let mut all = Vec::new();
    for (index, draft) in drafts.iter().enumerate() {
        all.extend(draft.parts.iter().filter_map(|part| match &part.fate {
            Fate::Runs(terms) => Some(Copy {
                draft: index,
                part,
                terms,
            }),
            Fate::LeftOut(..) => None,
        }));
    }
    all.sort_by_key(|copy| drafts[copy.draft].stage);
    let mut seen = HashSet::new();
    for copy in &all {
        if !seen.insert(&*copy.part.name) {
            let message = format!("two jobs have the name `{}`", copy.part.name);
            report.add(Problem::error(
                "duplicate-job",
                drafts[copy.draft].span,
                message,
            ));
        }
    }
    all
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
    copy: &Copy<'_>,
    stage: usize,
    context: &Context<'_>,
    report: &mut Report,
) -> Job {
    let part = copy.part;
    let variables = crate::merge(draft.variables.iter().chain(&part.variables));
    let predefined = part.predefined(&context.globals.stages[draft.stage]);
    let scope = Scope {
        outside: context.outside,
        job: &predefined,
        lists: vec![&variables],
        unknown_vanish: false,
        expanded: RefCell::default(),
    };
    let mut job = shell(draft, copy.terms, report);
    job.environment = draft.get("environment").map(|node| {
        let mut environment = read::environment(node);
        environment.name = scope.expand(&environment.name);
        environment
    });
    job.resource_group = draft
        .get("resource_group")
        .and_then(Node::scalar_text)
        .map(|name| resource_group(&name, job.environment.as_ref(), &scope));
    job.tags = read::strings(draft.get("tags"))
        .iter()
        .map(|tag| scope.expand(tag))
        .collect();
    job.trigger = draft.get("trigger").map(|node| trigger(node, &scope));
    job.name = part.name.to_string();
    job.stage = stage;
    job.parallel.clone_from(&part.parallel);
    job.variables = variables;
    job
}

/// The name of a resource group, which may use that of the job's environment.
fn resource_group(name: &str, environment: Option<&Environment>, scope: &Scope<'_>) -> String {
    let of_environment: Vec<_> = (environment.iter())
        .flat_map(|environment| {
            let slug = model::environment_slug(&environment.name);
            [
                Variable::public("CI_ENVIRONMENT_NAME", &*environment.name),
                Variable::public("CI_ENVIRONMENT_SLUG", slug),
            ]
        })
        .collect();
    let mut lists = vec![&of_environment[..]];
    lists.extend(&scope.lists);
    let scope = Scope {
        lists,
        expanded: RefCell::default(),
        ..*scope
    };
    scope.expand(name)
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
