//! A rollout as it goes: lines that live on a terminal, plain lines elsewhere, events for programs.
//!
//! Whoever read our output may be gone; the rollout goes on all the same.

mod lines;
mod live;

use std::io::{self, Write as _};

use apply::drive::Progress;
use serde::Serialize;

use crate::output::Screen;

/// How progress is shown.
pub(super) enum Display {
    Lines(lines::Lines),
    Live(live::Live),
    /// One JSON object a line.
    Events,
}

/// An event as programs get it.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    progress: &'a Progress,
    /// The same for people.
    text: String,
}

impl Display {
    pub(super) fn new(screen: Screen, json: bool) -> Self {
        match (json, screen.is_live()) {
            (true, _) => Self::Events,
            (false, true) => Self::Live(live::Live::new(screen)),
            (false, false) => Self::Lines(lines::Lines::new(screen)),
        }
    }

    pub(super) fn show(&mut self, progress: &Progress) {
        match self {
            Self::Lines(lines) => lines.show(progress),
            Self::Live(live) => live.show(progress),
            Self::Events => event(progress),
        }
    }

    /// Says something that is no event of a rollout.
    pub(super) fn say(&mut self, text: &str) {
        match self {
            Self::Live(live) => live.say(text),
            Self::Lines(_) => {
                let _gone = writeln!(io::stdout(), "{text}");
            }
            Self::Events => {
                let line = serde_json::json!({ "event": "waiting", "text": text });
                let _gone = writeln!(io::stdout(), "{line}");
            }
        }
    }

    /// Nothing more comes.
    pub(super) fn finish(&mut self) {
        if let Self::Live(live) = self {
            live.finish();
        }
    }
}

fn event(progress: &Progress) {
    let text = lines::text(progress).unwrap_or_default();
    let line = Line { progress, text };
    let Ok(line) = serde_json::to_string(&line) else {
        return;
    };
    let _gone = writeln!(io::stdout(), "{line}");
}
