//! Texts made to be costly end soon: with a graph or an error, never with a panic or a hang.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::time::{Duration, Instant};

use ci::Input;
use model::GitRef;

const SIZE: usize = 1 << 20;

/// Compiles in a thread with a small stack, and gives up loudly.
fn check(name: &'static str, text: String) {
    let size = text.len();
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    let start = Instant::now();
    let thread = thread
        .spawn(move || {
            let input = Input::new("ci.yml", text, GitRef::branch("main").unwrap());
            let compiled = ci::compile(&input);
            (compiled.render().len(), compiled.graph.is_some())
        })
        .unwrap();
    let (rendered, graph) = thread.join().unwrap();
    let took = start.elapsed();
    println!("{name}: {size} bytes, {took:?}, graph {graph}, {rendered} bytes of diagnostics");
    // Unoptimised code on a busy machine: far above what is aimed at, far below a hang.
    assert!(took < Duration::from_secs(60), "{name} took {took:?}");
}

fn repeat(part: &str) -> String {
    part.repeat(SIZE / part.len())
}

#[test]
fn nesting() {
    check("flow lists", repeat("["));
    check("flow maps", repeat("{a: "));
    check("block lists", repeat("- "));
    check(
        "block maps",
        (0..1_400)
            .map(|depth| format!("{}a:\n", " ".repeat(depth)))
            .collect(),
    );
    check("quotes", repeat("\""));
}

#[test]
fn blocks_of_inputs() {
    let texts = |text: String| format!("job:\n  script: '{text}'\n");
    check("open ones on one line", texts(repeat("$[[ ")));
    check("open ones on many lines", texts(repeat("$[[\n  ") + "]]"));
    check("closed ones", texts(repeat("$[[ a ]]")));
}

#[test]
fn many_of_a_kind() {
    check(
        "keys",
        (0..100_000).map(|key| format!("k{key}: x\n")).collect(),
    );
    check("one key", repeat("job: {script: x}\n"));
    check(
        "unknown keywords",
        format!(
            "job:\n  script: x\n{}",
            (0..60_000)
                .map(|key| format!("  scrip{key}: x\n"))
                .collect::<String>()
        ),
    );
    check(
        "anchors",
        (0..50_000)
            .map(|key| format!(".a{key}: &a{key} x\n"))
            .collect(),
    );
    check("documents", repeat("---\na: b\n"));
    check(
        "one long line",
        format!("job: {{script: '{}'}}", "x ".repeat(SIZE / 2)),
    );
    check(
        "variables in a line",
        format!("job: {{script: '{}'}}", "$A${B}".repeat(SIZE / 6)),
    );
    check(
        "errors in one line",
        format!(
            "job: {{script: x, tags: [{}]}}",
            "{a: b}, ".repeat(SIZE / 8)
        ),
    );
}

#[test]
fn what_multiplies() {
    let template = format!(
        ".t:\n  script:\n{}",
        "    - echo line of a script\n".repeat(2_000)
    );
    let jobs = |body: &str| {
        (0..20_000)
            .map(|job| format!("j{job}: {{{body}}}\n"))
            .collect::<String>()
    };
    check(
        "extends of a long script",
        format!("{template}{}", jobs("extends: .t")),
    );
    check(
        "references to a long script",
        format!("{template}{}", jobs("script: !reference [.t, script]")),
    );
    let variables: String = (0..2_000).map(|name| format!("  V{name}: x\n")).collect();
    check(
        "variables for all",
        format!("variables:\n{variables}{}", jobs("script: x")),
    );
    let chain: String = (1..20_000)
        .map(|job| format!(".c{job}: {{extends: .c{}}}\n", job - 1))
        .collect();
    check(
        "a long chain of extends",
        format!(".c0: {{script: x}}\n{chain}job: {{extends: .c19999}}\n"),
    );
    let backwards: String = (0..20_000)
        .map(|job| format!(".c{job}: {{extends: .c{}}}\n", job + 1))
        .collect();
    check(
        "a long chain backwards",
        format!("{backwards}job: {{extends: .c0}}\n"),
    );
    let doubling: String = (1..60)
        .map(|name| format!("  V{name}: $V{0}$V{0}\n", name - 1))
        .collect();
    check(
        "variables that double",
        format!(
            "variables:\n  V0: xxxxxxxx\n{doubling}job: {{script: x, rules: [{{if: $V59}}], resource_group: $V59}}\n"
        ),
    );
    check(
        "needs of all",
        (0..5_000)
            .map(|job| {
                format!(
                    "j{job}: {{script: x, parallel: 10, needs: [j{}]}}\n",
                    (job + 4_999) % 5_000
                )
            })
            .collect(),
    );
    let condition = vec!["$A =~ /a{1,50}b{1,50}/"; 500].join(" && ");
    check(
        "conditions",
        (0..80)
            .map(|job| format!("j{job}: {{script: x, rules: [{{if: '{condition}'}}]}}\n"))
            .collect(),
    );
}
