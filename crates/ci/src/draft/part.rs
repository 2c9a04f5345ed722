//! The jobs that one job of the file makes: several with `parallel`. Each is decided on its own, as its rules
//! see the values of its place in a matrix (GitLab, "Run a matrix of parallel jobs").

use std::cell::RefCell;
use std::sync::Arc;

use model::Variable;

use super::{Context, Draft};
use crate::graph::{AllowFailure, Parallel, When};
use crate::policy;
use crate::read::{self, Name};
use crate::report::{Problem, Report};
use crate::rules::{Decision, describe};
use crate::scope::Scope;
use yaml::{Map, Node, Span};

/// Jobs of one `parallel`.
const MAX_PARALLEL: usize = 200;

/// One job to be.
pub(crate) struct Part {
    pub(crate) name: Name,
    pub(crate) parallel: Option<Parallel>,
    /// Those of its place in a matrix, then those of the rule that fits: they win over the draft's.
    pub(crate) variables: Vec<Variable>,
    pub(crate) fate: Fate,
}

/// Whether a job runs.
pub(crate) enum Fate {
    Runs(Terms),
    /// Why not, and where that is said.
    LeftOut(String, Span),
}

/// On which terms it runs.
pub(crate) struct Terms {
    pub(crate) when: When,
    pub(crate) start_in: Option<u64>,
    pub(crate) allow_failure: AllowFailure,
    pub(crate) needs: Option<Node>,
    pub(crate) interruptible: bool,
}

impl Part {
    /// All of them, in their order.
    pub(super) fn all(draft: &Draft, context: &Context<'_>, report: &mut Report) -> Vec<Self> {
        let places = places(draft, report).into_iter();
        let part = |(name, parallel): (Name, Option<Parallel>)| {
            let matrix = parallel.iter().filter_map(|one| one.matrix.as_ref());
            let mut part = Self {
                variables: matrix
                    .flatten()
                    .map(|(key, value)| Variable::public(key, value))
                    .collect(),
                fate: Fate::LeftOut(String::new(), draft.span),
                name,
                parallel,
            };
            part.fate = part.decide(draft, context, report);
            part
        };
        places.map(part).collect()
    }

    /// The predefined variables that belong to it before it is stored.
    pub(crate) fn predefined(&self, stage: &str) -> Vec<Variable> {
        let mut all = vec![
            Variable::public("CI_JOB_NAME", &*self.name),
            Variable::public("CI_JOB_NAME_SLUG", model::slug(&self.name)),
            Variable::public("CI_JOB_STAGE", stage),
        ];
        if let Some(Parallel { index, total, .. }) = &self.parallel {
            all.push(Variable::public("CI_NODE_INDEX", index.to_string()));
            all.push(Variable::public("CI_NODE_TOTAL", total.to_string()));
        }
        all
    }

    /// Its place in a matrix has these values.
    pub(crate) fn has(&self, wanted: &[(String, String)]) -> bool {
        let matrix = self.parallel.as_ref().and_then(|one| one.matrix.as_ref());
        matrix.is_some_and(|place| wanted.iter().all(|pair| place.contains(pair)))
    }

    fn decide(&mut self, draft: &Draft, context: &Context<'_>, report: &mut Report) -> Fate {
        let predefined = self.predefined(&context.globals.stages[draft.stage]);
        let scope = Scope {
            outside: context.outside,
            job: &predefined,
            lists: vec![&self.variables, &draft.variables],
            unknown_vanish: false,
            expanded: RefCell::default(),
        };
        let given = |name| draft.get(name).filter(|node| !node.is_null());
        let rule = match given("rules") {
            Some(rules) => match context.facts.decide(rules, &scope, report) {
                Decision::Rule(rule) => Some(rule),
                Decision::NoRule => {
                    return Fate::LeftOut("none of its `rules` fits".to_owned(), rules.span);
                }
            },
            None => {
                let workflow = context.globals.workflow.as_ref();
                let decided = workflow.is_some_and(|workflow| workflow.get("rules").is_some());
                let allowed = policy::allows(&draft.map, decided, context.facts, &scope, report);
                if let Err(keyword) = allowed {
                    let span = given(keyword).map_or(draft.span, |node| node.span);
                    let reason = match given(keyword) {
                        Some(_) => format!("its `{keyword}` says no"),
                        None => "without `rules` it runs for branches and tags alone".to_owned(),
                    };
                    return Fate::LeftOut(reason, span);
                }
                None
            }
        };
        self.terms(draft, rule.as_ref(), report)
    }

    fn terms(&mut self, draft: &Draft, rule: Option<&Node>, report: &mut Report) -> Fate {
        let empty = Map::default();
        let of_rule = rule.and_then(Node::as_map).unwrap_or(&empty);
        let when = read::when(of_rule)
            .or_else(|| read::when(&draft.map))
            .unwrap_or_default();
        if when == When::Never {
            let (words, span) = rule.map_or(("`when: never`".to_owned(), draft.span), describe);
            return Fate::LeftOut(format!("this rule says `never`: {words}"), span);
        }
        self.variables
            .extend(read::variables(of_rule.get("variables"), report));
        let allow = of_rule.get("allow_failure").or(draft.get("allow_failure"));
        // The job's own word counts here, not its rule's: so GitLab decides it before it knows the rule.
        let optional = read::when(&draft.map) == Some(When::Manual);
        Fate::Runs(Terms {
            when,
            start_in: read::seconds(of_rule, "start_in")
                .or_else(|| read::seconds(&draft.map, "start_in")),
            allow_failure: match allow {
                Some(node) => read::allow_failure(node),
                None if optional => AllowFailure::Yes,
                None => AllowFailure::No,
            },
            needs: of_rule.get("needs").or(draft.get("needs")).cloned(),
            interruptible: (of_rule.get("interruptible"))
                .or(draft.get("interruptible"))
                .and_then(Node::as_bool)
                .unwrap_or(false),
        })
    }
}

/// The names of the jobs, with their places among each other.
fn places(draft: &Draft, report: &mut Report) -> Vec<(Name, Option<Parallel>)> {
    let Some(parallel) = draft.get("parallel") else {
        return vec![(Arc::clone(&draft.name), None)];
    };
    if let Some(matrix) = parallel.get("matrix") {
        return places_of_matrix(draft, matrix, report);
    }
    let total = usize::try_from(parallel.as_int().unwrap_or(1)).unwrap_or(1);
    let place = |index| {
        let parallel = Parallel {
            index,
            total,
            matrix: None,
        };
        let name = format!("{} {index}/{total}", draft.name);
        (name.into(), Some(parallel))
    };
    (1..=total).map(place).collect()
}

fn places_of_matrix(
    draft: &Draft,
    matrix: &Node,
    report: &mut Report,
) -> Vec<(Name, Option<Parallel>)> {
    let rows = read::matrix(matrix);
    let total = rows.len();
    if total > MAX_PARALLEL {
        let message = format!("this matrix makes {total} jobs; at most {MAX_PARALLEL} are allowed");
        report.add(Problem::error("out-of-range", matrix.span, message));
        return Vec::new();
    }
    let place = |(at, row): (usize, Vec<(String, String)>)| {
        let values: Vec<_> = row.iter().map(|(_, value)| value.as_str()).collect();
        let name = format!("{}: [{}]", draft.name, values.join(", "));
        let parallel = Parallel {
            index: at + 1,
            total,
            matrix: Some(row),
        };
        (name.into(), Some(parallel))
    };
    rows.into_iter().enumerate().map(place).collect()
}
