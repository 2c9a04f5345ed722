//! Whatever comes in, a load ends soon and does not panic.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use compose::{Loaded, Request};
use proptest::prelude::*;

/// Far above what is seen on a busy machine, far below what an unbounded load would take.
const SOON: Duration = Duration::from_secs(120);

fn load(files: &[(&str, &str)]) -> Loaded {
    let files: BTreeMap<String, String> = files
        .iter()
        .map(|(name, text)| (format!("/p/{name}"), (*text).to_owned()))
        .collect();
    let request = Request {
        directory: "/p".to_owned(),
        environment: BTreeMap::from([("A".to_owned(), "value".to_owned())]),
        ..Request::default()
    };
    compose::load(&request, &files)
}

/// The load fails soon, and says this.
fn refuses(files: &[(&str, &str)], code: &str) {
    let start = Instant::now();
    let loaded = load(files);
    assert!(start.elapsed() < SOON, "{code}: {:?}", start.elapsed());
    let codes: Vec<_> = loaded
        .diagnostics
        .iter()
        .map(|one| one.code.as_str())
        .collect();
    assert!(codes.contains(&code), "{code}: {codes:?}");
    assert!(loaded.project.is_none());
    assert!(codes.len() <= 1001);
}

#[test]
fn aliases_of_aliases() {
    let mut text = "x-0: &a0 [a, a, a, a, a, a, a, a, a, a]\n".to_owned();
    for level in 1..10 {
        let items = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("x-{level}: &a{level} [{items}]\n"));
    }
    refuses(&[("compose.yml", &text)], "too-large");
}

#[test]
fn nesting() {
    let text = format!("x: {}{}", "[".repeat(200), "]".repeat(200));
    refuses(&[("compose.yml", &text)], "too-deep");
}

#[test]
fn variables_that_grow() {
    let line = "x-{}: \"".to_owned() + &"$A".repeat(100_000) + "\"\n";
    let text: String = (0..18)
        .map(|at| line.replace("{}", &at.to_string()))
        .collect();
    let big = format!("A={}\n", "x".repeat(100_000));
    let files = BTreeMap::from([
        ("/p/compose.yml".to_owned(), text),
        ("/p/.env".to_owned(), big),
    ]);
    let request = Request {
        directory: "/p".to_owned(),
        ..Request::default()
    };
    let start = Instant::now();
    let loaded = compose::load(&request, &files);
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    assert!(loaded.diagnostics.iter().any(|one| one.code == "too-large"));
}

#[test]
fn includes_that_multiply() {
    let one = "include: [b.yml, b.yml, b.yml, b.yml, b.yml, b.yml, b.yml, b.yml]\nservices: {a: {image: a}}\n";
    let mut files: Vec<(String, String)> = Vec::new();
    for (at, next) in "bcdefghijk".chars().zip("cdefghijkl".chars()) {
        files.push((
            format!("{at}.yml"),
            one.replace("b.yml", &format!("{next}.yml")),
        ));
    }
    files.push(("l.yml".to_owned(), "services: {l: {image: l}}".to_owned()));
    files.push(("compose.yml".to_owned(), one.to_owned()));
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    refuses(&files, "too-large");
}

#[test]
fn services_that_extend_a_large_one() {
    let variables: String = (0..20_000)
        .map(|at| format!("      V{at}: {at}\n"))
        .collect();
    let mut text = format!("services:\n  base:\n    image: a\n    environment:\n{variables}");
    for at in 0..1000 {
        text.push_str(&format!("  s{at}: {{extends: base}}\n"));
    }
    refuses(&[("compose.yml", &text)], "too-large");
}

#[test]
fn large_files_of_variables_for_many() {
    let value = "x".repeat(200);
    let lines: String = (0..5000).map(|at| format!("V{at}={value}\n")).collect();
    let mut text = "services:\n".to_owned();
    for at in 0..1000 {
        text.push_str(&format!("  s{at}: {{image: a, env_file: a.env}}\n"));
    }
    refuses(&[("compose.yml", &text), ("a.env", &lines)], "too-large");
}

#[test]
fn many_ports_names_and_mistakes() {
    let ports = "\"1-65535\", ".repeat(100);
    let text = format!("services: {{a: {{image: a, ports: [{ports}]}}}}\n");
    refuses(&[("compose.yml", &text)], "too-large");
    let names: String = (0..20_000).map(|at| format!("  n{at}: {{}}\n")).collect();
    refuses(
        &[("compose.yml", &format!("volumes:\n{names}"))],
        "too-large",
    );
    let wrong: String = (0..20_000).map(|at| format!("imge{at}: {{}}\n")).collect();
    refuses(&[("compose.yml", &wrong)], "unknown-key");
}

