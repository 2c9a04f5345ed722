//! When jobs run, what they wait for, and what their end means.

use super::super::{List, Map, Shape, Text, key, list, map};
use super::{DURATION, EXPRESSION, NAME, SCALAR, TEXT, TEXT_OR_TEXTS, TEXTS, VARIABLES};
use Shape::{Any, Bool, Dict, Either, Integer, List as L, Map as M, Null, Same, Word};

pub(super) static WHEN: [&str; 6] = [
    "on_success",
    "on_failure",
    "always",
    "manual",
    "delayed",
    "never",
];

/// Of a job itself: `never` has a meaning in rules alone.
pub(super) static JOB_WHEN: [&str; 5] = ["on_success", "on_failure", "always", "manual", "delayed"];

pub(super) static RETRY: Shape = Either(&[
    Integer(0, 2),
    M(&map(
        "`retry`",
        &[
            key("max", Integer(0, 2), "How often at most"),
            key(
                "when",
                Either(&[Word(&RETRY_WHEN), L(&list(Word(&RETRY_WHEN)))]),
                "On which reasons",
            ),
            key(
                "exit_codes",
                Either(&[
                    Integer(0, 255),
                    L(&list(Integer(0, 255)).at_least(1).unique()),
                ]),
                "On which exit codes",
            ),
        ],
    )),
]);
pub(super) static RETRY_WHEN: [&str; 22] = [
    "always",
    "unknown_failure",
    "script_failure",
    "api_failure",
    "stuck_or_timeout_failure",
    "runner_system_failure",
    "runner_unsupported",
    "runner_configuration_error",
    "runner_external_dependency_failure",
    "stale_schedule",
    "job_execution_timeout",
    "job_execution_server_timeout",
    "archived_failure",
    "unmet_prerequisites",
    "scheduler_failure",
    "data_integrity_failure",
    "job_router_failure",
    "missing_dependency_failure",
    "forward_deployment_failure",
    "user_blocked",
    "no_matching_runner",
    "trace_size_exceeded",
];

pub(super) static ALLOW_FAILURE: Map = map(
    "`allow_failure`",
    &[key(
        "exit_codes",
        Either(&[
            Integer(0, 255),
            L(&list(Integer(0, 255)).at_least(1).unique()),
        ]),
        "Only these are forgiven",
    )],
)
.required(&[&["exit_codes"]]);

pub(super) static CHANGES: Shape = Either(&[
    L(&NESTED_TEXTS_50),
    M(&map(
        "`changes`",
        &[
            key("paths", L(&NESTED_TEXTS_50), "Globs"),
            key("compare_to", NAME, "Branch, tag or commit to compare with"),
        ],
    )
    .required(&[&["paths"]])),
]);
pub(super) static NESTED_TEXTS_50: List = list(TEXT).nested(10).at_most(50);
pub(super) static EXISTS: Shape = Either(&[
    TEXT,
    L(&NESTED_TEXTS_50),
    M(&map(
        "`exists`",
        &[
            key("paths", L(&NESTED_TEXTS_50), "Globs"),
            key(
                "project",
                Shape::Text(Text::ProjectPath),
                "Another project to look in",
            ),
            key("ref", NAME, "Its branch, tag or commit"),
        ],
    )
    .required(&[&["paths"]])),
]);
pub(super) static RULES: List = list(M(&map(
    "a rule",
    &[
        key("if", EXPRESSION, "Condition on variables"),
        key(
            "changes",
            Either(&[Same(&CHANGES), Null]),
            "One of these files changed",
        ),
        key(
            "exists",
            Either(&[Same(&EXISTS), Null]),
            "One of these files exists",
        ),
        key("when", Word(&WHEN), "What the job waits for then"),
        key("start_in", DURATION, "How long `when: delayed` waits"),
        key(
            "allow_failure",
            Either(&[Bool, M(&ALLOW_FAILURE)]),
            "Its failure is none for the pipeline",
        ),
        key("variables", Same(&VARIABLES), "Variables of the job then"),
        key("needs", L(&NEEDS), "What it needs then"),
        key("interruptible", Bool, "A newer pipeline may cancel it"),
    ],
)))
.at_least(1)
.nested(10);

