//! `lotse ci lint`: every diagnostic of a file.

use std::path::PathBuf;
use std::process::ExitCode;

use ci::{Compiled, Diagnostic, Level, Purpose};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::elsewhere::Elsewhere;
use super::facts::{self, For};
use crate::output::{Failure, Screen};

/// Say everything that is wrong with a file
///
/// Errors forbid a pipeline, dangers would do harm, warnings are probably not what was meant. The
/// exit code is 0 when there is no error.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The file, or `-` for standard input
    #[arg(default_value = ".gitlab-ci.yml")]
    file: PathBuf,
    #[command(flatten)]
    elsewhere: Elsewhere,
    /// How to say it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Format {
    /// With the source lines, for people
    #[default]
    Text,
    /// An array of objects
    Json,
    /// SARIF 2.1.0, for code scanners' pages
    Sarif,
}

pub(crate) async fn run(arguments: &Arguments, screen: Screen) -> Result<ExitCode, Failure> {
    let compiled = facts::compile(
        &arguments.file,
        &For::here(),
        Purpose::Check,
        &arguments.elsewhere,
    )
    .await?;
    match arguments.format {
        Format::Text => text(&compiled, screen)?,
        Format::Json => {
            let all: Vec<_> = compiled.diagnostics.iter().map(object).collect();
            screen.json(&all)?;
        }
        Format::Sarif => screen.json(&sarif(&compiled))?,
    }
    Ok(match compiled.has_errors() {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

fn text(compiled: &Compiled, screen: Screen) -> Result<(), Failure> {
    for diagnostic in &compiled.diagnostics {
        let text = match screen.has_colour() {
            true => compiled.sources.render_coloured(diagnostic),
            false => compiled.sources.render(diagnostic),
        };
        screen.line(format!("{text}\n"))?;
    }
    let count = |level: Level| {
        let found = compiled.diagnostics.iter();
        found.filter(|one| one.level == level).count()
    };
    let parts: Vec<_> = [
        (count(Level::Error), "error", "errors"),
        (count(Level::Danger), "danger", "dangers"),
        (count(Level::Warning), "warning", "warnings"),
    ]
    .into_iter()
    .filter(|(count, ..)| *count > 0)
    .map(|(count, one, many)| format!("{count} {}", if count == 1 { one } else { many }))
    .collect();
    screen.line(match parts.is_empty() {
        true => "nothing to complain about".to_owned(),
        false => parts.join(", "),
    })
}

fn object(diagnostic: &Diagnostic) -> Value {
    json!({
        "level": diagnostic.level.as_str(),
        "code": diagnostic.code,
        "message": diagnostic.message,
        "file": diagnostic.place.file,
        "line": diagnostic.place.line,
        "column": diagnostic.place.column,
        "hint": diagnostic.hint,
    })
}

fn sarif(compiled: &Compiled) -> Value {
    let results: Vec<_> = compiled.diagnostics.iter().map(result).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "lotse", "version": env!("CARGO_PKG_VERSION") } },
            "results": results,
        }],
    })
}

fn result(diagnostic: &Diagnostic) -> Value {
    let level = match diagnostic.level {
        Level::Error => "error",
        Level::Danger | Level::Warning => "warning",
    };
    let text = match &diagnostic.hint {
        Some(hint) => format!("{}. Hint: {hint}", diagnostic.message),
        None => diagnostic.message.clone(),
    };
    let place = &diagnostic.place;
    json!({
        "ruleId": diagnostic.code,
        "level": level,
        "message": { "text": text },
        "locations": [{ "physicalLocation": {
            "artifactLocation": { "uri": place.file },
            "region": {
                "startLine": place.line,
                "startColumn": place.column,
                "endColumn": place.column + place.length,
            },
        } }],
    })
}
