//! The keywords of `.gitlab-ci.yml` (GitLab, "CI/CD YAML syntax reference").

use super::{List, Map, Shape, Text, key, list, map};
use Shape::{Any, Bool, Dict, Either, Integer, List as L, Map as M, Null, Same, Word};

const TEXT: Shape = Shape::Text(Text::Any);
const NAME: Shape = Shape::Text(Text::NotEmpty);
const SCALAR: Shape = Shape::Text(Text::Scalar);
const DURATION: Shape = Shape::Text(Text::Duration);
const EXPRESSION: Shape = Shape::Text(Text::Expression);

static TEXTS: List = list(TEXT);
static NESTED_TEXTS: List = list(TEXT).nested(10);
static NAMES: List = list(NAME).at_least(1);
static SOME_TEXTS: List = list(TEXT).at_least(1);
static TEXT_OR_TEXTS: Shape = Either(&[TEXT, L(&TEXTS)]);

const SCRIPT: Shape = Shape::Script {
    may_be_empty: false,
};
const OPTIONAL_SCRIPT: Shape = Shape::Script { may_be_empty: true };

/// Names that cannot be jobs.
pub(crate) fn global_names() -> impl Iterator<Item = &'static str> {
    GLOBAL.keys.iter().map(|key| key.name)
}

/// The whole file, but for its jobs.
pub(crate) static GLOBAL: Map = map(
    "the file",
    &[
        key(
            "default",
            Shape::Map(&DEFAULT),
            "Keywords that every job has unless it says otherwise",
        ),
        key(
            "include",
            Same(&INCLUDE),
            "Other files that are part of this one",
        ),
        key("stages", L(&STAGES), "The stages in their order"),
        key("types", L(&STAGES), "Old name of `stages`"),
        key(
            "variables",
            Same(&GLOBAL_VARIABLES),
            "Variables of all jobs",
        ),
        key(
            "workflow",
            Shape::Map(&WORKFLOW),
            "When there is a pipeline at all, and its name",
        ),
        key("image", Same(&IMAGE), "Better in `default`"),
        key("services", Same(&SERVICES), "Better in `default`"),
        key("before_script", OPTIONAL_SCRIPT, "Better in `default`"),
        key("after_script", OPTIONAL_SCRIPT, "Better in `default`"),
        key("cache", Same(&CACHE), "Better in `default`"),
        key("spec", Shape::Map(&SPEC), "The header: inputs of this file"),
        key("$schema", TEXT, "For editors"),
    ],
);

static STAGES: List = list(NAME).nested(10);

pub(crate) static DEFAULT: Map = map(
    "`default`",
    &[
        key("image", Same(&IMAGE), "The container to run in"),
        key("services", Same(&SERVICES), "Containers beside it"),
        key(
            "before_script",
            OPTIONAL_SCRIPT,
            "Lines before `script`, in the same shell",
        ),
        key(
            "after_script",
            OPTIONAL_SCRIPT,
            "Lines in a shell of their own, whatever happened",
        ),
        key("hooks", M(&HOOKS), "Scripts around others"),
        key("tags", L(&TAGS), "A runner must have all of these"),
        key("cache", Same(&CACHE), "Files to reuse"),
        key("artifacts", M(&ARTIFACTS), "Files to keep"),
        key("retry", Same(&RETRY), "When to try again"),
        key("timeout", DURATION, "The longest it may run"),
        key("interruptible", Bool, "A newer pipeline may cancel it"),
        key("id_tokens", Dict(&ID_TOKEN), "Tokens to issue"),
        key("identity", Word(&["google_cloud"]), "Whom to sign in as"),
    ],
);