#[test]
fn long_chains() {
    let mut text = "services:\n  s0: {image: a}\n".to_owned();
    for at in 1..4000 {
        text.push_str(&format!(
            "  s{at}: {{image: a, depends_on: [s{}]}}\n",
            at - 1
        ));
    }
    let start = Instant::now();
    let loaded = load(&[("compose.yml", &text)]);
    assert!(!loaded.has_errors(), "{}", loaded.render());
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    let mut text = "services:\n".to_owned();
    for at in 0..4000 {
        text.push_str(&format!("  s{at}: {{extends: s{}}}\n", at + 1));
    }
    text.push_str("  s4000: {image: a}\n");
    refuses(&[("compose.yml", &text)], "extends");
}

#[test]
fn a_usual_file_takes_no_time() {
    let mut text =
        "x-common: &common {restart: always, logging: {driver: journald}}\nservices:\n".to_owned();
    for at in 0..50 {
        text.push_str(&format!(
            "  s{at}:\n    <<: *common\n    image: \"registry.example/s{at}:${{TAG:-1}}\"\n    environment: {{A: \"1\", B: \"2\"}}\n    ports: [\"{}:80\"]\n    healthcheck: {{test: curl localhost, interval: 5s}}\n",
            9000 + at
        ));
    }
    let start = Instant::now();
    for _ in 0..10 {
        let loaded = load(&[("compose.yml", &text)]);
        assert!(!loaded.has_errors(), "{}", loaded.render());
    }
    let each = start.elapsed() / 10;
    println!("50 services: {each:?} each, without optimisation");
    assert!(each < Duration::from_secs(1), "{each:?}");
}

/// Files that say much, to be changed at random.
fn seeds() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut texts = Vec::new();
    for part in ["corpus", "cases"] {
        for entry in folder.join(part).read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let text = fs_err::read_to_string(&path).unwrap();
                let input = text.split("----------\n").next().unwrap_or_default();
                texts.push(input.to_owned());
            }
        }
    }
    texts.sort();
    texts
}

/// One change: what is cut out from where, and what is put there.
fn change() -> impl Strategy<Value = (prop::sample::Index, usize, String)> {
    let word = prop_oneof![
        "[ -~\n]{0,4}",
        Just("${A".to_owned()),
        Just("$$".to_owned()),
        Just("!reset ".to_owned()),
        Just("!override ".to_owned()),
        Just("null".to_owned()),
        Just("[]".to_owned()),
        Just("{}".to_owned()),
        Just("&a ".to_owned()),
        Just("*a".to_owned()),
        Just("<<: ".to_owned()),
        Just("-1".to_owned()),
        Just("ü☃".to_owned()),
        Just("\n  ".to_owned()),
    ];
    (any::<prop::sample::Index>(), 0..20_usize, word)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_files_never_panic(
        first in any::<prop::sample::Index>(),
        second in any::<prop::sample::Index>(),
        changes in prop::collection::vec(change(), 1..6),
    ) {
        let seeds = seeds_once();
        let mut text: Vec<char> = first.get(seeds).chars().collect();
        for (at, cut, word) in changes {
            let at = at.index(text.len() + 1);
            let end = (at + cut).min(text.len());
            text.splice(at..end, word.chars());
        }
        let text: String = text.into_iter().collect();
        let other = second.get(seeds);
        let loaded = load(&[
            ("compose.yml", &text),
            ("compose.override.yml", other),
            (".env", &text),
            ("files/base.yml", other),
            ("files/common.env", &text),
        ]);
        let _ = loaded.render();
        prop_assert_eq!(loaded.project.is_none(), loaded.has_errors());
        if loaded.project.is_some() {
            prints_what_it_read(&loaded);
        }
    }
}

/// What is printed reads back as the same project.
fn prints_what_it_read(loaded: &Loaded) {
    let text = loaded.config();
    let again = load(&[("compose.yml", &text)]);
    assert!(!again.has_errors(), "{text}\n{}", again.render());
    let printed = again.config();
    let differs = printed
        .lines()
        .zip(text.lines())
        .find(|(one, other)| one != other);
    assert_eq!(differs, None);
    assert_eq!(printed.len(), text.len());
}

fn seeds_once() -> &'static [String] {
    static SEEDS: std::sync::OnceLock<Vec<String>> = std::sync::OnceLock::new();
    SEEDS.get_or_init(seeds)
}
