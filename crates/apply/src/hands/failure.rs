//! What went wrong, in the words of a rollout.

use compose::project::ServiceName;
use deploy::{Failure, FailureKind};
use docker::{DockerError, Engine, Name};

use crate::edge::EdgeError;
use crate::keep::KeepError;

/// So many of a container's last lines are told.
const LAST_LINES: usize = 20;
/// No line is told beyond so many characters.
const LONGEST_LINE: usize = 500;

pub(super) fn failed(message: impl Into<String>) -> Failure {
    Failure {
        kind: FailureKind::Failed,
        message: message.into(),
        service: None,
        last_lines: Vec::new(),
    }
}

/// A failure with the mend behind it.
pub(super) fn with_hint(message: impl Into<String>, hint: Option<&str>) -> Failure {
    let message = message.into();
    failed(match hint {
        Some(hint) => format!("{message}\nhint: {hint}"),
        None => message,
    })
}

pub(super) fn of_docker(error: DockerError) -> Failure {
    let failure = with_hint(text_of(&error), error.hint());
    unreachable_if(failure, error.is_unreachable())
}

pub(super) fn of_keep(error: KeepError) -> Failure {
    let failure = with_hint(text_of(&error), error.hint());
    unreachable_if(failure, error.is_unreachable())
}

pub(super) fn of_edge(error: EdgeError) -> Failure {
    let unreachable = matches!(&error, EdgeError::Docker(error) if error.is_unreachable());
    unreachable_if(with_hint(text_of(&error), error.hint()), unreachable)
}

fn unreachable_if(failure: Failure, unreachable: bool) -> Failure {
    let kind = match unreachable {
        true => FailureKind::Unreachable,
        false => FailureKind::Failed,
    };
    Failure { kind, ..failure }
}

/// The same failure, of this service.
pub(super) fn of_service(failure: Failure, service: &ServiceName) -> Failure {
    Failure {
        service: Some(service.clone()),
        ..failure
    }
}

/// An error and what caused it, on one line.
pub(super) fn text_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let next = cause.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        source = cause.source();
    }
    text
}

/// The last lines of a container; none where its log cannot be read.
pub(super) async fn last_lines(engine: &Engine, container: &Name) -> Vec<String> {
    let text = engine.last_lines(container, LAST_LINES).await;
    lines_of(&text.unwrap_or_default())
}

/// The last lines of a text, as messages have them.
pub(super) fn lines_of(text: &str) -> Vec<String> {
    let shown = |line: &str| {
        let plain = line
            .chars()
            .filter(|char| !char.is_control() || *char == '\t');
        plain.take(LONGEST_LINE).collect::<String>()
    };
    let lines: Vec<String> = text.trim_end().lines().map(shown).collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].to_vec()
}
