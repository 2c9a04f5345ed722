//! What `merged_yaml` writes compiles to the same graph, and no text makes a compilation panic.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::path::Path;

use ci::{Compiled, Fetched, Input, Missing};
use model::GitRef;
use proptest::prelude::*;

fn compile(text: &str) -> Compiled {
    let mut input = Input::new("ci.yml", text, GitRef::branch("main").unwrap());
    input.tree = Some(vec!["Dockerfile".to_owned(), "src/a.rs".to_owned()]);
    ci::compile_with(input, |_| Fetched::Failed(Missing::new("there is none")))
}

fn round_trip(text: &str) {
    let first = compile(text);
    let Some(graph) = &first.graph else {
        return;
    };
    let merged = first.merged_yaml();
    let second = compile(&merged);
    assert_eq!(
        second.graph.as_ref(),
        Some(graph),
        "{text}\n---\n{merged}\n{}",
        second.render()
    );
}

/// The files of our cases: they have every keyword.
fn files() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut paths: Vec<_> = folder
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let text = |path| fs_err::read_to_string(path).unwrap();
    let input = |text: String| {
        let (input, _) = text.split_once("----------\n").unwrap();
        input.split("==== ").next().unwrap().to_owned()
    };
    paths.into_iter().map(text).map(input).collect()
}

#[test]
fn of_our_cases() {
    files().iter().for_each(|text| round_trip(text));
}

#[test]
fn of_texts_that_are_hard_to_quote() {
    for text in [
        "a: b",
        "a #b",
        "- x",
        "'",
        "\"",
        "\\",
        "yes",
        "012",
        "null",
        " a ",
        "\u{85}",
        "\u{feff}",
        "a\n b\n",
        "a\n\nb",
        "\ttab",
        "[x]",
        "é\u{1f600}",
        "!x",
        "&a",
        "*a",
        "|",
        ">",
        "%a",
        "@a",
        "`a`",
        "<<",
        "...",
        "---",
        "1.0",
        "1e5",
        "a\r\nb",
    ] {
        let json = serde_json::to_string(text).unwrap();
        round_trip(&format!(
            "variables: {{V: {json}}}\njob: {{script: [{json}, ok], tags: [{json}]}}\n"
        ));
    }
}

/// A word of the language or of nothing.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "script", "stage", "needs", "rules", "if", "when", "only", "except", "variables", "default", "extends",
            "include", "workflow", "parallel", "matrix", "retry", "trigger", "image", "services", "cache",
            "artifacts", "environment", "inherit", "job", ".hidden", "a", "build", "test", "tags", "<<", "spec",
            "inputs", "manual", "never", "on_failure", "allow_failure",
        ]).prop_map(str::to_owned),
        1 => "[a-z$\\[\\]{}*&!|>'\"%@#:,~0-9. -]{0,12}",
    ]
}

/// A tree as flow YAML.
fn tree() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        3 => word(),
        1 => "[0-9]{1,4}",
        1 => Just("true".to_owned()),
        1 => Just("~".to_owned()),
        1 => Just("$CI_COMMIT_TAG =~ /^v/".to_owned()),
        1 => Just("!reference [a, script]".to_owned()),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5)
                .prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec((word(), inner), 0..5).prop_map(|pairs| {
                let pairs: Vec<_> = pairs
                    .iter()
                    .map(|(key, value)| format!("{key}: {value}"))
                    .collect();
                format!("{{{}}}", pairs.join(", "))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn of_any_tree(jobs in prop::collection::vec((word(), tree()), 1..5)) {
        let lines: Vec<_> = jobs.iter().map(|(name, tree)| format!("{name}: {tree}\n")).collect();
        round_trip(&lines.concat());
    }

    #[test]
    fn of_a_changed_case(file in prop::sample::select(files()), at in any::<prop::sample::Index>(), cut in 0_usize..20, put in word()) {
        let characters: Vec<char> = file.chars().collect();
        let at = at.index(characters.len().max(1));
        let end = (at + cut).min(characters.len());
        let text: String = characters[..at].iter().copied().chain(put.chars()).chain(characters[end..].iter().copied()).collect();
        round_trip(&text);
    }
}
