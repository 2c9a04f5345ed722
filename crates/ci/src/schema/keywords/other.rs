//! Other files and pipelines: includes, triggers, and the inputs they take.

use super::super::{Map, Shape, Text, key, list, map};
use super::flow::INCLUDE_RULES;
use super::{DURATION, NAME, NAMES, SCALAR, TEXT};
use Shape::{Any, Bool, Dict, Either, List as L, Map as M, Null, Word};

pub(super) static TRIGGER: Map = map(
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
pub(super) static TRIGGER_INCLUDE: Map = map(
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

pub(super) static INCLUDE: Shape = Either(&[
    NAME,
    L(&list(Either(&[NAME, M(&INCLUDE_ENTRY)])).nested(10)),
    M(&INCLUDE_ENTRY),
    Null,
]);
pub(super) static INCLUDE_ENTRY: Map = map(
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
        key("rules", L(&INCLUDE_RULES), "When it is included"),
    ],
)
.required(&[&["local", "file", "remote", "template", "component"]]);

pub(super) static INPUT_VALUE: Shape = Either(&[SCALAR, L(&list(Any)), Dict(&Any), Null]);

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
pub(super) static SPEC_INCLUDE: Map = map(
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