/// A job.
pub(crate) static JOB: Map = map(
    "a job",
    &[
        key("script", SCRIPT, "The lines to run"),
        key(
            "before_script",
            OPTIONAL_SCRIPT,
            "Lines before `script`, in the same shell",
        ),
        key(
            "after_script",
            OPTIONAL_SCRIPT,
            "Lines in a shell of their own, whatever happened",
        ),
        key("run", L(&STEPS), "Steps in place of a script"),
        key("stage", NAME, "The stage it belongs to"),
        key("type", NAME, "Old name of `stage`"),
        key(
            "extends",
            Either(&[NAME, L(&EXTENDS)]),
            "Jobs whose keywords it takes over",
        ),
        key("tags", L(&TAGS), "A runner must have all of these"),
        key(
            "rules",
            Either(&[L(&RULES), Null]),
            "The first that fits decides whether it runs",
        ),
        key("only", Same(&POLICY), "Old form of `rules`: runs for these"),
        key(
            "except",
            Same(&POLICY),
            "Old form of `rules`: does not run for these",
        ),
        key("when", Word(&WHEN), "What it waits for"),
        key("start_in", DURATION, "How long `when: delayed` waits"),
        key("manual_confirmation", TEXT, "Asked before it is played"),
        key(
            "allow_failure",
            Either(&[Bool, M(&ALLOW_FAILURE)]),
            "Its failure is none for the pipeline",
        ),
        key(
            "needs",
            L(&NEEDS),
            "Jobs it waits for, in place of all earlier stages",
        ),
        key("dependencies", L(&TEXTS), "Jobs whose artifacts it gets"),
        key("variables", Same(&VARIABLES), "Its variables"),
        key("image", Same(&IMAGE), "The container to run in"),
        key("services", Same(&SERVICES), "Containers beside it"),
        key("hooks", M(&HOOKS), "Scripts around others"),
        key("artifacts", M(&ARTIFACTS), "Files to keep"),
        key("cache", Same(&CACHE), "Files to reuse"),
        key(
            "environment",
            Either(&[NAME, M(&ENVIRONMENT)]),
            "Where it deploys to",
        ),
        key(
            "resource_group",
            NAME,
            "Jobs of one group never run at the same time",
        ),
        key("interruptible", Bool, "A newer pipeline may cancel it"),
        key("retry", Same(&RETRY), "When to try again"),
        key("timeout", DURATION, "The longest it may run"),
        key(
            "parallel",
            Either(&[Integer(1, 200), M(&PARALLEL)]),
            "Several of it at once",
        ),
        key(
            "trigger",
            Either(&[Shape::Text(Text::ProjectPath), M(&TRIGGER)]),
            "Starts another pipeline",
        ),
        key(
            "inherit",
            M(&INHERIT),
            "What it takes over from `default` and `variables`",
        ),
        key(
            "coverage",
            Shape::Text(Text::Pattern),
            "Finds the coverage in the log",
        ),
        key("release", M(&RELEASE), "A release to make"),
        key("id_tokens", Dict(&ID_TOKEN), "Tokens to issue"),
        key("identity", Word(&["google_cloud"]), "Whom to sign in as"),
        key("secrets", Dict(&SECRET), "Variables from a vault"),
        key(
            "inputs",
            Dict(&JOB_INPUT),
            "Values that may be changed when it is played",
        ),
        key("pages", Either(&[Bool, M(&PAGES)]), "Publishes a site"),
        key("publish", TEXT, "Old form of `pages:publish`"),
        key("dast_configuration", Dict(&Any), "Profiles of a scan"),
    ],
)
.lenient();

static EXTENDS: List = list(NAME).at_least(1);
static TAGS: List = list(Either(&[SCALAR, L(&NESTED_TEXTS)])).at_most(50);
static WHEN: [&str; 6] = [
    "on_success",
    "on_failure",
    "always",
    "manual",
    "delayed",
    "never",
];

static VARIABLES: Shape = Either(&[Dict(&VARIABLE), Null]);
static VARIABLE: Shape = Either(&[
    SCALAR,
    Null,
    M(&map(
        "a variable",
        &[
            key("value", Either(&[SCALAR, Null]), "Its value"),
            key(
                "expand",
                Bool,
                "Whether `$` in it stands for other variables",
            ),
            key("description", TEXT, "Only for variables of the file"),
        ],
    )),
]);
static GLOBAL_VARIABLES: Shape = Either(&[Dict(&GLOBAL_VARIABLE), Null]);
static GLOBAL_VARIABLE: Shape = Either(&[
    SCALAR,
    Null,
    M(&map(
        "a variable",
        &[
            key("value", Either(&[SCALAR, Null]), "Its value"),
            key(
                "description",
                TEXT,
                "Shown to whoever starts a pipeline by hand",
            ),
            key(
                "options",
                L(&list(SCALAR).at_least(1)),
                "Values to choose from",
            ),
            key(
                "expand",
                Bool,
                "Whether `$` in it stands for other variables",
            ),
        ],
    )),
]);

