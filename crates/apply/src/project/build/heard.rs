//! What a builder says: told line by line, and remembered for the error, which names the step that
//! failed and its last lines.

use std::collections::VecDeque;

use compose::project::ServiceName;
use docker::image::{BuildProgress, Progress};
use docker::{DockerError, Lines};

use crate::project::{ProjectError, Tell};

/// Of a step's output, for messages.
const LINES: usize = 20;
/// From here on a context is worth a word, in bytes.
const LARGE: u64 = 10_000_000;

/// Listens to one build.
pub(super) struct Heard<'a> {
    tell: Tell<'a>,
    quiet: bool,
    lines: Lines,
    /// `Step 2/3 : RUN make`, as the builder says it.
    step: Option<String>,
    /// The last lines of this step.
    last: VecDeque<String>,
}

impl<'a> Heard<'a> {
    pub(super) fn new(tell: Tell<'a>, quiet: bool) -> Self {
        Self {
            tell,
            quiet,
            lines: Lines::default(),
            step: None,
            last: VecDeque::new(),
        }
    }

    /// A large one is told: much of it may be there by mistake.
    pub(super) fn context_is_sent(&self, bytes: u64) {
        if bytes >= LARGE {
            let megabytes = bytes / 1_000_000;
            self.say(format!("a context of {megabytes} MB was sent"));
        }
    }

    pub(super) fn hear(&mut self, said: BuildProgress) {
        match said {
            BuildProgress::Output(piece) => {
                for line in self.lines.take(piece.as_bytes()) {
                    self.line(line);
                }
            }
            BuildProgress::Pull(step) => {
                if let Some(line) = pulled(&step) {
                    self.say(line);
                }
            }
        }
    }

    /// Nothing more comes.
    pub(super) fn end(&mut self) {
        if let Some(rest) = self.lines.rest() {
            self.line(rest);
        }
    }

    /// Why there is no image.
    pub(super) fn error(&self, service: &ServiceName, error: &DockerError) -> ProjectError {
        let problem = match error.is_unreachable() || self.step.is_none() {
            true => format!("{error}: {}", error.problem()),
            false => error.problem().to_string(),
        };
        let lines: Vec<&str> = self.last.iter().map(String::as_str).collect();
        ProjectError::Build {
            service: service.clone(),
            why: match &self.step {
                Some(step) => format!("`{step}`: {problem}"),
                None => problem,
            },
            words: lines.join("\n"),
        }
    }

    fn line(&mut self, line: String) {
        if line.starts_with("Step ") {
            self.step = Some(line.clone());
            self.last.clear();
        } else if !line.starts_with(" ---> ") && !line.trim().is_empty() {
            if self.last.len() == LINES {
                self.last.pop_front();
            }
            self.last.push_back(line.clone());
        }
        self.say(line);
    }

    fn say(&self, line: String) {
        if !self.quiet {
            (self.tell)(line);
        }
    }
}

/// A base image comes in many steps, of which two words a layer are enough.
fn pulled(step: &Progress) -> Option<String> {
    match (step.layer.as_str(), step.status.as_str()) {
        ("", status) => Some(status.to_owned()),
        (layer, "Pull complete") => Some(format!("{layer}: Pull complete")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// What is told of pieces; and the step and the lines that an error would show.
    fn check(pieces: &[&str], quiet: bool) -> (Vec<String>, Option<String>, Vec<String>) {
        let told = Mutex::new(Vec::new());
        let tell = |line| told.lock().unwrap().push(line);
        let mut heard = Heard::new(&tell, quiet);
        for piece in pieces {
            heard.hear(BuildProgress::Output((*piece).to_owned()));
        }
        heard.end();
        let (step, last) = (heard.step.clone(), heard.last.clone().into());
        (told.into_inner().unwrap(), step, last)
    }

    #[test]
    fn lines_are_told_and_the_last_step_remembered() {
        let pieces = [
            "Step 1/2 : FROM a\n",
            " ---> 0123\n",
            "Step 2/2 : RUN make\n",
            " ---> Running in 45\n",
            "one\ntw",
            "o\n",
            "three",
        ];
        let (told, step, last) = check(&pieces, false);
        assert_eq!(told.len(), 7, "{told:?}");
        assert_eq!(step.as_deref(), Some("Step 2/2 : RUN make"));
        assert_eq!(last, ["one", "two", "three"]);
        assert!(check(&pieces, true).0.is_empty());
    }

    #[test]
    fn only_so_many_lines_are_remembered() {
        let (_, _, last) = check(&["x\n".repeat(LINES * 2).as_str(), "end\n"], false);
        assert_eq!(last.len(), LINES);
        assert_eq!(last[LINES - 1], "end");
    }
}