/// Of `workflow`: some keywords of a job's rules are taken without effect, as GitLab does.
static WORKFLOW_RULES: List = list(M(&map(
    "a rule of `workflow`",
    &[
        key("if", EXPRESSION, "Condition on variables"),
        key(
            "changes",
            Either(&[Same(&CHANGES), Null]),
            "One of these files changed",
        ),
        key(
            "exists",
            Either(&[Same(&EXISTS), Null]),
            "One of these files exists",
        ),
        key("when", WHETHER, "Whether there is a pipeline then"),
        key("start_in", DURATION, "Without effect"),
        key(
            "allow_failure",
            Either(&[Bool, M(&ALLOW_FAILURE)]),
            "Without effect",
        ),
        key("variables", Same(&VARIABLES), "Variables of all jobs then"),
        key("needs", L(&NEEDS), "Without effect"),
        key(
            "auto_cancel",
            M(&AUTO_CANCEL),
            "What cancels the pipeline then",
        ),
    ],
)))
.at_least(1)
.nested(10);

/// Of an `include`.
pub(super) static INCLUDE_RULES: List = list(M(&map(
    "a rule of an `include`",
    &[
        key("if", EXPRESSION, "Condition on variables"),
        key(
            "changes",
            Either(&[Same(&CHANGES), Null]),
            "One of these files changed",
        ),
        key(
            "exists",
            Either(&[Same(&EXISTS), Null]),
            "One of these files exists",
        ),
        key("when", WHETHER, "Whether it is included then"),
    ],
)))
.at_least(1)
.nested(10);

const WHETHER: Shape = Word(&["always", "never"]);

pub(super) static POLICY: Shape = Either(&[
    Null,
    TEXT,
    L(&TEXTS),
    M(&map(
        "`only` and `except`",
        &[
            key(
                "refs",
                Same(&TEXT_OR_TEXTS),
                "Branches, tags, kinds of source, `/regex/`",
            ),
            key(
                "variables",
                Either(&[EXPRESSION, L(&list(EXPRESSION))]),
                "Conditions on variables",
            ),
            key("changes", L(&TEXTS), "One of these files changed"),
            key("kubernetes", Word(&["active"]), "A cluster is there"),
        ],
    )),
]);

pub(super) static NEEDS: List = list(Either(&[NAME, M(&NEED)])).nested(10);
pub(super) static NEED: Map = map(
    "an entry of `needs`",
    &[
        key("job", NAME, "The job"),
        key("artifacts", Bool, "Whether its artifacts are fetched"),
        key("optional", Bool, "Whether it may be absent"),
        key("parallel", M(&NEED_PARALLEL), "Some of its parallel jobs"),
        key("pipeline", TEXT, "Another pipeline"),
        key("project", TEXT, "Another project"),
        key("ref", TEXT, "Its branch"),
    ],
)
.required(&[&["job", "pipeline"]]);
pub(super) static NEED_PARALLEL: Map = map(
    "`needs:parallel`",
    &[key("matrix", Same(&MATRIX), "Which of them")],
)
.required(&[&["matrix"]]);
pub(super) static MATRIX: Shape = L(&list(Dict(&MATRIX_VALUE)).at_least(1).at_most(200));
pub(super) static MATRIX_VALUE: Shape = Either(&[SCALAR, L(&list(SCALAR).at_least(1))]);
pub(super) static PARALLEL: Map = map(
    "`parallel`",
    &[key("matrix", Same(&MATRIX), "Variables of each job")],
)
.required(&[&["matrix"]]);

pub(super) static ENVIRONMENT: Map = map(
    "`environment`",
    &[
        key("name", NAME, "Its name"),
        key("url", TEXT, "Where to look at it"),
        key("on_stop", NAME, "The job that stops it"),
        key(
            "action",
            Word(&["start", "prepare", "stop", "verify", "access"]),
            "What the job does",
        ),
        key("auto_stop_in", DURATION, "When it is stopped by itself"),
        key(
            "deployment_tier",
            Word(&["production", "staging", "testing", "development", "other"]),
            "How much it matters",
        ),
        key("kubernetes", Dict(&Any), "Its place in a cluster"),
    ],
)
.required(&[&["name"]]);

pub(super) static AUTO_CANCEL: Map = map(
    "`auto_cancel`",
    &[
        key(
            "on_new_commit",
            Word(&["conservative", "interruptible", "none"]),
            "What a newer commit does",
        ),
        key(
            "on_job_failure",
            Word(&["none", "all"]),
            "What a failed job does to the others",
        ),
    ],
);
pub(super) static WORKFLOW: Map = map(
    "`workflow`",
    &[
        key("name", TEXT, "The pipeline's name"),
        key(
            "rules",
            Either(&[L(&WORKFLOW_RULES), Null]),
            "The first that fits decides whether there is a pipeline",
        ),
        key("auto_cancel", M(&AUTO_CANCEL), "What cancels it"),
    ],
);
