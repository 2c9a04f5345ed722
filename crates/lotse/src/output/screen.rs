//! Standard output, and what it can show.

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

use super::{Failure, Table};

/// Where results go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    colour: bool,
    live: bool,
}

/// What a text means; its colour follows from that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tone {
    /// Nothing special.
    #[default]
    Plain,
    /// Less important.
    Quiet,
    /// A heading.
    Strong,
    /// It went well.
    Good,
    /// It went wrong.
    Bad,
    /// It is going on.
    Busy,
    /// It waits for something.
    Waiting,
}

impl Screen {
    /// The process's own. Colour only on a terminal that has it, and never against `NO_COLOR`.
    pub(crate) fn of_process() -> Self {
        let live = io::stdout().is_terminal();
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let able = set("TERM").is_none_or(|term| term != "dumb");
        Self {
            colour: live && able && set("NO_COLOR").is_none(),
            live: live && able,
        }
    }

    /// One without a terminal.
    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Self {
            colour: false,
            live: false,
        }
    }

    /// Whether lines can be redrawn.
    pub(crate) fn is_live(self) -> bool {
        self.live
    }

    /// Whether colours are shown.
    pub(crate) fn has_colour(self) -> bool {
        self.colour
    }

    /// The text in the colour of its tone.
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            _ if !self.colour => return text.to_owned(),
            Tone::Quiet => "2",
            Tone::Strong => "1",
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Busy => "36",
            Tone::Waiting => "33",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// The text in one of a few colours: the same number has the same one.
    pub(crate) fn tint(self, number: usize, text: &str) -> String {
        const COLOURS: [&str; 6] = ["36", "35", "33", "34", "32", "96"];
        match self.colour {
            true => format!("\u{1b}[{}m{text}\u{1b}[0m", COLOURS[number % COLOURS.len()]),
            false => text.to_owned(),
        }
    }

    /// Writes a line.
    pub(crate) fn line(self, text: impl AsRef<str>) -> Result<(), Failure> {
        self.write(format!("{}\n", text.as_ref()).as_bytes())
    }

    /// Writes a table.
    pub(crate) fn table(self, table: &Table) -> Result<(), Failure> {
        self.write(table.render(self).as_bytes())
    }

    /// Writes a value as JSON, indented.
    pub(crate) fn json(self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|error| Failure::internal("cannot write JSON").because(&error))?;
        self.line(text)
    }

    /// Writes bytes as they are.
    pub(crate) fn write(self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        stdout
            .write_all(bytes)
            .and_then(|()| stdout.flush())
            .map_err(|error| Failure::output(&error))
    }
}
