//! `config` says what `docker-compose config` 1.29 says, for every file of `tests/corpus`.
//!
//! A file may begin with lines `# env: NAME=value`, `# also: further.yml` and `# folder: name` (then
//! it is found by itself in that folder). What 1.29 prints is kept in `tests/corpus/recorded`; where
//! docker-compose 1.29 is installed it is asked again. `BLESS=1 cargo test -p compose --test
//! agreement` records it anew. Where the two differ, `tests/corpus/differences.txt` says why.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use compose::{Files, Found, Request};
use serde_json::Value;

/// What stands for the folder of the corpus in what is recorded.
const FOLDER: &str = "/corpus";

struct Case {
    name: String,
    files: Vec<String>,
    folder: String,
    environment: BTreeMap<String, String>,
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for entry in corpus().read_dir().unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        let own = path.join("docker-compose.yml");
        match file.strip_suffix(".yml") {
            Some(name) if !name.contains('.') => cases.push(case(name, &path)),
            None if own.exists() => cases.push(case(&file, &own)),
            _ => {}
        }
    }
    cases.sort_by(|one, other| one.name.cmp(&other.name));
    cases
}

fn case(name: &str, path: &Path) -> Case {
    let mut case = Case {
        name: name.to_owned(),
        files: vec![format!("{name}.yml")],
        folder: String::new(),
        environment: BTreeMap::from([("HOME".to_owned(), "/root".to_owned())]),
    };
    let text = fs_err::read_to_string(path).unwrap();
    for line in text.lines() {
        let Some((key, value)) = line
            .strip_prefix("# ")
            .and_then(|line| line.split_once(": "))
        else {
            break;
        };
        match key {
            "env" => {
                let (name, value) = value.split_once('=').unwrap();
                case.environment.insert(name.to_owned(), value.to_owned());
            }
            "also" => case.files.push(value.to_owned()),
            "folder" => {
                case.folder = format!("/{value}");
                case.files.clear();
            }
            other => panic!("{name}: {other}"),
        }
    }
    case
}

/// The real folder under the name that is recorded.
struct Corpus;

