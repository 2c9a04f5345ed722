//! This process's terminal, while it belongs to a program in a container.

use std::io;

use docker::exec::{Exec, ExecTerminal};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use crate::output::Failure;

/// While this lives, each key goes to the program, and its terminal is as large as this one.
pub(super) struct Raw {
    before: Termios,
    following: JoinHandle<()>,
}

impl Raw {
    pub(super) fn start(exec: &Exec) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::user("cannot set the terminal").because(&error);
        let before = tcgetattr(io::stdin()).map_err(|error| failed(error.into()))?;
        let mut changes = signal(SignalKind::window_change()).map_err(failed)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Flush, &raw)
            .map_err(|error| failed(error.into()))?;
        let terminal = exec.terminal();
        let following = tokio::spawn(async move {
            loop {
                resize(&terminal).await;
                if changes.recv().await.is_none() {
                    break;
                }
            }
        });
        Ok(Self { before, following })
    }
}

/// A size that cannot be told stays as it was.
async fn resize(terminal: &ExecTerminal) {
    if let Ok(size) = tcgetwinsize(io::stdout()) {
        let _unchanged = terminal.resize(size.ws_row, size.ws_col).await;
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.following.abort();
        let _unchanged = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}
