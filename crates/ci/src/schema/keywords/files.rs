//! Files and results that jobs leave behind.

use super::super::{Map, Shape, Text, key, list, map};
use super::{DURATION, NAME, NESTED_TEXTS, TEXT, TEXT_OR_TEXTS};
use Shape::{Any, Bool, Dict, Either, List as L, Map as M, Null, Same, Word};

pub(super) static SAVE_WHEN: [&str; 3] = ["on_success", "on_failure", "always"];
pub(super) static ARTIFACTS: Map = map(
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
pub(super) const REPORT: Shape = Either(&[NAME, L(&NESTED_TEXTS)]);
pub(super) static REPORTS: Map = map(
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
pub(super) static COVERAGE_REPORT: Map = map(
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

pub(super) static CACHE: Shape =
    Either(&[M(&CACHE_ENTRY), L(&list(M(&CACHE_ENTRY)).at_most(4)), Null]);
pub(super) static CACHE_ENTRY: Map = map(
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
pub(super) static CACHE_KEY: Map = map(
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

pub(super) static RELEASE: Map = map(
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

pub(super) static PAGES: Map = map(
    "`pages`",
    &[
        key("path_prefix", TEXT, "In front of its address"),
        key("expire_in", DURATION, "How long it stays"),
        key("publish", TEXT, "The folder"),
    ],
);