static IMAGE: Shape = Either(&[
    NAME,
    M(&map(
        "`image`",
        &[
            key("name", NAME, "The image"),
            key("entrypoint", L(&TEXTS), "In place of the image's own"),
            key("pull_policy", Same(&PULL_POLICY), "When to pull it"),
            key("docker", M(&DOCKER), "For Docker"),
            key("kubernetes", M(&KUBERNETES), "For Kubernetes"),
        ],
    )
    .required(&[&["name"]])),
]);
static PULL_POLICIES: [&str; 3] = ["always", "if-not-present", "never"];
static PULL_POLICY: Shape = Either(&[
    Word(&PULL_POLICIES),
    L(&list(Word(&PULL_POLICIES)).at_least(1).unique()),
]);
static DOCKER: Map = map(
    "`docker`",
    &[
        key("platform", NAME, "Architecture to pull"),
        key("user", NAME, "User to run as"),
    ],
);
static KUBERNETES: Map = map(
    "`kubernetes`",
    &[key(
        "user",
        Either(&[NAME, Integer(0, i64::MAX)]),
        "User to run as",
    )],
);
static SERVICES: Shape = L(&list(Either(&[
    NAME,
    M(&map(
        "a service",
        &[
            key("name", NAME, "The image"),
            key("alias", NAME, "Further names it is found under"),
            key("entrypoint", L(&SOME_TEXTS), "In place of the image's own"),
            key("command", L(&SOME_TEXTS), "In place of the image's own"),
            key("pull_policy", Same(&PULL_POLICY), "When to pull it"),
            key("variables", Same(&VARIABLES), "For this service alone"),
            key("docker", M(&DOCKER), "For Docker"),
            key("kubernetes", M(&KUBERNETES), "For Kubernetes"),
        ],
    )
    .required(&[&["name"]])),
])));

static HOOKS: Map = map(
    "`hooks`",
    &[key(
        "pre_get_sources_script",
        OPTIONAL_SCRIPT,
        "Before the sources are fetched",
    )],
);

static SAVE_WHEN: [&str; 3] = ["on_success", "on_failure", "always"];
static ARTIFACTS: Map = map(
    "`artifacts`",
    &[
        key("paths", L(&NESTED_TEXTS), "Globs of files to keep"),
        key("exclude", L(&NESTED_TEXTS), "Globs to leave out"),
        key("untracked", Bool, "Also what git does not know"),
        key("name", TEXT, "The archive's name"),
        key("when", Word(&SAVE_WHEN), "On which outcome"),
        key("expire_in", DURATION, "How long to keep them"),
        key(
            "expose_as",
            Shape::Text(Text::AtMost(100)),
            "Shown under this name",
        ),
        key("public", Bool, "Whether everyone may download them"),
        key(
            "access",
            Word(&["all", "developer", "maintainer", "none"]),
            "Who may download them",
        ),
        key("reports", M(&REPORTS), "Files of a known form"),
    ],
);
const REPORT: Shape = Either(&[NAME, L(&NESTED_TEXTS)]);
static REPORTS: Map = map(
    "`artifacts:reports`",
    &[
        key("dotenv", REPORT, "Variables for later jobs"),
        key("junit", REPORT, "Test results"),
        key(
            "coverage_report",
            Either(&[M(&COVERAGE_REPORT), Null]),
            "Coverage by line",
        ),
        key("cobertura", REPORT, "Old form of `coverage_report`"),
        key("codequality", REPORT, ""),
        key("accessibility", REPORT, ""),
        key("annotations", REPORT, ""),
        key("api_fuzzing", REPORT, ""),
        key("browser_performance", REPORT, ""),
        key("cluster_applications", REPORT, ""),
        key("cluster_image_scanning", REPORT, ""),
        key("container_scanning", REPORT, ""),
        key("coverage_fuzzing", REPORT, ""),
        key("cyclonedx", REPORT, ""),
        key("dast", REPORT, ""),
        key("dependency_scanning", REPORT, ""),
        key("license_management", REPORT, ""),
        key("license_scanning", REPORT, ""),
        key("load_performance", REPORT, ""),
        key("lsif", REPORT, ""),
        key("metrics", REPORT, ""),
        key("performance", REPORT, ""),
        key("repository_xray", REPORT, ""),
        key("requirements", REPORT, ""),
        key("requirements_v2", REPORT, ""),
        key("sarif", REPORT, ""),
        key("sast", REPORT, ""),
        key("scip", REPORT, ""),
        key("secret_detection", REPORT, ""),
        key("terraform", REPORT, ""),
    ],
);
static COVERAGE_REPORT: Map = map(
    "`coverage_report`",
    &[
        key(
            "coverage_format",
            Word(&["cobertura", "jacoco"]),
            "The file's form",
        ),
        key("path", NAME, "Where it is"),
    ],
)
.required(&[&["coverage_format"], &["path"]]);

