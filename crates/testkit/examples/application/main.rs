//! The application that tests deploy: a small site of a front end, pages, an API, a database, a
//! migration and a worker, each a role of this one program. It uses the standard library alone, so
//! that one call of the compiler makes it a static file (`testkit::application`).
//!
//! Every answer names the release (`RELEASE`) that gives it. `FAULT=ROLE:KIND` makes a role misbehave,
//! `STOP` says how it takes its end.

#![allow(
    clippy::disallowed_methods,
    reason = "it has no library, so no fs_err either"
)]

mod fault;
mod frontend;
mod http;
mod life;
mod pages;
mod records;
mod serve;

use std::io;
use std::process::ExitCode;

use fault::Fault;
use life::Life;

/// Where pages and API listen; the front end has the site's own port.
const INNER: u16 = 5000;
const OUTER: u16 = 8080;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let role = arguments.first().map_or("", String::as_str);
    match run(role, &arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("fatal: {role}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(role: &str, arguments: &[String]) -> io::Result<()> {
    if role == "check" {
        return check(arguments);
    }
    let fault = Fault::of(role);
    println!("release {} begins as {role}", release());
    fault.at_start()?;
    let life = Life::begin();
    match role {
        "frontend" => serve::serve(OUTER, &life, frontend::Frontend::new(fault)),
        "ui" | "api" => serve::serve(INNER, &life, pages::Pages::new(role, fault)),
        "database" => records::serve(),
        "migrate" => records::migrate(fault),
        "worker" => loop {
            std::thread::park();
        },
        _ => Err(io::Error::other(
            "a role is one of frontend, ui, api, database, migrate, worker, check",
        )),
    }
}

/// The health check of a container: `check PORT PATH`.
fn check(arguments: &[String]) -> io::Result<()> {
    let [_, port, path] = arguments else {
        return Err(io::Error::other("usage: check PORT PATH"));
    };
    let (head, _) = http::get(&format!("127.0.0.1:{port}"), path)?;
    match head.status() {
        Some(200) => Ok(()),
        _ => Err(io::Error::other(head.first)),
    }
}

/// The number of the release.
fn release() -> u64 {
    let release = std::env::var("RELEASE").unwrap_or_default();
    release.parse().unwrap_or(0)
}
