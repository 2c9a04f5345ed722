//! The keywords of `.gitlab-ci.yml` (GitLab, "CI/CD YAML syntax reference").

mod container;
mod files;
mod flow;
mod other;

use super::{List, Map, Shape, Text, key, list, map};
use Shape::{Any, Bool, Dict, Either, Integer, List as L, Map as M, Null, Same, Word};
use container::{IMAGE, SERVICES};
use files::{ARTIFACTS, CACHE, PAGES, RELEASE};
use flow::{ALLOW_FAILURE, ENVIRONMENT, JOB_WHEN, NEEDS, PARALLEL, POLICY, RETRY, RULES, WORKFLOW};
use other::{INCLUDE, TRIGGER};
pub(crate) use other::{SPEC, SPEC_INPUT};

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
        key("when", Word(&JOB_WHEN), "What it waits for"),
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

static HOOKS: Map = map(
    "`hooks`",
    &[key(
        "pre_get_sources_script",
        OPTIONAL_SCRIPT,
        "Before the sources are fetched",
    )],
);

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

static JOB_INPUT: Shape = Any;