static CACHE: Shape = Either(&[M(&CACHE_ENTRY), L(&list(M(&CACHE_ENTRY)).at_most(4)), Null]);
static CACHE_ENTRY: Map = map(
    "`cache`",
    &[
        key(
            "key",
            Either(&[Shape::Text(Text::CacheKey), M(&CACHE_KEY)]),
            "What names it",
        ),
        key("paths", L(&NESTED_TEXTS), "Globs of files to keep"),
        key("untracked", Bool, "Also what git does not know"),
        key("when", Word(&SAVE_WHEN), "On which outcome it is saved"),
        key(
            "policy",
            Either(&[
                Word(&["pull-push", "push", "pull"]),
                Shape::Text(Text::Variable),
            ]),
            "Fetched, saved or both",
        ),
        key(
            "unprotect",
            Bool,
            "Shared between protected and other branches",
        ),
        key(
            "fallback_keys",
            L(&list(Shape::Text(Text::CacheKey)).at_most(5)),
            "Keys to try next",
        ),
    ],
);
static CACHE_KEY: Map = map(
    "`cache:key`",
    &[
        key(
            "files",
            L(&list(NAME).at_least(1).at_most(10)),
            "Changes when one of these does",
        ),
        key(
            "files_commits",
            L(&list(NAME).at_least(1).at_most(2)),
            "By the commit that changed them",
        ),
        key("prefix", TEXT, "In front"),
    ],
)
.required(&[&["files", "files_commits"]]);