impl Files for Corpus {
    fn read(&self, path: &str) -> Found {
        let Some(rest) = path.strip_prefix(FOLDER) else {
            return Found::Absent;
        };
        match fs_err::read_to_string(format!("{}{rest}", corpus().display())) {
            Ok(text) => Found::Text(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Found::Absent,
            Err(error) => Found::Failed(error.to_string()),
        }
    }
}

fn ours(case: &Case) -> Result<Value, String> {
    let request = Request {
        directory: format!("{FOLDER}{}", case.folder),
        files: case.files.clone(),
        environment: case.environment.clone(),
        ..Request::default()
    };
    let loaded = compose::load(&request, &Corpus);
    if loaded.has_errors() {
        return Err(format!("{}: {}", case.name, loaded.render()));
    }
    let text = loaded.config();
    let again = read(&text);
    assert_eq!(again, loaded.config_json(), "{}: {text}", case.name);
    Ok(again)
}

/// A printed file as JSON.
fn read(text: &str) -> Value {
    let mut report = yaml::Report::default();
    let file = report.file("printed", text, None);
    let parsed = yaml::parse(file, text, yaml::Dialect::Compose, &mut report).unwrap();
    assert_eq!(report.errors(), 0, "{text}");
    yaml::to_json(&parsed.documents[0])
}

/// Answers many times in one process, as starting it takes seconds. A question is a line
/// `folder, arguments, variables` of JSON, the answer one of JSON with what was printed, or the error.
const ASK: &str = r#"
import contextlib, io, json, os, sys
from compose.cli import main
for line in sys.stdin:
    folder, arguments, variables = json.loads(line)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    sys.argv = ['docker-compose'] + arguments
    out, error = io.StringIO(), io.StringIO()
    status = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
            main.main()
    except SystemExit as end:
        status = end.code
    print(json.dumps(['' if status else out.getvalue(), error.getvalue()]), flush=True)
"#;

/// What 1.29 prints now for every case; nothing where it is not installed.
fn theirs(cases: &[Case]) -> Option<Vec<String>> {
    let python = python()?;
    let real = corpus().display().to_string();
    let mut questions = String::new();
    for case in cases {
        let files = case.files.iter().flat_map(|file| ["-f", file]);
        let arguments: Vec<_> = files.chain(["config"]).collect();
        let folder = format!("{real}{}", case.folder);
        let question = serde_json::json!([folder, arguments, case.environment]);
        questions.push_str(&format!("{question}\n"));
    }
    let mut child = Command::new(python)
        .args(["-c", ASK])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(questions.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let answers = String::from_utf8(output.stdout).unwrap();
    let answers = answers.lines().zip(cases).map(|(line, case)| {
        let (printed, error): (String, String) = serde_json::from_str(line).unwrap();
        assert!(!printed.is_empty(), "{}: {error}", case.name);
        printed.replace(&real, FOLDER)
    });
    Some(answers.collect())
}

/// The interpreter of docker-compose 1.29, if that is installed.
fn python() -> Option<String> {
    let path = std::env::var("PATH").ok()?;
    let script = path
        .split(':')
        .find_map(|folder| fs_err::read_to_string(format!("{folder}/docker-compose")).ok())?;
    let first = script.lines().next()?;
    let is_it = script.contains("docker-compose==1.29");
    is_it.then(|| first.trim_start_matches("#!").trim().to_owned())
}

fn recorded(case: &Case) -> PathBuf {
    corpus().join(format!("recorded/{}.yml", case.name))
}

#[test]
fn what_is_recorded_is_what_it_says() {
    let cases = cases();
    let Some(said) = theirs(&cases) else {
        assert!(
            std::env::var_os("CI").is_none_or(|ci| ci != "true"),
            "docker-compose 1.29 is not installed"
        );
        eprintln!("skipped: docker-compose 1.29 is not installed; what it said is recorded");
        return;
    };
    assert_eq!(said.len(), cases.len());
    for (case, said) in cases.iter().zip(said) {
        let path = recorded(case);
        if std::env::var_os("BLESS").is_some() {
            fs_err::write(&path, said).unwrap();
            continue;
        }
        let known = fs_err::read_to_string(&path).unwrap();
        assert_eq!(read(&known), read(&said), "{}", case.name);
    }
}

#[test]
fn agreement() {
    let cases = cases();
    assert!(cases.len() >= 80, "only {} cases", cases.len());
    let reasons = reasons();
    let mut used = BTreeSet::new();
    let mut failures = Vec::new();
    for case in &cases {
        let theirs = read(&fs_err::read_to_string(recorded(case)).unwrap());
        let mut found = Vec::new();
        match ours(case) {
            Ok(ours) => differences("", &theirs, &ours, &mut found),
            Err(error) => failures.push(error),
        }
        for (path, difference) in found {
            let reason = reasons
                .iter()
                .find(|(name, pattern)| fits(name, &case.name) && fits(pattern, &path));
            match reason {
                Some(reason) => {
                    used.insert(reason);
                }
                None => failures.push(format!("{} {path}: {difference}", case.name)),
            }
        }
    }
    for reason in reasons.iter().filter(|reason| !used.contains(reason)) {
        failures.push(format!("differences.txt: {reason:?} is not needed"));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The lines `case path: reason`; a star stands for anything.
fn reasons() -> Vec<(String, String)> {
    let text = fs_err::read_to_string(corpus().join("differences.txt")).unwrap();
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (place, reason) = line.split_once(": ").unwrap();
            assert!(reason.len() > 20, "{line}: give the reason");
            let (name, path) = place.split_once(' ').unwrap();
            (name.to_owned(), path.to_owned())
        })
        .collect()
}

fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            (0..=text.len())
                .filter(|at| text.is_char_boundary(*at))
                .any(|at| fits(rest, &text[at..]))
        }),
    }
}

fn differences(path: &str, theirs: &Value, ours: &Value, found: &mut Vec<(String, String)>) {
    match (theirs, ours) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: BTreeSet<_> = one.keys().chain(other.keys()).collect();
            for key in keys {
                let path = format!("{path}/{key}");
                match (one.get(key), other.get(key)) {
                    (Some(one), Some(other)) => differences(&path, one, other, found),
                    (one, other) => found.push((path, format!("{one:?} and {other:?}"))),
                }
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (at, (one, other)) in one.iter().zip(other).enumerate() {
                differences(&format!("{path}/{at}"), one, other, found);
            }
        }
        (Value::Number(one), Value::Number(other)) if one.as_f64() == other.as_f64() => {}
        _ if theirs == ours => {}
        _ => found.push((path.to_owned(), format!("{theirs} and {ours}"))),
    }
}
