//! What the user types or pipes in: tokens and values that have no place on a command line.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use model::Secret;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::output::Failure;

/// The longest value, in bytes.
const LIMIT: u64 = 1 << 20;

/// A secret: from the terminal without showing it, or from whatever standard input is.
pub(crate) async fn ask_for_secret(prompt: &str) -> Result<Secret, Failure> {
    if !io::stdin().is_terminal() {
        return read_input().map(|text| Secret::new(without_newline(text)));
    }
    let hidden = Hidden::start().map_err(|error| unreadable(&error))?;
    let text = ask(prompt).await;
    drop(hidden);
    eprintln!();
    text.map(Secret::new)
}

/// A line of text from the terminal.
pub(crate) async fn ask_for_text(prompt: &str) -> Result<String, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage("there is no terminal to ask on")
            .hint("say what you want with options; --help lists them"));
    }
    ask(prompt).await
}

/// All of standard input.
pub(crate) fn read_input() -> Result<String, Failure> {
    let mut text = String::new();
    io::stdin()
        .take(LIMIT + 1)
        .read_to_string(&mut text)
        .map_err(|error| unreadable(&error))?;
    if text.len() as u64 > LIMIT {
        return Err(Failure::user(format!(
            "standard input is longer than {LIMIT} bytes"
        )));
    }
    Ok(text)
}

/// A line that ends in a newline only because shells write it so.
pub(crate) fn without_newline(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

/// Ctrl-C ends the waiting, not the process, so that the terminal is set back.
async fn ask(prompt: &str) -> Result<String, Failure> {
    eprint!("{prompt}: ");
    let _ = io::stderr().flush();
    let line = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map(|_| line)
    });
    tokio::select! {
        line = line => match line {
            Ok(Ok(line)) => Ok(without_newline(line)),
            Ok(Err(error)) => Err(unreadable(&error)),
            Err(error) => Err(Failure::internal("cannot wait for input").because(&error)),
        },
        _ = tokio::signal::ctrl_c() => Err(Failure::interrupted()),
    }
}

fn unreadable(error: &io::Error) -> Failure {
    Failure::user("cannot read standard input").because(error)
}

/// While this lives, the terminal does not show what is typed.
struct Hidden(Termios);

impl Hidden {
    fn start() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &hidden)?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_newline_goes() {
        for (text, expected) in [("a", "a"), ("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n")] {
            assert_eq!(without_newline(text.to_owned()), expected, "{text:?}");
        }
    }
}
