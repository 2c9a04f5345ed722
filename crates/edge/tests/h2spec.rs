//! The edge before h2spec, a conformance test of HTTP/2 by others. It is taken from the search path,
//! or built once with Go (from the Go module proxy) into the folder of temporary files of the build; where
//! neither can be, the test says so.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};

use common::{Bench, Target};
use tokio::process::Command;

const SOURCE: &str = "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible";
const MEND: &str =
    "h2spec is not in the search path and could not be built: install Go 1.25 or newer";

/// (a case that ends otherwise, why that is right here)
const KNOWN: &[(&str, &str)] = &[(
    "Sends invalid connection preface",
    "the port speaks HTTP/1 as well, and answers 400 before it closes",
)];

/// The tool, if it is there or can be built.
async fn h2spec() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("h2spec");
    let built = folder.join("h2spec");
    for place in [PathBuf::from("h2spec"), built.clone()] {
        let version = Command::new(&place).arg("--version").output().await;
        if version.is_ok_and(|output| output.status.success()) {
            return Some(place);
        }
    }
    let mut go = Command::new("go");
    go.args(["install", SOURCE]).env("GOBIN", &folder);
    let installed = go.output().await.ok()?;
    eprintln!("{}", String::from_utf8_lossy(&installed.stderr));
    installed.status.success().then_some(built)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h2spec_finds_nothing() {
    let Some(h2spec) = h2spec().await else {
        println!("skipped: {MEND}");
        return;
    };
    let bench = Bench::new().await;
    let target = Target::start(1).await;
    bench.to(&[&target]).await;
    let report = bench.folder.path().join("report.xml");
    let mut command = Command::new(h2spec);
    command.args([
        "--strict",
        "--timeout",
        "5",
        "--host",
        "127.0.0.1",
        "--port",
    ]);
    command.arg(bench.address.port().to_string());
    command
        .args(["--path", "/bytes/100000", "--junit-report"])
        .arg(&report);
    let output = command.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let report = fs_err::read_to_string(&report).expect(&said);
    let (run, failed) = results(&report);
    println!("h2spec: {run} cases, of which failed: {failed:?}");
    assert!(run > 140, "only {run} cases were run:\n{said}");
    let known = |title: &str| KNOWN.iter().any(|(known, _)| title == *known);
    let new: Vec<_> = failed.iter().filter(|title| !known(title)).collect();
    assert!(new.is_empty(), "{new:#?}\n{said}");
}

/// How many cases were run, and the titles of those that failed.
fn results(report: &str) -> (usize, Vec<String>) {
    let cases: Vec<&str> = report.split("<testcase ").skip(1).collect();
    let failed = cases
        .iter()
        .filter(|case| case.contains("<failure") || case.contains("<error"));
    let title = |case: &&&str| {
        let named = case.split("classname=\"").nth(1).unwrap_or(case);
        named.split('"').next().unwrap_or_default().to_owned()
    };
    (cases.len(), failed.map(|case| title(&case)).collect())
}