static RETRY: Shape = Either(&[
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
static RETRY_WHEN: [&str; 22] = [
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

static ALLOW_FAILURE: Map = map(
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

static CHANGES: Shape = Either(&[
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
static NESTED_TEXTS_50: List = list(TEXT).nested(10).at_most(50);
static EXISTS: Shape = Either(&[
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
static RULES: List = list(M(&map(
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
        key("auto_cancel", M(&AUTO_CANCEL), "Only in `workflow`"),
    ],
)))
.nested(10);

static POLICY: Shape = Either(&[
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

static NEEDS: List = list(Either(&[NAME, M(&NEED)])).nested(10);
static NEED: Map = map(
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
static NEED_PARALLEL: Map = map(
    "`needs:parallel`",
    &[key("matrix", Same(&MATRIX), "Which of them")],
)
.required(&[&["matrix"]]);
static MATRIX: Shape = L(&list(Dict(&MATRIX_VALUE)).at_least(1).at_most(200));
static MATRIX_VALUE: Shape = Either(&[SCALAR, L(&list(SCALAR).at_least(1))]);
static PARALLEL: Map = map(
    "`parallel`",
    &[key("matrix", Same(&MATRIX), "Variables of each job")],
)
.required(&[&["matrix"]]);

static ENVIRONMENT: Map = map(
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

static TRIGGER: Map = map(
    "`trigger`",
    &[
        key("project", Shape::Text(Text::ProjectPath), "Another project"),
        key("branch", NAME, "Its branch"),
        key(
            "include",
            Either(&[
                NAME,
                L(&list(Either(&[NAME, M(&TRIGGER_INCLUDE)]))
                    .at_least(1)
                    .at_most(3)),
                M(&TRIGGER_INCLUDE),
            ]),
            "Files of a child pipeline",
        ),
        key(
            "strategy",
            Word(&["depend", "mirror"]),
            "Waits for it and takes its status",
        ),
        key(
            "forward",
            M(&map(
                "`forward`",
                &[
                    key("yaml_variables", Bool, "Passes the file's variables on"),
                    key(
                        "pipeline_variables",
                        Bool,
                        "Passes variables on that were given by hand",
                    ),
                ],
            )),
            "What it gets",
        ),
        key("inputs", Dict(&INPUT_VALUE), "Values of its inputs"),
    ],
)
.required(&[&["project", "include"]]);
static TRIGGER_INCLUDE: Map = map(
    "`trigger:include`",
    &[
        key("local", NAME, "A file of this repository"),
        key("project", Shape::Text(Text::ProjectPath), "Another project"),
        key("file", Either(&[NAME, L(&NAMES)]), "Its file"),
        key("ref", NAME, "Its branch, tag or commit"),
        key("template", NAME, "A template of the server"),
        key("artifact", NAME, "A file that an earlier job makes"),
        key("job", NAME, "That job"),
        key("remote", NAME, "An address"),
        key("component", NAME, "A component of a catalogue"),
        key("inputs", Dict(&INPUT_VALUE), "Values of its inputs"),
    ],
)
.required(&[&[
    "local",
    "file",
    "template",
    "artifact",
    "remote",
    "component",
]]);

static INHERIT: Map = map(
    "`inherit`",
    &[
        key(
            "default",
            Either(&[Bool, L(&list(Word(&DEFAULTS)))]),
            "What of `default`",
        ),
        key(
            "variables",
            Either(&[Bool, L(&TEXTS)]),
            "Which of `variables`",
        ),
    ],
);
static DEFAULTS: [&str; 13] = [
    "image",
    "services",
    "before_script",
    "after_script",
    "hooks",
    "tags",
    "cache",
    "artifacts",
    "retry",
    "timeout",
    "interruptible",
    "id_tokens",
    "identity",
];

static RELEASE: Map = map(
    "`release`",
    &[
        key("tag_name", NAME, "The tag"),
        key("tag_message", TEXT, "Its message"),
        key("description", TEXT, "The text, or a file with it"),
        key("name", TEXT, "The release's name"),
        key("ref", TEXT, "What to tag"),
        key("milestones", Same(&TEXT_OR_TEXTS), "Milestones"),
        key("released_at", TEXT, "When"),
        key("assets", Dict(&Any), "Links"),
    ],
)
.required(&[&["tag_name"], &["description"]]);

static ID_TOKEN: Shape = M(&map(
    "an id token",
    &[key("aud", Same(&TEXT_OR_TEXTS), "Whom it is for")],
)
.required(&[&["aud"]]));
static SECRET: Shape = M(&map(
    "a secret",
    &[
        key("vault", Any, "Of HashiCorp's vault"),
        key("gcp_secret_manager", Any, "Of Google's"),
        key("azure_key_vault", Any, "Of Azure's"),
        key("aws_secrets_manager", Any, "Of Amazon's"),
        key("akeyless", Any, "Of Akeyless"),
        key("gitlab_secrets_manager", Any, "Of GitLab's"),
        key("file", Bool, "A file, not a value"),
        key("token", TEXT, "The token to sign in with"),
    ],
));

static PAGES: Map = map(
    "`pages`",
    &[
        key("path_prefix", TEXT, "In front of its address"),
        key("expire_in", DURATION, "How long it stays"),
        key("publish", TEXT, "The folder"),
    ],
);

static STEPS: List = list(M(&map(
    "a step",
    &[
        key("name", NAME, "Its name"),
        key("step", Either(&[NAME, Dict(&Any)]), "What it is"),
        key("script", SCRIPT, "Or lines to run"),
        key("action", NAME, "Or an action"),
        key("func", Any, "Or a function"),
        key("env", Dict(&SCALAR), "Its variables"),
        key("inputs", Dict(&Any), "Its values"),
    ],
)
.required(&[&["name"], &["step", "script", "action", "func"]])));

static AUTO_CANCEL: Map = map(
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
static WORKFLOW: Map = map(
    "`workflow`",
    &[
        key("name", TEXT, "The pipeline's name"),
        key(
            "rules",
            Either(&[L(&RULES), Null]),
            "The first that fits decides whether there is a pipeline",
        ),
        key("auto_cancel", M(&AUTO_CANCEL), "What cancels it"),
    ],
);

static INCLUDE: Shape = Either(&[
    NAME,
    L(&list(Either(&[NAME, M(&INCLUDE_ENTRY)])).nested(10)),
    M(&INCLUDE_ENTRY),
    Null,
]);
static INCLUDE_ENTRY: Map = map(
    "`include`",
    &[
        key("local", NAME, "A file of this repository, or a glob"),
        key("project", Shape::Text(Text::ProjectPath), "Another project"),
        key("file", Either(&[NAME, L(&NAMES)]), "Its file or files"),
        key("ref", NAME, "Its branch, tag or commit"),
        key("remote", NAME, "An address"),
        key("integrity", NAME, "The checksum it must have, `sha256-…`"),
        key(
            "cache",
            Either(&[Bool, DURATION]),
            "How long a remote file is kept",
        ),
        key("template", NAME, "A template of the server"),
        key("component", NAME, "A component of a catalogue"),
        key("inputs", Dict(&INPUT_VALUE), "Values of its inputs"),
        key("rules", L(&RULES), "When it is included"),
    ],
)
.required(&[&["local", "file", "remote", "template", "component"]]);

static INPUT_VALUE: Shape = Either(&[SCALAR, L(&list(Any)), Dict(&Any), Null]);

/// The header of a file that takes inputs.
pub(crate) static SPEC: Map = map(
    "`spec`",
    &[
        key("inputs", Either(&[Dict(&Any), Null]), "The values it takes"),
        key(
            "include",
            L(&list(M(&SPEC_INCLUDE))),
            "Files with more inputs",
        ),
        key(
            "component",
            L(&list(Word(&["name", "sha", "version", "reference"]))),
            "What it wants to know of itself",
        ),
        key(
            "description",
            Shape::Text(Text::AtMost(256)),
            "What it is for",
        ),
    ],
);
static SPEC_INCLUDE: Map = map(
    "`spec:include`",
    &[
        key("local", NAME, "A file of this repository"),
        key("remote", NAME, "An address"),
        key("project", Shape::Text(Text::ProjectPath), "Another project"),
        key("file", Either(&[NAME, L(&NAMES)]), "Its file"),
        key("ref", NAME, "Its branch, tag or commit"),
    ],
)
.required(&[&["local", "remote", "project"]]);

/// One input.
pub(crate) static SPEC_INPUT: Map = map(
    "an input",
    &[
        key(
            "type",
            Word(&["string", "number", "boolean", "array"]),
            "What it is",
        ),
        key("default", Any, "Its value if none is given"),
        key("description", TEXT, "What it is for"),
        key(
            "options",
            L(&list(SCALAR).at_most(50)),
            "The values it may have",
        ),
        key("regex", TEXT, "What it must look like"),
        key(
            "rules",
            L(&list(M(&map(
                "a rule of an input",
                &[
                    key("if", TEXT, "Condition on other inputs"),
                    key("options", L(&list(SCALAR)), "The values it may have then"),
                    key("default", Any, "Its value then"),
                ],
            )
            .required(&[&["default"]])))),
            "Defaults that depend on others",
        ),
    ],
);
static JOB_INPUT: Shape = Any;
